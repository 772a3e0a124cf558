#!/usr/bin/env bats
# Who a client is when others speak for it: PROXY headers, XCLIENT, XFORWARD.
# shellcheck disable=SC2154,SC2030,SC2031

load auth.bash

setup() { auth_setup; }
teardown() { auth_teardown; }

# Waits for each reply: lines of stdin are commands. FIRST is sent before the greeting, with \r \n \0 and so on.
converse() { # FIRST
	timeout 120 perl -MIO::Socket::INET -e '
		my $s = IO::Socket::INET->new(PeerAddr => "127.0.0.1:$ARGV[0]") or die "connect: $!";
		$s->autoflush(1);
		my $first = $ARGV[1];
		$first =~ s/\\x([0-9a-f]{2})/chr hex $1/ge;
		print $s $first if length $first;
		sub reply { while (defined(my $l = <$s>)) { print $l; return 1 if $l =~ /^\d{3} / } return 0 }
		reply() or exit 0;
		while (my $l = <STDIN>) {
			chomp $l;
			print $s "$l\r\n";
			reply() or last;
		}' "$port" "$1" | tr -d '\r'
}

queued() { find "$T"/queue/*/msg -type f -exec cat {} +; }

@test "PROXY: the client's address is the one that counts, in both versions" {
	listen --proxy=127.0.0.1 --trust=192.0.2.0/24
	out=$(printf 'EHLO a\nMAIL FROM:<a@b.example>\nRCPT TO:<x@far.example>\nQUIT\n' |
		converse 'PROXY TCP4 192.0.2.7 192.0.2.25 40000 25\x0d\x0a')
	[[ $out == *"250 2.1.5"* ]]
	grep -q 'connect client=192.0.2.7 port=40000' "$T/log"
	out=$(printf 'EHLO a\nMAIL FROM:<a@b.example>\nRCPT TO:<x@far.example>\nQUIT\n' |
		converse '\x0d\x0a\x0d\x0a\x00\x0d\x0aQUIT\x0a\x21\x11\x00\x0f\xc6\x33\x64\x07\xc0\x00\x02\x19\x9c\x40\x00\x19\x04\x00\x00')
	[[ $out == *"550 5.7.1"* ]]
	grep -q 'connect client=198.51.100.7 port=40000' "$T/log"
	# The proxy itself: a health check.
	out=$(printf 'QUIT\n' | converse '\x0d\x0a\x0d\x0a\x00\x0d\x0aQUIT\x0a\x20\x00\x00\x00')
	[[ $out == 220* ]]
	grep -q 'connect client=127.0.0.1 port=' "$T/log"
}

@test "PROXY: nothing else will do, and nobody else may" {
	listen --proxy=127.0.0.1
	for first in 'EHLO a\x0d\x0a' 'PROXY TCP4 192.0.2.7\x0d\x0a' 'PROXY TCP4 192.0.2.7 192.0.2.25 40000 25\x0a'; do
		out=$(printf 'EHLO a\nQUIT\n' | converse "$first")
		[ -z "$out" ]
	done
	[ "$(grep -c 'proxy client=127.0.0.1 error="what came is no PROXY header"' "$T/log")" -eq 3 ]
	listen --proxy=192.0.2.1
	out=$(printf 'PROXY TCP4 192.0.2.7 192.0.2.25 40000 25\nQUIT\n' | converse '')
	[[ $out == *"500 5.5.1"* ]]
	run "$RELAY" serve --proxy=nonsense </dev/null
	[ "$status" -eq 64 ]
}

@test "PROXY before TLS from the start" {
	needs openssl
	certificate tls /CN=mx.here.example DNS:mx.here.example
	listen tls --proxy=127.0.0.1 --tls-cert="$T/tls.pem" --tls-key="$T/tls.key"
	# Header and handshake come in one segment, perhaps.
	timeout 120 perl -MIO::Socket::SSL -e 1 2>/dev/null || skip "needs IO::Socket::SSL"
	timeout 120 perl -MIO::Socket::INET -MIO::Socket::SSL -e '
		my $s = IO::Socket::INET->new(PeerAddr => "127.0.0.1:$ARGV[0]") or die;
		print $s "PROXY TCP6 2001:db8::7 2001:db8::25 40000 465\r\n";
		IO::Socket::SSL->start_SSL($s, SSL_verify_mode => 0) or die "TLS: $SSL_ERROR";
		print scalar <$s>; print $s "QUIT\r\n"; print scalar <$s>;' "$port" >"$T/out"
	grep -q '^220 ' "$T/out"
	grep -q '^221 ' "$T/out"
	grep -q 'connect client=2001:db8::7 port=40000' "$T/log"
}

@test "IMAP behind a proxy" {
	"$BIN/maa-serve" --imap --listen=127.0.0.1:0 --ready-file="$T/ready" --users="$T/users" --auth-without-tls \
		--mail="maildir:$T/mail/%n" --proxy=127.0.0.0/8 2>>"$T/log" 3>&- &
	PIDS+=($!)
	wait_for 60 test -s "$T/ready"
	port=$(sed -n 's/.*://p' "$T/ready" | head -n 1)
	timeout 120 perl -MIO::Socket::INET -e '
		my $s = IO::Socket::INET->new(PeerAddr => "127.0.0.1:$ARGV[0]") or die;
		print $s "PROXY TCP4 192.0.2.7 192.0.2.25 40000 143\r\n"; print scalar <$s>;
		print $s "a LOGIN alice\@here.example secret\r\n"; print scalar <$s>;' "$port" >"$T/out"
	grep -q '^a OK' "$T/out"
	grep -q 'login user="alice@here.example" peer=192.0.2.7' "$T/log"
}

@test "XCLIENT: address, name, log-in; the conversation begins anew" {
	listen --xclient=127.0.0.1 --users="$T/users"
	out=$(converse '' <<-'E'
		EHLO proxy.example
		MAIL FROM:<a@b.example>
		XCLIENT ADDR=192.0.2.7
		RSET
		XCLIENT NAME=mail.client.example ADDR=192.0.2.7 PORT=4242 HELO=early.example
		XCLIENT LOGIN=alice@here.example PROTO=ESMTP
		MAIL FROM:<alice@here.example>
		EHLO client.example
		XCLIENT ADDR=127.0.0.1
		MAIL FROM:<alice@here.example>
		RCPT TO:<x@far.example>
		DATA
		.
		QUIT
	E
	)
	echo "$out" >&2
	cat "$T/log" >&2
	[ "$(grep -c '^250-XCLIENT NAME ADDR PORT PROTO HELO LOGIN DESTADDR DESTPORT$' <<<"$out")" -eq 1 ]
	[ "$(grep -c '^220 mx.here.example' <<<"$out")" -eq 3 ]
	grep -q '^503 5.5.1 Not inside' <<<"$out"
	grep -q '^503 5.5.1 Send EHLO first' <<<"$out"
	grep -q '^500 5.5.1' <<<"$out"
	[ "$(waiting)" -eq 1 ]
	grep -q 'connect client=192.0.2.7 name=mail.client.example port=4242' "$T/log"
	grep -q 'accept .*client=192.0.2.7 name=mail.client.example user="alice@here.example"' "$T/log"
	queued | tr -d '\r' | grep -q '^Received: from client.example (mail.client.example \[192.0.2.7\])'
}

@test "XCLIENT: neither rights nor limits of the proxy remain" {
	listen --xclient=127.0.0.1 --trust=127.0.0.1,198.51.100.0/24 --users="$T/users"
	rcpt() { # XCLIENT-ARGUMENTS
		printf 'EHLO a\nXCLIENT %s\nEHLO b\nMAIL FROM:<a@b.example>\nRCPT TO:<x@far.example>\nQUIT\n' "$1" |
			converse '' | tail -n 2 | head -n 1
	}
	[[ $(rcpt 'ADDR=192.0.2.7') == 550* ]]
	[[ $(rcpt 'ADDR=198.51.100.7') == 250* ]]
	[[ $(rcpt 'ADDR=IPV6:2001:db8::7 NAME=[UNAVAILABLE]') == 550* ]]
	[[ $(rcpt 'ADDR=[UNAVAILABLE]') == 550* ]]
	[[ $(rcpt 'NAME=x.example') == 250* ]]
	grep -q 'refuse client=2001:db8::7 stage=RCPT' "$T/log"
	grep -q 'refuse client=unknown stage=RCPT' "$T/log"
	# Malformed: nothing has changed.
	for bad in 'ADDR=300.1.1.1' 'NAME=a+0Ab' 'NAME=' 'NAME' 'PORT=x' 'WHAT=1' 'IDENT=x' 'NAME=a_b..c+' 'LOGIN=a+0D'; do
		out=$(printf 'EHLO a\nXCLIENT %s\nMAIL FROM:<a@b.example>\nRCPT TO:<x@far.example>\nQUIT\n' "$bad" | converse '')
		echo "$bad: $out" >&2
		[[ $out == *$'\n501 5.5.4'*$'\n250 2.1.5'* ]]
	done
}

@test "XCLIENT: limits are those of whom is named; who has no address shares them with all who have none" {
	listen --xclient=127.0.0.1 --exempt=none --state="$T/state" --connections=2/1h
	say() { # XCLIENT-ARGUMENTS
		printf 'EHLO a\nXCLIENT %s\nQUIT\n' "$1" | converse '' | sed '0,/^220/d' | grep '^[24]2[01]' | head -n 1
	}
	for _ in 1 2; do
		[[ $(say ADDR=192.0.2.7) == 220* ]]
		[[ $(say 'ADDR=[UNAVAILABLE]') == 220* ]]
	done
	[[ $(say ADDR=192.0.2.8) == '421 4.7.0 Too many connections from 192.0.2.0/24' ]]
	[[ $(say ADDR=198.51.100.8) == 220* ]]
	[[ $(say 'ADDR=[TEMPUNAVAIL]') == '421 4.7.0 Too many connections from unknown' ]]
	kill "$SERVER"
	listen --xclient=127.0.0.1 --max-per-client=1
	for _ in 1 2 3; do
		exec {fd}<>"/dev/tcp/127.0.0.1/$port"
		read -r line <&"$fd"
		[[ $line == 220* ]]
	done
	printf 'EHLO a\r\nXCLIENT ADDR=192.0.2.7\r\n' >&"$fd"
	until read -r line <&"$fd" && [[ $line == 220* ]]; do :; done
	out=$(printf 'EHLO a\nXCLIENT ADDR=192.0.2.7\nQUIT\n' | converse '' | tail -n 1)
	[[ $out == '421 4.7.0 '* ]]
	grep -q 'too-many client=192.0.2.7 limit=1' "$T/log"
	[[ $(say ADDR=192.0.2.9) == 220* ]]
}

@test "XCLIENT and XFORWARD are for those who are named only" {
	listen --xclient=192.0.2.1 --xforward=192.0.2.1
	out=$(printf 'EHLO a\nXCLIENT ADDR=192.0.2.7\nXFORWARD ADDR=192.0.2.7\nHELP\nQUIT\n' | converse '')
	[ "$(grep -c '^500 5.5.1' <<<"$out")" -eq 2 ]
	[[ $out != *XCLIENT* && $out != *XFORWARD* ]]
	# Behind a proxy the named client is asked.
	listen --proxy=127.0.0.1 --xclient=192.0.2.1
	out=$(printf 'EHLO a\nXCLIENT ADDR=192.0.2.7\nQUIT\n' | converse 'PROXY TCP4 192.0.2.7 192.0.2.25 40000 25\x0d\x0a')
	[[ $out == *$'\n500 5.5.1'* ]]
	out=$(printf 'EHLO a\nXCLIENT ADDR=192.0.2.7\nQUIT\n' | converse 'PROXY TCP4 192.0.2.1 192.0.2.25 40000 25\x0d\x0a')
	[ "$(grep -c '^220 ' <<<"$out")" -eq 2 ]
}

@test "XCLIENT: swaks, before and inside TLS" {
	needs swaks openssl
	certificate tls /CN=mx.here.example DNS:mx.here.example
	listen --xclient=127.0.0.1 --trust=192.0.2.7 --tls-cert="$T/tls.pem" --tls-key="$T/tls.key"
	timeout 120 swaks --server 127.0.0.1 --port "$port" --xclient-addr 192.0.2.7 --xclient-name c.example \
		--from a@b.example --to x@far.example >"$T/swaks" 2>&1 || { cat "$T/swaks" >&2 && return 1; }
	# Its own TLS comes after, as the client's would.
	timeout 120 swaks --server 127.0.0.1 --port "$port" --tls --xclient-addr 192.0.2.7 --xclient-before-starttls \
		--from a@b.example --to x@far.example >"$T/swaks" 2>&1 || { cat "$T/swaks" >&2 && return 1; }
	timeout 120 swaks --server 127.0.0.1 --port "$port" --tls --xclient-addr 192.0.2.7 \
		--from a@b.example --to x@far.example >"$T/swaks" 2>&1 || { cat "$T/swaks" >&2 && return 1; }
	[ "$(waiting)" -eq 3 ]
	[ "$(grep -c 'accept .*client=192.0.2.7' "$T/log")" -eq 3 ]
}

@test "XFORWARD: told in log and Received, for one message, and grants nothing" {
	listen --xforward=127.0.0.1 --trust=192.0.2.7
	out=$(printf 'EHLO a\nXFORWARD ADDR=192.0.2.7\nMAIL FROM:<a@b.example>\nRCPT TO:<x@far.example>\nQUIT\n' |
		converse '')
	[[ $out == *"250-XFORWARD NAME ADDR PORT PROTO HELO IDENT SOURCE"* ]]
	[[ $out == *$'\n550 5.7.1'* ]]
	listen --xforward=127.0.0.1 --trust=127.0.0.1
	converse '' >"$T/out" <<-'E'
		EHLO filter.example
		XFORWARD NAME=mx.far.example ADDR=192.0.2.7 PROTO=ESMTP
		XFORWARD HELO=far.example IDENT=4Rz1 SOURCE=REMOTE
		MAIL FROM:<a@b.example>
		XFORWARD NAME=other.example
		RCPT TO:<x@far.example>
		DATA
		.
		MAIL FROM:<a@b.example>
		RCPT TO:<y@far.example>
		DATA
		.
		QUIT
	E
	cat "$T/out" "$T/log" >&2
	grep -q '^503 5.5.1' "$T/out"
	[ "$(waiting)" -eq 2 ]
	[ "$(grep -c 'accept .*client=127.0.0.1 orig_client="mx.far.example\[192.0.2.7\]"' "$T/log")" -eq 1 ]
	[ "$(queued | tr -d '\r' | grep -c '(on behalf of mx.far.example\[192.0.2.7\])')" -eq 1 ]
}
