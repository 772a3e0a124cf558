#!/usr/bin/env bats
# The Maildir++ store shared with Dovecot: what one writes the other reads, and UIDs, flags, keywords and subscriptions stay.

setup() {
	BIN=$(cd "${BUILD:-$BATS_TEST_DIRNAME/../build}/bin" && pwd)
	PATH=$PATH:/usr/sbin:/sbin
	command -v doveadm >/dev/null || skip "needs doveadm"
	[ -x "$BIN/maa-serve" ] || skip "needs maa-serve"
	unset WAYPOST_TRACE
	# Dovecot does not touch mail as root.
	T=$(mktemp -d "${TMPDIR:-/tmp}/waypost-store-XXXXXX")
	AS=()
	if [ "$(id -u)" -eq 0 ]; then
		AS=(setpriv --reuid=65534 --regid=65534 --clear-groups env "USER=nobody")
		chown 65534:65534 "$T"
	fi
	printf '%s\n' "mail_location = maildir:$T/m" "log_path = $T/log" 'ssl = no' 'first_valid_uid = 1' \
		'namespace inbox {' ' inbox = yes' ' separator = /' '}' >"$T/dovecot.conf"
	chmod 755 "$T"
	chmod 644 "$T/dovecot.conf"
	cd "$T" || return 1
}

teardown() { [ -z "${T-}" ] || rm -rf "$T"; }

as() { HOME=$T "${AS[@]}" "$@"; }
dove() { as doveadm -c "$T/dovecot.conf" "$@"; }
# One line for each message: "mailbox uid flags size size-with-CRLF"
dove_list() { dove -f flow fetch "mailbox uid flags size.physical size.virtual" all | sed 's/[a-z.]*=//g; s/\\Recent//; s/  */ /g' | sort; }
deliver() { printf 'Subject: %s\r\n\r\nbody\r\n' "$1" | as "$BIN/mda-deliver" --config=/dev/null -d bob --mail="maildir:$T/m" "${@:2}"; }
imap() {
	{
		n=0
		for line in "$@"; do n=$((n + 1)); printf 'a%d %s\r\n' $n "$line"; done
		printf 'z LOGOUT\r\n'
	} | as "$BIN/maa-serve" --config=/dev/null --imap --preauth=bob --mail="maildir:$T/m" 2>"$T/imap.log" | tr -d '\r'
}

@test "what we deliver Dovecot reads with our sizes, UIDs and UIDVALIDITY" {
	deliver one
	deliver two -m Work/2026 --create
	deliver three
	run imap 'STATUS INBOX (UIDNEXT UIDVALIDITY)' 'SELECT INBOX' 'UID STORE 2 +FLAGS (\Seen $Later)' 'SUBSCRIBE Work/2026' 'CREATE "Entw&APw-rfe"'
	[[ $output == *"a4 OK"* ]]
	validity=$(grep -o 'UIDVALIDITY [0-9]*' <<<"$output" | head -1)
	[ "$(dove_list)" = "$(printf '%s\n' 'INBOX 1 53 58' 'INBOX 2 \Seen $Later 55 60' 'Work/2026 1 53 58')" ] || { dove_list; false; }
	[[ "$(dove -f flow mailbox status uidvalidity INBOX)" == *"uidvalidity=${validity#* }"* ]]
	[ "$(dove mailbox list -s)" = Work/2026 ]
	[[ "$(dove mailbox list)" == *Entwürfe* ]]
	[ ! -s "$T/log" ] || { cat "$T/log"; false; }
}

@test "what Dovecot has written we serve in place, and hand back" {
	for i in 1 2 3 4; do printf 'Subject: %d\r\n\r\nbody\r\n' $i | dove save; done
	dove flags add '\Flagged Mine' mailbox INBOX uid 3
	dove expunge mailbox INBOX uid 2
	dove mailbox create Deep/er
	dove mailbox subscribe Deep/er
	dove copy Deep/er mailbox INBOX uid 3
	before=$(dove -f flow mailbox status "uidvalidity uidnext" INBOX)
	run imap 'SELECT INBOX' 'UID FETCH 1:* (FLAGS)' 'UID STORE 4 +FLAGS (\Answered Ours)' 'UID COPY 4 Deep/er' 'LSUB "" *' 'LIST "" *'
	[[ $output == *"UIDVALIDITY $(grep -o 'uidvalidity=[0-9]*' <<<"$before" | cut -d= -f2)]"* ]]
	grep -qE '^\* 2 FETCH \((UID 3 FLAGS \(.*\\Flagged.*Mine.*\)|FLAGS \(.*\\Flagged.*Mine.*\) UID 3|UID 3 FLAGS \(.*Mine.*\\Flagged.*\))\)' <<<"$output" || { echo "$output"; false; }
	grep -qE '^\* LSUB .*Deep/er"?$' <<<"$output"
	run dove_list
	grep -qx 'INBOX 1 17 20' <<<"$output"
	grep -qx 'INBOX 3 \\Flagged Mine 17 20' <<<"$output"
	grep -qx 'INBOX 4 \\Answered Ours 17 20' <<<"$output"
	grep -qx 'Deep/er 1 \\Flagged Mine 17 20' <<<"$output"
	grep -qx 'Deep/er 2 \\Answered Ours 17 20' <<<"$output"
	[ "${#lines[@]}" -eq 5 ]
	[ "$(dove -f flow mailbox status "uidvalidity uidnext" INBOX)" = "$before" ]
	[ ! -s "$T/log" ] || { cat "$T/log"; false; }
}

@test "both at once: deliveries by us and by Dovecot, UIDs given by both, none twice and none lost" {
	for i in 1 2 3 4 5 6 7 8; do
		deliver ours &
		printf 'Subject: theirs\r\n\r\nbody\r\n' | dove save &
		imap 'SELECT INBOX' 'UID FETCH 1:* (FLAGS)' >/dev/null &
	done
	wait
	[ "$(dove_list | wc -l)" -eq 16 ]
	run imap 'SELECT INBOX' 'UID FETCH 1:* (FLAGS)'
	uids=$(grep -oE '^\* [0-9]+ FETCH .*UID [0-9]+' <<<"$output" | grep -oE '[0-9]+$')
	[ "$(wc -l <<<"$uids")" -eq 16 ]
	[ "$uids" = "$(dove -f flow fetch uid mailbox INBOX all | cut -d= -f2 | sort -n)" ]
	[ ! -s "$T/log" ] || { cat "$T/log"; false; }
}
