#!/usr/bin/env bats
# Reports to the sender, read by a parser that is not ours.

load queue
bats_require_minimum_version 1.5.0

setup() {
	queue_setup
	command -v python3 >/dev/null || skip "needs python3"
}
teardown() { queue_teardown; }

reports() { grep -l '^X-From: <>' "$SINK"/0* 2>/dev/null || true; }
report() { "$TOP/report-parse" "$(reports | sed -n "${1:-1}p")"; }
has() { grep -qxE "$1" <<<"$output" || { echo "no '$1' in: $output"; return 1; }; }
hasnt() { run ! grep -qE "$1" <<<"$output"; }

@test "failure: the fields of RFC 3464, the header returned, one report for all" {
	sink --rule='RCPT:nobody@:550 5.1.1 no such user' --rule='RCPT:full@:552 5.2.2 full'
	message 'the subject' 'the body' |
		inject a@example.org --envid='id 1' nobody@example.net full@example.net b@example.net
	id=$(only_id)
	run_queue
	[ "$(reports | wc -l)" -eq 1 ]
	run -0 report
	has 'header From Mail Delivery System <MAILER-DAEMON@us.example>'
	has 'header To a@example.org'
	has 'header Auto-Submitted auto-replied'
	has 'header Subject Undelivered mail returned to sender'
	has 'part text/plain'
	has 'part message/delivery-status'
	has 'part text/rfc822-headers'
	has 'message Reporting-MTA dns; us.example'
	has 'message Original-Envelope-Id id 1'
	has "message X-Queue-Id $id"
	has 'message Arrival-Date .*'
	has 'recipient 1 Final-Recipient rfc822; nobody@example.net'
	has 'recipient 1 Action failed'
	has 'recipient 1 Status 5.1.1'
	has 'recipient 1 Remote-MTA dns; 127.0.0.1'
	has 'recipient 1 Diagnostic-Code smtp; 550 5.1.1 no such user'
	has 'recipient 1 Last-Attempt-Date .*'
	has 'recipient 2 Final-Recipient rfc822; full@example.net'
	has 'recipient 2 Status 5.2.2'
	has 'returned subject the subject'
	hasnt 'the body'
	hasnt 'b@example.net'
	[ "$(waiting)" -eq 0 ]
	# To nobody else, from nobody, and asking for no report of its own.
	grep -q '^X-Rcpt: <a@example.org>' "$(reports)"
}

@test "RET=FULL returns the whole message, unless that is large" {
	sink --rule='RCPT:nobody@:550 5.1.1 no such user'
	message small 'the body' | inject a@example.org --ret=FULL nobody@example.net
	run_queue
	run -0 report
	has 'part message/rfc822'
	has 'returned body the body'
	message large "$(head -c 3000 /dev/zero | tr '\0' x)" | inject a@example.org --ret=FULL nobody@example.net
	run_queue --return-max=2k
	run -0 report 2
	has 'part text/rfc822-headers'
	has 'returned subject large'
	hasnt xxxx
}

@test "NOTIFY: never; failure only; success when relayed; delay once and only when wanted" {
	sink --rule='RCPT:nobody@:550 5.1.1 no such user' --rule='RCPT:later@:451 4.3.0 come later'
	message | inject a@example.org --notify=NEVER nobody@example.net later@example.net b@example.net
	run_queue --warn-after=1ms
	[ "$(reports | wc -l)" -eq 0 ]
	message | inject a@example.org --notify=FAILURE later@example.net b@example.net
	run_queue --warn-after=1ms
	[ "$(reports | wc -l)" -eq 0 ]
	message | inject a@example.org --notify=SUCCESS nobody@example.net b@example.net
	run_queue
	[ "$(reports | wc -l)" -eq 1 ]
	run -0 report
	has 'header Subject Successful mail delivery report'
	has 'recipient 1 Final-Recipient rfc822; b@example.net'
	has 'recipient 1 Action relayed'
	has 'recipient 1 Status 2.0.0'
	hasnt nobody
	queue remove all
	message | inject a@example.org --notify=DELAY later@example.net nobody@example.net
	sleep 1.1 # longer than --warn-after
	run_queue --warn-after=1s
	run_queue --warn-after=1s --now
	[ "$(reports | wc -l)" -eq 2 ]
	run -0 report 2
	has 'recipient 1 Action delayed'
	has 'recipient 1 Status 4.3.0'
	has 'recipient 1 Will-Retry-Until .*'
	hasnt nobody
}

@test "success of a delivery agent is reported when asked for, with a sync for it before the file goes" {
	sink --lmtp
	message | inject a@example.org --notify=SUCCESS b@here.example
	PORT2=$PORT
	rm "$SINK/port"
	sink
	run_queue --domains=here.example --mda="lmtp:127.0.0.1:$PORT2"
	[ "$(waiting)" -eq 0 ]
	run -0 report
	has 'recipient 1 Action delivered'
}

@test "addresses that are not ASCII: the types of RFC 6533" {
	sink --ext=SMTPUTF8 --ext=8BITMIME --rule='RCPT:.cher@:550 5.1.1 no such user'
	printf 'Subject: Gr\303\274\303\237e\n\nx\n' | inject a@example.org 'bücher@example.net'
	run_queue
	run -0 report
	has 'part message/global-delivery-status'
	has 'part message/global-headers'
	has 'recipient 1 Final-Recipient utf-8; bücher@example.net'
}

@test "a report that can't be delivered goes to the postmaster, once, or is dropped" {
	sink --rule='RCPT:nobody@:550 5.1.1 no such user' --rule='RCPT:a@example.org:550 5.1.1 nor here'
	message | inject a@example.org nobody@example.net
	run_queue
	[ "$(waiting)" -eq 0 ]
	[ "$(kept)" -eq 0 ]
	[ "$(grep -c ' drop qid=.*a bounce that can' "$BATS_TEST_TMPDIR/log")" -eq 1 ]
	message | inject a@example.org nobody@example.net
	run_queue --postmaster=pm@us.example
	[ "$(waiting)" -eq 0 ]
	[ "$(kept)" -eq 1 ]
	run -0 report
	has 'header To pm@us.example'
	has 'header Subject Undeliverable report, for the postmaster'
	has 'recipient 1 Final-Recipient rfc822; a@example.org'
}
