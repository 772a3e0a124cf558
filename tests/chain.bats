#!/usr/bin/env bats
# The whole chain, MUA to MUA, as quickstart runs it; and the same with processes killed at any moment.

load wait

setup() {
	TOP=$BATS_TEST_DIRNAME/..
	BIN=${BUILD:-$TOP/build}/bin
	command -v dnsmasq >/dev/null || skip "needs dnsmasq"
	CHAIN=$BATS_TEST_TMPDIR/chain
	mkdir -p "$CHAIN"
	CHAIN_RUN_OPTIONS=--retry-min=1s
	. "$TOP/share/quickstart/chain.sh"
}

teardown() {
	[ -d "${CHAIN-}" ] && chain_down
	return 0
}

one_in() { find "$1/new" "$1/cur" -type f; }

@test "a message travels MUA, MSA, MTA, MX, MTA, MDA, store, MAA, MRA, MUA and is equal at the end" {
	chain_up
	chain_send "$TOP/share/quickstart/message.eml"
	chain_wait 60 chain_has 1
	chain_fetch imap "$CHAIN/imap"
	chain_fetch pop3 "$CHAIN/pop3"
	chain_arrived "$TOP/share/quickstart/message.eml" "$(one_in "$CHAIN/imap")"
	chain_arrived "$TOP/share/quickstart/message.eml" "$(one_in "$CHAIN/pop3")"
	# Each hop has put its Received field there, the last one first.
	run grep -c '^Received:' "$(one_in "$CHAIN/imap")"
	[ "$output" -ge 3 ]
	"$BIN/mailtrace" --text "$CHAIN/trace.jsonl" >"$CHAIN/timeline"
	for program in mua-send mta-relay mda-deliver maa-serve mra-fetch; do
		grep -q "$program" "$CHAIN/timeline"
	done
	# The secret never gets into a trace or log.
	run grep -rlF "$CHAIN_SECRET" "$CHAIN/trace.jsonl" "$CHAIN/log"
	[ -z "$output" ]
	chain_wait 60 chain_drained
}

@test "the same message is not fetched twice" {
	chain_up
	chain_send "$TOP/share/quickstart/message.eml"
	chain_wait 60 chain_has 1
	chain_fetch imap "$CHAIN/imap"
	chain_fetch imap "$CHAIN/imap"
	[ "$(one_in "$CHAIN/imap" | wc -l)" -eq 1 ]
}

@test "a message of 20 MB arrives byte for byte" {
	chain_up
	{
		printf 'From: alice@sender.example\nTo: bob@recipient.example\nSubject: large\n\n'
		head -c 15000000 /dev/urandom | base64
	} >"$CHAIN/large.eml"
	chain_send "$CHAIN/large.eml"
	chain_wait 60 chain_has 1
	chain_fetch imap "$CHAIN/imap"
	chain_arrived "$CHAIN/large.eml" "$(one_in "$CHAIN/imap")"
}

@test "a wrong password sends and fetches nothing" {
	chain_up
	echo wrong >"$CHAIN/etc/secret"
	run chain_send "$TOP/share/quickstart/message.eml"
	[ "$status" -eq 77 ]
	run chain_fetch imap "$CHAIN/imap"
	[ "$status" -eq 77 ]
	run chain_fetch pop3 "$CHAIN/pop3"
	[ "$status" -eq 77 ]
	[ "$(chain_delivered)" -eq 0 ]
}

# Malformed messages: each arrives equal, or the first hop refuses it with a reason and nothing is left anywhere.
send_malformed() {
	refused=0 sent=0
	for message in "$@"; do
		before=$(chain_delivered)
		if chain_send "$message" 2>"$CHAIN/why"; then
			sent=$((sent + 1))
			chain_wait 60 chain_has $((before + 1)) || {
				echo "$message was accepted and did not arrive"
				return 1
			}
			newest=$(find "$(chain_box)/new" -type f -newer "$CHAIN/mark" | head -n 1)
			chain_arrived "$message" "$newest" || {
				echo "$message did not arrive equal"
				return 1
			}
			rm -f "$newest"
		else
			refused=$((refused + 1))
			[ -s "$CHAIN/why" ] || {
				echo "$message was refused without a reason"
				return 1
			}
			if ! chain_drained || [ "$(chain_delivered)" -ne "$before" ]; then
				echo "$message was refused, but something of it is left"
				return 1
			fi
		fi
	done
	echo "$sent arrived equal, $refused were refused"
}

