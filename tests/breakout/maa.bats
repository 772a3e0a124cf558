#!/usr/bin/env bats
# maa-serve, taken over before login and after it: what it tries fails. The same without confinement succeeds.
# shellcheck disable=SC2154,SC2034

bats_require_minimum_version 1.5.0
load lib.bash

setup() {
	breakout_setup
	stranger
	for user in bob eve; do
		mkdir -p "$T/mail/$user/cur" "$T/mail/$user/new" "$T/mail/$user/tmp"
		printf 'Subject: for %s\n\nbody\n' "$user" >"$T/mail/$user/new/1.$user.here"
	done
	NEIGHBOUR=$T/mail/eve/new/1.eve.here
	RENAME=/cur/
	printf '%s:{PLAIN}sesame::::::\n' bob eve >"$T/users"
}

teardown() { breakout_teardown; }

start() { # WHEN ATTEMPTS PROTOCOL OPTION...
	preloaded "$1" "$2" "$BIN/maa-serve" "$3" --listen=127.0.0.1:0 --workers=1 --ready-file="$T/ready" \
		--users="$T/users" --mail="maildir:$T/mail/%n" --auth-without-tls --login-delay=0 "${@:4}" 2>>"$T/log" &
	SERVER=$!
	PIDS+=("$SERVER")
	wait_for 60 test -s "$T/ready"
	port=$(sed -n 's/.*://p' "$T/ready" | head -n 1)
}

say() { # LINE...: to a new conversation, its answers to $T/said
	exec 9<>"/dev/tcp/127.0.0.1/$port"
	printf '%s\r\n' "$@" >&9
	timeout 120 cat <&9 >"$T/said" || true
	exec 9>&-
}

imap_bob=('a LOGIN bob sesame' 'b SELECT INBOX' 'c FETCH 1 BODY[]' 'd LOGOUT')

@test "IMAP before login" {
	landlock 4 || skip "no Landlock"
	start recv 'passwd key write tmp fork connect netlink packet signal code' --imap
	say "${imap_bob[@]}"
	expect passwd=13 key=13 write=13 tmp=13 fork=38 connect=97 netlink=97 packet=97 signal=38 code=38
	grep -q 'Subject: for bob' "$T/said"
	grep -q '^d OK' "$T/said"
}

# A conversation that began before the users file was replaced: its process can't read the new one.
old_says() { # ROWS LINE: the answer in $said
	exec 9<>"/dev/tcp/127.0.0.1/$port"
	read -r -t 60 said <&9
	printf '%s\n' "$1" >"$T/users.new"
	mv "$T/users.new" "$T/users"
	sleep 0.2 # so often at most it is looked at
	printf '%s\r\n' "$2" >&9
	read -r -t 60 said <&9
	exec 9>&-
}

@test "who is in a users file that was replaced, or has a new password there, is not refused for good" {
	landlock 4 || skip "no Landlock"
	start recv '' --imap
	say 'a LOGIN eva sesame' 'b LOGOUT'
	grep -q '^a NO \[AUTHENTICATIONFAILED\]' "$T/said"
	old_says $'bob:{PLAIN}new\neve:{PLAIN}new\neva:{PLAIN}sesame' 'a LOGIN eva sesame'
	[[ $said == 'a NO [UNAVAILABLE]'* ]]
	old_says $'bob:{PLAIN}newer' 'a LOGIN bob newer'
	[[ $said == 'a NO [UNAVAILABLE]'* ]]
	old_says $'bob:{PLAIN}newest' "a AUTHENTICATE PLAIN $(printf '\0bob\0newest' | base64)"
	[[ $said == 'a NO [UNAVAILABLE]'* ]]
	in_force() {
		say 'a LOGIN bob newest' 'b LOGOUT'
		grep -q '^a OK' "$T/said"
	}
	wait_for 60 in_force
	say 'a LOGIN eve new' 'b LOGOUT'
	grep -q '^a NO \[AUTHENTICATIONFAILED\]' "$T/said"
}

