# shellcheck shell=bash
wait_for() { # SECONDS COMMAND...: until it is true; fails when it was not in that time
	local tries=$(($1 * 20))
	shift
	until "$@"; do
		((tries-- > 0)) || return 1
		sleep 0.05
	done
}
