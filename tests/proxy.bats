#!/usr/bin/env bats
# mta-relay serve --proxy-filter: the transaction goes to a content filter, and its verdict is the client's reply.
# shellcheck disable=SC2154,SC2030,SC2031

load hooks

setup() {
	hooks_setup
	mkdir "$T/sink"
}
teardown() { hooks_teardown; }

sink() {
	rm -f "$T/port"
	"$TOP/lib/smtp-sink" --dir="$T/sink" --port-file="$T/port" "$@" >/dev/null 2>&1 3>&- &
	PIDS+=($!)
	wait_for 60 test -s "$T/port"
	PORT=$(cat "$T/port")
}
kept() { find "$T/sink" -name '0*' -type f | wc -l; }

@test "what the filter takes is taken; it is told whom we speak for" {
	sink --ext=PIPELINING --ext=8BITMIME --ext='XFORWARD NAME ADDR PROTO HELO SOURCE IDENT' --rule='XFORWARD:.:250 2.0.0 ok'
	out=$({
		body | mail a@b.example c@here.example d@here.example
		body | mail '' e@here.example
	} | session | serve --proxy-filter="smtp:127.0.0.1:$PORT")
	[ "$(grep -c '^250 2.0.0 Ok: .*kept' <<<"$out")" -eq 2 ]
	[ "$(kept)" -eq 2 ]
	[ "$(queued)" -eq 0 ]
	[ "$(head -n 3 "$T/sink/0001")" = $'X-From: <a@b.example>\nX-Rcpt: <c@here.example>\nX-Rcpt: <d@here.example>' ]
	grep -q '^Received: from client.example' "$T/sink/0001"
	grep -q 'XFORWARD NAME=\[UNAVAILABLE\] ADDR=\[UNAVAILABLE\] PROTO=ESMTP HELO=client.example IDENT=[0-9A-Z]* SOURCE=LOCAL' "$T/sink/log"
	# One conversation for both.
	[ "$(grep -c ' open$' "$T/sink/log")" -eq 1 ]
	grep -q 'accept qid=.*how=filtered' "$T/log"
}

@test "what it refuses is refused: nobody is served by halves, nothing is queued" {
	sink --rule='RCPT:nobody@:550 5.1.1 no such user' --rule='RCPT:later@:450 4.2.1 not now' --rule='DOT:spam:554 5.7.1 spam'
	out=$({
		body | mail a@b.example c@here.example nobody@here.example
		body | mail a@b.example nobody@here.example later@here.example
		body | sed 's/hello/spam/' | mail a@b.example c@here.example
		body | mail a@b.example last@here.example
	} | session | serve --proxy-filter="smtp:127.0.0.1:$PORT")
	grep -q '^550 5.1.1 <nobody@here.example>: no such user$' <<<"$out"
	grep -q '^450 4.2.1 <later@here.example>: not now$' <<<"$out"
	grep -q '^554 5.7.1 spam$' <<<"$out"
	[ "$(kept)" -eq 1 ]
	[ "$(queued)" -eq 0 ]
}

@test "LMTP: each recipient has his answer, the client the worst" {
	sink --lmtp --rule='DOT:spam:550 5.7.1 spam'
	out=$({
		body | mail a@b.example c@here.example d@here.example
		body | sed 's/hello/spam/' | mail a@b.example c@here.example d@here.example
	} | session | serve --proxy-filter="lmtp:127.0.0.1:$PORT")
	[ "$(grep -c '^250 2.0.0 Ok: .*kept' <<<"$out")" -eq 1 ]
	grep -q '^550 5.7.1 <c@here.example>: spam$' <<<"$out"
	[ "$(kept)" -eq 1 ]
}

@test "a filter that is not there, dies or is too slow: the client keeps the message" {
	body | mail a@b.example c@here.example | session | serve --proxy-filter=smtp:127.0.0.1:1 |
		grep '^451 4.3.0 The content filter is not available now$'
	sink --rule='DOT:.:drop'
	body | mail a@b.example c@here.example | session | serve --proxy-filter="smtp:127.0.0.1:$PORT" | grep '^451 4.3.0'
	sink --greeting='421 4.3.2 busy'
	body | mail a@b.example c@here.example | session | serve --proxy-filter="smtp:127.0.0.1:$PORT" | grep '^451 4.3.0'
	perl -MIO::Socket::UNIX -e 'my $l = IO::Socket::UNIX->new(Local => $ARGV[0], Listen => 5); my $s = $l->accept; sleep 600' \
		"$T/mute" 3>&- &
	PIDS+=($!)
	wait_for 60 listening "$T/mute"
	body | mail a@b.example c@here.example | session | serve --proxy-filter="smtp:unix:$T/mute" --proxy-timeout=1s | grep '^451 4.3.0'
	[ "$(queued)" -eq 0 ]
}

@test "in front of our own listener; what a policy holds stays here" {
	"$RELAY" serve --listen="unix:$T/in" --ready-file="$T/ready" --hostname=inner.here.example --domains=here.example \
		--queue="$T/queue2" 2>>"$T/log2" 3>&- &
	PIDS+=($!)
	wait_for 60 test -s "$T/ready"
	printf 'RCPT hold@ HOLD look\n' >"$T/rules"
	"$TOP/lib/test-policyd" "$T/p" "$T/told" "$T/rules" 3>&- &
	PIDS+=($!)
	wait_for 60 listening "$T/p"
	out=$({
		body | mail a@b.example c@here.example
		body | mail a@b.example far@elsewhere.example c@here.example
		body | mail a@b.example hold@here.example
	} | session | serve --proxy-filter="smtp:unix:$T/in" --policy="unix:$T/p" --relay-to=elsewhere.example)
	[ "$(find "$T/queue2"/*/msg -type f | wc -l)" -eq 1 ]
	[ "$(grep -c '^Received: from' "$(find "$T/queue2"/*/msg -type f)")" -eq 2 ]
	grep -q '^550 5.7.1 <far@elsewhere.example>: relaying denied$' <<<"$out"
	only hold | grep -q '^rcpt: <hold@here.example>'
	[ "$(queued)" -eq 0 ]
}

@test "what is wrong with the option is told at the start" {
	for spec in "" smtp: smtp:host '|cat' 'lmtp:|cat' inet:host:1; do
		run timeout 120 "$RELAY" serve --proxy-filter="$spec" </dev/null
		[ "$status" -eq 64 ]
		[[ $output == *proxy-filter* ]]
	done
}