after='passwd key neighbour write tmp fork connect netlink packet signal code root nobody listen further'

@test "IMAP after login: of the mail the user's own only" {
	landlock 4 || skip "no Landlock"
	start rename "$after" --imap
	say "${imap_bob[@]}"
	expect passwd=13 key=13 neighbour=13 write=13 tmp=13 fork=38 connect=97 netlink=97 packet=97 signal=38 code=38 \
		root=38 nobody=38 listen=38 further=38
	grep -q 'Subject: for bob' "$T/said"
	grep -q '^d OK' "$T/said"
	# The next one is another process, and serves whom it likes.
	say 'a LOGIN eve sesame' 'b SELECT INBOX' 'c FETCH 1 BODY[]' 'd LOGOUT'
	grep -q 'Subject: for eve' "$T/said"
}

@test "POP3 after login" {
	landlock 4 || skip "no Landlock"
	start rename "$after" --pop3
	say 'USER bob' 'PASS sesame' 'RETR 1' 'QUIT'
	expect passwd=13 key=13 neighbour=13 write=13 tmp=13 fork=38 connect=97 netlink=97 packet=97 signal=38 code=38 \
		root=38 nobody=38 listen=38 further=38
	grep -q 'Subject: for bob' "$T/said"
}

@test "the same without confinement succeeds" {
	start rename "$after" --imap --confine=off
	say "${imap_bob[@]}"
	expect passwd=0 key=0 neighbour=0 write=0 tmp=0 fork=0 connect=0 netlink=0 signal=0 code=0 listen=0 further=0
	[ "$(id -u)" != 0 ] || expect root=0 nobody=0
	grep -q 'Subject: for bob' "$T/said"
}

@test "a shell is deadly before login and after it, and the next worker serves on" {
	for when in recv rename; do
		rm -f "$T/ready" "$T/out"
		: >"$T/log"
		start "$when" shell --imap
		say "${imap_bob[@]}"
		expect shell=try
		if grep -q '^d OK' "$T/said"; then false; fi
		wait_for 60 grep -q 'worker pid=.* signal=31' "$T/log"
		kill -0 "$SERVER"
		kill "$SERVER"
	done
}

@test "one conversation on stdin and stdout, as inetd starts it" {
	landlock 4 || skip "no Landlock"
	printf '%s\r\n' "${imap_bob[@]}" | (preloaded rename "$after" "$BIN/maa-serve" --imap --users="$T/users" \
		--mail="maildir:$T/mail/%n" --auth-without-tls >"$T/said" 2>>"$T/log")
	expect passwd=13 key=13 neighbour=13 write=13 tmp=13 fork=38 connect=97 netlink=97 signal=38 code=38 root=38 \
		listen=38 further=38
	grep -q 'Subject: for bob' "$T/said"
}

@test "as another user than root, and as one user each begun as root" {
	[ "$(id -u)" = 0 ] || skip "needs root"
	landlock 4 || skip "no Landlock"
	chmod 755 "$T" "$BATS_RUN_TMPDIR" "$BATS_FILE_TMPDIR" "$(dirname "$T")" 2>/dev/null || true
	local id
	id=$(id -u nobody)
	touch "$T/out"
	chmod 666 "$T/out" "$T/log" 2>/dev/null || true
	chown -R nobody "$T/mail"
	printf '%s:{PLAIN}sesame:%s:%s::::\n' bob "$id" "$(id -g nobody)" eve "$id" "$(id -g nobody)" >"$T/users"
	start rename "neighbour passwd root nobody further" --imap
	say "${imap_bob[@]}"
	expect neighbour=13 passwd=13 root=38 nobody=38 further=38
	grep -q 'Subject: for bob' "$T/said"
	kill "$SERVER"
	: >"$T/out"
	printf 'bob:{PLAIN}sesame\n' >"$T/users"
	printf 'Subject: more\n\nbody\n' >"$T/mail/bob/new/2.bob.here"
	chown nobody "$T/mail/bob/new/2.bob.here"
	chmod 644 "$T/users"
	printf '%s\r\n' "${imap_bob[@]}" | (export -n HOME; preloaded rename "neighbour passwd root further" \
		setpriv --reuid=nobody --regid="$(id -g nobody)" --clear-groups "$BIN/maa-serve" --imap --users="$T/users" \
		--mail="maildir:$T/mail/%n" --auth-without-tls >"$T/said" 2>"$T/log2")
	expect neighbour=13 passwd=13 root=38 further=38
	grep -q '^d OK' "$T/said"
}

