#!/usr/bin/env bats
# What an operator sees: the log in our format and in Postfix's, metrics, the service manager's notices, --ready, and
# what signals do.

bats_require_minimum_version 1.5.0
load queue

setup() {
	queue_setup
	T=$BATS_TEST_TMPDIR
	cat >"$T/users" <<-E
		alice@here.example:{PLAIN}secret::::::
		full@here.example::::::
		no@here.example::::::
	E
	LMTP=$TOP/lmtp-sink
}

teardown() { queue_teardown; }

server() { # OPTION...: PORT of a server whose log is $T/log; SERVER is its process
	rm -f "$T/ready"
	"$RELAY" serve --listen=127.0.0.1:0 --ready-file="$T/ready" --hostname=mx.here.example --domains=here.example \
		--users="$T/users" --auth-without-tls --queue="$Q" "$@" 2>>"$T/log" 3>&- &
	SERVER=$!
	PIDS+=("$SERVER")
	wait_for 60 test -s "$T/ready"
	SMTP=$(sed -n 's/.*://p;q' "$T/ready")
}

runner() { # OPTION...: a runner whose log is $T/log; RUNNER is its process
	"$RELAY" run --queue="$Q" --hostname=mx.here.example "$@" 2>>"$T/log" 3>&- &
	RUNNER=$!
	PIDS+=("$RUNNER")
}

# Commands of stdin, one at a time, each after the reply to the one before; a line ">FILE" makes FILE and waits until it
# is gone.
talk() {
	timeout 120 perl -MIO::Socket::INET -e '
		my $s = IO::Socket::INET->new(PeerAddr => "127.0.0.1:$ARGV[0]") or die "connect: $!";
		$s->autoflush(1);
		my $data = 0;
		sub reply { while (defined(my $l = <$s>)) { print $l; return substr($l, 0, 3) if $l =~ /^\d{3} / } exit 0 }
		reply();
		while (my $l = <STDIN>) {
			chomp $l;
			if ($l =~ /^>(.*)/) {
				open(my $f, ">", $1); close $f;
				select(undef, undef, undef, 0.05) while -e $1;
				next;
			}
			print $s "$l\r\n";
			next if $data && $l ne ".";
			$data = reply() == 354;
		}' "$SMTP" | tr -d '\r'
}

mail() { # FROM TO...
	printf 'EHLO client.example\nMAIL FROM:<%s>\n' "$1"
	shift
	printf 'RCPT TO:<%s>\n' "$@"
	printf 'DATA\nSubject: test\nMessage-ID: <%s@test>\n\nhello\n.\nQUIT\n' "$RANDOM"
}

login() { printf 'EHLO client.example\nAUTH PLAIN %s\nQUIT\n' "$(printf '\0alice@here.example\0%s' "$1" | base64)"; }

# Mail of every fate: 2 local deliveries (one by the queue later), one to elsewhere, a deferred, a bounced one, with its
# report; an unknown user, a relay that is not ours, a refusal by the MDA, a wrong and a right password.
traffic() { # OPTION...: of serve and run
	sink --rule='RCPT:later@:450 4.2.1 Come back' --rule='RCPT:never@:550 5.1.1 No such person'
	server --mda="lmtp:|$LMTP $T/out" --trust=127.0.0.2/32 --relay-to=far.example "$@"
	mail a@far.example alice@here.example | talk >"$T/said"
	mail a@far.example nobody@here.example no@here.example | talk >>"$T/said"
	mail a@far.example x@other.example | talk >>"$T/said"
	mail a@far.example friend@far.example later@far.example never@far.example | talk >>"$T/said"
	login wrong | talk >>"$T/said"
	login secret | talk >>"$T/said"
	"$RELAY" run --once --queue="$Q" --hostname=mx.here.example --smarthost="smtp://127.0.0.1:$PORT" "$@" 2>>"$T/log"
	kill "$SERVER"
	wait "$SERVER"
}

