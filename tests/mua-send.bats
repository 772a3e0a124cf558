#!/usr/bin/env bats
# mua-send against a scripted server, our own relay, and postfix's smtp-sink.

load wait
bats_require_minimum_version 1.5.0

setup() {
	TOP=$BATS_TEST_DIRNAME/..
	BIN=${BUILD:-$TOP/build}/bin
	[ -x "$BIN/mua-send" ] || skip "needs mua-send"
	T=$BATS_TEST_TMPDIR
	PIDS=()
	# Nothing of this machine's configuration takes part.
	export HOME="$T/home" XDG_CONFIG_HOME="$T/config" TMPDIR="$T"
	unset WAYPOST_TRACE NETRC
	mkdir -p "$HOME" "$T/config" "$T/sink"
	printf 'From: a@sender.example\nDate: Sun, 22 Nov 2026 03:10:00 +0100\nMessage-ID: <1@sender.example>\nTo: b@x.example\nSubject: test\n\nText.\n.\n..dots\n' >"$T/message"
	if [ ! -e "$BATS_FILE_TMPDIR/server.pem" ]; then
		openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 2 -subj /CN=localhost \
			-addext subjectAltName=DNS:localhost -keyout "$BATS_FILE_TMPDIR/server.key" \
			-out "$BATS_FILE_TMPDIR/server.pem" 2>/dev/null
	fi
	CERT=$BATS_FILE_TMPDIR/server.pem
	KEY=$BATS_FILE_TMPDIR/server.key
}

teardown() {
	for pid in "${PIDS[@]}"; do
		kill "$pid" 2>/dev/null
		wait "$pid" 2>/dev/null
	done
	return 0
}

needs() { command -v "$1" >/dev/null || skip "needs $1"; }

# sink [OPTION]...: PORT
sink() {
	rm -f "$T/port"
	"$TOP/tests/lib/smtp-sink" --dir="$T/sink" --port-file="$T/port" "$@" 3>&- &
	PIDS+=($!)
	wait_for 60 [ -s "$T/port" ]
	PORT=$(cat "$T/port")
}

# msa [,tls]: our own server with joe and a secret: PORT
msa() {
	SECRET=s3cret-$RANDOM
	(
		umask 077
		printf 'joe@sender.example:{PLAIN}%s::::::\n' "$SECRET" >"$T/users"
		echo "$SECRET" >"$T/secret"
	)
	mkdir -p "$T/queue"
	rm -f "$T/ready"
	"$BIN/mta-relay" serve --role=msa --listen="127.0.0.1:0${1-}" --ready-file="$T/ready" --queue="$T/queue" \
		--users="$T/users" --tls-cert="$CERT" --tls-key="$KEY" 2>>"$T/log" 3>&- &
	PIDS+=($!)
	wait_for 60 [ -s "$T/ready" ]
	PORT=$(sed 's/.*://;q' "$T/ready")
}

send() { "$BIN/mua-send" --server="smtp://127.0.0.1:$PORT" "$@"; }
submit() { "$BIN/mua-send" --server="smtp://joe%40sender.example@localhost:$PORT" --tls-ca="$CERT" "$@"; }
content() { sed '1,/^$/d' "$T/sink/$1" | tr -d '\r'; }
kept() { find "$T/sink" -name '0*' | wc -l; }
queued() { find "$T/queue" -path '*/msg/*' -type f | wc -l; }

@test "a whole message arrives as it is, with sender and recipients" {
	sink
	send -f s@sender.example b@x.example c@y.example <"$T/message"
	content 0001 | cmp - "$T/message"
	run -0 sed -n '1,3p' "$T/sink/0001"
	[ "${lines[0]}" = "X-From: <s@sender.example> SIZE=$(sed 's/$/\r/' "$T/message" | wc -c)" ]
	[ "${lines[1]}" = 'X-Rcpt: <b@x.example>' ]
	[ "${lines[2]}" = 'X-Rcpt: <c@y.example>' ]
}

