#!/usr/bin/env bats
# mta-relay serve, taken over: what its worker tries fails. The same is tried without confinement, where it succeeds:
# otherwise these tests would say nothing.
# shellcheck disable=SC2154

bats_require_minimum_version 1.5.0
load lib.bash

setup() {
	breakout_setup
	stranger
	echo 'alice@here.example:{PLAIN}secret::::::' >"$T/users"
}

teardown() { breakout_teardown; }

serve() { # ATTEMPTS OPTION...: a client comes, whom a worker with these intentions serves
	local what=$1
	shift
	preloaded accept "$what" "$BIN/mta-relay" serve --listen=127.0.0.1:0 --workers=1 --ready-file="$T/ready" \
		--hostname=mx.here.example --domains=here.example --users="$T/users" --queue="$T/queue" \
		"$@" 2>>"$T/log" &
	PIDS+=($!)
	SERVER=$!
	wait_for 60 test -s "$T/ready"
	port=$(sed -n 's/.*://p' "$T/ready" | head -n 1)
	exec 9<>"/dev/tcp/127.0.0.1/$port"
	printf 'QUIT\r\n' >&9
	timeout 120 cat <&9 >"$T/said" || true
	exec 9>&-
}

quiet='passwd key write tmp fork connect netlink packet signal code'

@test "what a worker may not do fails, and it serves on" {
	landlock 4 || skip "no Landlock"
	serve "$quiet"
	expect passwd=13 key=13 write=13 tmp=13 fork=38 connect=97 netlink=97 packet=97 signal=38 code=38
	grep -q '^221 ' "$T/said"
	[ ! -e "$T/outside/intruder" ]
}

@test "the same without confinement succeeds" {
	serve "$quiet" --confine=off
	expect passwd=0 key=0 write=0 tmp=0 fork=0 connect=0 netlink=0 signal=0 code=0
	[ "$(id -u)" != 0 ] || expect packet=0
}

@test "a shell, tracing and foreign memory are deadly, and the next worker serves on" {
	for what in shell ptrace peek; do
		rm -f "$T/ready" "$T/out"
		: >"$T/log"
		serve "$what"
		expect "$what=try"
		[ ! -s "$T/said" ]
		wait_for 60 grep -q 'worker pid=.* signal=31' "$T/log"
		kill -0 "$SERVER"
		kill "$SERVER"
	done
}

@test "foreign memory can be read without confinement" {
	[ "$(cat /proc/sys/kernel/yama/ptrace_scope 2>/dev/null || echo 0)" = 0 ] || skip "Yama forbids it already"
	serve peek --confine=off
	expect peek=0
	grep -q '^221 ' "$T/said"
}

@test "with an MDA by command no worker forks, and the command is run" {
	cat >"$T/mda" <<-'E'
		#!/bin/sh
		printf '220 mda\r\n'
		while read -r line; do
			case $line in
			LHLO*) printf '250 mda\r\n' ;;
			DATA*) printf '354 go\r\n'; while read -r l && [ "$l" != ".$(printf '\r')" ]; do :; done
				id -un >>"$T/mda-user"; printf '250 kept\r\n' ;;
			QUIT*) printf '221 bye\r\n'; exit ;;
			*) printf '250 ok\r\n' ;;
			esac
		done
	E
	chmod +x "$T/mda"
	export T
	preloaded accept "fork childshell" "$BIN/mta-relay" serve --listen=127.0.0.1:0 --workers=1 --ready-file="$T/ready" \
		--hostname=mx.here.example --domains=here.example --users="$T/users" --queue="$T/queue" \
		--mda="lmtp:|$T/mda" --confine-memory=200M 2>>"$T/log" &
	PIDS+=($!)
	wait_for 60 test -s "$T/ready"
	port=$(sed -n 's/.*://p' "$T/ready" | head -n 1)
	exec 9<>"/dev/tcp/127.0.0.1/$port"
	{
		read -r _
		printf 'HELO x\r\n' && read -r _
		printf 'MAIL FROM:<a@far.example>\r\n' && read -r _
		printf 'RCPT TO:<alice@here.example>\r\n' && read -r _
		printf 'DATA\r\n' && read -r _
		printf 'Subject: x\r\n\r\nbody\r\n.\r\n' && read -r answer
	} <&9 >&9
	exec 9>&-
	echo "$answer"
	[[ $answer == 250* ]]
	expect fork=38 childshell=38
	[ -s "$T/mda-user" ]
}

