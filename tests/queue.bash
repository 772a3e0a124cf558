# For the tests of the queue: a queue in $Q, an SMTP sink that keeps what it gets in $SINK.
# shellcheck source=tests/wait.bash
. "${BASH_SOURCE[0]%/*}/wait.bash"

queue_setup() {
	TOP=$BATS_TEST_DIRNAME
	[ -d "$TOP/lib" ] || TOP=$(cd "$BATS_TEST_DIRNAME/.." && pwd)
	RELAY=${BUILD:-$TOP/../build}/bin/mta-relay
	Q=$BATS_TEST_TMPDIR/queue SINK=$BATS_TEST_TMPDIR/sink
	mkdir -p "$SINK"
	PIDS=()
	export HOME=$BATS_TEST_TMPDIR XDG_CONFIG_HOME=$BATS_TEST_TMPDIR
	unset WAYPOST_TRACE
}

# Who was stopped can't end. Nobody else is woken: a leak checker, which stops what it looks at, would wait for ever.
thaw() { # PID: it and its children
	local pid
	for pid in "$1" $(pgrep -P "$1"); do
		[[ $(ps -o stat= -p "$pid") != T* ]] || kill -CONT "$pid" 2>/dev/null
	done
}
queue_teardown() {
	local pid
	for pid in "${PIDS[@]}"; do
		kill "$pid" 2>/dev/null
		thaw "$pid"
	done
	wait 2>/dev/null
	return 0
}

sink() { # OPTION...: starts the sink; PORT is its port
	rm -f "$SINK/port"
	"$TOP/lib/smtp-sink" --dir="$SINK" --port-file="$SINK/port" "$@" >/dev/null 2>"$SINK/err" 3>&- &
	PIDS+=($!)
	wait_for 60 test -s "$SINK/port"
	PORT=$(cat "$SINK/port")
}

message() { printf 'Subject: %s\n\n%s\n' "${1:-test}" "${2:-body}"; }
inject() { "$RELAY" inject --queue="$Q" --hostname=us.example -f "$@" 2>>"$BATS_TEST_TMPDIR/log"; }
run_queue() {
	timeout 120 "$RELAY" run --once --queue="$Q" --hostname=us.example --smarthost="smtp://127.0.0.1:$PORT" "$@" \
		2>>"$BATS_TEST_TMPDIR/log"
}
queue() { "$RELAY" queue --queue="$Q" "$@"; }
# Without a program: they are what a fault costs.
waiting() {
	local names
	mapfile -t names < <(compgen -G "$Q/*/msg/*")
	echo ${#names[@]}
}
only_id() { basename "$(find "$Q"/*/msg -type f | head -n 1)"; }
kept() { find "$SINK" -name '0*' -type f | wc -l; }
