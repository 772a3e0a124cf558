#!/usr/bin/env bats
# mra-fetch against maa-serve on loopback.

load wait
bats_require_minimum_version 1.5.0

setup() {
	TOP=$BATS_TEST_DIRNAME/..
	BIN=${BUILD:-$TOP/build}/bin
	[ -x "$BIN/maa-serve" ] || skip "needs maa-serve"
	T=$BATS_TEST_TMPDIR
	# Nothing of this machine's configuration takes part.
	export HOME="$T/home" XDG_CONFIG_HOME="$T/config" XDG_STATE_HOME="$T/state" TMPDIR="$T"
	unset WAYPOST_TRACE NETRC
	mkdir -p "$HOME" "$T/config" "$T/mail/joe"/{cur,new,tmp}
	SECRET=s3cret-$RANDOM
	(
		umask 077
		printf '%s:{PLAIN}%s::::::\n' joe "$SECRET" joe@example.org "$SECRET" >"$T/users"
		echo "$SECRET" >"$T/secret"
	)
	if [ ! -e "$BATS_FILE_TMPDIR/server.pem" ]; then
		openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 2 -subj /CN=localhost \
			-addext subjectAltName=DNS:localhost,IP:127.0.0.1 -keyout "$BATS_FILE_TMPDIR/server.key" \
			-out "$BATS_FILE_TMPDIR/server.pem" 2>/dev/null
	fi
	CERT=$BATS_FILE_TMPDIR/server.pem
	KEY=$BATS_FILE_TMPDIR/server.key
}

teardown() {
	for pid in ${PIDS-}; do
		kill "$pid" 2>/dev/null
		wait "$pid" 2>/dev/null
	done
	return 0
}

# serve imap|pop3 [,tls]: PORT
serve() {
	rm -f "$T/ready.$1"
	"$BIN/maa-serve" "--$1" --listen="127.0.0.1:0${2-}" --ready-file="$T/ready.$1" --tls-cert="$CERT" --tls-key="$KEY" \
		--users="$T/users" --mail="maildir:$T/mail/%u" 2>>"$T/log" 3>&- &
	PIDS="${PIDS-} $!"
	wait_for 60 [ -s "$T/ready.$1" ]
	PORT=$(sed 's/.*://;q' "$T/ready.$1")
}

# message N [SIZE]: into joe's inbox
message() {
	{
		printf 'From: a@example.org\nTo: joe@example.org\nSubject: number %s\nMessage-ID: <%s@example.org>\n\n' "$1" "$1"
		printf 'Text of %s.\n.\n..dots\n' "$1"
		if [ -n "${2-}" ]; then
			head -c "$2" /dev/zero | tr '\0' 'x' | fold -w 70
			echo
		fi
	} >"$T/mail/joe/tmp/$1"
	mv "$T/mail/joe/tmp/$1" "$T/mail/joe/new/1700000000.M$1.host"
}

fetch() {
	"$BIN/mra-fetch" --password-command="cat '$T/secret'" --tls-ca="$CERT" "$@"
}

count() { find "$1/new" "$1/cur" -type f 2>/dev/null | wc -l; }
has() { [ "$(count "$1")" -eq "$2" ]; }
subjects() { find "$1/new" "$1/cur" -type f -exec grep -h '^Subject:' {} + | sort; }

@test "imaps: everything once, then only what is new, byte for byte" {
	serve imap ,tls
	for i in 1 2 3; do message $i; done
	message 4 300000
	fetch --to="maildir:$T/got" "imaps://joe@localhost:$PORT/INBOX"
	has "$T/got" 4
	for i in 1 2 3 4; do
		cmp "$(grep -rlx "Subject: number $i" "$T/got")" "$(grep -rlx "Subject: number $i" "$T/mail/joe")"
	done
	fetch --to="maildir:$T/got" "imaps://joe@localhost:$PORT/INBOX"
	has "$T/got" 4
	message 5
	fetch --to="maildir:$T/got" "imaps://joe@localhost:$PORT/INBOX"
	has "$T/got" 5
	has "$T/mail/joe" 5
}

@test "pop3s: everything once, then only what is new, byte for byte" {
	serve pop3 ,tls
	for i in 1 2 3; do message $i; done
	message 4 300000
	fetch --to="maildir:$T/got" "pop3s://joe@localhost:$PORT"
	has "$T/got" 4
	for i in 1 2 3 4; do
		cmp "$(grep -rlx "Subject: number $i" "$T/got")" "$(grep -rlx "Subject: number $i" "$T/mail/joe")"
	done
	message 5
	fetch --to="maildir:$T/got" "pop3s://joe@localhost:$PORT"
	has "$T/got" 5
}

