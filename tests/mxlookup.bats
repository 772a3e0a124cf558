#!/usr/bin/env bats
# mxlookup against dnsmasq, a real server, and against tests/dnsd, which misbehaves on order.

load wait
bats_require_minimum_version 1.5.0

setup() {
	bin=${BUILD:-build}/bin
	tests=$BATS_TEST_DIRNAME
	PIDS=()
}

teardown() {
	for pid in "${PIDS[@]}"; do kill "$pid" 2>/dev/null && wait "$pid" 2>/dev/null; done
	true
}

# Starts tests/dnsd with the zone on stdin; $server is where.
zone() {
	cat >"$BATS_TEST_TMPDIR/zone"
	"$tests/dnsd" "$BATS_TEST_TMPDIR/zone" "$BATS_TEST_TMPDIR/port" 3>&- &
	PIDS+=($!)
	wait_for 60 test -s "$BATS_TEST_TMPDIR/port"
	server=127.0.0.1:$(cat "$BATS_TEST_TMPDIR/port")
}

mx() { run --separate-stderr "$bin/mxlookup" --server="$server" --timeout=60s "$@"; }

json() { # JQ-EXPRESSION WANT
	got=$(printf '%s\n' "${lines[0]}" | jq -rc "$1")
	[ "$got" = "$2" ] || { echo "$1: got $got, want $2" && return 1; }
}

# dnsmasq, authority of .test.
dnsmasq_serve() {
	command -v dnsmasq >/dev/null || skip "needs dnsmasq"
	dnsmasq_up "$BATS_TEST_TMPDIR/dnsmasq" --local=/test/ "$@"
	server=127.0.0.1:$DNS_PORT
}

@test "dnsmasq: MX hosts in order of preference, with their addresses" {
	dnsmasq_serve --mx-host=example.test,b.example.test,20 --mx-host=example.test,a.example.test,10 \
		--host-record=a.example.test,192.0.2.1,2001:db8::1 --host-record=b.example.test,192.0.2.2
	mx example.test user@Example.TEST
	[ "$status" -eq 0 ]
	[ "${lines[0]}" = 'example.test: example.test has 2 MX records' ]
	[ "${lines[1]}" = '       10 a.example.test 2001:db8::1 192.0.2.1' ]
	[ "${lines[2]}" = '       20 b.example.test 192.0.2.2' ]
	[ "${lines[3]}" = 'user@Example.TEST: example.test has 2 MX records' ]
	[ -z "$stderr" ]
}

@test "dnsmasq: implicit MX, null MX, no data, no domain have a status each" {
	dnsmasq_serve --host-record=plain.test,192.0.2.3 --dns-rr=nomail.test,15,000000 --txt-record=text.test,hello
	mx plain.test
	[ "$status" -eq 0 ]
	[[ ${lines[0]} == *'no MX record: its own address is used' ]]
	[ "${lines[1]}" = '        0 plain.test 192.0.2.3' ]
	mx nomail.test
	[ "$status" -eq 69 ]
	[[ ${lines[0]} == *'accepts no mail: it has a null MX' ]]
	mx text.test
	[ "$status" -eq 66 ]
	[[ ${lines[0]} == *'neither an MX record nor an address' ]]
	mx absent.test
	[ "$status" -eq 68 ]
	[[ ${lines[0]} == *'does not exist' ]]
}

@test "dnsmasq: PTR of each address, confirmed or not" {
	dnsmasq_serve --mx-host=example.test,a.example.test,10 --host-record=a.example.test,192.0.2.1 \
		--address=/b.example.test/192.0.2.9 --ptr-record=9.2.0.192.in-addr.arpa,other.test --host-record=other.test,192.0.2.8 \
		--mx-host=two.test,b.example.test,10
	mx --ptr example.test two.test
	[ "$status" -eq 0 ]
	[[ $output == *'ptr 192.0.2.1 a.example.test, confirmed'* ]]
	[[ $output == *'ptr 192.0.2.9 other.test, NOT confirmed'* ]]
}

