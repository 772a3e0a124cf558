# shellcheck shell=sh
# The whole chain on loopback, unprivileged, for sh: sourced by ../../quickstart and by the tests.
#
#   alice (sender.example)                                bob (recipient.example)
#   mua-send -> MSA -> MTA -> [DNS: MX] -> MTA -> mda-deliver -> Maildir -> MAA -> mra-fetch -> mua-read
#
# Needs: BIN (the programs), CHAIN (an empty directory that is ours). Every process appends its events to
# $CHAIN/trace.jsonl. CHAIN_RUN_OPTIONS: further options of `mta-relay run`.

chain_say() { printf '%s\n' "$*" >&2; }

# chain_spawn NAME COMMAND...: in the background, output in $CHAIN/log/NAME, its pid in $CHAIN/run/NAME.pid
chain_spawn() {
	chain_name=$1 && shift
	"$@" >>"$CHAIN/log/$chain_name" 2>&1 </dev/null &
	echo $! >"$CHAIN/run/$chain_name.pid"
}

# chain_wait SECONDS COMMAND...: until the command succeeds
chain_wait() {
	chain_tries=$(($1 * 20)) && shift
	while ! "$@" >/dev/null 2>&1; do
		chain_tries=$((chain_tries - 1))
		[ "$chain_tries" -gt 0 ] || return 1
		sleep 0.05
	done
}

# chain_port NAME: the port that the server NAME listens on, from its ready file
chain_port() {
	chain_wait 60 test -s "$CHAIN/run/$1.ready" || {
		chain_say "$1 did not start:"
		cat "$CHAIN/log/$1" >&2
		return 1
	}
	sed -n '1s/.*:\([0-9][0-9]*\).*/\1/p' "$CHAIN/run/$1.ready"
}

# A CA of our own and one certificate for every name of the chain.
chain_certificates() {
	(
		cd "$CHAIN/tls" || exit 1
		openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 2 -subj '/CN=waypost quickstart CA' \
			-keyout ca.key -out ca.pem -addext 'basicConstraints=critical,CA:TRUE' &&
			openssl req -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -subj '/CN=localhost' -keyout server.key -out server.csr &&
			printf '%s\n' 'subjectAltName=DNS:localhost,DNS:msa.sender.example,DNS:mx.sender.example,DNS:mx.recipient.example,DNS:mail.recipient.example,IP:127.0.0.1' \
				'basicConstraints=CA:FALSE' 'extendedKeyUsage=serverAuth' >ext &&
			openssl x509 -req -in server.csr -CA ca.pem -CAkey ca.key -CAcreateserial -days 2 -extfile ext -out server.pem
	) >"$CHAIN/log/openssl" 2>&1
}

# Users with a secret made for this run. {PLAIN} lets the servers offer SCRAM; only we can read the files.
chain_accounts() {
	CHAIN_SECRET=$(openssl rand -hex 16)
	(
		umask 077
		echo "alice@sender.example:{PLAIN}$CHAIN_SECRET::::::" >"$CHAIN/etc/users.sender"
		echo "bob@recipient.example:{PLAIN}$CHAIN_SECRET::::::" >"$CHAIN/etc/users.recipient"
		echo "$CHAIN_SECRET" >"$CHAIN/etc/secret"
	)
}

chain_dns_up() { env -u WAYPOST_TRACE "$BIN/mxlookup" --server="127.0.0.1:$CHAIN_DNS_PORT" recipient.example >/dev/null 2>&1; }
chain_dns_up_or_gone() { chain_dns_up || ! kill -0 "$(cat "$CHAIN/run/dns.pid")"; }

