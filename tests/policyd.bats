#!/usr/bin/env bats
# mta-relay serve and policy services: what they are asked, what their actions do, and what happens without an answer.
# shellcheck disable=SC2154,SC2030,SC2031

load hooks

setup() { hooks_setup; }
teardown() { hooks_teardown; }

policyd() { # RULE...
	printf '%s\n' "$@" >"$T/rules"
	rm -f "$T/p"
	"$TOP/lib/test-policyd" "$T/p" "$T/told" "$T/rules" >/dev/null 2>>"$T/policyd.err" 3>&- &
	PIDS+=($!)
	wait_for 60 listening "$T/p"
}

# Commands of a transaction up to RCPT.
try() { # FROM RCPT...
	printf 'MAIL FROM:<%s>\n' "$1"
	shift
	printf 'RCPT TO:<%s>\n' "$@"
	echo RSET
}

@test "every attribute that is known, at each stage, on one connection" {
	policyd
	body | mail 'a@b.example' c@here.example | sed 's/^MAIL.*/& SIZE=77/' | session |
		serve --policy="unix:$T/p,stage=connect+helo+mail+rcpt+data+end,context=in" | grep 'queued as'
	[ "$(told | grep -c '^connection=1$')" -eq 6 ]
	told | grep '^protocol_state' | tr '\n' ' ' | grep -q '=CONNECT .*=EHLO .*=MAIL .*=RCPT .*=DATA .*=END-OF-MESSAGE '
	id=$(basename "$(in_queue)")
	told | awk -v RS= '/protocol_state=RCPT/' | sed "s/$id/ID/; /^ccert\|^connection/d" >"$T/rcpt"
	diff "$T/rcpt" - <<-E
		client_address=local
		client_name=unknown
		client_port=0
		encryption_cipher=
		encryption_keysize=0
		encryption_protocol=
		etrn_domain=
		helo_name=client.example
		instance=ID
		policy_context=in
		protocol_name=ESMTP
		protocol_state=RCPT
		queue_id=ID
		recipient=c@here.example
		recipient_count=0
		request=smtpd_access_policy
		reverse_client_name=unknown
		sasl_method=
		sasl_sender=
		sasl_username=
		sender=a@b.example
		server_address=
		server_port=0
		size=77
		stress=
	E
	told | awk -v RS= '/protocol_state=END/' >"$T/end"
	grep -q '^recipient_count=1$' "$T/end"
	grep -q '^recipient=c@here.example$' "$T/end"
	grep -q '^size=46$' "$T/end"
}

@test "who submits, and his certificate" {
	policyd
	echo 'alice@here.example:{PLAIN}secret::::::' >"$T/users"
	openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 2 -subj /CN=ca -keyout "$T/ca.key" \
		-out "$T/ca.pem" 2>/dev/null
	openssl req -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -subj /CN=alice -keyout "$T/c.key" -out "$T/csr" 2>/dev/null
	openssl x509 -req -in "$T/csr" -CA "$T/ca.pem" -CAkey "$T/ca.key" -CAcreateserial -days 2 -out "$T/c.pem" 2>/dev/null
	"$RELAY" serve --role=msa --listen=127.0.0.1:0 --ready-file="$T/ready" --hostname=mx.here.example --domains=here.example \
		--tls-cert="$T/ca.pem" --tls-key="$T/ca.key" --users="$T/users" --queue="$T/queue" --tls-client-ca="$T/ca.pem" \
		--policy="unix:$T/p" 2>>"$T/log" 3>&- &
	PIDS+=($!)
	wait_for 60 test -s "$T/ready"
	port=$(sed -n 's/.*://p' "$T/ready")
	{
		printf 'EHLO c.example\r\nAUTH PLAIN %s\r\n' "$(printf '\0alice@here.example\0secret' | base64)"
		printf 'MAIL FROM:<alice@here.example> AUTH=alice+2Bx@here.example\r\nRCPT TO:<c@far.example>\r\nQUIT\r\n'
	} | timeout 60 openssl s_client -connect "127.0.0.1:$port" -starttls smtp -quiet -ign_eof -cert "$T/c.pem" -key "$T/c.key" \
		2>/dev/null | grep -q '^221'
	told >"$T/seen"
	pair() { sed 's/../&:/g; s/:$//' | tr a-f A-F; }
	diff <(grep '^ccert\|^sasl' "$T/seen") - <<-E
		ccert_fingerprint=$(openssl x509 -in "$T/c.pem" -noout -fingerprint -sha256 | sed 's/.*=//')
		ccert_issuer=ca
		ccert_pubkey_fingerprint=$(openssl pkey -in "$T/c.key" -pubout -outform DER | sha256sum | sed 's/ .*//' | pair)
		ccert_subject=alice
		sasl_method=PLAIN
		sasl_sender=alice+x@here.example
		sasl_username=alice@here.example
	E
}

