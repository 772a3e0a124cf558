#!/usr/bin/env bats
# maa-serve --pop3 as clients and super-servers meet it: curl, openssl, fetchmail, pipes, inetd, systemd.

setup() {
	TOP=$BATS_TEST_DIRNAME/..
	MAA=${BUILD:-$TOP/build}/bin/maa-serve
	. "$BATS_TEST_DIRNAME/maa.bash"
	maa_setup pop3
}

teardown() { maa_teardown; }

pop3() { curl -sS --max-time 120 -u bob:sesame "$@"; }

@test "curl lists, retrieves byte for byte, and deletes" {
	maa_message one $'Subject: one\n\n.dot\n..\nend\n'
	maa_message two $'Subject: two\n\nsecond\n'
	maa_start --auth-without-tls
	run pop3 "pop3://$ADDR/"
	[ "$output" = $'1 31\r\n2 24\r' ]
	pop3 "pop3://$ADDR/1" >"$DIR/got"
	printf 'Subject: one\r\n\r\n.dot\r\n..\r\nend\r\n' | cmp - "$DIR/got"
	pop3 -X 'DELE 1' -I "pop3://$ADDR/"
	[ "$(maa_count)" -eq 1 ]
	run pop3 -X UIDL "pop3://$ADDR/"
	[[ $output =~ ^1\ 00000002[0-9a-f]{8} ]]
	# What was read by POP3 is read for IMAP too.
	pop3 "pop3://$ADDR/1" >/dev/null
	[ -e "$MAIL/cur/two:2,S" ]
}

@test "a connection that is dropped deletes nothing" {
	maa_message one $'x\n'
	printf 'DELE 1\r\nSTAT\r\n' | "$MAA" --pop3 --preauth=bob --mail="maildir:$MAIL" >"$DIR/out"
	grep -q '^+OK 0 0' "$DIR/out"
	[ "$(maa_count)" -eq 1 ]
	printf 'DELE 1\r\nQUIT\r\n' | "$MAA" --pop3 --preauth=bob --mail="maildir:$MAIL" >"$DIR/out"
	[ "$(maa_count)" -eq 0 ]
}

@test "QUIT says so when a message could not be removed" {
	# Root may remove anything: then somebody else must be the server.
	MAIL=$(mktemp -d)/mail
	mkdir -p "$MAIL/cur" "$MAIL/new" "$MAIL/tmp"
	maa_message one $'x\n'
	as=()
	if [ "$(id -u)" -eq 0 ]; then
		as=(setpriv --reuid=65534 --regid=65534 --clear-groups)
		chown -R 65534:65534 "${MAIL%/mail}"
		"${as[@]}" test -x "$MAA" || skip "needs setpriv, and the program where others can run it"
	fi
	chmod 555 "$MAIL/cur"
	printf 'DELE 1\r\nQUIT\r\n' | "${as[@]}" "$MAA" --pop3 --preauth=bob --mail="maildir:$MAIL" >"$DIR/out" 2>/dev/null || true
	chmod 755 "$MAIL/cur"
	left=$(maa_count)
	rm -r "${MAIL%/mail}"
	tail -n 1 "$DIR/out" | grep -q -- '^-ERR \[SYS/TEMP\] 1 deleted messages not removed'
	[ "$left" -eq 1 ]
}

@test "a message that vanished meanwhile is told, the others are served" {
	maa_message one $'Subject: one\n\n1\n'
	maa_message two $'Subject: two\n\n2\n'
	maa_talk --preauth=bob
	maa_expect '+OK 2 messages'
	rm "$MAIL"/cur/one*
	maa_say 'RETR 1'
	maa_expect '-ERR this message was removed by another session'
	maa_say 'RETR 2'
	maa_expect '+OK'
	maa_hangup
}

@test "STLS: TLS begins, and nothing said before it survives" {
	maa_cert
	maa_start --tls-cert="$DIR/cert.pem"
	run pop3 -k --ssl-reqd -X UIDL "pop3://$ADDR/"
	[ "$status" -eq 0 ]
	# Without TLS there is no way to say a password.
	run pop3 "pop3://$ADDR/"
	[ "$status" -ne 0 ]
	# A command behind STLS in the same segment: no reply to it, and no TLS either.
	printf 'STLS\r\nCAPA\r\nUSER x\r\n' | maa_raw >"$DIR/out"
	grep -q -- '^-ERR nothing may follow STLS' "$DIR/out"
	[ "$(wc -l <"$DIR/out")" -eq 2 ]
}

@test "implicit TLS, with ALPN" {
	maa_cert
	maa_start_tls --tls-cert="$DIR/cert.pem"
	run pop3 -k -I -X STAT "pop3s://$ADDR/"
	[ "$status" -eq 0 ]
	run bash -c "printf 'QUIT\r\n' | openssl s_client -connect $ADDR -alpn pop3 -ign_eof 2>&1"
	[[ $output == *"ALPN protocol: pop3"* ]]
	[[ $output == *"+OK bye"* ]]
}

@test "refused logins are counted, logged without the password, and end the connection" {
	maa_start --auth-without-tls --login-attempts=2 --login-delay=10ms
	printf 'USER bob\r\nPASS s3cr3tguess\r\nUSER eve\r\nPASS s3cr3tguess\r\nNOOP\r\n' | maa_raw >"$DIR/out"
	[ "$(grep -c '^-ERR \[AUTH\]' "$DIR/out")" -eq 2 ]
	[ "$(wc -l <"$DIR/out")" -eq 5 ]
	grep -q 'login-refused user="eve"' "$DIR/log"
	! grep -rq s3cr3tguess "$DIR/log" "$DIR/trace" || false
	! grep -q sesame "$DIR/trace" || false
}