@test "our log: one line for each event of a message's life, each with its id, each of a client's with its address" {
	traffic
	cat "$T/log" >&2
	[ "$(grep -c ' connect client=127.0.0.1 port=' "$T/log")" -eq 6 ]
	[ "$(grep -c ' disconnect client=127.0.0.1 messages=[01] ' "$T/log")" -eq 6 ]
	grep -q ' disconnect client=127.0.0.1 messages=1 refused=0 .*commands="ehlo=1 mail=1 rcpt=3 data=1 quit=1 commands=7" ' "$T/log"
	grep -q ' refuse client=127.0.0.1 stage=RCPT code=550 dsn=5.1.1 from="a@far.example" to="nobody@here.example" .* check=policy ' "$T/log"
	grep -q ' refuse client=127.0.0.1 stage=RCPT code=550 dsn=5.7.1 .*to="x@other.example" ' "$T/log"
	grep -q ' refuse client=127.0.0.1 stage=END-OF-MESSAGE code=550 dsn=5.1.1 .*to="no@here.example" ' "$T/log"
	grep -q ' auth failed client=127.0.0.1 user="[^"]*" mech="PLAIN" ' "$T/log"
	grep -q ' auth ok client=127.0.0.1 user="alice@here.example" mech="PLAIN"' "$T/log"
	# Every line of a conversation names it.
	lines() { grep -E ' (connect|disconnect|refuse|auth ok|auth failed|accept .* client=127.0.0.1) ' "$T/log"; }
	[ "$(lines | wc -l)" -ge 18 ]
	[ "$(lines | grep -cE ' session=[0-9a-f.]+$')" -eq "$(lines | wc -l)" ]
	[ "$(lines | sed 's/.* session=//' | sort -u | wc -l)" -eq 6 ]
	# The one that the MDA took: its whole life under one id.
	id=$(sed -n 's/.* accept qid=\([0-9A-Z]*\) .*how=delivered .*/\1/p' "$T/log")
	[ -n "$id" ]
	[ "$(grep -c " qid=$id" "$T/log")" -eq 3 ]
	grep -q " deliver qid=$id to=\"alice@here.example\" .* status=delivered code=250 " "$T/log"
	grep -q " remove qid=$id" "$T/log"
	# The one that was queued: each recipient's attempt, the report and its own life.
	id=$(sed -n 's/.* accept qid=\([0-9A-Z]*\) .*how=queued .*/\1/p' "$T/log")
	grep -q " accept qid=$id client=127.0.0.1 from=\"a@far.example\" rcpts=3 size=[0-9]* .*mid=\"<[0-9]*@test>\"" "$T/log"
	grep -q " deliver qid=$id to=\"friend@far.example\" relay=\".*:$PORT\" tls=none delay=[0-9]* status=relayed code=250 " "$T/log"
	grep -q " deliver qid=$id to=\"later@far.example\" .* status=deferred code=450 dsn=4.2.1 " "$T/log"
	grep -q " deliver qid=$id to=\"never@far.example\" .* status=failed code=550 dsn=5.1.1 " "$T/log"
	report=$(sed -n "s/.* report qid=$id as=\([0-9A-Z]*\) to=\"a@far.example\" rcpts=1 status=failed$/\1/p" "$T/log")
	grep -q " accept qid=$report from=\"\" rcpts=1 size=[1-9][0-9]* how=report " "$T/log"
	grep -q " deliver qid=$report to=\"a@far.example\" .* status=relayed " "$T/log"
	grep -q " remove qid=$report$" "$T/log"
}

@test "a peer's bytes in the log are quoted, and end no line" {
	server
	printf '%s\n' 'EHLO x' $'MAIL FROM:<"a\x1b client=192.0.2.9 code=550"@far.example>' 'RCPT TO:<"x\" client=192.0.2.9"@far.example>' QUIT |
		talk >/dev/null
	wait_for 60 grep -q ' disconnect ' "$T/log"
	[ "$(grep -cE ' client=192.0.2.9' "$T/log")" -eq "$(grep -c '^mta-relay.* client=127.0.0.1 .*client=192.0.2.9' "$T/log")" ]
	grep -q ' refuse client=127.0.0.1 ' "$T/log"
	run ! grep -q $'\x1b' "$T/log"
}

