#!/usr/bin/env bats
# mta-relay serve: limits of a client's network, lockout, tarpit, and where that is remembered.
# shellcheck disable=SC2154

load guard
bats_require_minimum_version 1.5.0

setup() { guard_setup; }
teardown() { guard_teardown; }

@test "connections of one network have a rate; other networks have their own" {
	listen --connections=3/1h
	for i in 1 2 3; do has "$(session </dev/null | from "127.1.1.$i")" '220 '; done
	out=$(session </dev/null | from 127.1.1.4)
	has "$out" '421 4.7.0 Too many connections from 127.1.1.0/24'
	has "$(session </dev/null | from 127.1.2.1)" '220 '
	grep -q 'refuse client=127.1.1.4 stage=CONNECT code=421 dsn=4.7.0 .* check=limit ' "$T/log"
}

@test "--prefix4 says whose address is whose" {
	listen --connections=1/1h --prefix4=32
	has "$(session </dev/null | from 127.1.1.1)" '220 '
	has "$(session </dev/null | from 127.1.1.2)" '220 '
	has "$(session </dev/null | from 127.1.1.1)" '421 4.7.0 Too many connections from 127.1.1.1/32'
}

@test "messages and recipients of one network have a rate" {
	listen --messages=2/1h --recipients=3/1h
	out=$({
		mail a@far.example alice@here.example bob@here.example
		mail a@far.example alice@here.example
		echo 'MAIL FROM:<a@far.example>'
	} | session | from 127.1.1.1)
	[ "$(grep -c '^250 2.0.0 Ok: queued' <<<"$out")" -eq 2 ]
	has "$out" '450 4.7.1 Too many messages from 127.1.1.0/24'
	out=$(mail a@far.example alice@here.example | session | from 127.1.1.9)
	has "$out" '450 4.7.1 Too many messages'
	out=$(printf 'MAIL FROM:<a@b.example>\nRCPT TO:<alice@here.example>\n%s\n' \
		'RCPT TO:<bob@here.example>' 'RCPT TO:<alice@here.example>' 'RCPT TO:<bob@here.example>' |
		session | from 127.1.2.1)
	[ "$(grep -c '^250 2.1.5' <<<"$out")" -eq 3 ]
	has "$out" '450 4.7.1 Too many recipients from 127.1.2.0/24'
}

@test "a network that guesses passwords is locked out, and let in again later" {
	listen --auth-failures=3/1h --lockout=30s --auth-without-tls
	out=$({
		login alice@here.example wrong
		login alice@here.example wrong2
	} | session | from 127.1.1.1)
	[ "$(grep -c '^535 ' <<<"$out")" -eq 2 ]
	has "$(session </dev/null | from 127.1.1.2)" '220 '
	has "$(login bob@here.example no | session | from 127.1.1.2)" '535 '
	has "$(session </dev/null | from 127.1.1.3)" '421 4.7.0 Too many failures from 127.1.1.0/24: try again in'
	grep -q 'lockout client=127.1.1.2 net=127.1.1.0/24 seconds=30 why="auth-failures"' "$T/log"
	has "$(session </dev/null | from 127.9.9.9)" '220 '
	sleep 30.5 # longer than --lockout
	has "$(session </dev/null | from 127.1.1.3)" '220 '
}

