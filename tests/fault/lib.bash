# Fault injection for bats: runs a scenario again and again, with the first, second, ... file operation of one program
# failing or killing it, until a run meets no fault any more. See faultlib.c for what can be made to happen.
#
#   fault_setup                     in setup: finds the library, or skips
#   fault WHAT CALL N COMMAND...    runs COMMAND once with that fault
#   fault_each WHAT CALL SCENARIO   for N = 1, 2, ...: calls SCENARIO N; it runs its program with `faulty` and checks
#                                   what must hold. Ends after the first N that no call reached.
FAULT_MOST=400

fault_setup() {
	FAULT_LIB=${BUILD:-$BATS_TEST_DIRNAME/../../build}/libfault.so
	[ -e "$FAULT_LIB" ] || skip "needs $FAULT_LIB (make tests)"
	FAULT_LIB=$(cd "$(dirname "$FAULT_LIB")" && pwd)/libfault.so
	FAULT_SEEN=$BATS_TEST_TMPDIR/fault.log
}

fault() {
	local what=$1 call=$2 n=$3
	shift 3
	WAYPOST_FAULT=$call:$n:$what WAYPOST_FAULT_LOG=$FAULT_SEEN LD_PRELOAD=$FAULT_LIB \
		ASAN_OPTIONS=verify_asan_link_order=0:detect_leaks=0 "$@"
}

# The program under test inside a scenario.
faulty() { fault "$FAULT_WHAT" "$FAULT_CALL" "$FAULT_N" "$@"; }

fault_each() {
	FAULT_WHAT=$1 FAULT_CALL=$2
	local scenario=$3
	for ((FAULT_N = 1; FAULT_N <= FAULT_MOST; FAULT_N++)); do
		: >"$FAULT_SEEN"
		"$scenario" "$FAULT_N" || {
			echo "# $FAULT_WHAT at $FAULT_CALL number $FAULT_N:" $(sed -n "${FAULT_N}p" "$FAULT_SEEN") >&2
			return 1
		}
		[ "$(wc -l <"$FAULT_SEEN")" -lt "$FAULT_N" ] && return 0
	done
	echo "# $FAULT_MOST faults and no end" >&2
	return 1
}