@test "inject and expiry are logged, too" {
	sink --rule='RCPT:.:450 4.2.0 Not now'
	message | "$RELAY" inject --queue="$Q" -f a@here.example b@far.example 2>>"$T/log"
	grep -q ' accept qid=[0-9A-Z]* client=local .*from="a@here.example" rcpts=1 size=[0-9]* how=injected' "$T/log"
	id=$(only_id)
	expired() {
		timeout 120 "$RELAY" run --once --now --queue="$Q" --hostname=us.example --expire=1s --smarthost="smtp://127.0.0.1:$PORT" 2>>"$T/log"
		grep -q " expire qid=$id from=\"a@here.example\" to=\"b@far.example\"" "$T/log"
	}
	wait_for 60 expired
	grep -q " deliver qid=$id to=\"b@far.example\" .* status=failed code=450 dsn=5.4.7 " "$T/log"
}

@test "--log=postfix: pflogsumm counts what happened" {
	command -v pflogsumm >/dev/null || skip "needs pflogsumm"
	traffic --log=postfix
	cat "$T/log" >&2
	run ! grep -vE '^[A-Z][a-z]{2} [ 0-9]{2} [0-9:]{8} [^ ]+ postfix/[a-z/]+\[[0-9]+\]: ' "$T/log"
	LC_ALL=C pflogsumm --smtpd-stats "$T/log" >"$T/sum"
	cat "$T/sum" >&2
	# The report is delivered, but is nobody's mail that was received, as with Postfix.
	grep -qE '^ +2 +received$' "$T/sum"
	grep -qE '^ +3 +delivered$' "$T/sum"
	grep -qE '^ +1 +deferred  \(1 +deferrals?\)$' "$T/sum"
	grep -qE '^ +1 +bounced$' "$T/sum"
	grep -qE '^ +3 +rejected ' "$T/sum"
	grep -qE '^ +1 +senders$' "$T/sum"
	grep -qE '^ +6 +connections$' "$T/sum"
	grep -q 'Recipient address rejected: User unknown' "$T/sum"
	grep -q 'Relay access denied' "$T/sum"
	grep -q 'SASL PLAIN authentication failed' "$T/sum"
	run ! grep -qi 'size: 0$\|no size data' "$T/sum"
}

matches() { # FILTER LOG: how many lines
	fail2ban-regex --print-no-missed "$2" "$1" >"$T/f2b" 2>&1 || true
	sed -n 's/^Lines: .* \([0-9]*\) matched.*/\1/p' "$T/f2b"
}

@test "--log=postfix: fail2ban's own filters find who guesses" {
	command -v fail2ban-regex >/dev/null || skip "needs fail2ban"
	f=/etc/fail2ban/filter.d/postfix.conf
	[ -e $f ] || skip "needs fail2ban's postfix filter"
	traffic --log=postfix
	cat "$T/log" >&2
	# The unknown user and the relay; what an MDA refuses at the end has no such words.
	[ "$(matches $f "$T/log")" -eq 2 ]
	[ "$(matches "${f}[mode=auth]" "$T/log")" -eq 1 ]
	[ "$(matches "${f}[mode=extra]" "$T/log")" -eq 3 ]
	# Who leaves without a word.
	: >"$T/log"
	server --log=postfix --early-input=refuse
	perl -MIO::Socket::INET -e '$s = IO::Socket::INET->new(PeerAddr => "127.0.0.1:$ARGV[0]"); <$s>; print $s "EHLO x\r\n"; <$s>' "$SMTP"
	wait_for 60 grep -q 'lost connection after EHLO from unknown\[127.0.0.1\]' "$T/log"
	[ "$(matches "${f}[mode=ddos]" "$T/log")" -eq 1 ]
	# Who does not wait.
	printf 'EHLO x\r\nMAIL FROM:<a@b>\r\n' | perl -MIO::Socket::INET -e 'local $/; $s = IO::Socket::INET->new(PeerAddr => "127.0.0.1:$ARGV[0]"); print $s <STDIN>; <$s>' "$SMTP"
	wait_for 60 grep -qE 'improper command pipelining after (EHLO|CONNECT) from unknown\[127.0.0.1\]' "$T/log"
	[ "$(matches $f "$T/log")" -eq 1 ]
}

