#!/usr/bin/env bats
# mta-relay serve and milters: a real libmilter that does everything that one may, and what happens when it does not answer.
# shellcheck disable=SC2154,SC2030,SC2031

load hooks

setup() {
	hooks_setup
	/usr/bin/python3 -c 'import Milter' 2>/dev/null || skip "needs python3-milter"
}

teardown() { hooks_teardown; }

milter() { # NAME [OPTION...]: at $T/NAME
	local name=$1
	shift
	/usr/bin/python3 "$TOP/lib/test-milter" "$T/$name" "$T/told" "$@" >/dev/null 2>>"$T/milter.err" 3>&- &

	PIDS+=($!)
	wait_for 60 listening "$T/$name"
}

@test "each step is told, with its arguments and macros" {
	milter m
	out=$(body | mail 'a@b.example> SIZE=1000 BODY=8BITMIME RET=HDRS ENVID=e' 'carol@here.example> NOTIFY=NEVER' |
		sed 's/>>$/>/; s/NEVER>/NEVER/; s/ENVID=e>/ENVID=e/' | { session; } | serve --milter="unix:$T/m")
	[ "$(grep -c '^250 2.0.0 Ok: queued as' <<<"$out")" -eq 1 ]
	id=$(sed -n 's/^250 2.0.0 Ok: queued as //p' <<<"$out")
	wait_for 60 grep -q close "$T/told"
	told | grep -v '^macros' | sed 's/^connect [0-9]* [0-9]*/connect/; s/close .*/close/' >"$T/steps"
	diff "$T/steps" - <<-E
		connect localhost 0 None
		helo client.example
		mail <a@b.example> SIZE=1000 BODY=8BITMIME RET=HDRS ENVID=e
		rcpt <carol@here.example> NOTIFY=NEVER
		data
		header Subject: test
		header Message-ID: <1@test>
		eoh
		eom 7 1
		close
	E
	told | grep -q "^macros i=$id auth_type\|^macros i=$id {auth_type}=None {auth_authen}=None {auth_author}=None {mail_addr}=a@b.example {mail_host}=b.example {mail_mailer}=esmtp\$"
	told | grep -q '^macros {rcpt_addr}=carol@here.example {rcpt_host}=here.example {rcpt_mailer}=local$'
	told | grep -q '^macros j=mx.here.example _=unknown \[local\] {daemon_name}=MTA {client_addr}=local '
	# The file in the queue bears the name that the milter was told.
	[ "$(basename "$(in_queue)")" = "$id" ]
	told | tail -n 2 | grep -q "^macros i=$id\$" || told | grep -q "^macros i=$id\$"
}

@test "header fields: inserted, added, changed, deleted; our Received field counts where one is inserted" {
	milter m
	body insert:0:X-Top:top insert:1:X-One:one 'insert:3:X-Three:a|	b' add:X-End:end change:1:Subject:new change:2:X-None:added \
		change:1:Message-ID: change:1:X-Not-There: | mail a@b.example c@here.example | session |
		serve --milter="unix:$T/m" | grep 'queued as'
	only | header_of | grep -v '^	' | sed 's/^Received:.*/Received/' | grep -v ^X-Do >"$T/header"
	diff "$T/header" - <<-E
		X-Top: top
		Received
		X-One: one
		Subject: new
		X-Three: a
		X-End: end
		X-None: added

	E
	only | grep -A1 '^X-Three: a$' | grep -q '^	b$'
	[ "$(only | body_of)" = hello ]
}

@test "the body is replaced, in one piece or in many" {
	milter m
	body 'body:one|two' | mail a@b.example c@here.example | session | serve --milter="unix:$T/m" | grep 'queued as'
	[ "$(only | body_of)" = $'one\ntwo' ]
	rm -r "$T/queue"
	body bigbody:3000000 add:X-A:1 | mail a@b.example c@here.example | session | serve --milter="unix:$T/m" | grep 'queued as'
	only | grep -q '^X-A: 1$'
	[ "$(only | body_of | grep -c '^012345678901234567890123456789012345678901234567890123456789$')" -eq $((3000000 / 62)) ]
}

