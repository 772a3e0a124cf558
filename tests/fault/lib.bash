# Fault injection for bats: runs a scenario again and again, with the first, second, ... system call of the programs in it
# failing or killing its process. See faultlib.c for what can be made to happen.
#
#   fault_setup                     in setup: finds the library, or skips
#   fault WHAT CALL N COMMAND...    runs COMMAND once with that fault
#   fault_each WHAT CALL SCENARIO   runs SCENARIO N for some N (FAULT_ALL=1: all; K: every K-th) up to the number of calls that can fail
#                                   so; it runs its programs with `faulty` and checks what must hold. Fails when no
#                                   fault was reached.
#   fault_matrix SCENARIO           every call, every error that fits it, and both kills
#   fault_env                       sets FAULT_ENV, words for env: the environment of the fault in hand
#
# FAULT_IN: only in processes with this in their command line. FAULT_SAMPLE: how many N are tried. FAULT_SEED: where to begin.
# FAULT_REPORT: a file that gets one line for each fault that happened.
FAULT_SAMPLE=${FAULT_SAMPLE:-3}
FAULT_IN=''

fault_setup() {
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

fault_hit() { grep '^hit' "$FAULT_SEEN"; }

# One run of the scenario; counts what happened.
fault_once() {
	fault_new
	"$1" "$FAULT_N" || {
		echo "# $FAULT_WHAT at $FAULT_CALL number $FAULT_N of $FAULT_TOTAL${FAULT_IN:+ in $FAULT_IN}: $(fault_hit)" >&2
		cp "$FAULT_SEEN" "${FAULT_REPORT:-$FAULT_SEEN}.failed" 2>/dev/null
		return 1
	}
	fault_hit >/dev/null || return 0
	((++FAULT_HITS))
	[ -z "${FAULT_REPORT-}" ] || echo "$BATS_TEST_DESCRIPTION: $(fault_hit)" >>"$FAULT_REPORT"
}

fault_each() {
	local FAULT_WHAT=$1 FAULT_CALL=$2 scenario=$3 FAULT_N=999999 FAULT_TOTAL=0 FAULT_HITS=0 step=1 failed=0
	# Without a fault: how many there could be.
	fault_once "$scenario" || return 1
	FAULT_TOTAL=$(wc -l <"$FAULT_SEEN")
	[ "$FAULT_TOTAL" -gt 0 ] || {
		echo "# no $FAULT_CALL that could be hit by $FAULT_WHAT${FAULT_IN:+ in $FAULT_IN}" >&2
		return 1
	}
	step=${FAULT_ALL:-$((FAULT_TOTAL / FAULT_SAMPLE + 1))}
	# Begins within the first step and never beyond the last call: one at least is tried.
	for ((FAULT_N = RANDOM % (step < FAULT_TOTAL ? step : FAULT_TOTAL) + 1; FAULT_N <= FAULT_TOTAL; FAULT_N += step)); do
		fault_once "$scenario" || {
			failed=1
			[ -n "${FAULT_ALL-}" ] || return 1
		}
	done
	[ $failed -eq 0 ] || return 1
	[ "$FAULT_HITS" -gt 0 ] || {
		echo "# not one of $FAULT_TOTAL faults was reached ($FAULT_WHAT at $FAULT_CALL)" >&2
		return 1
	}
}

# Sampled, some of the errors only.
fault_matrix() {
	local what bad=0 all=(fit0 "fit$((RANDOM % 4 + 1))" kill killafter) FAULT_SAMPLE=$((FAULT_SAMPLE / 2 + 1))
	[ -z "${FAULT_ALL-}" ] || all=(fit0 fit1 fit2 fit3 fit4 kill killafter)
	for what in "${all[@]}"; do
		fault_each "$what" any "$1" || bad=1
		[ $bad -eq 0 ] || [ -n "${FAULT_ALL-}" ] || return 1
	done
	return $bad
}