@test "the domain is an alias: followed, and said" {
	zone <<-END
		alias.test CNAME real.test
		real.test MX 10 mx.test
		mx.test A 192.0.2.1
	END
	mx alias.test
	[ "$status" -eq 0 ]
	[ "${lines[1]}" = '    alias of real.test' ]
	[ "${lines[2]}" = '       10 mx.test 192.0.2.1' ]
}

@test "an MX that is an alias is used and warned about" {
	zone <<-END
		example.test MX 10 www.test
		www.test CNAME mx.test
		mx.test A 192.0.2.1
	END
	mx example.test
	[ "$status" -eq 0 ]
	[[ ${lines[1]} == *'www.test 192.0.2.1 (an alias: RFC 2181 10.3 forbids that)' ]]
	mx --json example.test
	json '.hosts[0].alias' true
}

@test "MX hosts that are an address, the root, or without address" {
	zone <<-END
		example.test MX 10 192.0.2.1
		example.test MX 0 .
		example.test MX 20 gone.test
		example.test MX 30 mx.test
		mx.test A 192.0.2.7
		dead.test MX 10 gone.test
	END
	mx example.test
	[ "$status" -eq 0 ]
	[ "${#lines[@]}" -eq 4 ]
	[[ ${lines[1]} == *'192.0.2.1 no address (badname)' ]]
	[[ ${lines[2]} == *'gone.test no address (nxdomain)' ]]
	[[ ${lines[3]} == *'30 mx.test 192.0.2.7' ]]
	mx dead.test
	[ "$status" -eq 66 ]
}

@test "a server that fails: 74; one that is silent: 75; the highest status of several names" {
	zone <<-END
		broken.test servfail
		refused.test refused
		silent.test drop
		garbage.test garbage
		ok.test MX 1 mx.test
		mx.test A 192.0.2.1
		half.test MX 1 broken.test
	END
	mx broken.test
	[ "$status" -eq 74 ]
	[[ ${lines[0]} == *SERVFAIL* ]]
	mx refused.test
	[ "$status" -eq 74 ]
	[[ ${lines[0]} == *REFUSED* ]]
	mx half.test
	[ "$status" -eq 74 ]
	mx ok.test absent.test
	[ "$status" -eq 68 ]
	mx --timeout=10s silent.test ok.test
	[ "$status" -eq 75 ]
	[[ ${lines[0]} == *'no DNS server answered in time' ]]
	[[ ${lines[1]} == 'ok.test: '* ]]
}

@test "hosts that nobody answers about don't hold up the rest for ever" {
	{
		echo 'example.test MX 1 mx.test'
		echo 'mx.test A 192.0.2.1'
		for i in 2 3 4 5 6; do printf 'example.test MX %d s%d.test\ns%d.test drop\n' $i $i $i; done
	} >"$BATS_TEST_TMPDIR/in"
	zone <"$BATS_TEST_TMPDIR/in"
	mx --timeout=10s --family=ipv4 --json example.test
	[ "$status" -eq 0 ]
	json '[.hosts[].status] | join(" ")' 'ok timeout timeout timeout timeout timeout'
	grep -q '^s3.test 1 udp' "$BATS_TEST_TMPDIR/port.log"
	run grep -c '^s[456].test' "$BATS_TEST_TMPDIR/port.log"
	[ "$output" -eq 0 ]
}

@test "nobody listens: 75" {
	server=127.0.0.1:$(free_port)
	mx example.test
	[ "$status" -eq 75 ]
	[[ ${lines[0]} == *'Connection refused' ]]
}

