#!/usr/bin/env bats
# Next hops that are dead, slow or lying: each message ends delivered, queued or bounced as it should, nothing is lost,
# and it takes a bounded time.

load queue
bats_require_minimum_version 1.5.0

setup() {
	queue_setup
	perl -MIO::Socket::INET -MTime::HiRes -e1 || skip "needs perl"
	LIAR=$BATS_TEST_TMPDIR/liar
	mkdir -p "$LIAR"
}
teardown() { queue_teardown; }

# liars [--lmtp] <SCENARIOS: starts smtp-liar, a route to each from NAME.example, and puts a message to each in the
# queue. A line may end with "; STATE", which becomes a line "NAME STATE" of $LIAR/want, what the test wants to see.
liars() {
	cat >"$LIAR/script"
	sed -n 's/^\([a-z0-9-]*\) .*; \([a-z0-9-]*\)$/\1 \2/p' "$LIAR/script" | sort >"$LIAR/want"
	sed 's/ *; [a-z0-9-]*$//' "$LIAR/script" >"$LIAR/scenarios"
	"$TOP/lib/smtp-liar" --dir="$LIAR" "$@" "$LIAR/scenarios" >/dev/null 2>"$LIAR/err" 3>&- &
	PIDS+=($!)
	wait_for 60 test -s "$LIAR/ports"
	: >"$LIAR/routes"
	while read -r name port; do
		if [ "${1-}" = --lmtp ]; then
			echo "$name.example lmtp:127.0.0.1:$port" >>"$LIAR/routes"
		else
			echo "$name.example smtp://127.0.0.1:$port" >>"$LIAR/routes"
		fi
		printf 'Subject: %s\n\n.dot\n..dots\nend of %s\n' "$name" "$name" |
			inject "sender@sender.example" "user@$name.example"
	done <"$LIAR/ports"
	echo 'sender.example error:550 no reports here' >>"$LIAR/routes"
}

# What became of each: "NAME delivered|queued|bounced". A report can't be delivered, so it is dropped with a log line.
outcomes() {
	queue list --json >"$LIAR/left"
	while read -r name port; do
		if grep -q "user@$name.example" "$LIAR/left"; then
			echo "$name queued"
		elif ls "$LIAR/$name".[0-9]* >/dev/null 2>&1; then
			echo "$name delivered"
		elif grep -q "failed.*user@$name.example\|user@$name.example.*failed" "$BATS_TEST_TMPDIR/log"; then
			echo "$name bounced"
		else
			echo "$name lost"
		fi
	done <"$LIAR/ports" | sort
}
deliver() { # OPTION...
	timeout 120 "$RELAY" run --once --queue="$Q" --hostname=us.example --routes="$LIAR/routes" --concurrency=40 "$@" \
		2>>"$BATS_TEST_TMPDIR/log"
}
as_wanted() {
	outcomes >"$LIAR/got"
	diff "$LIAR/want" "$LIAR/got" || {
		cat "$BATS_TEST_TMPDIR/log"
		return 1
	}
	run ! grep -iE 'sanitizer|signal|abort|assert' "$BATS_TEST_TMPDIR/log"
}
# Each was delivered once, as it was sent.
whole() { # NAME...
	for name; do
		[ "$(ls "$LIAR/$name".[0-9]* | wc -l)" -eq 1 ] || return 1
		sed '1,/^Subject/d' "$LIAR/$name.1" >"$LIAR/content"
		printf '\r\n.dot\r\n..dots\r\nend of %s\r\n' "$name" | cmp - "$LIAR/content" || return 1
	done
}

hurry() { # [FACTOR] COMMAND...: its minutes are seconds
	local by=60
	if [[ $1 == [0-9]* ]]; then by=$1 && shift; fi
	HURRY=$BATS_TEST_TMPDIR/hurry.so
	[ -e "$HURRY" ] || "${CC:-cc}" -O1 -shared -fPIC -o "$HURRY" "$TOP/lib/hurry.c" -ldl || skip "needs a C compiler"
	WAYPOST_HURRY=$by LD_PRELOAD=$HURRY ASAN_OPTIONS=verify_asan_link_order=0 "$@"
}

@test "a next hop that goes away in the middle: the message is kept" {
	liars <<-'S'
		at-greet greet close ; queued
		at-ehlo ehlo close ; queued
		at-mail mail close ; queued
		at-rcpt rcpt close ; queued
		at-data data close ; queued
		after-354 data last 354 go on\r\n ; queued
		at-dot dot close ; queued
		in-dot dot last 250 2.0.0 Ok ; queued
		in-dot-lines dot last 250-2.0.0 Ok\r\n ; queued
		at-greet-421 greet last 421 4.3.2 not now\r\n ; queued
		at-mail-421 mail last 421 4.3.2 not now\r\n ; queued
		at-dot-421 dot last 421 4.3.2 not now\r\n ; queued
		at-quit quit close ; delivered
	S
	deliver
	as_wanted
	whole at-quit
}

