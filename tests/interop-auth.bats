#!/usr/bin/env bats
# Others' clients against our submission server: each mechanism that they have.
# shellcheck disable=SC2154,SC2016

load auth.bash

ALL=PLAIN,LOGIN,SCRAM-SHA-256,SCRAM-SHA-256-PLUS,CRAM-MD5,OAUTHBEARER,XOAUTH2,EXTERNAL

setup() { auth_setup; }
teardown() { auth_teardown; }

# "alice-token" is alice's.
oauth() {
	cat >"$T/oauth" <<-'E'
		#!/bin/sh
		while IFS='=' read -r key value; do
			eval "$key=\$value"
		done
		echo "token=$token user=$user host=$host port=$port mech=$mech client=$client" >>"$0.log"
		case $token in
		later) exit 75 ;;
		*-token) echo "${token%-token}@here.example" ;;
		*) exit 1 ;;
		esac
	E
	chmod +x "$T/oauth"
}

@test "swaks: PLAIN, LOGIN and CRAM-MD5" {
	needs swaks openssl
	msa --auth-mechs=$ALL
	n=0
	for mech in PLAIN LOGIN CRAM-MD5; do
		timeout 120 swaks --server 127.0.0.1 --port "$port" --tls --auth $mech --auth-user bob@here.example \
			--auth-password other --from bob@here.example --to x@far.example >"$T/swaks" 2>&1 || {
			cat "$T/swaks" "$T/log" >&2
			return 1
		}
		n=$((n + 1))
		[ "$(waiting)" -eq $n ]
		grep -q "auth ok client=127.0.0.1 user=\"bob@here.example\" mech=\"$mech\"" "$T/log"
		run timeout 120 swaks --server 127.0.0.1 --port "$port" --tls --auth $mech --auth-user bob@here.example \
			--auth-password wrong --from bob@here.example --to x@far.example
		[ "$status" -eq 28 ]
		grep -q "auth failed client=127.0.0.1 user=\"bob@here.example\" mech=\"$mech\" why=\"wrong password\"" "$T/log"
	done
	[ "$(waiting)" -eq 3 ]
}

@test "swaks: without being asked for CRAM-MD5 is not there, and nothing without TLS" {
	needs swaks openssl
	msa
	run timeout 120 swaks --server 127.0.0.1 --port "$port" --tls --quit-after EHLO
	[[ $output == *"AUTH PLAIN LOGIN SCRAM-SHA-256 SCRAM-SHA-256-PLUS"* ]]
	[[ $output != *" CRAM-MD5"* && $output != *OAUTH* && $output != *EXTERNAL* ]]
	run timeout 120 swaks --server 127.0.0.1 --port "$port" --quit-after EHLO
	[[ $output != *AUTH* ]]
	run timeout 120 swaks --server 127.0.0.1 --port "$port" --tls --auth CRAM-MD5 --auth-user bob@here.example \
		--auth-password other --to x@far.example
	[ "$status" -eq 28 ]
}

@test "msmtp: each mechanism that it has" {
	needs msmtp openssl
	oauth
	signed client /CN=client email:alice@here.example
	msa --auth-mechs=$ALL --oauth-command="$T/oauth" --tls-client-ca="$T/ca.pem"
	n=0
	for mech in plain login scram-sha-256 scram-sha-256-plus cram-md5 oauthbearer xoauth2 external; do
		msmtp --version | grep -qw "$mech" || continue
		case $mech in
		oauthbearer | xoauth2) password=alice-token ;;
		*) password=secret ;;
		esac
		cert=()
		[ $mech != external ] || cert=(--tls-key-file="$T/client.key" --tls-cert-file="$T/client.pem")
		printf 'Subject: x\n\ny\n' | timeout 120 msmtp --host=127.0.0.1 --port="$port" --tls=on --tls-starttls=on \
			--tls-trust-file="$T/tls.pem" --auth=$mech --user=alice@here.example \
			--passwordeval="echo $password" "${cert[@]}" --from=alice@here.example x@far.example \
			>"$T/msmtp" 2>&1 || {
			echo "$mech" >&2
			cat "$T/msmtp" "$T/log" >&2
			return 1
		}
		n=$((n + 1))
		[ "$(waiting)" -eq $n ]
		grep -qi "auth ok client=127.0.0.1 user=\"alice@here.example\" mech=\"$mech\"" "$T/log"
	done
	[ $n -ge 4 ]
}

@test "msmtp: a token that is refused" {
	needs msmtp openssl
	oauth
	msa --oauth-command="$T/oauth"
	for mech in oauthbearer xoauth2; do
		msmtp --version | grep -qw $mech || continue
		for token in wrong bob-token later; do
			run timeout 120 msmtp --host=127.0.0.1 --port="$port" --tls=on --tls-trust-file="$T/tls.pem" \
				--auth=$mech --user=alice@here.example --passwordeval="echo $token" \
				--from=alice@here.example x@far.example <<<$'Subject: x\n\ny'
			echo "$output" >&2
			[ "$status" -ne 0 ]
		done
		grep -qi "mech=\"$mech\" why=\"the token was refused\"" "$T/log"
		grep -qi "mech=\"$mech\" why=\"may not act for another user\"" "$T/log"
		grep -qi "mech=\"$mech\" why=\"the command for tokens ended with status 75\"" "$T/log"
	done
	[ "$(waiting)" -eq 0 ]
}

