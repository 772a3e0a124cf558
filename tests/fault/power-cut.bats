#!/usr/bin/env bats
# A node under load goes down: everything is killed at once, what was never synced is lost, and everything starts again. With a
# commit log each message that a client was told 250 of is there.
# shellcheck disable=SC2034

load ../queue
load lib
load serve

setup() {
	chain_setup
	HOW=log
}
teardown() {
	power_off
	queue_teardown
	let_go
}

yes() { cat "$W"/told.* 2>/dev/null | grep -c ' 250$'; }
enough() { [ "$(yes)" -ge "$1" ]; }

# Goes down after some promises more than $1. Then what was told must hold. 2: it was at a moment when the log held nothing.
down_and_up() {
	local seed=$RANDOM pids=() n lost
	chain_new
	start_mta || return 1
	for n in 1 2 3; do
		client $n 300 3>&- &
		pids+=($!)
	done
	wait_for 60 enough "$1" || return 1
	power_off
	wait "${pids[@]}" || return 1
	cat "$W"/told.* >"$W/told"
	lost=$("$TOP/fault/power-cut" $seed "$W/mail"/waypost-log/* "$Q"/*/waypost-log/*)
	echo "# seed $seed, promised $(yes), records and losses: $lost" >&2
	# It really was the log that held them.
	[ "${lost% *}" -gt 0 ] && [ "${lost#* }" -gt 0 ] || return 2
	# Who comes first replays; until then a queue may look empty.
	printf 'LHLO x\r\nQUIT\r\n' | ${MDA_COMMAND#*|} >/dev/null || return 1
	run_queue --now --domains=here.example --mda="$MDA_COMMAND" || return 1
	chain_check doubles
}

@test "power is cut under load, again and again" {
	sink
	for most in $((RANDOM % 40 + 5)) ${FAULT_ALL+$(shuf -i 5-200 -n 12)}; do
		for _ in {1..20}; do
			status=0
			down_and_up "$most" || status=$?
			[ $status -eq 2 ] || break
		done
		[ $status -eq 0 ] || {
			echo "# after $most" >&2
			return 1
		}
	done
}

# The file system in $1 goes away without what was not synced, as a disk that is unplugged does (EXT4_IOC_SHUTDOWN, without a flush).
unplug() { perl -e 'open(my $d, "<", $ARGV[0]) or die $!; my $how = pack("L", 2); ioctl($d, 0x8004587d, $how) or die $!' "$1"; }
replies() { [ "$(grep -c '^250 2.1.5 <bob@here.example> Ok' "$BATS_TEST_TMPDIR/replies")" -ge "$1" ]; }
let_go() {
	[ -z "${DISK-}" ] || ! mountpoint -q "$DISK" || umount "$DISK"
	[ -z "${LOOP-}" ] || losetup -d "$LOOP"
}

@test "a disk is unplugged, mounted again, and the node was up all the time" {
	local image=$BATS_TEST_TMPDIR/image server n
	DISK=$BATS_TEST_TMPDIR/disk
	truncate -s 100M "$image"
	mkdir "$DISK"
	{ mkfs.ext4 -q -F "$image" && LOOP=$(losetup -f --show "$image") && mount "$LOOP" "$DISK"; } 2>/dev/null || skip "needs loop mounts"
	W=$DISK/w
	mkdir "$W" "$W/mail"
	sync -f "$W"
	mkfifo "$BATS_TEST_TMPDIR/say"
	"$MDA" --config=/dev/null --lmtp --durability=log --users="$BATS_TEST_TMPDIR/users" --mail="maildir:$W/mail/%n" \
		<"$BATS_TEST_TMPDIR/say" >"$BATS_TEST_TMPDIR/replies" 2>>"$BATS_TEST_TMPDIR/log" 3>&- &
	server=$!
	PIDS+=("$server")
	exec 7>"$BATS_TEST_TMPDIR/say"
	printf 'LHLO x\r\n' >&7
	for n in 1 2 3 4 5 6 7 8 9; do
		printf '%s\r\n' 'MAIL FROM:<a@example.org>' 'RCPT TO:<bob@here.example>' DATA "Subject: m$n" '' "$(seq 200)" . >&7
	done
	wait_for 60 replies 9
	kill -STOP $server
	unplug "$DISK" || skip "needs a file system that can be shut down"
	kill -KILL $server
	exec 7>&-
	wait_for 60 umount "$DISK"
	mount "$LOOP" "$DISK"
	printf 'LHLO x\r\nQUIT\r\n' | "$MDA" --config=/dev/null --lmtp --users="$BATS_TEST_TMPDIR/users" --mail="maildir:$W/mail/%n"
	for n in 1 2 3 4 5 6 7 8 9; do
		[ "$(grep -l "^Subject: m$n\$" "$W"/mail/bob/new/* | xargs tail -q -n 1)" = 200 ]
	done
}
