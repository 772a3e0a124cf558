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
	HOW='file'
}
teardown() { queue_teardown; }

inject_scenario() {
	local status=0
	rm -rf "$Q" "$SINK"/0*
	faulty timeout 120 "$RELAY" inject --queue="$Q" --durability=$HOW --hostname=us.example -f a@example.org b@example.net \
		<"$CONTENT" 2>/dev/null 3>&- || status=$?
	run_queue || return 1
	[ "$(waiting)" -eq 0 ] || return 1
	all_whole || return 1
	# Yes means yes. No means nothing, except after a kill, when nobody was told anything.
	[ "$status" -ne 0 ] || [ "$(kept)" -eq 1 ] || return 1
	[ "$status" -eq 0 ] || [ "$status" -eq 137 ] || [ "$(kept)" -eq 0 ] || {
		echo "# said no ($status), sent it" >&2
		return 1
	}
}

@test "inject: every call fails, by file" { sink; fault_matrix inject_scenario; }
@test "inject: every call fails, with a commit log" { HOW=log; sink; fault_matrix inject_scenario; }
# What can't be looked at is not taken for something that is not there.
@test "inject: no file can be opened, each in turn" {
	sink
	fault_each EMFILE open,opendir inject_scenario
	HOW=auto fault_each EIO open,opendir,readdir inject_scenario
}
@test "inject: EINTR and short writes do no harm" {
	sink
	rm -rf "$Q" "$SINK"/0*
	fault EINTR fsync 1 "$RELAY" inject --queue="$Q" -f a@example.org b@example.net <"$CONTENT"
	fault_hit
	fault short write 1 "$RELAY" inject --queue="$Q" -f a@example.org b@example.net <"$CONTENT"
	fault_hit
	[ "$(waiting)" -eq 2 ]
}
