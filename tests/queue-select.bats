#!/usr/bin/env bats
# mta-relay queue: what is meant, what it does, what it prints; mailq and sendmail -q.

load queue
bats_require_minimum_version 1.5.0

setup() { queue_setup; }
teardown() { queue_teardown; }

# Four messages that wait; ONE to FOUR are their ids.
four() {
	message one | inject a@example.org b@example.net
	ONE=$(only_id)
	message two | inject a@example.org b@example.com c@sub.example.net
	message three | inject x@other.example C@EXAMPLE.NET
	message four | inject '' d@example.com
	read -r -d '' ONE TWO THREE FOUR < <(find "$Q"/*/msg -type f -printf '%f\n' | sort) || true
}
listed() { queue list "$@" | grep -cE '^[0-9A-Z]{16} ' || true; }
held() { find "$Q"/*/hold -type f | wc -l; }
# As if it had come ten hours ago.
age() {
	local file
	file=$(find "$Q" -name "$1")
	sed -i "s/^arrived: .*/arrived: $(($(date +%s) - 36000)).000000/" "$file"
}

@test "list by domain, sender, recipient and age, all of them together" {
	four
	[ "$(listed)" -eq 4 ]
	[ "$(listed --domain=example.net)" -eq 2 ]
	[ "$(listed --domain=.example.net)" -eq 1 ]
	[ "$(listed --domain=example)" -eq 0 ]
	[ "$(listed --sender=A@example.org)" -eq 2 ]
	[ "$(listed --sender=@other.example)" -eq 1 ]
	[ "$(listed --sender='<>')" -eq 1 ]
	[ "$(listed --sender=a@example.org --domain=example.com)" -eq 1 ]
	[ "$(listed --recipient=c@example.net)" -eq 1 ]
	age "$TWO"
	[ "$(listed --older-than=9h)" -eq 1 ]
	[ "$(listed --newer-than=9h)" -eq 3 ]
	[ "$(listed --older-than=9h --newer-than=11h)" -eq 1 ]
	run queue list --domain=nowhere.example
	[ "$output" = "No message matches." ]
}

@test "a settled recipient does not count" {
	sink --rule='RCPT:c@:451 4.3.0 come later'
	message | inject a@example.org b@example.com c@example.net
	run_queue
	[ "$(listed --domain=example.net)" -eq 1 ]
	[ "$(listed --domain=example.com)" -eq 0 ]
	[ "$(listed --recipient=b@example.com)" -eq 0 ]
}

@test "hold, release, remove by a condition say what they did" {
	four
	run -0 queue hold --domain=example.net
	[[ $output == *"$ONE: put on hold, from=\"a@example.org\" recipients=1"* && $output == *"2 messages put on hold" ]]
	[ "$(held)" -eq 2 ]
	[ "$(listed --held)" -eq 2 ]
	# What is on hold is passed over.
	run -0 queue hold --sender=a@example.org
	[[ $output == *"1 message put on hold" ]]
	run -0 queue release --sender=@example.org --domain=example.com
	[[ $output == *"$TWO: released"* && $output == *"1 message released" ]]
	run -0 queue remove --held
	[[ $output == *"2 messages removed" ]]
	[ "$(listed)" -eq 2 ]
	run -0 queue release all
	[[ $output == "0 messages released" ]]
	run -0 queue remove all
	[[ $output == *"2 messages removed" ]]
	[ "$(listed)" -eq 0 ]
}

@test "ids and conditions together; nothing is done without either" {
	four
	run -0 queue remove --domain=example.com "$ONE" "$FOUR"
	[ "$(listed)" -eq 3 ]
	[ "$(find "$Q" -name "$ONE" | wc -l)" -eq 1 ]
	run -64 queue remove
	run -64 queue show all
	run -64 queue show --domain=example.com
	run -64 queue frobnicate "$ONE"
	[ "$(listed)" -eq 3 ]
}

@test "what is being delivered is passed over, and said" {
	four
	flock --no-fork -s "$Q"/*/msg/"$THREE" sleep 600 3>&- &
	PIDS+=($!)
	locked() { run ! flock -n "$Q"/*/msg/"$THREE" true; }
	wait_for 60 locked
	run -75 queue remove all
	[[ $output == *"3 messages removed"* && $output == *"1 of those meant is being delivered"* ]]
	[ "$(listed)" -eq 1 ]
	run -75 queue hold "$THREE"
}

@test "retry by a condition makes due what waits" {
	PORT=1
	four
	run_queue
	[ "$(queue | grep -c '  next ')" -eq 4 ]
	run -0 queue retry --domain=example.net
	[[ $output == *"2 messages due now" ]]
	[ "$(queue | grep -c 'due now')" -eq 2 ]
	run -0 queue retry all
	[ "$(queue | grep -c 'due now')" -eq 4 ]
}