@test "refusals, with their codes and words" {
	policyd 'RCPT r0@ REJECT' 'RCPT r1@ REJECT 5.1.1 not you' 'RCPT r2@ DEFER later' 'RCPT r3@ 553 5.7.9 own words' \
		'RCPT r4@ OK' 'RCPT r5@ DEFER_IF_PERMIT 4.2.0 Greylisted' 'MAIL bad@ 550 no sender' 'EHLO . REJECT' 'RCPT r6@ 421 4.3.0 bye'
	out=$(try a@b.example r{0,1,2,3,4,5}@here.example | session | serve --policy="unix:$T/p")
	grep -q '^554 5.7.1 Access denied$' <<<"$out"
	grep -q '^554 5.1.1 not you$' <<<"$out"
	grep -q '^450 4.7.1 later$' <<<"$out"
	grep -q '^553 5.7.9 own words$' <<<"$out"
	grep -q '^450 4.2.0 Greylisted$' <<<"$out"
	[ "$(grep -c '^250 2.1.5' <<<"$out")" -eq 1 ]
	try bad@b.example r4@here.example | session | serve --policy="unix:$T/p,stage=mail+rcpt" | grep '^550 5.7.1 no sender$'
	try a@b.example r4@here.example | session | serve --policy="unix:$T/p,stage=helo" | grep '^554 5.7.1 Access denied$'
	out=$(try a@b.example r6@here.example r4@here.example | session | serve --policy="unix:$T/p")
	[ "$(tail -n 1 <<<"$out")" = '421 4.3.0 bye' ]
}

@test "several services: one that permits ends the round, one that defers leaves others their say" {
	policyd 'RCPT r1@ REJECT second' 'RCPT r2@ 550 second' 'RCPT r3@ REJECT second' 'RCPT r4@ REJECT second'
	cat >"$T/rules1" <<-E
		RCPT r1@ DEFER_IF_PERMIT 4.2.0 first
		RCPT r2@ DEFER_IF_REJECT
		RCPT r3@ PERMIT
	E
	"$TOP/lib/test-policyd" "$T/one" "$T/told1" "$T/rules1" 3>&- &
	PIDS+=($!)
	wait_for 60 listening "$T/one"
	out=$(try a@b.example r{1,2,3,4,5}@here.example | session | serve --policy="unix:$T/one" --policy="unix:$T/p")
	[ "$(sed -n 's/^\(...\) .*second.*/\1/p' <<<"$out" | tr '\n' ' ')" = '554 450 554 ' ]
	[ "$(grep -c '^250 2.1.5' <<<"$out")" -eq 2 ]
}

