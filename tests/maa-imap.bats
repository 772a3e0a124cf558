#!/usr/bin/env bats
# maa-serve --imap as clients meet it: curl, mutt, mbsync, openssl, and two sessions at once.

setup() {
	TOP=$BATS_TEST_DIRNAME/..
	MAA=${BUILD:-$TOP/build}/bin/maa-serve
	. "$BATS_TEST_DIRNAME/maa.bash"
	maa_setup imap
}

teardown() { maa_teardown; }

imap() { curl -sS --max-time 120 -u bob:sesame "$@"; }

@test "curl reads, searches, uploads and files" {
	maa_message one $'Subject: one\n\nhello\n'
	maa_start --auth-without-tls
	imap "imap://$ADDR/INBOX;UID=1" >"$DIR/got"
	printf 'Subject: one\r\n\r\nhello\r\n' | cmp - "$DIR/got"
	run imap "imap://$ADDR/INBOX;UID=1;SECTION=TEXT"
	[ "$output" = $'hello\r' ]
	run imap "imap://$ADDR/INBOX?SUBJECT%20one"
	[ "$output" = $'* SEARCH 1\r' ]
	printf 'Subject: up\r\n\r\nloaded\r\n' >"$DIR/up"
	imap -T "$DIR/up" "imap://$ADDR/INBOX"
	imap "imap://$ADDR/INBOX;UID=2" | cmp - "$DIR/up"
	# Stored with LF, and with its sizes in the name.
	find "$MAIL" -name '*,S=20,W=23*' -exec cat {} + | cmp - <(printf 'Subject: up\n\nloaded\n')
	imap "imap://$ADDR/" -X 'CREATE Work'
	imap "imap://$ADDR/INBOX" -X 'UID MOVE 2 Work'
	[ -n "$(find "$MAIL/.Work/cur" -type f)" ]
	[ "$(maa_count)" -eq 1 ]
}

@test "STARTTLS: nothing said before it survives, and the tag is answered" {
	maa_cert
	maa_start --tls-cert="$DIR/cert.pem"
	run imap -k --ssl-reqd "imap://$ADDR/" -X 'STATUS INBOX (MESSAGES)'
	[[ $output == *"STATUS INBOX (MESSAGES 0)"* ]]
	# LOGIN in the same segment as STARTTLS.
	printf 'a STARTTLS\r\nb LOGIN bob sesame\r\n' | maa_raw >"$DIR/out"
	grep -q '^a BAD nothing may follow' "$DIR/out"
	! grep -q '^b' "$DIR/out" || false
	# LOGIN after the OK, before the handshake: it is no ClientHello.
	perl -MIO::Socket::INET -e '
		my $s = IO::Socket::INET->new(PeerAddr => $ARGV[0]) or die; alarm 120; $s->autoflush(1);
		<$s>; print $s "a STARTTLS\r\n"; print scalar <$s>; print $s "b LOGIN bob sesame\r\n"; print while <$s>' \
		"$ADDR" >"$DIR/out"
	head -n 1 "$DIR/out" | grep -q '^a OK'
	! grep -aq '^b' "$DIR/out" || false
	# Before TLS no login, and the list says so; after it no STARTTLS.
	printf 'a LOGIN bob sesame\r\nb CAPABILITY\r\nc LOGOUT\r\n' | maa_raw >"$DIR/out"
	grep -q '^a NO \[PRIVACYREQUIRED\]' "$DIR/out"
	grep -q '^\* CAPABILITY .*STARTTLS LOGINDISABLED' "$DIR/out"
	printf 'a LOGIN bob sesame\r\nb CAPABILITY\r\nc STARTTLS\r\nd LOGOUT\r\n' |
		openssl s_client -connect "$ADDR" -starttls imap -quiet -ign_eof >"$DIR/out" 2>/dev/null
	grep -q '^a OK' "$DIR/out"
	grep -q '^c BAD' "$DIR/out"
	! grep -q '^\* .*STARTTLS' "$DIR/out" || false
}

@test "implicit TLS, and a certificate that is replaced while it runs" {
	maa_cert
	maa_start_tls --tls-cert="$DIR/cert.pem"
	run imap -k "imaps://$ADDR/" -X NAMESPACE
	[[ $output == *NAMESPACE* ]]
	fingerprint() {
		openssl s_client -connect "$ADDR" </dev/null 2>/dev/null | openssl x509 -noout -fingerprint
	}
	before=$(fingerprint)
	maa_cert
	kill -HUP "${PIDS[0]}"
	changed() { [ "$(fingerprint)" != "$before" ]; }
	wait_for 60 changed
}