# A real DNS server with the MX records of both domains.
chain_dns() {
	for _ in 1 2 3 4 5; do
		CHAIN_DNS_PORT=$((10000 + ($(od -An -N2 -tu2 /dev/urandom) % 22000)))
		chain_spawn dns dnsmasq --no-daemon --conf-file=/dev/null --port="$CHAIN_DNS_PORT" --listen-address=127.0.0.1 \
			--bind-interfaces --no-resolv --no-hosts --user= --group= --pid-file= --local=/example/ \
			--mx-host=sender.example,mx.sender.example,10 --mx-host=recipient.example,mx.recipient.example,10 \
			--host-record=mx.sender.example,127.0.0.1 --host-record=mx.recipient.example,127.0.0.1 \
			--host-record=msa.sender.example,127.0.0.1 --host-record=mail.recipient.example,127.0.0.1
		chain_wait 60 chain_dns_up_or_gone
		if chain_dns_up; then return 0; fi
		kill "$(cat "$CHAIN/run/dns.pid")" 2>/dev/null
	done
	chain_say 'the DNS server did not start:'
	cat "$CHAIN/log/dns" >&2
	return 1
}

chain_serve() { # NAME ROLE HOSTNAME QUEUE OPTION...
	chain_server=$1 chain_role=$2 chain_host=$3 chain_queue=$4 && shift 4
	chain_spawn "$chain_server" "$BIN/mta-relay" serve --role="$chain_role" --hostname="$chain_host" \
		--listen=127.0.0.1:"$(chain_old_port "$chain_server")" --ready-file="$CHAIN/run/$chain_server.ready" \
		--queue="$CHAIN/$chain_queue" --tls-cert="$CHAIN/tls/server.pem" --tls-key="$CHAIN/tls/server.key" "$@"
}

# A server that is started again keeps its port.
chain_old_port() {
	chain_last=$(sed -n '1s/.*:\([0-9][0-9]*\).*/\1/p' "$CHAIN/run/$1.ready" 2>/dev/null)
	rm -f "$CHAIN/run/$1.ready"
	echo "${chain_last:-0}"
}

# The agents, one function each, so that a test can kill and start any of them again.
chain_agent_mta_in() {
	chain_serve mta_in mta mx.recipient.example queue.recipient --domains=recipient.example \
		--users="$CHAIN/etc/users.recipient" \
		--mda="lmtp:|exec $BIN/mda-deliver --lmtp --users=$CHAIN/etc/users.recipient --mail=maildir:$CHAIN/mail/%d/%n"
}
chain_agent_mta_out() {
	chain_serve mta_out mta mx.sender.example queue.mta --domains=sender.example --trust=127.0.0.0/8
}
chain_agent_mta_out_run() {
	chain_spawn mta_out_run "$BIN/mta-relay" run --queue="$CHAIN/queue.mta" --hostname=mx.sender.example \
		--resolver="127.0.0.1:$CHAIN_DNS_PORT" --port="$CHAIN_MTA_IN_PORT" --tls-ca="$CHAIN/tls/ca.pem" $CHAIN_RUN_OPTIONS
}
chain_agent_msa() {
	chain_serve msa msa msa.sender.example queue.msa --users="$CHAIN/etc/users.sender"
}
chain_agent_msa_run() {
	chain_spawn msa_run "$BIN/mta-relay" run --queue="$CHAIN/queue.msa" --hostname=msa.sender.example \
		--smarthost="smtp://127.0.0.1:$CHAIN_MTA_OUT_PORT" --tls-ca="$CHAIN/tls/ca.pem" $CHAIN_RUN_OPTIONS
}
chain_agent_imap() {
	chain_spawn imap "$BIN/maa-serve" --imap --listen="127.0.0.1:$(chain_old_port imap),tls" --ready-file="$CHAIN/run/imap.ready" \
		--tls-cert="$CHAIN/tls/server.pem" --tls-key="$CHAIN/tls/server.key" --users="$CHAIN/etc/users.recipient" \
		--mail="maildir:$CHAIN/mail/%d/%n"
}
chain_agent_pop3() {
	chain_spawn pop3 "$BIN/maa-serve" --pop3 --listen="127.0.0.1:$(chain_old_port pop3),tls" --ready-file="$CHAIN/run/pop3.ready" \
		--tls-cert="$CHAIN/tls/server.pem" --tls-key="$CHAIN/tls/server.key" --users="$CHAIN/etc/users.recipient" \
		--mail="maildir:$CHAIN/mail/%d/%n"
}