@test "sender and recipients are changed" {
	milter m
	out=$(body 'addrcpt:<new@here.example>' 'addrcptpar:far@far.example:NOTIFY=NEVER' 'delrcpt:<gone@here.example>' \
		'from:<other@b.example>' | mail a@b.example c@here.example gone@here.example | session | serve --milter="unix:$T/m")
	grep -q 'queued as' <<<"$out"
	only | sed -n 's/^\(from\|rcpt\): //p' | sort >"$T/envelope"
	diff "$T/envelope" - <<-E
		<c@here.example>
		<far@far.example> notify=NEVER
		<new@here.example>
		<other@b.example>
	E
	rm -r "$T/queue"
	body 'fromargs:n@b.example:RET=HDRS ENVID=xyz' | mail a@b.example c@here.example | session | serve --milter="unix:$T/m" |
		grep 'queued as'
	only | grep -q '^envid: xyz$'
	only | grep -q '^ret: HDRS$'
}

@test "local mail goes to the MDA as the milter made it" {
	milter m
	sink="$TOP/lmtp-sink"
	printf 'alice@here.example::::::\nbob@here.example::::::\nfull@here.example::::::\n' >"$T/users"
	body add:X-A:1 addrcpt:bob@here.example delrcpt:full@here.example |
		mail a@b.example alice@here.example full@here.example | session |
		serve --milter="unix:$T/m" --users="$T/users" --mda="lmtp:|$sink $T/out" | grep 'delivered as'
	tr -d '\r' <"$T/out" >"$T/text"
	grep -q '^[0-9]* <a@b.example> alice@here.example bob@here.example$' "$T/text"
	grep -q '^X-A: 1$' "$T/text"
	[ "$(queued)" -eq 0 ]
	# Who was added and is refused does not get lost.
	body addrcpt:full@here.example | mail a@b.example alice@here.example | session |
		serve --milter="unix:$T/m" --users="$T/users" --mda="lmtp:|$sink $T/out" | grep 'queued as'
	only | grep -q '^rcpt: <full@here.example>'
	# Nobody may be added who is not there.
	body addrcpt:nobody@here.example | mail a@b.example alice@here.example | session |
		serve --milter="unix:$T/m" --users="$T/users" --mda="lmtp:|$sink $T/out" | grep 'delivered as'
	grep -q "change='+'.*no such user" "$T/log"
}

@test "a message without recipients is dropped, one that is quarantined waits in hold/" {
	milter m
	body delrcpt:c@here.example | mail a@b.example c@here.example | session | serve --milter="unix:$T/m" | grep '^250 2.0.0 Ok: taken as'
	[ "$(queued)" -eq 0 ]
	grep -q '^.*discard qid=.*no recipient was left' "$T/log"
	body quarantine:looks-odd | mail a@b.example c@here.example | session | serve --milter="unix:$T/m" | grep 'queued as'
	[ "$(queued)" -eq 0 ]
	only hold | grep -q '^rcpt: <c@here.example>'
	grep -q 'hold qid=.*looks-odd' "$T/log"
	"$RELAY" queue --queue="$T/queue" release all
	[ "$(queued)" -eq 1 ]
}

