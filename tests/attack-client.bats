#!/usr/bin/env bats
# Servers that attack their clients: mua-send submits to them, mta-relay run relays to them, serve hands over to them.
# tests/interop-trouble.bats has those that are merely broken; tests/attack/README.md lists the cases.
# shellcheck disable=SC2154,SC2016,SC2153

load queue
bats_require_minimum_version 1.5.0

setup() {
	queue_setup
	T=$BATS_TEST_TMPDIR
	SEND=$(dirname "$RELAY")/mua-send
	LIAR=$T/liar
	mkdir -p "$LIAR"
	printf 'From: me@us.example\nSubject: x\n\nhello\n' >"$T/message"
	perl -MIO::Socket::INET -e1 || skip "needs perl"
}
teardown() { queue_teardown; }

# liars <SCENARIOS: lines of smtp-liar, each with "; WANTED" behind it in the first of a name.
liars() {
	cat >"$LIAR/script"
	sed -n 's/^\([a-z0-9-]*\) .*; \([a-z0-9 -]*\)$/\1 \2/p' "$LIAR/script" | sort >"$LIAR/want"
	sed 's/ *; [a-z0-9 -]*$//' "$LIAR/script" >"$LIAR/scenarios"
	"$TOP/lib/smtp-liar" --dir="$LIAR" "$LIAR/scenarios" >/dev/null 2>"$LIAR/err" 3>&- &
	PIDS+=($!)
	wait_for 60 test -s "$LIAR/ports"
}
# The exit status of mua-send to each.
submit_to_each() { # OPTION...
	while read -r name port; do
		local status=0
		timeout 120 "$SEND" --server="smtp://127.0.0.1:$port" --timeout=20s "$@" user@there.example \
			<"$T/message" >>"$T/out" 2>&1 || status=$?
		echo "$name $status"
	done <"$LIAR/ports" | sort >"$LIAR/got"
	diff "$LIAR/want" "$LIAR/got" || { cat "$T/out" && return 1; }
	run ! grep -iE 'sanitizer|runtime error' "$T/out"
}
# None of them has a password, or mail.
learnt_nothing() {
	run ! grep -rE 'AUTH|c2VzYW1l|AG1lAHNlc2FtZQ|^MAIL|^RCPT|^DATA|^QUIT.+' "$LIAR" --include='*.log'
	run ! ls "$LIAR"/*.[0-9]
}

@test "TLS is required and not to be had: no password, no mail, to try again" {
	printf 'sesame' >"$T/secret"
	chmod 600 "$T/secret"
	liars <<-'S'
		neg01-not-offered ehlo say 250-liar.example\r\n250 AUTH PLAIN LOGIN\r\n ; 77
		neg02-454 ehlo say 250-liar.example\r\n250-AUTH PLAIN\r\n250 STARTTLS\r\n ; 77
		neg02-501 ehlo say 250-liar.example\r\n250-AUTH PLAIN\r\n250 STARTTLS\r\n ; 77
		neg02-501 starttls say 501 5.5.4 no\r\n
		neg02-220-late ehlo say 250-liar.example\r\n250-AUTH PLAIN\r\n250 STARTTLS\r\n ; 77
		neg02-220-late starttls say 250 ok\r\n220 go\r\n
		neg02-354 ehlo say 250-liar.example\r\n250-AUTH PLAIN\r\n250 STARTTLS\r\n ; 77
		neg02-354 starttls say 354 go\r\n
		neg05-helo ehlo say 502 5.5.1 what?\r\n ; 77
		resp01-suffix ehlo say 250-liar.example\r\n250 STARTTLS\r\n ; 77
		resp01-suffix starttls say 220 go\r\n250-x\r\n250 AUTH PLAIN LOGIN\r\n
		resp02-greeting greet say 220 liar.example\r\n250-x\r\n250 AUTH PLAIN\r\n ; 77
		resp02-ehlo ehlo say 250-liar.example\r\n250 STARTTLS\r\n220 go\r\n ; 77
		resp02-lf ehlo say 250-liar.example\r\n250 STARTTLS\r\n ; 77
		resp02-lf starttls say 220 go\n250 AUTH PLAIN\r\n
		neg09-no greet say 554 no\r\n ; 77
		neg09-bye greet say 221 bye\r\n ; 77
		neg09-imap greet say * OK [CAPABILITY IMAP4rev1 STARTTLS]\r\n ; 77
		neg09-pop3 greet say +OK ready\r\n ; 77
		neg09-http greet say HTTP/1.1 400 Bad Request\r\n ; 77
		neg10-authenticated greet say 235 2.7.0 you are in\r\n ; 77
		neg15-close ehlo say 250-liar.example\r\n250 STARTTLS\r\n ; 77
		neg15-close starttls last 220 go\r\n
		neg15-garbage ehlo say 250-liar.example\r\n250 STARTTLS\r\n ; 77
		neg15-garbage starttls last 220 go\r\n\x15\x03\x01\x00\x02\x02\x28
	S
	# What the status is depends on how it went wrong; that it is none of 0 and what was learnt does not.
	while read -r name port; do
		status=0
		timeout 120 "$SEND" --server="smtp://me@127.0.0.1:$port" --starttls=require --password-command="cat $T/secret" \
			--timeout=20s user@there.example <"$T/message" >>"$T/out" 2>&1 || status=$?
		case $status in 69 | 74 | 75 | 76 | 77) ;; *) echo "$name $status" ;; esac
	done <"$LIAR/ports" >"$LIAR/bad"
	cat "$LIAR/bad" "$T/out"
	[ ! -s "$LIAR/bad" ]
	learnt_nothing
	run ! grep -iE 'sanitizer|runtime error' "$T/out"
}

@test "a server's odd replies within a submission: a clear error, never a yes" {
	liars <<-'S'
		host01-endless-line greet endless 220 aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa ; bad
		host01-endless-ehlo ehlo endless 250-AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA\r\n ; bad
		host02-nul ehlo say 250 a\0b\r\n ; bad
		host02-bare-lf ehlo say 250-liar.example\n250 PIPELINING\r\n ; bad
		host02-bare-cr dot say 250 2.0.0\rOk\n ; bad
		host02-no-code dot say OK\r\n ; bad
		host02-code-299x dot say 2990 2.0.0 Ok\r\n ; bad
		host02-sign dot say +250 Ok\r\n ; bad
		host02-space dot say \x20250 Ok\r\n ; bad
		host02-mixed dot say 250-2.0.0 Ok\r\n550 5.0.0 no\r\n ; bad
		host02-unicode dot say \xef\xbc\x92\xef\xbc\x95\xef\xbc\x90 Ok\r\n ; bad
		host03-too-many mail say 250 2.1.0 Ok\r\n250 2.1.5 Ok\r\n250 2.1.5 Ok\r\n354 go\r\n250 2.0.0 kept\r\n ; bad
		host03-too-few rcpt close ; bad
		host03-421-mail mail last 421 4.3.2 bye\r\n ; bad
		host03-421-rcpt rcpt last 421 4.3.2 bye\r\n ; bad
		host03-421-data data last 421 4.3.2 bye\r\n ; bad
		host03-421-dot dot last 421 4.3.2 bye\r\n ; bad
		host03-1xx dot say 150 Ok\r\n ; bad
		host03-251-dot dot say 251 2.0.0 Ok\r\n ; good
		host03-after-quit quit say 221 bye\r\n250 2.0.0 more\r\n550 and more\r\n ; good
		host03-no-quit quit close ; good
		host04-sizes ehlo say 250-liar.example\r\n250-SIZE 18446744073709551616\r\n250-SIZE -1\r\n250 SIZE 0\r\n ; good
		host04-words ehlo say 250-liar.example\r\n250-PIPELINING PIPELINING x\r\n250- \r\n250-=\r\n250-AUTH\r\n250 AUTH=\r\n ; good
	S
	while read -r name port; do
		timeout 120 "$SEND" --server="smtp://127.0.0.1:$port" --starttls=never --timeout=20s user@there.example \
			<"$T/message" >>"$T/out" 2>&1 && echo "$name good" || echo "$name bad"
	done <"$LIAR/ports" | sort >"$LIAR/got"
	diff "$LIAR/want" "$LIAR/got"
	# What a server says does not get to the terminal as it is.
	run ! grep -aP '[\x00-\x08\x0b-\x1f\x7f]' "$T/out"
}

@test "authentication: challenges without end, and what is none" {
	printf 'sesame' >"$T/secret"
	chmod 600 "$T/secret"
	liars <<-'S'
		neg11-endless ehlo say 250-liar.example\r\n250 AUTH PLAIN LOGIN\r\n ; bad
		neg11-endless auth endless 334 \r\n
		neg11-huge ehlo say 250-liar.example\r\n250 AUTH SCRAM-SHA-256\r\n ; bad
		neg11-huge auth endless 334 AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA
		neg11-not-base64 ehlo say 250-liar.example\r\n250 AUTH SCRAM-SHA-256\r\n ; bad
		neg11-not-base64 auth say 334 !!!!\r\n
		neg11-too-easy ehlo say 250-liar.example\r\n250 AUTH SCRAM-SHA-256\r\n ; bad
		neg11-too-easy auth say 235 2.7.0 welcome\r\n
		neg12-plain-only ehlo say 250-liar.example\r\n250 AUTH PLAIN LOGIN\r\n ; bad
	S
	while read -r name port; do
		timeout 120 "$SEND" --server="smtp://me@127.0.0.1:$port" --starttls=never --password-command="cat $T/secret" \
			--timeout=20s user@there.example <"$T/message" >>"$T/out" 2>&1 && echo "$name good" || echo "$name bad"
	done <"$LIAR/ports" | sort >"$LIAR/got"
	diff "$LIAR/want" "$LIAR/got"
	# In the clear no password is shown, whatever is asked.
	run ! grep -rE 'c2VzYW1l|AG1lAHNlc2FtZQ|^MAIL' "$LIAR" --include='*.log'
}

# Content with every sequence that a next hop might take for the end of the message.
poison() {
	printf 'Subject: %s\n\none\n.\ntwo\r.\rthree\r\n.\r\nfour\n.\r\nfive\r\n.\nsix\r\n.\r\r\nseven\r\r\n.\r\r\neight\n\r.\r\nnine\r' "$1"
	printf 'MAIL FROM:<x@bank.example>\r\nRCPT TO:<v@there.example>\r\nDATA\r\nFrom: x@bank.example\r\n\r\nten\r\n.\r\n'
}
clean() { # FILE
	perl -0777 -ne 's/\A(X-[A-Z][a-z]*:.*\n)*\n?//; exit(/\r(?!\n)|(?<!\r)\n|\0/ ? 1 : 0)' "$1"
}

@test "relaying to one that lies: what is no reply delivers nothing, and no byte of it is a line of ours" {
	liars <<-'S'
		ahead ehlo say 250-liar.example\r\n250 PIPELINING\r\n ; deferred
		ahead mail say 250 ok\r\n250 ok\r\n354 go\r\n250 kept\r\n
		ahead-clear mail say 250 ok\r\n250 ok\r\n354 go\r\n250 kept\r\n ; deferred
		code-000 rcpt say 000 what\r\n ; deferred
		code-199 dot say 199 what\r\n ; deferred
		code-999 rcpt say 999 what\r\n ; deferred
		data-250 data say 250 kept\r\n ; deferred
		limits ehlo say 250-liar.example\r\n250-LIMITS RCPTMAX=0 MAILMAX=99999999999999999999 RCPTDOMAINMAX=-1 =\r\n250 SIZE\r\n ; relayed
		size-1 ehlo say 250-liar.example\r\n250 SIZE 1\r\n ; failed
		status-4 rcpt say 550 4.2.2 contradiction\r\n ; failed
		status-5 rcpt say 450 5.2.2 contradiction\r\n ; deferred
		text rcpt say 550-5.1.1 a\x1b[31m\x9b\xc2\x9b\xff\xe2\x80\xae<b@c>\r\n550-\r\n550 --=_x\r\n ; failed
		utf8 ehlo say 250-liar.example\r\n250-8BITMIME\r\n250 SMTPUTF8\r\n ; failed
		utf8 rcpt say 550 5.1.1 a\xff\xc2\x9b\xc3\xbc<b@c>\r\n
	S
	sink --ext=SMTPUTF8 --ext=8BITMIME
	relay=$PORT
	while read -r name port; do
		rcpt=user@there.example
		[[ $name != utf8* ]] || rcpt=$'\xc3\xbcser@there.example'
		message "$name" | "$RELAY" inject --queue="$T/q-$name" --hostname=us.example -f sender@far.example "$rcpt"
		# One after the other: the report is for another next hop.
		timeout 120 "$RELAY" run --once --now --queue="$T/q-$name" --hostname=us.example --routes=<(echo "there.example smtp://127.0.0.1:$port") \
			--smarthost="smtp://127.0.0.1:$relay" 2>"$T/run" || true
		cat "$T/run" >>"$T/log"
		echo "$name $(sed -n 's/.* to="[^ ]*ser@there.example.* status=\([a-z]*\).*/\1/p' "$T/run")"
	done <"$LIAR/ports" | sort >"$LIAR/got"
	diff "$LIAR/want" "$LIAR/got"
	run ! grep -aP '[\x00-\x08\x0b-\x1f\x7f-\xff]' "$T/log"
	# The reports: ASCII or well-formed UTF-8, the status in the class of what was done.
	[ "$(kept)" -eq 4 ]
	for f in "$SINK"/0*; do iconv -f utf-8 -t utf-16 "$f" >/dev/null; done
	run ! grep -rP '[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f]' "$SINK" --include='0*'
	[ "$(grep -la '^Status: 5' "$SINK"/0* | wc -l)" -eq 4 ]
	grep -qa '^Diagnostic-Code: smtp; 550 5.1.1 a?\[31m??????<b@c>' "$SINK"/0*
	grep -qa $'^Diagnostic-Code: smtp; 550 5.1.1 a??\xc3\xbc<b@c>' "$SINK"/0*
}