# Everything up; ports are in CHAIN_*_PORT.
chain_up() {
	CHAIN_RUN_OPTIONS=${CHAIN_RUN_OPTIONS-}
	mkdir -p "$CHAIN/log" "$CHAIN/run" "$CHAIN/tls" "$CHAIN/etc" "$CHAIN/mail/recipient.example" "$CHAIN/queue.msa" \
		"$CHAIN/queue.mta" "$CHAIN/queue.recipient" "$CHAIN/home" "$CHAIN/state" || return 1
	# Nothing of this machine's configuration takes part.
	export HOME="$CHAIN/home" XDG_CONFIG_HOME="$CHAIN/home/.config" XDG_STATE_HOME="$CHAIN/state" WAYPOST_TRACE="$CHAIN/trace.jsonl"
	chain_certificates && chain_accounts && chain_dns || return 1
	chain_agent_mta_in && CHAIN_MTA_IN_PORT=$(chain_port mta_in) || return 1
	chain_agent_mta_out && CHAIN_MTA_OUT_PORT=$(chain_port mta_out) || return 1
	chain_agent_mta_out_run
	chain_agent_msa && CHAIN_MSA_PORT=$(chain_port msa) || return 1
	chain_agent_msa_run
	chain_agent_imap && CHAIN_IMAP_PORT=$(chain_port imap) || return 1
	chain_agent_pop3 && CHAIN_POP3_PORT=$(chain_port pop3) || return 1
}

# chain_send FILE: alice submits it to her MSA, with STARTTLS and SCRAM
chain_send() {
	"$BIN/mua-send" --server="smtp://alice%40sender.example@localhost:$CHAIN_MSA_PORT" --starttls=require \
		--tls-ca="$CHAIN/tls/ca.pem" --password-command="cat '$CHAIN/etc/secret'" \
		-f alice@sender.example -i bob@recipient.example <"$1"
}

chain_box() { echo "$CHAIN/mail/recipient.example/bob"; }
chain_delivered() { # how many messages stand in bob's store
	find "$(chain_box)/new" "$(chain_box)/cur" -type f 2>/dev/null | wc -l
}
chain_has() { [ "$(chain_delivered)" -ge "$1" ]; }

# chain_fetch imap|pop3 MAILDIR: bob fetches what is new
chain_fetch() {
	case $1 in
	imap) chain_url="imaps://bob%40recipient.example@localhost:$CHAIN_IMAP_PORT/INBOX" ;;
	pop3) chain_url="pop3s://bob%40recipient.example@localhost:$CHAIN_POP3_PORT" ;;
	esac
	"$BIN/mra-fetch" "$chain_url" --to="maildir:$2" --keep --tls-ca="$CHAIN/tls/ca.pem" \
		--password-command="cat '$CHAIN/etc/secret'"
}

# chain_arrived SENT GOT: did the message arrive byte for byte? Line ends are a matter of transport, and hops put
# fields on top: the message that was sent must be the end of the one that came. Only what the standards take out on the
# way may be missing: Bcc (RFC 5322 3.6.3), an old Return-Path (RFC 5321 4.4), a mailbox's "From " line.
chain_arrived() {
	LC_ALL=C sed -e 's/\r$//' -e '$a\' "$1" | LC_ALL=C awk '
		NR == 1 && /^From / { next }
		!begun++ && !/^[!-9;-~]+[ \t]*:/ || /^$/ { body = 1 }
		!body && tolower($0) ~ /^(bcc|resent-bcc|return-path)[ \t]*:/ { gone = 1; next }
		!body && gone && /^[ \t]/ { next }
		{ gone = 0; print }' >"$CHAIN/sent.lf"
	LC_ALL=C sed -e 's/\r$//' -e '$a\' "$2" >"$CHAIN/got.lf"
	tail -c "$(wc -c <"$CHAIN/sent.lf")" "$CHAIN/got.lf" | cmp - "$CHAIN/sent.lf"
}

chain_drained() { # no message waits in a queue
	[ "$(find "$CHAIN"/queue.* -type f -size +0 ! -name '*lock*' | wc -l)" -eq 0 ]
}

chain_down() {
	for chain_pid in "$CHAIN"/run/*.pid; do
		[ -e "$chain_pid" ] && kill "$(cat "$chain_pid")" 2>/dev/null
	done
	wait 2>/dev/null
	return 0
}
