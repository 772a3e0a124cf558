#!/usr/bin/env bats
# The extensions of SMTP on both sides, with the real programs.
# shellcheck disable=SC2154,SC2016,SC2153

load queue
bats_require_minimum_version 1.5.0

setup() {
	queue_setup
	T=$BATS_TEST_TMPDIR
}
teardown() { queue_teardown; }

# Like ! grep -q, but fails the test.
lacks() {
	if grep -q "$@"; then return 1; fi
}

# NAME OPTION...: a server called NAME.example; its port in $port.
listen() {
	local name=$1
	shift
	rm -f "$T/$name.ready"
	"$RELAY" serve --listen=127.0.0.1:0 --ready-file="$T/$name.ready" --hostname="$name.example" "$@" 2>>"$T/log" 3>&- &
	PIDS+=($!)
	wait_for 60 test -s "$T/$name.ready"
	port=$(sed -n 's/.*://p' "$T/$name.ready" | head -n 1)
}

# Lines of stdin as commands to $port; what it says.
say() { timeout 120 "$TOP/lib/smtp-say" "$port"; }

@test "a queue without space takes nothing: 452 before the content is sent" {
	listen one --domains=here.example --queue="$T/not/yet/there" --min-free=1000000G
	printf '%s\n' 'EHLO x' 'MAIL FROM:<a@client.example>' QUIT | say | grep -q '^452 4.3.1 '
	listen two --domains=here.example --queue="$Q" --min-free=1k --max-size=0
	printf '%s\n' 'EHLO x' 'MAIL FROM:<a@client.example> SIZE=9000000000000000000' 'MAIL FROM:<a@client.example> SIZE=18446744073709551615' \
		'MAIL FROM:<a@client.example> SIZE=100' 'RCPT TO:<u@here.example>' 'BDAT=S: x\r\n\r\n' QUIT | say >"$T/said"
	[ "$(grep -c '^452 4.3.1 ' "$T/said")" -eq 2 ]
	grep -q '^250 2.0.0 Ok: queued' "$T/said"
	listen three --domains=here.example --queue="$Q" --min-free=0 --max-size=0
	printf '%s\n' 'EHLO x' 'MAIL FROM:<a@client.example> SIZE=9000000000000000000' QUIT | say | grep -q '^250 2.1.0 '
}

@test "a message that is larger than the next hop takes is returned, and not sent" {
	sink --ext='SIZE 300'
	message 'large' "$(printf 'x%.0s' {1..300})" | inject me@us.example u@far.example
	run_queue
	run_queue
	lacks 'MAIL FROM:<me@us' "$SINK/log"
	grep -q '5.3.4' "$T/log"
	sink --lmtp --ext='SIZE 1000'
	message 'larger' "$(printf 'x%.0s' {1..1000})" | inject me@us.example u@here.example
	timeout 120 "$RELAY" run --once --queue="$Q" --hostname=us.example --domains=here.example --mda="lmtp:127.0.0.1:$PORT" \
		--smarthost="smtp://127.0.0.1:$PORT" 2>>"$T/log"
	lacks 'MAIL FROM:<me@us' "$SINK/log"
	grep -q 'to="u@here.example".*dsn=5.3.4' "$T/log"
}

reports() { grep -l '^X-From: <>' "$SINK"/0* 2>/dev/null || true; }
# Is there a line that is this in the only report to this one?
reported() { # TO LINE...
	local file to=$1
	shift
	file=$(reports | xargs -r grep -l "^X-Rcpt: <$to>")
	"$TOP/report-parse" "$file" >"$T/report" || return 1
	for line; do grep -qx "$line" "$T/report" || { echo "no '$line'"; cat "$T/report"; return 1; }; done
}

