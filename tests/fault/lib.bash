# Fault injection for bats: runs a scenario again and again, with the first, second, ... system call of the programs in it
# failing or killing its process. See faultlib.c for what can be made to happen.
#
#   fault_setup                     in setup: finds the library, or skips
#   fault WHAT CALL N COMMAND...    runs COMMAND once with that fault
#   fault_matrix SCENARIO [CALLS]   every call with every error that fits it, and kills (fault_pick); runs SCENARIO, which runs its
#                                   programs with `faulty` and checks what must hold. FAULT_ALL=1: all of them, else FAULT_SAMPLE.
#   fault_each WHAT CALL SCENARIO   these calls with that fault only
#   fault_env                       sets FAULT_ENV, words for env: the environment of the fault in hand
#
# FAULT_BY_WAY=1: kills like errors, for scenarios in which chance has so much part that the n-th call is not the same twice.
# FAULT_IN: only in processes with this in their command line. FAULT_SAMPLE: how many are tried. FAULT_SEED: which.
# FAULT_REPORT: a file that gets one line for each fault that happened, one for each matrix, and what failed, at once.
# FAULT_PART=K/N: only the K-th of N parts of the faults; FAULT_SHARE: a directory for what the parts must agree on (run).
FAULT_SAMPLE=${FAULT_SAMPLE:-5}
FAULT_IN=''
FAULT_MATRICES=0

fault_setup() {
	# Of bats, for the line of a failure: it runs for each command, a quarter of the time that a fault takes.
	trap - DEBUG
	FAULT_LIB=${BUILD:-$BATS_TEST_DIRNAME/../../build}/libfault.so
	[ -e "$FAULT_LIB" ] || skip "needs $FAULT_LIB (make tests)"
	FAULT_LIB=$(cd "$(dirname "$FAULT_LIB")" && pwd)/libfault.so
	FAULT_SEEN=$BATS_TEST_TMPDIR/fault.log
	RANDOM=${FAULT_SEED:-$((SECONDS + $$ + BASHPID))}
}

fault_new() {
	: >"$FAULT_SEEN"
	rm -f "$FAULT_SEEN.count"
}

fault_env() {
	FAULT_ENV=("WAYPOST_FAULT=$FAULT_CALL:$FAULT_N:$FAULT_WHAT" "WAYPOST_FAULT_LOG=$FAULT_SEEN"
		"WAYPOST_FAULT_IN=$FAULT_IN" "LD_PRELOAD=$FAULT_LIB" ASAN_OPTIONS=verify_asan_link_order=0:detect_leaks=0)
}

# The program under test inside a scenario.
faulty() {
	local FAULT_ENV
	fault_env
	env "${FAULT_ENV[@]}" "$@"
}

fault() {
	local FAULT_WHAT=$1 FAULT_CALL=$2 FAULT_N=$3
	shift 3
	fault_new
	faulty "$@"
}

# What was hit. (A list has other lines.)
fault_hit() {
	local line
	[ "${FAULT_WHAT-}" != list ] && read -r line <"$FAULT_SEEN" && [[ $line == hit* ]] && printf '%s\n' "$line"
}

# One run of the scenario; counts what happened.
fault_once() {
	fault_new
	"$1" "$FAULT_N" || {
		echo "# $FAULT_WHAT at $FAULT_CALL number $FAULT_N of $FAULT_TOTAL${FAULT_IN:+ in $FAULT_IN}: $(fault_hit)" >&2
		[ -z "${FAULT_REPORT-}" ] || echo "failed: $BATS_TEST_DESCRIPTION: $FAULT_WHAT $FAULT_N: $(fault_hit)" >>"$FAULT_REPORT"
		return 1
	}
	fault_hit >/dev/null || return 0
	((++FAULT_HITS))
	[ -z "${FAULT_REPORT-}" ] || echo "$BATS_TEST_DESCRIPTION: $(fault_hit)" >>"$FAULT_REPORT"
}

