#!/usr/bin/env bats
# The way a destination is talked to: TLS policies, senders' smarthosts, source address, IP versions, sessions that are
# resumed, conversations that serve several domains, destinations behind others.
# shellcheck disable=SC2154

load queue

setup() {
	queue_setup
	perl -MSocket -e1 || skip "needs perl"
	T=$BATS_TEST_TMPDIR ROUTES=$BATS_TEST_TMPDIR/routes
	: >"$ROUTES"
	cat >"$T/zone" <<-ZONE
		one.example MX 10 mx.example
		two.example MX 10 mx.example
		two.example MX 20 other.example
		three.example MX 10 other.example
		mx.example A 127.0.0.1
		other.example A 127.0.0.1
		both.example MX 10 both-mx.example
		both-mx.example A 127.0.0.1
		both-mx.example AAAA ::1
		far.example MX 10 far-mx.example
		far-mx.example A 127.0.0.98
		far-mx.example A 127.0.0.99
	ZONE
	"$TOP/dnsd" "$T/zone" "$T/dns" >/dev/null 2>&1 3>&- &
	PIDS+=($!)
	wait_for 60 test -s "$T/dns"
	DNS=127.0.0.1:$(cat "$T/dns")
}
teardown() { queue_teardown; }

certificate() { # a certificate for mx.example that is its own authority
	openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 2 -subj /CN=mx.example \
		-addext subjectAltName=DNS:mx.example,DNS:localhost -keyout "$T/key.pem" -out "$T/cert.pem" 2>/dev/null
	CERT_PRINT=$(openssl x509 -in "$T/cert.pem" -noout -fingerprint -sha256 | sed 's/.*=//')
	KEY_PRINT=$(openssl x509 -in "$T/cert.pem" -noout -pubkey | openssl pkey -pubin -outform DER |
		openssl dgst -sha256 | sed 's/.*= //')
}

# The next hop: a server of ours whose queue, $T/got, keeps what it took. $PORT is its port.
next_hop() {
	rm -f "$T/ready"
	"$RELAY" serve --listen=127.0.0.1:0 --ready-file="$T/ready" --hostname=mx.example --queue="$T/got" \
		--trust=127.0.0.0/8,::1 --workers=2 "$@" 2>>"$T/hop.log" 3>&- &
	PIDS+=($!)
	wait_for 60 test -s "$T/ready"
	PORT=$(sed -n 's/.*://p' "$T/ready" | head -n 1)
}

tls_hop() { next_hop --tls-cert="$T/cert.pem" --tls-key="$T/key.pem" "$@"; }

run_routes() {
	timeout 120 "$RELAY" run --once --queue="$Q" --hostname=us.example --resolver="$DNS" --port="$PORT" \
		--routes="$ROUTES" --trace="$T/trace" "$@" 2>>"$T/log"
}