@test "hold, discard, redirect, bcc, prepend, warn and info" {
	policyd 'RCPT hold@ HOLD look at it' 'RCPT gone@ DISCARD' 'RCPT there@ REDIRECT new@far.example' 'RCPT bcc@ BCC copy@far.example' \
		'RCPT field@ PREPEND X-Policy: one' 'END-OF-MESSAGE field@ PREPEND X-End: two' 'RCPT warn@ WARN odd' 'RCPT info@ INFO this'
	send() { body | mail a@b.example "$@" | session | serve --policy="unix:$T/p,stage=rcpt+end"; }
	send hold@here.example x@here.example | grep 'queued as'
	only hold | grep -q '^rcpt: <x@here.example>'
	[ "$(queued)" -eq 0 ]
	send gone@here.example x@here.example | grep 'Ok: taken as'
	[ "$(queued)" -eq 0 ]
	send there@here.example x@here.example | grep 'queued as'
	[ "$(only | grep '^rcpt: ')" = 'rcpt: <new@far.example>' ]
	rm -r "$T/queue"
	send bcc@here.example | grep 'queued as'
	[ "$(only | grep '^rcpt: ' | sort | tr '\n' ' ')" = 'rcpt: <bcc@here.example> rcpt: <copy@far.example> notify=NEVER ' ]
	rm -r "$T/queue"
	send field@here.example | grep 'queued as'
	[ "$(only | header_of | head -n 3 | cut -c 1-14)" = $'X-Policy: one\nX-End: two\nReceived: from' ]
	rm -r "$T/queue"
	send warn@here.example info@here.example | grep 'queued as'
	grep -q 'policy name=.* to="warn@here.example" warn="odd"' "$T/log"
	grep -q 'policy name=.* to="info@here.example" info="this"' "$T/log"
}

