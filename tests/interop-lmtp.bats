#!/usr/bin/env bats
# Somebody else on the other side of LMTP: Dovecot's server as our delivery agent, ours as Postfix's.

load interop
bats_require_minimum_version 1.5.0

setup() {
	interop_setup
	DOVECOT=''
}
teardown() {
	[ -z "$DOVECOT" ] || doveadm -c "$DOVECOT/dovecot.conf" stop 2>/dev/null
	interop_teardown
}

# Dovecot with LMTP on a socket, for ann, bob and full@here.example; full has a quota of one kilobyte.
dovecot_up() {
	needs dovecot doveadm perl openssl
	[ "$(id -u)" -eq 0 ] || skip "needs root to start dovecot"
	[ -e /usr/lib/dovecot/lmtp ] || skip "needs dovecot's lmtp (make peers)"
	workplace
	DOVECOT=$W/dovecot
	mkdir -p "$DOVECOT/run" "$DOVECOT/mail"
	chmod 755 "$DOVECOT"
	chown nobody "$DOVECOT/mail"
	printf '%s\n' 'ann@here.example:::::::' 'bob@here.example:::::::' \
		'full@here.example:::::::userdb_quota_rule=*:storage=1K' >"$DOVECOT/users"
	cat >"$DOVECOT/dovecot.conf" <<-C
		base_dir = $DOVECOT/run
		log_path = $DOVECOT/log
		protocols = lmtp
		listen = 127.0.0.1
		ssl = no
		mail_location = maildir:$DOVECOT/mail/%n
		first_valid_uid = 0
		mail_plugins = quota
		plugin {
		  quota = maildir:User quota
		  quota_rule = *:storage=100M
		}
		protocol lmtp {
		  postmaster_address = postmaster@here.example
		}
		service lmtp {
		  unix_listener lmtp {
		    mode = 0666
		  }
		}
		service stats {
		  unix_listener stats-writer {
		    mode = 0666
		  }
		}
		passdb {
		  driver = passwd-file
		  args = $DOVECOT/users
		}
		userdb {
		  driver = passwd-file
		  args = $DOVECOT/users
		  default_fields = uid=nobody gid=nogroup home=$DOVECOT/mail/%n
		}
	C
	dovecot -c "$DOVECOT/dovecot.conf"
	wait_for 60 listening "$DOVECOT/run/lmtp"
	chmod 755 "$DOVECOT/run"
	hard_message
}
lengthen() { yes 'This message is longer than the quota of one of its recipients.' | head -n 100 >>"$W/message"; }
box() { find "$DOVECOT/mail/$1/new" "$DOVECOT/mail/$1/cur" -type f 2>/dev/null; }
boxes() { # ANN BOB FULL: so many messages are there
	[ "$(box ann | wc -l) $(box bob | wc -l) $(box full | wc -l)" = "$1 $2 $3" ] || {
		echo "boxes: $(box ann | wc -l) $(box bob | wc -l) $(box full | wc -l)"
		cat "$W"/*.log "$DOVECOT/log"
		return 1
	}
}

# serve with Dovecot as its agent, and nobody else who knows the users
serve_dovecot() {
	"$BIN/mta-relay" serve --role=mta --listen=127.0.0.1:0 --ready-file="$W/ready" --hostname=mx.here.example \
		--domains=here.example --queue="$W/queue" --mda="lmtp:unix:$DOVECOT/run/lmtp" 2>"$W/serve.log" </dev/null 3>&- &
	PIDS+=($!)
	wait_for 60 test -s "$W/ready"
	OUR_PORT=$(sed -n '1s/.*:\([0-9][0-9]*\).*/\1/p' "$W/ready")
}
# smtp FROM TO...: says the message to OUR_PORT; the replies are in $W/replies, the last of them is to its end
smtp() {
	perl -MIO::Socket::INET -e '
		my ($port, $file, $from, @to) = @ARGV;
		my $s = IO::Socket::INET->new("127.0.0.1:$port") or die;
		my $ask = sub {
			print $s "$_[0]\r\n" if length $_[0];
			while (my $l = <$s>) { next if $l =~ /^\d{3}-/; print $l; last }
		};
		$ask->($_) for "", "EHLO x", "MAIL FROM:<$from>", map({ "RCPT TO:<$_>" } @to), "DATA";
		open(my $f, "<", $file);
		while (<$f>) { chomp; s/^\./../; print $s "$_\r\n" }
		$ask->(".");' "$OUR_PORT" "$W/message" "$@" >"$W/replies"
}

@test "serve hands to dovecot before it replies: content, envelope, several recipients" {
	dovecot_up
	serve_dovecot
	smtp sender@sender.example ann@here.example bob@here.example
	tail -n 1 "$W/replies" | grep -q '^250 '
	boxes 1 1 0
	same "$W/message" "$(box ann)"
	grep -q '^Return-Path: <sender@sender.example>' "$(box bob)"
	same "$W/message" "$(box bob)"
	grep -q 'how=delivered' "$W/serve.log"
	[ "$(waiting)" -eq 0 ]
}

@test "serve passes on dovecot's refusal of all recipients" {
	dovecot_up
	serve_dovecot
	smtp sender@sender.example nosuch@here.example
	tail -n 1 "$W/replies" | grep -q '^5'
	grep -q '5\.1\.1' "$W/replies"
	lengthen
	smtp sender@sender.example full@here.example
	tail -n 1 "$W/replies" | grep -q '^[45]52 [45]\.2\.2 '
	boxes 0 0 0
	[ "$(waiting)" -eq 0 ]
}

@test "different verdicts of dovecot: one has it, and the others are reported to the sender" {
	dovecot_up
	serve_dovecot
	lengthen
	smtp bob@here.example ann@here.example full@here.example nosuch@here.example
	tail -n 1 "$W/replies" | grep -q '^250 '
	boxes 1 0 0
	run_queue --domains=here.example --mda="lmtp:unix:$DOVECOT/run/lmtp"
	boxes 1 1 0
	[ "$(waiting)" -eq 0 ]
	report=$(box bob)
	grep -q '^Return-Path: <>' "$report"
	[ "$(grep -c '^Final-Recipient: rfc822; \(full\|nosuch\)@here.example' "$report")" -eq 2 ]
	grep -q '^Status: 5\.2\.2' "$report"
	grep -q '^Status: 5\.1\.1' "$report"
	run ! grep -q 'Final-Recipient.*ann@' "$report"
}

@test "run delivers to dovecot, with different verdicts in one transaction" {
	dovecot_up
	lengthen
	inject bob@here.example ann@here.example nosuch@here.example full@here.example bob@here.example <"$W/message"
	run_queue --domains=here.example --mda="lmtp:unix:$DOVECOT/run/lmtp"
	[ "$(waiting)" -eq 0 ]
	boxes 1 2 0
	same "$W/message" "$(box ann)"
	report=$(box bob | xargs grep -l '^Return-Path: <>')
	[ "$(grep -c '^Final-Recipient:' "$report")" -eq 2 ]
	same "$W/message" "$(box bob | xargs grep -L '^Return-Path: <>')"
}

@test "dovecot is down: serve queues, run delivers when it is up again" {
	dovecot_up
	master=$(cat "$DOVECOT/run/master.pid")
	doveadm -c "$DOVECOT/dovecot.conf" stop
	wait_for 60 gone "$master"
	silent() { ! listening "$DOVECOT/run/lmtp"; }
	wait_for 60 silent
	serve_dovecot
	smtp sender@sender.example ann@here.example
	tail -n 1 "$W/replies" | grep -q '^250 '
	[ "$(waiting)" -eq 1 ]
	run_queue --domains=here.example --mda="lmtp:unix:$DOVECOT/run/lmtp"
	[ "$(waiting)" -eq 1 ]
	dovecot -c "$DOVECOT/dovecot.conf"
	wait_for 60 listening "$DOVECOT/run/lmtp"
	chmod 755 "$DOVECOT/run"
	run_queue --now --domains=here.example --mda="lmtp:unix:$DOVECOT/run/lmtp"
	[ "$(waiting)" -eq 0 ]
	boxes 1 0 0
	same "$W/message" "$(box ann)"
}

# mda-deliver --lmtp on a socket that Postfix's virtual_transport names; user@dest.example and full@dest.example.
postfix_with_our_mda() {
	needs postfix perl
	workplace
	mkdir -p "$W/mail" "$W/run"
	chown nobody "$W/mail" "$W/run"
	printf '%s\n' 'user@dest.example:::::::' 'full@dest.example:::::::userdb_quota_rule=*:storage=1K' >"$W/users"
	setpriv --reuid=nobody --regid=nogroup --clear-groups "$BIN/mda-deliver" --lmtp --listen=127.0.0.1:0 \
		--ready-file="$W/run/ready" --users="$W/users" --mail="maildir:$W/mail/%n" 2>"$W/mda.log" </dev/null 3>&- &
	PIDS+=($!)
	wait_for 60 test -s "$W/run/ready"
	mda_port=$(sed -n '1s/.*:\([0-9][0-9]*\).*/\1/p' "$W/run/ready")
	PEER_EXTRA=$(printf '%s\n' "virtual_transport = lmtp:inet:127.0.0.1:$mda_port" 'virtual_mailbox_maps = static:yes' \
		'lmtp_destination_recipient_limit = 20')
	export PEER_EXTRA
	peer_up postfix 1
	hard_message
}
ours() { find "$W/mail/$1/new" -type f 2>/dev/null; }
we_hold() { [ "$(ours "$1" | wc -l)" -ge "$2" ]; }

@test "postfix delivers through mda-deliver: content, envelope" {
	postfix_with_our_mda
	submit "$PEER_PORT" sender@sender.example user@dest.example "$W/message"
	wait_for 60 we_hold user 1 || {
		peer postfix peer_log "$W/postfix"
		return 1
	}
	same "$W/message" "$(ours user)"
	[ "$(grep -c '^Return-Path:' "$(ours user)")" -eq 1 ]
	grep -q '^Return-Path: <sender@sender.example>' "$(ours user)"
	grep -q '^Delivered-To: user@dest.example' "$(ours user)"
}

@test "postfix reports what mda-deliver refuses for some of the recipients" {
	postfix_with_our_mda
	lengthen
	OUR_PORT=$PEER_PORT
	smtp user@dest.example user@dest.example nosuch@dest.example full@dest.example
	tail -n 1 "$W/replies" | grep -q '^250 '
	wait_for 60 we_hold user 2 || {
		peer postfix peer_log "$W/postfix"
		return 1
	}
	report=$(ours user | xargs grep -l '^Return-Path: <>')
	grep -q '^Final-Recipient: rfc822; nosuch@dest.example' "$report"
	grep -q '^Status: 5\.1\.1' "$report"
	# Over quota is for now, in Postfix's queue, or for good, in the report.
	grep -q '^Final-Recipient: rfc822; full@dest.example' "$report" || peer postfix peer_log "$W/postfix" | grep -q 'full@dest.example.*dsn=4\.2\.2'
	run ! grep -q 'Final-Recipient: rfc822; user@' "$report"
	same "$W/message" "$(ours user | xargs grep -L '^Return-Path: <>')"
	[ "$(ours full | wc -l)" -eq 0 ]
}

@test "postfix and mda-deliver: many messages on several connections, none lost" {
	postfix_with_our_mda
	needs smtp-source
	smtp-source -s 5 -m 60 -l 3000 -f sender@sender.example -t user@dest.example "127.0.0.1:$PEER_PORT"
	wait_for 120 we_hold user 60
	sleep 1 # one more would come now
	[ "$(ours user | wc -l)" -eq 60 ]
	[ "$(ours user | xargs grep -hi '^Message-ID: ' | sort -u | wc -l)" -eq 60 ]
}
