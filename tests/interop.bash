# shellcheck shell=bash disable=SC2034 # for who loads it
# For the tests with other mail servers: one of bench/peers/ on one side, ours on the other, in $W.
# shellcheck source=tests/wait.bash
. "${BASH_SOURCE[0]%/*}/wait.bash"

interop_setup() {
	TOP=$BATS_TEST_DIRNAME/..
	BIN=${BUILD:-$TOP/build}/bin
	BIN=$(cd "$BIN" && pwd)
	PEERS=$TOP/bench/peers
	PATH=$PATH:/usr/sbin:/sbin
	export HOME=$BATS_TEST_TMPDIR XDG_CONFIG_HOME=$BATS_TEST_TMPDIR
	unset WAYPOST_TRACE
	W='' PEER='' PIDS=()
}

interop_teardown() {
	local pid tree=''
	if [ -n "$PEER" ]; then
		tree=$(pgrep -d ' ' -P "$(peer "$PEER" peer_pids "$W/$PEER" | tr '\n' ',' | sed 's/,$//')" 2>/dev/null)
		peer "$PEER" peer_stop "$W/$PEER" 2>/dev/null
	fi
	for pid in "${PIDS[@]}"; do
		kill "$pid" 2>/dev/null
	done
	wait 2>/dev/null
	for pid in $tree; do
		wait_for 60 gone "$pid"
	done
	[ -z "$W" ] || rm -rf "$W"
	return 0
}

needs() {
	for program in "$@"; do
		command -v "$program" >/dev/null || skip "needs $program"
	done
}

# peer NAME FUNCTION ARGUMENT...: one of the functions that bench/peers/NAME defines
# shellcheck source=/dev/null
peer() (
	. "$PEERS/$1" && shift && "$@"
)

# A place that nobody, whom others deliver as, can reach; with a certificate.
workplace() {
	[ -z "$W" ] || return 0
	W=$(mktemp -d /tmp/interop.XXXXXX)
	chmod 755 "$W"
	openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 2 -subj /CN=mx.dest.example \
		-addext 'subjectAltName=DNS:mx.dest.example' -keyout "$W/tls.key" -out "$W/tls.pem" 2>/dev/null
}

port_answers() { (exec 4<>"/dev/tcp/127.0.0.1/$1") 2>/dev/null; }

# peer_up NAME SINK: the peer takes mail for user@dest.example into its Maildir and passes relay.example on to the port
# SINK; its own port is PEER_PORT.
peer_up() {
	needs perl openssl
	peer "$1" peer_have || skip "needs $1 (make peers) and root"
	workplace
	PEER=$1
	mkdir -p "$W/$1/Maildir/new" "$W/$1/Maildir/cur" "$W/$1/Maildir/tmp"
	chown -R nobody "$W/$1/Maildir"
	cp "$W/tls.pem" "$W/tls.key" "$W/$1"
	PEER_PORT=$(free_port)
	peer "$1" peer_start "$W/$1" "$PEER_PORT" "$2"
	wait_for 60 port_answers "$PEER_PORT" || {
		peer "$1" peer_log "$W/$1"
		return 1
	}
}
peer_messages() { find "$W/$PEER/Maildir/new" -type f; }
peer_has() { [ "$(peer_messages | wc -l)" -ge "$1" ]; }

# serve_up OPTION...: ours takes mail for user@relay.example into $W/Maildir; its port is OUR_PORT
serve_up() {
	workplace
	echo 'user@relay.example:::::::' >"$W/users"
	"$BIN/mta-relay" serve --role=mta --listen=127.0.0.1:0 --ready-file="$W/ready" --hostname=mx.relay.example \
		--domains=relay.example --users="$W/users" --queue="$W/queue" --tls-cert="$W/tls.pem" --tls-key="$W/tls.key" \
		--mda="lmtp:|exec $BIN/mda-deliver --lmtp --users=$W/users --mail=maildir:$W/Maildir" "$@" 2>"$W/serve.log" \
		</dev/null 3>&- &
	PIDS+=($!)
	wait_for 60 test -s "$W/ready"
	OUR_PORT=$(sed -n '1s/.*:\([0-9][0-9]*\).*/\1/p' "$W/ready")
}
our_messages() { find "$W/Maildir/new" -type f 2>/dev/null; }
we_have() { [ "$(our_messages | wc -l)" -ge "$1" ]; }

inject() { "$BIN/mta-relay" inject --queue="$W/queue" --hostname=mx.us.example -f "$@" 2>>"$W/run.log"; }
run_queue() { # OPTION...
	timeout 120 "$BIN/mta-relay" run --once --queue="$W/queue" --hostname=mx.us.example "$@" 2>>"$W/run.log"
}
waiting() { find "$W/queue"/*/msg -type f 2>/dev/null | wc -l; }

# submit PORT FROM TO FILE: by curl, which is neither's
submit() {
	needs curl
	curl -sS --crlf --url "smtp://127.0.0.1:$1" --mail-from "$2" --mail-rcpt "$3" --upload-file "$4"
}

# A message with what goes wrong on the way: dots, long lines, blanks at the end, 8-bit, trailing empty lines.
hard_message() {
	{
		printf 'From: sender@sender.example\nTo: user@dest.example\nSubject: hard\nMIME-Version: 1.0\n'
		printf 'Date: Sun, 22 Nov 2026 10:00:00 +0000\nMessage-ID: <hard@sender.example>\n'
		printf 'Content-Type: text/plain; charset=utf-8\nContent-Transfer-Encoding: 8bit\n\n'
		printf '.\n..\n.dot\nFrom the start\nblanks  \n\ttab\t\nGr\303\274\303\237e \342\202\254\n'
		head -c 990 /dev/zero | tr '\0' x
		printf '\n=20 is no quoting\n\nthe end\n\n\n'
	} >"$W/message"
}

# same SENT GOT: the body to the byte but for CR, and each field of the header that was sent
same() {
	tr -d '\r' <"$2" >"$W/got"
	sed '1,/^$/d' "$1" >"$W/sent.body"
	sed '1,/^$/d' "$W/got" | cmp - "$W/sent.body" || return 1
	sed '/^$/,$d' "$1" >"$W/sent.header"
	sed '/^$/,$d' "$W/got" >"$W/got.header"
	while IFS= read -r line; do
		grep -qxF -- "$line" "$W/got.header" || {
			echo "lost: $line"
			return 1
		}
	done <"$W/sent.header"
}