@test "our log: our fail2ban filter finds who guesses, and nobody else" {
	command -v fail2ban-regex >/dev/null || skip "needs fail2ban"
	f=$TOP/../share/fail2ban/waypost.conf
	# It includes fail2ban's common.conf, which stands beside it when it is installed.
	cp "$f" /etc/fail2ban/filter.d/common.conf "$T" || skip "needs fail2ban's common.conf"
	f=$T/waypost.conf
	traffic --log-file="$T/file"
	[ "$(matches "$f" "$T/file")" -eq 3 ]
	[ "$(matches "${f}[mode=auth]" "$T/file")" -eq 1 ]
	[ "$(matches "${f}[mode=normal]" "$T/file")" -eq 2 ]
	fail2ban-regex -o ip "$T/file" "$f" >"$T/ips"
	[ "$(sort -u "$T/ips")" = 127.0.0.1 ]
	cat >"$T/imap" <<-'E'
		Nov 30 10:00:00 host maa-serve[7]: login-refused user="x\" peer=192.0.2.7 " peer=192.0.2.8 why="no such user"
		Nov 30 10:00:01 host maa-serve[7]: login user="alice" peer=192.0.2.9 tls=yes
		Nov 30 10:00:02 host mta-relay[7]: refuse client=192.0.2.8 stage=RCPT code=550 dsn=5.1.1 from="a client=192.0.2.7 stage=RCPT code=550 dsn=5.1.1 " to="b"
		Nov 30 10:00:03 host mta-relay[7]: accept qid=0 client=192.0.2.9 from=" refuse client=192.0.2.7 stage=RCPT code=550 dsn=5.1.1 " rcpts=1
	E
	fail2ban-regex -o ip "$T/imap" "$f" >"$T/ips"
	[ "$(sort -u "$T/ips")" = 192.0.2.8 ]
	[ "$(wc -l <"$T/ips")" -eq 2 ]
	cat >"$T/gone" <<-'E'
		Nov 30 10:00:00 host mta-relay[7]: disconnect client=192.0.2.1 messages=0 refused=0 seconds=3 commands="ehlo=1 commands=1" stage=EHLO session=1.2.3
		Nov 30 10:00:00 host mta-relay[7]: disconnect client=192.0.2.2 name=a.example messages=0 refused=0 seconds=3 session=1.2.3
		Nov 30 10:00:00 host mta-relay[7]: disconnect client=192.0.2.9 messages=0 refused=0 seconds=3 commands="ehlo=1 quit=1 commands=2" stage=QUIT session=1.2.3
		Nov 30 10:00:00 host mta-relay[7]: disconnect client=192.0.2.9 messages=1 refused=0 seconds=3 commands="ehlo=1 commands=1" stage=DATA session=1.2.3
		Nov 30 10:00:00 host mta-relay[7]: too-many client=192.0.2.3 limit=2
	E
	fail2ban-regex -o ip "$T/gone" "${f}[mode=ddos]" >"$T/ips"
	[ "$(sort "$T/ips" | tr '\n' ' ')" = "192.0.2.1 192.0.2.2 192.0.2.3 " ]
}

