#!/usr/bin/env bats
# The way to MX hosts: order, fallback, null MX, loops, TLS, local domains.

load queue

setup() {
	queue_setup
	perl -MSocket -e1 || skip "needs perl"
	ZONE=$BATS_TEST_TMPDIR/zone
	sink
	cat >"$ZONE" <<-ZONE
		plain.example MX 10 mx.plain.example
		mx.plain.example A 127.0.0.1
		second.example MX 10 down.second.example
		second.example MX 20 mx.plain.example
		down.second.example A 127.0.0.99
		implicit.example A 127.0.0.1
		null.example MX 0 .
		loop.example MX 10 us.example
		loop.example MX 20 mx.plain.example
		us.example A 127.0.0.1
		backup.example MX 10 mx.plain.example
		backup.example MX 20 us.example
		nothing.example TXT nothing
		zero.example A 0.0.0.0
		many.example MX 10 zero.example
		many.example MX 10 wide.example
		wide.example A 255.255.255.255
		wide.example A 224.0.0.1
		wide.example A 240.1.2.3
		part.example MX 10 zero.example
		part.example MX 20 mx.plain.example
		broken.example servfail
		two.example MX 10 mx.plain.example
		two.example MX 20 mx.two.example
		mx.two.example A 127.0.0.2
	ZONE
	"$TOP/dnsd" "$ZONE" "$BATS_TEST_TMPDIR/dns" >/dev/null 2>&1 3>&- &
	PIDS+=($!)
	wait_for 60 test -s "$BATS_TEST_TMPDIR/dns"
	DNS=127.0.0.1:$(cat "$BATS_TEST_TMPDIR/dns")
}
teardown() { queue_teardown; }

run_mx() {
	timeout 120 "$RELAY" run --once --queue="$Q" --hostname=us.example --resolver="$DNS" --port="$PORT" "$@" \
		2>>"$BATS_TEST_TMPDIR/log"
}

@test "MX, second MX when the first is down, implicit MX, backup before ourselves" {
	for d in plain second implicit backup; do message "$d" | inject a@example.org "b@$d.example"; done
	run_mx
	[ "$(waiting)" -eq 0 ]
	[ "$(kept)" -eq 4 ]
}

sink_two() { # One more, on 127.0.0.2 and the same port, that keeps what it gets in $SINK-two
	mkdir -p "$SINK-two"
	"$TOP/lib/smtp-sink" --dir="$SINK-two" --port-file="$SINK-two/port" --host=127.0.0.2 --port="$PORT" \
		>/dev/null 2>"$SINK-two/err" 3>&- &
	PIDS+=($!)
	wait_for 60 test -s "$SINK-two/port"
}

@test "whom one MX host puts off the next may take, at whatever stage; once, and with its name" {
	sink_two
	local rule n=0
	for rule in 'MAIL:.:451 4.3.0 not now' 'MAIL:.:drop' 'RCPT:.:450 4.2.0 not now' 'DATA:.:421 4.3.2 leaving' \
		'DOT:.:452 4.3.1 no room'; do
		echo "$rule" >"$SINK/rules"
		message "$rule" | inject a@example.org b@two.example
		run_mx
		n=$((n + 1))
		[ "$(find "$SINK-two" -name '0*' -type f | wc -l)" -eq "$n" ]
		[ "$(waiting)" -eq 0 ]
	done
	run ! grep -qr '^Subject' --include='0*' "$SINK"
	# One transaction for those that the first takes, one for the others; who is refused for good is not asked for again.
	printf '%s\n' 'RCPT:later@:450 4.2.0 not now' 'RCPT:nobody@:550 5.1.1 no such user' >"$SINK/rules"
	: >"$SINK-two/log"
	message all | inject '' b@two.example later@two.example nobody@two.example
	run_mx
	grep -q '^X-Rcpt: <b@' "$(grep -lr '^Subject: all' --include='0*' "$SINK")"
	[ "$(grep 'RCPT' "$SINK-two/log" | sed 's/.*TO://')" = '<later@two.example>' ]
	grep -q 'to="b@two.example" relay="mx.plain.example\[.*status=relayed' "$BATS_TEST_TMPDIR/log"
	grep -q 'to="later@two.example" relay="mx.two.example\[.*status=relayed' "$BATS_TEST_TMPDIR/log"
	grep -q 'to="nobody@two.example" relay="mx.plain.example\[.*status=failed' "$BATS_TEST_TMPDIR/log"
}

@test "put off by one MX host, the next is not there: the first one's word counts, and the site is not down" {
	echo 'RCPT:later@:450 4.2.0 not now' >"$SINK/rules"
	for i in later b; do message | inject a@example.org "$i@two.example"; done
	run_mx
	[ "$(kept)" -eq 1 ]
	queue list --json | jq -e '.[0].recipients[0] | .code == 450 and (.relay | test("mx.plain"))'
}

@test "when the end of the content was not answered no other host is asked: the first may have it" {
	sink_two
	echo 'DOT:.:drop' >"$SINK/rules"
	message | inject a@example.org b@two.example
	run_mx
	[ "$(waiting)" -eq 1 ]
	[ ! -e "$SINK-two/0001" ]
}

@test "hosts that can't be: addresses that are no host's, ourselves by another name" {
	for d in zero many part; do message "$d" | inject a@example.org "b@$d.example"; done
	run_mx
	[ "$(kept)" -eq 1 ]
	[ "$(grep -c 'status=failed .*dsn=5.4.6 .*which is no host' "$BATS_TEST_TMPDIR/log")" -eq 2 ]
	"$RELAY" queue --queue="$Q" remove all
	# The host that the DNS names says that it is we; the second that did not answer is one more reason to wait.
	for d in plain backup second; do message "$d" | inject a@example.org "b@$d.example"; done
	run_mx --hostname=sink.example
	[ "$(kept)" -eq 1 ]
	[ "$(grep -c 'status=failed .*dsn=5.4.6 .*loops back to us: its host says' "$BATS_TEST_TMPDIR/log")" -eq 2 ]
	run queue
	[[ $output == *"b@second.example  deferred"* ]]
}

