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

reports() { grep -l '^X-From: <>' "$SINK"/0* 2>/dev/null || true; }
# Is there a line that is this in the only report to this one?
reported() { # TO LINE...
	local file to=$1
	shift
	file=$(grep -l "^X-Rcpt: <$to>" $(reports))
	"$TOP/report-parse" "$file" >"$T/report" || return 1
	for line; do grep -qx "$line" "$T/report" || { echo "no '$line'"; cat "$T/report"; return 1; }; done
}

@test "DSN: what the client said is said to the next hop, to the letter" {
	listen one --domains=here.example --trust=127.0.0.0/8 --queue="$Q"
	printf '%s\n' 'EHLO x' 'MAIL FROM:<a@client.example> RET=HDRS ENVID=QQ+2B1' \
		'RCPT TO:<u@far.example> NOTIFY=SUCCESS,DELAY ORCPT=rfc822;U+2Bx@Far.example' 'RCPT TO:<v@far.example> NOTIFY=NEVER' \
		'RCPT TO:<w@far.example> ORCPT=utf-8;\x{E4}@far.example' 'RCPT TO:<x@far.example>' \
		'BDAT=S: x\r\n\r\n' QUIT | say | grep -q '^250 2.0.0 Ok: queued'
	sink --ext=PIPELINING --ext=DSN
	run_queue
	[ "$(waiting)" -eq 0 ]
	[ "$(kept)" -eq 1 ]
	grep -q '^X-From: <a@client.example> RET=HDRS ENVID=QQ+2B1$' "$SINK/0001"
	grep -q '^X-Rcpt: <u@far.example> NOTIFY=SUCCESS,DELAY ORCPT=rfc822;U+2Bx@Far.example$' "$SINK/0001"
	grep -q '^X-Rcpt: <v@far.example> NOTIFY=NEVER$' "$SINK/0001"
	grep -q '^X-Rcpt: <w@far.example> ORCPT=utf-8;\\x{E4}@far.example$' "$SINK/0001"
	grep -q '^X-Rcpt: <x@far.example>$' "$SINK/0001"
}

@test "DSN: an address in UTF-8 is told in ASCII to who has no SMTPUTF8" {
	listen one --domains=here.example --trust=127.0.0.0/8 --queue="$Q"
	printf '%s\n' 'EHLO x' 'MAIL FROM:<a@client.example> SMTPUTF8' \
		'RCPT TO:<u@far.example> ORCPT=utf-8;\xc3\xa4@far.example' 'BDAT=S: x\r\n\r\n' QUIT | say | grep -q '^250 2.0.0 Ok: queued'
	sink --ext=DSN
	run_queue
	grep -q '^X-Rcpt: <u@far.example> ORCPT=utf-8;\\x{E4}@far.example$' "$SINK/0001"
}

@test "DSN: an alias with several addresses is expanded, one with an owner delivered; its members know nothing of it" {
	cat >"$T/aliases" <<-A
		several: one@far.example, two@far.example
		single: three@far.example
		list: four@far.example
		owner-list: keeper@far.example
	A
	listen one --domains=here.example --aliases="$T/aliases" --queue="$Q"
	printf '%s\n' 'EHLO x' 'MAIL FROM:<a@client.example> RET=FULL ENVID=E1' \
		'RCPT TO:<several@here.example> NOTIFY=SUCCESS,FAILURE' 'RCPT TO:<single@here.example> NOTIFY=SUCCESS' \
		'RCPT TO:<list@here.example> NOTIFY=SUCCESS ORCPT=rfc822;l@old.example' 'BDAT=Subject: x\r\n\r\n' QUIT |
		say | grep -q '^250 2.0.0 Ok: queued'
	sink --ext=DSN
	run_queue
	run_queue
	[ "$(waiting)" -eq 0 ]
	grep -q '^X-From: <a@client.example> RET=FULL ENVID=E1$' "$SINK"/0*
	for n in one two; do
		grep -hq "^X-Rcpt: <$n@far.example> NOTIFY=FAILURE ORCPT=rfc822;several@here.example$" "$SINK"/0*
	done
	grep -hq '^X-Rcpt: <three@far.example> NOTIFY=SUCCESS ORCPT=rfc822;single@here.example$' "$SINK"/0*
	grep -hq '^X-From: <owner-list@here.example>$' "$SINK"/0*
	grep -hq '^X-Rcpt: <four@far.example> ORCPT=rfc822;four@far.example$' "$SINK"/0*
	command -v python3 >/dev/null || skip "needs python3 for the report"
	[ "$(reports | wc -l)" -eq 1 ]
	reported a@client.example 'message Original-Envelope-Id E1' 'recipient 1 Final-Recipient rfc822; list@here.example' \
		'recipient 1 Original-Recipient rfc822;l@old.example' 'recipient 1 Action delivered' 'recipient 1 Status 2.1.5' \
		'recipient 2 Final-Recipient rfc822; several@here.example' 'recipient 2 Action expanded'
	lacks 'recipient 3' "$T/report"
}
