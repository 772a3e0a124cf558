#!/usr/bin/env bats
# Who a client is: certificates and tokens at mta-relay serve and maa-serve, through their own clients.
# shellcheck disable=SC2154

load auth.bash

setup() { auth_setup; }
teardown() { auth_teardown; }

# send USER OPTION...: submits a message as this user's
send() {
	local user=$1
	shift
	printf 'Subject: x\n\ny\n' | timeout 120 "$BIN/mua-send" --server="smtp://$user%40here.example@127.0.0.1:$port" \
		--tls-ca="$T/tls.pem" -f "$user@here.example" "$@" x@far.example
}

fingerprint() { openssl x509 -in "$1" -noout -fingerprint -sha256 | sed 's/.*=//'; }

@test "EXTERNAL by an authority: the mail address, or the common name, of a verified certificate" {
	signed alice /CN=bob@here.example email:alice@here.example
	certificate fake /CN=alice@here.example email:alice@here.example
	msa --tls-client-ca="$T/ca.pem"
	run send alice --auth=EXTERNAL --tls-cert="$T/alice.pem" --tls-key="$T/alice.key"
	echo "$output" >&2
	[ "$status" -eq 0 ]
	run send bob --auth=EXTERNAL --tls-cert="$T/alice.pem" --tls-key="$T/alice.key"
	[ "$status" -eq 77 ]
	grep -q 'auth failed .* mech="EXTERNAL" why="may not act for another user"' "$T/log"
	# Signed by nobody whom we trust: no EXTERNAL, but a password will do.
	run send alice --auth=EXTERNAL --tls-cert="$T/fake.pem" --tls-key="$T/fake.key"
	[ "$status" -eq 77 ]
	[[ $output == *"does not offer EXTERNAL"* ]]
	run send alice --tls-cert="$T/fake.pem" --tls-key="$T/fake.key" --password-command='echo secret'
	[ "$status" -eq 0 ]
	run send alice --auth=EXTERNAL
	[ "$status" -eq 77 ]
	[ "$(waiting)" -eq 2 ]
	msa --tls-client-ca="$T/ca.pem" --tls-client-name=cn
	run send bob --auth=EXTERNAL --tls-cert="$T/alice.pem" --tls-key="$T/alice.key"
	[ "$status" -eq 0 ]
	[ "$(waiting)" -eq 3 ]
}

@test "EXTERNAL by fingerprint; the table is read again" {
	certificate alice /CN=whoever email:whoever@here.example
	certificate bob /CN=alice@here.example email:alice@here.example
	echo "$(fingerprint "$T/alice.pem") alice@here.example" >"$T/certs"
	msa --tls-client-users="$T/certs"
	run send alice --auth=EXTERNAL --tls-cert="$T/alice.pem" --tls-key="$T/alice.key"
	echo "$output" >&2
	[ "$status" -eq 0 ]
	run send alice --auth=EXTERNAL --tls-cert="$T/bob.pem" --tls-key="$T/bob.key"
	[ "$status" -eq 77 ]
	echo "$(fingerprint "$T/bob.pem") bob@here.example" >"$T/certs"
	kill -HUP "$SERVER"
	wait_for 60 grep -q 'reload result=ok' "$T/log"
	# A worker that began before may take one more.
	wait_for 60 send bob --auth=EXTERNAL --tls-cert="$T/bob.pem" --tls-key="$T/bob.key"
	run send alice --auth=EXTERNAL --tls-cert="$T/alice.pem" --tls-key="$T/alice.key"
	[ "$status" -eq 77 ]
	echo nonsense >"$T/certs"
	kill -HUP "$SERVER"
	wait_for 60 grep -q "certs:1: a line is FINGERPRINT USER.* why=\"authentication stays" "$T/log"
	run send bob --auth=EXTERNAL --tls-cert="$T/bob.pem" --tls-key="$T/bob.key"
	[ "$status" -eq 0 ]
}

@test "tokens without a users file; a command that takes too long" {
	certificate tls /CN=mx.here.example DNS:mx.here.example,IP:127.0.0.1
	listen --role=msa --tls-cert="$T/tls.pem" --tls-key="$T/tls.key" \
		--oauth-command='grep -q ^token=good && echo carol' --oauth-timeout=20s
	run send carol --auth=XOAUTH2 --password-command='echo good'
	[ "$status" -eq 77 ] # she calls herself carol@here.example
	printf 'Subject: x\n\ny\n' | timeout 120 "$BIN/mua-send" --server="smtp://carol@127.0.0.1:$port" \
		--tls-ca="$T/tls.pem" -f carol@here.example --auth=OAUTHBEARER --password-command='echo good' x@far.example
	grep -q 'auth ok client=127.0.0.1 user="carol" mech="OAUTHBEARER"' "$T/log"
	[ "$(waiting)" -eq 1 ]
	run send carol --auth=PLAIN --password-command='echo good'
	[ "$status" -eq 77 ]
	listen --role=msa --tls-cert="$T/tls.pem" --tls-key="$T/tls.key" --oauth-command='exec sleep 60' \
		--oauth-timeout=300ms
	run send carol --auth=XOAUTH2 --password-command='echo good'
	[ "$status" -eq 75 ]
}

