# For the fault tests of the queue: after ../queue.bash and lib.bash.

fault_content() {
	CONTENT=$BATS_TEST_TMPDIR/content
	{ printf 'Subject: fault\n\n'; seq -f 'line %g of the body' 1 100; } >"$CONTENT"
}

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
