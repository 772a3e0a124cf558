#!/usr/bin/env bats
# A reply that says yes is a promise, whatever file operation fails or kills the delivery: exit 0 (or 250) and the whole message is there,
# or not and nothing of it is to be seen.

load lib

setup() {
	fault_setup
	BIN=${BUILD:-$BATS_TEST_DIRNAME/../../build}/bin
	T=$BATS_TEST_TMPDIR HOW=file
	unset WAYPOST_TRACE
	{ printf 'Subject: x\n\n'; seq 20000; } >"$T/msg"
	{ printf 'Return-Path: <a@example.org>\nDelivered-To: bob\n'; cat "$T/msg"; } >"$T/want"
	printf 'bob@example.org:{PLAIN}x\nann@example.org:{PLAIN}x\n' >"$T/users"
}

visible() { find "$T/m" -type f \( -path '*/new/*' -o -path '*/cur/*' \) 2>/dev/null; }

# Into a store that is not there yet; the next delivery must work whatever this one left.
one_delivery() {
	rm -rf "$T/m"
	local status=0 file
	faulty "$BIN/mda-deliver" --config=/dev/null --durability=$HOW -f a@example.org -d bob --mail="maildir:$T/m" <"$T/msg" >/dev/null 2>&1 || status=$?
	for file in $(visible); do
		cmp -s "$T/want" "$file" || { echo "# not whole: $file"; return 1; }
	done
	# What was killed after it had published the file said nothing: the file may be there.
	case $status in
	0) [ "$(visible | wc -l)" -eq 1 ] || { echo "# said yes"; return 1; } ;;
	75 | 77 | 78) [ -z "$(visible)" ] || { echo "# said no ($status)"; return 1; } ;;
	137) [ "$(visible | wc -l)" -le 1 ] || return 1 ;;
	*) echo "# status $status"; return 1 ;;
	esac
	local before
	before=$(visible | wc -l)
	"$BIN/mda-deliver" --config=/dev/null -f a@example.org -d bob --mail="maildir:$T/m" <"$T/msg" || return 1
	[ "$(visible | wc -l)" -eq $((before + 1)) ]
}

@test "every call fails, each file by itself" { fault_matrix one_delivery; }
@test "every call fails, with a commit log" { HOW=log; fault_matrix one_delivery; }
@test "a write is short" { fault_each short write one_delivery; }

# Over LMTP to two recipients: each 250 has its whole copy, each other reply has none.
lmtp_delivery() {
	rm -rf "$T/m"
	printf '%s\r\n' 'LHLO c' 'MAIL FROM:<a@example.org>' 'RCPT TO:<bob@example.org>' 'RCPT TO:<ann@example.org>' DATA 'Subject: x' '' \
		"$(seq 3000)" . QUIT |
		faulty "$BIN/mda-deliver" --config=/dev/null --lmtp --users="$T/users" --mail="maildir:$T/m/%n" 2>/dev/null |
		cat >"$T/replies"
	for user in bob ann; do
		local n yes=0
		n=$(find "$T/m/$user/new" -type f 2>/dev/null | wc -l)
		grep -q "^250 2.1.5 <$user@example.org> Ok, id" "$T/replies" && yes=1
		# What could not be told, or waited for, may be there.
		case $(fault_hit | cut -d ' ' -f 3,4) in
		*kill* | send* | recv* | poll*) [ "$n" -ge $yes ] || { echo "# $user: $n files, said $yes"; return 1; } ;;
		*) [ "$n" -eq $yes ] || { echo "# $user: $n files, said $yes"; return 1; } ;;
		esac
		[ "$n" -eq 0 ] || [ "$(tail -n 1 "$T/m/$user"/new/*)" = 3000 ] || return 1
	done
}

@test "LMTP: each recipient's reply tells the truth whatever fails" { fault_matrix lmtp_delivery; }

mbox_delivery() {
	local status=0
	printf 'From x\nSubject: before\n\nold\n\n' >"$T/box"
	cp "$T/box" "$T/before"
	faulty "$BIN/mda-deliver" --config=/dev/null -f a@example.org -d bob --mail="mbox:$T/box" <"$T/msg" >/dev/null 2>&1 || status=$?
	rm -f "$T/box.lock"
	# What stood there stays, always.
	cmp -s -n "$(stat -c %s "$T/before")" "$T/before" "$T/box" || return 1
	case $status in
	0) [ "$(tail -n 2 "$T/box")" = 20000 ] ;;
	75 | 77 | 78) cmp -s "$T/before" "$T/box" ;;
	137) true ;;
	*) return 1 ;;
	esac
}

@test "mbox: appended whole or not at all" {
	fault_matrix mbox_delivery
	fault_each short write mbox_delivery
}
