#!/usr/bin/env bats
# TLS of the servers: names, versions, new certificates while conversations go on.
# shellcheck disable=SC2154,SC2030,SC2031

load auth.bash

setup() {
	auth_setup
	certificate tls /CN=mx.here.example DNS:mx.here.example
	certificate mail /CN=mail.here.example DNS:mail.here.example
	certificate wild /CN=wild 'DNS:*.wild.example'
	cat "$T/wild.key" >>"$T/wild.pem"
}
teardown() { auth_teardown; }

# The subject that a client sees who asks for NAME; openssl's words.
subject() { # STARTTLS|TLS NAME
	local how=()
	[ "$1" = TLS ] || how=(-starttls smtp)
	timeout 120 openssl s_client -connect "127.0.0.1:$port" "${how[@]}" \
		-servername "$2" </dev/null 2>/dev/null | sed -n 's/^subject=//p'
}

is() { [ "$(subject "$1" "$2")" = "CN = $3" ]; }

@test "SNI: the certificate of the name, by STARTTLS and from the start" {
	more=(--tls-cert="$T/tls.pem" --tls-key="$T/tls.key" --tls-sni="mail.here.example=$T/mail.pem,$T/mail.key"
		--tls-sni="*.wild.example=$T/wild.pem")
	listen "${more[@]}"
	is STARTTLS mx.here.example mx.here.example
	is STARTTLS mail.here.example mail.here.example
	is STARTTLS a.wild.example wild
	is STARTTLS a.b.wild.example mx.here.example
	listen tls "${more[@]}"
	is TLS mail.here.example mail.here.example
	is TLS other.example mx.here.example
}

@test "a certificate is renewed while a conversation goes on; a bad one changes nothing" {
	listen --workers=2 --tls-cert="$T/tls.pem" --tls-key="$T/tls.key" \
		--tls-sni="mail.here.example=$T/mail.pem,$T/mail.key"
	is STARTTLS mail.here.example mail.here.example
	mkfifo "$T/say"
	# A conversation under the old certificate.
	timeout 120 openssl s_client -connect "127.0.0.1:$port" -starttls smtp -ign_eof -quiet \
		-servername mail.here.example <"$T/say" >"$T/heard" 2>/dev/null 3>&- &
	PIDS+=($!)
	exec 5>"$T/say"
	printf 'EHLO a\r\n' >&5
	wait_for 60 grep -q '^250 HELP' "$T/heard"
	certificate new /CN=renewed DNS:mail.here.example
	mv "$T/new.key" "$T/mail.key"
	mv "$T/new.pem" "$T/mail.pem"
	wait_for 60 is STARTTLS mail.here.example renewed
	printf 'NOOP\r\nQUIT\r\n' >&5
	wait_for 60 grep -q '^221 ' "$T/heard"
	exec 5>&-
	lacks error= "$T/log"
	echo garbage >"$T/garbage"
	mv "$T/garbage" "$T/mail.pem"
	wait_for 60 grep -q 'reload error=.*mail.pem.* why="the old certificate stays"' "$T/log"
	is STARTTLS mail.here.example renewed
	is STARTTLS mx.here.example mx.here.example
	kill -HUP "$SERVER"
	wait_for 60 eval '[ "$(grep -c "reload result=ok" "$T/log")" -ge 3 ]'
	[ "$(grep -c 'reload error=' "$T/log")" -eq 1 ]
}

@test "the oldest version; other protocols by ALPN" {
	listen tls --tls-cert="$T/tls.pem" --tls-key="$T/tls.key" --tls-min=1.3
	run timeout 120 openssl s_client -connect "127.0.0.1:$port" -tls1_2 </dev/null
	[ "$status" -ne 0 ]
	is TLS mx.here.example mx.here.example
	listen tls --tls-cert="$T/tls.pem" --tls-key="$T/tls.key"
	timeout 120 openssl s_client -connect "127.0.0.1:$port" -tls1_2 </dev/null >/dev/null 2>&1
	timeout 120 openssl s_client -connect "127.0.0.1:$port" -alpn smtp </dev/null 2>&1 | grep -q 'ALPN protocol: smtp'
	# A browser that was led here.
	run timeout 120 openssl s_client -connect "127.0.0.1:$port" -alpn h2,http/1.1 </dev/null
	[ "$status" -ne 0 ]
	[[ $output == *"no application protocol"* ]]
}

@test "wrong settings are told at the start" {
	for bad in --tls-sni=x "--tls-sni=a b=$T/mail.pem,$T/mail.key" "--tls-sni=a.example=$T/none" \
		"--tls-sni=a.example=$T/mail.pem,$T/wild.pem" --tls-min=1.1; do
		run "$RELAY" serve --tls-cert="$T/tls.pem" --tls-key="$T/tls.key" "$bad" </dev/null
		echo "$bad $status $output" >&2
		[ "$status" -eq 64 ] || [ "$status" -eq 78 ]
	done
	run "$RELAY" serve --tls-sni="a.example=$T/mail.pem,$T/mail.key" </dev/null
	[ "$status" -eq 64 ]
}

@test "IMAP: SNI, and a renewed certificate" {
	"$BIN/maa-serve" --imap --listen=127.0.0.1:0,tls --ready-file="$T/ready" --users="$T/users" \
		--mail="maildir:$T/mail/%n" --tls-cert="$T/tls.pem" --tls-key="$T/tls.key" \
		--tls-sni="mail.here.example=$T/mail.pem,$T/mail.key" 2>>"$T/log" 3>&- &
	PIDS+=($!)
	wait_for 60 test -s "$T/ready"
	port=$(sed -n 's/.*://p' "$T/ready" | head -n 1)
	is TLS mx.here.example mx.here.example
	is TLS mail.here.example mail.here.example
	certificate new /CN=renewed DNS:mx.here.example
	mv "$T/new.key" "$T/tls.key"
	mv "$T/new.pem" "$T/tls.pem"
	wait_for 60 is TLS mx.here.example renewed
}