@test "DSN: what the client said is said to the next hop, to the letter" {
	listen one --domains=here.example --trust=127.0.0.0/8 --queue="$Q"
	printf '%s\n' 'EHLO x' 'MAIL FROM:<a@client.example> RET=HDRS ENVID=QQ+2B1' \
		'RCPT TO:<u@far.example> NOTIFY=SUCCESS,DELAY ORCPT=rfc822;U+2Bx@Far.example' 'RCPT TO:<v@far.example> NOTIFY=NEVER' \
		'RCPT TO:<w@far.example> ORCPT=utf-8;\x{E4}@far.example' 'RCPT TO:<x@far.example>' \
		'BDAT=S: x\r\n\r\n' QUIT | say | grep -q '^250 2.0.0 Ok: queued'
	sink --ext=PIPELINING --ext=DSN
	run_queue
	[ "$(waiting)" -eq 0 ]
	[ "$(kept)" -eq 1 ]
	grep -q '^X-From: <a@client.example> RET=HDRS ENVID=QQ+2B1$' "$SINK/0001"
	grep -q '^X-Rcpt: <u@far.example> NOTIFY=SUCCESS,DELAY ORCPT=rfc822;U+2Bx@Far.example$' "$SINK/0001"
	grep -q '^X-Rcpt: <v@far.example> NOTIFY=NEVER$' "$SINK/0001"
	grep -q '^X-Rcpt: <w@far.example> ORCPT=utf-8;\\x{E4}@far.example$' "$SINK/0001"
	grep -q '^X-Rcpt: <x@far.example>$' "$SINK/0001"
}

@test "DSN: an address in UTF-8 is told in ASCII to who has no SMTPUTF8" {
	listen one --domains=here.example --trust=127.0.0.0/8 --queue="$Q"
	printf '%s\n' 'EHLO x' 'MAIL FROM:<a@client.example> SMTPUTF8' \
		'RCPT TO:<u@far.example> ORCPT=utf-8;\xc3\xa4@far.example' 'BDAT=S: x\r\n\r\n' QUIT | say | grep -q '^250 2.0.0 Ok: queued'
	sink --ext=DSN
	run_queue
	grep -q '^X-Rcpt: <u@far.example> ORCPT=utf-8;\\x{E4}@far.example$' "$SINK/0001"
}

@test "DSN: an alias with several addresses is expanded, one with an owner delivered; its members know nothing of it" {
	cat >"$T/aliases" <<-A
		several: one@far.example, two@far.example
		single: three@far.example
		list: four@far.example
		owner-list: keeper@far.example
	A
	listen one --domains=here.example --aliases="$T/aliases" --queue="$Q"
	printf '%s\n' 'EHLO x' 'MAIL FROM:<a@client.example> RET=FULL ENVID=E1' \
		'RCPT TO:<several@here.example> NOTIFY=SUCCESS,FAILURE' 'RCPT TO:<single@here.example> NOTIFY=SUCCESS' \
		'RCPT TO:<list@here.example> NOTIFY=SUCCESS ORCPT=rfc822;l@old.example' 'BDAT=Subject: x\r\n\r\n' QUIT |
		say | grep -q '^250 2.0.0 Ok: queued'
	sink --ext=DSN
	run_queue
	run_queue
	[ "$(waiting)" -eq 0 ]
	grep -q '^X-From: <a@client.example> RET=FULL ENVID=E1$' "$SINK"/0*
	for n in one two; do
		grep -hq "^X-Rcpt: <$n@far.example> NOTIFY=FAILURE ORCPT=rfc822;several@here.example$" "$SINK"/0*
	done
	grep -hq '^X-Rcpt: <three@far.example> NOTIFY=SUCCESS ORCPT=rfc822;single@here.example$' "$SINK"/0*
	grep -hq '^X-From: <owner-list@here.example>$' "$SINK"/0*
	grep -hq '^X-Rcpt: <four@far.example> ORCPT=rfc822;four@far.example$' "$SINK"/0*
	command -v python3 >/dev/null || skip "needs python3 for the report"
	[ "$(reports | wc -l)" -eq 1 ]
	reported a@client.example 'message Original-Envelope-Id E1' 'recipient 1 Final-Recipient rfc822; list@here.example' \
		'recipient 1 Original-Recipient rfc822;l@old.example' 'recipient 1 Action delivered' 'recipient 1 Status 2.1.5' \
		'recipient 2 Final-Recipient rfc822; several@here.example' 'recipient 2 Action expanded'
	lacks 'recipient 3' "$T/report"
}

# A certificate for localhost that is its own authority.
certificate() {
	command -v openssl >/dev/null || skip "needs openssl"
	perl -MIO::Socket::SSL -e1 2>/dev/null || skip "needs IO::Socket::SSL"
	openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 2 -subj /CN=localhost \
		-addext subjectAltName=DNS:localhost -keyout "$T/key.pem" -out "$T/cert.pem" 2>/dev/null
}
# One try at all that is due, by this port; also with other options.
run_to() {
	local to=$1
	shift
	timeout 120 "$RELAY" run --once --queue="$Q" --hostname=us.example --smarthost="smtp://localhost:$to" "$@" 2>>"$T/log"
}
queued_at() { find "$1" -path '*/msg/*' -type f 2>/dev/null; }