@test "--user: the worker is another user, the parent stays" {
	[ "$(id -u)" = 0 ] || skip "needs root"
	chmod 755 "$T" "$BATS_RUN_TMPDIR" "$BATS_FILE_TMPDIR" "$(dirname "$T")" 2>/dev/null || true
	chmod 644 "$T/users"
	serve "passwd root" --user=nobody
	expect root=38
	grep -q '^221 ' "$T/said"
	[ "$(stat -c %U "$T/queue")" = nobody ]
	# Who served has ended, perhaps, and the next one is being made.
	confined() { pid=$(pgrep -P "$SERVER" -u nobody mta-relay | head -n 1) && grep -q '^Seccomp:.*2' "/proc/$pid/status"; }
	wait_for 60 confined
	grep -q '^CapEff:.*0000000000000000' "/proc/$pid/status"
	grep -q '^Seccomp:.*2' "/proc/$pid/status"
	grep -q '^NoNewPrivs:.*1' "/proc/$pid/status"
	grep -q '^NoNewPrivs:.*1' "/proc/$SERVER/status"
	[ "$(stat -c %U "/proc/$SERVER")" = root ]
	run ! "$BIN/mta-relay" serve --user=no-such-user --queue="$T/queue" --domains=here.example </dev/null
	[ "$status" -eq 78 ]
}

@test "the broker's death ends the server, which says so" {
	preloaded accept "" "$BIN/mta-relay" serve --listen=127.0.0.1:0 --workers=1 --ready-file="$T/ready" \
		--domains=here.example --queue="$T/queue" --mda="lmtp:|exec cat" 2>>"$T/log" &
	SERVER=$!
	PIDS+=($!)
	wait_for 60 test -s "$T/ready"
	named() { broker=$(pgrep -P "$SERVER" -x broker); }
	wait_for 60 named
	kill -KILL "$broker"
	wait_for 60 grep -q 'broker error="has ended"' "$T/log"
	wait "$SERVER"
}

# What a worker that was there before the files were replaced says, until the parent has found it out; then the next one.
replaced_start() { # OPTION...; WAY: of the port, ",tls"
	"$BIN/mta-relay" serve --listen="127.0.0.1:0${WAY-}" --workers=1 --ready-file="$T/ready" --hostname=mx.here.example \
		--domains=here.example --users="$T/users" --queue="$T/queue" "$@" 2>>"$T/log" 3>&- &
	PIDS+=($!)
	wait_for 60 test -s "$T/ready"
	port=$(sed -n 's/.*://; s/,.*//; p' "$T/ready" | head -n 1)
}

ask() { # LINE...: the last one's answer is left in $said
	local line
	said=''
	exec 9<>"/dev/tcp/127.0.0.1/$port"
	read -r -t 60 line <&9 || true
	for line in 'EHLO x' "$@"; do
		printf '%s\r\n' "$line" >&9
		while read -r -t 60 said <&9 && [[ $said == ???-* ]]; do :; done
	done
	exec 9>&-
}

rcpt() { ask 'MAIL FROM:<a@far.example>' "RCPT TO:<$1>"; }

