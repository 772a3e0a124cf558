#!/usr/bin/env bats
# mta-relay serve --filter: a message through a command, and what its exit status means.
# shellcheck disable=SC2154,SC2016,SC2030,SC2031

load hooks

setup() { hooks_setup; }
teardown() { hooks_teardown; }

send() { body | mail a@b.example c@here.example | session | serve "$@"; }

@test "what the command writes is the message; it knows the envelope" {
	body | mail "a'b@b.example" c@here.example d@here.example | session | serve --filter='
		echo "X-Env: $SENDER|$(echo $RECIPIENTS)|$RECIPIENT_COUNT|$RECIPIENT|$CLIENT_ADDRESS|$CLIENT_HELO|$QUEUE_ID"
		sed s/hello/goodbye/' | grep 'queued as'
	id=$(basename "$(in_queue)")
	only | header_of | grep -Fqx "X-Env: a'b@b.example|c@here.example d@here.example|2||local|client.example|$id"
	[ "$(only | body_of)" = goodbye ]
	only | header_of | head -n 1 | grep -q '^Received:'
	[ "$(tr -cd '\r' <"$(in_queue)" | wc -c)" -eq 8 ]
}

@test "several are a pipe; what it refuses is refused with its words" {
	send --filter='sed "s/hello/one/"' --filter='sed "s/one/two/"' | grep 'queued as'
	[ "$(only | body_of)" = two ]
	rm -r "$T/queue"
	send --filter='echo "we do not like it" >&2; exit 65' | grep '^554 5.6.0 we do not like it$'
	send --filter='cat >/dev/null; exit 69' | grep '^554 5.7.1 The message was refused by a filter$'
	send --filter='echo 5.7.9 own code >&2; exit 77' | grep '^554 5.7.9 own code$'
	send --filter='echo 552 5.2.3 too much >&2; exit 65' | grep '^552 5.2.3 too much$'
	send --filter='exit 67' | grep '^550 5.1.1 No such user$'
	send --filter='exit 65' --filter="touch $T/asked; cat" | grep '^554'
	[ ! -e "$T/asked" ]
	send --filter='exit 99' | grep '^250 2.0.0 Ok: taken as'
	[ "$(queued)" -eq 0 ]
}

@test "whatever fails leaves the message with the client" {
	for command in 'exit 75' 'exit 1' 'exit 78' '/nonexistent' 'kill -9 $$' 'cat; exit 70' ':' 'cat >/dev/null' 'head -c 1 >/dev/null; exit 64'; do
		send --filter="$command" | grep '^451 4.3.0 The message could not be filtered$'
	done
	send --filter='sleep 50; cat' --filter-timeout=500ms | grep '^451 4.3.0'
	send --filter='yes' --max-size=10k | grep '^451 4.3.0'
	[ "$(queued)" -eq 0 ]
	[ "$(grep -c 'filter command=' "$T/log")" -eq 11 ]
}

@test "a large message, and one that the MDA gets" {
	{
		body
		head -c 3000000 /dev/zero | tr '\0' x | fold -w 70
		echo
	} >"$T/large"
	mail a@b.example c@here.example <"$T/large" | session | serve --filter='tr x y' | grep 'queued as'
	only | body_of | tr y x | sed '$d' | cmp - <(body_large)
}

body_large() { sed '1,/^$/d' "$T/large"; }

@test "no BINARYMIME where there is a filter" {
	printf 'EHLO x\nQUIT\n' | serve --filter=cat >"$T/out"
	grep -q CHUNKING "$T/out"
	grep -q BINARYMIME "$T/out" && return 1
	true
}

@test "a milter sees what the filter made" {
	/usr/bin/python3 -c 'import Milter' 2>/dev/null || skip "needs python3-milter"
	/usr/bin/python3 "$TOP/lib/test-milter" "$T/m" "$T/told" >/dev/null 2>&1 3>&- &
	PIDS+=($!)
	wait_for 60 listening "$T/m"
	send --filter='echo X-Filter: yes; cat' --milter="unix:$T/m" | grep 'queued as'
	told | grep -q '^header X-Filter: yes'
}
