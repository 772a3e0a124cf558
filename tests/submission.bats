#!/usr/bin/env bats
# Submission with authentication from end to end, by mua-send and by a queue with a smarthost; and what signals do to a
# queue's runner.

load queue

setup() {
	queue_setup
	BIN=$(dirname "$RELAY") T=$BATS_TEST_TMPDIR
	export TMPDIR=$T
	if [ ! -e "$BATS_FILE_TMPDIR/server.pem" ]; then
		openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 2 -subj /CN=localhost \
			-addext subjectAltName=DNS:localhost,IP:127.0.0.1 -keyout "$BATS_FILE_TMPDIR/server.key" \
			-out "$BATS_FILE_TMPDIR/server.pem" 2>/dev/null
	fi
	CERT=$BATS_FILE_TMPDIR/server.pem
	SECRET=s3cret-$RANDOM
	(
		umask 077
		printf 'joe@sender.example:{PLAIN}%s::::::\n' "$SECRET" >"$T/users"
		echo "$SECRET" >"$T/secret"
	)
}

teardown() { queue_teardown; }

msa() { # [OPTION]... a submission server: MSA is its port, $T/msa its queue
	"$RELAY" serve --role=msa --hostname=msa.sender.example --listen=127.0.0.1:0 --ready-file="$T/ready" \
		--queue="$T/msa" --users="$T/users" --tls-cert="$CERT" --tls-key="${CERT%.pem}.key" "$@" 2>>"$T/log" 3>&- &
	PIDS+=($!)
	wait_for 60 test -s "$T/ready"
	MSA=$(sed 's/.*://;q' "$T/ready")
}

taken() { find "$T/msa" -path '*/msg/*' -type f 2>/dev/null | wc -l; }

send() { # MECHANISM PASSWORD
	message | "$BIN/mua-send" --server="smtp://joe%40sender.example@localhost:$MSA" --starttls=require --tls-ca="$CERT" \
		--auth="$1" --password-command="echo $2" --trace="$T/trace" -f joe@sender.example b@example.net 2>>"$T/log"
}

@test "SCRAM over SMTP, bound to the TLS channel and not; a wrong password is 77" {
	[ -x "$BIN/mua-send" ] || skip "needs mua-send"
	msa
	n=0
	for mech in SCRAM-SHA-256 SCRAM-SHA-256-PLUS PLAIN; do
		: >"$T/trace"
		send "$mech" "$SECRET"
		n=$((n + 1))
		[ "$(taken)" -eq "$n" ]
		grep -qF "\"line\":\"AUTH $mech ***\"" "$T/trace"
		run grep -F "$SECRET" "$T/trace"
		[ "$status" -eq 1 ]
		run send "$mech" wrong
		[ "$status" -eq 77 ]
		[ "$(taken)" -eq "$n" ]
	done
	# The server is asked for a proof of its own: who only says 235 is not believed.
	grep -q 'mech="SCRAM-SHA-256-PLUS"' "$T/log"
}

@test "--hide-client: Received does not tell where a user is, the log does" {
	[ -x "$BIN/mua-send" ] || skip "needs mua-send"
	msa --hide-client
	send PLAIN "$SECRET"
	find "$T/msa" -path '*/msg/*' -type f -exec cat {} + >"$T/queued"
	sed -n '/^Received:/,/^[^R\t ]/p' "$T/queued" >"$T/received"
	grep -q 'Received: by msa.sender.example (waypost) with ESMTPSA id ' "$T/received"
	run grep -E '127\.0\.0\.1|TLS' "$T/received"
	[ "$status" -eq 1 ]
	grep -q 'client=127.0.0.1' "$T/log"
}

@test "a queue's smarthost: AUTH under TLS with the password of a command; without it the mail waits" {
	msa
	message | inject joe@sender.example b@example.net
	smart() {
		timeout 120 "$RELAY" run --once --now --queue="$Q" --hostname=us.example --tls-ca="$CERT" --trace="$T/trace" \
			--smarthost="smtp://joe%40sender.example@localhost:$MSA" "$@" 2>>"$T/log"
	}
	smart --password-command='echo wrong'
	[ "$(waiting)" -eq 1 ]
	[ "$(taken)" -eq 0 ]
	smart --password-command=false
	[ "$(waiting)" -eq 1 ]
	smart --password-command="cat '$T/secret'"
	[ "$(waiting)" -eq 0 ]
	[ "$(taken)" -eq 1 ]
	grep -qF '"line":"AUTH SCRAM-SHA-256-PLUS ***"' "$T/trace"
	run grep -rF "$SECRET" "$T/trace" "$T/log"
	[ "$status" -eq 1 ]
	grep -q '^user: joe@sender.example' "$(find "$T/msa" -path '*/msg/*' -type f)"
}

runner() { # OPTION...: a running queue runner: RUNNER
	"$RELAY" run --queue="$Q" --hostname=us.example "$@" 2>"$T/runlog" 3>&- &
	RUNNER=$!
	PIDS+=("$RUNNER")
	wait_for 60 grep -q 'start queue=' "$T/runlog"
}

@test "SIGHUP: routes are read again; bad ones change nothing" {
	sink
	echo '* error:550 5.7.1 closed' >"$T/routes"
	runner --routes="$T/routes"
	message | inject a@example.org b@example.net
	wait_for 60 grep -q 'to="b@example.net".*status=failed' "$T/runlog"
	echo 'nonsense' >"$T/routes"
	kill -HUP "$RUNNER"
	wait_for 60 grep -q 'routes:1: ' "$T/runlog"
	message | inject a@example.org c@example.net
	wait_for 60 grep -q 'to="c@example.net".*status=failed' "$T/runlog"
	echo "* smtp://127.0.0.1:$PORT" >"$T/routes"
	kill -HUP "$RUNNER"
	reached() { message | inject a@example.org d@example.net && wait_for 1 grep -rq '^X-Rcpt: <d@' "$SINK"; }
	wait_for 60 reached
	kill -0 "$RUNNER"
}

@test "SIGKILL of one worker in the midst of a message: it is delivered once, the others go on" {
	sink
	server=${PIDS[-1]}
	runner --smarthost="smtp://127.0.0.1:$PORT" --retry-min=1s
	message one | inject a@example.org b@example.net
	wait_for 60 grep -q 'status=relayed' "$T/runlog"
	# The server falls silent, so that the worker cannot be done with the next one.
	frozen="$server $(pgrep -P "$server" || true)"
	kill -STOP $frozen
	message two | inject a@example.org c@example.net
	at_work() { find /proc/"$(pgrep -P "$RUNNER" | head -n 1)"/fd -lname "*/msg/*" 2>/dev/null | grep -q .; }
	wait_for 60 at_work
	kill -KILL "$(pgrep -P "$RUNNER" | head -n 1)"
	kill -CONT $frozen
	message three | inject a@example.org d@example.net
	drained() { [ "$(waiting)" -eq 0 ]; }
	wait_for 60 grep -q "worker pid=.* died qid=" "$T/runlog"
	queue retry all
	wait_for 60 drained
	for to in b c d; do
		[ "$(grep -l "^X-Rcpt: <$to@" "$SINK"/0* | wc -l)" -eq 1 ]
	done
	kill -0 "$RUNNER"
}
