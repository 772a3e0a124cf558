#!/usr/bin/env bats
# mda-deliver, from stdin and over LMTP, into Maildirs and mboxes.

bats_require_minimum_version 1.5.0
load wait

setup() {
	TOP=$BATS_TEST_DIRNAME/..
	BIN=${BUILD:-$TOP/build}/bin
	T=$BATS_TEST_TMPDIR
	MSG=$T/msg
	MDA=("$BIN/mda-deliver" --config=/dev/null --hostname=mx.example.org)
	unset WAYPOST_TRACE
	printf 'From: ann@example.org\r\nSubject: hello\r\nMessage-ID: <1@example.org>\r\n\r\nbody\r\n.dot\r\n' >"$MSG"
	cat >"$T/users" <<-END
		bob@example.org:{PLAIN}x::::$T/bob
		ann@example.org:{PLAIN}x::::$T/ann::quota=600
		cid@example.org:{PLAIN}x::::::userdb_mail=mbox:$T/cid.mbox
	END
	mkdir "$T/bob" "$T/ann"
}

teardown() {
	[ -n "${SERVER-}" ] && kill "$SERVER" && wait "$SERVER"
	return 0
}

mda() { "${MDA[@]}" "$@"; }
files() { find "$1" -type f -path '*/new/*' -o -type f -path '*/cur/*'; }
count() { files "$1" | wc -l; }

# lmtp LINE...: a conversation on stdin, each line with CRLF; the replies on stdout
lmtp() { printf '%s\r\n' "LHLO client.example" "$@" QUIT | mda --lmtp --users="$T/users" "${LMTP_OPTIONS[@]}" 2>"$T/log" | tr -d '\r'; }

# It costs every child of a relay some milliseconds to load them.
@test "no large library is needed to start" {
	command -v readelf >/dev/null || skip "no readelf"
	readelf -d "$BIN/mda-deliver" >"$T/dynamic"
	grep -q 'NEEDED.*libc\.' "$T/dynamic"
	run ! grep -E 'NEEDED.*lib(crypto|ssl|pcre2-8|jansson)\.' "$T/dynamic"
}

@test "a message on stdin becomes one file with Return-Path and Delivered-To on top" {
	mda -f ann@example.net -d bob --mail="maildir:$T/m/%u" <"$MSG"
	run files "$T/m/bob"
	[ "${#lines[@]}" -eq 1 ]
	{ printf 'Return-Path: <ann@example.net>\nDelivered-To: bob\n'; tr -d '\r' <"$MSG"; } >"$T/want"
	cmp "$T/want" "${lines[0]}"
	size=$(stat -c %s "${lines[0]}") newlines=$(wc -l <"${lines[0]}")
	[[ ${lines[0]} == *",S=$size,W=$((size + newlines))" ]]
	[ -z "$(ls "$T/m/bob/tmp")" ]
	[ "$(stat -c %a "${lines[0]}")" = 600 ]
}

@test "nothing is said when all is well, on stdout or stderr" {
	run mda -d bob --mail="maildir:$T/m" <"$MSG"
	[ "$status" -eq 0 ]
	[ -z "$output" ]
}

@test "earlier Return-Path fields and an mbox From line are taken out" {
	printf 'From ann Thu Jan 1 00:00:00 1970\nReturn-Path: <old@example.net>\nX: 1\nRETURN-PATH: <a\n b>\n\nReturn-Path: body\n' |
		mda -f '' -d bob --mail="maildir:$T/m"
	printf 'Return-Path: <>\nDelivered-To: bob\nX: 1\n\nReturn-Path: body\n' | cmp - "$(files "$T/m")"
}

@test "users file: rows give the place, unknown users are 67" {
	mda --users="$T/users" -d bob@example.org --mail=maildir:~/Maildir <"$MSG"
	[ "$(count "$T/bob/Maildir")" -eq 1 ]
	mda --users="$T/users" -d bob+detail@example.org <"$MSG"
	[ "$(count "$T/bob/Maildir")" -eq 2 ]
	run mda --users="$T/users" -d zed@example.org <"$MSG"
	[ "$status" -eq 67 ]
	[[ $output == *"no such user"* ]]
	[ "$(count "$T")" -eq 2 ]
}

