#!/usr/bin/env bats
# Every file operation of inject and of run fails or kills, one after another. What must hold each time: inject says 0
# only when the whole message is in the queue; an accepted message is delivered at least once and whole; a recipient
# whose outcome was recorded gets nothing again; nothing is left for ever.

load ../queue
load lib

setup() {
	queue_setup
	fault_setup
	CONTENT=$BATS_TEST_TMPDIR/content
	{ printf 'Subject: fault\n\n'; seq -f 'line %g of the body' 1 100; } >"$CONTENT"
}
teardown() { queue_teardown; }

# Is the message that the sink has in file $1 the whole of it?
whole() { sed '1,/^$/d' "$1" | tr -d '\r' | sed '1,/^\tid /d' | cmp -s - "$CONTENT"; }

all_whole() {
	local f
	for f in "$SINK"/0*; do
		[ -e "$f" ] || return 0
		grep -q '^X-From: <>' "$f" || whole "$f" || return 1
	done
}

# Without faults until nothing is left.
drain() {
	for _ in 1 2 3; do
		run_queue --now || return 1
		[ "$(waiting)" -eq 0 ] && return 0
	done
	return 1
}

inject_scenario() {
	local status=0
	rm -rf "$Q" "$SINK"/0*
	faulty timeout 20 "$RELAY" inject --queue="$Q" --hostname=us.example -f a@example.org b@example.net \
		<"$CONTENT" 2>/dev/null 3>&- || status=$?
	run_queue || return 1
	[ "$(waiting)" -eq 0 ] || return 1
	all_whole || return 1
	# Yes means yes. No means nothing, except after a kill, when nobody was told anything.
	[ "$status" -ne 0 ] || [ "$(kept)" -eq 1 ] || return 1
	[ "$status" -eq 0 ] || [ "$status" -eq 137 ] || [ "$(kept)" -eq 0 ]
}

run_scenario() {
	rm -rf "$Q" "$SINK"/0* "$SINK/rules"
	inject a@example.org b@example.net nobody@example.net <"$CONTENT" || return 1
	faulty timeout 30 "$RELAY" run --once --now --queue="$Q" --hostname=us.example --concurrency=1 \
		--smarthost="smtp://127.0.0.1:$PORT" 2>>"$BATS_TEST_TMPDIR/log" 3>&- || true
	# What was recorded as delivered must not go out again.
	local recorded=no before
	if grep -aqE '^0 relayed .* ;$' "$Q"/*/msg/* 2>/dev/null; then
		recorded=yes
	fi
	before=$(grep -l '^X-Rcpt: <b@' "$SINK"/0* 2>/dev/null | wc -l)
	drain || return 1
	all_whole || return 1
	local after bounces
	after=$(grep -l '^X-Rcpt: <b@' "$SINK"/0* | wc -l)
	bounces=$(grep -l '^X-From: <>' "$SINK"/0* | wc -l)
	[ "$after" -ge 1 ] && [ "$bounces" -ge 1 ] || return 1
	[ "$after" -le 2 ] && [ "$bounces" -le 2 ] || return 1
	[ $recorded = no ] || [ "$after" -eq "$before" ]
}

@test "inject: EIO at each operation" { sink; fault_each EIO any inject_scenario; }
@test "inject: ENOSPC at each operation" { sink; fault_each ENOSPC any inject_scenario; }
@test "inject: killed before each operation" { sink; fault_each kill any inject_scenario; }
@test "inject: killed after each operation" { sink; fault_each killafter any inject_scenario; }
@test "inject: EINTR and short writes do no harm" {
	sink
	fault_each EINTR write inject_scenario
	fault_each EINTR fsync inject_scenario
	fault_each short write inject_scenario
	rm -rf "$Q" "$SINK"/0*
	fault EINTR fsync 1 "$RELAY" inject --queue="$Q" -f a@example.org b@example.net <"$CONTENT"
	fault short write 1 "$RELAY" inject --queue="$Q" -f a@example.org b@example.net <"$CONTENT"
	[ "$(waiting)" -eq 2 ]
}

@test "run: EIO at each operation" { sink --rule='RCPT:nobody@:550 5.1.1 no'; fault_each EIO any run_scenario; }
@test "run: ENOSPC at each operation" { sink --rule='RCPT:nobody@:550 5.1.1 no'; fault_each ENOSPC any run_scenario; }
@test "run: killed before each operation" { sink --rule='RCPT:nobody@:550 5.1.1 no'; fault_each kill any run_scenario; }
@test "run: killed after each operation" {
	sink --rule='RCPT:nobody@:550 5.1.1 no'
	fault_each killafter any run_scenario
}
