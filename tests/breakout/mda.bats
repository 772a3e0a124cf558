#!/usr/bin/env bats
# mda-deliver --lmtp, taken over when a message gets its name: what it tries fails, and the message is there.
# shellcheck disable=SC2154,SC2034

bats_require_minimum_version 1.5.0
load lib.bash

setup() {
	breakout_setup
	stranger
	mkdir "$T/mail"
	printf '%s\n' bob eve >"$T/users"
	RENAME=/new/
}

teardown() { breakout_teardown; }

envelope() { # RECIPIENT...
	local to
	printf 'MAIL FROM:<a@far.example>\r\n'
	for to in "$@"; do printf 'RCPT TO:<%s>\r\n' "${to%@here.example}@here.example"; done
	printf 'DATA\r\n'
}

content() {
	printf 'Subject: x\r\n\r\n'
	head -c "${SIZE:-10}" /dev/zero | tr '\0' 'x' | fold -w 70 | sed 's/$/\r/'
	printf '\n.\r\nQUIT\r\n'
}

deliver() { # ATTEMPTS OPTION...: a conversation on stdin to $TO; answers to $T/said
	local what=$1
	shift
	# shellcheck disable=SC2086
	{ printf 'LHLO x\r\n' && envelope ${TO:-bob} && content; } | (preloaded rename "$what" "$BIN/mda-deliver" --lmtp --users="$T/users" --mail="maildir:$T/mail/%n" \
		"$@" >"$T/said" 2>>"$T/log")
}

quiet='passwd key write tmp connect netlink packet signal code'

# Until then "later" is said, never that there is nobody.
taken_at_last() {
	for _ in $(seq 300); do
		say "$1"
		if grep -q '^550' "$T/said"; then break; fi
		if grep -q 'Ok, id ' "$T/said"; then return; fi
		sleep 0.2 # until it is tried again
	done
	cat "$T/said"
	return 1
}

@test "what it may not do fails, and the message is delivered" {
	landlock 4 || skip "no Landlock"
	deliver "$quiet" --tmp="$T/mail"
	expect passwd=13 key=13 write=13 tmp=13 connect=97 netlink=97 packet=97 signal=38 code=38
	grep -q 'Ok, id ' "$T/said"
	[ "$(find "$T/mail/bob/new" -type f | wc -l)" = 1 ]
}

@test "the same without confinement succeeds" {
	deliver "$quiet" --confine=off
	expect passwd=0 key=0 write=0 tmp=0 connect=0 netlink=0 signal=0 code=0
	grep -q 'Ok, id ' "$T/said"
}

@test "a shell is deadly, and nothing is promised" {
	deliver shell || true
	expect shell=try
	if grep -q 'Ok, id ' "$T/said"; then false; fi
}

@test "who is not root can't fork either" {
	[ "$(id -u)" = 0 ] || skip "needs root"
	landlock 4 || skip "no Landlock"
	chmod 755 "$T" "$BATS_RUN_TMPDIR" "$BATS_FILE_TMPDIR" "$(dirname "$T")" 2>/dev/null || true
	touch "$T/out" && chmod 666 "$T/out"
	chown nobody "$T/mail"
	chmod 644 "$T/users"
	{ printf 'LHLO x\r\n' && envelope bob && content; } | (preloaded rename 'fork root passwd' setpriv --reuid=nobody --regid="$(id -g nobody)" --clear-groups \
		"$BIN/mda-deliver" --lmtp --users="$T/users" --mail="maildir:$T/mail/%n" >"$T/said" 2>"$T/log2")
	expect fork=38 root=38 passwd=13
	grep -q 'Ok, id ' "$T/said"
}

@test "as root each user's mail is filed as the user, who can't come back" {
	[ "$(id -u)" = 0 ] || skip "needs root"
	landlock 4 || skip "no Landlock"
	printf 'bob::65534:65534:::\neve::65533:65533:::\n' >"$T/users"
	chmod 777 "$T" "$T/mail"
	TO='bob eve'
	deliver 'root passwd key write'
	expect root=1 passwd=13 key=13 write=13
	[ "$(grep -c 'Ok, id ' "$T/said")" = 2 ]
	[ "$(stat -c %u "$T"/mail/eve/new/*)" = 65533 ]
	[ "$(stat -c %u "$T"/mail/bob/new/*)" = 65534 ]
}