@test "STARTTLS and STLS are required unless told otherwise" {
	message 1
	for proto in imap pop3; do
		serve $proto
		fetch --to="maildir:$T/got.$proto" "$proto://joe@localhost:$PORT"
		has "$T/got.$proto" 1
		# Without TLS no password is shown, unless the user says so.
		run fetch --starttls=never --auth=PLAIN --trace="$T/trace" --to="maildir:$T/clear.$proto" \
			"$proto://joe@localhost:$PORT"
		[ "$status" -eq 77 ]
		has "$T/clear.$proto" 0
		"$BIN/maa-serve" "--$proto" --listen=127.0.0.1:0 --ready-file="$T/ready.bare" --users="$T/users" --auth-without-tls \
			--mail="maildir:$T/mail/%u" 2>>"$T/log" 3>&- &
		PIDS="$PIDS $!"
		wait_for 60 [ -s "$T/ready.bare" ]
		PORT=$(sed 's/.*://;q' "$T/ready.bare")
		rm -f "$T/ready.bare"
		run fetch --to="maildir:$T/clear.$proto" "$proto://joe@localhost:$PORT"
		[ "$status" -eq 75 ]
		[[ "$output" == *"offers no ST"* ]]
		fetch --starttls=never --auth=PLAIN --allow-plaintext --to="maildir:$T/clear.$proto" "$proto://joe@localhost:$PORT"
		has "$T/clear.$proto" 1
	done
}

@test "a certificate that nobody vouches for is refused; its fingerprint helps" {
	serve imap ,tls
	message 1
	run "$BIN/mra-fetch" --password-command="cat '$T/secret'" --to="maildir:$T/got" "imaps://joe@localhost:$PORT"
	[ "$status" -eq 75 ]
	[[ "$output" == *"certificate verify failed"*"(host localhost)"* ]]
	print=$(openssl x509 -in "$CERT" -noout -fingerprint -sha256 | sed 's/.*=//')
	"$BIN/mra-fetch" --password-command="cat '$T/secret'" --tls-fingerprint="$print" --to="maildir:$T/got" \
		"imaps://joe@localhost:$PORT"
	has "$T/got" 1
}

@test "a wrong password is 77 and never shown" {
	serve imap ,tls
	run "$BIN/mra-fetch" --password-command='echo wrong-secret' --tls-ca="$CERT" --trace="$T/trace" --to="maildir:$T/got" \
		"imaps://joe@localhost:$PORT"
	[ "$status" -eq 77 ]
	[[ "$output" == *"authentication failed"* ]]
	run grep -c . "$T/trace"
	[ "$output" -gt 3 ]
	run grep -F -e wrong-secret -e "$(printf '\0joe\0wrong-secret' | base64)" "$T/trace"
	[ "$status" -eq 1 ]
}