@test "nobody listens: the message is kept" {
	liars <<-'S'
		nobody none none ; queued
	S
	sed -i 's/smtp:.*/smtp:\/\/127.0.0.1:1/' "$LIAR/routes"
	deliver
	as_wanted
	run queue
	[[ $output == *"onnection refused"* ]]
}

@test "replies that are none, or not to the question: never taken for a yes" {
	liars <<-'S'
		garbage-greet greet say hello there\r\n ; queued
		garbage-ehlo ehlo say yes?\r\n ; queued
		garbage-mail mail say \xff\xfe\0\0\r\n ; queued
		garbage-dot dot say Ok, queued as 12345\r\n ; queued
		code-999 dot say 999 9.9.9 what\r\n ; queued
		code-long dot say 2500 2.0.0 Ok\r\n ; queued
		code-short dot say 25 Ok\r\n ; queued
		code-354-to-mail mail say 354 2.1.0 go on\r\n ; queued
		code-250-to-data data say 250 2.0.0 Ok\r\n ; queued
		code-354-to-dot dot say 354 go on\r\n ; queued
		mixed-ehlo ehlo say 250-liar.example\r\n550 5.7.1 no\r\n ; queued
		mixed-dot dot say 250-2.0.0 first\r\n451 4.0.0 second\r\n ; queued
		mixed-dot-5 dot say 250-2.0.0 first\r\n550 5.0.0 second\r\n ; queued
		no-to-data data say 550 5.7.1 no data\r\n ; bounced
		no-after-354 data say 354 go on\r\n550 5.7.1 changed my mind\r\n ; bounced
		no-after-354 dot say 550 5.7.1 no\r\n
		no-to-dot dot say 550 5.7.1 no\r\n ; bounced
		later-to-dot dot say 451 4.7.1 later\r\n ; queued
	S
	deliver
	as_wanted
}

@test "replies that never end are cut off" {
	liars <<-'S'
		lines-greet greet endless 220-more\r\n ; queued
		lines-ehlo ehlo endless 250-MORE\r\n ; queued
		lines-dot dot endless 250-2.0.0 more\r\n ; queued
		long-greet greet endless 220 aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa ; queued
		long-ehlo ehlo endless 250-AUTH PLAINPLAINPLAINPLAINPLAINPLAIN ; queued
		long-dot dot endless 250 aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa ; queued
		nul-mail mail endless \0\0\0\0\0\0\0\0\0\0 ; queued
	S
	hurry deliver
	as_wanted
	# Too many lines are left at once, a line without end when the reply's time is over; the liar would go on for longer.
	for log in "$LIAR"/*.log; do
		wait_for 60 grep -q '^took' "$log"
		[ "$(sed -n 's/^took //p' "$log")" -lt 150000000 ] || {
			grep -H took "$LIAR"/*.log
			return 1
		}
	done
}

@test "a slow next hop gets its message, once" {
	liars <<-'S'
		slow any slow 0.02 ; delivered
		multi ehlo say 250-liar.example\r\n250-8BITMIME\r\n250-X-UNKNOWN a b c\r\n250-SIZE\r\n250 PIPELINING\r\n ; delivered
		bare any slow 0.01 ; delivered
		bare ehlo say 250 liar.example\r\n
	S
	deliver
	as_wanted
	whole slow multi bare
}

@test "extensions that are offered and not kept: in the clear, or bounced, or kept, as it should be" {
	liars <<-'S'
		tls-refused ehlo say 250-liar.example\r\n250 STARTTLS\r\n ; delivered
		tls-garbage ehlo say 250-liar.example\r\n250 STARTTLS\r\n ; delivered
		tls-garbage starttls last 220 go\r\nhello this is no TLS at all\r\n
		tls-close ehlo say 250-liar.example\r\n250 STARTTLS\r\n ; delivered
		tls-close starttls last 220 go\r\n
		size-small ehlo say 250-liar.example\r\n250 SIZE 10\r\n ; bounced
		size-huge ehlo say 250-liar.example\r\n250 SIZE 99999999999999999999999999999999\r\n ; delivered
		size-text ehlo say 250-liar.example\r\n250 SIZE many\r\n ; delivered
		chunking ehlo say 250-liar.example\r\n250-CHUNKING\r\n250 BINARYMIME\r\n ; delivered
		auth ehlo say 250-liar.example\r\n250-AUTH PLAIN LOGIN XYZ\r\n250 AUTH=PLAIN\r\n ; delivered
		no-name ehlo say 250 \r\n ; delivered
		limits ehlo say 250-liar.example\r\n250-LIMITS RCPTMAX=0 MAILMAX=-1\r\n250 PIPELINING\r\n ; delivered
	S
	deliver
	as_wanted
	whole tls-refused tls-garbage tls-close size-huge size-text chunking auth no-name limits
}

@test "what a next hop says does not get into the log or the report as it is" {
	liars <<-'S'
		control dot say 550 5.7.1 \x1b[31mred\x07 \x08\xff\xfeend\r\n ; bounced
		lines dot say 550-5.7.1 first\r\n550-5.7.1 \r\n550 5.7.1 Final-Recipient: rfc822; other@example.org\r\n ; bounced
	S
	sink
	sed -i "s/^sender.example.*/sender.example smtp:\/\/127.0.0.1:$PORT/" "$LIAR/routes"
	deliver
	as_wanted
	[ "$(kept)" -eq 2 ]
	run ! grep -aP '[\x00-\x08\x0b\x0c\x0e-\x1f\x7f]' "$BATS_TEST_TMPDIR/log"
	for report in "$SINK"/0*; do
		tr -d '\r' <"$report" >"$LIAR/report"
		run ! grep -aP '[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\xff]' "$LIAR/report"
		[ "$(grep -c '^Final-Recipient:' "$LIAR/report")" -eq 1 ]
		grep -q '^Status: 5\.7\.1' "$LIAR/report"
	done
}