@test "what others do is told: new mail, flags, removal; in IDLE at once" {
	maa_message one $'1\n'
	maa_message two $'2\n'
	maa_talk --preauth=bob
	maa_say 'a SELECT INBOX'
	maa_expect 'a OK'
	maa_say 'b IDLE'
	maa_expect '+ idling'
	printf 'Subject: new\n\nx\n' >"$MAIL/tmp/three" && mv "$MAIL/tmp/three" "$MAIL/new/three"
	maa_expect '* 3 EXISTS'
	mv "$MAIL/cur/one:2," "$MAIL/cur/one:2,F"
	maa_expect '* 1 FETCH (FLAGS (\Flagged'
	rm "$MAIL/cur/two:2,"
	maa_expect '* 2 EXPUNGE'
	maa_say DONE
	maa_expect 'b OK'
	maa_say 'c UID FETCH 1:* UID'
	maa_next '* 1 FETCH (UID 1)'
	maa_next '* 2 FETCH (UID 3)'
	maa_hangup
}

@test "numbers stay while others remove: EXPUNGE is told only where it may be" {
	for i in 1 2 3; do maa_message "m$i" "$i"$'\n'; done
	maa_talk --preauth=bob
	maa_say 'a SELECT INBOX'
	maa_expect 'a OK'
	rm "$MAIL/cur/m2:2,"
	maa_say 'b FETCH 1:3 BODY.PEEK[]'
	maa_expect 'b NO [EXPUNGEISSUED]'
	maa_say 'c FETCH 3 UID'
	maa_next '* 3 FETCH (UID 3)'
	maa_next 'c OK'
	maa_say 'd UID FETCH 1:3 BODY.PEEK[]'
	maa_expect 'd OK'
	maa_say 'e NOOP'
	maa_next 'e OK'
	maa_say 'f FETCH 1:* UID'
	maa_next '* 1 FETCH (UID 1)'
	maa_next '* 2 FETCH (UID 3)'
	maa_hangup
}

@test "two sessions on one mailbox agree on UIDs, flags and keywords" {
	maa_start --auth-without-tls
	for i in $(seq 10); do printf 'Subject: %d\r\n\r\n.\r\n' "$i" >"$DIR/m$i"; done
	for i in 1 2 3 4 5; do imap -T "$DIR/m$i" "imap://$ADDR/INBOX" & done
	for i in 6 7 8 9 10; do imap -T "$DIR/m$i" "imap://$ADDR/INBOX"; done
	for job in $(jobs -p); do [ "$job" = "${PIDS[0]}" ] || wait "$job"; done
	run imap "imap://$ADDR/INBOX" -X 'FETCH 1:* UID'
	[ "${#lines[@]}" -eq 10 ]
	[ "$(printf '%s\n' "${lines[@]}" | sort -u | wc -l)" -eq 10 ]
	imap "imap://$ADDR/INBOX" -X 'STORE 3 +FLAGS ($Work \Answered)' >/dev/null
	run imap "imap://$ADDR/INBOX" -X 'SEARCH KEYWORD $Work ANSWERED'
	[ "$output" = $'* SEARCH 3\r' ]
	grep -q '\$Work' "$MAIL/dovecot-keywords"
}