@test "what is missing is added at the top, a message without a header gets one" {
	sink
	printf 'Subject: x\n\nbody\n' | send -f s@sender.example -F 'Jörg' b@x.example
	content 0001 >"$T/got"
	grep -q '^From: =?utf-8?b?SsO2cmc=?= <s@sender.example>$' "$T/got"
	grep -qE '^Date: [A-Z][a-z]{2}, [0-9]+ [A-Z][a-z]{2} 20' "$T/got"
	grep -qE '^Message-ID: <[^ ]+@[^ ]+>$' "$T/got"
	tail -n 3 "$T/got" | cmp - <(printf 'Subject: x\n\nbody\n')
	for text in 'just text\n' '\nafter an empty header\n' ' blank first\nX: y\n' ''; do
		printf "$text" >"$T/text"
		rm -f "$T/sink/0002"
		send -f s@sender.example b@x.example <"$T/text"
		content 0002 >"$T/got"
		[ "$(grep -c '^From: ' "$T/got")" -eq 1 ]
		sed '/^$/q' "$T/got" | grep -q '^Message-ID:'
		tail -c "$(wc -c <"$T/text")" "$T/got" | cmp - "$T/text"
	done
	run -0 sed -n '/^$/,$p' "$T/got"
	[ -z "$output" ]
}

@test "-t: recipients from the header and operands, each once; Bcc is taken out; the mbox line too" {
	sink
	printf 'From x Mon Jan  1 00:00:00 2026\nFrom: a@s.example\nTo: B <b@x.example>, "q r"@x.example,\n grp: c@x.example, d@X.example;\nCc: e@x.example (e)\nBcc: f@x.example,\n g@x.example\nSubject: t\n\nBcc: in the body\n' >"$T/m"
	send -t d@x.example h@x.example <"$T/m"
	run -0 sed -n '/^X-Rcpt/p' "$T/sink/0001"
	[ "$output" = "$(printf 'X-Rcpt: <%s>\n' d@x.example h@x.example b@x.example '"q r"@x.example' c@x.example e@x.example f@x.example g@x.example)" ]
	content 0001 >"$T/got"
	tail -n 7 "$T/got" | cmp - <(sed -e 1d -e '/^Bcc: f/d' -e '/^ g@/d' "$T/m" | tail -n 7)
	! grep -q 'f@x\|g@x\|^From x' "$T/got" || false
	# A message that is sent on goes to whom it is sent on only.
	printf 'Resent-From: a@s.example\nResent-To: new@x.example\nFrom: a@s.example\nTo: old@x.example\n\n' | send -t
	[ "$(grep X-Rcpt "$T/sink/0002")" = 'X-Rcpt: <new@x.example>' ]
	run -65 send -t <<<$'From: a@b\nTo: undisclosed-recipients:;\n'
	run -65 send -t <<<$'From: a@b\nTo: a@b, <<broken, c@d\n'
	[ "$(kept)" -eq 2 ]
}

@test "bare CR and NUL: refused with a reason, encoded in what is said to be binary" {
	sink
	run -65 send b@x.example < <(printf 'From: a@b\nX: a\rb\n\nx\n')
	[[ $output == *'CR without LF'*'RFC 5321 2.3.8'* ]]
	run -65 send b@x.example < <(printf 'From: a@b\nX: a\0b\n\nx\n')
	[[ $output == *NUL* ]]
	[ ! -e "$T/sink/log" ]
	run -65 send b@x.example < <(printf 'From: a@b\n\na\rb\n')
	[[ $output == *'CR without LF'*'RFC 5321 2.3.8'* ]]
	run -65 send b@x.example < <(printf 'From: a@b\n\na\0b\n')
	[ ! -e "$T/sink/log" ]
	run -69 send b@x.example < <(printf 'From: a@b\nContent-Transfer-Encoding: binary\nContent-Type: multipart/signed; boundary=b\n\n--b\n\nx\ry\n--b\n\ns\n--b--\n')
	[[ $output == *'5.6.3'* || $output == *signature* ]]
	[ "$(kept)" -eq 0 ]
	send b@x.example < <(printf 'From: a@b\nContent-Transfer-Encoding: binary\n\na\rb\n')
	send b@x.example < <(printf 'From: a@b\nContent-Type: application/x\nContent-Transfer-Encoding: binary\n\na\0\n')
	grep -q $'^a=0Db\r$' "$T/sink/0001"
	grep -q $'^Content-Transfer-Encoding: base64\r$' "$T/sink/0002"
	grep -q $'^YQAK\r$' "$T/sink/0002"
}