@test "wrong settings are told at the start" {
	certificate tls /CN=mx.here.example DNS:mx.here.example
	for bad in --auth-mechs=PLAIN,SKEY --auth-mechs=', ' --tls-client-ca="$T/tls.pem" --tls-client-users="$T/none"; do
		run "$RELAY" serve "$bad" </dev/null
		echo "$bad $status $output" >&2
		[ "$status" -eq 64 ]
	done
	run "$RELAY" serve --tls-cert="$T/tls.pem" --tls-key="$T/tls.key" --tls-client-users="$T/none" </dev/null
	[ "$status" -ne 0 ]
	run "$RELAY" serve --tls-cert="$T/tls.pem" --tls-key="$T/tls.key" --tls-client-ca="$T/none" </dev/null
	[ "$status" -eq 78 ]
	run "$BIN/maa-serve" --imap --checkpassword=true --oauth-command=true </dev/null
	[ "$status" -eq 64 ]
	run "$BIN/maa-serve" --imap --users="$T/users" --auth-mechs=NTLM </dev/null
	[ "$status" -eq 64 ]
}

@test "IMAP and POP3: a token, a certificate and CRAM-MD5 open the mailbox" {
	certificate tls /CN=imap.here.example DNS:imap.here.example,IP:127.0.0.1
	signed alice /CN=alice email:alice@here.example
	mkdir -p "$T/mail/alice/new" "$T/mail/alice/cur" "$T/mail/alice/tmp"
	printf 'Subject: found\n\nx\n' >"$T/mail/alice/new/1.1.x"
	for proto in imap pop3; do
		rm -f "$T/ready"
		"$BIN/maa-serve" --$proto --listen=127.0.0.1:0,tls --ready-file="$T/ready" --users="$T/users" \
			--mail="maildir:$T/mail/%n" --tls-cert="$T/tls.pem" --tls-key="$T/tls.key" \
			--auth-mechs=XOAUTH2,OAUTHBEARER,EXTERNAL,CRAM-MD5 --tls-client-ca="$T/ca.pem" \
			--oauth-command='grep -q ^token=good && echo alice@here.example' 2>>"$T/maa" 3>&- &
		PIDS+=($!)
		wait_for 60 test -s "$T/ready"
		port=$(sed -n 's/.*://p' "$T/ready" | head -n 1)
		for mech in XOAUTH2 OAUTHBEARER CRAM-MD5 EXTERNAL; do
			secret=good
			[ $mech != CRAM-MD5 ] || secret=secret
			rm -rf "$T/got"
			mkdir -p "$T/got/new" "$T/got/cur" "$T/got/tmp"
			timeout 120 "$BIN/mra-fetch" "${proto}s://alice%40here.example@127.0.0.1:$port" --to="maildir:$T/got" --auth=$mech \
				--tls-ca="$T/tls.pem" --tls-cert="$T/alice.pem" --tls-key="$T/alice.key" \
				--password-command="echo $secret" --state="$T/state.$proto.$mech" \
				2>"$T/fetch" || {
				cat "$T/fetch" "$T/maa" >&2
				return 1
			}
			grep -q found "$T/got/new/"*
		done
		run timeout 120 "$BIN/mra-fetch" "${proto}s://alice%40here.example@127.0.0.1:$port" --to="maildir:$T/got" --auth=XOAUTH2 \
			--tls-ca="$T/tls.pem" --password-command="echo bad" --state="$T/state.bad"
		[ "$status" -eq 77 ]
		grep -q 'login-refused user="alice@here.example" peer=127.0.0.1 why="the token was refused"' "$T/maa"
	done
}

