#!/usr/bin/env bats
# mta-relay serve: greylisting.
# shellcheck disable=SC2154

load guard

setup() { guard_setup; }
teardown() { guard_teardown; }

try() { # ADDRESS FROM RCPT...
	local address=$1
	shift
	mail "$@" | session | from "$address"
}

@test "who was not seen before comes again; who did passes, from all of his network" {
	listen --greylist=30s
	out=$(try 127.1.1.1 a@far.example alice@here.example)
	has "$out" '450 4.7.1 <alice@here.example>: greylisted, come again in 30 seconds'
	has "$(try 127.1.1.2 a@far.example alice@here.example)" '450 4.7.1 .*greylisted'
	grep -q 'refuse client=127.1.1.1 stage=RCPT code=450 dsn=4.7.1 from="a@far.example" .* check=greylist ' "$T/log"
	sleep 30.5 # longer than --greylist
	has "$(try 127.1.1.3 A@far.example Alice@here.example)" '250 2.0.0 Ok: queued'
	has "$(try 127.1.1.3 a@far.example alice@here.example)" '250 2.0.0 Ok: queued'
	has "$(try 127.1.1.3 b@far.example alice@here.example)" '450 4.7.1'
	has "$(try 127.1.1.3 a@far.example bob@here.example)" '450 4.7.1'
	has "$(try 127.1.2.3 a@far.example alice@here.example)" '450 4.7.1'
	has "$(try 127.1.2.3 '' alice@here.example)" '450 4.7.1'
	grep -rhq ' grey 127.1.2.0/24 <> alice@here.example *$' "$T/state"
}

@test "recipients that are refused anyway are not greylisted" {
	listen --greylist=1h
	has "$(try 127.1.1.1 a@far.example nobody@here.example)" '550 5.1.1'
	has "$(try 127.1.1.1 a@far.example x@far.example)" '550 5.7.1'
	if grep -rhq ' grey ' "$T/state"; then false; fi
}

@test "a network that came again often enough passes at once" {
	listen --greylist=1s --greylist-auto=2
	try 127.1.1.1 a@far.example alice@here.example bob@here.example >/dev/null
	sleep 2.1 # longer than --greylist
	has "$(try 127.1.1.1 a@far.example alice@here.example bob@here.example)" '250 2.0.0'
	has "$(try 127.1.1.9 new@far.example bob@here.example)" '250 2.0.0'
	has "$(try 127.1.2.9 new@far.example bob@here.example)" '450 4.7.1'
}

@test "exempt networks, senders and recipients pass, and so do users" {
	printf '127.5.0.0/16 friend@far.example # a comment\n.good.example, bob@here.example\n' >"$T/list"
	listen --greylist=1h --greylist-exempt="$T/list" --auth-without-tls
	has "$(try 127.5.1.1 a@far.example alice@here.example)" '250 2.0.0'
	has "$(try 127.1.1.1 friend@far.example alice@here.example)" '250 2.0.0'
	has "$(try 127.1.1.1 x@mx.good.example alice@here.example)" '250 2.0.0'
	has "$(try 127.1.1.1 a@far.example bob@here.example)" '250 2.0.0'
	has "$(try 127.1.1.1 a@far.example alice@here.example)" '450 4.7.1'
	has "$({ login alice@here.example secret && mail alice@here.example bob@here.example; } | session |
		from 127.1.1.1)" '250 2.0.0'
}

@test "where nothing can be remembered mail is taken" {
	listen --greylist=1h
	rm -rf "$T/state"
	has "$(try 127.1.1.1 a@far.example alice@here.example)" '250 2.0.0'
	[ "$(grep -c 'state kept-in=nothing' "$T/log")" -eq 1 ]
}

@test "times that make no sense and lists that can't be read are found at the start" {
	for bad in '--greylist=1d --greylist-window=1h' '--greylist=1m --greylist-exempt=/nonexistent' \
		'--greylist=1m --greylist-exempt=1.2.3.4/99'; do
		# shellcheck disable=SC2086
		run "$RELAY" serve --state="$T/state" --domains=here.example $bad </dev/null
		[ "$status" -ne 0 ]
	done
}
