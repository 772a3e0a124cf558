#!/usr/bin/env bats
# maa-serve takes messages by APPEND, flags, copies, moves and removes them, and every system call of it fails or kills. Whatever
# the client was told holds.
# shellcheck disable=SC2034

load lib

setup() {
	fault_setup
	BIN=${BUILD:-$BATS_TEST_DIRNAME/../../build}/bin
	T=$BATS_TEST_TMPDIR
	unset WAYPOST_TRACE
}

teardown() { [ -z "${OWN-}" ] || rm -rf "$OWN"; }

server() { SERVER=("$BIN/maa-serve" --config=/dev/null --imap --preauth=bob "--mail=maildir:$T/mail" --durability="$HOW"); }

imap_scenario() {
	local FAULT_ENV
	rm -rf "$T/mail"
	mkdir -p "$T/mail"/{,.Other/}{cur,new,tmp}
	server
	fault_env
	"$BATS_TEST_DIRNAME/imap-client" "$T/told" -- env "${FAULT_ENV[@]}" "${SERVER[@]}" 2>>"$T/log" || return 1
	if [ "$FAULT_N" -eq 999999 ] && grep -v ' OK' "$T/told" >&2; then return 1; fi
	"$BATS_TEST_DIRNAME/imap-client" --check "$T/told" -- "${SERVER[@]}"
}

@test "IMAP: every call fails, each file by itself" { HOW="file"; fault_matrix imap_scenario; }
@test "IMAP: every call fails, with a commit log" { HOW=log; fault_matrix imap_scenario; }

# Three messages are moved, and one of the unlinks fails.
move_scenario() {
	local FAULT_ENV i
	rm -rf "$T/mail"
	mkdir -p "$T/mail"/{,.Other/}{cur,new,tmp}
	for i in 1 2 3; do printf 'Subject: m%s\n\nbody\n' $i >"$T/mail/cur/100$i.m$i:2,"; done
	server
	fault_env
	printf 'a SELECT INBOX\r\nb UID MOVE 1:3 Other\r\nc NOOP\r\nd LOGOUT\r\n' |
		env "${FAULT_ENV[@]}" "${SERVER[@]}" >"$T/out" 2>>"$T/log"
	moved_or_untouched && return
	cat "$T/out" >&2
	ls "$T/mail/cur" "$T/mail/.Other/cur" >&2
	return 1
}

moved_or_untouched() {
	[ "$(grep -c '^b ' "$T/out")" -eq 1 ] || return 1
	[ "$(cat "$T"/mail/cur/* "$T"/mail/.Other/cur/* | grep '^Subject: m[123]$' | sort | uniq -c | grep -c ' 1 Subject')" -eq 3 ] || return 1
	grep -q '^b OK' "$T/out" && return
	grep -q '^b NO' "$T/out" && [ "$(cat "$T"/mail/cur/* | grep -c '^Subject')" -eq 1 ] &&
		[ "$(grep -c EXPUNGE "$T/out")" -eq 2 ] &&
		grep -Eq '^\* OK \[COPYUID [0-9]+ (1:2|1,3|2:3) (1:2|1,3|2:3)\]' "$T/out"
}

@test "MOVE: a message that can't be removed is not moved" {
	HOW="file" FAULT_SAMPLE=30
	fault_each EIO unlink move_scenario
	HOW=log
	fault_each EIO unlink move_scenario
}

@test "MOVE: what can't be taken back either is said" {
	AS=(setpriv --reuid=65534 --regid=65534 --clear-groups)
	"${AS[@]}" test -x "$BIN/maa-serve" || skip "needs setpriv, and the program where others can run it"
	T=$(mktemp -d "${TMPDIR:-/tmp}/waypost-move-XXXXXX")
	OWN=$T
	chmod 0755 "$T"
	mkdir -p "$T/mail"/{,.Other/}{cur,new,tmp}
	printf 'Subject: m1\n\nbody\n' >"$T/mail/cur/1001.m1:2,"
	# Who does not own it may link a file that he may write to, but not remove it where the directory is sticky.
	chmod 0666 "$T/mail/cur"/*
	chmod -R a+rwX "$T/mail"
	chmod +t "$T/mail/cur" "$T/mail/.Other/cur"
	"${AS[@]}" test -w "$T/mail/cur" || skip "others can't reach $T"
	printf 'a SELECT INBOX\r\nb UID MOVE 1 Other\r\nc NOOP\r\nd LOGOUT\r\n' |
		"${AS[@]}" "$BIN/maa-serve" --config=/dev/null --imap --preauth=bob "--mail=maildir:$T/mail" \
			>"$T/out" 2>"$T/log"
	grep -q '^b NO .* 1 of the messages may be in both mailboxes now: ' "$T/out"
	[ "$(grep -c '^b ' "$T/out")" -eq 1 ]
	! grep -E 'EXPUNGE|COPYUID' "$T/out" || false
	grep -q 'move user="bob" from="INBOX" to="Other" messages=1 error=' "$T/log"
}