@test "mbsync synchronises both ways" {
	command -v mbsync >/dev/null || skip "needs mbsync"
	maa_message one $'Subject: one\nMessage-ID: <1@x>\n\nhello\n' S
	maa_message two $'Subject: two\nMessage-ID: <2@x>\n\n\nworld\n' F
	mkdir -p "$DIR/box" "$DIR/state"
	maa_start --auth-without-tls
	cat >"$DIR/mbsyncrc" <<-END
		IMAPAccount a
		Host 127.0.0.1
		Port ${ADDR##*:}
		User bob
		Pass sesame
		SSLType None
		AuthMechs LOGIN

		IMAPStore far
		Account a

		MaildirStore near
		Path $DIR/box/
		Inbox $DIR/box/INBOX
		SubFolders Verbatim

		Channel c
		Far :far:
		Near :near:
		Patterns *
		Create Both
		Expunge Both
		SyncState $DIR/state/
	END
	imap "imap://$ADDR/" -X 'CREATE Work'
	mbsync -c "$DIR/mbsyncrc" c
	[ "$(find "$DIR/box/INBOX" -type f -name "*U=*" | wc -l)" -eq 2 ]
	grep -l '^Subject: two' -r "$DIR/box/INBOX/cur" "$DIR/box/INBOX/new" | grep -q ':2,F$'
	[ -d "$DIR/box/Work" ]
	# A message filed on the near side, a flag set and a message removed there.
	printf 'Subject: three\nMessage-ID: <3@x>\n\nnear\n' >"$DIR/box/Work/cur/1.x.y:2,S"
	rm "$(grep -l '^Subject: one' -r "$DIR/box/INBOX/cur" "$DIR/box/INBOX/new")"
	two=$(grep -l '^Subject: two' -r "$DIR/box/INBOX/cur" "$DIR/box/INBOX/new")
	mv "$two" "${two%:2,*}:2,FS"
	mbsync -c "$DIR/mbsyncrc" c
	[ "$(maa_count)" -eq 1 ]
	find "$MAIL/cur" -name '*:2,FS' | grep -q .
	grep -q '^near' "$MAIL"/.Work/cur/*
	# A third run has nothing to do.
	mbsync -c "$DIR/mbsyncrc" -V c >"$DIR/third" 2>&1
	! grep -q 'UID [0-9]* *new' "$DIR/third" || false
	[ "$(find "$MAIL/.Work" -type f -path '*/cur/*' | wc -l)" -eq 1 ]
}

@test "mutt opens the mailbox and shows a message" {
	command -v mutt >/dev/null || skip "needs mutt"
	maa_message one $'From: a@x\nSubject: one\nContent-Type: text/plain; charset=utf-8\n\nhello mutt\n'
	maa_start --auth-without-tls
	cat >"$DIR/muttrc" <<-END
		set imap_user=bob imap_pass=sesame ssl_starttls=no ssl_force_tls=no folder=imap://$ADDR/
		set move=no delete=yes quit=yes confirmappend=no confirmcreate=no spoolfile=imap://$ADDR/INBOX header_cache='' wait_key=no pager_index_lines=0
	END
	TERM=xterm HOME=$DIR timeout 120 script -qec \
		"mutt -n -F $DIR/muttrc -e 'push \"<save-message>=Box<enter><sync-mailbox><exit>\"'" "$DIR/screen" \
		</dev/null >/dev/null || true
	grep -q 'hello mutt' "$MAIL"/.Box/cur/* "$MAIL"/.Box/new/* 2>/dev/null
}

@test "checkpassword decides" {
	maa_checkpassword
	maa_start --auth-without-tls --checkpassword="$DIR/checkpassword" --login-delay=10ms
	run imap "imap://$ADDR/" -X 'STATUS INBOX (MESSAGES)'
	[[ $output == *"(MESSAGES 0)"* ]]
	printf 'a CAPABILITY\r\nb LOGIN bob no\r\nc LOGIN later x\r\nd LOGOUT\r\n' | maa_raw >"$DIR/out"
	grep -q '^b NO \[AUTHENTICATIONFAILED\]' "$DIR/out"
	grep -q '^c NO \[UNAVAILABLE\]' "$DIR/out"
	! grep -q 'AUTH=SCRAM' "$DIR/out" || false
}

@test "the trace tells who read which message, and keeps secrets out" {
	maa_message one $'Subject: one\nMessage-ID: <1@x>\n\nhello\n'
	maa_start --auth-without-tls
	imap "imap://$ADDR/INBOX;UID=1" >/dev/null
	wait_for 60 grep -q '"ev":"fetch"' "$DIR/trace"
	grep '"ev":"fetch"' "$DIR/trace" | grep -q '"role":"maa".*"mid":"<1@x>"'
	printf 'a LOGIN bob sesame\r\nb LOGOUT\r\n' | maa_raw >/dev/null
	printf 'a LOGIN {3+}\r\nbob {6+}\r\nsesame\r\nb LOGOUT\r\n' | maa_raw >/dev/null
	printf 'a LOGIN {3+}\r\nbob sesame\r\nb LOGOUT\r\n' | maa_raw >"$DIR/out"
	grep -q '^a OK' "$DIR/out"
	printf 'a AUTHENTICATE PLAIN\r\nAGJvYgBzZXNhbWU=\r\nb LOGOUT\r\n' | maa_raw >/dev/null
	! grep -qE 'sesame|AGJvYgBzZXNhbWU' "$DIR/trace" "$DIR/log" || false
}

@test "floods: literals, patterns and sets cost no memory and little time" {
	for i in 1 2 3; do maa_message "m$i" "$i"$'\n'; done
	# AddressSanitizer reserves terabytes of addresses.
	case $MAA in */san/*) ;; *) ulimit -v 400000 ;; esac
	perl -e '
		print "a SELECT INBOX\r\n";
		print "b FETCH ", join(",", ("1:*") x 9000), " UID\r\n";
		print "c LIST \"\" \"", "*%" x 400, "x\"\r\n";
		print "d LIST \"\" \"", "*%" x 4000, "x\"\r\n";
		print "e CREATE \"", "x" x 60000, "\"\r\n";
		print "f SEARCH ", "NOT " x 5000, "ALL\r\n";
		print "g NOOP\r\n";
		print "h LIST \"\" ", ("{4096+}\r\n" . "x" x 4096 . " ") x 10000, "\r\n"' >"$DIR/in"
	timeout 120 "$MAA" --imap --preauth=bob --mail="maildir:$MAIL" <"$DIR/in" >"$DIR/out"
	[ "$(grep -c '^\* . FETCH (UID .)' "$DIR/out")" -eq 3 ]
	grep -q '^b OK' "$DIR/out"
	grep -q '^c OK' "$DIR/out"
	grep -q '^d NO \[LIMIT\]' "$DIR/out"
	grep -q '^e NO' "$DIR/out"
	grep -q '^f BAD' "$DIR/out"
	grep -q '^g OK' "$DIR/out"
	tail -n 1 "$DIR/out" | grep -q '^\* BYE'
}

@test "a message of 30 MB goes in and comes out equal, in pieces too" {
	{
		printf 'Subject: large\r\n\r\n'
		head -c 22000000 /dev/urandom | base64 | sed 's/$/\r/'
	} >"$DIR/large"
	maa_start --auth-without-tls
	imap -T "$DIR/large" "imap://$ADDR/INBOX"
	imap "imap://$ADDR/INBOX;UID=1" | cmp - "$DIR/large"
	size=$(stat -c %s "$DIR/large")
	{
		printf 'a SELECT INBOX\r\n'
		for o in $(seq 0 65536 "$size"); do printf 'b UID FETCH 1 BODY.PEEK[]<%d.65536>\r\n' "$o"; done
		printf 'c LOGOUT\r\n'
	} >"$DIR/in"
	timeout 120 "$MAA" --imap --preauth=bob --mail="maildir:$MAIL" <"$DIR/in" >"$DIR/out"
	perl -e 'local $/; $_ = <STDIN>; while (/BODY\[\]<\d+> \{(\d+)\}\r\n/g) { print substr $_, pos, $1 }' \
		<"$DIR/out" | cmp - "$DIR/large"
}

@test "large messages whose names tell no size: measured and read in one FETCH, searched" {
	{ printf 'Subject: large\n\n'; head -c 300000 /dev/zero | tr '\0' x | fold -w 70; echo; } >"$MAIL/cur/one:2,"
	printf 'Subject: small\n\nx\n' >"$MAIL/cur/two:2,"
	printf '%s\r\n' 'a SELECT INBOX' 'b FETCH 1:2 (BODY.PEEK[] RFC822.SIZE BODY.PEEK[TEXT]<0.3>)' \
		'c SEARCH OR (SUBJECT large LARGER 300000) BODY nothing' 'd FETCH 1 RFC822.SIZE' |
		"$MAA" --imap --preauth=bob --mail="maildir:$MAIL" >"$DIR/out"
	size=$(($(wc -c <"$MAIL/cur/one:2,") + $(wc -l <"$MAIL/cur/one:2,")))
	grep -q "^\* 1 FETCH (BODY\[\] {$size}" "$DIR/out"
	[ "$(grep -c "RFC822.SIZE $size" "$DIR/out")" -eq 2 ]
	grep -q 'xxx)' "$DIR/out"
	grep -q $'^\* SEARCH 1\r' "$DIR/out"
}

@test "TERM lets an idle client go with BYE" {
	maa_start --auth-without-tls
	exec 4<>"/dev/tcp/127.0.0.1/${ADDR##*:}"
	printf 'a LOGIN bob sesame\r\n' >&4
	while read -r -t 60 line <&4; do [[ $line != a\ OK* ]] || break; done
	[[ $line == a\ OK* ]]
	kill -TERM "${PIDS[0]}"
	read -r -t 60 line <&4
	[[ $line == "* BYE"* ]]
	exec 4>&-
}

@test "IDLE under TLS tells new mail at once" {
	maa_cert
	maa_start_tls --tls-cert="$DIR/cert.pem"
	coproc TALK { exec openssl s_client -connect "$ADDR" -quiet -ign_eof 2>/dev/null; }
	PIDS+=("$TALK_PID")
	exec {TALK_OUT}<&"${TALK[0]}" {TALK_IN}>&"${TALK[1]}"
	maa_say 'a LOGIN bob sesame'
	maa_expect 'a OK'
	maa_say 'b SELECT INBOX'
	maa_expect 'b OK'
	maa_say 'c IDLE'
	maa_expect '+ idling'
	printf 'x\n' >"$MAIL/new/one"
	maa_expect '* 1 EXISTS'
	maa_say 'DONE'
	maa_expect 'c OK'
	maa_hangup
}

@test "started as root it becomes the user, for good" {
	[ "$(id -u)" -eq 0 ] || skip "needs root"
	home=$(mktemp -d)
	chown 65534:65534 "$home"
	printf 'bob:{PLAIN}sesame:65534:65534::%s:\n' "$home" >"$DIR/users"
	maa_start --auth-without-tls --mail=maildir:%h/Maildir
	exec 4<>"/dev/tcp/127.0.0.1/${ADDR##*:}"
	printf 'a LOGIN bob sesame\r\nb APPEND INBOX {1+}\r\nx\r\n' >&4
	while read -r -t 60 line <&4; do [[ $line != b\ OK* ]] || break; done
	owner=$(stat -c %u "$home"/Maildir/*/*,S=* | sort -u)
	as_bob=$(pgrep -u 65534 -f -- "--ready-file=$DIR/ready" | wc -l)
	printf 'c LOGOUT\r\n' >&4
	cat <&4 >/dev/null
	exec 4>&-
	# The next conversation has a process that is root again, until its own login.
	run imap "imap://$ADDR/" -X 'STATUS INBOX (MESSAGES)'
	gone() { ! pgrep -u 65534 -f -- "--ready-file=$DIR/ready" >/dev/null; }
	wait_for 60 gone
	rm -r "$home"
	[ "$owner" = 65534 ]
	[ "$as_bob" -eq 1 ]
	[[ $output == *"(MESSAGES 1)"* ]]
}

