#!/usr/bin/env bats
# mta-relay serve: on stdin and on sockets, who may send where, delivery before the reply.
# shellcheck disable=SC2154,SC2016

load wait

setup() {
	BIN=${BUILD:-build}/bin
	RELAY=$BIN/mta-relay
	SINK=$PWD/tests/lmtp-sink
	T=$BATS_TEST_TMPDIR
	cat >"$T/users" <<-E
		alice@here.example:{PLAIN}secret::::::
		bob@here.example:{PLAIN}other::::::
		full@here.example::::::
		no@here.example::::::
		die@here.example::::::
		late@here.example::::::
	E
	cat >"$T/aliases" <<-E
		postmaster: alice
		team: alice, bob
		half: alice, full
		out: carol@far.example
		news: bob
		owner-news: alice
	E
	PIDS=()
}

teardown() {
	for pid in "${PIDS[@]}"; do
		kill "$pid" 2>/dev/null || continue
		wait "$pid" 2>/dev/null || true
	done
}

# On stdin, LF line ends.
serve() {
	"$RELAY" serve --hostname=mx.here.example --domains=here.example --queue="$T/queue" "$@" 2>>"$T/log" | tr -d '\r'
}

# Like ! grep -q, but fails the test.
lacks() {
	if grep -q "$@"; then return 1; fi
}

# An own listener; its port in $port.
listen() {
	"$RELAY" serve --listen=127.0.0.1:0 --ready-file="$T/ready" --hostname=mx.here.example \
		--domains=here.example --queue="$T/queue" "$@" 2>>"$T/log" 3>&- &
	PIDS+=($!)
	wait_for 60 test -s "$T/ready"
	port=$(sed -n 's/.*://p' "$T/ready" | head -n 1)
	[ -n "$port" ]
}

# All of stdin at once to the port, and what comes back.
talk() {
	timeout 120 perl -MIO::Socket::INET -e '
		my $s = IO::Socket::INET->new(PeerAddr => "127.0.0.1:$ARGV[0]") or die "connect: $!";
		local $/;
		print $s <STDIN>;
		$s->flush;
		print <$s>;' "$1" | tr -d '\r'
}

# A conversation that waits for each reply: lines of stdin are commands; a line ". LINES" is sent raw after 354.
step() {
	timeout 120 perl -MIO::Socket::INET -e '
		my $s = IO::Socket::INET->new(PeerAddr => "127.0.0.1:$ARGV[0]") or die "connect: $!";
		$s->autoflush(1);
		sub reply { while (defined(my $l = <$s>)) { print $l; return 1 if $l =~ /^\d{3} / } return 0 }
		reply();
		while (my $l = <STDIN>) {
			chomp $l;
			$l =~ s/\\([rn0])/{r=>"\r",n=>"\n",0=>"\0"}->{$1}/ge;
			print $s "$l\r\n";
			reply() or last;
		}' "$1" | tr -d '\r'
}

cert() {
	command -v openssl >/dev/null || skip "needs openssl"
	openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 2 -subj /CN=localhost \
		-keyout "$T/key.pem" -out "$T/cert.pem" 2>/dev/null
}

queued() {
	find "$T/queue" -path '*/msg/*' -type f 2>/dev/null || true
}

mail() {
	printf 'MAIL FROM:<%s>\n' "$1"
	shift
	for rcpt; do printf 'RCPT TO:<%s>\n' "$rcpt"; done
	printf 'DATA\nSubject: test\nMessage-ID: <1@test>\n\nhello\n..dot\n.\n'
}

session() {
	echo 'EHLO client.example'
	cat
	echo QUIT
}

@test "with nothing else configured it is no open relay" {
	out=$(printf 'EHLO x\r\nMAIL FROM:<a@b>\r\nRCPT TO:<u@elsewhere.example>\r\nQUIT\r\n' |
		"$RELAY" serve --role=mta --domains=here.example 2>"$T/log")
	grep -q '^550 5.7.1 ' <<<"$out"
	[ "$(grep -c '^250 2.1' <<<"$out")" -eq 1 ]
}

@test "routes in any disguise are refused" {
	out=$({
		echo 'EHLO x'
		echo 'MAIL FROM:<a@b.example>'
		for rcpt in 'u@far.example' 'u%far.example@here.example' 'far.example!u@here.example' \
			'"u@far.example"@here.example' '@here.example:u@far.example' 'u@[192.0.2.1]' 'alice@[127.0.0.1]' \
			'u@[IPv6:2001:db8::1]'; do
			echo "RCPT TO:<$rcpt>"
		done
		echo 'RCPT TO:<@far.example:alice@here.example>'
		echo QUIT
	} | serve --users="$T/users")
	[ "$(grep -c '^550 5.7.1 ' <<<"$out")" -eq 8 ]
	[ "$(grep -c '^250 2.1.5 ' <<<"$out")" -eq 1 ]
}

@test "users and aliases say who exists" {
	out=$(printf 'RCPT TO:<%s>\n' alice@here.example Alice+x@HERE.example team@here.example postmaster nobody@here.example |
		sed '1i MAIL FROM:<>' | session | serve --users="$T/users" --aliases="$T/aliases")
	[ "$(grep -c '^250 2.1.5 ' <<<"$out")" -eq 4 ]
	[ "$(grep -c '^550 5.1.1 ' <<<"$out")" -eq 1 ]
}

