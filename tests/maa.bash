# Shared by maa-pop3.bats and maa-imap.bats: a store, a server on a free port, ways to talk to it.
# shellcheck source=tests/wait.bash
. "${BASH_SOURCE[0]%/*}/wait.bash"

# maa_setup imap|pop3
maa_setup() {
	MAA_PROTOCOL=$1
	DIR=$BATS_TEST_TMPDIR
	MAIL=$DIR/mail
	PIDS=()
	mkdir -p "$MAIL/cur" "$MAIL/new" "$MAIL/tmp"
	printf 'bob:{PLAIN}sesame\n' >"$DIR/users"
	unset WAYPOST_TRACE
}

maa_teardown() {
	for pid in "${PIDS[@]}"; do kill "$pid" 2>/dev/null || true; done
	for pid in "${PIDS[@]}"; do wait "$pid" 2>/dev/null || true; done
}

# maa_message NAME TEXT [FLAGS]
maa_message() { printf '%s' "$2" >"$MAIL/cur/$1:2,${3-}"; }

maa_count() { find "$MAIL/cur" "$MAIL/new" -type f | wc -l; }

maa_port_open() { (exec 3<>"/dev/tcp/127.0.0.1/$1") 2>/dev/null; }

maa_listen() {
	listen=$1
	shift
	users=(--users="$DIR/users")
	case "$*" in *--checkpassword*) users=() ;; esac
	"$MAA" "--$MAA_PROTOCOL" --listen="$listen" --ready-file="$DIR/ready" --mail="maildir:$MAIL" \
		--trace="$DIR/trace" "${users[@]}" "$@" 2>"$DIR/log" &
	PIDS+=($!)
	wait_for 60 test -s "$DIR/ready"
	ADDR=$(head -n 1 "$DIR/ready")
	ADDR=${ADDR%,tls}
}
maa_start() { maa_listen 127.0.0.1:0 "$@"; }
maa_start_tls() { maa_listen 127.0.0.1:0,tls "$@"; }

maa_cert() {
	openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 2 -subj /CN=localhost \
		-keyout "$DIR/cert.pem" -out "$DIR/cert.crt" 2>/dev/null
	cat "$DIR/cert.crt" >>"$DIR/cert.pem"
}

# stdin to the server in one segment, its answers to stdout until it or a minute ends.
maa_raw() {
	perl -MIO::Socket::INET -e '
		local $/; my $in = <STDIN>;
		my $s = IO::Socket::INET->new(PeerAddr => $ARGV[0]) or die; alarm 120;
		syswrite $s, $in; shutdown $s, 1 if $ARGV[1]; print while defined($_ = <$s>)' "$ADDR" "${1-1}"
}

# A conversation by turns: maa_talk OPTIONS starts the server, maa_say sends a line, maa_expect reads until one begins so.
maa_talk() {
	coproc TALK { exec "$MAA" "--$MAA_PROTOCOL" --mail="maildir:$MAIL" --trace="$DIR/trace" "$@" 2>"$DIR/log"; }
	PIDS+=("$TALK_PID")
	exec {TALK_OUT}<&"${TALK[0]}" {TALK_IN}>&"${TALK[1]}"
}
maa_say() { printf '%s\r\n' "$1" >&"$TALK_IN"; }
maa_expect() {
	while IFS= read -r -t 60 line <&"$TALK_OUT"; do
		line=${line%$'\r'}
		case $line in "$1"*) return 0 ;; esac
	done
	echo "no line began with: $1" >&2
	return 1
}
# The next line must begin so.
maa_next() {
	IFS= read -r -t 60 line <&"$TALK_OUT"
	case $line in "$1"*) return 0 ;; esac
	echo "wanted: $1, got: $line" >&2
	return 1
}
maa_hangup() { exec {TALK_IN}>&- {TALK_OUT}<&-; }

# name bob, password sesame; "later" is a failure of the checker itself.
maa_checkpassword() {
	cat >"$DIR/checkpassword" <<-'END'
		#!/bin/sh
		credentials=$(tr '\0' '|' <&3)
		case $credentials in
		bob\|sesame\|*) USER=bob HOME=/nonexistent exec "$@" ;;
		later\|*) exit 111 ;;
		*) exit 1 ;;
		esac
	END
	chmod +x "$DIR/checkpassword"
}