@test "a truncated answer is asked for again over TCP" {
	{
		echo 'big.test tc'
		for i in $(seq 1 60); do echo "big.test MX $i host-number-$i.with-a-long-name.test"; done
		for i in $(seq 1 60); do echo "host-number-$i.with-a-long-name.test A 192.0.2.$i"; done
	} >"$BATS_TEST_TMPDIR/big"
	zone <"$BATS_TEST_TMPDIR/big"
	mx --json big.test
	[ "$status" -eq 0 ]
	json '.hosts | length' 50
	json '.hosts[49].name' host-number-50.with-a-long-name.test
	json '.hosts[49].addresses[0].ip' 192.0.2.50
	grep -q '^big.test 15 udp' "$BATS_TEST_TMPDIR/port.log"
	grep -q '^big.test 15 tcp' "$BATS_TEST_TMPDIR/port.log"
}

@test "equal preferences come in another order from time to time" {
	zone <<-END
		example.test MX 10 a.test
		example.test MX 10 b.test
		example.test MX 10 c.test
		example.test MX 5 first.test
		first.test A 192.0.2.1
	END
	for _ in 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19 20; do
		mx --json example.test
		json '.hosts[0].name' first.test
		printf '%s\n' "${lines[0]}" | jq -r '.hosts[1].name' >>"$BATS_TEST_TMPDIR/second"
	done
	[ "$(sort -u "$BATS_TEST_TMPDIR/second" | wc -l)" -gt 1 ]
}

@test "the AD bit of a loopback server is believed: TLSA is secure" {
	hash=$(printf '%064d' 7)
	zone <<-END
		example.test MX 10 mx.test
		mx.test A 192.0.2.1
		mx.test AAAA 2001:db8::1
		_25._tcp.mx.test TYPE52 030101$hash
		example.test ad
		mx.test ad
		_25._tcp.mx.test ad
		plain.test MX 10 mx.test
	END
	mx --tlsa example.test
	[ "$status" -eq 0 ]
	[[ ${lines[0]} == *'authenticated by DNSSEC' ]]
	[[ ${lines[1]} == *'(dnssec)' ]]
	[[ ${lines[2]} == *'certificate must match'* ]]
	[ "${lines[3]}" = "        tlsa 3 1 1 $hash secure" ]
	# The MX itself is not secure: the records don't count.
	mx --tlsa --json plain.test
	json '.hosts[0].tlsa.verdict' none
	json '.hosts[0].tlsa.secure' false
	json '.hosts[0].tlsa.records[0].usage' 3
}

@test "TLSA look-ups that fail below a secure host would defer" {
	zone <<-END
		example.test MX 10 mx.test
		mx.test A 192.0.2.1
		mx.test AAAA 2001:db8::1
		example.test ad
		mx.test ad
		_25._tcp.mx.test servfail
	END
	mx --tlsa --json example.test
	json '.hosts[0].tlsa.verdict' defer
}

@test "MTA-STS: one record counts, two don't, another version doesn't" {
	zone <<-END
		a.test MX 1 mx.test
		_mta-sts.a.test TXT v=STSv1; id=2026;
		_mta-sts.a.test TXT unrelated
		b.test MX 1 mx.test
		_mta-sts.b.test TXT v=STSv1; id=1;
		_mta-sts.b.test TXT v=STSv1; id=2;
		c.test MX 1 mx.test
		mx.test A 192.0.2.1
	END
	mx --sts --json a.test
	json '.sts.id' 2026
	mx --sts --json b.test
	json '.sts.status' nodata
	mx --sts c.test
	[ "${lines[2]}" = '    sts no MTA-STS policy is announced' ]
}

@test "families: which addresses, in which order" {
	zone <<-END
		m.test A 192.0.2.1
		m.test A 192.0.2.2
		m.test AAAA 2001:db8::1
		m.test AAAA 2001:db8::2
	END
	ips() { mx --json --family="$1" m.test && json '[.hosts[0].addresses[].ip]' "$2"; }
	ips any '["2001:db8::1","192.0.2.1","2001:db8::2","192.0.2.2"]'
	ips ipv4-first '["192.0.2.1","192.0.2.2","2001:db8::1","2001:db8::2"]'
	ips ipv6-first '["2001:db8::1","2001:db8::2","192.0.2.1","192.0.2.2"]'
	ips ipv4 '["192.0.2.1","192.0.2.2"]'
	ips ipv6 '["2001:db8::1","2001:db8::2"]'
}

