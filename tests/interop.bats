#!/usr/bin/env bats
# Somebody else's program in each place of the chain. A peer that is not installed is skipped.

load wait

setup() {
	TOP=$BATS_TEST_DIRNAME/..
	BIN=${BUILD:-$TOP/build}/bin
	CHAIN=$BATS_TEST_TMPDIR/chain
	mkdir -p "$CHAIN"
	PATH=$PATH:/usr/sbin:/sbin
	CHAIN_RUN_OPTIONS=--retry-min=1s
	. "$TOP/share/quickstart/chain.sh"
}

teardown() {
	if [ -n "${DOVECOT-}" ]; then
		doveadm -c "$DOVECOT/dovecot.conf" stop 2>/dev/null || true
		rm -rf "$DOVECOT"
	fi
	chain_down
}

needs() {
	for program in "$@"; do
		command -v "$program" >/dev/null || skip "needs $program"
	done
}

up() {
	needs dnsmasq "$@"
	chain_up
	MESSAGE=$TOP/share/quickstart/message.eml
}

files_in() { find "$1" -path '*/tmp' -prune -o -type f \( -path '*/new/*' -o -path '*/cur/*' \) -print; }

@test "swaks submits with STARTTLS and AUTH PLAIN, LOGIN to the MSA" {
	up swaks
	n=0
	for mech in PLAIN LOGIN; do
		swaks --server 127.0.0.1 --port "$CHAIN_MSA_PORT" --tls --tls-ca-path "$CHAIN/tls/ca.pem" --auth "$mech" \
			--auth-user alice@sender.example --auth-password "$CHAIN_SECRET" --from alice@sender.example \
			--to bob@recipient.example --data "@$MESSAGE" >"$CHAIN/swaks" 2>&1 || {
			cat "$CHAIN/swaks"
			return 1
		}
		n=$((n + 1))
		chain_wait 60 chain_has $n
	done
}

@test "swaks is refused with a wrong password, and without TLS" {
	up swaks
	run swaks --server 127.0.0.1 --port "$CHAIN_MSA_PORT" --tls --auth PLAIN --auth-user alice@sender.example \
		--auth-password wrong --from alice@sender.example --to bob@recipient.example
	[ "$status" -ne 0 ]
	[[ $output == *535* ]]
	run swaks --server 127.0.0.1 --port "$CHAIN_MSA_PORT" --from alice@sender.example --to bob@recipient.example
	[ "$status" -ne 0 ]
	[[ $output == *530* ]]
}

@test "curl submits, and reads by IMAP and POP3" {
	up curl
	curl -sS --crlf --cacert "$CHAIN/tls/ca.pem" --ssl-reqd --url "smtp://localhost:$CHAIN_MSA_PORT" \
		--user "alice@sender.example:$CHAIN_SECRET" --mail-from alice@sender.example --mail-rcpt bob@recipient.example \
		--upload-file "$MESSAGE"
	chain_wait 60 chain_has 1
	curl -sS --cacert "$CHAIN/tls/ca.pem" --user "bob@recipient.example:$CHAIN_SECRET" \
		"imaps://localhost:$CHAIN_IMAP_PORT/INBOX;MAILINDEX=1" >"$CHAIN/by-imap"
	chain_arrived "$MESSAGE" "$CHAIN/by-imap"
	curl -sS --cacert "$CHAIN/tls/ca.pem" --user "bob@recipient.example:$CHAIN_SECRET" \
		"pop3s://localhost:$CHAIN_POP3_PORT/1" >"$CHAIN/by-pop3"
	chain_arrived "$MESSAGE" "$CHAIN/by-pop3"
}

@test "msmtp submits with SCRAM-SHA-256" {
	up msmtp
	msmtp --host=localhost --port="$CHAIN_MSA_PORT" --tls=on --tls-starttls=on --tls-trust-file="$CHAIN/tls/ca.pem" \
		--auth=scram-sha-256 --user=alice@sender.example --passwordeval="cat $CHAIN/etc/secret" --from=alice@sender.example \
		bob@recipient.example <"$MESSAGE"
	chain_wait 60 chain_has 1
}

