# For the tests of milters, policy servers and filters: serve on stdin with a queue in $T/queue; files of the queue.
# shellcheck source=tests/wait.bash
. "${BASH_SOURCE[0]%/*}/wait.bash"

hooks_setup() {
	TOP=$(cd "$BATS_TEST_DIRNAME" && pwd)
	RELAY=${BUILD:-$TOP/../build}/bin/mta-relay
	T=$BATS_TEST_TMPDIR
	PIDS=()
	export HOME=$T XDG_CONFIG_HOME=$T
	unset WAYPOST_TRACE
	: >"$T/told"
}

hooks_teardown() {
	local pid
	for pid in "${PIDS[@]}"; do
		kill -9 "$pid" 2>/dev/null || continue
	done
	wait 2>/dev/null
	return 0
}

serve() {
	timeout 120 "$RELAY" serve --hostname=mx.here.example --domains=here.example --queue="$T/queue" "$@" \
		2>>"$T/log" 3>&- | sed -u "s/\r$//"
}

session() {
	echo 'EHLO client.example'
	cat
	echo QUIT
}

mail() { # FROM RCPT...: with the lines of stdin as header and body
	printf 'MAIL FROM:<%s>\n' "$1"
	shift
	for rcpt; do printf 'RCPT TO:<%s>\n' "$rcpt"; done
	echo DATA
	cat
	echo .
}

body() { # X-Do...
	printf 'Subject: test\n'
	[ $# -eq 0 ] || printf 'X-Do: %s\n' "$@"
	printf 'Message-ID: <1@test>\n\nhello\n'
}

in_queue() { find "$T/queue"/*/"${1:-msg}" -type f 2>/dev/null || true; }
queued() { in_queue "$@" | wc -l; }
# The only message's file, with LF line ends.
only() {
	[ "$(queued "$@")" -eq 1 ] && tr -d '\r' <"$(in_queue "$@")"
}
header_of() { sed -n '/^$/,$p' | sed 1d | sed '/^$/q'; }
body_of() { sed '1,/^$/d' | sed '1,/^$/d'; }
told() { cat "$T/told"; }