@test "REQUIRETLS is offered and taken under TLS only, and asked for on the next hop" {
	certificate
	listen two --domains=far.example --queue="$T/q2" --tls-cert="$T/cert.pem" --tls-key="$T/key.pem"
	two=$port
	listen one --trust=127.0.0.0/8 --queue="$Q" --tls-cert="$T/cert.pem" --tls-key="$T/key.pem"
	printf '%s\n' 'EHLO x' 'MAIL FROM:<a@client.example> REQUIRETLS' QUIT | say >"$T/said"
	lacks '^250-REQUIRETLS' "$T/said"
	grep -q '^555 5.5.4 REQUIRETLS is not offered' "$T/said"
	say_tls() { timeout 120 "$TOP/lib/smtp-say" --tls "$port"; }
	printf '%s\n' 'EHLO x' 'MAIL FROM:<a@client.example> REQUIRETLS' 'RCPT TO:<u@far.example>' 'BDAT=Subject: x\r\n\r\n' QUIT |
		say_tls >"$T/said"
	grep -q '^250-REQUIRETLS$' "$T/said"
	grep -q '^250 2.0.0 Ok: queued' "$T/said"
	grep -q '^flags: requiretls$' "$(queued_at "$Q")"
	run_to "$two" --tls-ca="$T/cert.pem" --trace="$T/trace"
	[ "$(waiting)" -eq 0 ]
	grep -q '"MAIL FROM[^"]* REQUIRETLS"' "$T/trace"
	grep -q '^flags: requiretls$' "$(queued_at "$T/q2")"
}

@test "REQUIRETLS: a next hop without it, without TLS or with a certificate that nobody knows: 5.7.30, 5.7.10; the header comes back" {
	certificate
	listen two --domains=far.example --queue="$T/q2" --tls-cert="$T/cert.pem" --tls-key="$T/key.pem"
	two=$port
	try() { # STATUS PORT OPTION...
		local status=$1
		shift
		rm -rf "$Q" "$T/trace"
		message secret 'the body' | "$RELAY" inject --queue="$Q" --hostname=us.example -f a@client.example --ret=FULL --requiretls u@far.example
		run_to "$@" --trace="$T/trace"
		grep -q "status=failed code=550 dsn=$status " "$T/log" || { cat "$T/log"; return 1; }
		lacks '"MAIL FROM:<a@client' "$T/trace"
		[ -z "$(queued_at "$T/q2")" ]
		: >"$T/log"
	}
	try 5.7.10 "$two"
	sink
	try 5.7.10 "$PORT"
	# The report is put into the queue as it may go: it needs no TLS, and shows nothing of the body.
	run_to "$PORT"
	[ "$(kept)" -eq 1 ]
	grep -q '^X-From: <>' "$SINK/0001"
	grep -q 'text/rfc822-headers' "$SINK/0001"
	lacks 'the body' "$SINK/0001"
	# A server that has TLS but not the extension: ours, with the keyword taken out of its answer.
	cat >"$T/strip" <<-'P'
		#!/usr/bin/perl
		use IO::Socket::INET; use IO::Socket::SSL;
		my ($port, $cert, $key) = @ARGV;
		my $l = IO::Socket::INET->new(Listen => 5, LocalAddr => '127.0.0.1') or die;
		open(my $f, '>', "$port.new"); print $f $l->sockport, "\n"; close $f; rename "$port.new", $port;
		while (my $c = $l->accept) {
			$c->autoflush(1);
			print $c "220 strip\r\n";
			while (my $line = <$c>) {
				if ($line =~ /^EHLO/) { print $c "250-strip\r\n250-PIPELINING\r\n250 STARTTLS\r\n" }
				elsif ($line =~ /^DATA/) { print $c "354 go on\r\n"; while (<$c>) { last if /^\.\r/ } print $c "250 ok\r\n" }
				elsif ($line =~ /^STARTTLS/) {
					print $c "220 go\r\n";
					IO::Socket::SSL->start_SSL($c, SSL_server => 1, SSL_cert_file => $cert, SSL_key_file => $key) or last;
				} elsif ($line =~ /^QUIT/) { print $c "221 bye\r\n"; last }
				else { print $c "250 ok\r\n" }
			}
			close $c;
		}
	P
	perl "$T/strip" "$T/strip.port" "$T/cert.pem" "$T/key.pem" 3>&- &
	PIDS+=($!)
	wait_for 60 test -s "$T/strip.port"
	try 5.7.30 "$(cat "$T/strip.port")" --tls-ca="$T/cert.pem"
}

