#!/usr/bin/env bats
# BINARYMIME (RFC 3030) all the way: taken by BDAT, kept, passed on as it is, and re-encoded for who takes lines only.
# shellcheck disable=SC2154,SC2016,SC2034,SC2059,SC2001

load queue
bats_require_minimum_version 1.5.0

setup() {
	queue_setup
	BIN=${BUILD:-$TOP/../build}/bin
	T=$BATS_TEST_TMPDIR
	HEAD='Subject: b\r\nMIME-Version: 1.0\r\nContent-Type: multipart/mixed; boundary=b\r\nContent-Transfer-Encoding: binary\r\n\r\n'
	TEXT='--b\r\n\r\n\xc3\xa4 is a letter of this text\r\n'
	DATA='--b\r\nContent-Type: application/x\r\nContent-Transfer-Encoding: binary\r\n\r\nx\n\0\r.\r\n\x80\r\n--b--\r\n'
}
teardown() { queue_teardown; }

# NAME OPTION...: a server; its port in $port.
listen() {
	local name=$1
	shift
	"$RELAY" serve --listen=127.0.0.1:0 --ready-file="$T/$name.ready" --hostname="$name.example" "$@" 2>>"$T/log" 3>&- &
	PIDS+=($!)
	wait_for 60 test -s "$T/$name.ready"
	port=$(sed -n 's/.*://p' "$T/$name.ready" | head -n 1)
}

# CONTENT [PARAMETERS]: sent to $port, what the server says.
send() {
	printf '%s\n' 'EHLO client.example' "MAIL FROM:<a@client.example> BODY=BINARYMIME ${2-}" 'RCPT TO:<u@here.example>' \
		"BDAT=$1" QUIT | timeout 120 "$TOP/lib/smtp-say" "$port"
}

# The content of a queue file, without the trace field that was put before it.
content() {
	perl -0777 -ne '/\A.*?\nsize: 0*(\d+)\n.*?\n\n/s or die; $_ = substr($_, $+[0], $1); s/\AReceived:.*?\r\n(?!\s)//s while /\AReceived:/; print' "$1"
}

bytes() { printf "$(sed 's/\\0/\\000/g' <<<"$1")"; }

@test "binary MIME is taken by BDAT only, kept to the byte and passed on as it is" {
	listen two --domains=here.example --queue="$T/q2"
	two=$port
	listen one --domains=here.example --queue="$Q"
	send "$HEAD$TEXT$DATA" >"$T/said"
	grep -q '^250-BINARYMIME$' "$T/said"
	grep -q '^250 2.0.0 Ok: queued' "$T/said"
	bytes "$HEAD$TEXT$DATA" >"$T/want"
	content "$(find "$Q" -path '*/msg/*' -type f)" | cmp - "$T/want"
	grep -aq '^flags: binarymime$' "$(find "$Q" -path '*/msg/*' -type f)"
	PORT=$two
	run_queue
	[ "$(waiting)" -eq 0 ]
	content "$(find "$T/q2" -path '*/msg/*' -type f)" | cmp - "$T/want"
	printf '%s\n' 'EHLO x' 'MAIL FROM:<> BODY=BINARYMIME' 'RCPT TO:<u@here.example>' DATA QUIT |
		"$TOP/lib/smtp-say" "$port" | grep -q '^503 5.5.1 '
}

@test "for a next hop without BINARYMIME it is re-encoded: 8-bit text stays where that is taken" {
	listen one --domains=here.example --queue="$Q"
	for ext in 8BITMIME SIZE; do
		send "$HEAD$TEXT$DATA" | grep -q '^250 2.0.0 Ok: queued'
		sink --ext=PIPELINING --ext="$ext"
		run_queue
		[ "$(waiting)" -eq 0 ]
	done
	grep -q '^X-From: <a@client.example> BODY=8BITMIME' "$SINK/0001"
	[ "$(grep -c $'^Content-Transfer-Encoding: 8bit\r$' "$SINK/0001")" -eq 1 ]
	grep -q $'^\xc3\xa4 is a letter' "$SINK/0001"
	grep -q $'^=C3=A4 is a letter' "$SINK/0002"
	if grep -q 'BODY=' "$SINK/0002"; then false; fi
	for n in 1 2; do
		[ "$(tr -d '\r' <"$SINK/000$n" | sed -n '/base64/,/--b--/{/^[A-Za-z0-9+/]*=*$/p}' | base64 -d | od -An -c | tr -d ' ')" = \
			"$(printf 'x\n\0\r.\r\n\200' | od -An -c | tr -d ' ')" ]
	done
}