@test "null MX, no such domain, no address and a loop bounce; a failing DNS defers" {
	for d in null nowhere nothing loop broken; do
		message "$d" | inject a@plain.example "b@$d.example"
	done
	run_mx
	[ "$(waiting)" -eq 1 ]
	run queue
	[[ $output == *"b@broken.example  deferred"*"4.4.3"* ]]
	[ "$(kept)" -eq 4 ]
	grep -lq '^Status: 5.1.10' "$SINK"/0*
	grep -lq '^Status: 5.1.2' "$SINK"/0*
	grep -lq '^Status: 5.4.4' "$SINK"/0*
	grep -lq '^Status: 5.4.6' "$SINK"/0*
}

@test "STARTTLS is tried, and the message goes in the clear when the handshake fails" {
	rm "$SINK/port"
	sink --ext=STARTTLS --ext=8BITMIME --rule='STARTTLS::220 2.0.0 go on'
	message | inject a@example.org b@plain.example
	run_mx
	[ "$(waiting)" -eq 0 ]
	[ "$(kept)" -eq 1 ]
	grep -q 'STARTTLS' "$SINK/log"
}

@test "a message that needs SMTPUTF8 bounces with 5.6.7 where that is lacking" {
	message | inject a@plain.example 'bücher@plain.example'
	run_mx
	[ "$(waiting)" -eq 0 ]
	grep -q '^Status: 5.6.7' "$SINK/0001"
	grep -q '^Content-Type: message/global-delivery-status' "$SINK/0001" || grep -q 'needs SMTPUTF8' "$BATS_TEST_TMPDIR/log"
}

@test "a destination that is down is tried once, and the other messages for it wait for the same reason" {
	for i in 1 2 3; do message "$i" | inject a@example.org "b$i@gone.example"; done
	printf 'gone.example MX 10 gone.mx.example\ngone.mx.example A 127.0.0.98\n' >>"$ZONE"
	kill "${PIDS[-1]}"
	"$TOP/dnsd" "$ZONE" "$BATS_TEST_TMPDIR/dns2" >/dev/null 2>&1 3>&- &
	PIDS+=($!)
	wait_for 60 test -s "$BATS_TEST_TMPDIR/dns2"
	DNS=127.0.0.1:$(cat "$BATS_TEST_TMPDIR/dns2")
	run_mx --concurrency=1
	[ "$(waiting)" -eq 3 ]
	run queue
	[ "$(grep -c deferred <<<"$output")" -eq 3 ]
	# The MX was asked for once: the others were deferred for the same reason.
	[ "$(grep -c '^gone.example 15 ' "$BATS_TEST_TMPDIR/dns2.log")" -eq 1 ]
}

@test "a report to a domain that takes no mail, or is not there, is dropped at once" {
	printf 'RCPT:nobody@:550 5.1.1 no such user\n' >"$SINK/rules"
	for d in null nowhere; do message | inject "a@$d.example" nobody@plain.example; done
	run_mx
	[ "$(waiting)" -eq 0 ]
	[ "$(kept)" -eq 0 ]
	[ "$(grep -c ' drop qid=' "$BATS_TEST_TMPDIR/log")" -eq 2 ]
}

@test "domains with the same hosts are one site, and down together" {
	printf '%s MX 10 gone.mx.example\n' gone.example twin.example >>"$ZONE"
	echo 'gone.mx.example A 127.0.0.98' >>"$ZONE"
	kill "${PIDS[-1]}"
	"$TOP/dnsd" "$ZONE" "$BATS_TEST_TMPDIR/dns2" >/dev/null 2>&1 3>&- &
	PIDS+=($!)
	wait_for 60 test -s "$BATS_TEST_TMPDIR/dns2"
	DNS=127.0.0.1:$(cat "$BATS_TEST_TMPDIR/dns2")
	LOG=$BATS_TEST_TMPDIR/runlog
	"$RELAY" run --queue="$Q" --hostname=us.example --resolver="$DNS" --port="$PORT" 2>"$LOG" 3>&- &
	RUNNER=$!
	PIDS+=("$RUNNER")
	deferred() { [ "$(grep -c 'status=deferred' "$LOG")" -eq "$1" ]; }
	wait_for 60 grep -q 'start queue=' "$LOG"
	message | inject a@example.org b@gone.example
	wait_for 60 deferred 1
	message | inject a@example.org b@twin.example
	wait_for 60 deferred 2
	message | inject a@example.org c@gone.example
	wait_for 60 deferred 3
	site_is_down() { kill -USR1 "$RUNNER" && wait_for 1 grep -q ' site name="gone.mx.example" destinations=2 .* down=[1-9]' "$LOG"; }
	wait_for 60 site_is_down
	# The third was not tried.
	[ "$(grep -c 'to="c@gone.example" tls=none .* dsn=4.4.1' "$LOG")" -eq 1 ]
	kill "$RUNNER"
	wait "$RUNNER"
}

@test "who waits for a destination that is down is told the reason's own status" {
	for i in 1 2 3; do message "$i" | inject a@example.org "b$i@far.example"; done
	sink --ext=SIZE
	run_queue --concurrency=1 --starttls=require
	[ "$(grep -c ' status=deferred .*dsn=4.7.4 ' "$BATS_TEST_TMPDIR/log")" -eq 3 ]
	[ "$(grep -c ' open$' "$SINK/log")" -eq 1 ]
	[ "$(waiting)" -eq 3 ]
}
