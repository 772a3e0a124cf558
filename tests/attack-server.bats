#!/usr/bin/env bats
# What has broken SMTP servers: each case of tests/attack/*.txt is played to the real server, as MTA that delivers and that
# relays and as MSA, and what the mailbox or the next hop gets is looked at. tests/attack/README.md lists the cases.
# shellcheck disable=SC2154,SC2016,SC2153,SC2030,SC2031

load queue
bats_require_minimum_version 1.5.0

setup() {
	queue_setup
	T=$BATS_TEST_TMPDIR
	BIN=$(dirname "$RELAY")
	ATTACK=$TOP/attack
	AUTH=$(printf '\0user@here.example\0secret' | base64)
	mkdir -p "$T/mail"
	echo 'user@here.example:{PLAIN}secret::::::' >"$T/users"
	perl -MIO::Socket::INET -e1 || skip "needs perl"
}
teardown() { queue_teardown; }

server() { # OPTION...: PORT is its port
	rm -f "$T/ready"
	"$RELAY" serve --listen=127.0.0.1:0 --ready-file="$T/ready" --hostname=mx.here.example --domains=here.example \
		--users="$T/users" --queue="$Q" "$@" 2>>"$T/log" 3>&- &
	SERVER=$!
	PIDS+=("$SERVER")
	wait_for 60 test -s "$T/ready"
	PORT=$(sed -n '1s/.*://p' "$T/ready")
}
delivering() { server --mda="lmtp:|$BIN/mda-deliver --lmtp --hostname=mda --mail=maildir:$T/mail" "$@"; }
# What arrives in the queue goes on to the sink, as a next hop sees it.
pass_on() {
	sink
	timeout 120 "$RELAY" run --once --now --queue="$Q" --hostname=us.example --smarthost="smtp://127.0.0.1:$PORT" \
		--domains=nowhere.example 2>>"$T/log"
}
talk() { "$TOP/lib/smtp-talk" --port="$PORT" --keeps="$T/keeps" "$@"; }

