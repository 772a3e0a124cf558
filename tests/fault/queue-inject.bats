#!/usr/bin/env bats
# Every file operation of inject fails or kills, one after another. What must hold each time: inject says 0 only when the
# whole message is in the queue; no means that nothing is.

load ../queue
load lib
load queue

setup() {
	queue_setup
	fault_setup
	fault_content
}
teardown() { queue_teardown; }

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