@test "nothing of a SCRAM exchange is in the trace, whoever says it" {
	message 1
	for proto in imap pop3; do
		serve "$proto" ,tls
		fetch --auth=SCRAM-SHA-256 --trace="$T/trace" --to="maildir:$T/got.$proto" "${proto}s://joe@localhost:$PORT"
	done
	[ "$(grep -c '"line":"[^"]*AUTH[A-Z]* SCRAM-SHA-256 \*\*\*"' "$T/trace")" -eq 2 ]
	[ "$(grep -c '"dir":"<","line":"\*\*\*"' "$T/trace")" -ge 2 ]
	run grep -E '"line":"\+ ?[A-Za-z0-9]{8}|cj1|dj1' "$T/trace"
	[ "$status" -eq 1 ]
}

@test "--delete deletes what is safe here, and nothing else" {
	for i in 1 2 3; do message $i; done
	serve imap ,tls
	fetch --delete --to="maildir:$T/got" "imaps://joe@localhost:$PORT"
	has "$T/got" 3
	has "$T/mail/joe" 0
	for i in 4 5; do message $i; done
	serve pop3 ,tls
	run fetch --delete --to='|exit 75' "pop3s://joe@localhost:$PORT"
	[ "$status" -eq 75 ]
	has "$T/mail/joe" 2
	fetch --delete --to="maildir:$T/got" "pop3s://joe@localhost:$PORT"
	has "$T/got" 5
	has "$T/mail/joe" 0
}

@test "a command gets each message whole on stdin; one that it refuses stays new" {
	serve imap ,tls
	for i in 1 2; do message $i; done
	cat >"$T/take" <<-'END'
		cat >"$T/in"
		grep -q 'Subject: number 1' "$T/in" && exit 65
		cat "$T/in" >>"$T/taken"
	END
	export T
	run fetch --to="|sh $T/take" "imaps://joe@localhost:$PORT"
	[ "$status" -eq 69 ]
	cmp "$T/taken" "$(grep -rlx 'Subject: number 2' "$T/mail/joe")"
	: >"$T/take"
	echo "cat >>$T/taken2" >"$T/take"
	fetch --to="|sh $T/take" "imaps://joe@localhost:$PORT"
	cmp "$T/taken2" "$(grep -rlx 'Subject: number 1' "$T/mail/joe")"
}

@test "an mbox" {
	serve pop3 ,tls
	for i in 1 2; do message $i; done
	fetch --to="mbox:$T/box" "pop3s://joe@localhost:$PORT"
	[ "$(grep -c '^From ' "$T/box")" -eq 2 ]
	[ "$(grep -c '^Subject: number' "$T/box")" -eq 2 ]
}

@test "LMTP to mda-deliver" {
	[ -x "$BIN/mda-deliver" ] || skip "needs mda-deliver"
	serve imap ,tls
	message 1
	"$BIN/mda-deliver" --lmtp --listen="unix:$T/lmtp" --ready-file="$T/ready.lmtp" --users="$T/users" \
		--mail="maildir:$T/lda/%n" 2>>"$T/log" 3>&- &
	PIDS="$PIDS $!"
	wait_for 60 [ -s "$T/ready.lmtp" ]
	fetch --to="lmtp:unix:$T/lmtp" --rcpt=joe@example.org "imaps://joe@localhost:$PORT"
	has "$T/lda/joe" 1
	# One recipient that is refused: not done with, and still new.
	run fetch --to="lmtp:unix:$T/lmtp" --rcpt=nobody@example.org --state="$T/other" "imaps://joe@localhost:$PORT"
	[ "$status" -eq 69 ]
	[[ "$output" == *"<nobody@example.org>"* ]]
	run --separate-stderr fetch --check --to="lmtp:unix:$T/lmtp" --state="$T/other" "imaps://joe@localhost:$PORT"
	[ "${#lines[@]}" -eq 1 ]
}

@test "--limit, --max-size, --check and --json" {
	serve imap ,tls
	for i in 1 2 3; do message $i; done
	message 4 300000
	url="imaps://joe@localhost:$PORT"
	run --separate-stderr fetch --check --to="maildir:$T/got" "$url"
	[ "${#lines[@]}" -eq 4 ]
	[ "$(count "$T/got")" -eq 0 ]
	fetch --limit=1 --to="maildir:$T/got" "$url"
	has "$T/got" 1
	run --separate-stderr fetch --max-size=10k --json --to="maildir:$T/got" "$url"
	has "$T/got" 3
	[ "${#lines[@]}" -eq 2 ]
	[[ "${lines[0]}" == *'"result":"ok"'* ]]
	fetch --to="maildir:$T/got" "$url"
	has "$T/got" 4
}

@test "accounts of the configuration, at once; .netrc must be private" {
	serve imap ,tls
	imap=$PORT
	serve pop3 ,tls
	message 1
	printf '[common]\n[account one]\nurl = imaps://joe@localhost:%s\nto = maildir:%s/one\ntls-ca = %s\n' "$imap" "$T" "$CERT" \
		>"$T/config/waypost.conf"
	printf '[account two]\nurl = pop3s://localhost:%s\nto = maildir:%s/two\ntls-ca = %s\n' "$PORT" "$T" "$CERT" \
		>>"$T/config/waypost.conf"
	printf 'machine localhost\nlogin joe password "%s"\n' "$SECRET" >"$HOME/.netrc"
	chmod 644 "$HOME/.netrc"
	run "$BIN/mra-fetch" --account=one
	[ "$status" -eq 78 ]
	chmod 600 "$HOME/.netrc"
	"$BIN/mra-fetch" --account=one --account=two
	has "$T/one" 1
	has "$T/two" 1
	run "$BIN/mra-fetch" --account=three
	[ "$status" -eq 78 ]
}

@test "an account's section serves mua-send too: neither takes offence at the other's keys" {
	[ -x "$BIN/mua-send" ] || skip "needs mua-send"
	mkdir -p "$XDG_CONFIG_HOME"
	asked=0
	for key in $("$BIN/mra-fetch" --help | sed -n 's/.*--\([a-z-]*\).*/\1/p') \
		$("$BIN/mua-send" --help | sed -n 's/.*--\([a-z-]*\).*/\1/p'); do
		printf '[account a]\n%s = %s\n' "$key" "$T/value" >"$XDG_CONFIG_HOME/waypost.conf"
		fetches=$("$BIN/mra-fetch" -A a 2>&1 </dev/null) || true
		sends=$(echo text | "$BIN/mua-send" -n -A a joe@example.org 2>&1) || true
		# What neither of them has for a key is for the command line only.
		[[ $fetches == *'unknown key'* && $sends == *'unknown key'* ]] && continue
		echo "$key: $fetches / $sends"
		[[ $fetches$sends != *'unknown key'* ]]
		asked=$((asked + 1))
	done
	[ "$asked" -gt 40 ]
	printf '[account a]\nserve = smtp://x\n' >"$XDG_CONFIG_HOME/waypost.conf"
	run "$BIN/mra-fetch" -A a
	[ "$status" -eq 78 ]
	run "$BIN/mua-send" -n -A a joe@example.org <<<text
	[ "$status" -eq 78 ]
}

@test "--idle fetches what comes, reconnects, and ends in good order on SIGTERM" {
	serve imap ,tls
	message 1
	"$BIN/mra-fetch" --password-command="cat '$T/secret'" --tls-ca="$CERT" --idle --to="maildir:$T/got" \
		"imaps://joe@localhost:$PORT" 2>"$T/idle.log" 3>&- &
	idle=$!
	PIDS="$PIDS $idle"
	wait_for 60 has "$T/got" 1
	message 2
	wait_for 60 has "$T/got" 2
	kill "$idle"
	wait "$idle"
}

@test "killed at any moment: nothing is lost" {
	serve imap ,tls
	for i in $(seq 60); do message "$i" 3000; done
	for delay in 0.03 0.05 0.07 0.09 0.12; do
		timeout -s KILL $delay "$BIN/mra-fetch" --password-command="cat '$T/secret'" --tls-ca="$CERT" --delete \
			--to="maildir:$T/got" "imaps://joe@localhost:$PORT" 2>/dev/null || true
	done
	# The last one that was killed has its lock until it is gone.
	wait_for 60 fetch --delete --to="maildir:$T/got" "imaps://joe@localhost:$PORT"
	[ "$(subjects "$T/got" | uniq | wc -l)" -eq 60 ]
	has "$T/mail/joe" 0
}

@test "a new UIDVALIDITY fetches everything again" {
	serve imap ,tls
	message 1
	fetch --to="maildir:$T/got" "imaps://joe@localhost:$PORT"
	sed -i '1s/ V[0-9]*/ V4711/' "$T/mail/joe/dovecot-uidlist"
	message 2
	fetch --to="maildir:$T/got" "imaps://joe@localhost:$PORT"
	[ "$(subjects "$T/got" | uniq | wc -l)" -eq 2 ]
	has "$T/got" 3
}

@test "two at once: the second waits for another time" {
	serve imap ,tls
	"$BIN/mra-fetch" --password-command="cat '$T/secret'" --tls-ca="$CERT" --idle --to="maildir:$T/got" \
		"imaps://joe@localhost:$PORT" 2>/dev/null 3>&- &
	PIDS="$PIDS $!"
	wait_for 60 [ -e "$T/got/new" ]
	wait_for 60 eval 'ls "$T/state/waypost/"*.lock >/dev/null 2>&1'
	run fetch --to="maildir:$T/got" "imaps://joe@localhost:$PORT"
	[ "$status" -eq 75 ]
	[[ "$output" == *"another mra-fetch"* ]]
}

@test "usage" {
	run "$BIN/mra-fetch" --to=maildir:/nonexistent
	[ "$status" -eq 64 ]
	run "$BIN/mra-fetch" --to=nowhere imaps://joe@localhost --password-command='echo x'
	[ "$status" -eq 64 ]
	run "$BIN/mra-fetch" --keep --delete --to=maildir:x imaps://joe@localhost
	[ "$status" -eq 64 ]
	run "$BIN/mra-fetch" --idle --to=maildir:x pop3s://joe@localhost
	[ "$status" -eq 64 ]
	run "$BIN/mra-fetch" --help
	[ "$status" -eq 0 ]
}