@test "homes of the users file's rows, and one that is added later" {
	landlock 4 || skip "no Landlock"
	mkdir -p "$T/home/bob/Maildir" "$T/home/eve" "$T/later"
	printf 'bob:{PLAIN}sesame:::x:%s::\n' "$T/home/bob" >"$T/users"
	start rename "neighbour" --imap --mail='maildir:%h/Maildir'
	say 'a LOGIN bob sesame' 'b CREATE x' 'd LOGOUT'
	grep -q '^b OK' "$T/said"
	printf 'ann:{PLAIN}sesame:::x:%s::\n' "$T/later" >>"$T/users"
	ann_creates() { say 'a LOGIN ann sesame' 'b CREATE x' 'd LOGOUT' && grep -q '^b OK' "$T/said"; }
	wait_for 60 ann_creates
	[ -d "$T/later/Maildir/.x" ]
}

@test "checkpassword is started by the broker; --confine-path says where homes are" {
	landlock 4 || skip "no Landlock"
	cat >"$T/check" <<-'E'
		#!/bin/sh
		credentials=$(tr '\0' '|' <&3)
		case $credentials in
		bob\|sesame\|*) USER=bob HOME=$BOBS_HOME exec "$@" ;;
		*) exit 1 ;;
		esac
	E
	chmod +x "$T/check"
	mkdir "$T/homes" "$T/homes/bob"
	export BOBS_HOME=$T/homes/bob
	preloaded recv "passwd fork" "$BIN/maa-serve" --imap --listen=127.0.0.1:0 --workers=1 --ready-file="$T/ready" \
		--checkpassword="$T/check" --mail='maildir:%h/Maildir' --confine-path="$T/homes" --auth-without-tls 2>>"$T/log" &
	SERVER=$!
	PIDS+=("$SERVER")
	wait_for 60 test -s "$T/ready"
	port=$(sed -n 's/.*://p' "$T/ready" | head -n 1)
	say 'a LOGIN bob sesame' 'b SELECT INBOX' 'd LOGOUT'
	grep -q '^b OK' "$T/said"
	expect passwd=13 fork=38
	[ -d "$T/homes/bob/Maildir/cur" ]
}

@test "a folder that is a symbolic link stays in reach" {
	landlock 4 || skip "no Landlock"
	mkdir -p "$T/mail/shared/cur" "$T/mail/shared/new" "$T/mail/shared/tmp"
	ln -s "$T/mail/shared" "$T/mail/bob/.shared"
	start rename neighbour --imap
	say 'a LOGIN bob sesame' 'b SELECT INBOX' 'c SELECT shared' 'd LOGOUT'
	grep -q '^c OK' "$T/said"
	expect neighbour=13
}

@test "--confine=require, and what is no choice" {
	landlock 2 || skip "no Landlock"
	start recv '' --imap --confine=require --confine-memory=300M
	grep -q '^NoNewPrivs:.*1' "/proc/$SERVER/status"
	grep -q '^Max core file size *0 *0 ' "/proc/$SERVER/limits"
	say "${imap_bob[@]}"
	grep -q '^d OK' "$T/said"
	run ! "$BIN/maa-serve" --imap --preauth=x --confine=perhaps </dev/null
}