@test "what can't be re-encoded is returned: 5.6.3, and nothing of it was sent" {
	listen one --domains=here.example --queue="$Q"
	signed="Subject: s\r\nContent-Type: multipart/signed; boundary=b\r\n\r\n--b\r\n\r\nx\ny\r\n--b\r\n\r\ns\r\n--b--\r\n"
	send "$signed" RET=FULL | grep -q '^250 2.0.0 Ok: queued'
	sink
	run_queue
	run_queue
	[ "$(kept)" -eq 1 ]
	if grep -q 'MAIL FROM:<a@client' "$SINK/log"; then false; fi
	grep -q $'^Status: 5.6.3\r$' "$SINK/0001"
	grep -q $'^Content-Type: text/rfc822-headers\r$' "$SINK/0001"
}

@test "an MDA with BINARYMIME gets it by BDAT, and stores text; one without gets text" {
	printf 'u@here.example::%s:%s::%s:\n' "$(id -u)" "$(id -g)" "$T/home" >"$T/users"
	mkdir -p "$T/home"
	listen one --domains=here.example --queue="$Q" --mda="lmtp:|$BIN/mda-deliver --lmtp --users=$T/users --mail=maildir:$T/box" \
		--trace="$T/trace"
	send "$HEAD$TEXT$DATA" | tee "$T/said" | grep -q '^250 2.0.0 Ok: delivered'
	grep -q 'BODY=BINARYMIME' "$T/trace"
	file=$(find "$T/box" -path '*/new/*' -type f)
	grep -q '^Content-Transfer-Encoding: base64$' "$file"
	grep -q $'^\xc3\xa4 is a letter' "$file"
	[ "$(sed -n '/base64/,/--b--/{/^[A-Za-z0-9+/]*=*$/p}' "$file" | base64 -d | od -An -c | tr -d ' ')" = \
		"$(printf 'x\n\0\r.\r\n\200' | od -An -c | tr -d ' ')" ]
	listen lines --domains=here.example --queue="$Q" --mda="lmtp:|$TOP/lmtp-sink $T/out"
	send "$HEAD$TEXT$DATA" | grep -q '^250 2.0.0 Ok: delivered'
	grep -q '^Content-Transfer-Encoding: base64' "$T/out"
	if grep -q 'BINARYMIME' "$T/out.commands"; then false; fi
	# What can't become text is refused at once.
	send "Subject: s\r\nContent-Type: multipart/mixed; boundary=b\r\n\r\n\0\r\n--b--\r\n" | grep -q '^554 5.6.3 '
}

@test "inject: 8-bit content says so, binary MIME is taken to the byte, what is no text is encoded otherwise" {
	file() { find "$Q" -path '*/msg/*' -type f; }
	printf 'Subject: x\n\nGr\303\274\303\237e\n' | inject a@client.example u@far.example
	grep -q '^flags: 8bitmime$' "$(file)"
	sink --ext=8BITMIME
	run_queue
	grep -q '^X-From: <a@client.example> BODY=8BITMIME' "$SINK/0001"
	bytes "$HEAD$TEXT$DATA" >"$T/want"
	inject a@client.example --binarymime u@far.example <"$T/want"
	grep -aq '^flags: binarymime$' "$(file)"
	content "$(file)" | cmp - "$T/want"
	rm "$(file)"
	run -65 inject a@client.example --binarymime u@far.example < <(printf 'Subject: x\n\n\0')
	printf 'Subject: x\n\none\rtwo\n' | inject a@client.example u@far.example
	grep -q '^one=0Dtwo' "$(file)"
	run ! grep -q '^flags' "$(file)"
	rm "$(file)"
	run -65 inject a@client.example u@far.example < <(printf 'Content-Type: multipart/signed; boundary=b\n\n--b\n\nx\ry\n--b\n\ns\n--b--\n')
	[ "$(waiting)" -eq 0 ]
}

@test "7-bit content that was announced as 8BITMIME goes to who has no 8BITMIME" {
	listen one --domains=here.example --queue="$Q"
	printf '%s\n' 'EHLO x' 'MAIL FROM:<a@client.example> BODY=8BITMIME' 'RCPT TO:<u@here.example>' 'BDAT=Subject: x\r\n\r\ny\r\n' QUIT |
		"$TOP/lib/smtp-say" "$port" | grep -q '^250 2.0.0 Ok: queued'
	sink --ext=SIZE
	run_queue
	[ "$(waiting)" -eq 0 ]
	[ "$(kept)" -eq 1 ]
	if grep -q 'BODY=' "$SINK/0001"; then false; fi
}
