#!/usr/bin/env bats
# The extensions of SMTP on both sides, with the real programs.
# shellcheck disable=SC2154,SC2016

load queue

setup() {
	queue_setup
	BIN=${BUILD:-$TOP/../build}/bin
	T=$BATS_TEST_TMPDIR
}
teardown() { queue_teardown; }

# Like ! grep -q, but fails the test.
lacks() {
	if grep -q "$@"; then return 1; fi
}

# NAME OPTION...: a server called NAME.example; its port in $port.
listen() {
	local name=$1
	shift
	rm -f "$T/$name.ready"
	"$RELAY" serve --listen=127.0.0.1:0 --ready-file="$T/$name.ready" --hostname="$name.example" "$@" 2>>"$T/log" 3>&- &
	PIDS+=($!)
	wait_for 10 test -s "$T/$name.ready"
	port=$(sed -n 's/.*://p' "$T/$name.ready" | head -n 1)
}

# Lines of stdin as commands to $port; what it says.
say() { timeout 30 "$TOP/lib/smtp-say" "$@" "$port"; }

@test "a queue without space takes nothing: 452 before the content is sent" {
	listen one --domains=here.example --queue="$T/not/yet/there" --min-free=1000000G
	printf '%s\n' 'EHLO x' 'MAIL FROM:<a@client.example>' QUIT | say | grep -q '^452 4.3.1 '
	listen two --domains=here.example --queue="$Q" --min-free=1k --max-size=0
	printf '%s\n' 'EHLO x' 'MAIL FROM:<a@client.example> SIZE=9000000000000000000' 'MAIL FROM:<a@client.example> SIZE=18446744073709551615' \
		'MAIL FROM:<a@client.example> SIZE=100' 'RCPT TO:<u@here.example>' 'BDAT=S: x\r\n\r\n' QUIT | say >"$T/said"
	[ "$(grep -c '^452 4.3.1 ' "$T/said")" -eq 2 ]
	grep -q '^250 2.0.0 Ok: queued' "$T/said"
	listen three --domains=here.example --queue="$Q" --min-free=0 --max-size=0
	printf '%s\n' 'EHLO x' 'MAIL FROM:<a@client.example> SIZE=9000000000000000000' QUIT | say | grep -q '^250 2.1.0 '
}

@test "a message that is larger than the next hop takes is returned, and not sent" {
	sink --ext='SIZE 300'
	message 'large' "$(printf 'x%.0s' {1..300})" | inject me@us.example u@far.example
	run_queue
	run_queue
	lacks 'MAIL FROM:<me@us' "$SINK/log"
	grep -q '5.3.4' "$T/log"
	sink --lmtp --ext='SIZE 1000'
	message 'larger' "$(printf 'x%.0s' {1..1000})" | inject me@us.example u@here.example
	timeout 60 "$RELAY" run --once --queue="$Q" --hostname=us.example --domains=here.example --mda="lmtp:127.0.0.1:$PORT" \
		--smarthost="smtp://127.0.0.1:$PORT" 2>>"$T/log"
	lacks 'MAIL FROM:<me@us' "$SINK/log"
	grep -q 'to="u@here.example".*dsn=5.3.4' "$T/log"
}