@test "address literals and bad names need no server" {
	server=127.0.0.1:1
	mx 'user@[192.0.2.1]'
	[ "$status" -eq 0 ]
	[ "${lines[1]}" = '        0 - 192.0.2.1' ]
	mx '[IPv6:2001:db8::1]'
	[ "$status" -eq 0 ]
	for bad in a..b foo_bar.test '' user@ '[192.0.2.1' '[2001:db8::1]' '[IPv6:192.0.2.1]' 192.0.2.1 \
		"$(printf 'a%.0s' $(seq 64)).test" "$(printf 'abcdefg.%.0s' $(seq 40))test" $'a\nb.test' -- --x; do
		mx -- "$bad"
		[ "$status" -eq 65 ] || { echo "'$bad' gave $status" && false; }
	done
}

@test "internationalised names" {
	zone <<-END
		xn--bcher-kva.test MX 10 mx.test
		mx.test A 192.0.2.1
	END
	mx --json 'user@BÜCHER.test'
	[ "$status" -eq 0 ]
	json .domain xn--bcher-kva.test
	json .unicode bücher.test
	json .query 'user@BÜCHER.test'
}

@test "a server on IPv6" {
	perl -MIO::Socket::IP -e 'IO::Socket::IP->new(LocalHost => "::1", Proto => "udp") or exit 1' || skip "needs IPv6 on loopback and IO::Socket::IP"
	sed 's/IO::Socket::INET/IO::Socket::IP/g' "$tests/dnsd" >"$BATS_TEST_TMPDIR/dnsd6"
	echo 'm.test A 192.0.2.1' >"$BATS_TEST_TMPDIR/zone"
	perl "$BATS_TEST_TMPDIR/dnsd6" "$BATS_TEST_TMPDIR/zone" "$BATS_TEST_TMPDIR/port" ::1 3>&- &
	PIDS+=($!)
	wait_for 60 test -s "$BATS_TEST_TMPDIR/port"
	server="[::1]:$(cat "$BATS_TEST_TMPDIR/port")"
	mx m.test
	[ "$status" -eq 0 ]
}

@test "--explain tells the steps and their RFCs on stderr, --trace writes events" {
	zone <<-END
		m.test A 192.0.2.1
	END
	mx --explain --trace="$BATS_TEST_TMPDIR/trace" m.test
	[ "$status" -eq 0 ]
	[[ $stderr == *'no MX record: its own address is used (RFC 5321 5.1)'* ]]
	[[ ${lines[0]} == 'm.test: '* ]]
	run jq -rs '[.[] | select(.ev == "dns" and .role == "dns" and .prog == "mxlookup") | .conv] | unique | length' "$BATS_TEST_TMPDIR/trace"
	[ "$output" = 1 ]
	run jq -rs '.[0].rfc' "$BATS_TEST_TMPDIR/trace"
	[ "$output" = '5321#5.1' ]
}

@test "usage" {
	run "$bin/mxlookup"
	[ "$status" -eq 64 ]
	run "$bin/mxlookup" --nonsense x
	[ "$status" -eq 64 ]
	run "$bin/mxlookup" --server=localhost x.test
	[ "$status" -eq 64 ]
	run "$bin/mxlookup" --server=127.0.0.1:0 x.test
	[ "$status" -eq 64 ]
	run "$bin/mxlookup" --help
	[ "$status" -eq 0 ]
	[[ $output == *--server=* ]]
}

@test "a full disk on stdout is no success" {
	[ -e /dev/full ] || skip "needs /dev/full"
	run bash -c "'$bin/mxlookup' --server=127.0.0.1:1 '[192.0.2.1]' >/dev/full"
	[ "$status" -ne 0 ]
}