@test "an account that is guessed at from everywhere is closed to strangers, not to where its user comes from" {
	listen --account-failures=3/1h --lockout=1h --auth-without-tls
	has "$(login alice@here.example secret | session | from 127.1.1.1)" '235 '
	for i in 1 2 3; do has "$(login alice@here.example wrong$i | session | from 127.2.$i.1)" '535 '; done
	grep -q 'lockout client=127.2.3.1 net=unfamiliar seconds=3600 user="alice@here.example" why="account-failures"' "$T/log"
	# The right password does not help who is not known; other accounts are open.
	has "$(login alice@here.example secret | session | from 127.3.1.1)" '454 4.7.0'
	has "$(login ALICE@here.example secret | session | from 127.3.1.1)" '454 4.7.0'
	has "$(login bob@here.example other | session | from 127.3.1.1)" '235 '
	has "$(login alice@here.example secret | session | from 127.1.1.7)" '235 '
	state() { "$RELAY" state --state="$T/state" "$@"; }
	state | grep -q '^account-lock alice@here.example	3	'
	state | grep -q '^seen alice@here.example 127.1.1.0/24	1	'
	state forget 'account-lock alice@here.example' 'account alice@here.example'
	has "$(login alice@here.example secret | session | from 127.3.1.1)" '235 '
	# A name that nobody has is treated in the same way.
	for i in 1 2 3; do has "$(login nobody@here.example wrong$i | session | from 127.2.$i.1)" '535 '; done
	has "$(login nobody@here.example x | session | from 127.4.1.1)" '454 4.7.0'
}

@test "what a user mistypes where he comes from closes his account to nobody" {
	listen --account-failures=2/1h --auth-without-tls
	has "$(login alice@here.example secret | session | from 127.1.1.1)" '235 '
	for i in 1 2 3; do has "$(login alice@here.example wrong$i | session | from 127.1.1.$i)" '535 '; done
	has "$(login alice@here.example secret | session | from 127.3.1.1)" '235 '
}

@test "a network that only errs is locked out; refusals for now are no errors" {
	listen --errors=4/1h --messages=1/1h
	out=$({
		echo 'MAIL FROM:<a@b.example>'
		echo RSET
		echo 'MAIL FROM:<a@b.example>'
		echo 'MAIL FROM:<a@b.example>'
		echo 'MAIL FROM:<a@b.example>'
		echo 'MAIL FROM:<a@b.example>'
	} | session | from 127.1.1.1)
	[ "$(grep -c '^450 4.7.1' <<<"$out")" -eq 4 ]
	has "$(session </dev/null | from 127.1.1.1)" '220 '
	printf 'FOO\nBAR\nBAZ\nQUX\n' | session | from 127.1.1.1 >/dev/null
	has "$(session </dev/null | from 127.1.1.1)" '421 4.7.0 Too many failures'
	grep -q 'lockout client=127.1.1.1 .*why="errors"' "$T/log"
}

@test "conversations at once of one network are limited" {
	listen --max-per-network=2 --exempt=127.2.0.0/16
	for a in 127.1.1.1 127.1.1.2 127.2.1.1 127.2.1.2; do
		echo "= $T/enough" | from $a >"$T/out.$a" 3>&- &
		PIDS+=($!)
		wait_for 60 grep -q 220 "$T/out.$a"
	done
	has "$(session </dev/null | from 127.1.1.3)" '421 4.7.0 Too many connections'
	has "$(session </dev/null | from 127.1.2.3)" '220 '
	has "$(session </dev/null | from 127.2.1.3)" '220 '
	touch "$T/enough"
	wait_for 60 grep -q 'too-many client=127.1.1.3 limit=2' "$T/log"
}

@test "each refusal makes the next reply slower" {
	listen --tarpit=300ms
	begin=$(date +%s%N)
	printf 'FOO\nBAR\n' | session | from 127.1.1.1 >/dev/null
	[ $((($(date +%s%N) - begin) / 1000000)) -ge 900 ]
}

@test "who is exempt is not counted" {
	listen --connections=1/1h --exempt=127.1.0.0/16,trust --trust=127.3.0.0/16
	for a in 127.1.1.1 127.3.1.1; do
		for _ in 1 2 3; do has "$(session </dev/null | from $a)" '220 '; done
	done
	has "$(session </dev/null | from 127.2.1.1)" '220 '
	has "$(session </dev/null | from 127.2.1.1)" '421 4.7.0'
}