@test "TLS-Required: No relaxes what is demanded of the next hop, for that message" {
	sink
	for value in No Yes; do
		printf 'Subject: %s\nTLS-Required: %s\n\nx\n' "$value" "$value" | inject a@client.example u@far.example
	done
	grep -lq '^flags: tls-optional$' "$Q"/*/msg/*
	run_to "$PORT" --tls=encrypt
	[ "$(kept)" -eq 1 ]
	grep -q '^Subject: No' "$SINK/0001"
	[ "$(waiting)" -eq 1 ]
	queue | grep -q '4.7.4'
	listen one --trust=127.0.0.0/8 --queue="$T/q2"
	printf '%s\n' 'EHLO x' 'MAIL FROM:<a@client.example>' 'RCPT TO:<u@far.example>' 'BDAT=TLS-required: no\r\n\r\n' QUIT | say >/dev/null
	grep -q '^flags: tls-optional$' "$(queued_at "$T/q2")"
}

@test "FUTURERELEASE: for submission, within the limits; the queue keeps it, and an alarm of the clock lets it go" {
	listen mta --domains=here.example --queue="$Q"
	printf '%s\n' 'EHLO x' 'MAIL FROM:<a@client.example> HOLDFOR=5' QUIT | say >"$T/said"
	lacks '^250-FUTURERELEASE' "$T/said"
	grep -q '^555 5.5.4 FUTURERELEASE is not offered' "$T/said"
	listen msa --role=msa --trust=127.0.0.0/8 --queue="$Q" --hold-max=1h --domains=here.example --mda="lmtp:|false"
	printf '%s\n' 'EHLO x' 'MAIL FROM:<a@client.example> HOLDFOR=3601' 'MAIL FROM:<a@client.example> HOLDUNTIL=2099-01-01T00:00:00Z' \
		'MAIL FROM:<a@client.example> HOLDFOR=60 HOLDUNTIL=2026-01-01T00:00:00Z' 'MAIL FROM:<a@client.example> HOLDFOR=60 BY=59;R' \
		'MAIL FROM:<a@client.example> HOLDFOR=0' 'MAIL FROM:<a@client.example> HOLDFOR=3600' 'RCPT TO:<u@here.example>' \
		'BDAT=Subject: later\r\n\r\n' QUIT | say >"$T/said"
	grep -qE '^250-FUTURERELEASE 3600 20[0-9-]*T[0-9:]*Z$' "$T/said"
	[ "$(grep -c '^501 5.5.4 ' "$T/said")" -eq 5 ]
	grep -q '^250 2.0.0 Ok: queued' "$T/said"
	grep -qE '^hold: [0-9]+ for;3600$' "$(queued_at "$Q")"
	message hour | inject a@client.example --hold-for=3600 u@far.example
	message soon | inject a@client.example --hold-for=1 u@far.example
	message now | inject a@client.example u@far.example
	sink
	# Neither a queue run nor an order to retry sends it early.
	run_queue --now
	queue retry all 2>/dev/null || queue retry --domain=far.example
	run_queue
	until run_queue && grep -rq 'Subject: soon' "$SINK"; do sleep 0.5; done
	grep -rq 'Subject: now' "$SINK"
	[ "$(waiting)" -eq 2 ]
	lacks -rE 'Subject: (later|hour)' "$SINK"
}

@test "DELIVERBY: the rest of the time is told; R comes back when it is over or can't be promised, N is told of" {
	listen one --trust=127.0.0.0/8 --queue="$Q"
	printf '%s\n' 'EHLO x' 'MAIL FROM:<a@client.example> BY=0;R' 'MAIL FROM:<a@client.example> BY=1000;RT' 'RCPT TO:<u@far.example>' \
		'RCPT TO:<v@far.example> NOTIFY=NEVER' 'BDAT=Subject: x\r\n\r\n' QUIT | say >"$T/said"
	grep -q '^250-DELIVERBY$' "$T/said"
	[ "$(grep -c '^501 5.5.4 ' "$T/said")" -eq 1 ]
	grep -qE '^by: [0-9]+ RT$' "$(queued_at "$Q")"
	sink --ext=DSN --ext='DELIVERBY 500'
	run_queue
	grep -qE '^X-From: <a@client.example> BY=(1000|9[0-9][0-9]);RT$' "$SINK/0001"
	# "T": how far it came is told, but not about who wants to hear nothing.
	run_queue
	reported a@client.example 'recipient 1 Action relayed' 'message Deliver-By-Date .*'
	lacks 'recipient 2' "$T/report"
	rm -f "$SINK"/0*
	# Less than the next hop promises: it comes back at once.
	message | inject a@client.example '--by=400;R' u@far.example
	run_queue
	run_queue
	[ "$(kept)" -eq 1 ]
	reported a@client.example 'recipient 1 Action failed' 'recipient 1 Status 5.3.3'
	rm -f "$SINK"/0*
	# Too late before the next attempt; one that was never tried, too.
	sink --ext=DSN --rule='RCPT:slow@:451 4.3.0 later'
	message | inject a@client.example '--by=1;N' slow@far.example
	run_queue
	message | inject b@client.example '--by=1;R' u@far.example
	sleep 2.5 # the times of both are over
	run_queue --now
	run_queue
	reported a@client.example 'recipient 1 Action delayed' 'recipient 1 Status 4.4.7'
	reported b@client.example 'recipient 1 Action failed' 'recipient 1 Status 5.4.7'
	[ "$(waiting)" -eq 1 ]
	# N goes on to who knows nothing of it, which is told, and who is asked to tell of delays.
	rm -f "$SINK"/0* "$Q"/*/msg/*
	message | inject a@client.example '--by=-5;N' --notify=FAILURE u@far.example
	run_queue
	run_queue
	grep -hq '^X-Rcpt: <u@far.example> NOTIFY=FAILURE,DELAY$' "$SINK"/0*
	reported a@client.example 'recipient 1 Action relayed'
}

@test "MT-PRIORITY: who is trusted goes before others, anybody may step back; the next hop is told, and Received" {
	listen mta --domains=here.example --queue="$T/q2"
	printf '%s\n' 'EHLO x' 'MAIL FROM:<a@client.example> MT-PRIORITY=4' 'RCPT TO:<u@here.example>' 'BDAT=MT-Priority: 3\r\n\r\n' \
		'MAIL FROM:<a@client.example> MT-PRIORITY=-3' 'MAIL FROM:<a@client.example> MT-PRIORITY=10' QUIT | say >"$T/said"
	grep -q '^250-MT-PRIORITY$' "$T/said"
	grep -q '^250 2.3.6 0 is the priority' "$T/said"
	grep -q '^priority: 0$' "$(queued_at "$T/q2")"
	[ "$(grep -c '^501 5.5.4 ' "$T/said")" -eq 0 ]
	listen one --trust=127.0.0.0/8 --queue="$Q"
	for p in '' ' MT-PRIORITY=-2' ' MT-PRIORITY=5' ' MT-PRIORITY=0'; do
		printf '%s\n' "MAIL FROM:<a@client.example>$p" 'RCPT TO:<u@far.example>' "BDAT=Subject:$p\r\n\r\n"
	done | { echo 'EHLO x'; cat; printf 'MAIL FROM:<a@client.example>\nRCPT TO:<u@far.example>\nBDAT=MT-Priority: 7\\r\\n\\r\\n\nQUIT\n'; } |
		say >"$T/said"
	[ "$(grep -c '^250 2.0.0 Ok: queued' "$T/said")" -eq 5 ]
	sink --ext=MT-PRIORITY
	run_queue --concurrency=1
	[ "$(cat "$SINK"/0* | sed -n 's/^X-From: [^ ]* *//p' | head -n 2 | sort | tr '\n' ,)" = 'MT-PRIORITY=5,MT-PRIORITY=7,' ]
	[ "$(sed -n 's/^X-From: [^ ]* *//p' "$SINK/0005")" = 'MT-PRIORITY=-2' ]
	grep -hq $'^\tPRIORITY -2;\r$' "$SINK/0005"
}