# Each message that must be there is, so often, none more, and none has a line end that is none.
arrived() { # DIR
	mail_of "$1" | xargs -0 -r perl -0777 -ne 'print "$1\n" if /^Subject: (\S+)\r?$/m' | sort >"$T/got"
	sed -n '/ [1-9]/p' "$T/keeps" | sort | diff - <(uniq -c <"$T/got" | awk '{ print $2, $1 }') || return 1
	[ "$(mail_of "$1" | tr -dc '\0' | wc -c)" -eq "$(wc -l <"$T/got")" ] || return 1
	clean "$1"
}
mail_of() { find "$1" -type f ! -name '.*' ! -name log ! -name port ! -name err -print0; }
clean() { # DIR: no CR or NUL but in CRLF; a Maildir's files have LF, then no CR at all
	mail_of "$1" |
		xargs -0 -r perl -0777 -ne 's/\A(X-[A-Z][a-z]*:.*\n)*\n?//; my $crlf = /\r\n/;
			if (/\0/ || /\r(?!\n)/ || ($crlf && /(?<!\r)\n/)) { print "$ARGV: a bare CR, bare LF or NUL\n"; $bad = 1 }
			END { exit $bad // 0 }'
}
alive() { kill -0 "$SERVER" && run ! grep -iE 'sanitizer|signal=|abort|assert|runtime error' "$T/log"; }

@test "the end of content: an MTA that delivers" {
	delivering
	talk "$ATTACK/content.txt"
	arrived "$T/mail/new"
	[ "$(waiting)" -eq 0 ]
	alive
}

@test "the end of content: an MTA that relays, and what its next hop sees" {
	server --relay-to=relay.example
	talk --rcpt=user@relay.example "$ATTACK/content.txt"
	pass_on
	arrived "$SINK"
	alive
}

@test "the end of content: an MSA" {
	server --role=msa --auth-without-tls
	talk --auth="$AUTH" --from=user@here.example --rcpt=user@relay.example "$ATTACK/content.txt"
	pass_on
	arrived "$SINK"
	alive
}

@test "the end of content: the delivery agent by itself, over LMTP" {
	"$BIN/mda-deliver" --lmtp --listen="unix:$T/lmtp" --users="$T/users" --mail="maildir:$T/mail" --ready-file="$T/ready" \
		2>>"$T/log" 3>&- &
	SERVER=$!
	PIDS+=("$SERVER")
	wait_for 60 test -s "$T/ready"
	# Who speaks early is refused there.
	sed '/^case SMUG20/,/^case/{/^case SMUG21/!d}' "$ATTACK/content.txt" >"$T/script"
	"$TOP/lib/smtp-talk" --socket="$T/lmtp" --lhlo --keeps="$T/keeps" "$T/script"
	arrived "$T/mail/new"
	alive
}

@test "commands: order, syntax, limits" {
	delivering
	talk "$ATTACK/state.txt"
	arrived "$T/mail/new"
	alive
	# What a client said is quoted in the log, each event in one line.
	run ! grep -aP '[\x00-\x08\x0b-\x1f\x7f-\xff]' "$T/log"
	run ! grep -avE '^(mta-relay|mda-deliver)(\[[0-9]+\])?: ' "$T/log"
}

# All sequences of up to three of the bytes that matter, and some longer ones: a script in which each is sent in
# content and in a chunk. $1 refuse: with 550; normalize: taken.
sequences() {
	perl -e '
		my ($mode) = @ARGV;
		srand(1);
		my @bytes = ("\\r", "\\n", ".", "\\0");
		my @seqs = map { my $a = $_; ($a, map { my $b = $_; ("$a$b", map { "$a$b$_" } $mode eq "refuse" ? @bytes : ()) } @bytes) } @bytes;
		push @seqs, join("", map { $bytes[rand 4] } 1 .. 4 + rand 5) for 1 .. 25;
		my $tail = "MAIL FROM:<x\@bank.example>\\r\\nRCPT TO:<user\@relay.example>\\r\\nDATA\\r\\nFrom: x\@bank.example\\r\\n\\r\\ntwo\\r\\n";
		my $n = 0;
		for my $q (@seqs) {
			next if $q =~ /\\r\\n\.\\r\\n/;
			(my $rest = $q) =~ s/\\r\\n//g;
			my $odd = $rest =~ /\\/;
			my $taken = !$odd || $mode eq "normalize" ? 1 : 0;
			for my $how ("data", "last") {
				my $name = "sequence-" . $n++;
				my $text = "Subject: $name\\r\\n\\r\\none$q$tail";
				print "case $name keeps $taken\nhello\nenvelope\n";
				print $how eq "data" ? "data\n> $text.\\r\\n\n" : "last $text\n";
				print $taken ? "< 250\n> NOOP\\r\\n\n< 250\n" : "< 550 5\\.6\\.0\n", !$taken && $how eq "data" ? "eof\n" : "> QUIT\\r\\n\n< 221\neof\n";
			}
		}' "$1"
}

@test "every short sequence of CR, LF, dot and NUL: refused, and clean at the next hop if it is none" {
	server --relay-to=relay.example --bare-newline=normalize --nul=strip
	sequences refuse >"$T/script"
	[ "$(grep -c '^case' "$T/script")" -gt 190 ]
	talk --rcpt=user@relay.example "$T/script"
	pass_on
	arrived "$SINK"
	alive
}

@test "--bare-newline=normalize, --nul=strip from trusted clients: taken, and clean at the next hop" {
	server --trust=127.0.0.0/8 --bare-newline=normalize --nul=strip
	sequences normalize >"$T/script"
	talk --rcpt=user@relay.example "$T/script"
	pass_on
	arrived "$SINK"
	# Nothing of it got lost, and nothing of it became a message or a header of its own.
	mail_of "$SINK" | xargs -0 perl -0777 -ne 's/\A(X-[A-Z][a-z]*:.*\n)*\n//; my ($head, $body) = split(/\r\n\r\n/, $_, 2);
		my $n = () = $body =~ /MAIL FROM:<x\@bank.example>/g;
		if ($n != 1 || $body !~ /^two\r$/m || $head =~ /bank/) { print "$ARGV: $n\n"; $bad = 1 }
		END { exit $bad // 0 }'
	[ "$(grep -c '^[0-9]* MAIL FROM:<sender@far.example>' "$SINK/log")" -eq "$(kept)" ]
	alive
}

@test "--bare-newline=normalize without --nul=strip: a NUL is refused; users count as trusted" {
	server --role=msa --auth-without-tls --bare-newline=normalize
	cat >"$T/script" <<-'S'
		case line-feeds keeps 1
		hello
		envelope
		data
		> Subject: line-feeds\n\n.one\n.\n..\ntwo\r.\r\r\n.\r\n
		< 250
		case nul
		hello
		envelope
		data
		subject
		> a\0b\n\r\n.\r\n
		< 550
		eof
	S
	talk --auth="$AUTH" --from=user@here.example --rcpt=user@relay.example "$T/script"
	pass_on
	arrived "$SINK"
	# A dot that begins a line only now is the client's own.
	sed '1,/^\r*$/d' "$SINK/0001" | sed '1,/^\r*$/d' | tr -d '\r' >"$T/body"
	printf '.one\n.\n..\ntwo\n.\n\n' | cmp - "$T/body"
}

@test "what RFC 5321 asks of every command, in every state" {
	echo 'postmaster:{PLAIN}secret::::::' >>"$T/users"
	delivering --max-errors=100
	talk "$ATTACK/rfc5321.txt"
	arrived "$T/mail/new"
	alive
	# Nothing that somebody said has become a field of ours.
	run ! grep -rE '^X-Injected' "$T/mail/new"
	run ! grep -avE '^(mta-relay|mda-deliver)(\[[0-9]+\])?: ' "$T/log"
}

@test "a list that is written to again and again leads to so many only, and costs no memory" {
	# shellcheck disable=SC2046
	{ printf 'list: m0@far.example' && printf ',\n m%d@far.example' $(seq 9989); } >"$T/aliases"
	server --aliases="$T/aliases" --vrfy=yes
	{
		printf 'case list keeps 1\nhello\n: MAIL FROM:<a@far.example> => 250\n'
		for i in 1 2 3 4 5 6; do printf ': RCPT TO:<list+%d@here.example> => 250\n' "$i"; done
		for i in 1 2 3; do printf ': RCPT TO:<list+%d@here.example> => 452 4\\.5\\.3\n' "$i"; done
		printf ': RSET => 250\n: MAIL FROM:<a@far.example> => 250\n: RCPT TO:<list@here.example> => 250\ndata\nsubject\n: one\\r\\n. => 250\n'
		for i in 1 2 3 4 5 6 7 8 9 10; do printf ': VRFY list => 250 2\\.1\\.5 <list@here\n'; done
		printf 'pause 100\n'
	} >"$T/script"
	talk "$T/script"
	most=0
	for pid in $(pgrep -P "$SERVER"); do
		kb=$(sed -n 's/^VmHWM:[^0-9]*\([0-9]*\).*/\1/p' "/proc/$pid/status")
		[ "$kb" -le "$most" ] || most=$kb
	done
	# Six lists at once, not ten more on top; a sanitizer has its own needs.
	[ "$most" -lt 60000 ] || grep -q asan "/proc/$SERVER/maps"
	[ "$(waiting)" -eq 1 ]
	alive
}

@test "a refusal at the end of content leaves nothing of the transaction" {
	"$TOP/lib/smtp-liar" --dir="$T" --lmtp <(echo 'no dot say 550 5.7.1 policy\r\n') >/dev/null 2>&1 3>&- &
	PIDS+=($!)
	wait_for 60 test -s "$T/ports"
	server --mda="lmtp:127.0.0.1:$(sed 's/.* //' "$T/ports")" --max-size=10k
	cat >"$T/script" <<-'S'
		case SMUG27-policy
		hello
		envelope
		data
		subject
		> one\r\n.\r\n
		< 550 5\.7\.1
		> RCPT TO:<user@here.example>\r\n
		< 503
		> DATA\r\n
		< 503
		> BDAT 6 LAST\r\nQUIT\r\n
		< 503
		case SMUG27-size
		hello
		envelope
		data
		> \{20000:x}\r\n.\r\n
		< 552
		> DATA\r\n
		< 503
		envelope
		> RSET\r\n
		< 250
		case SMUG27-chunk
		hello
		envelope
		last Subject: x\r\n
		< 550 5\.7\.1
		> RCPT TO:<user@here.example>\r\n
		< 503
	S
	talk "$T/script"
	[ "$(waiting)" -eq 0 ]
}

@test "the end of content at every offset of the buffers" {
	delivering
	for k in 1024 4096 8192 16384 65536; do
		for d in $(seq -12 6); do
			printf 'case SMUG18-%d-%d keeps 1\nhello\nenvelope\ndata\nsubject\n> \\{%d:x}\\r\\n..\\r\\n.\\r\\nNOOP\\r\\n\n< 250\n< 250\n' \
				"$k" "$((d + 12))" "$((k + d - 30))"
		done
	done >"$T/script"
	talk "$T/script"
	arrived "$T/mail/new"
	[ "$(grep -l '^\.$' "$T/mail/new"/* | wc -l)" -eq 95 ]
}

@test "STARTTLS: what came in the clear is gone, or the conversation is" {
	command -v openssl >/dev/null || skip "needs openssl"
	openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 2 -subj /CN=localhost \
		-keyout "$T/cert.pem" -out "$T/cert.crt" 2>/dev/null
	cat "$T/cert.crt" >>"$T/cert.pem"
	delivering --tls-cert="$T/cert.pem" --early-input=accept
	talk "$ATTACK/starttls.txt"
	[ -z "$(find "$T/mail" -type f)" ]
	clear=$PORT
	server --tls-cert="$T/cert.pem" --auth-without-tls
	printf 'case INJ07-after-AUTH\nhello\n> STARTTLS\\r\\n\n< 503\nenvelope\n' >"$T/script"
	talk --auth="$AUTH" "$T/script"
	PORT=$clear
	# AUTH and XCLIENT before TLS are not kept; nor is the transaction.
	perl -MIO::Socket::SSL -e1 2>/dev/null || skip "the rest needs IO::Socket::SSL"
	perl -MIO::Socket::INET -MIO::Socket::SSL -e '
		my $s = IO::Socket::INET->new("127.0.0.1:$ARGV[0]") or die;
		sub want { my $l; do { $l = <$s> // die "end\n" } while ($l =~ /^\d+-/); $l =~ /^$_[0]/ or die "wanted $_[0], got $l"; }
		sub say1 { print $s "$_[0]\r\n"; $s->flush; want($_[1]) }
		want(220);
		say1("EHLO clear", 250);
		say1("STARTTLS", 220);
		IO::Socket::SSL->start_SSL($s, SSL_verify_mode => 0) or die $SSL_ERROR;
		# RFC 3207 4.2: who it is must be told again.
		say1("MAIL FROM:<a\@far.example>", 503);
		say1("RCPT TO:<user\@here.example>", 503);
		say1("STARTTLS", 503);
		say1("EHLO again", 250);
		say1("STARTTLS", 503);
		say1("MAIL FROM:<a\@far.example>", 250);
		say1("RCPT TO:<user\@here.example>", 250);
		say1("DATA", 354);
		print $s "Subject: cut\r\n\r\none\r\n.\r";
		$s->flush;
		# The end of TCP without close_notify, within the content.
		shutdown($s, 2);' "$PORT"
	wait_for 60 grep -q 'disconnect.*DATA' "$T/log"
	[ -z "$(find "$T/mail" -type f)" ]
	alive
}

@test "patience: silence, too slow, too long, too many errors, a large header, a long line" {
	server --relay-to=relay.example --timeout=6s --data-timeout=6s --max-errors=3 --max-junk=4 --max-header=1k --max-line=200
	cat >"$T/script" <<-'S'
		case silence
		hello
		< 421 4\.4\.2
		eof
		case silence-in-a-command
		hello
		> NOO
		< 421 4\.4\.2
		eof
		case silence-in-content
		hello
		envelope
		data
		> Subject: x\r\n
		< 421 4\.4\.2
		eof
		case silence-in-a-chunk
		hello
		envelope
		> BDAT 100\r\nSubject: x\r\n
		< 421 4\.4\.2
		eof
		case errors
		hello
		> FOO\r\nFOO\r\nFOO\r\n
		< 500
		< 500
		< 500
		< 421 4\.7\.0
		eof
		case junk
		hello
		> NOOP\r\nRSET\r\nNOOP\r\nNOOP\r\nNOOP\r\n
		until 421 4\.7\.0
		eof
		case header keeps 1
		hello
		envelope
		data
		> A: 1\r\n\{28:B: 2345678901234567890123456789012345\r\n}Subject: x\r\n\r\none\r\n.\r\n
		< 552 5\.3\.4
		envelope
		data
		> A: 1\r\nSubject: header\r\n\r\n\{30:B: 2345678901234567890123456789012345\r\n}\r\n.\r\n
		< 250
		case line keeps 1
		hello
		envelope
		data
		> Subject: x\r\n\r\n\{199:x}\r\n.\r\n
		< 552 5\.6\.0
		envelope
		data
		> Subject: line\r\n\r\n\{198:x}\r\n\{5:\{198:x}\r\n}.\r\n
		< 250
		case line-in-chunks
		hello
		envelope
		chunk Subject: x\r\n\r\n\{150:x}
		< 250
		last \{50:x}\r\n
		< 552 5\.6\.0
		> NOOP\r\n
		< 250
	S
	sed -i 's/\\{5:\\{198:x}\\r\\n}/\\{198:x}\\r\\n\\{198:x}\\r\\n/' "$T/script"
	talk --rcpt=user@relay.example "$T/script"
	pass_on
	arrived "$SINK"
	kill "$SERVER"
	server --relay-to=relay.example --data-rate=1000 --data-grace=5s --transaction-time=30s --session-time=15s
	cat >"$T/script" <<-'S'
		case too-slow
		hello
		envelope
		data
		drip 100 x
		< 421 4\.4\.2
		eof
		case too-slow-in-a-chunk
		hello
		envelope
		> BDAT 10000 LAST\r\n
		drip 100 x
		< 421 4\.4\.2
		eof
		case transaction
		hello
		> MAIL FROM:<sender@far.example>\r\n
		< 250
		drip 20 RCPT TO:<user@relay.example>\r\n
		until 421 4\.4\.2
		eof
		case session
		hello
		drip 10 NOOP\r\n
		until 421 4\.4\.2
		eof
		case session-with-a-message-in-hand keeps 1
		hello
		envelope
		pause 4000
		data
		subject
		* 100 \{10000:x}\r\n
		pause 15000
		> .\r\n
		< 250
		until 421 4\.4\.2
		eof
	S
	talk --rcpt=user@relay.example "$T/script"
	[ "$(waiting)" -eq 1 ]
	[ "$(grep -c 'timeout' "$T/log")" -ge 5 ]
	run "$RELAY" serve --data-rate=0 </dev/null
	[ "$status" -eq 64 ]
}

@test "stress: with all processes held by silent and slow clients, they go and an honest one is served" {
	server --relay-to=relay.example --workers=4 --max-clients=4 --stress-timeout=4s
	cat >"$T/held" <<-'S'
		case held-silent
		< 220
		< 421 4\.4\.2
		eof
	S
	cat >"$T/slow" <<-'S'
		case held-slow
		hello
		envelope
		data
		drip 200 x
		< 421 4\.4\.2
		eof
	S
	for script in held held slow; do
		"$TOP/lib/smtp-talk" --port="$PORT" --limit=120 "$T/$script" >>"$T/held.out" 3>&- &
		HELD+=($!)
	done
	# Three of four: nobody is sent away.
	wait_for 60 eval '[ "$(grep -c " connect " "$T/log")" -eq 3 ]'
	sleep 3 # nobody goes in that time
	run ! grep -q disconnect "$T/log"
	# A fourth that is silent, and one more that has to wait for a process.
	"$TOP/lib/smtp-talk" --port="$PORT" --limit=120 "$T/held" >>"$T/held.out" 3>&- &
	HELD+=($!)
	wait_for 60 eval '[ "$(grep -c " connect " "$T/log")" -eq 4 ]'
	printf 'case honest keeps 1\nhello\nenvelope\ndata\nsubject\n> one\\r\\n.\\r\\n\n< 250\n' >"$T/script"
	talk --rcpt=user@relay.example "$T/script"
	for pid in "${HELD[@]}"; do wait "$pid" || true; done
	# Those who were in the way when stress began were told so.
	grep -q 'stress state=begins' "$T/log"
	grep -q '^ok held-silent' "$T/held.out"
	alive
}
