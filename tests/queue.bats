#!/usr/bin/env bats
# The queue from inject to the next hop.

load queue
bats_require_minimum_version 1.5.0

setup() { queue_setup; }
teardown() { queue_teardown; }

@test "a message goes in, is listed, goes out once and is gone" {
	sink
	message greeting | inject a@example.org b@example.net c@example.com
	run queue list
	[[ $output == *"<a@example.org>"* && $output == *"b@example.net  pending"* && $output == *"1 message, "* ]]
	run_queue
	[ "$(waiting)" -eq 0 ]
	[ "$(kept)" -eq 1 ]
	grep -q '^X-From: <a@example.org>' "$SINK/0001"
	[ "$(grep -c '^X-Rcpt: ' "$SINK/0001")" -eq 2 ]
	grep -q '^Received: by us.example (waypost, from uid' "$SINK/0001"
	run queue
	[ "$output" = "The queue is empty." ]
}

@test "dots, bare LF, CRLF and 8-bit bytes arrive as they were" {
	sink
	printf 'Subject: x\r\n\r\n.\n..\r\n\303\244\377\nend' | inject a@example.org b@example.net
	run_queue
	sed '1,/Subject/d' "$SINK/0001" | tail -n +2 >"$BATS_TEST_TMPDIR/got"
	printf '.\r\n..\r\n\303\244\377\r\nend\r\n' | cmp - "$BATS_TEST_TMPDIR/got"
}

