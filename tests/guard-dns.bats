#!/usr/bin/env bats
# mta-relay serve: the pause before the greeting, DNS lists, and what the DNS says of names.
# shellcheck disable=SC2154

load guard

setup() {
	guard_setup
	ZONE=$T/zone
	cat >"$ZONE" <<-Z
		1.1.1.127.bl.example A 127.0.0.2
		2.1.1.127.bl.example A 127.0.0.4
		3.1.1.127.bl.example A 127.255.255.254
		1.1.1.127.two.example A 127.0.0.10
		1.1.1.127.good.example A 127.0.0.3
		1.1.1.127.dead.example drop
		bad.example.rhs.example A 127.0.1.2
		bad.example A 192.0.2.1
		far.example MX 10 mx.far.example
		mx.far.example A 192.0.2.1
		plain.example A 192.0.2.2
		web_1.example A 192.0.2.2
		six.example AAAA 2001:db8::1
		null.example MX 0 .
		nothing.example TXT x
		broken.example servfail
		1.2.1.127.in-addr.arpa PTR host.client.example
		host.client.example A 127.1.2.1
		2.2.1.127.in-addr.arpa PTR other.client.example
		other.client.example A 192.0.2.99
		3.2.1.127.in-addr.arpa servfail
	Z
}
teardown() { guard_teardown; }

dnsd() {
	"$TOP/dnsd" "$ZONE" "$T/dns" 2>"$T/dnsd.err" 3>&- &
	PIDS+=($!)
	wait_for 60 test -s "$T/dns"
	RESOLVER=127.0.0.1:$(cat "$T/dns")
}
with_dns() { dnsd && listen --resolver="$RESOLVER" "$@"; }
try() { # ADDRESS FROM RCPT...
	local address=$1
	shift
	mail "$@" | session | from "$address"
}
asked() { grep -c "^$1 " "$T/dns.log" || true; }

@test "who speaks before the greeting is refused; who waits is greeted, and the next time at once" {
	listen --greet-delay=5s --early-input=accept
	out=$(timeout 120 perl -MIO::Socket::INET -e '
		my $s = IO::Socket::INET->new(PeerAddr => "127.0.0.1:$ARGV[0]", LocalAddr => "127.1.1.1") or die;
		print $s "EHLO x\r\nQUIT\r\n";
		print <$s>;' "$PORT" | tr -d '\r')
	has "$out" '554 5.5.0 Synchronization error: you spoke before the greeting'
	lacks "$out" 220
	grep -q 'refuse client=127.1.1.1 stage=CONNECT code=554 dsn=5.5.0 .* check=greet ' "$T/log"
	begin=$(date +%s%N)
	has "$(session </dev/null | from 127.1.1.1)" '220 '
	[ $((($(date +%s%N) - begin) / 1000000)) -ge 5000 ]
	has "$(timeout 120 perl -MIO::Socket::INET -e '
		my $s = IO::Socket::INET->new(PeerAddr => "127.0.0.1:$ARGV[0]", LocalAddr => "127.1.1.1") or die;
		print $s "QUIT\r\n";
		print <$s>;' "$PORT")" '220 '
}

@test "a client on a list is refused when its recipient exists, and only then is the list asked" {
	with_dns --dnsbl=bl.example
	has "$(try 127.1.1.1 a@far.example nobody@here.example)" '550 5.1.1'
	[ "$(asked 1.1.1.127.bl.example)" -eq 0 ]
	out=$(try 127.1.1.1 a@far.example alice@here.example bob@here.example)
	[ "$(grep -c '^550 5.7.1 Client host \[127.1.1.1\] is listed by bl.example' <<<"$out")" -eq 2 ]
	[ "$(asked 1.1.1.127.bl.example)" -eq 1 ]
	has "$(try 127.1.1.1 a@far.example alice@here.example)" '550 5.7.1'
	[ "$(asked 1.1.1.127.bl.example)" -eq 1 ]
	has "$(try 127.1.1.3 a@far.example alice@here.example)" '250 2.0.0'
	has "$(try 127.1.1.9 a@far.example alice@here.example)" '250 2.0.0'
	has "$(try 127.1.1.9 a@far.example alice@here.example)" '250 2.0.0'
	[ "$(asked 9.1.1.127.bl.example)" -eq 1 ]
	grep -q 'refuse client=127.1.1.1 stage=RCPT code=550 dsn=5.7.1 .* check=dns ' "$T/log"
	grep -rhq ' dnsbl 127.1.1.1 ' "$T/state"
}

@test "codes, weights and the threshold decide, and a list of good ones counts against" {
	with_dns --dnsbl='bl.example=127.0.0.[2..3]*2' --dnsbl='two.example*2' --dnsbl='good.example*-3' --dnsbl-threshold=2
	has "$(try 127.1.1.1 a@far.example alice@here.example)" '250 2.0.0'
	has "$(try 127.1.1.2 a@far.example alice@here.example)" '250 2.0.0'
	listen --resolver="$RESOLVER" --dnsbl='bl.example=127.0.0.[2..3]*2' --dnsbl='two.example*2' --dnsbl-threshold=4
	has "$(try 127.1.1.1 a@far.example alice@here.example)" '550 5.7.1 Client host \[127.1.1.1\] is listed by bl.example, two.example'
}

@test "a list that does not answer has nothing to say, and costs no more than --dns-time" {
	with_dns --dnsbl=dead.example --dnsbl=bl.example --dns-time=7s
	begin=$(date +%s)
	has "$(try 127.1.1.1 a@far.example alice@here.example)" '550 5.7.1'
	took=$(($(date +%s) - begin))
	[ $took -ge 7 ] && [ $took -lt 60 ]
	[ "$(grep -c 'dns-list zone=dead.example error=' "$T/log")" -eq 1 ]
	has "$(try 127.1.1.1 a@far.example alice@here.example)" '550 5.7.1'
	[ "$(asked 1.1.1.127.bl.example)" -ge 2 ]
}

@test "a sender's domain on a list is refused" {
	with_dns --rhsbl=rhs.example
	has "$(try 127.1.1.9 a@BAD.example alice@here.example)" "550 5.7.1 <a@BAD.example>: the sender's domain is listed by rhs.example"
	has "$(try 127.1.1.9 a@far.example alice@here.example)" '250 2.0.0'
	has "$(try 127.1.1.9 '' alice@here.example)" '250 2.0.0'
}

@test "users, exempt clients and trusted ones are not looked up" {
	with_dns --dnsbl=bl.example --check=client-ptr,sender-domain,helo-fqdn --auth-without-tls \
		--exempt=127.1.1.2,trust --trust=127.1.1.1
	has "$(try 127.1.1.1 a@gone.example alice@here.example)" '250 2.0.0'
	has "$(try 127.1.1.2 a@gone.example alice@here.example)" '250 2.0.0'
	has "$({ login alice@here.example secret && mail alice@here.example bob@here.example; } | session |
		from 127.1.9.1)" '250 2.0.0'
	run grep -cv in-addr.arpa "$T/dns.log"
	[ "$output" -eq 0 ]
}

