#!/usr/bin/env bats
# mta-relay run, taken over by a next hop: what its worker tries fails, and the message is delivered.
# shellcheck disable=SC2154

bats_require_minimum_version 1.5.0
load lib.bash

setup() {
	breakout_setup
	"$BATS_TEST_DIRNAME/../lib/smtp-sink" --dir="$T" --port-file="$T/port" >/dev/null 2>&1 3>&- &
	PIDS+=($!)
	wait_for 60 test -s "$T/port"
	PORT=$(cat "$T/port")
	printf 'Subject: x\n\nbody\n' | "$BIN/mta-relay" inject --queue="$T/queue" --hostname=us.example -f a@us.example b@far.example
}

teardown() { breakout_teardown; }

run_queue() { # ATTEMPTS OPTION...
	local what=$1
	shift
	(preloaded connect "$what" timeout 120 "$BIN/mta-relay" run --once --queue="$T/queue" --hostname=us.example \
		--smarthost="smtp://127.0.0.1:$PORT" "$@" 2>>"$T/log")
}

left() { find "$T/queue" -path '*/msg/*' -type f | wc -l; }

@test "what a worker may not do fails, and it delivers" {
	landlock 4 || skip "no Landlock"
	run_queue 'passwd key write tmp fork netlink packet signal code'
	expect passwd=13 key=13 write=13 tmp=13 fork=38 netlink=97 packet=97 signal=38 code=38
	[ "$(left)" = 0 ]
}

@test "the same without confinement succeeds" {
	run_queue 'passwd key write tmp fork netlink signal code' --confine=off
	expect passwd=0 key=0 write=0 tmp=0 fork=0 netlink=0 signal=0 code=0
	[ "$(left)" = 0 ]
}

@test "a shell is deadly; the message stays, and goes another time" {
	preload=$(run_queue shell && echo fine || echo failed)
	expect shell=try
	grep -q 'worker pid=.* died' "$T/log"
	[ -n "$preload" ]
	"$BIN/mta-relay" run --once --now --queue="$T/queue" --hostname=us.example --smarthost="smtp://127.0.0.1:$PORT"
	[ "$(left)" = 0 ]
}

@test "commands for passwords and the MDA are run all the same" {
	cat >"$T/mda" <<-'E'
		#!/bin/sh
		printf '220 mda\r\n'
		while read -r line; do
			case $line in
			LHLO*) printf '250 mda\r\n' ;;
			DATA*) printf '354 go\r\n'; while read -r l && [ "$l" != ".$(printf '\r')" ]; do :; done
				echo kept >"$T/kept"; printf '250 kept\r\n' ;;
			QUIT*) printf '221 bye\r\n'; exit ;;
			*) printf '250 ok\r\n' ;;
			esac
		done
	E
	chmod +x "$T/mda"
	export T
	echo "b@far.example lmtp:|$T/mda" >"$T/routes"
	run_queue '' --routes="$T/routes"
	[ "$(left)" = 0 ]
	[ -s "$T/kept" ]
}
