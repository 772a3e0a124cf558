# For the tests of what serve does against abuse: a server on loopback, and clients from any address of 127.0.0.0/8.
# shellcheck source=tests/wait.bash
. "${BASH_SOURCE[0]%/*}/wait.bash"

guard_setup() {
	TOP=$BATS_TEST_DIRNAME
	BIN=${BUILD:-$TOP/../build}/bin
	RELAY=$BIN/mta-relay
	T=$BATS_TEST_TMPDIR
	cat >"$T/users" <<-U
		alice@here.example:{PLAIN}secret::::::
		bob@here.example:{PLAIN}other::::::
	U
	PIDS=()
	export HOME=$T XDG_CONFIG_HOME=$T
	unset WAYPOST_TRACE
}

guard_teardown() {
	local pid
	for pid in "${PIDS[@]}"; do
		kill "$pid" 2>/dev/null || continue
		wait "$pid" 2>/dev/null || true
	done
}

listen() { # OPTION...: a server that spares nobody; its port in $PORT
	rm -f "$T/ready"
	"$RELAY" serve --listen=127.0.0.1:0 --ready-file="$T/ready" --hostname=mx.here.example --users="$T/users" \
		--domains=here.example --queue="$T/queue" --state="$T/state" --exempt=none "$@" 2>>"$T/log" 3>&- &
	PIDS+=($!)
	wait_for 60 test -s "$T/ready"
	PORT=$(sed -n 's/.*://p' "$T/ready" | head -n 1)
}

# A conversation from an address: each line of stdin is a command whose reply is awaited, after the greeting. A line
# "= FILE" waits until that is there. Replies come out, "(closed)" when the server hung up.
from() { # ADDRESS
	timeout 120 perl -MIO::Socket::INET -e '
		my $s = IO::Socket::INET->new(PeerAddr => "127.0.0.1:$ARGV[1]", LocalAddr => $ARGV[0]) or die "connect: $!";
		$s->autoflush(1);
		$| = 1;
		$SIG{PIPE} = "IGNORE";
		my $content = 0;
		sub reply {
			while (defined(my $l = <$s>)) {
				$l =~ s/\r//;
				print $l;
				$content = $l =~ /^354/;
				return if $l =~ /^\d{3} /;
			}
			print "(closed)\n";
			exit 0;
		}
		reply();
		while (my $l = <STDIN>) {
			$l =~ s/\r?\n//;
			if ($l =~ /^= (\S+)/) { select(undef, undef, undef, 0.05) until -e $1; next }
			print $s "$l\r\n";
			reply() unless $content && $l ne ".";
		}' "$1" "$PORT"
}

# Lines of a message from $1 to the others.
mail() {
	printf 'MAIL FROM:<%s>\n' "$1"
	shift
	for rcpt; do printf 'RCPT TO:<%s>\n' "$rcpt"; done
	printf 'DATA\nSubject: test\n\nhello\n.\n'
}
session() {
	echo 'EHLO client.example'
	cat
	echo QUIT
}
login() { # USER PASSWORD
	printf 'AUTH PLAIN %s\n' "$(printf '\0%s\0%s' "$1" "$2" | base64)"
}
has() { # TEXT PATTERN: a line of TEXT begins with it
	grep -q "^$2" <<<"$1" || {
		echo "no '$2' in:" && echo "$1" && return 1
	}
}
lacks() {
	if grep -q "^$2" <<<"$1"; then
		echo "'$2' in:" && echo "$1" && return 1
	fi
}
