#!/usr/bin/env bats
# The scheduler of mta-relay run: more messages than it keeps in memory, destinations that are down or crowded, long lists
# of recipients, signals.

load queue
bats_require_minimum_version 1.5.0

setup() {
	queue_setup
	LOG=$BATS_TEST_TMPDIR/runlog
}
teardown() { queue_teardown; }

# N copies of what waits, as if they had come one after another.
copies() {
	local dir file i
	file=$(find "$Q"/*/msg -type f)
	dir=$(dirname "$file")
	for ((i = 1; i < $1; i++)); do
		cp "$file" "$dir/$(printf '1K000000000%05d' "$i")"
	done
}
runner() { # OPTION...: a running queue runner: RUNNER
	"$RELAY" run --queue="$Q" --hostname=us.example "$@" 2>"$LOG" 3>&- &
	RUNNER=$!
	PIDS+=("$RUNNER")
	wait_for 60 grep -q 'start queue=' "$LOG"
}

@test "a queue longer than the window is delivered whole, each message once" {
	sink
	message | inject a@example.org b@example.net
	copies 260
	run_queue --window=100
	[ "$(waiting)" -eq 0 ]
	[ "$(kept)" -eq 260 ]
	[ "$(grep -c ' scan messages=' "$BATS_TEST_TMPDIR/log")" -gt 1 ]
}

@test "--now tries each of them once, also those beyond the window, whenever they are due" {
	PORT=1
	message | inject a@example.org b@example.net
	copies 250
	find "$Q"/*/msg -type f -exec touch -d '1 hour' {} +
	sleep 0.1 # what was made a moment ago must not look as if it had been tried in this run
	run_queue --window=100 --now
	[ "$(grep -c 'status=deferred' "$BATS_TEST_TMPDIR/log")" -eq 250 ]
	[ "$(find "$Q"/*/msg -type f -newermt '+1 minute' ! -newermt '+30 minutes' | wc -l)" -eq 250 ]
}

@test "a crowd for a destination that is down keeps nobody else waiting" {
	sink
	cat >"$BATS_TEST_TMPDIR/routes" <<-ROUTES
		down.example   smtp://127.0.0.1:1
		*              smtp://127.0.0.1:$PORT
	ROUTES
	message | inject a@example.org b@down.example
	copies 300
	# Older, so that they come first.
	find "$Q"/*/msg -type f -exec touch -d '1 hour ago' {} +
	for i in 1 2 3; do message | inject a@example.org "b$i@example.net"; done
	runner --routes="$BATS_TEST_TMPDIR/routes" --window=100
	all_there() { [ "$(kept)" -eq 3 ]; }
	wait_for 60 all_there
	all_deferred() { [ "$(find "$Q"/*/msg -type f -newermt '+1 minute' | wc -l)" -eq 300 ]; }
	wait_for 60 all_deferred
	[ "$(waiting)" -eq 300 ]
	idle() { kill -USR1 "$RUNNER" && wait_for 1 grep -qE ' state hand=0 window=' "$LOG"; }
	wait_for 60 idle
	wait_for 60 grep -qE ' site name="smtp://127.0.0.1:1" .* allowed=1 down=[0-9]+ reason=".*refused"' "$LOG"
}