@test "verdicts on sender, recipients and message; a recipient's is his alone" {
	milter m
	out=$({
		body | mail reject@b.example c@here.example | sed '/^Subject/,$d' | grep -v '^DATA'
		body | mail multi@b.example c@here.example | sed '/^Subject/,$d' | grep -v '^DATA'
		echo RSET
		body | mail a@b.example reject@here.example tempfail@here.example c@here.example reply@here.example
		for what in reject tempfail reply multi; do body $what | mail a@b.example d@here.example; done
		body | sed 's/^Subject: .*/Subject: header=reject/' | mail a@b.example d@here.example
	} | session | serve --milter="unix:$T/m")
	[ "$(grep -c '^550 5.7.1 Command rejected$' <<<"$out")" -eq 4 ]
	[ "$(grep -c '^451 4.7.1 Service unavailable - try again later$' <<<"$out")" -eq 2 ]
	[ "$(grep -c '^554 5.7.9 we do not like it, 100%$' <<<"$out")" -eq 2 ]
	[ "$(grep -c '^451-4.7.9 line one$' <<<"$out")" -eq 2 ]
	[ "$(grep -c '^451 4.7.9 line two$' <<<"$out")" -eq 2 ]
	[ "$(queued)" -eq 1 ]
	[ "$(only | grep -c '^rcpt: ')" -eq 1 ]
	only | grep -q '^rcpt: <c@here.example>'
	[ "$(told | grep -c '^connect')" -eq 1 ]
	# What ends before its end is aborted; libmilter knows by itself of what it has refused.
	[ "$(told | grep -c '^abort')" -eq 0 ]
	printf 'EHLO x\nMAIL FROM:<a@b>\nRCPT TO:<c@here.example>\nRSET\nMAIL FROM:<a@b>\nQUIT\n' | serve --milter="unix:$T/m"
	wait_for 60 eval '[ "$(told | grep -c "^abort")" -eq 2 ]'
}

@test "a HELO is refused, a message is accepted early or discarded" {
	milter m
	printf 'EHLO reject.example\nEHLO fine.example\nMAIL FROM:<a@b>\nQUIT\n' | serve --milter="unix:$T/m" >"$T/out"
	grep -q '^550 5.7.1 Command rejected$' "$T/out"
	grep -q '^250 2.1.0 Ok$' "$T/out"
	: >"$T/told"
	out=$({
		body | mail accept@b.example c@here.example
		body | mail discard@b.example c@here.example
		body | mail a@b.example discard@here.example c@here.example
		body discard | mail a@b.example c@here.example
		body | mail last@b.example c@here.example
	} | session | serve --milter="unix:$T/m")
	[ "$(grep -c '^250 2.0.0 Ok: queued' <<<"$out")" -eq 2 ]
	[ "$(grep -c '^250 2.0.0 Ok: taken' <<<"$out")" -eq 3 ]
	[ "$(queued)" -eq 2 ]
	[ "$(told | grep -c '^eom')" -eq 2 ]
	[ "$(grep -c 'discard qid=' "$T/log")" -eq 3 ]
}

@test "several milters: each sees what those before it made, on one connection for all messages" {
	milter m
	milter n
	out=$({
		body add:X-Seen:1 | mail a@b.example c@here.example
		body | mail a@b.example c@here.example
		body reject | mail a@b.example c@here.example
	} | session | serve --milter="unix:$T/m" --milter="unix:$T/n")
	[ "$(grep -c 'queued as' <<<"$out")" -eq 2 ]
	[ "$(grep -c '^550 5.7.1' <<<"$out")" -eq 1 ]
	[ "$(told | grep -c '^header X-Seen: 1')" -eq 1 ]
	[ "$(told | grep -c '^connect')" -eq 2 ]
	[ "$(told | grep -c '^eom')" -eq 5 ]
	# The second one has added it too.
	[ "$(grep -rl "^X-Seen" "$T/queue" | wc -l)" -eq 1 ]
}

@test "those who answer little, hear little, or name their macros" {
	for mode in quiet few symlist; do
		milter $mode --mode=$mode
	done
	head -c 200000 /dev/zero | tr '\0' x | fold -w 70 >"$T/body"
	echo >>"$T/body"
	{
		body
		cat "$T/body"
	} | mail a@b.example c@here.example | session |
		serve --milter="unix:$T/quiet" --milter="unix:$T/few" --milter="unix:$T/symlist" | grep 'queued as'
	size=$(($(wc -c <"$T/body") + $(wc -l <"$T/body") + 7))
	told | grep -q "^eom $size 0\$"
	told | grep -q "^eom $size 4\$"
	only | grep -q '^X-Few: yes'
	told | grep -q '^macros j=mx.here.example _=None {daemon_name}=None {client_addr}=local'
	told | grep -q '^macros {rcpt_addr}=None {rcpt_host}=None {rcpt_mailer}=local'
}