# Prometheus' text format 0.0.4, as promtool judges it; prints "NAME{LABELS} VALUE" lines.
exposition() {
	python3 - "$1" <<'P'
import re, sys
text = open(sys.argv[1]).read()
assert text.endswith('\n')
kind, helped, seen, last = {}, set(), set(), None
name = r'[a-zA-Z_:][a-zA-Z0-9_:]*'
for line in text.splitlines():
    if m := re.fullmatch(r'# HELP (%s) (.+)' % name, line):
        assert m[1] not in helped, line
        helped.add(m[1])
    elif m := re.fullmatch(r'# TYPE (%s) (counter|gauge)' % name, line):
        assert m[1] not in kind and m[1] in helped, line
        kind[m[1]] = m[2]
    else:
        m = re.fullmatch(r'(%s)(\{[^{}]*\})? (-?[0-9]+)' % name, line)
        assert m, line
        labels = m[2] or '{}'
        pairs = re.findall(r'([a-zA-Z_][a-zA-Z0-9_]*)="((?:[^"\\\n]|\\[\\n"])*)"', labels)
        assert '{' + ','.join('%s="%s"' % p for p in pairs) + '}' == labels, line
        assert len({p[0] for p in pairs}) == len(pairs), line
        assert m[1] in kind and (m[1] == last or m[1] not in {s.split('{')[0] for s in seen}), line
        assert (kind[m[1]] == 'counter') == m[1].endswith('_total') and (kind[m[1]] == 'gauge' or int(m[3]) >= 0), line
        assert m[1] + labels not in seen, line
        seen.add(m[1] + labels)
        last = m[1]
        print(m[1] + labels, m[3])
P
}

value() { sed -n "s/^$1 //p" "$T/values"; }

@test "metrics of serve: summed over its processes, valid, whole at any time" {
	command -v python3 >/dev/null || skip "needs python3"
	traffic_serve() {
		mail a@far.example alice@here.example | talk >/dev/null
		mail a@far.example nobody@here.example | talk >/dev/null
		mail a@far.example b@far.example | talk >/dev/null
		login wrong | talk >/dev/null
	}
	server --mda="lmtp:|$LMTP $T/out" --relay-to=far.example --workers=3 --metrics="$T/serve.prom"
	wait_for 60 test -s "$T/serve.prom"
	exposition "$T/serve.prom" >"$T/values"
	[ "$(value 'mail_smtp_messages_total{service="mta"}')" -eq 0 ]
	for _ in 1 2 3; do traffic_serve & done
	wait_for 60 eval '[ "$(grep -c " disconnect " "$T/log")" -eq 12 ]'
	kill "$SERVER"
	wait "$SERVER"
	exposition "$T/serve.prom" >"$T/values"
	cat "$T/values" >&2
	[ "$(value 'mail_smtp_messages_total{service="mta"}')" -eq 6 ]
	[ "$(value 'mail_smtp_sessions{service="mta"}')" -eq 0 ]
	[ "$(value 'mail_smtp_sessions_total{service="mta",verdict="accepted"}')" -eq 6 ]
	[ "$(value 'mail_smtp_sessions_total{service="mta",verdict="refused"}')" -eq 3 ]
	[ "$(value 'mail_smtp_sessions_total{service="mta",verdict="idle"}')" -eq 3 ]
	[ "$(value 'mail_smtp_auth_total{service="mta",result="failed"}')" -eq 3 ]
	[ "$(value 'mail_delivery_total{service="mta",result="delivered",dsn="2"}')" -eq 3 ]
	[ "$(find "$T" -name '*.tmp')" = '' ]
}

