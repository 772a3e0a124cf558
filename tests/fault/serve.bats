#!/usr/bin/env bats
# mta-relay serve takes mail, delivers it by an MDA or queues it, and every system call of it or of the MDA fails or kills. Whatever
# a client was told holds: 250 means once for each recipient, no means not at all.
# shellcheck disable=SC2034

load ../queue
load lib
load serve

setup() { chain_setup; }
teardown() { queue_teardown; }

# On stdin and stdout: the client starts it anew when it has died.
serve_scenario() {
	local FAULT_ENV
	chain_new
	fault_env
	"$TOP/fault/smtp-client" "$W/told" m1:bob@here.example m2:bob@here.example,ann@here.example m3:carol@far.example \
		m4:ann@here.example,carol@far.example m5:ann@here.example \
		m6:list@here.example,dave@far.example -- \
		env "${FAULT_ENV[@]}" "${SERVE[@]}" --mda="$MDA_COMMAND" 2>>"$BATS_TEST_TMPDIR/log"
	told_of_list
	# shellcheck disable=SC2046
	chain_check $(doubles)
}

# What was said of a list holds for who is on it.
told_of_list() { sed -i -E 's/^(m[0-9]+) list@here.example (.*)/\1 bob@here.example \2\n\1 carol@far.example \2/' "$W/told"; }

@test "serve fails, each file by itself" {
	FAULT_IN='mta-relay serve'
	sink
	fault_matrix serve_scenario
}

@test "serve fails, with a commit log" {
	FAULT_IN='mta-relay serve' HOW=log
	sink
	fault_matrix serve_scenario
}

@test "the MDA fails, each file by itself" {
	FAULT_IN='mda-deliver'
	sink
	fault_matrix serve_scenario
}

@test "the MDA fails, with a commit log" {
	FAULT_IN='mda-deliver' HOW=log
	sink
	fault_matrix serve_scenario
}

# One file for the list's owner, one for the sender.
two_files_scenario() {
	local FAULT_ENV
	chain_new
	fault_env
	"$TOP/fault/smtp-client" "$W/told" m1:list@here.example,dave@far.example -- \
		env "${FAULT_ENV[@]}" "${SERVE[@]}" 2>>"$BATS_TEST_TMPDIR/log"
	told_of_list
	# shellcheck disable=SC2046
	chain_check $(doubles)
}

@test "a message that becomes two in the queue is there as both or not at all" {
	FAULT_IN='mta-relay serve'
	sink
	fault_each EIO create,fsync,rename,link two_files_scenario
}