@test "the queue file is text with the outcomes behind the content" {
	sink --rule='RCPT:later:451 4.3.0 come later'
	message | inject a@example.org later@example.net b@example.net
	run_queue
	file=$(find "$Q"/*/msg -type f)
	[ "$(head -n 1 "$file")" = "waypost-queue 1" ]
	grep -q '^rcpt: <later@example.net>$' "$file"
	grep -qE '^0 deferred [0-9]+ 451 4\.3\.0 127\.0\.0\.1\[127\.0\.0\.1\]:[0-9]+ come later ;$' "$file"
	grep -qE '^1 relayed [0-9]+ 250 2\.0\.0 .* ;$' "$file"
}

@test "a refused recipient bounces, the others are delivered, a deferred one waits" {
	sink --rule='RCPT:nobody@:550 5.1.1 no such user' --rule='RCPT:later@:451 4.3.0 come later'
	message one | inject a@example.org nobody@example.net b@example.net later@example.net
	run_queue
	[ "$(waiting)" -eq 1 ]
	[ "$(kept)" -eq 2 ]
	bounce=$(grep -l '^X-From: <>' "$SINK"/0*)
	grep -q '^X-Rcpt: <a@example.org>' "$bounce"
	grep -q 'Content-Type: multipart/report; report-type=delivery-status;' "$bounce"
	grep -q '^Final-Recipient: rfc822; nobody@example.net' "$bounce"
	grep -q '^Action: failed' "$bounce"
	grep -q '^Status: 5.1.1' "$bounce"
	grep -q '^Diagnostic-Code: smtp; 550 5.1.1 no such user' "$bounce"
	grep -q '^Auto-Submitted: auto-replied' "$bounce"
	sed '/message\/rfc822/,$d' "$bounce" >"$BATS_TEST_TMPDIR/before"
	run ! grep -q 'later@example.net' "$BATS_TEST_TMPDIR/before"
	run queue
	[[ $output == *"nobody@example.net  failed"* && $output == *"later@example.net  deferred: "*"come later"* ]]
	# The second pass tries only the deferred one, and bounces nothing twice.
	: >"$SINK/log"
	run_queue --now
	[ "$(grep -c 'RCPT' "$SINK/log")" -eq 1 ]
	[ "$(kept)" -eq 2 ]
}

@test "552 behind recipients that were taken is a limit of them (RFC 5321 4.5.3.1.10): the next transaction has the others" {
	sink --rule='RCPT:two@:552 too many recipients' --rule='RCPT:full@:552 5.2.2 mailbox full'
	message | inject a@example.org one@example.net two@example.net full@example.net
	run_queue
	[ "$(grep -c 'RCPT TO:<two@example.net>' "$SINK/log")" -eq 2 ]
	[ "$(grep -c 'RCPT TO:<one@example.net>' "$SINK/log")" -eq 1 ]
	[ "$(grep -c 'RCPT TO:<full@example.net>' "$SINK/log")" -eq 1 ]
}

@test "a bounce is never answered; the postmaster may have it" {
	sink --rule='RCPT:nobody@:550 5.1.1 no such user'
	message | inject '' nobody@example.net
	run_queue
	[ "$(waiting)" -eq 0 ]
	[ "$(kept)" -eq 0 ]
	grep -q 'drop qid=' "$BATS_TEST_TMPDIR/log"
	message | inject '' nobody@example.net
	run_queue --postmaster=pm@us.example
	[ "$(kept)" -eq 1 ]
	grep -q '^X-Rcpt: <pm@us.example>' "$SINK/0001"
	message | inject '' nobody@example.net
	run_queue --postmaster=nobody@example.net
	[ "$(waiting)" -eq 0 ]
	[ "$(kept)" -eq 1 ]
}

@test "NOTIFY, RET, ENVID and ORCPT are honoured" {
	sink --rule='RCPT:nobody@:550 5.1.1 no such user'
	message | inject a@example.org --notify=NEVER nobody@example.net
	run_queue
	[ "$(waiting)" -eq 0 ]
	[ "$(kept)" -eq 0 ]
	message x 'the body' | inject a@example.org --notify=SUCCESS,FAILURE --ret=HDRS --envid='my id' nobody@example.net b@example.net
	run_queue
	report=$(grep -l '^X-From: <>' "$SINK"/0*)
	grep -q '^Original-Envelope-Id: my id' "$report"
	[ "$(grep -c '^Action: failed' "$report")" -eq 1 ]
	[ "$(grep -c '^Action: relayed' "$report")" -eq 1 ]
	grep -q '^Content-Type: text/rfc822-headers' "$report"
	run ! grep -q 'the body' "$report"
}

@test "a next hop that knows DSN is told, and nothing is reported here" {
	sink --ext=DSN --ext=8BITMIME
	message | inject a@example.org --notify=SUCCESS --ret=FULL --envid=x b@example.net
	run_queue
	[ "$(kept)" -eq 1 ]
	grep -q '^X-From: <a@example.org>.* RET=FULL ENVID=x' "$SINK/0001"
	grep -q '^X-Rcpt: <b@example.net> NOTIFY=SUCCESS' "$SINK/0001"
}

@test "an unreachable next hop defers with back-off, and expires with a bounce" {
	PORT=1
	message | inject a@example.org b@example.net
	local began ended due
	began=$(date +%s)
	run_queue --retry-min=1m
	ended=$(date +%s)
	run queue list --json
	due=$(jq '.[0].due | floor' <<<"$output" 2>/dev/null || echo $((began + 60)))
	[ "$due" -ge $((began + 60)) ]
	[ "$due" -le $((ended + 75)) ]
	[[ $output == *'"state":"deferred"'* ]]
	sink
	: >"$SINK/log"
	run_queue
	[ "$(waiting)" -eq 1 ]
	run ! grep -q MAIL "$SINK/log"
	sleep 1.1 # longer than --expire
	printf 'RCPT:b@:451 4.3.0 no\n' >"$SINK/rules"
	run_queue --now --expire=1s
	[ "$(waiting)" -eq 0 ]
	grep -q '^Status: 5.4.7' "$SINK/0001"
	grep -q 'the last reason was' "$SINK/0001"
}

@test "a delay is told once, and does not end the message" {
	sink --rule='RCPT:later@:451 4.3.0 come later'
	message | inject a@example.org later@example.net
	sleep 1.1 # longer than --warn-after
	run_queue --warn-after=1s
	run_queue --warn-after=1s --now
	[ "$(waiting)" -eq 1 ]
	[ "$(kept)" -eq 1 ]
	grep -q '^Action: delayed' "$SINK/0001"
	grep -q '^Will-Retry-Until: ' "$SINK/0001"
	grep -q '^Status: 4.3.0' "$SINK/0001"
}

@test "who is named twice gets it once: domains in any case, local parts to the byte" {
	message | inject a@example.org b@x.example B@x.example b@X.Example b@x.example c@x.example
	[ "$(queue list --json | jq -c '[.[0].recipients[].address]')" = '["b@x.example","B@x.example","c@x.example"]' ]
	queue remove all
	printf '%s\r\n' 'EHLO x' 'MAIL FROM:<a@x.example>' 'RCPT TO:<b@x.example>' 'RCPT TO:<b@X.Example>' \
		'RCPT TO:<B@x.example>' DATA 'Subject: x' '' x . QUIT |
		"$RELAY" serve --stdin --queue="$Q" --hostname=us.example 2>/dev/null
	[ "$(queue list --json | jq '.[0].recipients | length')" -eq 2 ]
}

@test "hold, release, retry, remove" {
	sink
	message | inject a@example.org b@example.net
	id=$(only_id)
	queue hold "$id"
	run_queue
	[ "$(kept)" -eq 0 ]
	run queue
	[[ $output == *"on hold"* ]]
	queue release "$id"
	run_queue
	[ "$(kept)" -eq 1 ]
	message | inject a@example.org b@example.net
	id=$(only_id)
	queue remove "$id"
	[ "$(waiting)" -eq 0 ]
	run queue remove "$id"
	[ "$status" -eq 65 ]
	run queue hold ../../etc/passwd
	[ "$status" -eq 64 ]
}

@test "show tells envelope and content" {
	message 'a subject' | inject a@example.org b@example.net
	run queue show "$(only_id)"
	[ "$status" -eq 0 ]
	[[ $output == *"b@example.net  pending"* && $output == *"Subject: a subject"* ]]
}

@test "the running scheduler is woken by a new message, by retry and by release" {
	sink --rule='RCPT:later@:451 4.3.0 come later'
	"$RELAY" run --queue="$Q" --hostname=us.example --smarthost="smtp://127.0.0.1:$PORT" 2>"$BATS_TEST_TMPDIR/runlog" 3>&- &
	PIDS+=($!)
	runner=$!
	wait_for 60 grep -q 'start queue=' "$BATS_TEST_TMPDIR/runlog"
	message | inject a@example.org b@example.net
	wait_for 60 test -e "$SINK/0001"
	message | inject a@example.org later@example.net
	wait_for 60 grep -q 'status=deferred' "$BATS_TEST_TMPDIR/runlog"
	wait_for 60 eval 'queue | grep -q "  next "'
	: >"$SINK/log"
	queue retry all
	wait_for 60 grep -q 'RCPT' "$SINK/log"
	# A second one must not deliver as well.
	run "$RELAY" run --once --queue="$Q"
	[ "$status" -eq 75 ]
	[[ $output == *"another mta-relay run works on this queue"* ]]
	kill "$runner"
	wait "$runner"
}

@test "one connection carries the messages of one destination" {
	sink
	for i in 1 2 3 4 5; do message "$i" | inject a@example.org "b$i@example.net"; done
	run_queue --concurrency=1
	[ "$(kept)" -eq 5 ]
	[ "$(grep -c ' open$' "$SINK/log")" -eq 1 ]
}

@test "a kept connection that went away is opened again, and nothing is deferred" {
	sink --rule='DOT:first:250 2.0.0 kept not'
	message first | inject a@example.org b@example.net
	message second | inject a@example.org b@example.net
	printf 'MAIL:<gone@:drop\n' >"$SINK/rules"
	run_queue --concurrency=1
	[ "$(waiting)" -eq 0 ]
	[ "$(kept)" -eq 1 ]
}

# left_at VERB:REGEX EXT: a kept connection says 421 to that; a new one takes the message.
left_at() {
	sink --ext="$2" --rule='RCPT:<no@:550 5.1.1 no such user' --rule="KEPT-$1:421 4.3.2 leaving"
	message one | inject a@example.org b@example.net no@example.net c@example.net
	message two | inject a@example.org b@example.net no@example.net c@example.net
	run_queue --concurrency=1
	[ -e "$SINK/said-once" ]
	[ "$(grep -c ' open$' "$SINK/log")" -eq 2 ]
	[ "$(waiting)" -eq 0 ]
	# With their two reports.
	[ "$(kept)" -eq 4 ]
	[ "$(cat "$SINK"/0* | grep -c '^X-Rcpt: <c@example.net>')" -eq 2 ]
	# What was refused already is not asked for again.
	[ "$(grep -c 'RCPT TO:<no@' "$SINK/log")" -eq 2 ]
}
@test "421 on a kept connection is its leaving: MAIL" { left_at MAIL:. PIPELINING; }
@test "421 on a kept connection is its leaving: MAIL, without PIPELINING" { left_at MAIL:. 8BITMIME; }
@test "421 on a kept connection is its leaving: RCPT" { left_at 'RCPT:<c@' 8BITMIME; }
@test "421 on a kept connection is its leaving: DATA" { left_at DATA:. 8BITMIME; }
@test "421 on a kept connection is its leaving: the final dot" { left_at 'DOT:Subject. (one|two)' PIPELINING; }

@test "421 on a new connection defers" {
	sink --rule='MAIL:.:421 4.3.2 leaving'
	message | inject a@example.org b@example.net
	run_queue
	[ "$(grep -c ' open$' "$SINK/log")" -eq 1 ]
	run queue
	[[ $output == *"b@example.net  deferred: "*" said 421 4.3.2 leaving"* ]]
}

@test "routes: by domain, by parent, default, error with text" {
	sink
	cat >"$BATS_TEST_TMPDIR/routes" <<-ROUTES
		# comment
		exact.example    smtp://127.0.0.1:$PORT
		.below.example   smtp://127.0.0.1:$PORT
		closed.example   error:550 5.7.1 closed for good
		*                error:450 4.7.1 not now
	ROUTES
	message | inject a@exact.example b@exact.example c@x.below.example d@closed.example e@other.example
	run_queue --routes="$BATS_TEST_TMPDIR/routes"
	run queue
	[[ $output == *"b@exact.example  relayed"* && $output == *"c@x.below.example  relayed"* ]]
	[[ $output == *"d@closed.example  failed: 550 5.7.1 closed for good"* ]]
	[[ $output == *"e@other.example  deferred: 450 4.7.1 not now"* ]]
	printf 'x.example smtp://h\nbroken\n' >"$BATS_TEST_TMPDIR/routes"
	run "$RELAY" run --once --queue="$Q" --routes="$BATS_TEST_TMPDIR/routes"
	[ "$status" -eq 78 ]
	[[ $output == *"routes:2: "* ]]
}

@test "local mail goes to the MDA over LMTP, each recipient with its own answer" {
	sink --lmtp
	message | inject a@example.org b@here.example c@HERE.example
	run_queue --domains=here.example --mda="lmtp:127.0.0.1:$PORT"
	[ "$(waiting)" -eq 0 ]
	grep -q 'LHLO us.example' "$SINK/log"
	[ "$(grep -c '^X-Rcpt' "$SINK/0001")" -eq 2 ]
}

@test "a file that is no queue file is set aside, the others go on" {
	sink
	message | inject a@example.org b@example.net
	dir=$(dirname "$(find "$Q"/*/msg -type f)")
	echo nonsense >"$dir/0000000000000000"
	run_queue
	[ "$(waiting)" -eq 0 ]
	[ "$(kept)" -eq 1 ]
	[ -e "$dir/../bad/0000000000000000" ]
}