@test "rejected recipients are told to who asked for them, with leading blanks, and the rest of a body is skipped" {
	milter m --mode=rejected
	{
		body 'add: X-A: 1' | sed 's/^Subject: test/Subject:   test/'
		head -c 200000 /dev/zero | tr '\0' x | fold -w 70 | sed '3s/.*/ENOUGH/'
		echo
	} | mail a@b.example far@far.example c@here.example | session | serve --milter="unix:$T/m" >"$T/out"
	grep -q '^550 5.7.1 <far@far.example>: relaying denied' "$T/out"
	grep -q 'queued as' "$T/out"
	told | grep -q '^rcpt <far@far.example>$'
	told | grep -q '^macros {rcpt_addr}=<far@far.example>: relaying denied {rcpt_host}=5.7.1 {rcpt_mailer}=error$'
	told | grep -q '^header Subject:    test$'
	told | grep -q '^skip$'
	told | grep -q '^eom 65535 1$'
	only | grep -q '^Subject:   test$'
	only | grep -q '^rcpt: <c@here.example>'
	told | grep -q "^unknown" && return 1
	printf 'FROBNICATE\nQUIT\n' | serve --milter="unix:$T/m" | grep '^500'
	told | grep -q '^unknown FROBNICATE'
}

@test "a milter that is not there: its default, and it is found when it comes back" {
	send() { body | mail a@b.example c@here.example | session | serve "$@"; }
	send --milter="unix:$T/none" | grep '^451 4.7.1 Service unavailable'
	send --milter="unix:$T/none,default=reject" | grep '^550 5.7.1 Service unavailable'
	[ "$(queued)" -eq 0 ]
	send --milter="inet:127.0.0.1:1,default=accept" | grep 'queued as'
	[ "$(queued)" -eq 1 ]
	send --milter="unix:$T/none,default=quarantine" | grep 'queued as'
	[ "$(queued hold)" -eq 1 ]
	grep -q 'milter name="unix:.*/none" stage=CONNECT error=' "$T/log"
	# In one conversation: absent for the first message, there for the second.
	mkfifo "$T/in"
	serve --milter="unix:$T/m" <"$T/in" >"$T/out" 3>&- &
	PIDS+=($!)
	exec 9>"$T/in"
	printf 'EHLO late.example\nMAIL FROM:<a@b.example>\n' >&9
	wait_for 60 grep -q '^451 4.7.1 Service' "$T/out"
	milter m
	body add:X-Back:1 | mail a@b.example c@here.example >&9
	echo QUIT >&9
	exec 9>&-
	wait_for 60 grep -q '^221' "$T/out"
	told | grep -q '^helo late.example$'
	grep -rq "^X-Back: 1" "$T/queue"
}

@test "one that dies or hangs at any stage: nothing slips by, nothing is changed by halves, nothing is lost" {
	for where in "die@b.example c@here.example" "a@b.example die@here.example c@here.example" "a@b.example c@here.example"; do
		for default in tempfail accept; do
			milter m
			rm -rf "$T/queue"
			# shellcheck disable=SC2086
			out=$(body add:X-Half:1 body:gone die | mail $where | session | serve --milter="unix:$T/m,default=$default")
			if [ $default = tempfail ]; then
				grep -q '^451 4.7.1 Service unavailable' <<<"$out"
				[ "$(queued)" -eq 0 ]
			else
				grep -q 'queued as' <<<"$out"
				only | grep -q '^hello$'
				only | grep -q '^X-Half' && return 1
			fi
			rm -f "$T/m"
		done
	done
	milter m
	out=$(body hang | mail a@b.example c@here.example | session | serve --milter="unix:$T/m,content-timeout=1s")
	grep -q '^451 4.7.1 Service unavailable' <<<"$out"
	out=$(body | mail hang@b.example c@here.example | session | serve --milter="unix:$T/m,timeout=1s,default=accept")
	grep -q 'queued as' <<<"$out"
	# Progress is time well spent.
	body progress | mail a@b.example c@here.example | session | serve --milter="unix:$T/m,content-timeout=8s" | grep 'queued as'
}

