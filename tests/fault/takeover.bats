#!/usr/bin/env bats
# The queue of a node whose runner died: another one takes it over, at once and only then.
# shellcheck disable=SC2034

load ../queue

setup() { queue_setup; }
teardown() {
	# The frozen sink can't end.
	[ -z "${FROZEN-}" ] || kill -CONT "$FROZEN" 2>/dev/null || true
	queue_teardown
}

# Messages that another node has left.
left_by_dead() {
	local subject
	for subject; do message "$subject" | inject a@example.org b@example.net; done
	mv "$Q"/* "$BATS_TEST_TMPDIR/dead.example"
	mv "$BATS_TEST_TMPDIR/dead.example" "$Q"
}
take_over() { run_queue --now --node=dead.example; }

@test "a lock that names a process of another host holds nobody up" {
	sink
	left_by_dead one
	echo 1 >"$Q/dead.example/lock"
	take_over
	[ "$(waiting)" -eq 0 ]
	[ "$(kept)" -eq 1 ]
}

@test "while a node's runner lives nobody takes its queue; when it is killed with a message in its hand somebody does, at once" {
	sink
	local server=${PIDS[-1]} runner workers pid status=0
	left_by_dead one two
	FROZEN=$server
	kill -STOP "$server"
	"$RELAY" run --config=/dev/null --queue="$Q" --node=dead.example --hostname=us.example --smarthost="smtp://127.0.0.1:$PORT" \
		2>>"$BATS_TEST_TMPDIR/log" 3>&- &
	runner=$!
	PIDS+=("$runner")
	at_work() { find /proc/"$(pgrep -P "$runner" | head -n 1)"/fd -lname "*/msg/*" 2>/dev/null | grep -q .; }
	wait_for 60 at_work
	take_over || status=$?
	[ "$status" -ne 0 ]
	grep -q 'another mta-relay run works on this queue' "$BATS_TEST_TMPDIR/log"
	workers=$(pgrep -P "$runner")
	kill -KILL "$runner"
	wait "$runner" || true
	for pid in $workers; do wait_for 60 gone "$pid"; done
	kill -CONT "$server"
	take_over
	[ "$(waiting)" -eq 0 ]
	# What the dead one had begun may have come as well.
	[ "$(grep -l '^Subject: one' "$SINK"/0* | wc -l)" -ge 1 ]
	[ "$(grep -l '^Subject: two' "$SINK"/0* | wc -l)" -ge 1 ]
	[ "$(kept)" -le 4 ]
}