# login USER PASSWORD [FILE TEXT]: the file is replaced between EHLO and AUTH, so that the worker is an old one.
login() {
	said=$(python3 - "$port" "$@" <<-'E'
		import base64, os, smtplib, ssl, sys, time
		port, user, password = sys.argv[1:4]
		context = ssl._create_unverified_context()
		with smtplib.SMTP_SSL("127.0.0.1", int(port), context=context, timeout=60) as s:
		    s.ehlo()
		    if len(sys.argv) > 4:
		        with open(sys.argv[4] + ".new", "w") as f:
		            f.write(sys.argv[5])
		        os.rename(sys.argv[4] + ".new", sys.argv[4])
		        time.sleep(0.2)  # so often at most it is looked at
		    secret = base64.b64encode(f"\0{user}\0{password}".encode()).decode()
		    code, text = s.docmd("AUTH", "PLAIN " + secret)
		    print(code, text.decode())
	E
	)
}

# becomes WANT TEMPORARY COMMAND...: what it is answered is TEMPORARY until it is WANT, and never anything else.
becomes() {
	local want=$1 temporary=$2
	shift 2
	for _ in $(seq 600); do
		"$@"
		[[ $said != "$want"* ]] || return 0
		[[ $said == "$temporary"* ]] || {
			echo "$said"
			return 1
		}
		sleep 0.1 # until it is asked again
	done
	return 1
}

replace() { # FILE, the new one on stdin
	cat >"$1.new"
	mv "$1.new" "$1"
	sleep 0.2 # so often at most it is looked at
}

@test "a user in a users file that was replaced is not unknown" {
	landlock 4 || skip "no Landlock"
	replaced_start
	rcpt new@here.example
	[[ $said == '550 5.1.1'* ]]
	printf '%s\n' alice@here.example new@here.example | replace "$T/users"
	becomes 250 '451 4.3.0' rcpt new@here.example
	rcpt nobody@here.example
	[[ $said == '550 5.1.1'* ]]
}

@test "who is in a users file that was replaced, or has a new password there, is not refused for good" {
	landlock 4 || skip "no Landlock"
	openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 2 -subj /CN=localhost \
		-keyout "$T/key" -out "$T/cert" 2>/dev/null
	WAY=,tls replaced_start --tls-cert="$T/cert" --tls-key="$T/key"
	login new@here.example secret
	[[ $said == '535 5.7.8'* ]]
	login new@here.example secret "$T/users" $'alice@here.example:{PLAIN}other\nnew@here.example:{PLAIN}secret\n'
	[[ $said == '454 4.7.0'* ]]
	becomes 235 '454 4.7.0' login new@here.example secret
	login alice@here.example third "$T/users" $'alice@here.example:{PLAIN}third\n'
	[[ $said == '454 4.7.0'* ]]
	becomes 235 '454 4.7.0' login alice@here.example third
	login new@here.example secret
	[[ $said == '535 5.7.8'* ]]
}

@test "aliases and tables that were replaced refuse nobody for good" {
	landlock 4 || skip "no Landlock"
	echo 'info: alice' >"$T/aliases"
	printf '%s\n' virt.example 'x@virt.example alice@here.example' >"$T/virtual"
	echo 'here.example' >"$T/domains"
	replaced_start --aliases="$T/aliases" --virtual="file:$T/virtual" --domains="file:$T/domains"
	rcpt more@here.example
	[[ $said == '550 5.1.1'* ]]
	sleep 1.1 # so often at most aliases are looked at
	echo 'more: alice' | replace "$T/aliases"
	sleep 1 # as above
	becomes 250 '451 4.3.0' rcpt more@here.example
	printf '%s\n' virt.example 'y@virt.example alice@here.example' | replace "$T/virtual"
	becomes 250 '451 4.3.0' rcpt y@virt.example
	rcpt alice@new.example
	[[ $said == '550 5.7.1'* ]]
	printf '%s\n' here.example new.example | replace "$T/domains"
	becomes '550 5.1.1' '451 4.3.0' rcpt alice@new.example
}

@test "nothing of this is in what is installed" {
	for program in "$BIN"/*; do
		if nm -a "$program" | grep -qi breakout; then
			echo "$program"
			return 1
		fi
		if grep -q BREAKOUT "$program"; then
			echo "$program"
			return 1
		fi
	done
}