@test "killed at any moment: what was answered OK is there once, and no UID comes twice" {
	for round in 1 2 3; do
		maa_talk --preauth=bob
		{
			for i in $(seq 100); do printf 'a%d APPEND INBOX {3+}\r\n%03d\r\n' "$i" "$i"; done
		} >"$DIR/in"
		cat "$DIR/in" >&"$TALK_IN" &
		feeder=$!
		maa_expect "a$((round * 7)) OK"
		kill -9 "$TALK_PID"
		cat <&"$TALK_OUT" >>"$DIR/answers" || true
		wait "$feeder" 2>/dev/null || true
		maa_hangup
		last=$(grep -oE 'a[0-9]+ OK \[APPENDUID [0-9]+ [0-9]+' "$DIR/answers" | tail -n 1 | grep -oE '[0-9]+$' || echo 0)
		printf 'b SELECT INBOX\r\nc UID FETCH 1:* BODY.PEEK[]\r\n' |
			"$MAA" --imap --preauth=bob --mail="maildir:$MAIL" >"$DIR/out"
		next=$(grep -oE 'UIDNEXT [0-9]+' "$DIR/out" | grep -oE '[0-9]+')
		count=$(grep -oE '^\* [0-9]+ EXISTS' "$DIR/out" | grep -oE '[0-9]+')
		[ "$next" -gt "$last" ]
		[ "$count" -ge "$last" ]
		[ "$(grep -oE 'UID [0-9]+ ' "$DIR/out" | sort -u | wc -l)" -eq "$count" ]
		# Nothing cut: every message has its three bytes.
		[ "$(grep -c 'BODY\[\] {3}' "$DIR/out")" -eq "$count" ]
	done
	grep -q APPENDUID "$DIR/answers"
}