@test "mua-send submits to postfix's smtp-sink" {
	needs smtp-sink
	mkdir "$CHAIN/sink" "$CHAIN/run" "$CHAIN/log"
	chmod 777 "$CHAIN" "$CHAIN/sink"
	port=$(free_port)
	cd "$CHAIN/sink"
	user=()
	[ "$(id -u)" -ne 0 ] || user=(-u nobody)
	chain_spawn sink smtp-sink "${user[@]}" -d %M. 127.0.0.1:$port 10
	chain_wait 60 bash -c "exec 3<>/dev/tcp/127.0.0.1/$port"
	"$BIN/mua-send" --server=smtp://127.0.0.1:$port --starttls=never -f a@sender.example -i b@recipient.example c@recipient.example \
		<"$TOP/share/quickstart/message.eml"
	wait_for 60 eval 'grep -q "X-Rcpt-Args: <c@" "$CHAIN"/sink/*'
	run cat "$CHAIN"/sink/*
	[[ $output == *'X-Rcpt-Args: <b@recipient.example>'* ]]
	[[ $output == *'X-Rcpt-Args: <c@recipient.example>'* ]]
}

start_dovecot() {
	needs dovecot doveadm
	[ "$(id -u)" -eq 0 ] || skip "needs root to start dovecot"
	DOVECOT=$(mktemp -d /tmp/dovecot.XXXXXX) # nobody must reach it
	chmod 755 "$DOVECOT"
	mkdir -p "$DOVECOT/run" "$DOVECOT/mail/joe"
	dport=$(free_port)
	getent passwd dovecot >/dev/null || skip "needs the dovecot user"
	cat >"$DOVECOT/dovecot.conf" <<-C
		base_dir = $DOVECOT/run
		log_path = $DOVECOT/log
		protocols = imap pop3
		listen = 127.0.0.1
		ssl = required
		ssl_cert = <$CHAIN/tls/server.pem
		ssl_key = <$CHAIN/tls/server.key
		mail_location = maildir:$DOVECOT/mail/%u
		first_valid_uid = 0
		service imap-login {
		  inet_listener imap {
		    port = 0
		  }
		  inet_listener imaps {
		    port = $dport
		    ssl = yes
		  }
		}
		service pop3-login {
		  inet_listener pop3 {
		    port = 0
		  }
		  inet_listener pop3s {
		    port = $((dport + 1))
		    ssl = yes
		  }
		}
		passdb {
		  driver = static
		  args = password=dovecotsecret
		}
		userdb {
		  driver = static
		  args = uid=nobody gid=nogroup home=$DOVECOT/mail/%u
		}
	C
	chown -R nobody:nogroup "$DOVECOT/mail"
	dovecot -c "$DOVECOT/dovecot.conf"
	chain_wait 60 bash -c "exec 3<>/dev/tcp/127.0.0.1/$dport"
}

@test "mra-fetch fetches from dovecot by IMAP and POP3, once" {
	mkdir -p "$CHAIN/tls" "$CHAIN/log" "$CHAIN/run" "$CHAIN/state"
	chain_certificates
	start_dovecot
	export XDG_STATE_HOME=$CHAIN/state HOME=$CHAIN
	mkdir -p "$DOVECOT/mail/joe/new" "$DOVECOT/mail/joe/cur" "$DOVECOT/mail/joe/tmp"
	for i in 1 2 3; do
		printf 'From: a@b\nSubject: %s\nMessage-ID: <%s@b>\n\nmessage %s\n.dot\n' $i $i $i >"$DOVECOT/mail/joe/new/$i.test"
	done
	chown -R nobody:nogroup "$DOVECOT/mail"
	for scheme in imaps pop3s; do
		port=$dport
		[ $scheme = imaps ] || port=$((dport + 1))
		for again in 1 2; do
			"$BIN/mra-fetch" "$scheme://joe@localhost:$port" --to="maildir:$CHAIN/$scheme" --tls-ca="$CHAIN/tls/ca.pem" \
				--password-command='echo dovecotsecret'
			[ "$(files_in "$CHAIN/$scheme" | wc -l)" -eq 3 ] || {
				echo "after run $again: $(files_in "$CHAIN/$scheme" | wc -l) messages"
				return 1
			}
		done
		for i in 1 2 3; do
			printf 'From: a@b\nSubject: %s\nMessage-ID: <%s@b>\n\nmessage %s\n.dot\n' $i $i $i >"$CHAIN/want"
			files_in "$CHAIN/$scheme" | xargs grep -l "^Subject: $i" >"$CHAIN/which"
			cmp "$(cat "$CHAIN/which")" "$CHAIN/want"
		done
	done
}

@test "systemd hands over listening sockets (Accept=no) and connections (Accept=yes)" {
	needs systemd-socket-activate curl
	mkdir -p "$CHAIN/run" "$CHAIN/log"
	port=$(free_port)
	ask() { printf 'QUIT\r\n' | timeout 120 bash -c "exec 3<>/dev/tcp/127.0.0.1/$1; cat >&3; cat <&3"; }
	answers() { ask "$1" | grep -q '^220 .*' && ask "$1" | grep -q '^221 '; }
	chain_spawn accept-no systemd-socket-activate -l 127.0.0.1:$port --fdname=smtp \
		"$BIN/mta-relay" serve --role=mta --domains=here.example --queue="$CHAIN/queue"
	chain_wait 60 answers $port
	answers $port
	chain_spawn accept-yes systemd-socket-activate --accept -l 127.0.0.1:$((port + 1)) \
		"$BIN/mta-relay" serve --role=mta --domains=here.example --queue="$CHAIN/queue"
	chain_wait 60 answers $((port + 1))
	answers $((port + 1))
}

@test "inetd starts the servers, and nothing but the protocol goes to the client" {
	[ "$(id -u)" -eq 0 ] || skip "needs root to run inetd"
	needs inetd
	mkdir -p "$CHAIN/run" "$CHAIN/log" "$CHAIN/mail"
	port=$(free_port)
	echo "joe:{PLAIN}secret::::::" >"$CHAIN/users"
	cat >"$CHAIN/inetd.conf" <<-C
		127.0.0.1:$port stream tcp nowait root $BIN/mta-relay mta-relay serve --role=mta --domains=here.example --queue=$CHAIN/queue
		127.0.0.1:$((port + 1)) stream tcp nowait root $BIN/maa-serve maa-serve --pop3 --users=$CHAIN/users --mail=maildir:$CHAIN/mail/%u --auth-without-tls
	C
	chain_spawn inetd inetd -d "$CHAIN/inetd.conf"
	talk() { timeout 120 bash -c "exec 3<>/dev/tcp/127.0.0.1/$1; cat >&3; cat <&3"; }
	chain_wait 60 bash -c "exec 3<>/dev/tcp/127.0.0.1/$port"
	printf 'EHLO x\r\nMAIL FROM:<a@b.example>\r\nRCPT TO:<u@elsewhere.example>\r\nQUIT\r\n' | talk $port >"$CHAIN/smtp"
	grep -q '^550 5.7.1 ' "$CHAIN/smtp"
	! grep -vE '^[2-5][0-9][0-9][ -]' "$CHAIN/smtp" || false
	printf 'CAPA\r\nUSER joe\r\nPASS secret\r\nSTAT\r\nQUIT\r\n' | talk $((port + 1)) >"$CHAIN/pop3"
	grep -q '^+OK 0 0' "$CHAIN/pop3"
	! grep -q 'event\|session=' "$CHAIN/pop3" || false
}

@test "the example configuration is read by all the programs that it is for" {
	conf=$TOP/share/examples/waypost.conf
	mkdir -p "$CHAIN/etc" "$CHAIN/run"
	echo 'ann@example.org:{PLAIN}secret::::::' >"$CHAIN/etc/users"
	echo 'postmaster: ann' >"$CHAIN/etc/aliases"
	sed "s|/etc/waypost|$CHAIN/etc|; s|/var/lib/waypost|$CHAIN|; /tls-cert/d" "$conf" >"$CHAIN/etc/waypost.conf"
	PATH=$BIN:$PATH
	run mta-relay explain --config="$CHAIN/etc/waypost.conf" postmaster@example.org
	[ "$status" -eq 0 ]
	[[ $output == *ann@example.org* ]]
	printf 'EHLO x\r\nMAIL FROM:<a@b.example>\r\nRCPT TO:<postmaster@example.org>\r\nDATA\r\nSubject: x\r\n\r\nhello\r\n.\r\nQUIT\r\n' |
		mta-relay serve --role=mta --config="$CHAIN/etc/waypost.conf" >"$CHAIN/smtp"
	grep -q '^220 mail.example.org' "$CHAIN/smtp"
	# The MDA child is told nothing but its own configuration file.
	printf 'Subject: x\n\nhello\n' | mda-deliver --config="$CHAIN/etc/waypost.conf" -f a@b.example -d ann@example.org
	run bash -c "printf 'STAT\r\nQUIT\r\n' | maa-serve --pop3 --preauth=ann@example.org --config='$CHAIN/etc/waypost.conf'"
	[[ $output == *'+OK 1 '* ]]
}