@test "what is no milter, or breaks the protocol, is broken" {
	liar() { # BYTES: a server that says them to whoever comes
		rm -f "$T/liar"
		perl -MIO::Socket::UNIX -e '
			my $l = IO::Socket::UNIX->new(Local => $ARGV[0], Listen => 5) or die;
			while (my $s = $l->accept) { sysread($s, my $b, 100); syswrite($s, eval "\"$ARGV[1]\""); sysread($s, $b, 9999) for 1 .. 3 }' \
			"$T/liar" "$1" 3>&- &
		PIDS+=($!)
		wait_for 60 listening "$T/liar"
	}
	ok='\0\0\0\15O\0\0\0\6\0\0\1\377\0\0\0\0'
	for bytes in '220 smtp\r\n' '\0\0\0\0O' '\377\377\377\377O' '\0\0\0\1O' '\0\0\0\15O\0\0\0\7\0\0\1\377\0\0\0\0' "$ok"'\0\0\0\1z' \
		"$ok"'\0\0\0\2cx' "$ok"'\0\0\0\7hX\0y\0' "$ok"'\0\0\0\10y250 ok\0'; do
		liar "$bytes"
		out=$(body | mail a@b.example c@here.example | session | serve --milter="unix:$T/liar,timeout=2s")
		grep -q '^451 4.7.1 Service unavailable' <<<"$out"
	done
	[ "$(queued)" -eq 0 ]
}

@test "over TCP and TLS with a login; the connection is used again for another client" {
	command -v openssl >/dev/null || skip "needs openssl"
	milter m
	openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 2 -subj /CN=localhost \
		-keyout "$T/key.pem" -out "$T/cert.pem" 2>/dev/null
	echo 'alice@here.example:{PLAIN}secret::::::' >"$T/users"
	"$RELAY" serve --role=msa --listen=127.0.0.1:0 --ready-file="$T/ready" --hostname=mx.here.example --workers=1 \
		--tls-cert="$T/cert.pem" --tls-key="$T/key.pem" --users="$T/users" \
		--domains=here.example --queue="$T/queue" --milter="unix:$T/m,reuse,daemon-name=OUT" 2>>"$T/log" 3>&- &
	PIDS+=($!)
	wait_for 60 test -s "$T/ready"
	port=$(sed -n 's/.*://p' "$T/ready")
	for _ in 1 2; do
		"${RELAY%/*}/mua-send" --server="smtp://alice%40here.example@localhost:$port" --starttls=require \
			--tls-ca="$T/cert.pem" --password-command='echo secret' -f alice@here.example -s hi c@far.example </dev/null
		rm -f "$T/m" # nobody connects anew
	done
	told | grep -q '^macros {tls_version}=TLSv1.3 {cipher}=TLS_AES_256_GCM_SHA384 {cipher_bits}=256$'
	told | grep -q '{auth_type}=[A-Z].* {auth_authen}=alice@here.example {auth_author}=None'
	told | grep -q '^macros j=mx.here.example _=unknown \[127.0.0.1\] {daemon_name}=OUT {client_addr}=127.0.0.1 .*{if_addr}=127.0.0.1'
	# What a signer must sign is there.
	told | grep -q '^header Date: '
	told | grep -q '^header Message-ID: <.*@mx.here.example>$\|^header Message-I[dD]: '
	[ "$(told | grep -c '^connect')" -eq 2 ]
	[ "$(queued)" -eq 2 ]
	grep -q 'milter name=' "$T/log" && return 1
	true
}

@test "what is wrong with the option is told at the start" {
	for spec in "" inet:x unix: "unix:/x,default=perhaps" "unix:/x,colour=red" tcp:host:1; do
		run timeout 120 "$RELAY" serve --milter="$spec" </dev/null
		[ "$status" -eq 64 ]
		[[ $output == *milter* ]]
	done
}