@test "loopback and --trust are exempt by default; a pipe always" {
	rm -f "$T/ready"
	"$RELAY" serve --listen=127.0.0.1:0 --ready-file="$T/ready" --domains=here.example --queue="$T/queue" \
		--state="$T/state" --connections=1/1h 2>>"$T/log" 3>&- &
	PIDS+=($!)
	wait_for 60 test -s "$T/ready"
	PORT=$(sed -n 's/.*://p' "$T/ready" | head -n 1)
	for _ in 1 2 3; do has "$(session </dev/null | from 127.1.1.1)" '220 '; done
	for _ in 1 2; do
		out=$(echo QUIT | "$RELAY" serve --domains=here.example --queue="$T/queue" --state="$T/state" \
			--exempt=none --connections=1/1h 2>>"$T/log")
		has "$out" '220 '
	done
}

@test "what is remembered can be read, and outlives the server" {
	listen --connections=2/1h
	session </dev/null | from 127.1.1.1 >/dev/null
	kill "${PIDS[0]}" && wait "${PIDS[0]}" || true
	grep -rhq '^[0-9]\{11\} 00000000000000000001 connections 127.1.1.0/24 *$' "$T/state"
	listen --connections=2/1h
	session </dev/null | from 127.1.1.1 >/dev/null
	has "$(session </dev/null | from 127.1.1.1)" '421 4.7.0'
}

@test "mta-relay state lists it, and forgets it" {
	state() { "$RELAY" state --state="$T/state" "$@"; }
	run state list
	[ "$status" -ne 0 ]
	[ ! -e "$T/state" ]
	listen --auth-failures=1/1h --connections=9/1h --auth-without-tls
	login alice@here.example wrong | session | from 127.1.1.1 >/dev/null
	has "$(session </dev/null | from 127.1.1.1)" '421 4.7.0'
	state list lock | grep -q "^lock 127.1.1.0/24	1	[0-9]*$"
	[ "$(state | wc -l)" -eq 3 ]
	state forget 'lock 127.1.1.0/24' 'connections 127.1.1.0/24'
	has "$(session </dev/null | from 127.1.1.1)" '220 '
	[ -z "$(state list lock)" ]
	files=$(ls "$T/state")
	run state forget 'lock 127.1.1.0/24'
	[ "$status" -eq 65 ]
	[ "$(ls "$T/state")" = "$files" ]
	run state list a b
	[ "$status" -eq 64 ]
	run state nonsense
	[ "$status" -eq 64 ]
}

@test "two servers share a Redis server, and each goes on with its files when that dies" {
	command -v redis-server >/dev/null || skip "needs redis-server"
	redis-server --port 0 --unixsocket "$T/redis.sock" --save '' --appendonly no --dir "$T" --requirepass 'top secret' \
		>/dev/null 2>&1 3>&- &
	redis=$!
	PIDS+=("$redis")
	wait_for 60 listening "$T/redis.sock"
	echo 'top secret' >"$T/password"
	shared=(--shared-state="redis+unix:$T/redis.sock" --shared-state-password="$T/password" --connections=2/1h)
	listen "${shared[@]}"
	first=$PORT
	listen "${shared[@]}" --state="$T/state2"
	counted() { # NETWORK: by both together
		has "$(session </dev/null | from "$1.1")" '220 ' || return 1
		PORT=$first
		"$RELAY" state "${shared[@]:0:2}" --state="$T/state" | grep -q "^connections $1.0/24	1	" || return 1
		has "$(session </dev/null | from "$1.1")" '220 ' || return 1
		has "$(session </dev/null | from "$1.1")" '421 4.7.0'
	}
	# Redis has a second for each answer; on a machine where it needs more, another network a little later.
	for net in 127.1.{2..60}; do
		second=$PORT
		if counted "$net"; then break; fi
		grep -q 'state kept-in=files' "$T/log" && [ "$net" != 127.1.60 ]
		sleep 11 # until it is asked again
		: >"$T/log"
		PORT=$second
	done
	kill -KILL "$redis"
	wait "$redis" || true
	has "$(session </dev/null | from 127.1.1.1)" '220 '
	has "$(session </dev/null | from 127.1.1.1)" '220 '
	has "$(session </dev/null | from 127.1.1.1)" '421 4.7.0'
	[ "$(grep -c 'state kept-in=files' "$T/log")" -eq 1 ]
	if grep -q 'top secret' "$T/log"; then false; fi
}

