#!/usr/bin/env bats
# mailtrace over traces and messages made here, and over one that mxlookup writes.

bats_require_minimum_version 1.5.0

setup() {
	bin=${BUILD:-build}/bin
	cd "$BATS_TEST_TMPDIR" || return 1
	case $bin in /*) ;; *) bin=$BATS_TEST_DIRNAME/../$bin ;; esac
}

# event SECOND PROG ROLE PID CONV EV [MORE-JSON]
event() {
	printf '{"t":"2026-11-22T03:10:%sZ","prog":"%s","role":"%s","pid":%s,"conv":"%s","ev":"%s"%s}\n' \
		"$1" "$2" "$3" "$4" "$5" "$6" "${7:+,$7}"
}

# A message from a user through an MSA's queue to an MDA.
chain() {
	event 00.000100 mua-send mua 10 a compose '"mid":"<1@x>","why":"512 bytes"'
	event 00.001000 mua-send mua 10 a conn.open '"mid":"<1@x>","dir":">","peer":"127.0.0.1:587"'
	event 00.001300 mta-relay msa 20 b conn.open '"dir":"<","peer":"127.0.0.1:40312"'
	event 00.001400 mta-relay msa 20 b line '"dir":"<","line":"EHLO laptop","peer":"127.0.0.1:40312"'
	event 00.001500 mta-relay msa 20 b tls '"result":"ok","tls":"TLSv1.3 TLS_AES_256_GCM_SHA384"'
	event 00.001600 mta-relay msa 20 b auth '"result":"ok","why":"alice by PLAIN"'
	event 00.001700 mta-relay msa 20 b smtp.mail '"why":"<alice@x>: her own address"'
	event 00.001800 mta-relay msa 20 b smtp.rcpt '"result":"ok","code":250,"why":"<bob@y>: to be relayed"'
	event 00.012000 mta-relay msa 20 b accept '"mid":"<1@x>","qid":"Q1","result":"ok","code":250,"why":"on disk","rfc":"5321#4.2.5"'
	event 00.013000 mta-relay msa 20 b line '"dir":"<","line":"QUIT"'
	event 01.000000 mta-relay mta 21 c route '"qid":"Q1","result":"ok","why":"<bob@y>: local"'
	event 01.100000 mta-relay mta 21 c deliver '"qid":"Q1","result":"ok","code":250,"why":"<bob@y>: taken by LMTP"'
	event 01.050000 mda-deliver mda 30 d line '"dir":"<","line":"LHLO relay"'
	event 01.060000 mda-deliver mda 30 d store '"mid":"<1@x>","result":"ok","why":"<bob@y>: INBOX, new/1.x"'
}

# Nothing in $output makes a terminal do anything.
harmless() {
	! LC_ALL=C grep -q $'[\x01-\x08\x0b-\x1f\x7f]' <<<"$output" || false
}

@test "one story: joined by Message-ID, queue id and conversation, in order of time" {
	chain >t
	run --separate-stderr "$bin/mailtrace" --json t
	[ "$status" -eq 0 ]
	[ "$(jq '.messages | length' <<<"$output")" -eq 1 ]
	[ "$(jq -r '.messages[0].mid' <<<"$output")" = '<1@x>' ]
	[ "$(jq '.messages[0].events | length' <<<"$output")" -eq 14 ]
	[ "$(jq -c '[.messages[0].hops[] | [.prog, .role, .qid]]' <<<"$output")" = \
		'[["mua-send","mua",null],["mta-relay","msa, mta","Q1"],["mda-deliver","mda",null]]' ]
	[ "$(jq -r '[.messages[0].events[].t] == ([.messages[0].events[].t] | sort)' <<<"$output")" = true ]
	[ "$(jq -r '.messages[0].hops[1].conversations[0].protocol' <<<"$output")" = ESMTPSA ]
	[ "$(jq -r '.messages[0].hops[2].conversations[0].protocol' <<<"$output")" = LMTP ]
	[ "$(jq -r '.messages[0].recipients[0] | "\(.address) \(.ev) \(.result)"' <<<"$output")" = 'bob@y deliver ok' ]
	[ "$(jq -r '.messages[0].events[13] | keys_unsorted | join(" ")' <<<"$output")" = 'hop t prog role pid conv qid ev result code why' ]
}

@test "the timeline" {
	chain >t
	run --separate-stderr "$bin/mailtrace" t
	[ "$status" -eq 0 ]
	[ "${lines[0]}" = 'Message <1@x>' ]
	[ "${lines[1]}" = '  2026-11-22 03:10:00 UTC, 3 hops, 14 events in 1.099 s' ]
	[ "${lines[2]}" = '  <bob@y>: deliver ok: taken by LMTP' ]
	[[ $output == *'from 127.0.0.1:40312, ESMTPSA, TLSv1.3 TLS_AES_256_GCM_SHA384'* ]]
	[[ $output == *'       1.300 ms   2 mta-relay   line       < EHLO laptop'* ]]
	[[ $output == *'      11.900 ms   2 mta-relay   accept     250 on disk (RFC 5321 4.2.5)'* ]]
	[ -z "$stderr" ]
	run "$bin/mailtrace" --no-lines t
	[[ $output != *EHLO* ]]
	[[ $output == *'ESMTPSA'* ]]
}

@test "hops stand as the message went: the queue with its server, the MAA before who fetches from it" {
	{
		event 00.100 mta-relay msa 20 a conn.open '"dir":"<"'
		event 00.200 mta-relay msa 20 a smtp.mail '"why":"<a@x>: sender accepted"'
		event 00.300 mta-relay mta 21 q route '"qid":"Q1","mid":"<1@x>","why":"<bob@y>: to y"'
		event 00.310 mta-relay msa 20 a queue '"qid":"Q1","mid":"<1@x>","why":"on disk"'
		event 00.400 mta-relay mta 22 b deliver '"qid":"Q1","mid":"<1@x>","why":"<bob@y>: taken"'
		event 00.500 mra-fetch mra 40 c conn.open '"dir":">"'
		event 00.600 maa-serve maa 50 d conn.open '"dir":"<"'
		event 00.700 maa-serve maa 50 d fetch '"mid":"<1@x>","why":"handed out"'
		event 00.710 mra-fetch mra 40 c fetch '"mid":"<1@x>","why":"message 1"'
		event 09.000 mta-relay mta 22 b line '"dir":">","line":"QUIT"'
		event 00.050 mxlookup dns 60 e dns '"why":"y has 1 MX record"'
	} >t
	run "$bin/mailtrace" --json t
	[ "$(jq -c '[.messages[0].hops[] | [.hop, .prog, .role, .begin_ms, .ms]]' <<<"$output")" = \
		'[[1,"mta-relay","msa, mta",0,300],[2,"maa-serve","maa",500,100],[3,"mra-fetch","mra",400,210]]' ]
	[ "$(jq -c '[.messages[0].events[] | select(.prog == "mra-fetch") | .hop] | unique' <<<"$output")" = '[3]' ]
	[ "$(jq -c '[.messages[0].hops[0].conversations[].conv]' <<<"$output")" = '["a","q","b"]' ]
	# What is about no message comes last, though it was first.
	[ "$(jq -c '[.messages[] | .mid // .name]' <<<"$output")" = '["<1@x>","conversation e"]' ]
}

@test "several files and hosts, in any order, are one trace" {
	chain >t
	shuf t >shuffled
	split -n l/3 shuffled part
	run "$bin/mailtrace" --json part*
	[ "$(jq '.messages | length' <<<"$output")" -eq 1 ]
	[ "$(jq '.messages[0].events | length' <<<"$output")" -eq 14 ]
	cat part* | "$bin/mailtrace" --json >from-stdin
	run jq '.messages[0].events | length' from-stdin
	[ "$output" -eq 14 ]
}

@test "two messages in one conversation share its beginning and nothing else; --mid picks one" {
	{
		event 00.1 r mta 1 c conn.open '"dir":"<"'
		event 00.2 r mta 1 c smtp.mail '"why":"<a@x>: one"'
		event 00.3 r mta 1 c accept '"mid":"<1@x>"'
		event 00.4 r mta 1 c smtp.mail '"why":"<a@x>: two"'
		event 00.5 r mta 1 c smtp.rcpt '"why":"<b@x>: two"'
		event 00.6 r mta 1 c refuse '"mid":"<2@x>","result":"perm","code":554,"why":"no"'
		event 00.7 r mta 1 c smtp.mail '"why":"<a@x>: three, which never comes to a message"'
	} >t
	run "$bin/mailtrace" --json t
	[ "$(jq -c '[.messages[] | [.mid // "-", ([.events[].ev] | join(" "))]]' <<<"$output")" = \
		'[["<1@x>","conn.open smtp.mail accept"],["<2@x>","conn.open smtp.mail smtp.rcpt refuse"],["-","conn.open smtp.mail"]]' ]
	run "$bin/mailtrace" --mid=2@x t
	[ "$status" -eq 0 ]
	[ "${lines[0]}" = 'Message <2@x>' ]
	[[ $output == *'perm 554 no'* ]]
	[[ $output != *'<1@x>'* ]]
	run "$bin/mailtrace" --mid='<3@x>' t
	[ "$status" -eq 65 ]
}

@test "the client's MAIL line begins its message, with or without the event behind it" {
	{
		event 00.1 r mta 1 c conn.open '"dir":"<"'
		for i in 1 2; do
			event 00.${i}1 r mta 1 c line '"dir":"<","line":"MAIL FROM:<a@x>"'
			event 00.${i}2 r mta 1 c check '"result":"ok"'
			event 00.${i}3 r mta 1 c smtp.mail '"why":"<a@x>: ok"'
			event 00.${i}35 r mta 1 c line '"dir":">","line":"MAIL FROM:<a@x>"'
			event 00.${i}4 r mta 1 c accept '"mid":"<'$i'@x>"'
			event 00.${i}5 r mta 1 c line '"dir":">","line":"250 ok"'
		done
	} >t
	run "$bin/mailtrace" --json t
	[ "$(jq -c '[.messages[] | [.events[].ev] | join(" ")]' <<<"$output")" = \
		'["conn.open line check smtp.mail line accept line","conn.open line check smtp.mail line accept line"]' ]
}

@test "a queue id that stands for two messages joins neither" {
	{
		event 00.1 r mta 1 a accept '"mid":"<1@x>","qid":"Q"'
		event 00.2 s mta 2 b accept '"mid":"<2@x>","qid":"Q"'
		event 00.3 r mta 3 c deliver '"qid":"Q"'
	} >t
	run "$bin/mailtrace" --json t
	[ "$(jq -c '[.messages[] | .mid // .name]' <<<"$output")" = '["<1@x>","<2@x>","queue id Q"]' ]
}

@test "a message's Received fields: oldest first, delays, clocks that disagree, linked by queue id" {
	cat >m <<-'END'
		Received: from mx.y (mx.y [192.0.2.2])
		 by store.y (Dovecot) with LMTP id L1; Sun, 22 Nov 2026 03:10:07 +0000
		Received: from client.x (unknown [192.0.2.1])
		 (using TLSv1.3 with cipher TLS_AES_256_GCM_SHA384 (256/256 bits))
		 by mx.y (Postfix) with ESMTPS id Q9
		 for <bob@y>; Sun, 22 Nov 2026 04:10:09 +0100 (CET)
		Message-ID:
		 <9@x>
		Date: Sun, 22 Nov 2026 03:10:00 +0000

		Received: from body by body; Sun, 22 Nov 2026 03:10:09 +0000
	END
	event 05.0 mta-relay mta 1 a deliver '"qid":"Q9","result":"ok","why":"<bob@y>: taken"' >t
	run --separate-stderr "$bin/mailtrace" --width=200 m t
	[ "$status" -eq 0 ]
	[ "${lines[0]}" = 'Message <9@x>' ]
	[[ $output == *'deliver ok: taken'* ]]
	[[ $output == *'    1 2026-11-22 03:10:09 UTC from client.x [192.0.2.1] by mx.y (Postfix), ESMTPS, TLSv1.3 TLS_AES_256_GCM_SHA384, id Q9, for <bob@y>; 9s after the Date field'* ]]
	[[ $output == *'    2 2026-11-22 03:10:07 UTC from mx.y [192.0.2.2] by store.y (Dovecot), LMTP, id L1; the clock is 2.000 s behind the hop before'* ]]
	[[ $output != *body* ]]
	run "$bin/mailtrace" --json m
	[ "$(jq -c '[.messages[0].files[0].received[].delay]' <<<"$output")" = '[9,-2]' ]
}

@test "lines that are no events are counted, the others shown" {
	{
		event 00.1 r mta 1 c conn.open
		echo nonsense
		echo '{"t":"yesterday","ev":"x"}'
		echo '{"ev":"x"}'
		echo '{"t":"2026-11-22T03:10:00Z"'
		echo
		event 00.2 r mta 1 c conn.close '"surprise":{"password":"OPENSESAME"}'
	} >t
	run --separate-stderr "$bin/mailtrace" --json t
	[ "$status" -eq 0 ]
	[[ $stderr == *'t: 4 of its lines'* ]]
	[ "$(jq .malformed <<<"$output")" -eq 4 ]
	[ "$(jq '.messages[0].events | length' <<<"$output")" -eq 2 ]
	[[ $output != *OPENSESAME* ]]
}

@test "control characters never come out, and 80 columns hold" {
	event 00.1 r mta 1 c line '"dir":"<","line":"a\u001b[2Jb\u009b31m\u202ec\u0007\u007f\u0000","peer":"\u001b]0;x\u0007","why":"'"$(printf 'word%.0s ' $(seq 60))$(printf 'x%.0s' $(seq 300))"'"' >t
	run "$bin/mailtrace" t
	[ "$status" -eq 0 ]
	[[ $output == *'a?[2Jb?31m?c???'* ]]
	harmless
	[ "$(awk '{ print length }' <<<"$output" | sort -n | tail -1)" -le 80 ]
	run "$bin/mailtrace" --json t
	harmless
	printf 'Message-ID: <\033[2J@x>\nReceived: \033[31m by x; now\n\n' >m
	run "$bin/mailtrace" m
	harmless
}

@test "statuses: nothing readable 65, a missing file 66 with the others shown, usage 64" {
	run "$bin/mailtrace" /dev/null
	[ "$status" -eq 65 ]
	echo 'no header at all' >plain
	run "$bin/mailtrace" plain
	[ "$status" -eq 65 ]
	event 00.1 r mta 1 c conn.open >t
	run "$bin/mailtrace" absent t
	[ "$status" -eq 66 ]
	[[ $output == *'conversation c'* ]]
	run "$bin/mailtrace" --text --json t
	[ "$status" -eq 64 ]
	run "$bin/mailtrace" --svg t
	[ "$status" -eq 64 ]
	run bash -c "'$bin/mailtrace' t >/dev/full"
	[ "$status" -eq 74 ]
}

@test "a trace that a program wrote" {
	[ -x "$bin/mxlookup" ] || skip "needs mxlookup"
	WAYPOST_TRACE=t "$bin/mxlookup" --server=127.0.0.1:1 '[192.0.2.1]'
	run "$bin/mailtrace" t
	[ "$status" -eq 0 ]
	[[ ${lines[0]} == 'No message: conversation '* ]]
	[[ $output == *'dns        an address literal names the host'* ]]
}

@test "a large trace takes no time that grows with its square" {
	perl -e 'for my $i (1 .. 40000) {
		printf qq({"t":"2026-11-22T03:%02d:%02d.%06dZ","prog":"r","role":"mta","pid":%d,"conv":"%d","mid":"<%d\@x>","ev":"accept"}\n),
			$i / 1000, $i % 60, $i, $i % 7, $i / 50, $i / 4 }' >t
	run timeout 120 "$bin/mailtrace" --no-lines --mid=77@x t
	[ "$status" -eq 0 ]
	[ "${lines[0]}" = 'Message <77@x>' ]
}