@test "malformed messages arrive equal or are refused by the first hop with a reason" {
	chain_up
	touch "$CHAIN/mark"
	mkdir "$CHAIN/bad"
	cd "$CHAIN/bad"
	printf 'no header at all, just text\n' >bad1
	printf '\nempty header\n' >bad2
	printf 'From: a@b\nSubject: no end of header' >bad3
	printf 'From: a@b\nthis line is no field\nTo: c@d\n\nbody\n' >bad4
	printf 'From: a@b\nContent-Type: multipart/mixed; boundary="x"\n\n--x\nnever closed\n' >bad5
	printf 'From: a@b\nSubject: \377\376 raw bytes\n\n\200\201\202\n' >bad6
	{ printf 'From: a@b\n\n' && head -c 5000 /dev/zero | tr '\0' x && echo; } >bad7
	printf 'From: a@b\n\nbare\rcarriage return\n' >bad8
	printf 'From: a@b\n\nnul \0 byte\n' >bad9
	printf ' starts with a continuation\nFrom: a@b\n\nbody\n' >bad10
	printf 'From: a@b\n\n.\n..\n.dot\n\n' >bad11
	printf '' >bad12
	printf 'From: a@b\r\n\r\nCRLF and LF\nmixed\r\n' >bad13
	printf 'From: a@b\nContent-Transfer-Encoding: base64\n\n!!!! not base64 ====\n' >bad14
	send_malformed ./*
}

@test "20 malformed messages of the public corpora arrive equal or are refused with a reason" {
	corpus=$TOP/../shared/corpus
	[ -d "$corpus" ] || skip "needs ../shared/corpus"
	chain_up
	touch "$CHAIN/mark"
	find "$corpus"/msg-* -type f -size -200k \( -iname '*malformed*' -o -iname '*broken*' -o -iname '*bad*' -o -iname '*invalid*' -o -iname '*missing*' \
		-o -iname '*truncated*' -o -iname '*corrupt*' \) \( -name '*.eml' -o -name '*.txt' -o -name '*.msg' \) | sort | head -n 20 >"$CHAIN/list"
	[ "$(wc -l <"$CHAIN/list")" -eq 20 ]
	while read -r message; do send_malformed "$message"; done <"$CHAIN/list"
}

# Every process of the chain, killed one after the other while messages are on their way. What was answered 250 must
# arrive. 20 points: each agent at several moments.
@test "kill -9 of any process at 20 points loses no message that was answered 250" {
	chain_up
	n=0
	for round in 1 2 3; do
		for agent in mta_in mta_out mta_out_run msa msa_run imap pop3; do
			n=$((n + 1))
			[ "$n" -le 21 ] || break
			{
				printf 'From: alice@sender.example\nTo: bob@recipient.example\nSubject: kill %s %s\nX-Number: %s\n\n' "$agent" "$round" "$n"
				head -c 200000 /dev/urandom | base64
			} >"$CHAIN/message.$n"
			(sleep "0.0$((round * 3))" && kill_tree "$agent") &
			killer=$!
			if chain_send "$CHAIN/message.$n" 2>>"$CHAIN/log/mua-send"; then
				echo "$n" >>"$CHAIN/accepted"
			fi
			wait "$killer" || true
			again "$agent"
		done
	done
	[ "$(wc -l <"$CHAIN/accepted")" -ge 5 ]
	chain_wait 120 all_accepted_arrived || {
		missing
		return 1
	}
	# None of them is a fragment.
	for message in $(one_in "$(chain_box)"); do
		number=$(sed -n 's/^X-Number: //p' "$message" | tr -d '\r')
		chain_arrived "$CHAIN/message.$number" "$message"
	done
	# No message stands there twice but where the final reply was lost.
	chain_fetch imap "$CHAIN/imap"
	[ "$(one_in "$CHAIN/imap" | wc -l)" -ge "$(wc -l <"$CHAIN/accepted")" ]
}

# An agent with its workers and children, all at once.
kill_tree() {
	top=$(cat "$CHAIN/run/$1.pid")
	{ echo "$top" && descendants "$top"; } >"$CHAIN/killed"
	xargs kill -9 <"$CHAIN/killed" 2>/dev/null || true
}
started() { # AGENT BEFORE
	case $1 in
	*_run) [ "$(grep -c 'start queue=' "$CHAIN/log/$1")" -gt "$2" ] ;;
	*) [ -s "$CHAIN/run/$1.ready" ] ;;
	esac
}
started_or_gone() { started "$@" || gone "$(cat "$CHAIN/run/$1.pid")"; }
# Starts who was killed again, at the same port. That may have been lent to somebody's connection for a moment, and the
# dead one's lock be his until all of him is gone.
again() { # AGENT
	local pid old before
	for pid in $(cat "$CHAIN/killed"); do wait_for 60 gone "$pid"; done
	old=$(cat "$CHAIN/run/$1.ready" 2>/dev/null || true)
	for _ in $(seq 100); do
		before=$(grep -c 'start queue=' "$CHAIN/log/$1" || true)
		[ -z "$old" ] || echo "$old" >"$CHAIN/run/$1.ready"
		chain_agent_"$1"
		wait_for 60 started_or_gone "$1" "$before"
		if started "$1" "$before"; then return 0; fi
		sleep 0.5 # until it is tried again
	done
	cat "$CHAIN/log/$1" >&2
	return 1
}
descendants() {
	for child in $(pgrep -P "$1"); do
		echo "$child"
		descendants "$child"
	done
}
arrived() { find "$(chain_box)/new" "$(chain_box)/cur" -type f -exec grep -lE "^X-Number: $1.?\$" {} + | grep -q .; }
all_accepted_arrived() {
	while read -r number; do
		arrived "$number" || return 1
	done <"$CHAIN/accepted"
}
missing() {
	while read -r number; do
		arrived "$number" || echo "message $number was accepted and is missing"
	done <"$CHAIN/accepted"
}