@test "opendkim signs what is submitted, and verifies it" {
	command -v opendkim >/dev/null && command -v openssl >/dev/null || skip "needs opendkim and openssl"
	openssl genrsa -out "$T/key" 2048 2>/dev/null
	printf 's._domainkey.here.example v=DKIM1; k=rsa; p=%s\n' "$(openssl rsa -in "$T/key" -pubout 2>/dev/null | grep -v -- -- | tr -d '\n')" >"$T/public"
	chmod 600 "$T/key"
	cat >"$T/dkim.conf" <<-E
		Mode sv
		Domain here.example
		KeyFile $T/key
		Selector s
		Socket local:$T/dkim
		InternalHosts 192.0.2.1
		MTA ORIGINATING
		Canonicalization simple/simple
		TestPublicKeys $T/public
		RequireSafeKeys no
		Background no
		Syslog no
		AuthservID mx.here.example
	E
	opendkim -x "$T/dkim.conf" >"$T/dkim.log" 2>&1 3>&- &
	PIDS+=($!)
	wait_for 60 listening "$T/dkim" || skip "opendkim does not start: $(cat "$T/dkim.log")"
	printf 'Subject: folded\n and   odd\nFrom: alice@here.example\nDate: Mon, 30 Nov 2026 10:00:00 +0000\n\nhello\n\n' |
		mail alice@here.example bob@here.example | session |
		serve --milter="unix:$T/dkim,daemon-name=ORIGINATING" | grep 'queued as'
	# All that stands in the queue comes in again.
	only | sed '1,/^$/d' | sed '$d' >"$T/signed"
	head -n 1 "$T/signed" | grep -q '^DKIM-Signature: v=1; a=rsa-sha256; c=simple/simple; d=here.example; s=s;'
	rm -r "$T/queue"
	mail alice@here.example bob@here.example <"$T/signed" | session | serve --milter="unix:$T/dkim" | grep 'queued as'
	only | grep -A1 '^Authentication-Results: mx.here.example' | grep -q 'dkim=pass'
	# One byte of the body is another one.
	rm -r "$T/queue"
	sed 's/^hello$/hullo/' "$T/signed" | mail alice@here.example bob@here.example | session | serve --milter="unix:$T/dkim" | grep 'queued as'
	only | grep -A1 '^Authentication-Results: mx.here.example' | grep -q 'dkim=fail'
}

@test "rspamd refuses its test message and marks the others" {
	command -v rspamd >/dev/null || skip "needs rspamd"
	mkdir "$T/rspamd"
	cat >"$T/rspamd.conf" <<-E
		options { pidfile = "$T/rspamd/pid"; filters = ""; cache_file = "$T/rspamd/cache"; control_socket = "$T/rspamd/control";
			dns { nameserver = ["127.0.0.1:1"]; timeout = 0.1s; retransmits = 1; } }
		logging { type = "file"; filename = "$T/rspamd/log"; level = "info"; }
		actions { reject = 15; add_header = 6; }
		worker "rspamd_proxy" { bind_socket = "$T/rspamd/milter mode=0666"; milter = yes; count = 1; timeout = 30s;
			upstream "local" { default = yes; self_scan = yes; } }
	E
	rspamd -f -i -c "$T/rspamd.conf" >"$T/rspamd/out" 2>&1 3>&- &
	PIDS+=($!)
	wait_for 120 listening "$T/rspamd/milter" || skip "rspamd does not start: $(tail -n 2 "$T/rspamd/out" "$T/rspamd/log")"
	out=$({
		printf 'From: a@b.example\nSubject: spam\n\nXJS*C4JDBQADN1.NSBN3*2IDNEN*GTUBE-STANDARD-ANTI-UBE-TEST-EMAIL*C.34X\n' |
			mail a@b.example c@here.example
		printf 'From: a@b.example\nSubject: ham\n\nhello\n' | mail a@b.example c@here.example
	} | session | serve --milter="unix:$T/rspamd/milter")
	grep -q '^554 5.7.1 Gtube pattern$' <<<"$out"
	[ "$(grep -c 'queued as' <<<"$out")" -eq 1 ]
	[ "$(queued)" -eq 1 ]
}