@test "SMUG29: what is queued, injected or submitted leaves with CRLF line ends only, dots doubled" {
	sink
	poison injected | inject sender@far.example user@there.example
	[ "$(waiting)" -eq 1 ]
	run_queue
	[ "$(kept)" -eq 1 ]
	clean "$SINK/0001"
	[ "$(grep -c 'MAIL FROM' "$SINK/log")" -eq 1 ]
	grep -q '^ten' "$SINK/0001"
	# The queue's file, as somebody might have put it there.
	printf 'Subject: queued\n\nplace\n' | inject sender@far.example user@there.example
	file=$(find "$Q"/*/msg -type f)
	perl -0777 -pi -e 's/place\n/"a\n.\nb\r.\rc\r\n.\r\nd\r\r\n.\r\n.\n"/e' "$file"
	run_queue
	[ "$(kept)" -eq 2 ]
	clean "$SINK/0002"
	# sendmail's stdin, and a file.
	poison composed >"$T/poison"
	"$SEND" --server="smtp://127.0.0.1:$PORT" --starttls=never user@there.example <"$T/poison" 2>>"$T/out" || status=$?
	[ "${status-0}" -eq 65 ] || clean "$SINK/0003"
	[ "$(grep -c 'MAIL FROM' "$SINK/log")" -le 3 ]
}

@test "SMUG31: an envelope with line ends or NULs is refused before anything is queued" {
	for bad in $'a\nb@far.example' $'a\rb@far.example' $'a@far.example\r\nRCPT TO:<x@far.example>' $'a@far.example>\nrcpt: <x@far.example' \
		'a@far.example> SIZE=1' 'a b@far.example' $'a\x01@far.example'; do
		for options in "-f|$bad|user@there.example" "-f|me@far.example|$bad" "-f|me@far.example|--envid=$bad|user@there.example"; do
			IFS='|' read -r -d '' -a words <<<"$options" || true
			words[-1]=${words[-1]%$'\n'}
			status=0
			message | "$RELAY" inject --queue="$Q" --hostname=us.example "${words[@]}" >>"$T/out" 2>&1 || status=$?
			case $options in
			*envid=*) continue ;; # xtext takes all: looked at below
			esac
			[ "$status" -ne 0 ]
		done
	done
	sink --ext=DSN --ext=SIZE
	run_queue
	# As an ENVID it travels encoded.
	run ! grep -v '^[0-9]* \(open\|EHLO\|MAIL FROM:<me@far.example>\|RCPT TO:<user@there.example>\|DATA\|QUIT\|RSET\|gone\)' "$SINK/log"
	run ! grep -P 'ENVID=[^ ]*[^ -~]' "$SINK/log"
}

@test "SMUG23 at the next hop: without a last line end, with dots, by DATA and by BDAT" {
	sink
	printf 'Subject: x\n\n.\n..\n.x\nlast' | inject a@far.example user@there.example
	run_queue
	clean "$SINK/0001"
	sed '1,/^\r*$/d' "$SINK/0001" | sed '1,/^\r*$/d' | tr -d '\r' >"$T/body"
	printf '.\n..\n.x\nlast\n' | cmp - "$T/body"
}