# Which faults are worth a run, as lines "WHAT N", of the calls that a run without a fault has listed.
#
# Errors: of each way to a call (its stack) the first time, with each error, and the last time with one. What a program does about an
# error does not depend on how often it came there before, except for the first time.
#
# Kills: what a killed process leaves is what its calls did before. So all that can be left is seen by killing it before each
# call that does something (one that looks, waits, syncs or closes leaves what the next one leaves: the node goes on, and has what was
# not synced; tests/crash is about the disk), and after its last one; and after each that sends, since the peer goes on while the
# process only waits.
fault_pick() {
	awk -v by_way="${FAULT_BY_WAY-}" '
		BEGIN {
			split("create write pwrite send rename link unlink mkdir ftruncate fallocate lock futex mmap fork exec", c)
			for (i in c) acts[c[i]] = 1
		}
		$2 in acts && !by_way { print "kill", $1; if ($2 == "send") print "killafter", $1; else last[$3] = $1 }
		$5 > 0 { way = $2 " " $4; if (!(way in first)) first[way] = $1; final[way] = $1; fits[way] = $5 }
		END {
			for (p in last) print "killafter", last[p]
			for (w in first)
				for (e = 0; e < fits[w]; e++)
					print "fit" e, first[w]
			for (w in first)
				if (final[w] != first[w]) print "fit0", final[w]
			for (w in first)
				if (by_way) print "kill", first[w] "\nkillafter", first[w] "\nkill", final[w] "\nkillafter", final[w]
		}' "$FAULT_SEEN"
}

# Without a fault: which calls there are.
fault_list() {
	local FAULT_WHAT=list FAULT_N=999999
	fault_once "$1" || return 1
	FAULT_TOTAL=$(wc -l <"$FAULT_SEEN")
	[ "$FAULT_TOTAL" -gt 0 ] || {
		echo "# no $FAULT_CALL that could be hit${FAULT_IN:+ in $FAULT_IN}" >&2
		return 1
	}
}

# This part of the lines on stdin. What the first to come has picked goes for all, so that none is left out where two runs list
# different calls.
fault_part() {
	local all
	[ -n "${FAULT_PART-}" ] || {
		cat
		return
	}
	all=$FAULT_SHARE/${BATS_TEST_FILENAME##*/}.$BATS_TEST_NAME.$FAULT_MATRICES
	# shellcheck disable=SC2016
	flock "$FAULT_SHARE" sh -c '[ -e "$0" ] || cat >"$0"' "$all"
	awk -v k="${FAULT_PART%/*}" -v n="${FAULT_PART#*/}" 'NR % n == k % n' "$all"
}

fault_some() {
	if [ -n "${FAULT_ALL-}" ]; then cat; else shuf -n "$FAULT_SAMPLE" --random-source=<(yes "$RANDOM"); fi
}

# fault_try SCENARIO < lines "WHAT N": runs it with these, or some of them.
fault_try() {
	local scenario=$1 FAULT_WHAT FAULT_N FAULT_HITS=0 failed=0 picked=0
	sort -u | fault_some | fault_part >"$BATS_TEST_TMPDIR/picks"
	((++FAULT_MATRICES))
	while read -r FAULT_WHAT FAULT_N <&4; do
		((++picked))
		fault_once "$scenario" || {
			failed=1
			[ -n "${FAULT_ALL-}" ] || return 1
		}
	done 4<"$BATS_TEST_TMPDIR/picks"
	[ -z "${FAULT_REPORT-}" ] || echo "matrix: ${BATS_TEST_FILENAME##*/}: $BATS_TEST_DESCRIPTION: calls $FAULT_TOTAL, faults $picked, hit $FAULT_HITS" >>"$FAULT_REPORT"
	[ $failed -eq 0 ] || return 1
	# Of a part, who adds the parts up sees it.
	[ "$FAULT_HITS" -gt 0 ] || [ -n "${FAULT_PART-}" ] || {
		echo "# not one of $picked faults was reached ($FAULT_CALL)" >&2
		return 1
	}
}

fault_matrix() {
	local FAULT_CALL=${2-any} FAULT_TOTAL=0 FAULT_HITS
	fault_list "$1" || return 1
	fault_pick | fault_try "$1" || return 1
}

# What is not an error of all of these calls has no effect on some, which are no hits then.
fault_each() {
	local what=$1 FAULT_CALL=$2 FAULT_TOTAL=0 FAULT_HITS
	fault_list "$3" || return 1
	awk -v what="$what" '{ print what, $1 }' "$FAULT_SEEN" | fault_try "$3"
}
