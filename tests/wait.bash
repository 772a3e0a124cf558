# shellcheck shell=bash
wait_for() { # SECONDS COMMAND...: until it is true; fails when it was not in that time
	local tries=$(($1 * 20)) nap=0.01 n=0
	shift
	until "$@"; do
		((tries-- > 0)) || return 1
		((++n < 10)) || nap=0.05
		sleep $nap # until the next try
	done
}

# Has this process ended? One that nobody has waited for yet has.
gone() { ! grep -q '^State:.[^ZX]' "/proc/$1/status" 2>/dev/null; }

# Is somebody listening at this UNIX socket? Its name is there a moment before that.
listening() { grep -q "^[^ ]*: [^ ]* [^ ]* 00010000 .* $1\$" /proc/net/unix; }

# A port of loopback that nobody uses, and the one after it; below those that connections and servers get from the
# system, so that none takes it meanwhile, and told to no other test of this run.
free_port() {
	perl -MFcntl -MIO::Socket::INET -e '
		my $taken = $ARGV[0];
		for (1 .. 1000) {
			my $port = 10000 + 2 * int rand 11000;
			my @s = grep { $_ } map { my $p = $_; map { IO::Socket::INET->new(LocalAddr => "127.0.0.1", LocalPort => $p, Proto => $_) }
				qw(tcp udp) } $port, $port + 1;
			next if @s != 4;
			next if length $taken && !sysopen(my $f, "$taken/$port", O_CREAT | O_EXCL | O_WRONLY);
			print $port;
			exit 0;
		}
		exit 1' "${TEST_PORTS-}"
}

# A dnsmasq that answers for the zone of these options only, on $DNS_PORT of loopback; its pid is added to PIDS.
dnsmasq_up() { # LOG OPTION...
	local log=$1 pid
	shift
	for _ in 1 2 3 4 5 6 7 8; do
		DNS_PORT=$(free_port)
		: >"$log"
		dnsmasq --no-daemon --conf-file=/dev/null --port="$DNS_PORT" --listen-address=127.0.0.1 --bind-interfaces \
			--no-resolv --no-hosts --user= --group= --pid-file= "$@" >"$log" 2>&1 3>&- &
		pid=$!
		PIDS+=("$pid")
		wait_for 60 started_or_dead "$pid" "$log"
		if grep -q started "$log"; then return 0; fi
	done
	cat "$log"
	return 1
}
started_or_dead() { grep -q started "$2" || ! kill -0 "$1" 2>/dev/null; }