@test "--store-id: nothing is delivered below a mount point that is empty" {
	run mda -d bob --mail="maildir:$T/m" --store-id="$T/store/.store-id" <"$MSG"
	[ "$status" -eq 75 ]
	[ ! -e "$T/m" ]
	LMTP_OPTIONS=(--store-id="$T/store/.store-id")
	run lmtp 'MAIL FROM:<>' 'RCPT TO:<bob@example.org>'
	[[ $output == *"451 4.3.0 "* ]]
	mkdir "$T/store"
	touch "$T/store/.store-id"
	mda -d bob --mail="maildir:$T/m" --store-id="$T/store/.store-id" <"$MSG"
	[ "$(count "$T/m")" -eq 1 ]
}

@test "names that would lead out of the store are nobody's" {
	for name in ../x .. . a/b /etc; do
		run mda -d "$name" --mail="maildir:$T/m/%u" <"$MSG"
		[ "$status" -eq 67 ]
	done
	[ "$(count "$T")" -eq 0 ]
}

@test "exit statuses: usage 64, no message 65, broken users file 78, no room 75, unwritable 77" {
	run mda --lmtp -d bob </dev/null
	[ "$status" -eq 64 ]
	run mda -d bob operand <"$MSG"
	[ "$status" -eq 64 ]
	run mda -d bob --sieve=x <"$MSG"
	[ "$status" -eq 64 ]
	run mda -d bob --mail="maildir:$T/m" </dev/null
	[ "$status" -eq 65 ]
	run mda -d bob --mail="maildir:$T/m" --max-size=50 <"$MSG"
	[ "$status" -eq 65 ]
	printf 'bob:{PLAIN}x\nann:{WHAT}x\n' >"$T/broken"
	run mda --users="$T/broken" -d bob --mail="maildir:$T/m" <"$MSG"
	[ "$status" -eq 78 ]
	[[ $output == *"$T/broken:2: unknown password scheme {WHAT}"* ]]
	run mda -d bob --mail="maildir:$T/m" --quota=100 <"$MSG"
	[ "$status" -eq 75 ]
	[ "$(count "$T/m")" -eq 0 ]
	[ "$(id -u)" -ne 0 ] || return 0
	mkdir -m 500 "$T/ro"
	run mda -d bob --mail="maildir:$T/ro/m" <"$MSG"
	[ "$status" -eq 77 ]
}

@test "-m files into a folder: made with --create, else INBOX; none is lost" {
	mda -d bob --mail="maildir:$T/m" -m Work/2026 --create <"$MSG"
	[ "$(count "$T/m/.Work.2026")" -eq 1 ]
	mda -d bob --mail="maildir:$T/m" -m Work/2026 <"$MSG"
	[ "$(count "$T/m/.Work.2026")" -eq 2 ]
	mda -d bob --mail="maildir:$T/m" -m Gone <"$MSG"
	[ "$(find "$T/m/new" -type f | wc -l)" -eq 1 ]
	[ ! -e "$T/m/.Gone" ]
	run mda -d bob --mail="maildir:$T/m" -m 'bad..name' --create <"$MSG"
	[ "$status" -ne 0 ]
}

@test "--delimiter and --max-recipients are called as mta-relay calls them" {
	mda --users="$T/users" --delimiter=- -d bob-detail@example.org --mail=maildir:~/Maildir <"$MSG"
	[ "$(count "$T/bob/Maildir")" -eq 1 ]
	run mda --users="$T/users" --delimiter=- -d bob+detail@example.org <"$MSG"
	[ "$status" -eq 67 ]
	LMTP_OPTIONS=(--max-recipients=1)
	run lmtp 'MAIL FROM:<>' 'RCPT TO:<bob@example.org>' 'RCPT TO:<ann@example.org>'
	[[ $output == *$'\n250 2.1.5 '*$'\n452 4.5.3 '* ]]
}