@test "binary MIME goes out by BDAT, to the byte, where that is offered; its header must be lines with CRLF" {
	RELAY=${BUILD:-build}/bin/mta-relay
	"$RELAY" serve --listen=127.0.0.1:0 --ready-file="$T/ready" --hostname=two.example --domains=x.example --queue="$T/q2" 2>>"$T/err" 3>&- &
	PIDS+=($!)
	wait_for 60 test -s "$T/ready"
	port=$(sed -n 's/.*://p' "$T/ready" | head -n 1)
	printf 'From: a@s.example\r\nDate: x\r\nMessage-ID: <1@x>\r\nContent-Type: application/x\r\nContent-Transfer-Encoding: binary\r\n\r\na\n\0\r.\r\n\200' >"$T/binary"
	"$BIN/mua-send" --server="smtp://127.0.0.1:$port" --starttls=never -f a@s.example b@x.example <"$T/binary"
	file=$(find "$T/q2" -path '*/msg/*' -type f)
	grep -aq '^flags: binarymime$' "$file"
	perl -e 'undef $/; open A, "<", $ARGV[0]; open B, "<", $ARGV[1]; $a = <A>; $b = <B>; exit(index($a, $b) < 0)' "$file" "$T/binary"
	# The same into the queue of this host; and encoded where the header has other lines.
	ln -sf "$(readlink -f "$BIN/mua-send")" "$T/sendmail"
	printf '[mta-relay]\nqueue = %s\n' "$T/q3" >"$T/conf"
	"$T/sendmail" -C "$T/conf" -f a@s.example b@x.example <"$T/binary"
	file=$(find "$T/q3" -path '*/msg/*' -type f)
	grep -aq '^flags: binarymime$' "$file"
	rm "$file"
	sed 's/\r$//' "$T/binary" | "$T/sendmail" -C "$T/conf" -f a@s.example b@x.example
	file=$(find "$T/q3" -path '*/msg/*' -type f)
	run ! grep -aq '^flags:' "$file"
	grep -aq '^Content-Transfer-Encoding: base64' "$file"
}

@test "lines of any length and CRLF line ends stay; 20 MB go quickly" {
	sink
	{ printf 'From: a@s.example\r\nDate: x\r\nMessage-ID: <1@x>\r\n\r\n' && head -c 100000 /dev/zero | tr '\0' y && printf '\r\n'; } >"$T/long"
	send b@x.example <"$T/long"
	sed '1,/^$/d' "$T/sink/0001" | cmp - "$T/long"
	{ cat "$T/message" && head -c 15000000 /dev/urandom | base64; } >"$T/large"
	SECONDS=0
	send b@x.example <"$T/large"
	[ "$SECONDS" -lt 60 ]
	content 0002 | cmp - "$T/large"
	run -65 send --max-size=10k b@x.example <"$T/large"
	[[ $output == *'larger than 10240 bytes'* ]]
}

@test "8-bit content: as it is with 8BITMIME, re-encoded without, 5.6.7 where an address needs SMTPUTF8" {
	printf 'From: a@s.example\nDate: x\nMessage-ID: <1@x>\nMIME-Version: 1.0\nContent-Type: text/plain; charset=utf-8\nSubject: Grüße\n\nviele liebe Grüße aus der Ferne\n' >"$T/m"
	sink
	send b@x.example <"$T/m"
	content 0001 | cmp - "$T/m"
	grep -q 'X-From: .*BODY=8BITMIME' "$T/sink/0001"
	sink --ext=PIPELINING
	send b@x.example <"$T/m"
	! LC_ALL=C grep -q '[^ -~	]' <(content 0002) || false
	content 0002 | grep -qx 'viele liebe Gr=C3=BC=C3=9Fe aus der Ferne'
	content 0002 | grep -qx 'Subject: =?utf-8?b?R3LDvMOfZQ==?='
	run -69 send grün@x.example <"$T/m"
	[[ $output == *SMTPUTF8* ]]
	run -0 send --dry-run b@grün.example <"$T/m"
	[[ $output == *'RCPT TO:<b@xn--grn-ioa.example>'* ]]
	[ ! -e "$T/sink/0003" ]
	sink --ext=SMTPUTF8 --ext=8BITMIME
	send grün@x.example <"$T/m"
	grep -q 'X-From: .*SMTPUTF8' "$T/sink/0003"
}

