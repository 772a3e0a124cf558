#!/usr/bin/env bats
# mta-relay serve: limits of users who have authenticated, and the brake.
# shellcheck disable=SC2154

load guard

setup() { guard_setup; }
teardown() { guard_teardown; }

msa() { listen --role=msa --auth-without-tls "$@"; }
as() { # USER: a session of his
	local password=secret
	[ "$1" = alice ] || password=other
	{ login "$1@here.example" "$password" && cat; } | session | from "${2:-127.1.1.1}"
}
held() { find "$T/queue"/*/hold -type f | wc -l; }
waiting() { find "$T/queue"/*/msg -type f | wc -l; }
many() { # COUNT
	local i
	for i in $(seq "$1"); do mail alice@here.example "r$i@far.example"; done
}

@test "a user's messages have rates, from wherever he sends; another user's are his" {
	msa --user-messages=100/1d --user-messages=2/1h
	out=$(many 3 | as alice)
	[ "$(grep -c '^250 2.0.0 Ok: queued' <<<"$out")" -eq 2 ]
	has "$out" '450 4.7.1 Your account may not send now: too many messages'
	has "$(many 1 | as alice 127.9.9.9)" '450 4.7.1'
	has "$(many 1 | as bob)" '250 2.0.0 Ok: queued'
	[ "$(grep -c 'brake client=127.1.1.1 user="alice@here.example" .*more than 2 messages in 3600 seconds' "$T/log")" -eq 1 ]
	grep -q 'refuse client=127.1.1.1 stage=MAIL code=450 dsn=4.7.1 .*user="alice@here.example" .* check=user ' "$T/log"
}

@test "recipients have rates" {
	msa --user-recipients=3/1h
	out=$(mail alice@here.example r1@far.example r2@far.example r3@far.example r4@far.example | as alice)
	[ "$(grep -c '^250 2.1.5' <<<"$out")" -eq 3 ]
	has "$out" '450 4.7.1 Your account may not send now: too many recipients'
	has "$out" '250 2.0.0 Ok: queued'
}

@test "recipients whom a user never wrote to pull the brake, old ones do not" {
	msa --user-new-recipients=2/1h
	mail alice@here.example r1@far.example | as alice >/dev/null
	for _ in 1 2 3; do has "$(mail alice@here.example R1@far.example | as alice)" '250 2.0.0'; done
	out=$(mail alice@here.example r1@far.example r2@far.example r3@far.example | as alice)
	has "$out" '450 4.7.1 Your account may not send now: too many recipients whom you never wrote to before'
}

@test "beyond a limit mail is taken and held until somebody lets it go; then the brake's time is over" {
	msa --user-refusals=2/1h --user-beyond=hold --user-brake=30s
	has "$(mail alice@here.example r1@far.example | as alice)" '250 2.0.0'
	[ "$(waiting) $(held)" = '1 0' ]
	out=$(mail alice@here.example no1@here.example no2@here.example no3@here.example r2@far.example | as alice)
	[ "$(grep -c '^550 5.1.1' <<<"$out")" -eq 3 ]
	out=$(mail alice@here.example r3@far.example | as alice)
	has "$out" '250 2.0.0 Ok: queued as'
	[ "$(held)" -eq 1 ]
	id=$(basename "$(find "$T/queue"/*/hold -type f)")
	grep -q 'brake client=127.1.1.1 .*user="alice@here.example" seconds=30 why="more than 2 refusals in 3600 seconds"' "$T/log"
	"$RELAY" queue --queue="$T/queue" --held | grep -q "$id"
	"$RELAY" queue --queue="$T/queue" release "$id"
	[ "$(held)" -eq 0 ]
	[ "$(find "$T/queue"/*/msg -name "$id" | wc -l)" -eq 1 ]
	sleep 30.5 # longer than --user-brake
	has "$(mail alice@here.example r4@far.example | as alice)" '250 2.0.0'
	[ "$(held)" -eq 0 ]
}

@test "held mail for local recipients is not delivered" {
	cat >"$T/mda" <<-'M'
		#!/bin/sh
		echo x >>"$1"
		exit 75
	M
	chmod +x "$T/mda"
	msa --user-messages=1/1h --user-beyond=hold --mda="lmtp:|$T/mda $T/called"
	mail alice@here.example far@far.example | as alice >/dev/null
	rm -f "$T/called"
	has "$(mail alice@here.example bob@here.example | as alice)" '250 2.0.0 Ok: queued'
	[ "$(held)" -eq 1 ]
	[ ! -e "$T/called" ]
}

@test "users of --user-exempt have no limits" {
	msa --user-messages=1/1h --user-exempt='list@here.example, ALICE@here.example'
	out=$(many 3 | as alice)
	[ "$(grep -c '^250 2.0.0 Ok: queued' <<<"$out")" -eq 3 ]
	has "$(many 2 | as bob)" '450 4.7.1'
}
