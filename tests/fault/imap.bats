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