@test "what has waited for a destination that is down is put off without a worker" {
	PORT=1
	message | inject a@example.org b@example.net c@example.net
	run_queue
	message | inject a@example.org b@example.net
	runner --smarthost="smtp://127.0.0.1:$PORT"
	wait_for 60 grep -q 'status=deferred' "$LOG"
	: >"$LOG"
	old=$(find "$Q"/*/msg -type f | sort | head -n 1)
	[ "$(grep -c deferred "$old")" -eq 2 ]
	touch -m -d '1 minute ago' "$old"
	# A scan finds it: nobody is told of a time that is set alone.
	kill "$RUNNER"
	wait "$RUNNER"
	mv "$old" "$Q/moved"
	runner --smarthost="smtp://127.0.0.1:$PORT" --retry-min=60s
	message | inject a@example.org b@example.net
	wait_for 60 grep -q 'status=deferred' "$LOG"
	mv "$Q/moved" "$old"
	later() { [ "$(stat -c %Y "$old")" -gt "$(date +%s)" ]; }
	wait_for 60 later
	# Two lines from before, none since.
	[ "$(grep -c deferred "$old")" -eq 2 ]
}

@test "long lists of recipients take turns, piece by piece" {
	sink
	for sender in one two; do
		message | inject "$sender@example.org" $(seq -f 'r%g@example.net' 250)
	done
	run_queue --destination-concurrency=1
	[ "$(waiting)" -eq 0 ]
	[ "$(cat "$SINK"/0* | grep -c '^X-Rcpt: ')" -eq 500 ]
	[ "$(sed -n 's/^X-From: <\([a-z]*\)@.*/\1/p' "$SINK"/0* | tr '\n' ' ')" = "one two one two one two " ]
}

@test "alone a long list goes through in one go, recorded piece by piece" {
	sink --rule='RCPT:r250@:451 4.3.0 come later'
	message | inject a@example.org $(seq -f 'r%g@example.net' 250)
	run_queue
	[ "$(waiting)" -eq 1 ]
	[ "$(kept)" -eq 3 ]
	[ "$(grep -c ' relayed ' "$Q"/*/msg/*)" -eq 249 ]
	run_queue --now
	[ "$(kept)" -eq 3 ]
}

@test "SIGTERM: the message in hand is finished, no other is begun" {
	sink
	server=${PIDS[-1]}
	message | inject a@example.org b@example.net
	copies 40
	frozen="$server $(pgrep -P "$server" || true)"
	kill -STOP $frozen
	# What is told the service manager is told the worker before.
	export NOTIFY_SOCKET=$BATS_TEST_TMPDIR/manager
	perl -MIO::Socket::UNIX -e '
		my $s = IO::Socket::UNIX->new(Type => SOCK_DGRAM, Local => $ARGV[0]) or die;
		open(my $out, ">>", $ARGV[1]) or die;
		syswrite($out, "$_\n") while defined $s->recv($_, 4096)' "$NOTIFY_SOCKET" "$BATS_TEST_TMPDIR/notices" 3>&- &
	PIDS+=($!)
	wait_for 60 test -S "$NOTIFY_SOCKET"
	runner --smarthost="smtp://127.0.0.1:$PORT" --concurrency=1
	at_work() { find /proc/"$(pgrep -P "$RUNNER" | head -n 1)"/fd -lname "*/msg/*" 2>/dev/null | grep -q .; }
	wait_for 60 at_work
	kill -TERM "$RUNNER"
	wait_for 60 grep -q '^STOPPING=1' "$BATS_TEST_TMPDIR/notices"
	kill -CONT $frozen
	wait "$RUNNER"
	[ "$(kept)" -eq 1 ]
	[ "$(waiting)" -eq 39 ]
}

@test "a worker that dies costs its message a moment, not the others" {
	sink
	server=${PIDS[-1]}
	message | inject a@example.org b@example.net
	frozen="$server $(pgrep -P "$server" || true)"
	kill -STOP $frozen
	runner --smarthost="smtp://127.0.0.1:$PORT" --concurrency=1
	at_work() { find /proc/"$(pgrep -P "$RUNNER" | head -n 1)"/fd -lname "*/msg/*" 2>/dev/null | grep -q .; }
	wait_for 60 at_work
	kill -KILL "$(pgrep -P "$RUNNER")"
	kill -CONT $frozen
	wait_for 60 grep -q 'worker pid=.* died qid=' "$LOG"
	drained() { [ "$(waiting)" -eq 0 ]; }
	# Nobody asks for it.
	wait_for 60 drained
	[ "$(kept)" -eq 1 ]
}

# Until told to stop, with what is given.
run_on() {
	"$RELAY" run --queue="$Q" --hostname=us.example --smarthost="smtp://127.0.0.1:$PORT" "$@" \
		2>>"$BATS_TEST_TMPDIR/log" 3>&- &
	PIDS+=($!)
}

@test "a time that is too far away, by a clock that was wrong, keeps no message; a sender's wish does" {
	sink
	message wrong | inject a@example.org b@x.example
	message later | inject a@example.org b@x.example --hold-for=1h
	find "$Q"/*/msg -type f -exec touch -d '400 days' {} +
	run_on --retry-min=1s --retry-max=1s
	wait_for 60 test -s "$SINK/0001"
	grep -q 'Subject: wrong' "$SINK/0001"
	sleep 2 # the other one would have come with it
	[ "$(kept)" -eq 1 ]
	[ "$(waiting)" -eq 1 ]
}

@test "without watches the directory is looked at from time to time" {
	unshare -Ur sh -c 'echo 0 >/proc/sys/user/max_inotify_instances' 2>/dev/null || skip "needs a user namespace"
	sink
	unshare -Ur sh -c 'echo 0 >/proc/sys/user/max_inotify_instances; exec "$@"' sh \
		"$RELAY" run --queue="$Q" --hostname=us.example --smarthost="smtp://127.0.0.1:$PORT" --confine=off \
		2>>"$BATS_TEST_TMPDIR/log" 3>&- &
	PIDS+=($!)
	wait_for 60 grep -q '^mta-relay.*: watch reason=' "$BATS_TEST_TMPDIR/log"
	message | inject a@example.org b@x.example
	wait_for 60 test -s "$SINK/0001"
}
