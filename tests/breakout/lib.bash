# For the break-out tests: a server with tests/breakout/breakoutlib.c preloaded, and what became of its attempts.
# shellcheck source=tests/wait.bash
. "${BASH_SOURCE[0]%/*}/../wait.bash"

breakout_setup() {
	BUILD=${BUILD:-$BATS_TEST_DIRNAME/../../build}
	BUILD=$(cd "$BUILD" && pwd)
	BIN=$BUILD/bin
	LIB=$BUILD/libbreakout.so
	T=$BATS_TEST_TMPDIR
	PIDS=()
	export HOME=$T XDG_CONFIG_HOME=$T
	mkdir "$T/outside"
	chmod 777 "$T" "$T/outside"
	echo key >"$T/outside/key.pem"
	[ "$(nm -D "$BIN/mta-relay" | grep -c __asan_init)" = 0 ] || skip "sanitizers make system calls of their own"
}

breakout_teardown() {
	for pid in "${PIDS[@]}"; do
		kill "$pid" 2>/dev/null || continue
		wait "$pid" 2>/dev/null || true
	done
}

# A port where somebody listens whom no server of ours has to do with: $PORT.
stranger() {
	python3 - "$T/port" >/dev/null 2>&1 3>&- <<-'E' &
		import socket, sys, time
		s = socket.create_server(("127.0.0.1", 0), backlog=64)
		open(sys.argv[1], "w").write(str(s.getsockname()[1]))
		time.sleep(600)
	E
	PIDS+=($!)
	wait_for 60 test -s "$T/port"
	PORT=$(cat "$T/port")
}

# preloaded WHEN ATTEMPTS COMMAND...: in this process.
preloaded() {
	local when=$1 what=$2
	shift 2
	exec env BREAKOUT_WHEN="$when" BREAKOUT="$what" BREAKOUT_OUT="$T/out" BREAKOUT_DIR="$T/outside" \
		BREAKOUT_KEY="$T/outside/key.pem" BREAKOUT_NEIGHBOUR="${NEIGHBOUR-}" BREAKOUT_RENAME="${RENAME-}" BREAKOUT_PORT="${PORT:-1}" LD_PRELOAD="$LIB" "$@" 3>&-
}

# What an attempt came to: an errno, or "try" when the process died of it.
came_to() {
	sed -n "s/^$1 //p" "$T/out" | tail -n 1
}

# Each NAME=VALUE; VALUE "no" for any failure.
expect() {
	local pair want got
	for pair in "$@"; do
		want=${pair#*=} got=$(came_to "${pair%%=*}")
		if [ "$want" = no ] && [ -n "$got" ] && [ "$got" != 0 ]; then continue; fi
		if [ "$got" != "$want" ]; then
			echo "${pair%%=*}: '$got', not '$want'"
			return 1
		fi
	done
}

landlock() { # ABI
	[ "$(python3 -c 'import ctypes; print(ctypes.CDLL(None).syscall(444, None, 0, 1))')" -ge "$1" ]
}