@test "a large message, with a directory for temporary files that is out of reach" {
	landlock 4 || skip "no Landlock"
	SIZE=3000000
	deliver 'write tmp' --tmp="$T/outside"
	expect write=13 tmp=13
	grep -q 'Ok, id ' "$T/said"
	[ "$(stat -c %s "$T"/mail/bob/new/*)" -gt 3000000 ]
	[ -z "$(find "$T/outside" -name 'mda-deliver-*')" ]
}

listen() { # OPTION...
	"$BIN/mda-deliver" --lmtp --listen=127.0.0.1:0 --ready-file="$T/ready" --workers=1 --users="$T/users" \
		--mail="maildir:$T/mail/%n" "$@" 2>>"$T/log" 3>&- &
	PIDS+=($!)
	wait_for 60 test -s "$T/ready"
	port=$(sed -n 's/.*://p' "$T/ready" | head -n 1)
}

say() { # RECIPIENT: answers to $T/said
	local line
	: >"$T/said"
	exec 9<>"/dev/tcp/127.0.0.1/$port"
	read -r -t 60 line <&9 || true
	printf 'LHLO x\r\n' >&9
	while read -r -t 60 line <&9 && [[ $line == 250-* ]]; do :; done
	envelope "$1" >&9
	while read -r -t 60 line <&9; do
		printf '%s\n' "$line" >>"$T/said"
		case $line in
		354*) content >&9 ;;
		[45]*) break ;;
		esac
	done
	exec 9>&-
}

# What stands for an alias's command.
action() {
	"$BIN/mta-relay" explain --domains=here.example --users="$T/users" --aliases="$T/aliases" --alias-commands \
		--mda="lmtp:127.0.0.1:1" "$1@here.example" | grep -oE "\\|$1=[0-9a-f]{16}@here.example" | head -n 1
}

@test "alias commands are run by the broker, new ones within seconds, and none is refused meanwhile" {
	landlock 4 || skip "no Landlock"
	chmod 755 "$BATS_RUN_TMPDIR" "$BATS_FILE_TMPDIR" "$(dirname "$T")" 2>/dev/null || true
	printf 'list: "|cat >%s/outside/list"\n' "$T" >"$T/aliases"
	chmod 600 "$T/aliases"
	listen --aliases="$T/aliases" --alias-commands
	say "$(action list)"
	grep -q 'Ok, id ' "$T/said"
	[ -s "$T/outside/list" ]
	# As an editor does: another file of the same name.
	printf 'more: "|cat >%s/outside/more"\n' "$T" >"$T/aliases.new"
	chmod 600 "$T/aliases.new"
	mv "$T/aliases.new" "$T/aliases"
	sleep 1.5 # so often at most they are looked at
	taken_at_last "$(action more)"
	[ -s "$T/outside/more" ]
}

@test "a user in a users file that was replaced is not unknown" {
	landlock 4 || skip "no Landlock"
	listen
	say bob
	grep -q 'Ok, id ' "$T/said"
	printf '%s\n' bob new >"$T/users.new"
	mv "$T/users.new" "$T/users"
	sleep 0.2 # so often at most it is looked at
	taken_at_last new
	say nobody
	grep -q '^550 5.1.1' "$T/said"
}

@test "a row with a place of its own that no process could know" {
	landlock 4 || skip "no Landlock"
	listen
	say bob
	grep -q 'Ok, id ' "$T/said"
	printf 'far:::::::mail=maildir:%s/outside/far\n' "$T" >>"$T/users"
	far_is_served() { say far && grep -q 'Ok, id ' "$T/said"; }
	wait_for 60 far_is_served
	[ -d "$T/outside/far/new" ]
}

@test "--confine=require and the memory limit" {
	landlock 2 || skip "no Landlock"
	deliver '' --confine=require --confine-memory=200M --confine-path="$T/outside"
	grep -q 'Ok, id ' "$T/said"
	run ! "$BIN/mda-deliver" --lmtp --confine=perhaps </dev/null
}
