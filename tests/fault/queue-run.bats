#!/usr/bin/env bats
# mta-relay run delivers to another server and to an MDA, is refused, is put off, makes a bounce; every system call of it fails or
# kills. What must hold each time: each recipient gets the message, whole; who was recorded gets nothing again; who was
# refused gets nothing and the sender hears of it; nothing is left for ever.
# shellcheck disable=SC2034,SC2046

load ../queue
load lib
load serve

setup() {
	chain_setup
	for id in m1 m2 m3; do
		{ printf 'Subject: %s\n\n' $id; seq -f "line %g of $id" 1 150; } >"$BATS_TEST_TMPDIR/$id"
	done
}
teardown() { queue_teardown; }

put() {
	local id=$1
	shift
	"$RELAY" inject --config=/dev/null --queue="$Q" --hostname=us.example -f a@example.org "$@" <"$BATS_TEST_TMPDIR/$id"
}

# The queue with the three messages: made once, the same each time.
three() {
	local kept=$BATS_TEST_TMPDIR/three
	if [ ! -d "$kept" ]; then
		put m1 bob@here.example ann@here.example b@far.example
		put m2 b@far.example nobody@far.example
		put m3 b@far.example later@far.example
		mv "$Q" "$kept"
	fi
	cp -a "$kept" "$Q"
}

# How often has who stands in the queue as taken been given the message?
recorded() { grep -lE '^0 relayed .* ;$' "$Q"/*/msg/* 2>/dev/null | xargs -r grep -l '^Subject: m3' | wc -l; }
arrived() { grep -l '^Subject: m3' "$SINK"/0* 2>/dev/null | wc -l; }

run_scenario() {
	local status=0 before=''
	chain_new
	echo 'RCPT:later@:450 4.2.0 later' >"$SINK/rules"
	three
	printf '%s 250\n' 'm1 bob@here.example' 'm1 ann@here.example' 'm1 b@far.example' 'm2 b@far.example' \
		'm3 b@far.example' 'm3 later@far.example' 'm2 bounce' >"$W/told"
	echo 'm2 nobody@far.example 550' >>"$W/told"
	faulty timeout -s KILL 40 "$RELAY" run --config=/dev/null --once --now --queue="$Q" --hostname=us.example \
		--durability="$HOW" --concurrency="${WORKERS:-1}" --domains=here.example --mda="$MDA_COMMAND" \
		--smarthost="smtp://127.0.0.1:$PORT" 2>>"$BATS_TEST_TMPDIR/log" 3>&- || status=$?
	[ $status -ne 137 ] || grep -q '^hit.*kill' "$FAULT_SEEN" || {
		echo "# it hangs" >&2
		return 1
	}
	rm "$SINK/rules"
	[ "$(recorded)" -eq 0 ] || before=$(arrived)
	# shellcheck disable=SC2046
	chain_check $(doubles_of_run) || return 1
	[ -z "$before" ] || [ "$(grep -l '^X-Rcpt: <b@' $(grep -l '^Subject: m3' "$SINK"/0*) | wc -l)" -eq "$before" ]
}

start_sink() { sink --rule='RCPT:nobody@:550 5.1.1 no'; }

@test "run fails, each file by itself" {
	FAULT_IN='mta-relay run'
	start_sink
	fault_matrix run_scenario
}

@test "run fails, with a commit log" {
	FAULT_IN='mta-relay run' HOW=log
	start_sink
	fault_matrix run_scenario
}

@test "run finds no descriptors for a moment" {
	FAULT_IN='mta-relay run'
	start_sink
	fault_each EMFILE fdnew run_scenario
}

@test "run with several workers fails, with a commit log" {
	FAULT_IN='mta-relay run' HOW=log WORKERS=3
	start_sink
	fault_matrix run_scenario
}

@test "the MDA of run fails, with a commit log" {
	FAULT_IN='mda-deliver' HOW=log
	start_sink
	fault_matrix run_scenario
}
