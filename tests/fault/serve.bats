#!/usr/bin/env bats
# mta-relay serve takes mail, delivers it by an MDA or queues it, and every system call of it or of the MDA fails or kills. Whatever
# a client was told holds: 250 means once for each recipient, no means not at all.

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
		m4:ann@here.example,carol@far.example m5:ann@here.example -- \
		env "${FAULT_ENV[@]}" "${SERVE[@]}" --mda="$MDA_COMMAND" 2>>"$BATS_TEST_TMPDIR/log"
	# shellcheck disable=SC2046
	chain_check $(doubles)
}

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
