#!/usr/bin/env bats
# Every file operation of run fails or kills, one after another. What must hold each time: an accepted message is
# delivered at least once and whole; a recipient whose outcome was recorded gets nothing again; nothing is left for ever.

load ../queue
load lib
load queue

setup() {
	queue_setup
	fault_setup
	fault_content
}
teardown() { queue_teardown; }

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

@test "run: EIO at each operation" { sink --rule='RCPT:nobody@:550 5.1.1 no'; fault_each EIO any run_scenario; }
@test "run: ENOSPC at each operation" { sink --rule='RCPT:nobody@:550 5.1.1 no'; fault_each ENOSPC any run_scenario; }
@test "run: killed before each operation" { sink --rule='RCPT:nobody@:550 5.1.1 no'; fault_each kill any run_scenario; }
@test "run: killed after each operation" {
	sink --rule='RCPT:nobody@:550 5.1.1 no'
	fault_each killafter any run_scenario
}