@test "metrics of run: the queue, its age, results of attempts" {
	command -v python3 >/dev/null || skip "needs python3"
	sink --rule='RCPT:later@:450 4.2.1 Come back' --rule='RCPT:never@:550 5.1.1 No such person'
	message | inject a@far.example later@far.example
	message | inject a@far.example never@far.example friend@far.example
	runner --smarthost="smtp://127.0.0.1:$PORT" --metrics="$T/run.prom"
	settled() { [ "$(waiting)" -eq 1 ] && exposition "$T/run.prom" >"$T/values" && [ "$(value 'mail_queue_done_total{service="run"}')" -eq 2 ]; }
	wait_for 60 settled
	aged() { exposition "$T/run.prom" >"$T/values" && [ "$(value 'mail_queue_oldest_seconds{service="run"}')" -ge 1 ] && [ "$(value 'mail_queue_messages{service="run"}')" -eq 1 ]; }
	wait_for 60 aged
	cat "$T/values" >&2
	[ "$(value 'mail_delivery_total{service="run",result="relayed",dsn="2"}')" -eq 2 ]
	[ "$(value 'mail_delivery_total{service="run",result="deferred",dsn="4"}')" -eq 1 ]
	[ "$(value 'mail_delivery_total{service="run",result="failed",dsn="5"}')" -eq 1 ]
	[ "$(value 'mail_queue_reports_total{service="run"}')" -eq 1 ]
	[ "$(value 'mail_destinations_down{service="run"}')" -eq 0 ]
	queue remove "$(only_id)"
	kill "$RUNNER"
	wait "$RUNNER"
	exposition "$T/run.prom" >"$T/values"
	[ "$(value 'mail_queue_messages{service="run"}')" -eq 0 ]
	[ "$(value 'mail_queue_oldest_seconds{service="run"}')" -eq 0 ]
	# Nobody listens there.
	message | inject a@far.example friend@far.example
	runner --smarthost="smtp://127.0.0.1:1" --metrics="$T/run.prom"
	down() { exposition "$T/run.prom" >"$T/values" && [ "$(value 'mail_destinations_down{service="run"}')" -eq 1 ]; }
	wait_for 60 down
	kill "$RUNNER"
	wait "$RUNNER"
	run "$RELAY" run --once --queue="$Q" --metrics="$T/no/such/dir"
	[[ $output == *'metrics error='* ]]
}

# A service manager: datagrams to $NOTIFY_SOCKET are lines of $T/notices, those within one joined by '|'.
manager() { # NAME of the socket, "@" for an abstract one
	python3 - "$1" "$T/notices" 3>&- <<'P' &
import socket, sys
s = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
s.bind('\0' + sys.argv[1][1:] if sys.argv[1][0] == '@' else sys.argv[1])
with open(sys.argv[2], 'w', buffering=1) as out:
    out.write('listening\n')
    while True:
        out.write(s.recv(4096).decode().replace('\n', '|') + '\n')
P
	PIDS+=($!)
	wait_for 60 test -s "$T/notices"
	export NOTIFY_SOCKET=$1
}

said() { grep -qE "$1" "$T/notices"; }

@test "the service manager is told of readiness, state, reload, stop and that serve is alive" {
	command -v python3 >/dev/null || skip "needs python3"
	manager "@waypost-test-$$-$RANDOM"
	export WATCHDOG_USEC=1000000
	server
	wait_for 60 said '^READY=1$'
	wait_for 60 said '^STATUS=0 conversations, 0 messages accepted$'
	mail a@b.example alice@here.example | talk >/dev/null
	wait_for 60 said '^STATUS=[0-9]+ conversations?, 1 messages accepted$'
	fed() { [ "$(grep -c '^WATCHDOG=1$' "$T/notices")" -ge 4 ]; }
	wait_for 60 fed
	kill -HUP "$SERVER"
	wait_for 60 said '^RELOADING=1\|MONOTONIC_USEC=[0-9]+$'
	again() { [ "$(sed -n '/^RELOADING/,$p' "$T/notices" | grep -c '^READY=1$')" -eq 1 ]; }
	wait_for 60 again
	# A stopped process feeds no watchdog. What it said before has been heard when our own word has.
	kill -STOP "$SERVER"
	stopped() { grep -q '^State:.T' "/proc/$SERVER/status"; }
	wait_for 60 stopped
	perl -MSocket -e 'socket(my $s, AF_UNIX, SOCK_DGRAM, 0); send($s, "HEARD=1", 0, sockaddr_un("\0" . substr $ARGV[0], 1)) or die "$!"' \
		"$NOTIFY_SOCKET"
	wait_for 60 said '^HEARD=1$'
	before=$(grep -c '^WATCHDOG=1$' "$T/notices")
	sleep 2 # twice as long as the watchdog has
	[ "$(grep -c '^WATCHDOG=1$' "$T/notices")" -eq "$before" ]
	kill -CONT "$SERVER"
	kill "$SERVER"
	wait "$SERVER"
	wait_for 60 said '^STOPPING=1$'
}

