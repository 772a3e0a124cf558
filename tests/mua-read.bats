#!/usr/bin/env bats
# mua-read: lists, shows, searches, threads and exports messages of each kind, and lets nothing of them command a terminal.

bats_require_minimum_version 1.5.0

setup() {
	bin=${BUILD:-build}/bin
	cd "$BATS_TEST_TMPDIR" || return 1
	case $bin in /*) ;; *) bin=$BATS_TEST_DIRNAME/../$bin ;; esac
	export LC_ALL=C.UTF-8 TZ=UTC XDG_CONFIG_HOME=$BATS_TEST_TMPDIR HOME=$BATS_TEST_TMPDIR
	unset MAIL MAILDIR WAYPOST_TRACE COLUMNS
}

read_() { "$bin/mua-read" "$@"; }

message() { # FILE, header on stdin as far as it is special
	{
		printf 'From: =?utf-8?q?J=C3=B6rg?= <joerg@example.org>\nTo: alice@example.net\n'
		printf 'Date: Sun, 22 Nov 2026 03:10:00 +0100\nMessage-ID: <%s@example.org>\n' "$1"
		cat
	} >"$1"
}

nested() {
	message nested <<'END'
Subject: nested
MIME-Version: 1.0
Content-Type: multipart/mixed; boundary=outer

--outer
Content-Type: multipart/alternative; boundary="outer-1"

--outer-1
Content-Type: text/plain; charset=utf-8

the plain one
--outer-1
Content-Type: text/html

<p>the <b>rich</b> one
--outer-1--
--outer
Content-Type: application/octet-stream; name="old.bin"
Content-Disposition: attachment; filename*0*=utf-8''r%C3%A9su; filename*1*=m%C3%A9.bin
Content-Transfer-Encoding: base64

AAECAwQF
--outer
Content-Type: message/rfc822

From: bob@example.com
Subject: forwarded
Content-Transfer-Encoding: quoted-printable

inner =3D text
--outer--
END
}

@test "help, version, unknown options" {
	run -0 read_ --help
	[[ $output == usage:* ]]
	run -0 read_ --version
	run -64 read_ --nonsense
	run -64 read_ show x
	run -64 read_ export 1
	run -64 read_ search
}

@test "show: UTF-8, 8bit" {
	message m <<'END'
Subject: =?iso-8859-1?Q?Gr=FC=DFe?=
Content-Type: text/plain; charset=utf-8
Content-Transfer-Encoding: 8bit

Größe: 5 €
END
	run -0 read_ show 1 m
	[ "${lines[0]}" = 'From: Jörg <joerg@example.org>' ]
	[ "${lines[1]}" = 'To: alice@example.net' ]
	[ "${lines[2]}" = 'Date: Sun, 22 Nov 2026 03:10:00 +0100' ]
	[ "${lines[3]}" = 'Subject: Grüße' ]
	[ "${lines[4]}" = 'Größe: 5 €' ]
	[ ${#lines[@]} -eq 5 ]
}

@test "show: another terminal's charset" {
	message m <<'END'
Content-Type: text/plain; charset=utf-8

aä€b
END
	LC_ALL=C run -0 read_ show m
	[ "${lines[-1]}" = 'a??b' ]
}

@test "show: ISO-8859-1, quoted-printable" {
	message m <<'END'
Content-Type: text/plain; charset=ISO-8859-1
Content-Transfer-Encoding: quoted-printable

Gr=FC=DFe =
aus K=F6ln=20
END
	run -0 read_ show m
	[ "${lines[-1]}" = 'Grüße aus Köln ' ]
}

@test "show: base64" {
	{
		printf 'Content-Type: text/plain; charset=utf-8\nContent-Transfer-Encoding: base64\n\n'
		printf 'grün\n' | base64
	} | message m
	run -0 read_ show m
	[ "${lines[-1]}" = grün ]
}

@test "show: nested parts, RFC 2231 name, a forwarded message" {
	nested
	run -0 read_ show nested
	[ "${lines[4]}" = 'the plain one' ]
	[ "${lines[5]}" = '[2: application/octet-stream, résumé.bin, 6 bytes]' ]
	[[ ${lines[6]} == '[3: message/rfc822, '*' bytes]' ]]
	[ "${lines[7]}" = 'From: bob@example.com' ]
	[ "${lines[8]}" = 'Subject: forwarded' ]
	[ "${lines[9]}" = 'inner = text' ]
	[ ${#lines[@]} -eq 10 ]
}

@test "export: parts by number, decoded, bytes as they are" {
	nested
	read_ export 1 2 nested >out
	[ "$(od -An -tx1 <out)" = ' 00 01 02 03 04 05' ]
	[ "$(read_ export 1 1.2 nested)" = '<p>the <b>rich</b> one' ]
	[ "$(read_ export 1 3.1 nested)" = 'inner = text' ]
	run -66 read_ export 1 4 nested
	[ "$output" = "mua-read: message 1 has no part '4'" ]
	run -66 read_ export 1 2.1 nested
	run -66 read_ export 2 1 nested
	message m <<'END'

plain
END
	[ "$(read_ export 1 1 m)" = plain ]
}

@test "show: HTML alone" {
	message m <<'END'
Content-Type: text/html; charset=utf-8

<html><head><title>not this</title><style>p { color: red }</style><script>alert("not this")</script></head>
<body><h1>Offer</h1><p>Fish &amp; chips for &euro;5,&nbsp;today
only. <a href="https://evil.example/login?a=1&amp;b=2">https://bank.example/</a></p>
<ul><li>one<li>two</ul><blockquote>said</blockquote><!-- a comment --><img src=x alt="logo">
END
	run -0 read_ show --width=40 m
	expected='Offer

Fish & chips for €5, today only.
https://bank.example/[1]

* one
* two

> said

[logo]

[1] https://evil.example/login?a=1&b=2'
	[ "$(printf '%s\n' "$output" | tail -n +5)" = "$expected" ]
}

@test "show: format=flowed" {
	message m <<'END'
Content-Type: text/plain; format=flowed

This paragraph goes on 
and on 
and ends.
> Quoted text that 
> flows too.
>> deeper
 From stuffed
-- 
Jörg
END
	run -0 read_ show --width=30 m
	expected='This paragraph goes on and on
and ends.
> Quoted text that flows too.
>> deeper
From stuffed
-- 
Jörg'
	[ "$(printf '%s\n' "$output" | tail -n +5)" = "$expected" ]
	sed 's/flowed/flowed; delsp=yes/' m >m2
	run -0 read_ show --width=80 m2
	[ "${lines[3]}" = 'This paragraph goes onand onand ends.' ]
}

@test "escape sequences, C1, bidi overrides: never as they are" {
	e=$(printf '\033') r=$(printf '\342\200\256') c=$(printf '\302\233') bell=$(printf '\007')
	message m <<END
Subject: a${e}]0;owned${bell}b =?utf-8?q?=1B[2J=C2=9B31m=E2=80=AE?= raw${r}${c}
X-Other: ${e}[31m
Content-Type: multipart/mixed; boundary=b

--b
Content-Type: text/plain; charset=utf-8

one${e}[2Jtwo${r}three${c}31mfour${bell}
--b
Content-Type: text/html; charset=utf-8

<p>x&#27;[2Jy&#x202e;z&#155;</p>
--b
Content-Type: application/x${e}[1m; name="f${e}[1m.txt"
Content-Disposition: attachment; filename*=utf-8''%1B%5B2J%C2%9B%E2%80%AEtxt

x
--b--
END
	for args in 'show' 'show --headers' 'list' 'list --json' 'thread' 'search subject:owned' 'search --json x'; do
		# shellcheck disable=SC2086
		read_ $args ./m >out
		[ -s out ]
		run -1 grep -aqP '[\x00-\x08\x0b-\x1f\x7f]' out
		run -1 grep -aqP '\xc2[\x80-\x9f]|\xe2\x80[\xaa-\xae]|\xe2\x81[\xa6-\xa9]' out
		# The same in another charset.
		# shellcheck disable=SC2086
		LC_ALL=C read_ $args ./m >out
		run -1 grep -aqP '[\x00-\x08\x0b-\x1f\x7f-\xff]' out
	done
	run -0 read_ show ./m
	[[ $output == *'Subject: a^[]0;owned^Gb ^[[2J<U+009B>31m<U+202E> raw<U+202E><U+009B>'* ]]
	[[ $output == *'one^[[2Jtwo<U+202E>three<U+009B>31mfour^G'* ]]
	[[ $output == *', _[2J_<U+202E>txt, '* ]]
	# --raw and export give the bytes.
	read_ show --raw ./m | cmp - m
	read_ export 1 1 ./m | grep -qF "${e}[2J"
}

@test "a name that poses as an address is quoted" {
	printf 'From: =?utf-8?q?boss=40bank.example_=3Cboss=40bank.example=3E?= <evil@example.org>\n\nx\n' >m
	run -0 read_ show ./m
	[ "${lines[0]}" = 'From: "boss@bank.example <boss@bank.example>" <evil@example.org>' ]
}

@test "show --headers: all fields, decoded, unfolded" {
	printf 'Received: from a\n\tby b\nX-A: =?utf-8?q?=C3=A4?=\nnot a field\n\nbody\n' >m
	run -0 read_ show --headers ./m
	[ "${lines[0]}" = 'Received: from a by b' ]
	[ "${lines[1]}" = 'X-A: ä' ]
	[ "${lines[2]}" = 'not a field' ]
	[ "${lines[3]}" = body ]
}

mbox() {
	cat >box <<'END'
From alice@example.net Sun Nov 22 03:00:00 2026
From: Alice Example <alice@example.net>
To: bob@example.com
Subject: Lunch
Date: Sat, 21 Nov 2026 10:00:00 +0000
Message-ID: <1@example.net>
Status: RO

Where?
>From here it is near.

From bob@example.com Sun Nov 22 03:00:00 2026
From: bob@example.com
To: Alice Example <alice@example.net>
Subject: Re: Lunch
Date: Sat, 21 Nov 2026 11:00:00 +0000
Message-ID: <2@example.com>
In-Reply-To: <1@example.net>
X-Status: AF

Größe egal.

From carol@example.org Sun Nov 22 03:00:00 2026
From: Carol
Cc: dave@example.org
Subject: Ein sehr langer Betreff, der nicht in eine Zeile passt
Message-ID: <3@example.org>

Nothing.

END
}

@test "list: an mbox, on standard input and by name" {
	mbox
	run -0 read_ list mbox:box
	[ "${lines[0]}" = '1 ------ 2026-11-21 10:00 Alice Example        Lunch' ]
	[ "${lines[1]}" = '2 NR-F-- 2026-11-21 11:00 bob@example.com      Re: Lunch' ]
	[ "${lines[2]}" = '3 N----- 2026-11-22 03:00 Carol                Ein sehr langer Betreff, der nicht in eine Zeile passt' ]
	[ ${#lines[@]} -eq 3 ]
	[ "$(read_ <box)" = "$output" ]
	[ "$(read_ list - <box)" = "$output" ]
	[ "$(cat box | read_ list)" = "$output" ]
	[ "$(MAIL=$PWD/box read_ list </dev/null)" = "$output" ]
	# mbox quoting is undone, and only there
	read_ show 1 mbox:box | grep -qx 'From here it is near\.'
	run -64 read_ show mbox:box
	[ "$output" = 'mua-read: which message? mbox:box has 3' ]
}

@test "list: lines fit the width, wide characters count twice" {
	printf 'From: a@b\nSubject: =?utf-8?b?%s?=\n\n' "$(printf '日本語のとても長い件名がここにあります' | base64 -w0)" >m
	for width in 40 60 61 80; do
		run -0 read_ list --width=$width ./m
		columns=$(printf '%s' "$output" | python3 -c '
import sys, unicodedata
print(sum(2 if unicodedata.east_asian_width(c) in "WF" else 1 for c in sys.stdin.read()))')
		[ "$columns" -le $width ]
	done
	run -0 read_ list --width=90 ./m
	[[ $output == *日本語のとても長い件名がここにあります ]]
	run -0 read_ list --width=60 ./m
	[[ $output == *… ]]
}

@test "list --json: one object a line" {
	mbox
	read_ list --json mbox:box >out
	[ "$(wc -l <out)" -eq 3 ]
	python3 - <<'END'
import json
rows = [json.loads(line) for line in open("out")]
assert [r["number"] for r in rows] == [1, 2, 3]
assert rows[0]["flags"] == ["seen"] and rows[1]["flags"] == ["answered", "flagged"]
assert rows[0]["date"] == "2026-11-21T10:00:00Z" and rows[0]["id"] == "<1@example.net>"
assert rows[1]["to"] == "Alice Example <alice@example.net>" and rows[2]["cc"] == "dave@example.org"
END
}

numbers() { read_ search "$@" | awk '{ printf "%s ", $1 }'; }

@test "search: keys, words, and, or, not" {
	mbox
	[ "$(numbers from:alice mbox:box)" = '1 ' ]
	[ "$(numbers to:ALICE mbox:box)" = '2 ' ]
	[ "$(numbers cc:dave mbox:box)" = '3 ' ]
	[ "$(numbers subject:lunch mbox:box)" = '1 2 ' ]
	[ "$(numbers alice mbox:box)" = '1 2 ' ]
	[ "$(numbers body:GRÖSSE mbox:box)" = '' ]
	[ "$(numbers body:GRÖßE mbox:box)" = '2 ' ]
	[ "$(numbers 'body:"from here"' mbox:box)" = '1 ' ]
	[ "$(numbers since:2026-11-22 mbox:box)" = '3 ' ]
	[ "$(numbers before:2026-11-22 mbox:box)" = '1 2 ' ]
	[ "$(numbers flag:unseen mbox:box)" = '2 3 ' ]
	[ "$(numbers flag:answered mbox:box)" = '2 ' ]
	[ "$(numbers subject:lunch and not flag:seen mbox:box)" = '2 ' ]
	[ "$(numbers 'subject:lunch flag:seen or cc:dave' mbox:box)" = '1 3 ' ]
	[ "$(numbers 'subject:lunch (flag:seen or cc:dave)' mbox:box)" = '1 ' ]
	[ "$(numbers 'not not from:alice' mbox:box)" = '1 ' ]
	[ "$(numbers nothing-like-it mbox:box)" = '' ]
	for bad in 'nonsense:x' 'from:' '(from:a' 'from:a)' 'since:yesterday' 'flag:nonsense' 'not' 'a or' '"a'; do
		run -64 read_ search "$bad" mbox:box
	done
	run -64 read_ search "$(printf 'not %.0s' $(seq 1000)) a" mbox:box
	[ "$(numbers "$(printf 'from:alice or %.0s' $(seq 3000)) from:alice" mbox:box)" = '1 ' ]
}

@test "search: a day begins in the local zone, a duration counts back from now" {
	printf 'From: a@b\nDate: Sat, 21 Nov 2026 23:30:00 +0000\n\nx\n' >m
	[ "$(numbers since:2026-11-22 ./m)" = '' ]
	[ "$(TZ=CET-1 numbers since:2026-11-22 ./m)" = '1 ' ]
	printf 'From: a@b\nDate: %s\n\nx\n' "$(date -R -d '3 days ago')" >m
	[ "$(numbers since:4d ./m)" = '1 ' ]
	[ "$(numbers since:2d ./m)" = '' ]
	[ "$(numbers before:2d ./m)" = '1 ' ]
}

@test "thread: answers below what they answer" {
	mbox
	run -0 read_ thread mbox:box
	[ "${lines[0]}" = '1 ------ 2026-11-21 10:00 Alice Example        Lunch' ]
	[ "${lines[1]}" = '2 NR-F-- 2026-11-21 11:00 bob@example.com        Re: Lunch' ]
	printf 'From x\nSubject: p\nReferences: <gone@x>\n\n\nFrom x\nSubject: q\nReferences: <gone@x>\n\n\n' >gone
	run -0 read_ thread --json mbox:gone
	[ "$(printf '%s\n' "$output" | grep -o '"number":[a-z0-9]*' | tr '\n' ' ')" = '"number":null "number":1 "number":2 ' ]
	[ "$(printf '%s\n' "$output" | grep -o '"depth":[0-9]*' | tr '\n' ' ')" = '"depth":0 "depth":1 "depth":1 ' ]
}

maildir() {
	mkdir -p Maildir/cur Maildir/new Maildir/tmp Maildir/.Work/cur Maildir/.Work/new Maildir/.Work/tmp
	printf 'From: a@b\nSubject: old\nMessage-ID: <old@b>\n\nx\n' >'Maildir/cur/1000000001.M1P1.host:2,S'
	printf 'From: a@b\nSubject: new\nMessage-ID: <new@b>\n\ny\n' >Maildir/new/1000000002.M1P1.host
	printf 'From: a@b\nSubject: other\n\nz\n' >Maildir/.Work/new/1000000003.M1P1.host
}

@test "maildir: listed, not touched; --seen marks" {
	maildir
	run -0 read_ list maildir:Maildir
	[[ ${lines[0]} == '1 ------ '*' a@b                  old' ]]
	[[ ${lines[1]} == '2 N----- '*' new' ]]
	[ -e Maildir/new/1000000002.M1P1.host ]
	[ "$(read_ list </dev/null)" = "$output" ]
	[ "$(MAILDIR=$PWD/Maildir read_ list </dev/null)" = "$output" ]
	[ "$(read_ list ./Maildir </dev/null)" = "$output" ]
	read_ show 2 maildir:Maildir >/dev/null
	[ -e Maildir/new/1000000002.M1P1.host ]
	WAYPOST_TRACE=$PWD/trace run -0 read_ show 2 --seen maildir:Maildir
	ls Maildir/cur/1000000002.M1P1.host*:2,S
	run -0 read_ search flag:unseen maildir:Maildir
	[ -z "$output" ]
	grep -q '"role":"mua".*"mid":"<new@b>".*"ev":"read".*"result":"ok"' trace
	mbox
	run -64 read_ show 1 --seen mbox:box
}

@test "maildir: a subfolder" {
	maildir
	run -0 read_ list --folder=Work maildir:Maildir
	[[ $output == '1 N----- '*' other' ]]
	run -64 read_ list --folder=Work ./Maildir/new/1000000002.M1P1.host
}

@test "what is not there: 66, with a reason" {
	run -66 read_ list mbox:nowhere
	[ "$output" = 'mua-read: nowhere: No such file or directory' ]
	run -66 read_ list maildir:nowhere
	run -66 read_ list </dev/null
	mbox
	run -66 read_ show 4 mbox:box
	[ "$output" = 'mua-read: no message 4, the last is 3' ]
	: >empty
	run -0 read_ list mbox:empty
	[ -z "$output" ]
}

@test "standard output that fails is told" {
	[ -w /dev/full ] || skip "needs /dev/full"
	mbox
	for args in 'list' 'show 1' 'list --json' 'export 1 1'; do
		# shellcheck disable=SC2086
		run -75 sh -c "'$bin/mua-read' $args mbox:box >/dev/full"
		[[ $output == *'standard output'* ]]
	done
}