@test "what a writer left in tmp is swept when it is old and unlocked" {
	sink
	message | inject a@example.org b@example.net
	dir=$(dirname "$(find "$Q"/*/msg -type f)")
	touch -d '1 hour ago' "$dir/../tmp/0000000000000001"
	touch "$dir/../tmp/0000000000000002"
	run_queue
	[ ! -e "$dir/../tmp/0000000000000001" ]
	[ -e "$dir/../tmp/0000000000000002" ]
}

@test "a full disk keeps nothing that is there from going out" {
	unshare -Urm mount -t tmpfs none /mnt 2>/dev/null || skip "needs a user namespace"
	mkdir -p "$Q"
	sink
	# In a namespace of its own, where a small file system can be mounted.
	run -0 timeout 60 unshare -Urm sh -ec '
		mount -t tmpfs -o size=64k none "$2"
		printf "Subject: x\n\nx\n" | "$1" inject --queue="$2" --hostname=us.example -f "" b@x.example c@x.example
		dd if=/dev/zero of="$2/filler" bs=4k 2>/dev/null || :
		"$1" run --once --queue="$2" --hostname=us.example --smarthost="$3" --confine=off 2>&1
		[ -z "$(find "$2"/*/msg -type f)" ]
	' sh "$RELAY" "$Q" "smtp://127.0.0.1:$PORT"
	[ "$(kept)" -eq 1 ]
}