@test "each recipient's own result, and the exit status" {
	sink --rule='RCPT:nobody@:550 5.1.1 no such user' --rule='RCPT:later@:451 4.3.0 not now' --rule='RCPT:policy@:554 5.7.1 no'
	run -67 send good@x.example nobody@x.example <"$T/message"
	[[ $output == *'mua-send: <nobody@x.example>: 550 5.1.1 no such user'* ]]
	[[ $output != *good@* ]]
	run -75 send good@x.example nobody@x.example later@x.example <"$T/message"
	run -69 send policy@x.example <"$T/message"
	run -67 --separate-stderr send --json good@x.example nobody@x.example <"$T/message"
	[ "$(jq -c '[.status, .message_id, (.recipients[] | [.recipient, .result, .code])]' <<<"$output")" = \
		'[67,"<1@sender.example>",["good@x.example","ok",250],["nobody@x.example","perm",550]]' ]
	sink --rule='DOT:.:554 5.6.0 spam'
	run -69 send good@x.example <"$T/message"
	sink --rule='MAIL:.:452 4.3.1 full'
	run -75 send good@x.example <"$T/message"
	sink --greeting='554 5.3.2 go away'
	run -69 send good@x.example <"$T/message"
	run -75 "$BIN/mua-send" --server=smtp://127.0.0.1:1 b@x.example <"$T/message"
	run -68 "$BIN/mua-send" --server=smtp://no-such-host.invalid b@x.example <"$T/message"
	run -64 "$BIN/mua-send" --server=http://x b@x.example <"$T/message"
	run -64 send <"$T/message"
	run -64 send 'no address' <"$T/message"
	run -64 send $'b@x.example\nRCPT TO:<evil@x.example>' <"$T/message"
	run -64 send --no-such-option b@x.example <"$T/message"
}

@test "more recipients than the server takes at once: further transactions, nobody twice" {
	sink --rule='RCPT:never@:452 4.5.3 too many'
	run -75 send a@x.example never@x.example b@x.example <"$T/message"
	[ "$(kept)" -eq 1 ]
	[ "$(grep -c 'RCPT TO:<a@x.example>' "$T/sink/log")" -eq 1 ]
	[ "$(grep -c 'RCPT TO:<never@x.example>' "$T/sink/log")" -eq 2 ]
}

@test "reports: NOTIFY, ORCPT, RET and ENVID as the server offers them" {
	sink --ext=DSN
	send --dsn=success,failure --ret=hdrs --envid='a b+c' b@x.example <"$T/message"
	grep -qx 'X-From: <a@sender.example> RET=HDRS ENVID=a+20b+2Bc' "$T/sink/0001"
	grep -qx 'X-Rcpt: <b@x.example> NOTIFY=SUCCESS,FAILURE ORCPT=rfc822;b@x.example' "$T/sink/0001"
	run -64 send --dsn=sometimes b@x.example <"$T/message"
	sink --ext=SIZE
	send --dsn=never b@x.example <"$T/message"
	grep -qx 'X-Rcpt: <b@x.example>' "$T/sink/0002"
}

@test "lmtp on a socket: an answer for each recipient" {
	sink --lmtp --rule='RCPT:nobody@:550 5.1.1 no such user'
	run -67 "$BIN/mua-send" --server=lmtp://127.0.0.1:$PORT b@x.example nobody@x.example c@x.example <"$T/message"
	content 0001 | cmp - "$T/message"
	grep -q LHLO "$T/sink/log"
}

