#!/usr/bin/env bats
# A node under load goes down: everything is killed at once, what was never synced is lost, and everything starts again. With a
# commit log each message that a client was told 250 of is there.
# shellcheck disable=SC2034

load ../queue
load lib
load serve

setup() {
	chain_setup
	HOW=log
}
teardown() {
	power_off
	queue_teardown
}

yes() { cat "$W"/told.* 2>/dev/null | grep -c ' 250$'; }
enough() { [ "$(yes)" -ge "$1" ]; }

# Goes down after some promises more than $1. Then what was told must hold. 2: it was at a moment when the log held nothing.
down_and_up() {
	local seed=$RANDOM pids=() n lost
	chain_new
	start_mta || return 1
	for n in 1 2 3; do
		client $n 300 3>&- &
		pids+=($!)
	done
	wait_for 60 enough "$1" || return 1
	power_off
	wait "${pids[@]}" || return 1
	cat "$W"/told.* >"$W/told"
	lost=$("$TOP/fault/power-cut" $seed "$W/mail"/waypost-log/* "$Q"/*/waypost-log/*)
	echo "# seed $seed, promised $(yes), records and losses: $lost" >&2
	# It really was the log that held them.
	[ "${lost% *}" -gt 0 ] && [ "${lost#* }" -gt 0 ] || return 2
	# Who comes first replays; until then a queue may look empty.
	printf 'LHLO x\r\nQUIT\r\n' | ${MDA_COMMAND#*|} >/dev/null || return 1
	run_queue --now --domains=here.example --mda="$MDA_COMMAND" || return 1
	chain_check doubles
}

@test "power is cut under load, again and again" {
	sink
	for most in $((RANDOM % 40 + 5)) ${FAULT_ALL+$(shuf -i 5-200 -n 12)}; do
		for _ in {1..20}; do
			status=0
			down_and_up "$most" || status=$?
			[ $status -eq 2 ] || break
		done
		[ $status -eq 0 ] || {
			echo "# after $most" >&2
			return 1
		}
	done
}
