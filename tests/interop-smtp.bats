#!/usr/bin/env bats
# Postfix, Exim and OpenSMTPD as the client and as the next hop. One that is not there is skipped.

load interop
bats_require_minimum_version 1.5.0

setup() { interop_setup; }
teardown() { interop_teardown; }

# PEER takes a message and brings it to us.
brings() { # PEER TLS
	workplace
	serve_up
	peer_up "$1" "$OUR_PORT"
	hard_message
	submit "$PEER_PORT" sender@sender.example user@relay.example "$W/message"
	wait_for 60 we_have 1 || {
		peer "$1" peer_log "$W/$1"
		cat "$W/serve.log"
		return 1
	}
	got=$(our_messages)
	same "$W/message" "$got"
	[ "$(grep -c '^Return-Path:' "$got")" -eq 1 ]
	grep -qi '^Return-Path: <sender@sender.example>' "$got"
	grep -q '^Delivered-To: user@relay.example' "$got"
	sed '/^$/,$d' "$got" | tr -d '\n\t' | grep -q "by mx.relay.example[^;]* with $2 "
	[ "$(our_messages | wc -l)" -eq 1 ]
}

# We refuse, and PEER tells the sender.
is_refused() { # PEER
	serve_up
	peer_up "$1" "$OUR_PORT"
	hard_message
	submit "$PEER_PORT" user@dest.example nosuch@relay.example "$W/message"
	wait_for 60 peer_has 1 || {
		peer "$1" peer_log "$W/$1"
		cat "$W/serve.log"
		return 1
	}
	report=$(peer_messages)
	grep -qi '^Return-Path: <>' "$report" || grep -q '^From: .*MAILER-DAEMON\|^From: .*Mail Delivery' "$report"
	grep -q 'nosuch@relay.example' "$report"
	grep -q '550.5\.1\.1' "$report"
	[ "$(our_messages | wc -l)" -eq 0 ]
}

# We bring a message to PEER.
takes() { # PEER TLS
	peer_up "$1" 1
	hard_message
	inject sender@sender.example user@dest.example <"$W/message"
	run_queue --smarthost="smtp://127.0.0.1:$PEER_PORT"
	[ "$(waiting)" -eq 0 ] || {
		cat "$W/run.log"
		return 1
	}
	wait_for 60 peer_has 1 || {
		peer "$1" peer_log "$W/$1"
		return 1
	}
	got=$(peer_messages)
	same "$W/message" "$got"
	[ "$(grep -ci '^Return-Path:' "$got")" -eq 1 ]
	grep -qi '^Return-Path: <sender@sender.example>' "$got"
	sed '/^$/,$d' "$got" | tr -d '\n\t' | grep -qi "by mx.dest.example[^;]* with $2 "
	grep -q 'status=\(relayed\|handed\) code=250' "$W/run.log"
}

# PEER refuses one of two recipients: he is reported, the other has his mail. Then all at once, over one connection.
refuses() { # PEER
	peer_up "$1" 1
	hard_message
	echo 'us@us.example:::::::' >"$W/users"
	printf '%s\n' "dest.example smtp://127.0.0.1:$PEER_PORT" \
		"us.example lmtp:|exec $BIN/mda-deliver --lmtp --users=$W/users --mail=maildir:$W/Maildir" >"$W/routes"
	inject us@us.example user@dest.example nosuch@dest.example <"$W/message"
	run_queue --routes="$W/routes"
	wait_for 60 peer_has 1
	[ "$(waiting)" -eq 0 ]
	[ "$(our_messages | wc -l)" -eq 1 ]
	report=$(our_messages)
	grep -q '^Return-Path: <>' "$report"
	grep -q '^Content-Type: multipart/report; report-type=delivery-status;' "$report"
	[ "$(grep -c '^Final-Recipient:' "$report")" -eq 1 ]
	grep -q '^Final-Recipient: rfc822; nosuch@dest.example' "$report"
	grep -q '^Action: failed' "$report"
	grep -q '^Status: 5\.' "$report"
	grep -q '^Diagnostic-Code: smtp; 550' "$report"
	same "$W/message" "$(peer_messages)"
}

# Many at once, both ways: none is lost, none comes twice.
exchange_many() { # PEER
	serve_up --relay-to=dest.example
	peer_up "$1" "$OUR_PORT"
	for i in $(seq 30); do
		printf 'Subject: out %d\n\nbody %d\n' "$i" "$i" | inject sender@sender.example user@dest.example
	done
	needs smtp-source
	smtp-source -s 5 -m 30 -l 3000 -f sender@sender.example -t user@relay.example "127.0.0.1:$PEER_PORT" &
	load=$!
	# A peer that is busy may put one off.
	passed_on() { run_queue --now --smarthost="smtp://127.0.0.1:$PEER_PORT" && [ "$(waiting)" -eq 0 ]; }
	wait_for 60 passed_on
	wait $load
	wait_for 120 peer_has 30
	wait_for 120 we_have 30
	sleep 1 # one more would come now
	[ "$(peer_messages | wc -l)" -eq 30 ]
	[ "$(our_messages | wc -l)" -eq 30 ]
	[ "$(peer_messages | xargs grep -h '^Subject: out ' | sort -u | wc -l)" -eq 30 ]
	[ "$(our_messages | xargs grep -hi '^Message-ID: ' | sort -u | wc -l)" -eq 30 ]
}

@test "postfix brings a message, with STARTTLS" { brings postfix ESMTPS; }
@test "exim brings a message, with STARTTLS" { brings exim ESMTPS; }
@test "opensmtpd brings a message, with STARTTLS" { brings opensmtpd ESMTPS; }

@test "postfix reports our refusal to the sender" { is_refused postfix; }
@test "exim reports our refusal to the sender" { is_refused exim; }
@test "opensmtpd reports our refusal to the sender" { is_refused opensmtpd; }

@test "postfix takes our message, with STARTTLS" { takes postfix ESMTPS; }
@test "exim takes our message, with STARTTLS" { takes exim esmtps; }
# Debian 12's offers a STARTTLS that fails: we come again without.
@test "opensmtpd takes our message, in the clear where its STARTTLS fails" { takes opensmtpd 'ESMTPS\{0,1\}'; }

@test "postfix refuses a recipient of ours" { refuses postfix; }
@test "exim refuses a recipient of ours" { refuses exim; }
@test "opensmtpd refuses a recipient of ours" { refuses opensmtpd; }

@test "postfix and we exchange many messages at once" { exchange_many postfix; }
@test "exim and we exchange many messages at once" { exchange_many exim; }
@test "opensmtpd and we exchange many messages at once" { exchange_many opensmtpd; }
