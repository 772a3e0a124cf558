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
	SERVE=("$RELAY" serve --config=/dev/null --hostname=mx.here.example --domains=here.example --trust=127.0.0.0/8 --relay-to=far.example
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
	local hit
	hit=$(fault_hit) || true
	[[ ! $hit =~ ^hit\ [0-9]+\ ((recv|send|poll|epoll|wait|connect)\ |[a-z]+\ kill) ]] || echo doubles
}

# What run could not record goes out again, too.
doubles_of_run() {
	doubles
	[[ ! $(fault_hit) =~ /msg/|waypost-log|/lock ]] || echo doubles
}

# Nothing of the dead stays: temporary files that are old are removed by the next who comes, logs when all are gone.
chain_left() { compgen -G "$W/queue/*/tmp/*" || compgen -G "$W/*/waypost-log/*/*.log" || compgen -G "$W/queue/*/waypost-log/*/*.log"; }
chain_clean() {
	chain_left >/dev/null || return 0
	find "$W"/queue/*/tmp -type f -exec touch -d '3 days ago' {} + || true
	run_queue --now --domains=here.example --mda="$MDA_COMMAND" || return 1
	printf 'LHLO x\r\nQUIT\r\n' | ${MDA_COMMAND#*|} >/dev/null
	# A tree that could not be synced keeps its log until a restart.
	if [[ ! $(fault_hit) =~ ^hit\ [0-9]+\ syncfs ]] && chain_left >&2; then
		echo "# left over" >&2
		return 1
	fi
}

chain_check() {
	# Without a fault everybody is content, or the scenario tries less than it means to.
	if [ "${FAULT_N:-0}" -eq 999999 ] && grep -vE ' 250$| nobody@.* 550$' "$W/told" >&2; then return 1; fi
	chain_drain || return 1
	"$TOP/fault/check-mail" "$W/told" "$W/mail" "$SINK" "$@" || return 1
	chain_clean
}

# ---- a node: a server for SMTP, one for LMTP, a runner, each with several processes ----

# All processes of this test and no other: those that have its folder in their command line.
node_pids() { pgrep -f "(mta-relay|mda-deliver) .*$W/"; }
# At one moment, as far as signals can: nobody goes on while others are being killed, nor who was forked meanwhile. One that
# outlived the rest would still write to what it takes for its disk.
power_off() {
	local pids='' seen=none
	while [ "$pids" != "$seen" ]; do
		seen=$pids
		pids=$(node_pids || true)
		# shellcheck disable=SC2086
		[ -z "$pids" ] || kill -STOP $pids 2>/dev/null || true
	done
	# shellcheck disable=SC2086
	[ -z "$pids" ] || kill -KILL $pids 2>/dev/null || true
	wait_for 60 stopped
}
running() { node_pids >/dev/null; }
stopped() { ! running; }

# start_mta [COMMAND...]: what is put before each program
start_mta() {
	"$@" "$MDA" --config=/dev/null --lmtp --durability=log --users="$BATS_TEST_TMPDIR/users" --mail="maildir:$W/mail/%n" \
		--listen="unix:$W/mda" --ready-file="$W/mda.ready" 2>>"$BATS_TEST_TMPDIR/log" 3>&- &
	MAIN=($!)
	wait_for 20 ready_or_dead "$W/mda.ready" $!
	"$@" "${SERVE[@]}" --listen=127.0.0.1:0 --ready-file="$W/ready" --workers=3 --mda="lmtp:unix:$W/mda" \
		2>>"$BATS_TEST_TMPDIR/log" 3>&- &
	MAIN+=($!)
	wait_for 20 ready_or_dead "$W/ready" $!
	"$@" "$RELAY" run --config=/dev/null --queue="$Q" --hostname=us.example --durability=log --domains=here.example \
		--mda="lmtp:unix:$W/mda" --smarthost="smtp://127.0.0.1:$PORT" 2>>"$BATS_TEST_TMPDIR/log" 3>&- &
	MAIN+=($!)
}
ready_or_dead() { [ -s "$1" ] || ! kill -0 "$2" 2>/dev/null; }

# client NUMBER COUNT: that many messages, mNUMBER101 and on.
client() {
	local words=() n id
	for ((n = 101; n < 101 + $2; n++)); do
		id=m$1$n
		case $((n % 3)) in
		0) words+=("$id:bob@here.example") ;;
		1) words+=("$id:bob@here.example,ann@here.example") ;;
		2) words+=("$id:ann@here.example,carol@far.example") ;;
		esac
	done
	"$TOP/fault/smtp-client" "$W/told.$1" "$(sed -n 's/.*://p' "$W/ready" | grep . || echo 1)" "${words[@]}"
}