@test "lmtp over a UNIX socket into mda-deliver" {
	"$BIN/mda-deliver" --lmtp --listen="unix:$T/lmtp" --mail="maildir:$T/mail/%n" 2>>"$T/log" 3>&- &
	PIDS+=($!)
	wait_for 60 listening "$T/lmtp"
	"$BIN/mua-send" --server="lmtp:unix:$T/lmtp" bob@x.example <"$T/message"
	tail -c "$(wc -c <"$T/message")" "$T"/mail/bob/new/* | cmp - "$T/message"
}

@test "composing: subject, text and files come back byte for byte" {
	sink
	head -c 3000 /dev/urandom >"$T/ä b.bin"
	printf 'caf\303\251 with\r\nmixed ends, none at last' >"$T/t.txt"
	printf 'plain\n' >"$T/p.txt"
	printf 'hällo\n' | send -s 'Grüße, ganz' -a "$T/ä b.bin" -a "$T/t.txt" -a "$T/p.txt" --to='Bob <b@x.example>' --cc=c@x.example --bcc=d@x.example
	run -0 grep '^X-Rcpt' "$T/sink/0001"
	[ "$output" = "$(printf 'X-Rcpt: <%s>\n' b@x.example c@x.example d@x.example)" ]
	content 0001 >"$T/got"
	! LC_ALL=C grep -q '[^ -~	]' "$T/got" || false
	! grep -q 'd@x' "$T/got" || false
	grep -qx 'To: Bob <b@x.example>' "$T/got"
	grep -q "filename\*=UTF-8''%C3%A4%20b.bin" "$T/got"
	[ -x "$BIN/mua-read" ] || skip "needs mua-read"
	mkdir -p "$T/box/new" "$T/box/cur" "$T/box/tmp"
	cp "$T/got" "$T/box/new/1"
	LC_ALL=C.UTF-8 run -0 "$BIN/mua-read" show 1 "maildir:$T/box"
	[[ $output == *'Grüße, ganz'*'hällo'* ]]
	"$BIN/mua-read" export 1 2 "maildir:$T/box" | cmp - "$T/ä b.bin"
	"$BIN/mua-read" export 1 3 "maildir:$T/box" | cmp - "$T/t.txt"
	"$BIN/mua-read" export 1 4 "maildir:$T/box" | cmp - "$T/p.txt"
	run -65 send -s x -a "$T/absent" b@x.example </dev/null
	[ ! -e "$T/sink/0002" ]
}

@test "authentication over STARTTLS; the secret is in no trace; a wrong one is 77" {
	[ -x "$BIN/mta-relay" ] || skip "needs mta-relay"
	msa
	submit --password-command="cat $T/secret" --trace="$T/trace" -v b@x.example <"$T/message" 2>"$T/said"
	[ "$(queued)" -eq 1 ]
	grep -q '^> AUTH SCRAM-SHA-256' "$T/said"
	for ev in compose conn.open tls auth deliver conn.close; do grep -q "\"ev\":\"$ev\"" "$T/trace"; done
	grep '"ev":"deliver"' "$T/trace" | grep -q '"mid":"<1@sender.example>"'
	! grep -qF -e "$SECRET" -e "$(printf '\0joe@sender.example\0%s' "$SECRET" | base64)" "$T/trace" "$T/said" || false
	run -77 submit --password-command='echo wrong' b@x.example <"$T/message"
	run -77 submit --auth=PLAIN --password-command='echo wrong' b@x.example <"$T/message"
	submit --auth=PLAIN --password-command="cat $T/secret" b@x.example <"$T/message"
	[ "$(queued)" -eq 2 ]
}

@test "a certificate that is not the right one is 77; a pinned one is" {
	[ -x "$BIN/mta-relay" ] || skip "needs mta-relay"
	msa
	openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 2 -subj /CN=other -keyout /dev/null -out "$T/other.pem" 2>/dev/null
	run -77 submit --tls-ca="$T/other.pem" --password-command="cat $T/secret" b@x.example <"$T/message"
	[[ $output == *certificate* ]]
	pin=$(openssl x509 -in "$CERT" -outform der | sha256sum | cut -d' ' -f1)
	submit --tls-ca="$T/other.pem" --tls-fingerprint="$pin" --password-command="cat $T/secret" b@x.example <"$T/message"
	run -77 submit --tls-fingerprint="${pin//[0-7]/9}" --password-command="cat $T/secret" b@x.example <"$T/message"
	[ "$(queued)" -eq 1 ]
}

@test "smtps, and the password from .netrc, which others may not read" {
	[ -x "$BIN/mta-relay" ] || skip "needs mta-relay"
	msa ,tls
	printf 'machine localhost login joe@sender.example password %s\n' "$SECRET" >"$HOME/.netrc"
	chmod 644 "$HOME/.netrc"
	smtps=(--server="smtps://joe%40sender.example@localhost:$PORT" --tls-ca="$CERT")
	run -78 "$BIN/mua-send" "${smtps[@]}" b@x.example <"$T/message"
	chmod 600 "$HOME/.netrc"
	"$BIN/mua-send" "${smtps[@]}" b@x.example <"$T/message"
	[ "$(queued)" -eq 1 ]
}

@test "TLS is required where it is not there: nothing is sent, no password in the clear" {
	sink --ext='AUTH PLAIN LOGIN'
	run -75 send --starttls=require b@x.example <"$T/message"
	[[ $output == *STARTTLS* ]]
	run -75 send --user=joe --password-command='echo secret' b@x.example <"$T/message"
	run -77 send --user=joe --password-command='echo secret' --starttls=never b@x.example <"$T/message"
	! grep -q -e AUTH -e MAIL "$T/sink/log" || false
	run -69 send --requiretls --starttls=never b@x.example <"$T/message"
	! grep -q MAIL "$T/sink/log" || false
}

@test "--direct: to the mail exchangers of each domain in order" {
	needs dnsmasq
	sink
	dnsmasq_up "$T/dnsmasq" --local=/example/ --mx-host=one.example,dead.example,10 --mx-host=one.example,mx.example,20 \
		--host-record=dead.example,127.0.0.2 --host-record=mx.example,127.0.0.1 --host-record=bare.example,127.0.0.1
	direct=("$BIN/mua-send" --direct "--resolver=127.0.0.1:$DNS_PORT" --port="$PORT")
	"${direct[@]}" --trace="$T/trace" a@one.example b@bare.example c@ONE.example <"$T/message"
	[ "$(kept)" -eq 2 ]
	[ "$(cat "$T"/sink/0* | grep -c '^X-Rcpt: <[ac]@')" -eq 2 ]
	grep -q '"ev":"conn.fail".*dead.example' "$T/trace"
	run -68 "${direct[@]}" a@nowhere.example <"$T/message"
}

@test "--dry-run sends nothing; --account takes its section" {
	printf '[mua-send]\nserver = smtp://127.0.0.1:1\n[account work]\nserver = smtp://127.0.0.1:2\nfrom = joe@work.example\n' >"$T/config/waypost.conf"
	run -0 "$BIN/mua-send" --dry-run b@x.example <"$T/message"
	[ "${lines[0]}" = 'MAIL FROM:<a@sender.example>' ]
	[ "${lines[1]}" = 'RCPT TO:<b@x.example>' ]
	run -0 "$BIN/mua-send" --dry-run -A work b@x.example <"$T/message"
	[ "${lines[0]}" = 'MAIL FROM:<joe@work.example>' ]
	run -75 "$BIN/mua-send" -A work b@x.example <"$T/message"
	[[ $output == *'127.0.0.1:2'* ]]
	printf '[mua-send]\nno-such = key\n' >"$T/config/waypost.conf"
	run -78 "$BIN/mua-send" b@x.example <"$T/message"
	[[ $output == *'waypost.conf:2'* ]]
}

# ---- sendmail ----

as() { # NAME: one of its other names
	ln -sf "$(cd "$BIN" && pwd)/mua-send" "$T/$1"
	printf '[mta-relay]\nqueue = %s\n%s\n' "$T/queue" "${2-}" >"$T/conf"
	mkdir -p "$T/queue"
}

@test "sendmail: into the queue, as cron, git and PHP call it" {
	[ -x "$BIN/mta-relay" ] || skip "needs mta-relay"
	as sendmail
	printf 'Subject: cron\n\nout\n.\nmore\n' | "$T/sendmail" -C "$T/conf" -FCronDaemon -i -B8BITMIME -oem root
	printf 'To: a@x.example\nBcc: b@x.example\n\nphp\n' | "$T/sendmail" -C"$T/conf" -t -i -f noreply@s.example
	printf 'Subject: git\n\n' | "$T/sendmail" -C "$T/conf" -i a@x.example b@x.example -f '<>' -oi -om -odi
	[ "$(queued)" -eq 3 ]
	as mailq
	run -0 "$T/mailq" -C "$T/conf"
	[[ $output == *'a@x.example'*'in 3 Requests.'* ]]
	run -0 "$T/sendmail" -C "$T/conf" -bp
	[[ $output == *'in 3 Requests.'* ]]
	grep -rqx $'\\.\r*' "$T/queue"
	grep -rq '^From: CronDaemon <' "$T/queue"
	! grep -rqi '^Bcc:' "$T/queue" || false
}

@test "sendmail: a lone dot ends the input unless -i" {
	as sendmail
	run -0 "$T/sendmail" --dry-run a@x.example < <(printf 'Subject: x\n\none\n.\ntwo\n')
	[[ $output == *one && $output != *two* ]]
	run -0 "$T/sendmail" --dry-run -oi a@x.example < <(printf 'Subject: x\n\none\n.\ntwo\n')
	[[ $output == *two ]]
}

@test "sendmail: the configured server before the queue; a failure is told" {
	as sendmail
	sink
	printf '[mua-send]\nserver = smtp://127.0.0.1:%s\n' "$PORT" >"$T/config/waypost.conf"
	"$T/sendmail" -f '' b@x.example <"$T/message"
	grep -q 'X-From: <> ' "$T/sink/0001"
	printf '[mta-relay]\nqueue = /dev/null/x\n' >"$T/bad"
	run ! "$T/sendmail" -C "$T/bad" b@x.example <"$T/message"
	[[ $output == *sendmail:* ]]
	run -64 "$T/sendmail" -Y b@x.example <"$T/message"
}

@test "sendmail: -bs, -bv, -bi, newaliases, -q" {
	[ -x "$BIN/mta-relay" ] || skip "needs mta-relay"
	as sendmail
	as newaliases
	run -0 "$T/newaliases"
	run -0 "$T/sendmail" -bi
	run -0 --separate-stderr "$T/sendmail" -C "$T/conf" -bs < <(printf 'EHLO x\r\nQUIT\r\n')
	[[ $output == 220*250*221* ]]
	run -0 "$T/sendmail" -C "$T/conf" -bv joe@x.example
	[[ $output == *joe@x.example*MX* ]]
	run -0 "$T/sendmail" -C "$T/conf" -q
}

@test "sendmail -bs takes mail from its caller, whatever the configuration asks of clients on the network" {
	[ -x "$BIN/mta-relay" ] || skip "needs mta-relay"
	as sendmail
	cp "$T/conf" "$T/strict"
	printf '[mta-relay]\nlisten = 127.0.0.1:0\nrequire-tls = yes\ntls-cert = /nowhere\nusers = /nowhere\n' >>"$T/strict"
	dialog() { printf 'EHLO x\r\nMAIL FROM:<a@s.example>\r\nRCPT TO:<b@x.example>\r\nDATA\r\nSubject: x\r\n\r\ny\r\n.\r\nQUIT\r\n'; }
	run -0 --separate-stderr "$T/sendmail" -C "$T/strict" -bs < <(dialog)
	[[ $output == *354*250*221* && $output != *STARTTLS* ]]
	[ "$(queued)" -eq 1 ]
	grep -rq '^From: a@s.example\|^From: <a@s.example>' "$T/queue"
	# Who is not the caller is nobody: tcpserver names him.
	TCPREMOTEIP=192.0.2.1 PROTO=TCP run --separate-stderr "$T/sendmail" -C "$T/strict" -bs < <(dialog)
	[[ $output != *354* ]]
	[ "$(queued)" -eq 1 ]
}

@test "postfix's smtp-sink takes a message" {
	needs smtp-sink
	port=$(free_port)
	mkdir -p "$T/pf"
	chmod 777 "$T/pf"
	user=()
	[ "$(id -u)" -ne 0 ] || user=(-u nobody)
	(cd "$T/pf" && exec smtp-sink "${user[@]}" -8 127.0.0.1:$port 10) 3>&- &
	PIDS+=($!)
	wait_for 60 bash -c "exec 3<>/dev/tcp/127.0.0.1/$port" 2>/dev/null
	run -0 "$BIN/mua-send" --server=smtp://127.0.0.1:$port b@x.example c@x.example <"$T/message"
}
