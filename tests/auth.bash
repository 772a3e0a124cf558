# shellcheck shell=bash disable=SC2034 # for who loads it
# For the tests of who a client is: certificates, and mta-relay serve as a submission server with users in $T.
# shellcheck source=tests/wait.bash
. "${BASH_SOURCE[0]%/*}/wait.bash"

auth_setup() {
	BIN=${BUILD:-build}/bin
	RELAY=$BIN/mta-relay
	T=$BATS_TEST_TMPDIR
	PIDS=()
	export HOME=$T XDG_CONFIG_HOME=$T
	unset WAYPOST_TRACE
	cat >"$T/users" <<-E
		alice@here.example:{PLAIN}secret::::::
		bob@here.example:{PLAIN}other::::::
	E
}

auth_teardown() {
	local pid
	for pid in "${PIDS[@]}"; do
		kill "$pid" 2>/dev/null
	done
	wait 2>/dev/null
	return 0
}

needs() {
	local program
	for program in "$@"; do
		command -v "$program" >/dev/null || skip "needs $program"
	done
}

# Like ! grep -q, but fails the test.
lacks() {
	if grep -q "$@"; then return 1; fi
}

# certificate NAME SUBJECT ALTNAMES: by itself, NAME.pem with its key in NAME.key
certificate() {
	openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 2 -subj "$2" \
		-addext "subjectAltName=$3" -keyout "$T/$1.key" -out "$T/$1.pem" 2>/dev/null
}

# signed NAME SUBJECT ALTNAMES: by the authority ca.pem, which is made when it is not there
signed() {
	[ -e "$T/ca.pem" ] || openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 2 \
		-subj /CN=authority -keyout "$T/ca.key" -out "$T/ca.pem" 2>/dev/null
	openssl req -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -subj "$2" -keyout "$T/$1.key" \
		-out "$T/$1.csr" 2>/dev/null
	openssl x509 -req -in "$T/$1.csr" -CA "$T/ca.pem" -CAkey "$T/ca.key" -CAcreateserial -days 2 \
		-extfile <(echo "subjectAltName=$3") -out "$T/$1.pem" 2>/dev/null
}

# A server on a free port, told in $port; its log is $T/log.
listen() { # OPTION...
	local at=127.0.0.1:0
	if [ "$1" = tls ]; then
		at=$at,tls
		shift
	fi
	rm -f "$T/ready"
	"$RELAY" serve --listen="$at" --ready-file="$T/ready" --hostname=mx.here.example --domains=here.example \
		--queue="$T/queue" "$@" 2>>"$T/log" 3>&- &
	PIDS+=($!)
	SERVER=$!
	wait_for 60 test -s "$T/ready"
	port=$(sed -n 's/.*://p' "$T/ready" | head -n 1)
	[ -n "$port" ]
}

msa() { # OPTION...: a submission server with a certificate
	local first=()
	if [ "$1" = tls ]; then
		first=(tls)
		shift
	fi
	[ -e "$T/tls.pem" ] || certificate tls /CN=mx.here.example DNS:mx.here.example,DNS:localhost,IP:127.0.0.1
	listen "${first[@]}" --role=msa --users="$T/users" --tls-cert="$T/tls.pem" --tls-key="$T/tls.key" "$@"
}

waiting() { find "$T"/queue/*/msg -type f 2>/dev/null | wc -l; }