@test "what a client calls itself" {
	with_dns --check=helo-fqdn,helo-own,helo-resolves
	helo() { { echo "EHLO $1" && mail a@far.example alice@here.example; } | from "${2:-127.1.1.9}"; }
	has "$(helo localhost)" '504 5.5.2 <localhost>'
	has "$(helo 127.1.1.9)" '504 5.5.2'
	has "$(helo '[127.1.1.9')" '504 5.5.2'
	has "$(helo mx.here.example)" '550 5.7.1 <mx.here.example>: that is not you but us'
	has "$(helo here.example)" '550 5.7.1'
	has "$(helo gone.example)" "550 5.7.1 <gone.example>: the greeting's name does not exist"
	has "$(helo broken.example)" "450 4.7.1 <broken.example>"
	has "$(helo mx.far.example)" '250 2.0.0'
	has "$(helo six.example)" '250 2.0.0'
	has "$(helo far.example)" '250 2.0.0'
	has "$(helo '[127.1.1.9]')" '250 2.0.0'
	has "$(helo '[IPv6:2001:db8::1]')" '250 2.0.0'
}

@test "a client's address has a name" {
	with_dns --check=client-ptr
	has "$(try 127.1.2.1 a@far.example alice@here.example)" '250 2.0.0'
	has "$(try 127.1.2.2 a@far.example alice@here.example)" '250 2.0.0'
	has "$(try 127.1.2.3 a@far.example alice@here.example)" '450 4.7.25'
	has "$(try 127.1.2.4 a@far.example alice@here.example)" '550 5.7.25 Client host \[127.1.2.4\] has no name'
}

@test "and the name has the address" {
	with_dns --check=client-fcrdns
	has "$(try 127.1.2.1 a@far.example alice@here.example)" '250 2.0.0'
	has "$(try 127.1.2.2 a@far.example alice@here.example)" '550 5.7.25 Client host \[127.1.2.2\] has no name that has this address'
	has "$(try 127.1.2.4 a@far.example alice@here.example)" '550 5.7.25'
}

@test "a sender's domain takes mail" {
	with_dns --check=sender-domain
	for domain in far plain web_1 six here; do
		has "$(try 127.1.1.9 "a@$domain.example" alice@here.example)" '250 2.0.0'
	done
	has "$(try 127.1.1.9 '' alice@here.example)" '250 2.0.0'
	has "$(try 127.1.1.9 a@null.example alice@here.example)" '550 5.7.27'
	has "$(try 127.1.1.9 a@gone.example alice@here.example)" '550 5.1.8'
	has "$(try 127.1.1.9 a@nothing.example alice@here.example)" '550 5.1.8'
	has "$(try 127.1.1.9 a@broken.example alice@here.example)" '450 4.1.8'
	out=$({ mail a@gone.example alice@here.example && echo RSET && mail a@far.example alice@here.example; } |
		session | from 127.1.1.9)
	has "$out" '550 5.1.8'
	has "$out" '250 2.0.0 Ok: queued'
}

@test "a recipient's domain takes mail, also a user's" {
	with_dns --check=recipient-domain --auth-without-tls
	out=$({
		login alice@here.example secret
		mail alice@here.example x@far.example x@null.example x@gone.example x@broken.example bob@here.example
	} | session | from 127.1.1.9)
	[ "$(grep -c '^250 2.1.5' <<<"$out")" -eq 2 ]
	has "$out" '556 5.1.10 <x@null.example>'
	has "$out" '550 5.1.2 <x@gone.example>'
	has "$out" '450 4.4.3 <x@broken.example>'
	has "$out" '250 2.0.0 Ok: queued'
}

@test "a client that is locked out is not looked up" {
	with_dns --errors=1/1h
	echo NONSENSE | session | from 127.1.2.1 >/dev/null
	[ "$(asked 1.2.1.127.in-addr.arpa)" -eq 1 ]
	has "$(session </dev/null | from 127.1.2.1)" '421 4.7.0'
	[ "$(asked 1.2.1.127.in-addr.arpa)" -eq 1 ]
}

@test "lists and checks that are none are found at the start" {
	for bad in --dnsbl=a..b --dnsbl='a.b=127' --rhsbl='a.b*0' --check=nonsense \
		'--check=client-ptr --resolver=name.example'; do
		# shellcheck disable=SC2086
		run "$RELAY" serve --state="$T/state" --domains=here.example $bad </dev/null
		[ "$status" -ne 0 ]
	done
}