@test "JSON of list, show and summary" {
	command -v jq || skip "needs jq"
	sink --rule='RCPT::451 4.3.0 come later'
	four
	run_queue
	queue hold "$ONE"
	queue list --json >"$BATS_TEST_TMPDIR/json"
	[ "$(jq length "$BATS_TEST_TMPDIR/json")" -eq 4 ]
	[ "$(jq -r --arg id "$ONE" '.[] | select(.held) | .id == $id and .from == "a@example.org"' "$BATS_TEST_TMPDIR/json")" = true ]
	[ "$(jq -r '.[1].recipients[1] | "\(.address) \(.state) \(.attempts) \(.code) \(.status) \(.reason)"' "$BATS_TEST_TMPDIR/json")" = \
		"c@sub.example.net deferred 1 451 4.3.0 come later" ]
	[ "$(jq '.[0] | (.due > .arrived) and (.size > 10)' "$BATS_TEST_TMPDIR/json")" = true ]
	[ "$(queue list --json --domain=example.com | jq length)" -eq 2 ]
	[ "$(queue list --json --domain=nowhere.example | jq length)" -eq 0 ]
	[ "$(queue show --json "$TWO" | jq '.recipients | length')" -eq 2 ]
	[ "$(queue list --summary --json | jq -r '.[0] | "\(.domain) \(.recipients) \(.age["10m"])"')" = "example.com 2 2" ]
	[ "$(queue list --summary --json --sender=nobody@x | jq length)" -eq 0 ]
}

@test "a summary by domain and age" {
	four
	age "$TWO"
	run -0 queue list --summary
	[[ ${lines[0]} == *total*"<10m"*"<1h"*older* ]]
	[[ ${lines[1]} =~ ^TOTAL\ +5\ +3\ +0\ +0\ +2 ]]
	[[ ${lines[2]} =~ ^example.com\ +2\ +1\ +0\ +0\ +1 ]]
	[[ ${lines[3]} =~ ^example.net\ +2\ +2 ]]
	[[ ${lines[4]} =~ ^sub.example.net\ +1\ +0\ +0\ +0\ +1 ]]
	run -0 queue list --summary --domain=example.net
	[[ ${lines[1]} =~ ^TOTAL\ +2 ]]
}

as() { ln -sf "$(dirname "$RELAY")/mua-send" "$BATS_TEST_TMPDIR/$1"; }
conf() { printf '[mta-relay]\nqueue = %s\n' "$Q" >"$BATS_TEST_TMPDIR/conf"; }

@test "mailq looks as it always did" {
	as mailq
	conf
	run -0 "$BATS_TEST_TMPDIR/mailq" -C "$BATS_TEST_TMPDIR/conf"
	[ "$output" = "Mail queue is empty" ]
	sink --rule='RCPT::451 4.3.0 come later'
	four
	run_queue
	queue hold "$ONE"
	run -0 "$BATS_TEST_TMPDIR/mailq" -C "$BATS_TEST_TMPDIR/conf"
	[[ ${lines[0]} == "----Queue ID---- --Size-- ---Arrival Time---- -Sender/Recipient------" ]]
	[[ ${lines[1]} =~ ^$ONE!\ +[0-9]+\ [A-Z][a-z][a-z]\ [A-Z][a-z][a-z]\ [\ 0-9][0-9]\ [0-9:]{8}\ \ a@example.org$ ]]
	[[ ${lines[2]} == "  (host 127.0.0.1[127.0.0.1]:$PORT said: 451 4.3.0 come later)" ]]
	[[ ${lines[3]} =~ ^\ {20,}b@example.net$ ]]
	[[ $output == *"  MAILER-DAEMON"$'\n'* ]]
	# One reason for the two of the second.
	[ "$(grep -c 'come later' <<<"$output")" -eq 4 ]
	[[ ${lines[-1]} =~ ^--\ [0-9]+\ Kbytes\ in\ 4\ Requests\.$ ]]
	run -0 queue mailq --domain=example.net
	[[ ${lines[-1]} == *" in 2 Requests." ]]
}

@test "sendmail -qI, -qR and -qS make due what they select" {
	as sendmail
	conf
	PORT=1
	four
	sendmail() { "$BATS_TEST_TMPDIR/sendmail" -C "$BATS_TEST_TMPDIR/conf" "$@"; }
	due() { queue | grep -c 'due now'; }
	run_queue
	run -0 sendmail "-qI$ONE"
	[ "$(due)" -eq 1 ]
	run -0 sendmail -qRexample.com
	[ "$(due)" -eq 3 ]
	run_queue
	run -0 sendmail -qR@sub.example.net
	[ "$(due)" -eq 1 ]
	run -0 sendmail -qRd@example.com
	[ "$(due)" -eq 2 ]
	run -0 sendmail -qSother.example
	[ "$(due)" -eq 3 ]
	run -0 sendmail -qSa@example.org
	[ "$(due)" -eq 4 ]
	run -64 sendmail -qR
}

@test "what cannot be read or done is told with its name, and the others are done" {
	message | inject a@example.org one@x.example
	message | inject a@example.org two@x.example
	local ids first dir
	ids=$(queue list --json | jq -r '.[].id')
	first=${ids%%$'\n'*}
	dir=$(dirname "$(find "$Q"/*/msg -name "$first")")
	printf 'not a message' >"$dir/$first"
	queue list --json >"$BATS_TEST_TMPDIR/list" 2>"$BATS_TEST_TMPDIR/said"
	[ "$(jq length "$BATS_TEST_TMPDIR/list")" -eq 1 ]
	grep -q "$first" "$BATS_TEST_TMPDIR/said"
	run -65 queue hold all
	[[ $output == *"$first"*'1 message put on hold'* || $output == *'1 message put on hold'*"$first"* ]]
	run -65 queue release 000000000000000A "${ids##*$'\n'}"
	[[ $output == *'000000000000000A is not in the queue'* ]]
	[ -z "$(find "$Q"/*/hold -type f)" ]
	# run sets it aside, and it is not forgotten.
	sink
	run_queue
	run -0 queue list
	[[ $output == *'The queue is empty.'*'1 file that cannot be understood in '*/bad* ]]
}
