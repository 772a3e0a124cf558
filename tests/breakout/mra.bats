#!/usr/bin/env bats
# mra-fetch, taken over by the server that it connects to: what it tries fails, and the mail is fetched.
# shellcheck disable=SC2154,SC2034

bats_require_minimum_version 1.5.0
load lib.bash

setup() {
	breakout_setup
	stranger
	STRANGER=$PORT
	export XDG_STATE_HOME=$T/state TMPDIR=$T/tmp
	unset WAYPOST_TRACE NETRC
	mkdir -p "$T/tmp" "$T/mail/joe/cur" "$T/mail/joe/new" "$T/mail/joe/tmp"
	printf 'Subject: one\n\nbody\n' >"$T/mail/joe/new/1.a.here"
	echo 'joe:{PLAIN}sesame' >"$T/users"
	echo sesame >"$T/secret"
	"$BIN/maa-serve" --imap --listen=127.0.0.1:0 --ready-file="$T/ready" --users="$T/users" --auth-without-tls \
		--mail="maildir:$T/mail/%u" 2>>"$T/log" 3>&- &
	PIDS+=($!)
	wait_for 60 test -s "$T/ready"
	IMAP=$(sed -n 's/.*://p' "$T/ready" | head -n 1)
}

teardown() { breakout_teardown; }

fetch() { # DESTINATION ATTEMPTS OPTION...
	PORT=$STRANGER
	(preloaded connect "$2" timeout 120 "$BIN/mra-fetch" --to="$1" --password-command="cat $T/secret" --starttls=never \
		--allow-plaintext "${@:3}" "imap://joe@127.0.0.1:$IMAP" 2>>"$T/log")
}

quiet='passwd key write tmp fork connect netlink packet signal code'

@test "what it may not do fails, and the mail is fetched" {
	landlock 4 || skip "no Landlock"
	for to in "maildir:$T/got" "mbox:$T/box/got" "|cat >$T/outside/got"; do
		mkdir -p "$T/box"
		rm -f "$T/out"
		fetch "$to" "$quiet"
		expect passwd=13 key=13 write=13 tmp=13 fork=38 connect=13 netlink=97 packet=97 signal=38 code=38
	done
	grep -q 'Subject: one' "$T"/got/new/*
	grep -q 'Subject: one' "$T/box/got"
	grep -q 'Subject: one' "$T/outside/got"
	[ -z "$(ls "$T/tmp")" ]
}

@test "the same without confinement succeeds" {
	fetch "maildir:$T/got" "$quiet" --confine=off
	expect passwd=0 key=0 write=0 tmp=0 fork=0 connect=0 netlink=0 signal=0 code=0
	grep -q 'Subject: one' "$T"/got/new/*
}

@test "a shell is deadly; the mail is fetched another time" {
	fetch "maildir:$T/got" shell || true
	expect shell=try
	[ -z "$(find "$T/got/new" -type f)" ]
	fetch "maildir:$T/got" ''
	grep -q 'Subject: one' "$T"/got/new/*
}

@test "a server that says LMTP, by its port" {
	landlock 4 || skip "no Landlock"
	echo joe >"$T/lmtp-users"
	"$BIN/mda-deliver" --lmtp --listen=127.0.0.1:0 --ready-file="$T/lmtp" --users="$T/lmtp-users" \
		--mail="maildir:$T/got" 2>>"$T/log" 3>&- &
	PIDS+=($!)
	wait_for 60 test -s "$T/lmtp"
	lmtp=$(sed -n 's/.*://p' "$T/lmtp" | head -n 1)
	fetch "lmtp:127.0.0.1:$lmtp" 'passwd connect tmp' --rcpt=joe@here.example
	expect passwd=13 connect=13 tmp=13
	grep -q 'Subject: one' "$T"/got/new/*
}

@test "messages after one another to a command, none mixed with another" {
	printf 'Subject: two\n\n%s\n' "$(head -c 200000 /dev/zero | tr '\0' y | fold -w 70)" >"$T/mail/joe/new/2.a.here"
	printf 'Subject: three\n\nshort\n' >"$T/mail/joe/new/3.a.here"
	fetch "|cat >>$T/outside/all; echo == >>$T/outside/all" ''
	[ "$(grep -c '^Subject' "$T/outside/all")" = 3 ]
	[ "$(grep -c '^==' "$T/outside/all")" = 3 ]
	[ "$(tail -n 2 "$T/outside/all" | head -n 1)" = short ]
}

@test "--confine=require and the memory limit" {
	landlock 2 || skip "no Landlock"
	fetch "maildir:$T/got" '' --confine=require --confine-memory=300M
	grep -q 'Subject: one' "$T"/got/new/*
	run ! "$BIN/mra-fetch" --confine=perhaps --to=maildir:x imap://x@127.0.0.1:1
}