taken() { cat "$T"/got/*/msg/* 2>/dev/null | grep -c '^Subject: '; }

# deliver LINE...: one message by these routes
deliver() {
	printf '%s\n' "$@" >"$ROUTES"
	rm -rf "$T/trace" "$T/log" "$Q" "$T"/got/*/msg/*
	message | inject a@sender.example b@one.example
	run_routes
}
# went TLS: it arrived, and the log says how
went() { [ "$(waiting)" -eq 0 ] && [ "$(taken)" -eq 1 ] && grep -q "^.*deliver .*tls=$1.* status=handed" "$T/log"; }
# waits STATUS TEXT: it did not, and is told why
waits() {
	[ "$(waiting)" -eq 1 ] && [ "$(taken)" -eq 0 ] || return 1
	queue | grep -q "deferred.*$1.*$2"
}

@test "TLS policies with a server that offers it, its certificate by nobody known" {
	certificate
	tls_hop
	deliver 'one.example mx'
	went '"TLSv1.3 TLS_[A-Z0-9_]*"'
	grep '"ev":"tls"' "$T/trace" | grep -q 'was not verified'
	deliver 'one.example mx tls=encrypt'
	went '"TLSv1.3 TLS_[A-Z0-9_]*"'
	deliver 'one.example mx tls=none'
	went none
	grep '"ev":"tls"' "$T/trace" | grep -q 'in the clear'
	deliver 'one.example mx tls=verify'
	waits 4.7.5 'certificate verify failed: self-signed'
	deliver "one.example mx tls=verify tls-ca=$T/cert.pem"
	went '"TLSv1.3 [A-Z0-9_]* verified"'
	deliver "one.example mx tls=verify tls-ca=$ROUTES"
	waits 4.3.5 "CA file $ROUTES"
	deliver "one.example mx tls=verify tls-ca=$T/cert.pem tls-name=elsewhere.example"
	waits 4.7.5 'hostname mismatch (host elsewhere.example)'
	deliver "one.example mx:three.example tls=verify tls-ca=$T/cert.pem"
	waits 4.7.5 'hostname mismatch (host other.example)'
	deliver "one.example mx:three.example tls-ca=$T/cert.pem tls-name=mx.example"
	went '"TLSv1.3 [A-Z0-9_]* verified"'
	deliver "one.example mx tls=fingerprint tls-fingerprint=SHA256:$CERT_PRINT"
	went '"TLSv1.3 [A-Z0-9_]* verified"'
	deliver "one.example mx tls-fingerprint=${CERT_PRINT//[0-9]/0},SHA256:$KEY_PRINT"
	went '"TLSv1.3 [A-Z0-9_]* verified"'
	deliver "one.example mx tls-fingerprint=${CERT_PRINT//[0-9]/0}"
	waits 4.7.5 'fingerprint is not the expected one'
}

@test "TLS policies with a server that has none: what is mandatory defers and nothing leaks" {
	next_hop
	deliver 'one.example mx'
	went none
	grep '"ev":"tls"' "$T/trace" | grep -q 'in the clear: the server does not offer STARTTLS'
	grep -q '"line":"MAIL FROM' "$T/trace"
	for policy in encrypt verify "fingerprint tls-fingerprint=$(printf '%064d' 0)"; do
		deliver "one.example mx tls=$policy"
		waits 4.7.4 'does not offer STARTTLS, which is required'
		if grep -q '"line":"MAIL FROM' "$T/trace"; then false; fi
	done
}

@test "a failed handshake: in the clear when TLS may be, not at all when it must be" {
	sink --ext=STARTTLS --ext=8BITMIME --rule='STARTTLS::220 2.0.0 go on'
	deliver 'one.example mx tls=encrypt'
	[ "$(waiting)" -eq 1 ]
	queue | grep -q 'deferred.*4.7.5'
	[ "$(kept)" -eq 0 ]
	if grep -q MAIL "$SINK/log"; then false; fi
	deliver 'one.example mx tls=may'
	[ "$(waiting)" -eq 0 ]
	[ "$(kept)" -eq 1 ]
	# Refused rather than failed: still nothing in the clear.
	printf 'STARTTLS::454 4.7.0 not now\n' >"$SINK/rules"
	rm "$SINK/log" && kill "${PIDS[-1]}"
	sink --ext=STARTTLS
	deliver 'one.example mx tls=encrypt'
	[ "$(waiting)" -eq 1 ]
	queue | grep -q 'deferred.*4.7.4'
	if grep -q MAIL "$SINK/log"; then false; fi
}

@test "--tls is the policy of MX hosts, --starttls that of a smarthost" {
	certificate
	tls_hop
	message | inject a@sender.example b@one.example
	run_routes --tls=verify
	[ "$(waiting)" -eq 1 ]
	run_routes --now --tls=verify --tls-ca="$T/cert.pem"
	[ "$(waiting)" -eq 0 ]
	message | inject a@sender.example b@one.example
	run_routes --tls=verify --starttls=never --smarthost="smtp://localhost:$PORT"
	[ "$(waiting)" -eq 0 ]
	grep -q 'deliver .*tls=none' "$T/log"
	message | inject a@sender.example b@one.example
	run_routes --tls=none --starttls=require --smarthost="smtp://localhost:$PORT"
	[ "$(waiting)" -eq 1 ]
	run_routes --now --starttls=require --tls-ca="$T/cert.pem" --smarthost="smtp://localhost:$PORT"
	[ "$(waiting)" -eq 0 ]
}

@test "senders have smarthosts of their own, with user and password" {
	certificate
	printf 'alice@sender.example:{PLAIN}secret::::::\nteam@sender.example:{PLAIN}other::::::\n' >"$T/users"
	printf 'secret\n' >"$T/alice" && printf 'other\n' >"$T/team" && chmod 600 "$T/alice" "$T/team"
	tls_hop --role=msa --trust= --users="$T/users" --domains=sender.example
	sink_port=$PORT
	sink
	cat >"$ROUTES" <<-ROUTES
		from:alice@sender.example smtp://alice%40sender.example@localhost:$sink_port password-file=$T/alice tls-ca=$T/cert.pem
		from:@sender.example smtp://team%40sender.example@localhost:$sink_port password-file=$T/team tls-ca=$T/cert.pem
		two.example mx
		* smtp://127.0.0.1:$PORT
	ROUTES
	message mine | inject alice@sender.example x@one.example
	message ours | inject bob@sender.example x@one.example
	message other | inject a@elsewhere.example x@one.example
	message direct | inject alice@sender.example x@two.example
	run_routes
	[ "$(waiting)" -eq 0 ]
	[ "$(taken)" -eq 2 ]
	[ "$(kept)" -eq 2 ]
	grep -q 'Subject: other' "$SINK"/0*
	grep -q 'Subject: direct' "$SINK"/0*
	grep -l 'Subject: mine' "$T"/got/*/msg/* | xargs grep -q 'alice@sender.example'
	[ "$(grep -c '"ev":"auth".*"ok"' "$T/trace")" -eq 2 ]
}

@test "the source address, of a line and of all" {
	next_hop
	deliver 'one.example mx source=127.0.0.2'
	went none
	grep -q 'Received: from us.example (\[127.0.0.2\]' "$T"/got/*/msg/*
	deliver 'one.example mx helo=mail.us.example'
	went none
	grep -q 'Received: from mail.us.example (\[127.0.0.1\]' "$T"/got/*/msg/*
	: >"$ROUTES"
	rm -f "$T"/got/*/msg/*
	message | inject a@sender.example b@one.example
	run_routes --source=127.0.0.3,::1
	grep -q 'Received: from us.example (\[127.0.0.3\]' "$T"/got/*/msg/*
	# One that is not ours defers, whatever else would do.
	deliver 'one.example mx source=192.0.2.77'
	waits 4.3.5 'source address is not one of this host'
	run run_routes --source=nowhere
	[ "$status" -eq 64 ]
}

@test "IP versions: one only, or one first" {
	next_hop
	v4=$PORT
	rm "$T/ready"
	"$RELAY" serve --listen="[::1]:$v4" --ready-file="$T/ready" --hostname=mx.example --queue="$T/got" --trust=::1 \
		2>>"$T/hop.log" 3>&- &
	PIDS+=($!)
	wait_for 60 test -s "$T/ready" || skip "no IPv6 on loopback"
	PORT=$v4
	for ip in 4 6 4first 6first any; do
		printf 'one.example mx:both.example ip=%s\n' "$ip" >"$ROUTES"
		rm -rf "$Q" "$T"/got/*/msg/*
		message | inject a@sender.example b@one.example
		run_routes --ip=6
		case $ip in
		4*) grep -q '^Received: from us.example (\[127.0.0.1\]' "$T"/got/*/msg/* ;;
		*) grep -q '^Received: from us.example (\[IPv6:::1\]' "$T"/got/*/msg/* ;;
		esac
	done
	# Restricted to what the host does not have: for good, as if the other records weren't there.
	deliver 'one.example mx ip=6'
	grep -q 'status=failed.*dsn=5.4.4' "$T/log"
	# The same of a server that is named.
	deliver "one.example smtp://127.0.0.1:$PORT ip=6"
	waits 4.4.4 'no address of the IP version'
	deliver "one.example smtp://localhost:$PORT ip=4"
	went none
}

@test "a TLS session is resumed on the next connection to the same server" {
	certificate
	tls_hop
	cat >"$ROUTES" <<-ROUTES
		one.example mx tls=encrypt
		two.example mx tls=encrypt helo=two.us.example
		three.example mx:one.example tls=verify tls-ca=$T/cert.pem
	ROUTES
	for d in one two three; do
		message "$d" | inject a@sender.example "b@$d.example"
		sleep 0.05 # one after the other by the clock of the file system
	done
	run_routes --concurrency=1
	[ "$(waiting)" -eq 0 ]
	[ "$(taken)" -eq 3 ]
	grep -c '"ev":"conn.open"' "$T/trace" | grep -qx 3
	# Of two that ask for no certificate one is resumed; the one that asks begins anew.
	[ "$(grep '"ev":"tls"' "$T/trace" | grep -c 'the session was resumed')" -eq 1 ]
	grep '"ev":"tls"' "$T/trace" | grep 'was resumed' | grep -q 'was not verified'
	grep '"ev":"tls"' "$T/trace" | grep 'was verified' | grep -vq resumed
	grep -q 'deliver .*tls="TLSv1.3 [A-Z0-9_]* resumed"' "$T/log"
}

@test "a server's tickets are good for all its processes" {
	certificate
	tls_hop
	for i in 1 2 3 4 5 6; do
		printf "QUIT\n" | timeout 120 openssl s_client -connect "127.0.0.1:$PORT" -starttls smtp -crlf -ign_eof \
			-sess_out "$T/session" >"$T/full" 2>&1
		[ -s "$T/session" ]
		printf "QUIT\n" | timeout 120 openssl s_client -connect "127.0.0.1:$PORT" -starttls smtp -crlf -ign_eof \
			-sess_in "$T/session" >"$T/again" 2>&1
		grep -q '^Reused, TLSv1.3' "$T/again"
	done
}

@test "one conversation serves all domains whose best host it is, when they are talked to in the same way" {
	sink
	for i in 1 2 3; do for d in one two; do message "$d$i" | inject a@sender.example "b@$d.example"; done; done
	run_routes --concurrency=1
	[ "$(kept)" -eq 6 ]
	[ "$(grep -c ' open$' "$SINK/log")" -eq 1 ]
	# The hosts of the second domain were looked up, once.
	[ "$(grep -c '^two.example 15 ' "$T/dns.log")" -eq 1 ]
	grep -q '"ev":"route".*is a host of .*.example as well' "$T/trace"
	# The same address under another name is another host; and so is the same host under other settings.
	rm "$SINK/log"
	for d in one three; do message "$d" | inject a@sender.example "b@$d.example"; done
	run_routes --concurrency=1
	[ "$(grep -c ' open$' "$SINK/log")" -eq 2 ]
	rm "$SINK/log"
	printf 'two.example mx tls=none\n' >"$ROUTES"
	for d in one two; do message "$d" | inject a@sender.example "b@$d.example"; done
	run_routes --concurrency=1
	[ "$(grep -c ' open$' "$SINK/log")" -eq 2 ]
	[ "$(kept)" -eq 10 ]
}

@test "a destination behind one that can't be reached" {
	sink
	deliver "one.example smtp://127.0.0.97:1,mx:far.example,smtp://127.0.0.1:$PORT"
	[ "$(waiting)" -eq 0 ]
	[ "$(kept)" -eq 1 ]
	# What a server refuses, and what does not exist, is not asked elsewhere.
	printf 'RCPT:b@:550 5.1.1 nobody\n' >"$SINK/rules"
	deliver "one.example smtp://127.0.0.1:$PORT,smtp://127.0.0.97:1"
	grep -q 'status=failed.*dsn=5.1.1' "$T/log"
	deliver "one.example mx:nowhere.example,smtp://127.0.0.1:$PORT"
	grep -q 'status=failed.*dsn=5.1.2' "$T/log"
	# Nobody: the first one's reason.
	deliver "one.example smtp://127.0.0.97:1,smtp://127.0.0.96:1"
	queue | grep -q 'deferred.*127.0.0.97'
}

@test "an address that does not answer costs seconds while there is another, and is tried last then" {
	sink
	# A socket whose line of waiting connections is full leaves further ones without an answer.
	perl -MIO::Socket::INET -e '
		my $l = IO::Socket::INET->new(Listen => 1, LocalAddr => "127.0.0.55", LocalPort => $ARGV[0]) or exit 1;
		my @full = map { IO::Socket::INET->new(PeerAddr => "127.0.0.55", PeerPort => $ARGV[0], Blocking => 0) } 1 .. 4;
		open(my $f, ">", $ARGV[1]); close($f);
		sleep 600' "$PORT" "$T/full" 3>&- &
	PIDS+=($!)
	wait_for 60 test -e "$T/full"
	kill "${PIDS[0]}"
	rm "$T/dns"
	printf 'slow.example MX 10 slow-mx.example\nslow.example MX 20 mx.example\nslow-mx.example A 127.0.0.55\nmx.example A 127.0.0.1\n' \
		>"$T/zone"
	"$TOP/dnsd" "$T/zone" "$T/dns" >/dev/null 2>&1 3>&- &
	PIDS+=($!)
	wait_for 60 test -s "$T/dns"
	DNS=127.0.0.1:$(cat "$T/dns")
	printf 'slow.example mx\nalias.example mx:slow.example helo=x.example\n' >"$ROUTES"
	message | inject a@sender.example b@slow.example
	message | inject a@sender.example b@alias.example
	run_routes --concurrency=1
	[ "$(waiting)" -eq 0 ]
	[ "$(kept)" -eq 2 ]
	[ "$(grep -c '"ev":"conn.fail"' "$T/trace")" -eq 1 ]
	# From the event before it: half a minute is what it would cost alone.
	took=$(perl -ne '/T(\d+):(\d+):(\d+)/ or next; my $now = $1 * 3600 + $2 * 60 + $3;
		print(($now - $before) % 86400) if /"conn.fail"/; $before = $now' "$T/trace")
	[ "$took" -ge 7 ] && [ "$took" -lt 26 ]
}

@test "mistakes in the routes file are told with file and line" {
	sink
	for line in 'one.example mx tls=no' 'one.example smtp://h password-file=/nonexistent/p' 'from:one.example mx' \
		'one.example mx source=x' 'one.example lmtp:unix:/x tls=may' 'one.example mx nothing=x'; do
		printf '# first\n%s\n' "$line" >"$ROUTES"
		run run_routes
		[ "$status" -eq 78 ]
		grep -q "$ROUTES:2: " "$T/log"
		rm "$T/log"
	done
}

@test "explain: a recipient's way with hosts, addresses, source, TLS and times, and no conversation" {
	cat >"$ROUTES" <<-ROUTES
		two.example mx tls=verify tls-ca=$ROUTES source=127.0.0.2 helo=x.example
		from:me@sender.example smtp://me@127.0.0.1:587,mx:one.example password-file=$ROUTES
		none.example error:550 5.7.1 not there
	ROUTES
	explain() {
		run "$RELAY" explain --resolver="$DNS" --routes="$ROUTES" --hostname=us.example --port=2525 "$@"
		[ "$status" -eq 0 ]
	}
	explain b@two.example
	[[ $output == *"from a stranger it is refused: 550 5.7.1"* ]]
	[[ $output == *"b@two.example goes to the MX hosts of two.example"*"because $ROUTES:1: the routes file has 'two.example'"* ]]
	[[ $output == *"10 mx.example 127.0.0.1"*"20 other.example 127.0.0.1"* ]]
	[[ $output == *"calls mx.example[127.0.0.1]:2525 from 127.0.0.2"*"then other.example[127.0.0.1]:2525 from 127.0.0.2"* ]]
	[[ $output == *"TLS (verify): always, with a certificate for the host's name by $ROUTES"*"says EHLO x.example"* ]]
	[[ $output == *"again after 10m,"*"after 3h at most; returned after 5d"* ]]
	explain -f me@sender.example b@three.example
	[[ $output == *"goes to smtp://me@127.0.0.1:587"*"the routes file has 'from:me@sender.example' for its sender"* ]]
	[[ $output == *"calls 127.0.0.1[127.0.0.1]:587"*"TLS (verify)"*"logs in as me, with the password of $ROUTES"* ]]
	[[ $output == *"and when nobody there can be reached to the MX hosts of one.example"*"calls mx.example[127.0.0.1]:2525"* ]]
	explain b@three.example
	[[ $output == *"goes to the MX hosts of three.example"*"nothing else is configured"*"TLS (may)"* ]]
	explain --ip=6 b@both.example
	[[ $output == *"calls both-mx.example[::1]:2525"* && $output != *"[127.0.0.1]"* ]]
	explain --retry-min=1h --expire=90m b@none.example b@nowhere.example
	[[ $output == *"not at all: 550 5.7.1 not there"*"so it is returned: 550 5.1.2"* && $output != *"again after"* ]]
	explain --retry-min=1h --expire=90m b@one.example
	[[ $output == *"again after 1h"*"returned after 90m"* ]]
	# Hosts that we are ourselves.
	explain --hostname=mx.example b@one.example
	[[ $output == *"loops back to us"*"5.4.6"* ]]
	run "$RELAY" explain --port=0 b@one.example
	[ "$status" -eq 64 ]
}

@test "explain --message: recipients, sender and demands of a message" {
	printf 'team: b, x@three.example\n' >"$T/aliases"
	printf 'b@here.example::::::\n' >"$T/users"
	printf 'from:me@sender.example smtp://127.0.0.1:26\n' >"$ROUTES"
	printf 'From: Me <me@sender.example>\nTo: Team <team@here.example>,\n "A, B" <a@two.example>\nCc: a@two.example\nBcc: nobody@here.example\n\nGr\303\274\303\237e\n' \
		>"$T/message"
	explain() {
		run "$RELAY" explain --resolver="$DNS" --routes="$ROUTES" --domains=here.example --users="$T/users" \
			--aliases="$T/aliases" --mda=lmtp:unix:/run/mda "$@"
		[ "$status" -eq 0 ]
	}
	explain --message="$T/message"
	[[ $output == "The message: $(sed 's/$/\r/' "$T/message" | wc -c) bytes, 8-bit content"* && $output == *"without 8BITMIME"* ]]
	[[ $output == *"team@here.example"*"is taken from anybody"*"an alias leads to b@here.example"*"b@here.example is in $T/users"* ]]
	[[ $output == *"b@here.example goes to lmtp:unix:/run/mda"*"x@three.example goes to smtp://127.0.0.1:26"* ]]
	[[ $output == *"nobody@here.example"*"550 5.1.1"* ]]
	[ "$(grep -c '^a@two.example' <<<"$output")" -eq 1 ]
	# Named recipients and senders come before those of the header.
	explain --message=- -f '' c@one.example <"$T/message"
	[[ $output == *"c@one.example goes to the MX hosts of one.example"* && $output != *"team@"* ]]
	printf 'To: b\303\274@two.example\n\nx\n' >"$T/message"
	explain --message="$T/message" --max-size=20
	[[ $output == *"a header beyond ASCII"*"552 5.3.4"*"without SMTPUTF8"* ]]
	run "$RELAY" explain --message="$T/absent"
	[ "$status" -ne 0 ]
	# Without an author there is no sender, which is not the null one.
	printf 'from:<> smtp://127.0.0.1:27\n' >"$ROUTES"
	printf 'To: b@one.example\n\nx\n' >"$T/message"
	explain --message="$T/message"
	[[ $output == *"goes to the MX hosts of one.example"* ]]
	explain --message="$T/message" -f ''
	[[ $output == *"goes to smtp://127.0.0.1:27"*"'from:<>' for its sender"* ]]
	printf 'Subject: x\n\nx\n' >"$T/message"
	run "$RELAY" explain --message="$T/message"
	[ "$status" -eq 64 ]
}