@test "the service manager is told the same of run; another process's watchdog is not fed" {
	command -v python3 >/dev/null || skip "needs python3"
	manager "$T/notify"
	export WATCHDOG_USEC=1000000 WATCHDOG_PID=1
	message | inject a@far.example b@far.example
	echo '* error:451 4.0.0 not now' >"$T/routes"
	runner --routes="$T/routes"
	wait_for 60 said '^READY=1$'
	wait_for 60 said '^STATUS=1 message queued, 0 active, 0 destinations down$'
	kill -HUP "$RUNNER"
	wait_for 60 said '^RELOADING=1\|MONOTONIC_USEC=[0-9]+$'
	kill "$RUNNER"
	wait "$RUNNER"
	wait_for 60 said '^STOPPING=1$'
	run ! said '^WATCHDOG=1$'
}

ready() { run "$RELAY" "$1" --ready --ready-file="$2" --queue="$Q" && [ "$status" -eq "$3" ]; }

@test "--ready tells a server that is up from one that is gone, hung, or has no file, and says nothing over SMTP" {
	ready serve "$T/ready" 75
	[[ $output == *'no server has made it' ]]
	server
	wait_for 60 ready serve "$T/ready" 0
	run ! grep -q ' connect ' "$T/log"
	kill -STOP "$SERVER"
	wait_for 60 ready serve "$T/ready" 75
	[[ $output == *"process $SERVER is there, but has not moved for "* ]]
	kill -CONT "$SERVER"
	wait_for 60 ready serve "$T/ready" 0
	kill -KILL "$SERVER"
	wait "$SERVER" || true
	ready serve "$T/ready" 75
	[[ $output == *'the server that made it is gone' ]]
	server
	wait_for 60 ready serve "$T/ready" 0
	kill "$SERVER"
	wait "$SERVER"
	ready serve "$T/ready" 75
	run "$RELAY" serve --ready
	[ "$status" -eq 64 ]
}

@test "--ready of a runner, and of one whose queue has no room" {
	runner --ready-file="$T/run.ready"
	wait_for 60 ready run "$T/run.ready" 0
	kill -STOP "$RUNNER"
	wait_for 60 ready run "$T/run.ready" 75
	kill -CONT "$RUNNER"
	wait_for 60 ready run "$T/run.ready" 0
	run "$RELAY" run --ready --ready-file="$T/run.ready" --queue=/proc/1
	[ "$status" -eq 75 ]
	kill "$RUNNER"
	wait "$RUNNER"
	ready run "$T/run.ready" 75
	run "$RELAY" run --ready
	[ "$status" -eq 64 ]
}

@test "--log-file is opened again on SIGHUP, by serve and by run" {
	server --log-file="$T/serve.log"
	mail a@b.example alice@here.example | talk >/dev/null
	wait_for 60 grep -qE '^[A-Z][a-z]{2} .* mta-relay\[[0-9]+\]: disconnect ' "$T/serve.log"
	mv "$T/serve.log" "$T/serve.old"
	kill -HUP "$SERVER"
	wait_for 60 grep -q 'reload result=ok' "$T/serve.log"
	anew() { login secret | talk >/dev/null && wait_for 1 grep -q ' auth ok ' "$T/serve.log"; }
	wait_for 60 anew
	runner --log-file="$T/run.log"
	wait_for 60 grep -q 'start queue=' "$T/run.log"
	mv "$T/run.log" "$T/run.old"
	kill -HUP "$RUNNER"
	wait_for 60 grep -q 'reload' "$T/run.log"
	run "$RELAY" serve --log-file="$T/no/such/file" </dev/null
	[ "$status" -ne 0 ]
	run "$RELAY" serve --log=sendmail </dev/null
	[ "$status" -eq 64 ]
}