@test "MT-PRIORITY: a next hop without it gets the field MT-Priority, with what was believed of the sender" {
	listen mta --domains=far.example --queue="$Q"
	printf '%s\n' 'EHLO x' 'MAIL FROM:<a@client.example>' 'RCPT TO:<u@far.example>' 'BDAT=MT-Priority: 9\r\nSubject: untrusted\r\n\r\nx\r\n' \
		'MAIL FROM:<a@client.example> MT-PRIORITY=-2' 'RCPT TO:<u@far.example>' 'BDAT=MT-Priority: 9\r\nSubject: back\r\nMT-Priority: 8\r\n\r\nx\r\n' \
		'MAIL FROM:<a@client.example>' 'RCPT TO:<u@far.example>' 'BDAT=Subject: plain\r\n\r\nMT-Priority: 1\r\n' QUIT | say >/dev/null
	listen one --trust=127.0.0.0/8 --queue="$Q"
	printf '%s\n' 'EHLO x' 'MAIL FROM:<a@client.example>' 'RCPT TO:<u@far.example>' 'BDAT=Subject: field\r\nMT-Priority: (so) 3\r\n\r\nx\r\n' \
		'MAIL FROM:<a@client.example>' 'RCPT TO:<u@far.example>' 'BDAT=MT-Priority: 1\r\nSubject: twice\r\nMT-Priority: 2\r\n\r\nx\r\n' QUIT | say >/dev/null
	[ "$(waiting)" -eq 5 ]
	sink --ext=SIZE
	run_queue
	[ "$(waiting)" -eq 0 ]
	fields() { sed '1,/^$/d' "$(grep -l "^Subject: $1" "$SINK"/0*)" | tr -d '\r' | sed '/^$/q' | grep '^MT-Priority'; }
	[ "$(fields untrusted)" = 'MT-Priority: 0' ]
	[ "$(fields back)" = 'MT-Priority: -2' ]
	[ "$(fields field)" = 'MT-Priority: 3' ]
	[ "$(fields twice)" = 'MT-Priority: 0' ]
	run ! fields plain
	grep -q '^MT-Priority: 1' "$(grep -l '^Subject: plain' "$SINK"/0*)"
	lacks 'MT-PRIORITY=' "$SINK/log"
	# What SIZE said is what came.
	for f in "$SINK"/0*; do
		declared=$(sed -n 's/^X-From: .* SIZE=\([0-9]*\).*/\1/p' "$f")
		[ "$declared" -eq "$(sed '1,/^$/d' "$f" | wc -c)" ]
	done
	# The next one with it is told once, and the field stays.
	rm -f "$SINK"/0*
	message | inject a@client.example --priority=4 u@far.example
	sink --ext=MT-PRIORITY
	run_queue
	grep -q '^X-From: .* MT-PRIORITY=4' "$SINK/0001"
	lacks '^MT-Priority' "$SINK/0001"
}