@test "TLS to a Redis server: with a certificate that is known, and ours where it is asked for" {
	command -v redis-server >/dev/null || skip "needs redis-server"
	command -v openssl >/dev/null || skip "needs openssl"
	local name tries=0 redis options=(--port 0 --save '' --appendonly no --dir "$T" --requirepass secret --tls-cert-file "$T/localhost.pem" \
		--tls-key-file "$T/localhost.key" --tls-ca-cert-file "$T/all.pem")
	for name in localhost other; do
		openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 2 -subj /CN=$name \
			-addext subjectAltName=DNS:$name -keyout "$T/$name.key" -out "$T/$name.pem" 2>/dev/null
	done
	cat "$T"/*.pem >"$T/all.pem"
	cat "$T/other.pem" "$T/other.key" >"$T/ours.pem"
	up_or_gone() { grep -q 'Ready to accept' "$T/redis.log" || ! kill -0 "$redis" 2>/dev/null; }
	while [ $((++tries)) -le 20 ]; do
		tls=$(free_port)
		redis-server "${options[@]}" --tls-port $tls >"$T/redis.log" 2>&1 3>&- &
		redis=$!
		PIDS+=("$redis")
		wait_for 60 up_or_gone || true
		grep -q 'Ready to accept' "$T/redis.log" && break
	done
	grep -q 'Ready to accept' "$T/redis.log" || skip "needs redis-server with TLS"
	url=rediss://:secret@localhost:$tls/1
	state() { "$RELAY" state --state="$T/state" --shared-state="$url" "$@" list; }
	listen --connections=1/1h --shared-state="$url" --shared-state-ca="$T/localhost.pem" --shared-state-cert="$T/ours.pem"
	counted() { # NETWORK
		has "$(session </dev/null | from "$1.1")" '220 ' || return 1
		state --shared-state-ca="$T/localhost.pem" --shared-state-cert="$T/ours.pem" | grep -q "^connections $1.0/24	1	" || return 1
		if grep -q 'state kept-in=files' "$T/log"; then return 1; fi
	}
	# As above: one that is too slow is asked again later.
	for net in 127.1.{3..60}; do
		if counted "$net"; then break; fi
		[ "$net" != 127.1.60 ]
		sleep 11 # until it is asked again
		: >"$T/log"
	done
	# One that does not know us, one that we don't know, and one by another name.
	run ! state --shared-state-ca="$T/localhost.pem"
	run ! state --shared-state-ca="$T/other.pem" --shared-state-cert="$T/ours.pem"
	run ! state --shared-state-cert="$T/ours.pem"
	url=rediss://:secret@127.0.0.1:$tls/1
	run ! state --shared-state-ca="$T/localhost.pem" --shared-state-cert="$T/ours.pem"
	# Those who serve go on with files, and say why.
	listen --connections=1/1h --shared-state="$url" --shared-state-ca="$T/localhost.pem" --shared-state-cert="$T/ours.pem"
	has "$(session </dev/null | from 127.1.2.1)" '220 '
	has "$(session </dev/null | from 127.1.2.1)" '421 '
	grep -q 'state kept-in=files .*certificate' "$T/log"
	run -64 "$RELAY" state --state="$T/state" --shared-state=redis://h --shared-state-ca="$T/all.pem"
	run -64 "$RELAY" state --state="$T/state" --shared-state-cert="$T/ours.pem"
}

@test "wrong rates, networks and directories are found at the start" {
	for bad in --connections=x --connections=3 --messages=3/0 --errors=-1/1h --account-failures=x --exempt=nonsense --prefix4=33 \
		'--shared-state=http://x/ --connections=1/1h' '--state=/dev/null/x --connections=1/1h'; do
		# shellcheck disable=SC2086
		run "$RELAY" serve --domains=here.example $bad </dev/null
		[ "$status" -ne 0 ]
	done
}