@test "SIGUSR1: serve logs its conversations" {
	server
	{ printf 'EHLO x\n>%s\nQUIT\n' "$T/wait"; } | talk >/dev/null 3>&- &
	PIDS+=($!)
	wait_for 60 test -e "$T/wait"
	kill -USR1 "$SERVER"
	wait_for 60 grep -qE ' conversation client=127.0.0.1 worker=[0-9]+ seconds=[0-9]+' "$T/log"
	wait_for 60 grep -q ' status conversations=1 ' "$T/log"
	# A worker has no use for it.
	kill -USR1 $(pgrep -P "$SERVER")
	rm "$T/wait"
	wait_for 60 grep -q ' disconnect .* quit=1 ' "$T/log"
	run ! grep -q 'signal=' "$T/log"
}

# The server stops while a client is within DATA, or while the MDA has the message and has not answered.
@test "SIGTERM within DATA: the message is neither lost nor doubled" {
	server --mda="lmtp:|$LMTP $T/out" --workers=1
	{
		printf 'EHLO x\nMAIL FROM:<a@b.example>\nRCPT TO:<alice@here.example>\nDATA\nSubject: one\n\nhalf\n>%s\nrest\n.\nNOOP\n' "$T/wait"
	} | talk >"$T/said" 3>&- &
	client=$!
	PIDS+=("$client")
	wait_for 60 test -e "$T/wait"
	kill "$SERVER"
	# It has stopped listening, but the command in hand goes on.
	deaf() { ! (exec 9<>"/dev/tcp/127.0.0.1/$SMTP") 2>/dev/null; }
	wait_for 60 deaf
	kill -0 "$SERVER"
	rm "$T/wait"
	wait "$client"
	wait "$SERVER"
	cat "$T/said" >&2
	grep -qE '^250 2.0.0 Ok: (delivered|queued) as' "$T/said"
	grep -q '^421 4.3.2 ' "$T/said"
	# An MDA that would have to be started now is the queue's business.
	timeout 120 "$RELAY" run --once --now --queue="$Q" --domains=here.example --mda="lmtp:|$LMTP $T/out" 2>>"$T/log"
	[ "$(grep -c '^[0-9]* <a@b.example> alice@here.example' "$T/out")" -eq 1 ]
	grep -q '^rest' "$T/out"
}

@test "SIGTERM while the MDA has the message: its answer is waited for, and is the client's" {
	sed 's|^\tclose \$out;|&\n\tselect(undef, undef, undef, 0.05) while -e "$file.wait";|' "$LMTP" >"$T/slow"
	chmod +x "$T/slow"
	touch "$T/out.wait"
	server --mda="lmtp:|$T/slow $T/out" --workers=1
	mail a@b.example alice@here.example | talk >"$T/said" 3>&- &
	client=$!
	PIDS+=("$client")
	wait_for 60 test -s "$T/out"
	kill "$SERVER"
	deaf() { ! (exec 9<>"/dev/tcp/127.0.0.1/$SMTP") 2>/dev/null; }
	wait_for 60 deaf
	kill -0 "$SERVER"
	rm "$T/out.wait"
	wait "$client"
	wait "$SERVER"
	cat "$T/said" >&2
	grep -q '^250 2.0.0 Ok: delivered as' "$T/said"
	[ "$(grep -c '^[0-9]* <a@b.example> alice@here.example' "$T/out")" -eq 1 ]
	[ "$(waiting)" -eq 0 ]
}

@test "SIGTERM of run within a delivery: it is finished, recorded, and not repeated" {
	sink
	server=${PIDS[-1]}
	message one | inject a@example.org b@example.net
	frozen="$server"
	kill -STOP $frozen
	runner --smarthost="smtp://127.0.0.1:$PORT"
	at_work() { find /proc/"$(pgrep -P "$RUNNER" | head -n 1)"/fd -lname "*/msg/*" 2>/dev/null | grep -q .; }
	wait_for 60 at_work
	kill "$RUNNER"
	kill -CONT $frozen
	wait "$RUNNER"
	[ "$(waiting)" -eq 0 ]
	[ "$(kept)" -eq 1 ]
	timeout 120 "$RELAY" run --once --now --queue="$Q" --smarthost="smtp://127.0.0.1:$PORT" 2>>"$T/log"
	[ "$(kept)" -eq 1 ]
}
