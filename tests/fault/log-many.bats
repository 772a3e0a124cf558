#!/usr/bin/env bats
# Several processes share a commit log and one of them fails or is killed, with a lock in its hand, in the middle of the sync that
# all wait for, in a checkpoint: the others go on, and what they all promised holds.
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

# Three clients at once, eight messages each.
load_scenario() {
	local FAULT_ENV pids=() n pid
	chain_new
	fault_env
	start_mta env "${FAULT_ENV[@]}"
	for n in 1 2 3; do
		client $n 8 3>&- &
		pids+=($!)
	done
	for pid in "${pids[@]}"; do
		wait "$pid" || return 1
	done
	# shellcheck disable=SC2046
	kill -TERM $(node_pids) || true
	wait_for 60 stopped || {
		echo "# does not end" >&2
		return 1
	}
	wait "${MAIN[@]}"
	cat "$W"/told.* >"$W/told"
	goes_on || return 1
	# shellcheck disable=SC2046
	chain_check $(doubles_of_run)
}

# A worker that fails costs the conversations in its hand, nothing more.
goes_on() {
	local pid
	pid=$(fault_hit | cut -d ' ' -f 5)
	[[ " ${MAIN[*]} " != *" ${pid:-0} "* ]] || return 0
	[ "$(grep -c ' none$' "$W/told")" -le 8 ] || {
		echo "# it does not go on" >&2
		return 1
	}
}

# The calls by which processes get at the log, or at each other.
LOG_CALLS=futex,pwrite,fdatasync,syncfs,fsync,lock,rename,unlink,create,open,ftruncate,mmap

@test "an LMTP server's process fails" {
	FAULT_IN='mda-deliver'
	sink
	FAULT_BY_WAY=1 fault_matrix load_scenario $LOG_CALLS
}

@test "an SMTP server's or runner's process fails" {
	FAULT_IN='mta-relay'
	sink
	FAULT_BY_WAY=1 fault_matrix load_scenario $LOG_CALLS
}
