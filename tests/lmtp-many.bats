#!/usr/bin/env bats
# More relay processes than LMTP workers: each of them keeps a conversation, and none keeps the others out.
# shellcheck disable=SC2154

load queue

setup() {
	queue_setup
	T=$BATS_TEST_TMPDIR
	printf 'u@here.example:::::::\n' >"$T/users"
}
teardown() { queue_teardown; }

start() { # NAME COMMAND...: with its ready file in $T/NAME
	local name=$1
	shift
	"$@" --ready-file="$T/$name" 2>>"$T/log" 3>&- &
	PIDS+=($!)
	wait_for 60 test -s "$T/$name"
}
commands() {
	printf '%s\n' 'EHLO x' 'MAIL FROM:<a@b.example>' 'RCPT TO:<u@here.example>' 'BDAT=Subject: x\r\n\r\ny\r\n' QUIT
}

@test "kept conversations make room for those who wait, and are begun anew: nothing is queued" {
	start mda "${RELAY%/*}/mda-deliver" --lmtp --listen="unix:$T/lmtp" --workers=1 --mail="maildir:$T/mail/%n" --users="$T/users"
	start relay "$RELAY" serve --listen=127.0.0.1:0 --workers=3 --hostname=mx.here.example --domains=here.example --queue="$Q" \
		--mda="lmtp:unix:$T/lmtp" --mda-budget=100s
	port=$(sed -n 's/.*://p' "$T/relay")
	# Three at once, so that each relay process has a conversation; each one's next message finds it ended.
	for round in 1 2 3; do
		waits=()
		for i in 1 2 3; do
			commands | timeout 120 "$TOP/lib/smtp-say" "$port" >"$T/said.$round.$i" 3>&- &
			waits+=($!)
		done
		wait "${waits[@]}"
	done
	[ "$(cat "$T"/said.* | grep -c '^250 2.0.0 Ok: delivered as ')" -eq 9 ]
	[ "$(find "$T/mail/u/new" -type f | wc -l)" -eq 9 ]
	[ "$(waiting)" -eq 0 ]
	if grep -q 'mda down' "$T/log"; then false; fi
}