@test "LIMITS: told to clients, kept as one; who was too many goes in the next transaction at once" {
	listen one --domains=here.example --queue="$T/q2" --max-recipients=7
	printf '%s\n' 'EHLO x' QUIT | say | grep -q '^250-LIMITS RCPTMAX=7$'
	sink --ext='LIMITS RCPTMAX=2 MAILMAX=2 X=1 RCPTDOMAINMAX=1'
	message | inject a@client.example {1,2,3,4,5}@far.example 6@near.example
	run_queue
	[ "$(waiting)" -eq 0 ]
	[ "$(kept)" -eq 4 ]
	[ "$(sed -n 's/^[0-9]* //p' "$SINK/log" | grep -c open)" -eq 2 ]
	[ "$(cat "$SINK"/0* | grep -c '^X-Rcpt')" -eq 6 ]
}

@test "VRFY and EXPN tell who is asked to be told, and no more" {
	printf 'alice@here.example:::::::\n' >"$T/users"
	printf 'team: alice, carol@far.example\n' >"$T/aliases"
	ask() { # OPTION...
		printf '%s\n' 'EHLO x' 'VRFY alice' 'VRFY <Team@here.example>' 'VRFY nobody@here.example' 'VRFY u@far.example' 'VRFY u@next.example' \
			'VRFY a b' 'EXPN team' 'EXPN alice' 'EXPN nobody' 'HELP' QUIT |
			"$RELAY" serve --hostname=mx.example --domains=here.example --relay-to=next.example --queue="$Q" --users="$T/users" \
				--aliases="$T/aliases" "$@" 2>>"$T/log" | tr -d '\r' | sed -n '/250 HELP/,$p' | sed 1d
	}
	ask >"$T/said"
	[ "$(grep -c '^252 2.5.0 ' "$T/said")" -eq 6 ]
	[ "$(grep -c '^502 5.5.1 ' "$T/said")" -eq 3 ]
	ask --vrfy=trusted | grep -v '^502 5.7.0 ' | cmp - <(grep -v '^502' "$T/said")
	ask --vrfy=yes >"$T/said"
	[ "$(head -n 10 "$T/said")" = "250 2.1.5 <alice@here.example>
250 2.1.5 <Team@here.example>
550 5.1.1 <nobody@here.example>: no such user here
550 5.7.1 <u@far.example>: relaying denied
252 2.1.5 <u@next.example> is taken, and whether it exists is known elsewhere
501 5.1.3 That is no mail address
250-2.1.5 <alice@here.example>
250 2.1.5 <carol@far.example>
550 5.1.1 That is no list
550 5.1.1 <nobody@here.example>: no such user here" ]
	sed -n 11p "$T/said" | grep -q '^214 2.0.0 Commands:.* VRFY EXPN HELP$'
	# RFC 6531 3.7.4.2: in UTF-8 to who says that he understands it.
	printf 'jürgen@here.example:::::::\n' >>"$T/users"
	printf 'choir: jürgen, alice\n' >>"$T/aliases"
	printf '%s\n' 'EHLO x' 'VRFY jürgen' 'VRFY jürgen SMTPUTF8' 'VRFY <alice@here.example> SMTPUTF8' 'VRFY käthe' 'EXPN choir' \
		'EXPN choir smtputf8' QUIT |
		"$RELAY" serve --hostname=mx.example --domains=here.example --queue="$Q" --users="$T/users" --vrfy=yes \
			--aliases="$T/aliases" 2>>"$T/log" | tr -d '\r' | sed -n '/250 HELP/,$p' | sed '1d;$d' >"$T/said"
	diff "$T/said" - <<-E
		252 2.6.8 The address is told in UTF-8, with SMTPUTF8
		250 2.1.5 <jürgen@here.example>
		250 2.1.5 <alice@here.example>
		550 5.1.1 <k??the@here.example>: no such user here
		550 5.6.8 The list is told in UTF-8, with SMTPUTF8
		250-2.1.5 <jürgen@here.example>
		250 2.1.5 <alice@here.example>
	E
}

@test "ETRN wakes the queue for a domain that we relay to, and for no other" {
	sink --rule='RCPT:.*:451 4.3.0 later'
	for to in a@next.example b@sub.next.example c@far.example; do message | inject me@us.example "$to"; done
	message | inject me@us.example --hold-for=3600 d@next.example
	run_queue
	due() { find "$Q" -path '*/msg/*' -type f ! -newermt now | wc -l; }
	[ "$(due)" -eq 0 ]
	listen one --queue="$Q" --relay-to=next.example --etrn
	printf '%s\n' 'EHLO x' 'ETRN' 'ETRN far.example' 'ETRN no..domain' 'ETRN #next' 'ETRN next.example' 'MAIL FROM:<>' 'ETRN next.example' 'RSET' QUIT |
		say >"$T/said"
	grep -q '^250-ETRN$' "$T/said"
	[ "$(sed '1,/250 HELP/d' "$T/said" | cut -c 1-3 | tr '\n' ' ')" = '501 459 501 501 253 250 503 250 221 ' ]
	grep -q '^253 2.0.0 OK, 1 pending messages for node next.example started' "$T/said"
	[ "$(due)" -eq 1 ]
	printf '%s\n' 'EHLO x' 'ETRN @next.example' QUIT | say | grep -q '^253 2.0.0 OK, 2 pending'
	[ "$(due)" -eq 2 ]
	rm "$Q"/*/msg/*
	printf '%s\n' 'EHLO x' 'ETRN next.example' QUIT | say | grep -q '^251 '
	listen two --queue="$Q" --relay-to=next.example
	printf '%s\n' 'EHLO x' 'ETRN next.example' QUIT | say >"$T/said"
	grep -q '^500 5.5.1 ' "$T/said"
	lacks '^250-ETRN' "$T/said"
}

@test "SMTPUTF8 is asked for where it is needed; who lacks it gets what is ASCII, the rest comes back with 5.6.7" {
	sink --ext=PIPELINING
	printf 'Subject: x\n\nx\n' | inject a@client.example u@bücher.example
	printf 'Subject: x\n\nx\n' | inject a@client.example ü@far.example
	printf 'Subject: ü\n\nx\n' | inject a@client.example v@far.example
	listen one --trust=127.0.0.0/8 --queue="$Q"
	printf '%s\n' 'EHLO x' 'MAIL FROM:<a@client.example> SMTPUTF8' 'RCPT TO:<w@far.example>' 'RCPT TO:<\xc3\xbc@near.example>' \
		'BDAT=Subject: x\r\n\r\n' 'MAIL FROM:<a@client.example> SMTPUTF8' 'RCPT TO:<x@far.example>' 'BDAT=Subject: \xc3\xbc\r\n\r\n' QUIT |
		say >"$T/said"
	[ "$(grep -c '^250 2.0.0 Ok: queued' "$T/said")" -eq 2 ]
	cat >"$T/routes" <<-R
		near.example error:550 5.1.1 nobody there
	R
	run_queue --routes="$T/routes"
	grep -hq '^X-Rcpt: <u@xn--bcher-kva.example>' "$SINK"/0*
	grep -hq '^X-Rcpt: <w@far.example>' "$SINK"/0*
	lacks -h '^X-Rcpt: <x@far.example>' "$SINK"/0*
	[ "$(grep -c 'status=failed code=550 dsn=5.6.7' "$T/log")" -eq 2 ]
	lacks 'SMTPUTF8' "$SINK/log"
	# One that has it is asked for it.
	rm -f "$SINK"/0* "$Q"/*/msg/*
	sink --ext=SMTPUTF8 --ext=8BITMIME
	printf 'Subject: x\n\nx\n' | inject ü@client.example u@far.example
	run_queue
	grep -q '^X-From: <ü@client.example> SMTPUTF8' "$SINK/0001"
}

@test "mua-send asks a server, or the queue, for the same" {
	SEND=${RELAY%/*}/mua-send
	sink --ext='FUTURERELEASE 999999 2099-01-01T00:00:00Z' --ext='DELIVERBY' --ext=MT-PRIORITY
	message | "$SEND" --server="smtp://127.0.0.1:$PORT" --starttls=never -f me@us.example --hold-for=10m '--by=3600;R' --priority=-2 u@far.example
	grep -q '^X-From: <me@us.example> SIZE=[0-9]* BY=3600;R MT-PRIORITY=-2 HOLDFOR=600$\|^X-From: <me@us.example> BY=3600;R MT-PRIORITY=-2 HOLDFOR=600$' "$SINK/0001"
	message | "$SEND" --server="smtp://127.0.0.1:$PORT" --starttls=never -f me@us.example --hold-until=2098-01-01T00:00:00Z u@far.example
	grep -q 'HOLDUNTIL=2098-01-01T00:00:00Z$' "$SINK/0002"
	sink
	run -69 "$SEND" --server="smtp://127.0.0.1:$PORT" --starttls=never -f me@us.example --hold-for=10m u@far.example < <(message)
	[[ $output == *'holds no messages'* ]]
	run -64 "$SEND" --server="smtp://127.0.0.1:$PORT" --by=x u@far.example < <(message)
	# No server: this host's queue.
	ln -s "$(readlink -f "$SEND")" "$T/sendmail"
	printf '[mta-relay]\nqueue = %s\n' "$Q" >"$T/conf"
	message | "$T/sendmail" -C "$T/conf" -f me@us.example --requiretls --hold-for=10m '--by=3600;NT' --priority=4 u@far.example
	grep -q '^flags: requiretls$' "$(queued_at "$Q")"
	grep -q '^priority: 4$' "$(queued_at "$Q")"
	grep -qE '^hold: [0-9]+ for;600$' "$(queued_at "$Q")"
	grep -qE '^by: [0-9]+ NT$' "$(queued_at "$Q")"
}