@test "an outcome line that a crash cut does not count" {
	sink
	message | inject a@example.org b@example.net c@example.net
	file=$(find "$Q"/*/msg -type f)
	printf '0 delivered 1795317902 250 2.0.0 mx OK ;\n1 delivered 1795317902 250 2.0.0 mx O' >>"$file"
	run_queue
	[ "$(waiting)" -eq 0 ]
	[ "$(grep -c '^X-Rcpt' "$SINK/0001")" -eq 1 ]
	grep -q '^X-Rcpt: <c@example.net>' "$SINK/0001"
}

@test "inject refuses what it can't take" {
	run inject a@example.org </dev/null
	[ "$status" -eq 64 ]
	run inject a@example.org b@example.net </dev/null
	[ "$status" -eq 65 ]
	message | { run inject a@example.org 'b@exa mple'; [ "$status" -eq 64 ]; }
	message | { run inject a@example.org --max-size=5 b@example.net; [ "$status" -eq 65 ]; }
	[ "$(find "$Q" -type f | wc -l)" -eq 0 ]
}

@test "explain says where and why" {
	printf 'team: b@here.example, x@there.example\n' >"$BATS_TEST_TMPDIR/aliases"
	run "$RELAY" explain --domains=here.example --mda=lmtp:unix:/run/mda --aliases="$BATS_TEST_TMPDIR/aliases" \
		--smarthost=smtp://hub.example team@here.example
	[ "$status" -eq 0 ]
	[[ $output == *"is taken from anybody"* && $output == *"an alias leads to x@there.example"* ]]
	[[ $output == *"b@here.example goes to lmtp:unix:/run/mda"* ]]
	[[ $output == *"x@there.example goes to smtp://hub.example"* && $output == *"smarthost"* ]]
}

@test "explain --json says the same as data" {
	command -v python3 >/dev/null || skip "needs python3"
	printf 'team: b@here.example, x@there.example\n' >"$BATS_TEST_TMPDIR/aliases"
	echo 'old@here.example team@here.example' >"$BATS_TEST_TMPDIR/canonical"
	"$RELAY" explain --json --domains=here.example --mda=lmtp:unix:/run/mda --aliases="$BATS_TEST_TMPDIR/aliases" --from=a@far.example \
		--canonical="$BATS_TEST_TMPDIR/canonical" --smarthost=smtp://me@127.0.0.1:2525 old@here.example u@far.example >"$BATS_TEST_TMPDIR/json"
	python3 - "$BATS_TEST_TMPDIR/json" <<-'P'
		import json, sys
		old, far = json.load(open(sys.argv[1]))["addresses"]
		assert old["address"] == "old@here.example" and old["written"] == "team@here.example" and old["from"] == "a@far.example"
		assert "stranger" not in old and old["standing"]
		local, away = old["targets"]
		assert local["address"] == "b@here.example" and local["local"] and local["original"] == "old@here.example"
		assert local["route"]["kind"] == "lmtp" and local["route"]["target"] == "lmtp:unix:/run/mda"
		assert away["route"]["kind"] == "smtp" and not away["local"]
		hop, = away["route"]["hops"]
		assert hop["user"] == "me" and hop["tls"] == "verify" and hop["calls"] == [{"host": "127.0.0.1", "address": "127.0.0.1", "port": 2525}]
		assert far["stranger"]["code"] == 550 and far["stranger"]["status"] == "5.7.1" and "trusted" not in far
		assert far["targets"][0]["route"]["why"]
	P
	message | "$RELAY" explain --json --message=- u@far.example --smarthost=smtp://127.0.0.1 | python3 -c 'import json, sys; o = json.load(sys.stdin); assert o["message"]["size"] == 23 and not o["message"]["eightbit"] and len(o["addresses"]) == 1'
	run "$RELAY" explain --json 'b@exa mple'
	[ "$status" -eq 64 ]
	[[ $output != *'{'* ]]
}

@test "8-bit content is re-encoded for a next hop without 8BITMIME, and nothing else is" {
	sink --ext=PIPELINING
	printf 'MIME-Version: 1.0\nContent-Type: text/plain; charset=utf-8\nContent-Transfer-Encoding: 8bit\n\nGr\303\274\303\237e\n' |
		inject a@example.org b@example.net
	message plain 'seven bits' | inject a@example.org c@example.net
	run_queue
	[ "$(waiting)" -eq 0 ]
	run cat "$SINK"/0*
	[[ $output == *'Content-Transfer-Encoding: base64'*R3LDvMOfZQ* ]]
	[[ $output != *$'\303'* ]]
	[[ $output == *'seven bits'* ]]
	[[ $output != *BODY=8BITMIME* ]]
}

@test "8-bit content that a signature covers is returned when the next hop has no 8BITMIME" {
	sink --ext=PIPELINING
	printf 'MIME-Version: 1.0\nContent-Type: multipart/signed; boundary=x; protocol="application/pgp-signature"\n\n--x\nContent-Type: text/plain; charset=utf-8\n\nGr\303\274\303\237e\n--x\nContent-Type: application/pgp-signature\n\nsig\n--x--\n' |
		inject a@example.org b@example.net
	run_queue
	run_queue
	run cat "$SINK"/0*
	[[ $output == *'X-From: <>'* ]]
	[[ $output == *'Status: 5.6.3'* ]]
}