@test "+detail goes to its folder with --detail-mailbox, if there is one" {
	mkdir -p "$T/bob/Maildir/.lists/"{cur,new,tmp}
	mda --users="$T/users" --detail-mailbox -d bob+lists@example.org <"$MSG"
	mda --users="$T/users" --detail-mailbox -d bob+nowhere@example.org <"$MSG"
	[ "$(count "$T/bob/Maildir/.lists")" -eq 1 ]
	[ "$(find "$T/bob/Maildir/new" -type f | wc -l)" -eq 1 ]
}

@test "quotes of an address are none of a user's name, and what is no folder goes to INBOX" {
	mkdir -p "$T/bob/Maildir/.a b/"{cur,new,tmp}
	LMTP_OPTIONS=(--detail-mailbox)
	run lmtp 'MAIL FROM:<>' 'RCPT TO:<"bob"@example.org>' 'RCPT TO:<"b\ob+x.y"@example.org>' 'RCPT TO:<"bob+a b"@example.org>' \
		'RCPT TO:<"bob+../x"@example.org>' 'RCPT TO:<"../bob"@example.org>' 'RCPT TO:<"bob@x"@example.org>' DATA 'Subject: x' '' .
	[ "$(grep -c '^250 2.1.5 <' <<<"$output")" -eq 4 ]
	[ "$(grep -c '^550 5.1.1' <<<"$output")" -eq 2 ]
	[ "$(count "$T/bob/Maildir/.a b")" -eq 1 ]
	[ "$(find "$T/bob/Maildir/new" -type f | wc -l)" -eq 3 ]
	grep -q '^Delivered-To: "b\\ob+x.y"@example.org' "$T/bob/Maildir/new"/*
	mda -d '"us\er+x"@example.org' --mail="maildir:$T/m/%n" <"$MSG"
	[ "$(count "$T/m/user+x")" -eq 0 ] && [ "$(count "$T/m/user")" -eq 1 ]
	run mda -d '"../x"@example.org' --mail="maildir:$T/m/%n" <"$MSG"
	[ "$status" -eq 67 ]
}

@test "a loop is refused: Delivered-To of the same address, or too many Received fields" {
	{ printf 'Delivered-To: BOB@example.org\n'; cat "$MSG"; } >"$T/loop"
	run mda --users="$T/users" -d bob@example.org <"$T/loop"
	[ "$status" -eq 65 ]
	[[ $output == *"mail loop"* ]]
	mda --users="$T/users" -d bob@example.org -a other@example.org <"$T/loop"
	{ for i in $(seq 101); do echo "Received: by $i"; done; cat "$MSG"; } >"$T/hops"
	run mda --users="$T/users" -d bob@example.org <"$T/hops"
	[ "$status" -eq 65 ]
	[ "$(count "$T/bob")" -eq 1 ]
}

@test "mbox: quoted, separated, never mixed up by concurrent deliveries" {
	printf 'Subject: x\r\n\r\nFrom me\r\n' | mda -f 'ann@example.net' -d bob --mail="mbox:$T/box"
	grep -q '^From ann@example.net ... ... .. ..:..:.. 20..$' "$T/box"
	grep -q '^>From me$' "$T/box"
	pids=
	for i in 1 2 3 4 5 6 7 8; do
		mda -d bob --mail="mbox:$T/box" <"$MSG" &
		pids="$pids $!"
	done
	for pid in $pids; do wait "$pid"; done
	[ "$(grep -c '^From ' "$T/box")" -eq 9 ]
	[ "$(grep -c '^body$' "$T/box")" -eq 8 ]
	[ ! -e "$T/box.lock" ]
}

@test "a large message goes through a temporary file unharmed" {
	mkdir "$T/tmp"
	{ cat "$MSG"; seq -f "line %g of a large message of many lines" 60000 | sed "s/$/\r/"; } >"$T/large"
	mda -d bob --mail="maildir:$T/m" --tmp="$T/tmp" <"$T/large"
	tail -n +3 "$(files "$T/m")" | cmp - <(tr -d '\r' <"$T/large")
	[ -z "$(ls "$T/tmp")" ]
}

@test "LMTP: one reply for each recipient, each with its own copy and fields" {
	run lmtp 'MAIL FROM:<s@example.net> SIZE=60' 'RCPT TO:<bob@example.org>' 'RCPT TO:<zed@example.org>' \
		'RCPT TO:<cid@example.org>' DATA 'Subject: x' '' '..dot' .
	[[ $output == *"550 5.1.1 "* ]]
	[ "$(grep -c '^250 2.1.5 <.*> Ok, id ' <<<"$output")" -eq 2 ]
	file=$(files "$T/bob/Maildir")
	[ "$(sed -n 1,2p "$file")" = $'Return-Path: <s@example.net>\nDelivered-To: bob@example.org' ]
	grep -qE '^Received: from client.example \(local\)$' "$file"
	grep -qE '^	by mx.example.org \(waypost\) with LMTP id [0-9a-f.]+$' "$file"
	[ "$(tail -n 1 "$file")" = .dot ]
	grep -q '^Delivered-To: cid@example.org$' "$T/cid.mbox"
}

@test "LMTP: many messages in one conversation; RSET and a refused one leave nothing" {
	run lmtp 'MAIL FROM:<>' 'RCPT TO:<bob@example.org>' DATA 'Subject: 1' . \
		'MAIL FROM:<>' 'RCPT TO:<bob@example.org>' RSET \
		'MAIL FROM:<>' 'RCPT TO:<zed@example.org>' DATA \
		'MAIL FROM:<>' 'RCPT TO:<bob@example.org>' 'BDAT 12 LAST' 'Subject: 2'
	[ "$(grep -c '^250 2.1.5 <bob' <<<"$output")" -eq 2 ]
	[ "$(count "$T/bob")" -eq 2 ]
	[ "$(files "$T/bob" | xargs grep -h '^Subject' | sort | tr '\n' ' ')" = "Subject: 1 Subject: 2 " ]
	[ -z "$(ls "$T/bob/Maildir/tmp")" ]
}

@test "LMTP: a full mailbox is 452 4.2.2 and keeps nobody else's mail out" {
	big=$(printf '%0700d' 1)
	run lmtp 'MAIL FROM:<>' 'RCPT TO:<ann@example.org>' 'RCPT TO:<bob@example.org>' DATA 'Subject: x' '' "$big" .
	[ "$(grep -c '^452 4.2.2 ' <<<"$output")" -eq 1 ]
	[ "$(grep -c '^250 2.1.5 <bob@example.org> Ok' <<<"$output")" -eq 1 ]
	[ "$(count "$T/bob")" -eq 1 ]
	[ "$(count "$T/ann")" -eq 0 ]
	# Told at RCPT when MAIL says how large it will be.
	run lmtp 'MAIL FROM:<> SIZE=700' 'RCPT TO:<ann@example.org>'
	[[ $output == *"452 4.2.2 "* ]]
}

@test "LMTP: a users file that breaks is a temporary error, and heals without a restart" {
	mkfifo "$T/in"
	"${MDA[@]}" --lmtp --users="$T/users" <"$T/in" >"$T/out" 2>/dev/null &
	SERVER=$!
	exec 7>"$T/in"
	say() { printf '%s\r\n' "$@" >&7; }
	said() { [ "$(grep -c "$1" "$T/out")" -ge "$2" ]; }
	got() { wait_for 60 said "$@"; }
	say 'LHLO c' 'MAIL FROM:<>'
	got '^250 2.1.0' 1
	cp "$T/users" "$T/good"
	echo 'x:{WHAT}' >"$T/users"
	say 'RCPT TO:<bob@example.org>'
	got '^451 4.3.5' 1
	cp "$T/good" "$T/users"
	say 'RCPT TO:<bob@example.org>'
	got '^250 2.1.5' 1
	say QUIT
	exec 7>&-
	wait "$SERVER"
	SERVER=
}

@test "LMTP on a UNIX socket serves several clients at once" {
	command -v python3 >/dev/null || skip "needs python3"
	"${MDA[@]}" --lmtp --listen="unix:$T/lmtp" --users="$T/users" --ready-file="$T/ready" 2>"$T/log" &
	SERVER=$!
	wait_for 60 test -s "$T/ready"
	python3 - "$T/lmtp" <<-'END'
		import smtplib, sys, threading
		def run():
		    with smtplib.LMTP(sys.argv[1], 0, 'client.example') as s:
		        for i in range(5):
		            s.sendmail('s@example.net', ['bob@example.org'], 'Subject: x\r\n\r\nbody\r\n')
		threads = [threading.Thread(target=run) for _ in range(5)]
		[t.start() for t in threads]
		[t.join() for t in threads]
	END
	[ "$(count "$T/bob")" -eq 25 ]
}

lmtp_to() { # LOCATION COMMAND...
	local location=$1
	shift
	printf '%s\r\n' "LHLO c" "$@" QUIT | mda --lmtp --users="$T/users" --mail="$location" 2>/dev/null
}

@test "as root the mail is the user's: row's uid and gid, nothing left of root" {
	[ "$(id -u)" -eq 0 ] || skip "needs root"
	chmod 755 "$BATS_RUN_TMPDIR" "$BATS_RUN_TMPDIR"/* "$T" 2>/dev/null || true
	for dir in "$T" "$(dirname "$T")"; do chmod 755 "$dir"; done
	su -s /bin/sh nobody -c "test -x $T" || skip "the temporary directory is closed to others"
	mkdir "$T/home"
	chown 65534:65534 "$T/home"
	echo "nob@example.org:{PLAIN}x:65534:65534::$T/home" >>"$T/users"
	mda --users="$T/users" -d nob@example.org <"$MSG"
	run lmtp 'MAIL FROM:<>' 'RCPT TO:<nob@example.org>' 'RCPT TO:<bob@example.org>' DATA 'Subject: x' .
	[ "$(grep -c '^250 2.1.5 <.*> Ok' <<<"$output")" -eq 2 ]
	[ "$(count "$T/home")" -eq 2 ]
	[ -z "$(find "$T/home" ! -uid 65534 -o ! -gid 65534)" ]
	[ "$(count "$T/bob")" -eq 1 ]
	# Where the others' mail is he may not enter: that is no reason to refuse his.
	mkdir -m 700 "$T/srv" "$T/srv/waypost-log"
	echo "own@example.org:{PLAIN}x:65534:65534::$T/home::userdb_mail=maildir:$T/home/Maildir" >>"$T/users"
	for mode in 700 711; do
		chmod $mode "$T/srv"
		run lmtp_to "maildir:$T/srv/%n" 'MAIL FROM:<>' 'RCPT TO:<own@example.org>' DATA 'Subject: x' .
		[ "$(grep -c '^250 2.1.5 <.*> Ok' <<<"$output")" -eq 1 ]
	done
	[ "$(count "$T/home")" -eq 4 ]
}

@test "events: each delivery is traced with Message-ID, mailbox and file" {
	lmtp() { printf '%s\r\n' "LHLO c" "$@" QUIT | mda --lmtp --users="$T/users" --trace="$T/trace" 2>/dev/null; }
	lmtp 'MAIL FROM:<s@example.net>' 'RCPT TO:<bob@example.org>' DATA 'Message-ID: <7@x>' .
	event=$(grep '"ev":"store"' "$T/trace")
	[[ $event == *'"prog":"mda-deliver","role":"mda"'*'"mid":"<7@x>"'*'"result":"ok"'*'<bob@example.org>: INBOX new/'* ]]
	name=$(grep -o 'new/[^"]*' <<<"$event")
	[ -e "$T/bob/Maildir/$name" ]
	run mda -d bob --mail="maildir:$T/m" --explain <"$MSG"
	[[ $output == *"<bob>: INBOX new/"* ]]
}