@test "a next hop that takes the connection and says nothing is left in time, and others are not kept waiting" {
	liars <<-'S'
		greet greet silent ; queued
		ehlo ehlo silent ; queued
		mail mail silent ; queued
		data data silent ; queued
		dot dot silent ; queued
		tls ehlo say 250-liar.example\r\n250 STARTTLS\r\n ; queued
		tls starttls silent
		tls-shake ehlo say 250-liar.example\r\n250 STARTTLS\r\n ; delivered
		tls-shake starttls say 220 go\r\n
		deaf mail deaf ; queued
		deaf rcpt deaf
		good any none ; delivered
		quit quit silent ; delivered
	S
	hurry 25 deliver &
	run=$!
	wait_for 60 test -e "$LIAR/good.1"
	wait $run
	as_wanted
	whole good quit tls-shake
}

@test "an LMTP agent that gives too few or too many replies: nobody's mail is lost" {
	liars --lmtp <<-'S'
		few dot close ; queued
		many dot say 250 2.0.0 Ok\r\n250 2.0.0 Ok\r\n250 2.0.0 Ok\r\n ; delivered
		refusing dot say 550 5.7.1 no\r\n ; bounced
		later dot say 452 4.2.2 full\r\n ; queued
		silent-lhlo ehlo last 250-liar.example\r\n ; queued
	S
	# A second one, that would be taken for delivered if the surplus replies to the first one counted for it.
	printf 'Subject: second\n\n.\n' | inject sender@sender.example user2@many.example
	deliver --destination-concurrency=1
	as_wanted
	[ "$(ls "$LIAR"/many.[0-9]* | wc -l)" -eq 2 ]
}

@test "a delivery agent that fails while the client waits: accepted is kept or queued, refused is neither" {
	liars --lmtp <<-'S'
		greet greet close ; 250-queued
		greet-no greet last 554 5.3.0 no\r\n ; 250-queued
		lhlo-no ehlo say 550 5.3.0 no\r\n ; 250-queued
		lhlo ehlo close ; 250-queued
		mail-later mail say 451 4.3.0 later\r\n ; 451-refused
		rcpt-no rcpt say 550 5.1.1 nobody\r\n ; 550-refused
		rcpt-later rcpt say 451 4.2.0 busy\r\n ; 451-refused
		data-close data close ; 250-queued
		after-354 data last 354 go on\r\n ; 250-queued
		dot-close dot close ; 250-queued
		dot-garbage dot say Ok\r\n ; 250-queued
		dot-mixed dot say 550-5.0.0 no\r\n250 2.0.0 Ok\r\n ; 250-queued
		dot-no dot say 550 5.7.1 no\r\n ; 550-refused
		dot-full dot say 452 4.2.2 full\r\n ; 452-refused
		silent-greet greet silent ; 250-queued
		silent-dot dot silent ; 250-queued
		good any none ; 250-kept
	S
	while read -r name port; do
		rm -rf "$Q"
		printf 'EHLO x\r\nMAIL FROM:<a@b.example>\r\nRCPT TO:<u@here.example>\r\nDATA\r\nSubject: x\r\n\r\nhello\r\n.\r\n' |
			timeout 120 "$RELAY" serve --role=mta --domains=here.example --hostname=us.example --queue="$Q" \
				--mda="lmtp:127.0.0.1:$port" --mda-timeout=10s >"$LIAR/replies" 2>>"$BATS_TEST_TMPDIR/log"
		code=$(tail -n 1 "$LIAR/replies" | cut -c1-3)
		kept=$(find "$LIAR" -name "$name.[0-9]*" | wc -l)
		case $(waiting),$kept in
		1,0) echo "$name $code-queued" ;;
		0,1) echo "$name $code-kept" ;;
		0,0) echo "$name $code-refused" ;;
		*) echo "$name $code-both" ;;
		esac
	done <"$LIAR/ports" | sort >"$LIAR/got"
	diff "$LIAR/want" "$LIAR/got"
}
