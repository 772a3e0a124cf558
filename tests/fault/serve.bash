# For the fault tests of serve, mda-deliver and run: a whole MTA in $W. After ../queue.bash and lib.bash.

chain_setup() {
	queue_setup
	fault_setup
	MDA=${BUILD:-$TOP/../build}/bin/mda-deliver
	W=$BATS_TEST_TMPDIR/w
	printf 'bob@here.example:{PLAIN}x\nann@here.example:{PLAIN}x\n' >"$BATS_TEST_TMPDIR/users"
	printf 'team: bob, ann\nlist: bob, carol@far.example\nowner-list: ann\n' >"$BATS_TEST_TMPDIR/aliases"
	HOW=file
}

# A new queue, new mailboxes. What a fault may have left in memory goes as well.
chain_new() {
	rm -rf "$W" "$SINK"/0*
	mkdir "$W"
	Q=$W/queue
	MDA_COMMAND="lmtp:|$MDA --config=/dev/null --lmtp --durability=$HOW --users=$BATS_TEST_TMPDIR/users --mail=maildir:$W/mail/%n"
	SERVE=("$RELAY" serve --config=/dev/null --hostname=mx.here.example --domains=here.example --trust=127.0.0.0/8
		--users="$BATS_TEST_TMPDIR/users" --aliases="$BATS_TEST_TMPDIR/aliases" --queue="$Q" --durability="$HOW")
}

# Delivers what is queued, without faults.
chain_drain() {
	for _ in 1 2 3; do
		[ "$(waiting)" -gt 0 ] || return 0
		run_queue --now --domains=here.example --mda="$MDA_COMMAND" || return 1
	done
	[ "$(waiting)" -eq 0 ] || {
		echo "# still queued" >&2
		return 1
	}
}

# After a kill, or when the answer of who takes the mail was lost, it may be there twice.
doubles() {
	if grep -qE '^hit [0-9]+ (recv|send|poll|epoll|wait|connect) |^hit [0-9]+ [a-z]+ kill' "$FAULT_SEEN"; then
		echo doubles
	fi
}

# Nothing of the dead stays: temporary files that are old are removed by the next who comes, logs when all are gone.
chain_left() { compgen -G "$W/queue/*/tmp/*" || compgen -G "$W/*/waypost-log/*/*.log" || compgen -G "$W/queue/*/waypost-log/*/*.log"; }
chain_clean() {
	chain_left >/dev/null || return 0
	find "$W"/queue/*/tmp -type f -exec touch -d '3 days ago' {} + || true
	run_queue --now --domains=here.example --mda="$MDA_COMMAND" || return 1
	printf 'LHLO x\r\nQUIT\r\n' | ${MDA_COMMAND#*|} >/dev/null
	if chain_left >&2; then
		echo "# left over" >&2
		return 1
	fi
}

chain_check() {
	chain_drain || return 1
	"$TOP/fault/check-mail" "$W/told" "$W/mail" "$SINK" "$@" || return 1
	chain_clean
}