@test "the MDA has the message before the client has its 250, in one conversation for all" {
	out=$({
		mail a@b.example alice@here.example
		mail '' bob@here.example alice@here.example
		mail c@d.example team@here.example
	} | session | serve --users="$T/users" --aliases="$T/aliases" --mda="lmtp:|$SINK $T/out")
	[ "$(grep -c '^250 2.0.0 Ok: delivered as ' <<<"$out")" -eq 3 ]
	[ -z "$(queued)" ]
	[ -z "$(find "$T/queue" -path "$T/queue/*/tmp/*" -type f)" ]
	tr -d '\r' <"$T/out" >"$T/text"
	grep -q '^[0-9]* <a@b.example> alice@here.example$' "$T/text"
	grep -q '^[0-9]* <> alice@here.example bob@here.example$' "$T/text"
	grep -q '^[0-9]* <c@d.example> alice@here.example bob@here.example$' "$T/text"
	[ "$(sed -n 's/^\([0-9]*\) <.*/\1/p' "$T/text" | sort -u | wc -l)" -eq 1 ]
	# The stuffed dot is gone, the trace field is there, "for" only with one recipient.
	[ "$(grep -c '^\.dot$' "$T/text")" -eq 3 ]
	[ "$(grep -c '^Received: from client.example (local)$' "$T/text")" -eq 3 ]
	[ "$(grep -c '^	for <' "$T/text")" -eq 2 ]
	id=$(sed -n 's/^250 2.0.0 Ok: delivered as //p' <<<"$out" | head -n 1)
	grep -q "^	by mx.here.example (waypost) with ESMTP id $id\$" "$T/text"
}

@test "an MDA with CHUNKING: envelope and content in one go, undotted; who is refused does not disturb" {
	out=$({
		mail a@b.example alice@here.example no@here.example
		mail a@b.example refuse-rcpt@here.example
		mail a@b.example full@here.example
		mail a@b.example bob@here.example
	} | session | serve --mda="lmtp:|$SINK $T/out chunking")
	grep -q '^250 2.0.0 Ok: queued as ' <<<"$out"
	grep -q '^550 5.7.1 Not here$' <<<"$out"
	grep -q '^452 4.2.2 Mailbox full$' <<<"$out"
	grep -q '^250 2.0.0 Ok: delivered as ' <<<"$out"
	tr -d '\r' <"$T/out" >"$T/text"
	[ "$(grep -c '^\.dot$' "$T/text")" -eq 2 ]
	[ "$(grep -c '^BDAT [0-9]* LAST$' "$T/out.commands")" -eq 4 ]
	lacks '^DATA' "$T/out.commands"
	# One process: the conversation went on after each.
	[ "$(sed -n 's/^\([0-9]*\) <.*/\1/p' "$T/out" | sort -u | wc -l)" -eq 1 ]
}

@test "content of any size arrives whole at an MDA with CHUNKING" {
	for size in 1 60000 65300 65536 200000 1100000; do
		head -c "$size" /dev/zero | tr '\0' x | fold -w 70 >"$T/body"
		echo >>"$T/body"
		{
			printf 'EHLO x\nMAIL FROM:<a@b.example>\nRCPT TO:<alice@here.example>\nDATA\nSubject: %s\n\n' "$size"
			cat "$T/body"
			printf '.\nQUIT\n'
		} | serve --mda="lmtp:|$SINK $T/out.$size chunking" | grep -q 'delivered as'
		tr -d '\r' <"$T/out.$size" | sed '1,/^$/d' | cmp - "$T/body"
		grep -q '^BDAT ' "$T/out.$size.commands"
	done
}

@test "what the MDA refuses is refused, with its own words" {
	out=$({
		mail a@b.example full@here.example
		mail a@b.example no@here.example
		mail a@b.example refuse-rcpt@here.example
	} | session | serve --mda="lmtp:|$SINK $T/out")
	grep -q '^452 4.2.2 Mailbox full$' <<<"$out"
	grep -q '^550 5.1.1 No such user$' <<<"$out"
	grep -q '^550 5.7.1 Not here$' <<<"$out"
	[ ! -e "$T/queue" ]
	[ ! -s "$T/out" ]
}

@test "mixed results: who has it is not served twice, who has not is queued" {
	out=$(mail a@b.example alice@here.example full@here.example no@here.example | session | serve --mda="lmtp:|$SINK $T/out")
	grep -q '^250 2.0.0 Ok: queued as ' <<<"$out"
	[ "$(grep -c '<a@b.example> alice@here.example' "$T/out")" -eq 1 ]
	[ "$(queued | wc -l)" -eq 1 ]
	file=$(queued)
	grep -q '^rcpt: <alice@here.example>' "$file"
	grep -q 'delivered' "$file"
	grep -q '4.2.2' "$file"
	grep -q '5.1.1' "$file"
	grep -q '^Subject: test' "$file"
}

# The reply to the content, then how many are in the queue, for a message to these at here.example.
verdict() {
	rm -rf "$T/queue" "$T/out"
	mail a@b.example "${@/%/@here.example}" | session | serve --mda="lmtp:|$SINK $T/out" --mda-pause=0s |
		sed -n '/^354/{n;p}'
	queued | wc -l
}

@test "each mixture of verdicts has its answer, and the queue only what it must" {
	check() { # WANTED-REPLY WANTED-IN-QUEUE RECIPIENT...
		local reply=$1 n=$2
		shift 2
		verdict "$@" >"$T/verdict"
		head -n 1 "$T/verdict" | grep -q "^$reply"
		[ "$(tail -n 1 "$T/verdict")" -eq "$n" ]
	}
	check '250 2.0.0 Ok: delivered as' 0 alice bob
	check '550 5.1.1 <no@here.example>: No such user$' 0 no 554-5.7.1
	check '554 5.7.1 <554-5.7.1@here.example>: Verdict' 0 554-5.7.1 no
	check '452 4.2.2 <full@here.example>: Mailbox full$' 0 full 451-4.3.0
	# Nobody has it: the client keeps it for all, and who is refused for good is not told apart yet.
	check '452 4.2.2 <full@here.example>: Mailbox full$' 0 no full
	check '452 4.2.2 <full@here.example>: Mailbox full$' 0 full no
	check '250 2.0.0 Ok: queued as' 1 alice full
	grep -q '4.2.2' "$(queued)"
	check '250 2.0.0 Ok: queued as' 1 alice no
	grep -q '5.1.1' "$(queued)"
	# The MDA ends without an answer: before it has anything, after the first answer, after it has all.
	check '250 2.0.0 Ok: queued as' 1 alice die
	lacks 'delivered' "$(queued)"
	check '250 2.0.0 Ok: queued as' 1 alice cut no
	[ "$(grep -c 'delivered' "$(queued)")" -eq 1 ]
	check '250 2.0.0 Ok: queued as' 1 alice late
	lacks 'delivered' "$(queued)"
	check '250 2.0.0 Ok: queued as' 1 die no
}

@test "several recipients and no queue: nobody gets it, 451; a single one is served" {
	touch "$T/queue"
	out=$({
		mail a@b.example alice@here.example full@here.example
		mail a@b.example alice@here.example
	} | session | serve --mda="lmtp:|$SINK $T/out")
	[ "$(grep -c '^451 4.3.0 The message could not be queued' <<<"$out")" -eq 1 ]
	[ "$(grep -c '^250 2.0.0 Ok: delivered' <<<"$out")" -eq 1 ]
	[ "$(grep -c '> alice@here.example' "$T/out")" -eq 1 ]
}

@test "PRDR: each recipient has his own answer, and nothing is queued for it" {
	prdr() { session | sed 's/^MAIL.*/& PRDR/' | serve --aliases="$T/aliases" --mda="lmtp:|$SINK $T/out"; }
	out=$(mail a@b.example alice@here.example full@here.example no@here.example | prdr)
	grep -q '^250-PRDR$' <<<"$out"
	[ "$(sed -n '/^353 /,$p' <<<"$out" | sed 1d)" = "250 2.1.5 <alice@here.example> Ok
452 4.2.2 Mailbox full
550 5.1.1 No such user
250 2.0.0 Ok: taken for 1 of 3 recipients
221 2.0.0 mx.here.example closing connection" ]
	[ ! -e "$T/queue" ]
	# Both have it: the id is told at last.
	mail a@b.example alice@here.example bob@here.example | prdr | grep -A3 '^353 ' | tail -n 1 | grep -q '^250 2.0.0 Ok: delivered as '
	# One recipient, and a message for elsewhere: one answer.
	mail a@b.example full@here.example | prdr | grep -A1 '^354 ' | tail -n 1 | grep -q '^452 4.2.2 Mailbox full'
	mail a@b.example alice@here.example out@here.example | prdr | grep -A1 '^354 ' | tail -n 1 | grep -q '^250 2.0.0 Ok: queued as '
	lacks '^353' <<<"$(mail a@b.example alice@here.example bob@here.example | session | serve --mda="lmtp:|$SINK $T/out")"
	printf 'EHLO x\nMAIL FROM:<> PRDR\nQUIT\n' | serve | grep -q '^555 5.5.4 '
}

@test "PRDR and an alias that is served in part: only what is lacking is queued" {
	out=$(mail a@b.example half@here.example bob@here.example no@here.example | session | sed 's/^MAIL.*/& PRDR/' |
		serve --aliases="$T/aliases" --mda="lmtp:|$SINK $T/out")
	[ "$(grep -A3 '^353 ' <<<"$out" | cut -c 1-23 | sed 1d)" = "250 2.0.0 Ok: queued as
250 2.1.5 <bob@here.exa
550 5.1.1 No such user" ]
	[ "$(queued | wc -l)" -eq 1 ]
	[ "$(grep -c '^rcpt: ' "$(queued)")" -eq 1 ]
	grep -q '^rcpt: <full@here.example>' "$(queued)"
	[ "$(grep -c '> alice@here.example bob@here.example' "$T/out")" -eq 1 ]
}

@test "the queue as a client of PRDR: each recipient's own outcome is recorded" {
	listen --mda="lmtp:|$SINK $T/out"
	printf 'Subject: x\n\nhi\n' | "$RELAY" inject --queue="$T/q2" --hostname=us.example -f me@us.example \
		alice@here.example full@here.example no@here.example
	timeout 120 "$RELAY" run --once --queue="$T/q2" --hostname=us.example --smarthost="smtp://127.0.0.1:$port" \
		--trace="$T/trace" 2>"$T/runlog"
	grep '"line":"MAIL FROM' "$T/trace" | grep -q ' PRDR'
	grep 'to="alice@' "$T/runlog" | grep -q 'status=handed code=250'
	grep 'to="full@' "$T/runlog" | grep -q 'status=deferred code=452 dsn=4.2.2'
	grep 'to="no@' "$T/runlog" | grep -q 'status=failed code=550 dsn=5.1.1'
	[ -z "$(queued)" ]
}

@test "an MDA that takes longer than its budget: queued, and left alone for the pause" {
	hang() { # PAUSE
		rm -rf "$T/queue" "$T"/out*
		{
			mail a@b.example hang@here.example
			mail a@b.example alice@here.example
		} | session | serve --mda="lmtp:|$SINK $T/out" --mda-budget=1s --mda-pause="$1" >"$T/answers"
	}
	hang 1h
	[ "$(grep -c '^250 2.0.0 Ok: queued' "$T/answers")" -eq 2 ]
	[ "$(queued | wc -l)" -eq 2 ]
	lacks 'RCPT TO:<alice' "$T/out.commands"
	grep -q 'mda down' "$T/log"
}

@test "the budget is for all replies together, and those that came count" {
	out=$(mail a@b.example alice@here.example slow@here.example slow@b.here.example slow@here.example \
		hang@here.example | sed 's/b\.here/here/' | session |
		serve --mda="lmtp:|$SINK $T/out" --mda-timeout=60s --mda-budget=10s)
	grep -q '^250 2.0.0 Ok: queued' <<<"$out"
	lacks 'mda down' "$T/log"
	lacks 'rcpt: <hang.*delivered' "$(queued)"
}

@test "an MDA that is not there is asked once in a pause, and found again after it" {
	cat >"$T/mda" <<-E
		#!/bin/sh
		echo >>$T/starts
		[ -e $T/up ] && exec $SINK $T/out
	E
	chmod +x "$T/mda"
	for _ in 1 2 3; do mail a@b.example alice@here.example; done | session |
		serve --mda="lmtp:|$T/mda" --mda-pause=1h >"$T/answers"
	[ "$(grep -c '^250 2.0.0 Ok: queued' "$T/answers")" -eq 3 ]
	[ "$(wc -l <"$T/starts")" -eq 1 ]
	rm "$T/starts"
	for _ in 1 2 3; do mail a@b.example alice@here.example; done | session |
		serve --mda="lmtp:|$T/mda" --mda-pause=0s >"$T/answers"
	[ "$(wc -l <"$T/starts")" -eq 3 ]
	{
		echo 'EHLO client.example'
		mail a@b.example alice@here.example
		wait_for 60 grep -q 'mda down' "$T/log2"
		touch "$T/up"
		for _ in $(seq 60); do
			mail a@b.example bob@here.example
			sleep 1 # as long as --mda-pause
			if grep -q '^250 2.0.0 Ok: delivered' "$T/answers"; then break; fi
		done
		echo QUIT
	} | "$RELAY" serve --hostname=mx.here.example --domains=here.example --queue="$T/queue" \
		--mda="lmtp:|$T/mda" --mda-pause=1s 2>"$T/log2" >"$T/answers"
	grep -q '^250 2.0.0 Ok: queued' "$T/answers"
	grep -q '^250 2.0.0 Ok: delivered' "$T/answers"
	grep -q 'mda up again' "$T/log2"
}

@test "the queue finishes what serve began: the rest is delivered, the sender is told, nobody twice" {
	mail bob@here.example alice@here.example full@here.example no@here.example | session |
		serve --mda="lmtp:|$SINK $T/out" | grep -q 'queued as'
	# The same server, after full's mailbox was emptied.
	sed 's/\^full/^none/g; s/(full|no)/(no)/' "$SINK" >"$T/sink"
	chmod +x "$T/sink"
	for _ in 1 2; do
		timeout 120 "$RELAY" run --once --now --queue="$T/queue" --domains=here.example --mda="lmtp:|$T/sink $T/out" 2>>"$T/log"
	done
	tr -d '\r' <"$T/out" >"$T/text"
	[ "$(grep -c '^[0-9]* <bob@here.example> alice@here.example$' "$T/text")" -eq 1 ]
	[ "$(grep -c '^[0-9]* <bob@here.example> full@here.example$' "$T/text")" -eq 1 ]
	[ "$(grep -c '^[0-9]* <> bob@here.example$' "$T/text")" -eq 1 ]
	grep -A2 '^Final-Recipient: rfc822; no@here.example' "$T/text" | grep -q '^Status: 5.1.1'
	[ -z "$(queued)" ]
}

@test "remote recipients: everything is queued, the MDA is not asked" {
	out=$(mail a@b.example alice@here.example out@here.example | session |
		serve --users="$T/users" --aliases="$T/aliases" --mda="lmtp:|$SINK $T/out")
	grep -q '^250 2.0.0 Ok: queued as ' <<<"$out"
	[ ! -e "$T/out" ]
	file=$(queued)
	grep -q '^rcpt: <alice@here.example>' "$file"
	grep -q '^rcpt: <carol@far.example>' "$file"
	id=$(sed -n 's/.*queued as //p' <<<"$out")
	grep -q " id $id" "$file"
}

@test "a list with an owner travels with the owner as sender" {
	out=$(mail a@b.example news@here.example alice@here.example | session |
		serve --users="$T/users" --aliases="$T/aliases" --mda="lmtp:|$SINK $T/out")
	grep -q '^250 2.0.0 Ok: queued as ' <<<"$out"
	[ "$(queued | wc -l)" -eq 2 ]
	queued | xargs grep -l '^from: <owner-news@here.example>' | xargs grep -q '^rcpt: <bob@here.example>'
	queued | xargs grep -l '^from: <a@b.example>' | xargs grep -q '^rcpt: <alice@here.example>'
}

@test "the MDA dies within a message: queued; it is started again for the next" {
	out=$({
		mail a@b.example alice@here.example
		mail a@b.example die@here.example
		mail a@b.example bob@here.example
	} | session | serve --mda="lmtp:|$SINK $T/out")
	[ "$(grep -c '^250 2.0.0 Ok: delivered' <<<"$out")" -eq 2 ]
	[ "$(grep -c '^250 2.0.0 Ok: queued' <<<"$out")" -eq 1 ]
	[ "$(sed -n 's/^\([0-9]*\) <.*/\1/p' "$T/out" | sort -u | wc -l)" -eq 2 ]
	grep -q '^rcpt: <die@here.example>' "$(queued)"
}

@test "the MDA dies when it has the whole message: not sent again at once, its outcome is not known" {
	out=$({
		mail a@b.example alice@here.example
		mail a@b.example late@here.example
		mail a@b.example bob@here.example
	} | session | serve --mda="lmtp:|$SINK $T/out")
	[ "$(grep -c '^250 2.0.0 Ok: delivered' <<<"$out")" -eq 2 ]
	[ "$(grep -c '^250 2.0.0 Ok: queued' <<<"$out")" -eq 1 ]
	[ "$(grep -c 'late@here.example$' "$T/out")" -eq 1 ]
	grep -q '^rcpt: <late@here.example>' "$(queued)"
	# In the queue the same: the attempt is put off.
	timeout 120 "$RELAY" run --once --queue="$T/queue" --hostname=mx.here.example --domains=here.example \
		--mda="lmtp:|$SINK $T/out" 2>>"$T/log"
	[ "$(grep -c 'late@here.example$' "$T/out")" -eq 2 ]
	grep -q 'status=deferred' "$T/log"
}

@test "the MDA's conversation in the trace: one for all messages, with the MDA as its peer" {
	out=$({
		mail a@b.example alice@here.example
		mail a@b.example bob@here.example
	} | session | serve --trace="$T/trace" --mda="lmtp:|$SINK $T/out")
	grep '"line":"LHLO ' "$T/trace" >"$T/lhlo"
	[ "$(wc -l <"$T/lhlo")" -eq 1 ]
	grep -q '"peer":"lmtp:|lmtp-sink"' "$T/lhlo"
	conv=$(sed -n 's/.*"conv":"\([^"]*\)".*/\1/p' "$T/lhlo")
	[ "$(grep '"dir":">","line":"RCPT TO' "$T/trace" | grep -c "\"conv\":\"$conv\"")" -eq 2 ]
	grep '"line":"QUIT"' "$T/trace" | grep -q "\"conv\":\"$conv\""
	"$BIN/mailtrace" --text "$T/trace" >"$T/text"
	lacks 'No message' "$T/text"
}

@test "the MDA was killed while idle: the next message is delivered by a new one" {
	listen --mda="lmtp:|exec $SINK $T/out" --workers=1
	mail a@b.example alice@here.example | session | sed 's/$/\r/' | talk "$port" | grep -q 'delivered as'
	kill -9 "$(sed -n 's/^\([0-9]*\) <.*/\1/p' "$T/out")"
	mail a@b.example bob@here.example | session | sed 's/$/\r/' | talk "$port" | grep -q 'delivered as'
	[ "$(sed -n 's/^\([0-9]*\) <.*/\1/p' "$T/out" | sort -u | wc -l)" -eq 2 ]
	[ ! -e "$T/queue" ]
}

@test "no MDA there and no queue: 451, never a 250" {
	touch "$T/queue"
	out=$(mail a@b.example alice@here.example | session | serve --mda="lmtp:unix:$T/nothing")
	grep -q '^451 4.3.0 ' <<<"$out"
	lacks '^250 2.0.0' <<<"$out"
	out=$(mail a@b.example alice@here.example | session | serve)
	grep -q '^451 4.3.0 ' <<<"$out"
	lacks '^354' <<<"$out"
}

@test "an MDA on a UNIX socket and on a TCP port" {
	perl -MIO::Socket::UNIX -e 1 2>/dev/null || skip "needs perl"
	for kind in unix tcp; do
		perl -MIO::Socket::UNIX -MIO::Socket::INET -MSocket -e '
			my ($kind, $dir, $sink, $out) = @ARGV;
			my $l = $kind eq "unix" ? IO::Socket::UNIX->new(Local => "$dir/lmtp.sock", Listen => 5)
				: IO::Socket::INET->new(LocalAddr => "127.0.0.1:0", Listen => 5);
			open(my $f, ">", "$dir/where.tmp");
			print $f $kind eq "unix" ? "lmtp:unix:$dir/lmtp.sock" : "lmtp:127.0.0.1:" . $l->sockport;
			close $f;
			rename "$dir/where.tmp", "$dir/where.$kind";
			my $c = $l->accept;
			open(STDIN, "<&", $c);
			open(STDOUT, ">&", $c);
			exec $sink, $out;' $kind "$T" "$SINK" "$T/out.$kind" 3>&- &
		PIDS+=($!)
		wait_for 60 test -e "$T/where.$kind"
		mail a@b.example alice@here.example | session | serve --mda="$(cat "$T/where.$kind")" | grep -q 'delivered as'
		grep -q 'alice@here.example' "$T/out.$kind"
	done
}

@test "sizes, recipients, hops" {
	out=$({
		printf 'MAIL FROM:<a@b.example> SIZE=2000\n'
		printf 'MAIL FROM:<a@b.example>\nRCPT TO:<alice@here.example>\nRCPT TO:<bob@here.example>\nRCPT TO:<c@here.example>\nDATA\n'
		head -c 1200 /dev/zero | tr '\0' x
		printf '\n.\n'
	} | session | serve --max-size=1k --max-recipients=2 --mda="lmtp:|$SINK $T/out")
	[ "$(grep -c '^552 5.3.4 ' <<<"$out")" -eq 2 ]
	grep -q '^452 4.5.3 ' <<<"$out"
	out=$({
		printf 'MAIL FROM:<a@b.example>\nRCPT TO:<alice@here.example>\nDATA\n'
		for i in $(seq 100); do echo "Received: from $i"; done
		printf '\nx\n.\n'
	} | session | serve --mda="lmtp:|$SINK $T/out")
	grep -q '^554 5.4.6 ' <<<"$out"
	[ ! -e "$T/out" ]
}

@test "a large message spills, and arrives whole" {
	head -c 5000000 /dev/urandom | base64 >"$T/body"
	out=$({
		printf 'EHLO x\nMAIL FROM:<a@b.example>\nRCPT TO:<alice@here.example>\nDATA\nSubject: large\n\n'
		cat "$T/body"
		printf '.\nQUIT\n'
	} | serve --mda="lmtp:|$SINK $T/out")
	grep -q 'delivered as' <<<"$out"
	tr -d '\r' <"$T/out" | sed '1,/^$/d' | cmp - "$T/body"
}

@test "every end of data that some server takes for one: refused, closed, nothing queued" {
	listen
	while read -r seq; do
		out=$(printf 'EHLO x\nMAIL FROM:<a@b.example>\nRCPT TO:<alice@here.example>\nDATA\n%s\nQUIT\n' \
			"Subject: x\\r\\n\\r\\none${seq}MAIL FROM:<x@bank>\\r\\nRCPT TO:<v@here.example>\\r\\nDATA\\r\\nFrom: x@bank\\r\\n\\r\\ntwo\\r\\n." | step "$port")
		[ "$(grep -c '^550 5.6.0 ' <<<"$out")" -eq 1 ]
		[ "$(grep -c '^250 2.1.0 ' <<<"$out")" -eq 1 ]
		lacks '^221' <<<"$out"
	done <<'SEQ'
\n.\n
\n.\r
\r.\n
\r.\r
\n.\r\n
\r.\r\n
\r\n.\n
\r\n.\r
\r\n\0.\r\n
\r\n.\0\r\n
\r\n.\r\r\n
\r\r\n.\r\r\n
\r\n\r.\r\n
SEQ
	[ -z "$(queued)" ]
}

@test "who does not wait is refused, or tolerated on this host" {
	listen --early-input=refuse
	out=$(printf 'EHLO x\r\nMAIL FROM:<a@b>\r\nQUIT\r\n' | talk "$port")
	[ "$(grep -c '^554 5.5.0 ' <<<"$out")" -eq 1 ]
	lacks '^250' <<<"$out"
	printf 'EHLO x\nMAIL FROM:<a@b>\nQUIT\n' | step "$port" | grep -q '^221 '
	rm "$T/ready"
	listen
	printf 'EHLO x\r\nMAIL FROM:<a@b>\r\nQUIT\r\n' | talk "$port" | grep -q '^221 '
	# A bare LF ends no line on a socket.
	out=$(printf 'EHLO x\nMAIL FROM:<a@b>\r\nQUIT\r\n' | talk "$port")
	[ "$(grep -c '^500 5.5.2 ' <<<"$out")" -eq 1 ]
	lacks '^250 2.1.0' <<<"$out"
}

@test "STARTTLS and TLS from the start; what was sent before the handshake is not obeyed" {
	cert
	listen --listen=127.0.0.1:0,tls --tls-cert="$T/cert.pem" --tls-key="$T/key.pem" --mda="lmtp:|$SINK $T/out"
	tlsport=$(sed -n '2s/.*://p' "$T/ready" | tr -dc 0-9)
	[ -n "$tlsport" ]
	mail a@b.example alice@here.example | session |
		timeout 120 openssl s_client -starttls smtp -crlf -quiet -connect "127.0.0.1:$port" 2>/dev/null | grep -q 'delivered as'
	mail a@b.example bob@here.example | session |
		timeout 120 openssl s_client -crlf -quiet -connect "127.0.0.1:$tlsport" 2>/dev/null | grep -q 'delivered as'
	[ "$(grep -c 'with ESMTPS id' "$T/out")" -eq 2 ]
	[ "$(grep -c '(TLSv1.3 TLS_' "$T/out")" -eq 2 ]
	out=$(printf 'EHLO x\r\nSTARTTLS\r\nNOOP\r\nMAIL FROM:<a@b>\r\n' | talk "$port")
	grep -q '^554 5.5.0 ' <<<"$out"
	lacks -E '^220 2.0.0|^250 2' <<<"$out"
	out=$(printf 'STARTTLS\nEHLO x\nSTARTTLS now\nMAIL FROM:<a@b>\nSTARTTLS\nQUIT\n' | step "$port")
	[ "$(grep -c '^503 5.5.1 ' <<<"$out")" -eq 2 ]
	[ "$(grep -c '^501 5.5.4 ' <<<"$out")" -eq 1 ]
}

@test "submission: authentication is required, under TLS, and completes the message" {
	cert
	listen --role=msa --users="$T/users" --tls-cert="$T/cert.pem" --tls-key="$T/key.pem"
	out=$(printf 'EHLO x\nMAIL FROM:<alice@here.example>\nAUTH PLAIN AGFsaWNlQGhlcmUuZXhhbXBsZQBzZWNyZXQ=\nQUIT\n' | step "$port")
	lacks 'AUTH' <<<"$out"
	[ "$(grep -c '^530 5.7.0 ' <<<"$out")" -eq 2 ]
	tls() { timeout 120 openssl s_client -starttls smtp -crlf -quiet -connect "127.0.0.1:$port" 2>/dev/null | tr -d '\r'; }
	out=$(printf 'EHLO x\nMAIL FROM:<alice@here.example>\nAUTH PLAIN AGFsaWNlQGhlcmUuZXhhbXBsZQBodW50ZXIy\nMAIL FROM:<alice@here.example>\nQUIT\n' | tls)
	grep -q '^250-AUTH .*PLAIN' <<<"$out"
	[ "$(grep -c '^530 5.7.0 ' <<<"$out")" -eq 2 ]
	grep -q '^535 5.7.8 ' <<<"$out"
	grep -q 'auth failed client=127.0.0.1' "$T/log"
	lacks -r 'hunter2\|AGFsaWNlQGhlcmUuZXhhbXBsZQBodW50ZXIy' "$T/log"
	printf '%s\n' 'EHLO x' 'AUTH PLAIN AGFsaWNlQGhlcmUuZXhhbXBsZQBzZWNyZXQ=' 'MAIL FROM:<alice@here.example>' \
		'RCPT TO:<carol@far.example>' DATA 'To: carol@far.example' 'Bcc: secret@far.example,' ' other@far.example' '' hello . QUIT |
		tls | grep -q '^250 2.0.0 Ok: queued as '
	file=$(queued)
	grep -q '^Date: ' "$file"
	grep -q '^Message-ID: <.*@mx.here.example>' "$file"
	grep -q '^From: <alice@here.example>' "$file"
	grep -q 'with ESMTPSA id' "$file"
	lacks 'secret@\|other@' "$file"
}

@test "AUTH LOGIN, cancelled, malformed, unknown, repeated" {
	b64() { printf '%s' "$1" | base64; }
	out=$(printf '%s\n' 'EHLO x' 'AUTH LOGIN' '*' 'AUTH LOGIN' '!!' 'AUTH FOO' 'AUTH LOGIN' "$(b64 alice@here.example)" \
		"$(b64 secret)" 'AUTH LOGIN' 'MAIL FROM:<alice@here.example>' 'AUTH LOGIN' 'RCPT TO:<x@far.example>' QUIT |
		serve --role=msa --users="$T/users" --auth-without-tls --trace="$T/trace")
	grep -q '^501 5.7.0 ' <<<"$out"
	grep -q '^501 5.5.2 ' <<<"$out"
	grep -q '^504 5.5.4 ' <<<"$out"
	grep -q '^235 2.7.0 ' <<<"$out"
	[ "$(grep -c '^503 5.5.1 ' <<<"$out")" -eq 2 ]
	grep -q '^250 2.1.5 ' <<<"$out"
	lacks "$(b64 secret)" "$T/trace"
	out=$(printf '%s\n' 'EHLO x' 'AUTH PLAIN AGEAYg==' 'AUTH PLAIN AGEAYg==' 'AUTH PLAIN AGEAYg==' NOOP |
		serve --role=msa --users="$T/users" --auth-without-tls)
	[ "$(grep -c '^535 5.7.8 ' <<<"$out")" -eq 3 ]
	tail -n 1 <<<"$out" | grep -q '^421 4.7.0 '
}

@test "submission with own-sender: neither the envelope nor From may name somebody else" {
	login='AUTH PLAIN AGFsaWNlQGhlcmUuZXhhbXBsZQBzZWNyZXQ='
	send() {
		printf '%s\n' 'EHLO x' "$login" "MAIL FROM:<$1>" 'RCPT TO:<bob@here.example>' DATA "From: $2" '' x . QUIT |
			serve --role=msa --users="$T/users" --aliases="$T/aliases" --auth-without-tls --own-sender
	}
	send alice@here.example 'Alice <alice@here.example>' | grep -q 'queued as'
	send alice+x@here.example team@here.example | grep -q 'queued as'
	send '' postmaster@here.example | grep -q 'queued as'
	send bob@here.example alice@here.example | grep -q '^550 5.7.1 This address'
	send a@far.example alice@here.example | grep -q '^550 5.7.1 This address'
	for from in bob@here.example 'alice@here.example, bob@here.example' alice@far.example $'alice@here.example\nFrom: bob@here.example' \
		'undisclosed:;' ''; do
		send alice@here.example "$from" | grep -q '^550 5.7.1 The address in From'
	done
}

@test "a crypt(3) secret among the users: SCRAM is not offered, PLAIN is verified" {
	command -v openssl >/dev/null || skip "needs openssl"
	echo "alice@here.example:$(openssl passwd -6 secret)::::::" >"$T/crypted"
	auth='AUTH PLAIN AGFsaWNlQGhlcmUuZXhhbXBsZQBzZWNyZXQ='
	out=$(printf '%s\n' 'EHLO x' "$auth" QUIT | serve --role=msa --users="$T/crypted" --auth-without-tls)
	grep -q '^250-AUTH PLAIN LOGIN$' <<<"$out"
	grep -q '^235 2.7.0 ' <<<"$out"
	out=$(printf '%s\n' 'EHLO x' "$auth" QUIT | serve --role=msa --users="$T/users" --auth-without-tls)
	grep -q '^250-AUTH .*SCRAM-SHA-256' <<<"$out"
	grep -q '^235 2.7.0 ' <<<"$out"
}

@test "trusted networks may relay, others not" {
	listen --trust=127.0.0.0/8
	mail a@b.example x@far.example | session | sed 's/$/\r/' | talk "$port" | grep -q 'queued as'
	rm "$T/ready"
	listen --trust=192.0.2.0/24
	mail a@b.example x@far.example | session | sed 's/$/\r/' | talk "$port" | grep -q '^550 5.7.1 '
	rm "$T/ready"
	listen --relay-to=far.example
	mail a@b.example x@far.example | session | sed 's/$/\r/' | talk "$port" | grep -q 'queued as'
}

@test "SIGTERM ends a waiting conversation with 421" {
	listen --workers=1
	perl -MIO::Socket::INET -e '
		my $s = IO::Socket::INET->new(PeerAddr => "127.0.0.1:$ARGV[0]") or die;
		$s->autoflush(1);
		print scalar <$s>;
		open(my $f, ">", $ARGV[1]); close $f;
		print while <$s>;' "$port" "$T/greeted" >"$T/said" 3>&- &
	client=$!
	PIDS+=("$client")
	wait_for 60 test -e "$T/greeted"
	kill "${PIDS[0]}"
	wait "$client"
	grep -q '^421 4.3.2 ' "$T/said"
	wait "${PIDS[0]}"
}

@test "SIGHUP reads the tables again; bad ones change nothing" {
	echo here.example >"$T/domains"
	listen --domains="$T/domains"
	ask() { printf 'EHLO x\r\nMAIL FROM:<>\r\nRCPT TO:<u@new.example>\r\nQUIT\r\n' | talk "$port"; }
	ask | grep -q '^550 5.7.1 '
	echo new.example >>"$T/domains"
	kill -HUP "${PIDS[0]}"
	wait_for 60 eval "ask | grep -q '^250 2.1.5 '"
}

@test "a wrong command line or table is an error before the first client" {
	run "$RELAY" serve --mda=smtp:x </dev/null
	[ "$status" -eq 64 ]
	run "$RELAY" serve --listen=127.0.0.1:0,tls </dev/null
	[ "$status" -eq 64 ]
	run "$RELAY" serve --trust=nonsense </dev/null
	[ "$status" -eq 64 ]
	run "$RELAY" nosuch
	[ "$status" -eq 64 ]
	printf 'a: b\nb: "|cmd"\n' >"$T/bad"
	run "$RELAY" serve --aliases="$T/bad" </dev/null
	[ "$status" -eq 78 ]
	[[ $output == *"bad:2: commands are not allowed"* ]]
	printf '[mta-relay]\ndomains = here.example\nsmarthost = x\nnonsense = 1\n' >"$T/conf"
	run "$RELAY" serve --config="$T/conf" </dev/null
	[ "$status" -eq 78 ]
}

@test "the trace names what was decided and why" {
	mail a@b.example alice@here.example x@far.example | session | serve --mda="lmtp:|$SINK $T/out" --trace="$T/trace" >/dev/null
	for ev in conn.open smtp.mail smtp.rcpt accept conn.close; do grep -q "\"ev\":\"$ev\"" "$T/trace"; done
	grep '"ev":"smtp.rcpt"' "$T/trace" | grep -q '"result":"perm","code":550,"why":"<x@far.example>: '
	grep '"ev":"accept"' "$T/trace" | grep -q '"mid":"<1@test>"'
	lacks 'hello' "$T/trace"
}