@test "routes: each mechanism towards a smarthost" {
	certificate tls /CN=mx.here.example DNS:mx.here.example,DNS:localhost
	signed alice /CN=alice email:alice@here.example
	cat "$T/alice.key" >>"$T/alice.pem"
	msa --auth-mechs=XOAUTH2,OAUTHBEARER,CRAM-MD5,EXTERNAL,PLAIN --tls-client-ca="$T/ca.pem" \
		--oauth-command='grep -q ^token=good && echo alice@here.example'
	echo good >"$T/token" && echo secret >"$T/password" && chmod 600 "$T/token" "$T/password"
	n=0
	for how in "alice%40here.example@ auth=XOAUTH2 password-file=$T/token" \
		"alice%40here.example@ auth=OAUTHBEARER password-file=$T/token" \
		"alice%40here.example@ auth=CRAM-MD5 password-file=$T/password" \
		"alice%40here.example@ password-file=$T/password" \
		" auth=EXTERNAL tls-cert=$T/alice.pem" \
		"alice%40here.example@ auth=EXTERNAL tls-cert=$T/alice.pem"; do
		user=${how%% *} settings=${how#* }
		echo "* smtp://${user}localhost:$port tls-ca=$T/tls.pem $settings" >"$T/routes"
		printf 'Subject: x\n\ny\n' | "$RELAY" inject --queue="$T/out" -f alice@here.example x@far.example
		timeout 120 "$RELAY" run --once --now --queue="$T/out" --routes="$T/routes" 2>>"$T/run" || true
		n=$((n + 1))
		[ "$(waiting)" -eq $n ] || {
			echo "$how" >&2
			cat "$T/run" "$T/log" >&2
			return 1
		}
	done
	[ "$(grep -c 'auth ok .* mech="EXTERNAL"' "$T/log")" -eq 2 ]
	run "$RELAY" explain --routes="$T/routes" x@far.example
	[[ $output == *"logs in as alice@here.example by EXTERNAL, with the certificate of $T/alice.pem"* ]]
	# Not by another way than the one that was asked for.
	echo "* smtp://alice%40here.example@localhost:$port tls-ca=$T/tls.pem auth=SCRAM-SHA-256 password-file=$T/password" \
		>"$T/routes"
	printf 'Subject: x\n\ny\n' | "$RELAY" inject --queue="$T/out" -f alice@here.example x@far.example
	timeout 120 "$RELAY" run --once --now --queue="$T/out" --routes="$T/routes" 2>>"$T/run" || true
	[ "$(waiting)" -eq $n ]
	grep -q 'the server does not offer SCRAM-SHA-256' "$T/run"
}

@test "AUTH= of MAIL: kept of who may say so, told to a smarthost that we log in to, <> where nobody knows" {
	needs perl
	perl -MIO::Socket::SSL -e1 2>/dev/null || skip "needs IO::Socket::SSL"
	local login
	login="AUTH PLAIN $(printf '\0alice@here.example\0secret' | base64)"
	mail() { # NAME PARAMETER
		printf '%s\n' "MAIL FROM:<$1@far.example>${2:+ AUTH=$2}" "RCPT TO:<u@far.example>" 'BDAT=Subject: x\r\n\r\ny\r\n'
	}
	say() { { echo 'EHLO x'; cat; echo QUIT; } | timeout 120 tests/lib/smtp-say "$@" "$port" >"$T/said"; }
	kept() { sed -n 's/^auth: //p' "$(grep -l "^from: <$1@far.example>" "$T"/queue/*/msg/*)"; }
	echo 'team: alice' >"$T/aliases"
	msa --aliases="$T/aliases"
	{ echo "$login"; mail own alice@here.example; mail alias team@here.example; mail other bob@here.example; mail none; mail nobody '<>'; mail odd x; } |
		say --tls
	[ "$(grep -c '^250 2.0.0 Ok: queued' "$T/said")" -eq 6 ]
	[ "$(kept own)" = alice@here.example ]
	[ "$(kept alias)" = team@here.example ]
	for from in other none nobody odd; do [ -z "$(kept "$from")" ]; done
	rm "$T"/queue/*/msg/*
	kill "$SERVER"
	msa --trust=127.0.0.0/8
	# Trusted for relaying is not authenticated.
	mail stranger e+3Dmc2@else.example | say
	{ echo "$login"; mail relay e+3Dmc2@else.example; } | say --tls
	[ -z "$(kept stranger)" ]
	[ "$(kept relay)" = e=mc2@else.example ]
	away() { mkdir -p "$T/$1/$(uname -n)/msg" && mv "$T"/queue/*/msg/* "$T/$1/$(uname -n)/msg"; }
	away out
	echo secret >"$T/password" && chmod 600 "$T/password"
	echo "* smtp://alice%40here.example@localhost:$port tls-ca=$T/tls.pem password-file=$T/password" >"$T/routes"
	timeout 120 "$RELAY" run --once --queue="$T/out" --routes="$T/routes" --trace="$T/trace" 2>>"$T/run"
	[ "$(waiting)" -eq 2 ]
	[ "$(kept relay)" = e=mc2@else.example ]
	[ -z "$(kept stranger)" ]
	grep -q 'MAIL FROM:<relay@far.example>[^"]* AUTH=e+3Dmc2@else.example' "$T/trace"
	grep -q 'MAIL FROM:<stranger@far.example>[^"]* AUTH=<>' "$T/trace"
	# To who does not know us nothing is said.
	away out2
	echo "* smtp://localhost:$port tls-ca=$T/tls.pem" >"$T/routes"
	timeout 120 "$RELAY" run --once --queue="$T/out2" --routes="$T/routes" --trace="$T/trace2" 2>>"$T/run"
	[ "$(waiting)" -eq 2 ]
	grep -q 'MAIL FROM:<relay@far.example>' "$T/trace2"
	lacks 'AUTH=e\|AUTH=<>' "$T/trace2"
}