@test "inetd: the socket is stdin and stdout, and nothing else goes there" {
	command -v systemd-socket-activate >/dev/null || skip "needs systemd-socket-activate"
	maa_message one $'x\n'
	port=$(free_port)
	systemd-socket-activate -l "127.0.0.1:$port" --inetd -a "$MAA" --pop3 --users="$DIR/users" \
		--mail="maildir:$MAIL" --auth-without-tls --login-delay=10ms 2>/dev/null &
	PIDS+=($!)
	ADDR=127.0.0.1:$port
	wait_for 60 maa_port_open "$port"
	run pop3 -X STAT -I "pop3://$ADDR/"
	[ "$status" -eq 0 ]
	printf 'USER bob\r\nPASS no\r\nQUIT\r\n' | maa_raw >"$DIR/out"
	[ "$(grep -vc '^[-+]' "$DIR/out")" -eq 0 ]
}

@test "systemd: a listening socket by LISTEN_FDS" {
	command -v systemd-socket-activate >/dev/null || skip "needs systemd-socket-activate"
	maa_message one $'x\n'
	port=$(free_port)
	systemd-socket-activate -l "127.0.0.1:$port" "$MAA" --pop3 --users="$DIR/users" \
		--mail="maildir:$MAIL" --auth-without-tls 2>/dev/null &
	PIDS+=($!)
	wait_for 60 maa_port_open "$port"
	run pop3 "pop3://127.0.0.1:$port/"
	[ "$output" = $'1 3\r' ]
}

@test "fetchmail fetches and deletes" {
	command -v fetchmail >/dev/null || skip "needs fetchmail"
	maa_message one $'Subject: one\n\nhello\n'
	maa_start --auth-without-tls
	cat >"$DIR/fetchmailrc" <<-END
		poll 127.0.0.1 protocol POP3 port ${ADDR##*:} uidl
		user bob password sesame sslproto "" no rewrite
		mda "cat >>$DIR/fetched"
	END
	chmod 600 "$DIR/fetchmailrc"
	FETCHMAILHOME=$DIR fetchmail -f "$DIR/fetchmailrc" --nobounce >"$DIR/fetchmail.log" 2>&1 || cat "$DIR/fetchmail.log" >&2
	grep -q '^hello' "$DIR/fetched"
	[ "$(maa_count)" -eq 0 ]
}

@test "checkpassword decides, and hears the password on descriptor 3 only" {
	maa_message one $'x\n'
	maa_checkpassword
	maa_start --auth-without-tls --checkpassword="$DIR/checkpassword" --login-delay=10ms
	run pop3 "pop3://$ADDR/"
	[ "$output" = $'1 3\r' ]
	run pop3 -u bob:wrong "pop3://$ADDR/"
	[ "$status" -eq 67 ]
	printf 'USER later\r\nPASS x\r\nQUIT\r\n' | maa_raw >"$DIR/out"
	grep -q -- '^-ERR \[SYS/TEMP\]' "$DIR/out"
	# SCRAM would need the secret: it is not offered.
	printf 'AUTH\r\nQUIT\r\n' | maa_raw | grep -qx $'PLAIN\r'
	! printf 'AUTH\r\nQUIT\r\n' | maa_raw | grep -q SCRAM || false
}

@test "a thousand messages: RETR of all in one pipelined burst" {
	for i in $(seq 0 9); do
		maa_message "m$i" "$(printf 'Subject: %d\n\n%s\n.' "$i" "$(head -c 3000 /dev/zero | tr '\0' x | fold -w 70)")"
	done
	perl -e 'link sprintf("%s/m%d:2,", $ARGV[0], $_ % 10), "$ARGV[0]/n$_:2," for 10 .. 999' "$MAIL/cur"
	{
		for i in $(seq 1000); do printf 'RETR %d\r\n' "$i"; done
		printf 'QUIT\r\n'
	} | timeout 120 "$MAA" --pop3 --preauth=bob --mail="maildir:$MAIL" --durability=none >"$DIR/out"
	[ "$(grep -c '^+OK .* octets' "$DIR/out")" -eq 1000 ]
	[ "$(grep -c $'^\.\.\r$' "$DIR/out")" -eq 1000 ]
	[ "$(grep -c $'^\.\r$' "$DIR/out")" -eq 1000 ]
}

@test "options: help, what is missing, what is too much" {
	run "$MAA" --help
	[ "$status" -eq 0 ]
	[[ $output == *--checkpassword* ]]
	for bad in "" "--imap --pop3 --preauth=x" "--pop3" "--pop3 --preauth=x extra" "--managesieve --preauth=x" \
		"--pop3 --users=/nonexistent/u --checkpassword=x" "--pop3 --preauth=x --tls-key=y" \
		"--pop3 --preauth=x --listen=127.0.0.1:0,tls"; do
		run "$MAA" $bad </dev/null
		[ "$status" -eq 64 ]
	done
	run "$MAA" --pop3 --users="$DIR/nothing" </dev/null
	[ "$status" -eq 78 ]
	run "$MAA" --pop3 --preauth=bob --mail=mbox:"$DIR/x" </dev/null
	[ "$status" -eq 78 ]
}