@test "curl: each mechanism that it has" {
	needs curl openssl
	oauth
	signed client /CN=client email:alice@here.example
	msa --auth-mechs=$ALL --oauth-command="$T/oauth" --tls-client-ca="$T/ca.pem"
	printf 'Subject: x\r\n\r\ny\r\n' >"$T/mail"
	n=0 first=$port
	for mech in PLAIN LOGIN CRAM-MD5 OAUTHBEARER EXTERNAL XOAUTH2; do
		more=()
		# It takes OAUTHBEARER where it can, whatever it is told.
		[ $mech != XOAUTH2 ] || msa --auth-mechs=XOAUTH2 --oauth-command="$T/oauth"
		case $mech in
		*OAUTH*) more=(--user alice@here.example --oauth2-bearer alice-token) ;;
		EXTERNAL) more=(--user alice@here.example: --cert "$T/client.pem" --key "$T/client.key") ;;
		*) more=(--user alice@here.example:secret) ;;
		esac
		timeout 120 curl -sv --url "smtp://127.0.0.1:$port/client.example" --ssl-reqd --cacert "$T/tls.pem" \
			--login-options "AUTH=$mech" "${more[@]}" --mail-from alice@here.example \
			--mail-rcpt x@far.example -T "$T/mail" 2>"$T/curl" || {
			echo "$mech" >&2
			cat "$T/curl" "$T/log" >&2
			return 1
		}
		n=$((n + 1))
		[ "$(waiting)" -eq $n ]
		grep -q "auth ok client=127.0.0.1 user=\"alice@here.example\" mech=\"$mech\"" "$T/log"
	done
	grep -q "token=alice-token user=alice@here.example host=127.0.0.1 port=$first mech=OAUTHBEARER client=127.0.0.1" \
		"$T/oauth.log"
	run timeout 120 curl -s --url "smtp://127.0.0.1:$first/client.example" --ssl-reqd --cacert "$T/tls.pem" \
		--login-options AUTH=OAUTHBEARER --user alice@here.example --oauth2-bearer wrong \
		--mail-from alice@here.example --mail-rcpt x@far.example -T "$T/mail"
	[ "$status" -eq 67 ]
	[ "$(waiting)" -eq $n ]
}

@test "Python: smtplib's mechanisms" {
	needs python3 openssl
	msa --auth-mechs=$ALL
	timeout 120 python3 - "$port" "$T/tls.pem" >"$T/python" 2>&1 <<-'E' || { cat "$T/python" "$T/log" >&2 && return 1; }
		import smtplib, ssl, sys
		port, trusted = int(sys.argv[1]), sys.argv[2]
		for mech in "PLAIN", "LOGIN", "CRAM-MD5":
		    for password, good in ("secret", True), ("wrong", False):
		        s = smtplib.SMTP("127.0.0.1", port, timeout=120)
		        s.starttls(context=ssl.create_default_context(cafile=trusted))
		        s.ehlo()
		        s.esmtp_features["auth"] = mech
		        try:
		            s.login("alice@here.example", password)
		            assert good, mech
		            s.sendmail("alice@here.example", "x@far.example", "Subject: x\n\ny\n")
		        except smtplib.SMTPAuthenticationError as e:
		            assert not good and e.smtp_code == 535, (mech, e)
		        s.quit()
	E
	[ "$(waiting)" -eq 3 ]
}

@test "mua-send against ourselves: each mechanism" {
	needs openssl
	oauth
	signed client /CN=client email:alice@here.example
	msa --auth-mechs=$ALL --oauth-command="$T/oauth" --tls-client-ca="$T/ca.pem"
	n=0
	for mech in PLAIN LOGIN SCRAM-SHA-256 SCRAM-SHA-256-PLUS CRAM-MD5 OAUTHBEARER XOAUTH2 EXTERNAL; do
		case $mech in
		*OAUTH*) secret='echo alice-token' ;;
		*) secret='echo secret' ;;
		esac
		printf 'Subject: x\n\ny\n' | timeout 120 "$BIN/mua-send" --server="smtp://alice%40here.example@127.0.0.1:$port" \
			--tls-ca="$T/tls.pem" --tls-cert="$T/client.pem" --tls-key="$T/client.key" --auth=$mech \
			--password-command="$secret" -f alice@here.example x@far.example 2>"$T/send" || {
			echo "$mech" >&2
			cat "$T/send" "$T/log" >&2
			return 1
		}
		n=$((n + 1))
		[ "$(waiting)" -eq $n ]
		grep -q "auth ok client=127.0.0.1 user=\"alice@here.example\" mech=\"$mech\"" "$T/log"
	done
	run timeout 120 "$BIN/mua-send" --server="smtp://alice%40here.example@127.0.0.1:$port" --tls-ca="$T/tls.pem" \
		--auth=XOAUTH2 --password-command='echo wrong' -f alice@here.example x@far.example <<<'x'
	[ "$status" -eq 77 ]
	[ "$(waiting)" -eq $n ]
}
