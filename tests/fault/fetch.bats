#!/usr/bin/env bats
# mra-fetch moves mail from a server into a Maildir, a command, an MDA, and every system call of it fails or kills. What must hold each
# time: nothing of a message is here that is not all of it; the next run gets the rest and leaves the server empty, and then each is here;
# what has come is not fetched again, unless nobody could note it.
# shellcheck disable=SC2034

load ../wait
load lib

setup() {
	fault_setup
	BIN=${BUILD:-$BATS_TEST_DIRNAME/../../build}/bin
	T=$BATS_TEST_TMPDIR
	PIDS=()
	export HOME=$T XDG_CONFIG_HOME=$T XDG_STATE_HOME=$T TMPDIR=$T
	unset WAYPOST_TRACE NETRC
	printf '%s:{PLAIN}sesame\n' bob bob@example.org >"$T/users"
	(umask 077 && echo 'machine localhost login bob password sesame' >"$T/netrc")
	mkdir "$T/originals"
	for n in 1 2 3 4; do
		{
			printf 'Subject: m%d\r\nMessage-ID: <%d@example.org>\r\n\r\n' $n $n
			seq -f "line %g of m$n" 1 $((n == 3 ? 20000 : 100)) | sed 's/$/\r/'
		} >"$T/originals/170000000$n.m$n"
	done
}
teardown() {
	local pid
	for pid in "${PIDS[@]}"; do
		kill "$pid" 2>/dev/null || true
		wait "$pid" 2>/dev/null || true
	done
}

# listening COMMAND...: a server, PORT is its port
listening() {
	"$@" --config=/dev/null --ready-file="$T/ready" 2>>"$T/log" 3>&- &
	PIDS+=($!)
	wait_for 60 test -s "$T/ready" || return 1
	PORT=$(sed 's/.*://;q' "$T/ready")
	rm "$T/ready"
}
server() {
	PROTOCOL=$1
	listening "$BIN/maa-serve" "--$1" --listen=127.0.0.1:0 --auth-without-tls --users="$T/users" --mail="maildir:$T/server"
	FETCH=("$BIN/mra-fetch" --config=/dev/null --starttls=never --allow-plaintext --auth=PLAIN --netrc="$T/netrc" --delete --state="$T/state/s"
		--rcpt=bob@example.org --timeout=20s --to="$TO" "$1://bob@localhost:$PORT")
}

# arrived LEAST MOST: is each message here so often, whole?
arrived() { "$BATS_TEST_DIRNAME/check-fetched" "$T/originals" "$T/got" "$@"; }
left() { compgen -G "$T/server/*/1*" >/dev/null; }

# Could it not be noted, or not be known, what had come?
unnoted() { grep -qE '^hit [0-9]+ (recv|send|poll|connect|wait) |^hit [0-9]+ [a-z]+ kill|^hit .*/state(/|$)' "$FAULT_SEEN"; }

fetch_scenario() {
	local status=0 most=1
	# Emptied, not made anew: idle workers of the LMTP server are confined to this directory.
	find "$T/got" -type f -delete 2>/dev/null || true
	rm -rf "$T/server" "$T/state"
	mkdir -p "$T/server"/{cur,new,tmp} "$T/got"/{cur,new,tmp} "$T/state"
	cp "$T"/originals/* "$T/server/new/"
	faulty timeout -s KILL 120 "${FETCH[@]}" >>"$T/log" 2>&1 || status=$?
	[ $status -ne 137 ] || grep -q '^hit.*kill' "$FAULT_SEEN" || {
		echo "# it hangs" >&2
		return 1
	}
	arrived 0 1 || return 1
	[ $status -ne 0 ] || ! left || {
		echo "# said that it was done" >&2
		return 1
	}
	"${FETCH[@]}" >>"$T/log" 2>&1 || "${FETCH[@]}" >>"$T/log" 2>&1 || {
		echo "# the next run fails" >&2
		return 1
	}
	if unnoted; then most=2; fi
	arrived 1 $most || return 1
	! left || {
		echo "# left on the server" >&2
		return 1
	}
}

@test "IMAP into a Maildir" { TO="maildir:$T/got"; FAULT_IN='bin/mra-fetch'; server imap; fault_matrix fetch_scenario; }
@test "POP3 into a Maildir" { TO="maildir:$T/got"; FAULT_IN='bin/mra-fetch'; server pop3; fault_matrix fetch_scenario; }
@test "IMAP into a command" {
	TO="|$BIN/mda-deliver --config=/dev/null -f a@example.org -d bob --mail=maildir:$T/got"
	FAULT_IN='bin/mra-fetch --config'
	server imap
	fault_matrix fetch_scenario
}
@test "POP3 to an LMTP server" {
	listening "$BIN/mda-deliver" --lmtp --listen="unix:$T/lmtp" --users="$T/users" --mail="maildir:$T/got"
	TO="lmtp:unix:$T/lmtp"
	FAULT_IN='bin/mra-fetch --config'
	server pop3
	fault_matrix fetch_scenario
}