@test "FILTER: the message goes through the queue to that next hop, for all recipients, and to no other" {
	mkdir -p "$T/sink"
	run_queue() { timeout 120 "$RELAY" run --once --now --queue="$T/queue" --domains=here.example --mda="lmtp:127.0.0.1:1" \
		--smarthost=smtp://127.0.0.1:1 "$@" 2>>"$T/log"; }
	"$TOP/lib/smtp-sink" --dir="$T/sink" --port-file="$T/sink/port" >/dev/null 2>&1 3>&- &
	PIDS+=($!)
	wait_for 60 test -s "$T/sink/port"
	PORT=$(cat "$T/sink/port")
	policyd "RCPT local@ FILTER smtp:[127.0.0.1]:$PORT" "RCPT unix@ FILTER lmtp:unix:$T/none"
	body | mail a@b.example local@here.example other@here.example | session |
		serve --policy="unix:$T/p" --mda="lmtp:127.0.0.1:1" --relay-to=far.example | grep 'queued as'
	only | grep -q "^next-hop: smtp://127.0.0.1:$PORT$"
	echo 'a@b.example x@y.example' >"$T/generic"
	run_queue --generic="$T/generic"
	[ "$(queued)" -eq 0 ]
	[ "$(grep '^X-' "$T/sink/0001" | cut -d ' ' -f 1-2 | tr '\n' ,)" = 'X-From: <a@b.example>,X-Rcpt: <local@here.example>,X-Rcpt: <other@here.example>,' ]
	# A next hop that is not there: it waits, and goes nowhere else.
	body | mail a@b.example unix@here.example | session | serve --policy="unix:$T/p" --mda="lmtp:127.0.0.1:1" | grep 'queued as'
	run_queue
	only | grep -q 'deferred'
	"$RELAY" queue --queue="$T/queue" --json list | grep -q "\"next-hop\": *\"lmtp:unix:$T/none\""
	# Nobody makes a command of it.
	sed -i "s|^next-hop: .*|next-hop: lmtp:\|touch%20$T/bad|" "$(in_queue)"
	run_queue
	only | grep -q '4.3.5.*next hop is none'
	[ ! -e "$T/bad" ]
}

@test "no answer, a bad one, or an action that is not known: 451, or what is configured" {
	policyd 'RCPT junk@ junk' 'RCPT filter@ FILTER other:[127.0.0.1]' 'RCPT hang@ hang' 'RCPT close@ close'
	out=$(try a@b.example junk@here.example filter@here.example close@here.example fine@here.example | session | serve --policy="unix:$T/p")
	[ "$(grep -c '^451 4.3.5 Server configuration problem$' <<<"$out")" -eq 3 ]
	[ "$(grep -c '^250 2.1.5' <<<"$out")" -eq 1 ]
	grep -q 'policy name=.* address="other:\[127.0.0.1\]" error="that is no next hop"' "$T/log"
	try a@b.example hang@here.example | session | serve --policy="unix:$T/p,timeout=1s" | grep '^451 4.3.5'
	try a@b.example c@here.example | session | serve --policy="unix:$T/none" | grep '^451 4.3.5'
	try a@b.example c@here.example | session | serve --policy="unix:$T/none,default=reject" | grep '^554 5.3.5'
	try a@b.example c@here.example | session | serve --policy="inet:127.0.0.1:1,default=accept" | grep '^250 2.1.5'
}

@test "a connection that has ended is opened anew; trusted clients need not be asked" {
	policyd
	mkfifo "$T/in"
	serve --policy="unix:$T/p" <"$T/in" >"$T/out" 3>&- &
	PIDS+=($!)
	exec 9>"$T/in"
	{ echo 'EHLO x'; try a@b.example c@here.example; } >&9
	wait_for 60 grep -q '^250 2.0.0' "$T/out"
	pkill -9 -P "${PIDS[0]}" || true
	kill -9 "${PIDS[0]}"
	policyd
	{ try a@b.example d@here.example; echo QUIT; } >&9
	exec 9>&-
	wait_for 60 grep -q '^221' "$T/out"
	[ "$(grep -c '^250 2.1.5' "$T/out")" -eq 2 ]
	told | grep -q '^recipient=d@here.example'
	echo 'RCPT . REJECT' >"$T/rules"
	"$RELAY" serve --listen=127.0.0.1:0 --ready-file="$T/ready" --hostname=mx.here.example --trust=127.0.0.1 \
		--domains=here.example --queue="$T/queue" --policy="unix:$T/p,clients=strangers" 2>>"$T/log" 3>&- &
	PIDS+=($!)
	wait_for 60 test -s "$T/ready"
	echo hi | "${RELAY%/*}/mua-send" --server="smtp://127.0.0.1:$(sed -n 's/.*://p' "$T/ready")" --starttls=never \
		-f a@b.example -s hi c@here.example
}

@test "postgrey: for now, and later yes" {
	command -v postgrey >/dev/null || skip "needs postgrey"
	mkdir "$T/db"
	postgrey --unix="$T/grey" --dbdir="$T/db" --delay=2 --user="$(id -un)" --group="$(id -gn)" --whitelist-clients=/dev/null \
		--whitelist-recipients=/dev/null >"$T/postgrey.log" 2>&1 3>&- &
	PIDS+=($!)
	wait_for 60 listening "$T/grey" || skip "postgrey does not start: $(cat "$T/postgrey.log")"
	"$RELAY" serve --listen=127.0.0.1:0 --ready-file="$T/ready" --hostname=mx.here.example \
		--domains=here.example --queue="$T/queue" --policy="unix:$T/grey" 2>>"$T/log" 3>&- &
	PIDS+=($!)
	wait_for 60 test -s "$T/ready"
	url="smtp://127.0.0.1:$(sed -n 's/.*://p' "$T/ready")"
	run "${RELAY%/*}/mua-send" --server="$url" --starttls=never -f a@b.example -s hi c@here.example </dev/null
	[ "$status" -eq 75 ]
	[[ $output == *4.2.0*reylist* ]]
	sleep 3 # longer than --delay
	"${RELAY%/*}/mua-send" --server="$url" --starttls=never -f a@b.example -s hi c@here.example </dev/null
	only | header_of | head -n 1 | grep '^X-Greylist: delayed [0-9]* seconds by postgrey'
}

@test "what is wrong with the option is told at the start" {
	for spec in "" "unix:/x,stage=vrfy" "unix:/x,default=hold" 10023; do
		run timeout 120 "$RELAY" serve --policy="$spec" </dev/null
		[ "$status" -eq 64 ]
		[[ $output == *policy* ]]
	done
}
