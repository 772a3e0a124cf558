#!/usr/bin/env bats
# mta-relay serve and explain: what tables make of addresses, and senders of mail that goes on.
# shellcheck disable=SC2154,SC2016,SC2034

bats_require_minimum_version 1.5.0
load wait

setup() {
	BIN=${BUILD:-build}/bin
	RELAY=$BIN/mta-relay
	T=$BATS_TEST_TMPDIR
	printf '%s\n' 'alice@here.example:{PLAIN}secret::::::' 'bob@here.example:{PLAIN}other::::::' >"$T/users"
	printf '%s\n' 'postmaster: alice' 'out: carol@far.example' 'gone: :fail: She left, sorry' >"$T/aliases"
	cat >"$T/virtual" <<-E
		# shop
		shop.example            -
		sales@shop.example      bob@here.example,
		                        dave@far.example
		moved@shop.example      error:551 5.1.6 now moved@far.example
		dead@shop.example       error:556 5.1.10 no mail there
		@old.example            @here.example
	E
	PIDS=()
}

teardown() {
	for pid in "${PIDS[@]}"; do
		kill "$pid" 2>/dev/null || continue
		wait "$pid" 2>/dev/null || true
	done
}

# On stdin, LF line ends.
serve() {
	"$RELAY" serve --hostname=mx.here.example --domains=here.example --queue="$T/queue" "$@" 2>>"$T/log" | tr -d '\r'
}

# The replies to RCPT for each address, as a stranger.
rcpts() {
	local options=() a
	while [ "$1" != -- ]; do options+=("$1") && shift; done
	shift
	{
		printf 'EHLO c.example\nMAIL FROM:<eve@else.example>\n'
		for a; do printf 'RCPT TO:<%s>\n' "$a"; done
		printf 'QUIT\n'
	} | serve --users="$T/users" --aliases="$T/aliases" "${options[@]}" | sed -n '/2\.1\.0/,/^221/p' | sed '1d;$d'
}

@test "a file of virtual addresses, error texts, domains that lead to another" {
	run rcpts --virtual="$T/virtual" -- sales@shop.example Sales+x@SHOP.example other@shop.example \
		moved@shop.example dead@shop.example alice@old.example nobody@old.example x@else.example gone@here.example
	echo "$output"
	[[ ${lines[0]} == '250 2.1.5 '* ]]
	[[ ${lines[1]} == '250 2.1.5 '* ]]
	[[ ${lines[2]} == '550 5.1.1 '* ]]
	[[ ${lines[3]} == '551 5.1.6 now moved@far.example' ]]
	[[ ${lines[4]} == '556 5.1.10 no mail there' ]]
	[[ ${lines[5]} == '250 2.1.5 '* ]]
	[[ ${lines[6]} == '550 5.1.1 '* ]]
	[[ ${lines[7]} == '550 5.7.1 '* ]]
	[[ ${lines[8]} == '550 5.1.1 She left, sorry' ]]
	[ "${#lines[@]}" -eq 9 ]
}

@test "every kind of table in the place of a list, and of a file" {
	printf '%s\n' '/^info@(.*)\.shop\.example$/ bob@here.example' '/\.shop\.example$/ -' >"$T/regexps"
	run rcpts --virtual="regexp:$T/regexps" --relay-to='inline:{next.example=, .next.example=}' \
		--relay-recipients='list:ann@next.example' -- \
		info@a.shop.example other@a.shop.example ann@next.example joe@next.example joe@sub.next.example
	echo "$output"
	[[ ${lines[0]} == '250 '* ]]
	[[ ${lines[1]} == '550 5.1.1 '* ]]
	[[ ${lines[2]} == '250 '* ]]
	[[ ${lines[3]} == '550 5.1.1 '* ]]
	[[ ${lines[4]} == '550 5.1.1 '* ]]
	printf 'here.example x\n' >"$T/domains"
	run rcpts --domains="file:$T/domains" -- alice@here.example alice@there.example
	[[ ${lines[0]} == '250 '* ]]
	[[ ${lines[1]} == '550 5.7.1 '* ]]
}

@test "a wrong table is told at the start" {
	run "$RELAY" serve --virtual=hash:/etc/x </dev/null
	[ "$status" -eq 64 ]
	[[ $output == *'no kind of table'* ]]
	printf '/(/ x\n' >"$T/bad"
	run "$RELAY" serve --virtual="regexp:$T/bad" </dev/null
	[ "$status" -eq 78 ]
	[[ $output == *"$T/bad:1: "* ]]
	run "$RELAY" serve --srs-domain=x.example </dev/null
	[ "$status" -eq 64 ]
}

# A socketmap server in perl: socketmap_server REPLIES, lines of "KEY<tab>REPLY".
socketmap_server() {
	perl -MIO::Socket::UNIX -e '
		my ($path, $rows) = @ARGV;
		open my $in, "<", $rows or die;
		my %row = map { chomp; split /\t/, $_, 2 } <$in>;
		my $l = IO::Socket::UNIX->new(Local => $path, Listen => 5) or die "listen: $!";
		$SIG{CHLD} = "IGNORE";
		while (my $s = $l->accept) {
			next if fork;
			$s->autoflush(1);
			local $/ = ":";
			while (defined(my $n = <$s>)) {
				chop $n;
				read $s, my $text, $n + 1;
				$text =~ /^(\S+) (.*),$/s or exit 1;
				my $reply = $row{"$1 $2"} // "NOTFOUND ";
				print $s length($reply), ":$reply,";
			}
			exit 0;
		}' "$T/map" "$1" 3>&- &
	PIDS+=($!)
	wait_for 60 listening "$T/map"
}

@test "socketmap: found, not found, in trouble, out of reach" {
	run rcpts --virtual="socketmap:unix:$T/map:virtual" -- alice@here.example
	[[ ${lines[0]} == '451 4.3.0 '* ]]
	printf '%s\t%s\n' 'virtual info@v.example' 'OK bob@here.example' 'virtual v.example' 'OK -' \
		'virtual busy@v.example' 'TEMP try again' 'virtual odd@v.example' 'PERM no' >"$T/rows"
	socketmap_server "$T/rows"
	run rcpts --virtual="socketmap:unix:$T/map:virtual" -- info@v.example none@v.example busy@v.example odd@v.example \
		alice@here.example x@w.example
	echo "$output"
	[[ ${lines[0]} == '250 '* ]]
	[[ ${lines[1]} == '550 5.1.1 '* ]]
	[[ ${lines[2]} == '451 4.3.0 '* ]]
	[[ ${lines[3]} == '451 4.3.0 '* ]]
	[[ ${lines[4]} == '250 '* ]]
	[[ ${lines[5]} == '550 5.7.1 '* ]]
	grep -q 'error="socketmap:.*TEMP try again"' "$T/log"
}

@test "the sender of mail that goes on is rewritten, and reports find the way back" {
	printf 'correct horse battery staple\n' >"$T/secret"
	chmod 600 "$T/secret"
	srs=(--srs-domain=srs.here.example --srs-secret="$T/secret" --users="$T/users" --aliases="$T/aliases")
	printf '%s\n' 'EHLO c.example' 'MAIL FROM:<eve@else.example>' 'RCPT TO:<out@here.example>' DATA \
		'Subject: x' '' text . QUIT | serve "${srs[@]}" >"$T/out"
	grep -q '^250 2.0.0 Ok: queued' "$T/out"
	run "$RELAY" queue list --queue="$T/queue" --json
	back=$(printf '%s\n' "$output" | grep -oiE 'SRS0=[a-z2-7]{8}=[a-z2-7]{2}=else\.example=eve@srs\.here\.example' | head -n 1)
	[ -n "$back" ]
	run rcpts --srs-domain=srs.here.example --srs-secret="$T/secret" -- "$back" "${back/eve/mallory}" \
		'SRS0=aaaaaaaa=aa=else.example=eve@srs.here.example' x@srs.here.example
	echo "$output"
	[[ ${lines[0]} == '250 '* ]]
	[[ ${lines[1]} == '550 5.7.1 '* ]]
	[[ ${lines[2]} == '550 5.7.1 '* ]]
	[[ ${lines[3]} == '550 5.7.1 '* ]]
	# The report goes to the first sender.
	rm -r "$T/queue"
	printf '%s\n' 'EHLO c.example' 'MAIL FROM:<>' "RCPT TO:<$back>" DATA 'Subject: failed' '' text . QUIT |
		serve "${srs[@]}" >"$T/out"
	grep -q '^250 2.0.0 Ok: queued' "$T/out"
	run "$RELAY" queue list --queue="$T/queue" --json
	[[ $output == *'"eve@else.example"'* ]]
	# A secret for everybody is none.
	chmod 644 "$T/secret"
	run "$RELAY" serve --srs-domain=x.example --srs-secret="$T/secret" </dev/null
	[ "$status" -eq 78 ]
}

@test "explain tells of tables and rewritten senders" {
	printf 'correct horse battery staple\n' >"$T/secret"
	chmod 600 "$T/secret"
	run "$RELAY" explain --domains=here.example --users="$T/users" --virtual="$T/virtual" --relay-to=next.example \
		--relay-recipients=list:ann@next.example --srs-domain=srs.example --srs-secret="$T/secret" \
		--smarthost=smtp://127.0.0.1:9 --mda=lmtp:127.0.0.1:9 --from=eve@else.example \
		sales@shop.example joe@next.example
	echo "$output"
	[[ $output == *'is taken from anybody: its domain is in --virtual'* ]]
	[[ $output == *'--virtual or an alias leads to bob@here.example'* ]]
	[[ $output == *'its sender becomes SRS0='* ]]
	[[ $output == *'from a stranger it is refused: 550 5.1.1'* ]]
}

@test "--verify-recipients=lmtp: a mailbox that is unknown or full at the MDA is refused at RCPT" {
	run rcpts --mda="lmtp:|$PWD/tests/lmtp-sink $T/mail" --verify-recipients=lmtp -- alice@here.example \
		alice@here.example postmaster@here.example
	echo "$output"
	[[ ${lines[0]} == '250 '* && ${lines[1]} == '250 '* && ${lines[2]} == '250 '* ]]
	# Asked once, and remembered.
	[ "$(grep -c '^RCPT' "$T/mail.commands")" -eq 1 ]
	printf '%s\n' r452@here.example r550@here.example >>"$T/users"
	run rcpts --mda="lmtp:|$PWD/tests/lmtp-sink $T/mail" --verify-recipients=lmtp -- r452@here.example \
		r550@here.example r550@here.example
	[[ ${lines[0]} == '452 '* ]]
	[[ ${lines[1]} == '550 '* ]]
	[[ ${lines[2]} == '550 '* ]]
	[ "$(grep -c '^RCPT TO:<r550' "$T/mail.commands")" -eq 1 ]
	# An MDA that is away says nothing of anybody.
	run rcpts --mda="lmtp:unix:$T/nothing" --verify-recipients=lmtp -- alice@here.example
	[[ ${lines[0]} == '250 '* ]]
	run "$RELAY" serve --verify-recipients=lmtp </dev/null
	[ "$status" -eq 64 ]
}

@test "--verify-recipients=lmtp: over quota at RCPT, with our own MDA, by the size that is declared" {
	printf '%s\n' 'alice@here.example:::::::quota=2k' >"$T/users"
	mda="lmtp:|$BIN/mda-deliver --lmtp --users=$T/users --mail=maildir:$T/mail/%u"
	printf '%s\n' 'EHLO c.example' 'MAIL FROM:<e@x.example> SIZE=100' 'RCPT TO:<alice@here.example>' RSET \
		'MAIL FROM:<e@x.example> SIZE=5000' 'RCPT TO:<alice@here.example>' QUIT |
		serve --users="$T/users" --mda="$mda" --verify-recipients=lmtp >"$T/out"
	cat "$T/out"
	grep -q '^250 2.1.5' "$T/out"
	grep -qE '^(452 4|552 5).2.2' "$T/out"
}

@test "--no-mail: 521, and that is all" {
	run serve --no-mail <<<'EHLO c.example'
	[ "${lines[0]}" = '521 5.3.2 mx.here.example does not accept mail' ] || [ "${lines[0]}" = '521 mx.here.example does not accept mail' ]
	[ "${#lines[@]}" -eq 1 ]
}

# As alice: send OPTIONS... -- SENDER HEADER
submit() {
	local options=()
	while [ "$1" != -- ]; do options+=("$1") && shift; done
	printf '%s\n' 'EHLO x' 'AUTH PLAIN AGFsaWNlQGhlcmUuZXhhbXBsZQBzZWNyZXQ=' "MAIL FROM:<$2>" 'RCPT TO:<x@far.example>' DATA \
		"$3" '' text . QUIT |
		serve --role=msa --users="$T/users" --aliases="$T/aliases" --auth-without-tls --own-sender "${options[@]}"
}

@test "--own-sender: every field that names who speaks" {
	local good bad
	for good in 'From: Alice <alice@here.example>' $'From: alice@here.example\nSender: alice+x@here.example' \
		'From: team: alice@here.example, alice+x@here.example;' 'From: =?utf-8?q?b=40x=2Eexample?= <alice@here.example>' \
		$'Resent-From: alice@here.example\nFrom: alice@here.example' $'From\t: alice@here.example'; do
		submit -- alice@here.example "$good" | grep -q 'queued as' || { echo "$good" && return 1; }
	done
	for bad in 'From: bob@here.example' $'From: alice@here.example\nSender: bob@here.example' \
		'From: team: alice@here.example, bob@here.example;' 'From: =?utf-8?q?alice=40here=2Eexample?=' \
		'From: <bob@here.example>, alice@here.example' $'From: alice@here.example\nFrom: alice@here.example' \
		$'From: alice@here.example\nFrom : bob@here.example' $'From: alice@here.example\nfrom\t: bob@here.example' \
		$'From: alice@here.example,\n bob@here.example' $'Resent-From: bob@here.example\nFrom: alice@here.example' \
		$'From: alice@here.example\nResent-Sender: bob@here.example' 'From: "alice@here.example" <bob@here.example>' \
		'From: alice@here.example <bob@here.example>' 'From: (alice@here.example) bob@here.example' 'From: x:;' 'From:' \
		'From: bob@here.example <alice@here.example> <bob@here.example>'; do
		submit -- alice@here.example "$bad" | grep -q '^550 5.7.1 The address in' || { echo "$bad" && return 1; }
	done
}

@test "--sender-owners: a table of who may send as whom" {
	owners='inline:{sales@shop.example={alice@here.example, bob@here.example}, alice@here.example=bob@here.example}'
	submit --sender-owners="$owners" -- sales@shop.example 'From: sales@shop.example' | grep -q 'queued as'
	submit --sender-owners="$owners" -- alice@here.example 'From: sales@shop.example' | grep -q '^550 5.7.1 This address'
	submit --sender-owners="socketmap:unix:$T/none:x" -- alice@here.example 'From: alice@here.example' |
		grep -q '^451 4.3.0 Whose address'
	run "$RELAY" serve --sender-owners=list:a </dev/null
	[ "$status" -eq 64 ]
}

@test "--rewrite-sender: who speaks for another speaks for himself" {
	submit --rewrite-sender -- bob@here.example $'Subject: x\nFrom: The Boss <boss@far.example>\nSender: boss@far.example\nTo: x@far.example' |
		grep -q 'queued as'
	id=$("$RELAY" queue list --queue="$T/queue" --json | grep -oE '"id":"[^"]*"' | head -n 1 | cut -d'"' -f4)
	"$RELAY" queue show --queue="$T/queue" "$id" >"$T/shown" || "$RELAY" queue cat --queue="$T/queue" "$id" >"$T/shown"
	cat "$T/shown"
	grep -q '^From: "The Boss" <alice@here.example>' "$T/shown"
	if grep -qE 'boss@far.example|^Sender:' "$T/shown"; then return 1; fi
	"$RELAY" queue list --queue="$T/queue" --json | grep -q '"alice@here.example"'
}

@test "commands and files of aliases: done by the MDA, never named by a peer" {
	mkdir "$T/out"
	cat >"$T/aliases" <<-E
		list: "|cat >$T/out/list; echo \$SENDER \$RECIPIENT >$T/out/env", alice
		box: $T/out/box, $T/out/dir/
		none: /dev/null
		no: "|echo not for you, sorry; exit 69"
		later: "|exit 75"
		gone: |/nonexistent/command
	E
	chmod 600 "$T/aliases"
	# The MDA does not run as root here, but for the owner of the file.
	if [ "$(id -u)" -eq 0 ]; then
		chmod 711 "$T"
		chown nobody "$T/aliases" "$T/out"
		for d in "$BATS_RUN_TMPDIR" "$(dirname "$T")" "$(dirname "$(dirname "$T")")"; do chmod a+x "$d"; done
	fi
	flags=(--aliases="$T/aliases" --alias-commands --alias-files)
	mda="lmtp:|$BIN/mda-deliver --lmtp --users=$T/users --mail=maildir:$T/mail/%u ${flags[*]}"
	to() {
		printf '%s\n' 'EHLO c.example' 'MAIL FROM:<eve@else.example>' "RCPT TO:<$1@here.example>" DATA 'Subject: x' '' \
			'From here' . QUIT | serve --users="$T/users" "${flags[@]}" --mda="$mda" | tail -n 2 | head -n 1
	}
	[[ $(to list) == '250 '* ]]
	grep -q '^From eve@else.example ' "$T/out/list"
	grep -q '^Delivered-To: list@here.example$' "$T/out/list"
	grep -q '^From here$' "$T/out/list"
	[ "$(cat "$T/out/env")" = 'eve@else.example list@here.example' ]
	[ "$(find "$T/mail/alice@here.example/new" -type f | wc -l)" -eq 1 ]
	if [ "$(id -u)" -eq 0 ]; then [ "$(stat -c %U "$T/out/list")" = nobody ]; fi
	[[ $(to box) == '250 '* ]]
	grep -q '^>From here$' "$T/out/box"
	[ "$(find "$T/out/dir/new" -type f | wc -l)" -eq 1 ]
	[[ $(to none) == '250 '* ]]
	[[ $(to no) == '554 5.3.0 '*'not for you, sorry'* ]]
	[[ $(to later) == '451 4.3.0 '* ]]
	[[ $(to gone) == '451 4.3.5 '* ]]
	# The address that stands for it is no way in.
	run "$RELAY" explain --domains=here.example --users="$T/users" "${flags[@]}" --mda="$mda" list@here.example
	action=$(printf '%s\n' "$output" | grep -oE '\|list=[0-9a-f]{16}@here.example' | head -n 1)
	[ -n "$action" ]
	run rcpts "${flags[@]}" --mda="$mda" -- "$action"
	[[ ${lines[0]} == '550 5.1.1 '* ]]
	# What the aliases don't have is not run.
	printf '%s\r\n' 'LHLO x' 'MAIL FROM:<>' 'RCPT TO:<|list=0000000000000000@here.example>' "RCPT TO:<$action>" QUIT |
		"$BIN/mda-deliver" --lmtp --users="$T/users" "${flags[@]}" >"$T/lmtp"
	grep -q '^550 5.1.1' "$T/lmtp"
	# Who did not ask for it has none of it.
	run "$RELAY" serve --aliases="$T/aliases" --alias-files </dev/null
	[ "$status" -eq 78 ]
	run "$BIN/mda-deliver" --lmtp --aliases="$T/aliases" </dev/null
	[ "$status" -eq 78 ]
	chmod 666 "$T/aliases"
	run "$RELAY" serve "${flags[@]}" </dev/null
	[ "$status" -eq 78 ]
}

@test "canonical, masquerade, append-domain: envelope and header, and nothing else of it" {
	cat >"$T/canonical" <<-E
		alice@here.example  alice.liddell@here.example
		@old.example        @new.example
	E
	rules=(--canonical="$T/canonical" --sender-canonical='inline:{bob@here.example=robert@here.example}'
		--masquerade=corp.example --masquerade-except=root --append-domain=here.example)
	printf '%s\n' 'EHLO x' 'AUTH PLAIN AGFsaWNlQGhlcmUuZXhhbXBsZQBzZWNyZXQ=' 'MAIL FROM:<alice+x@here.example>' \
		'RCPT TO:<carol@old.example>' 'RCPT TO:<root@a.corp.example>' 'RCPT TO:<dave@a.corp.example>' DATA \
		'From: "alice@here.example" <alice@here.example> (alice@here.example)' 'To: carol@old.example,' \
		'	Bob <bob@here.example>, erin' 'Cc: list: x@b.corp.example, root@b.corp.example;' 'Reply-To: bob@here.example' \
		'Subject: alice@here.example' '' 'alice@here.example' . QUIT |
		serve --role=msa --users="$T/users" --auth-without-tls --own-sender "${rules[@]}" | grep 'queued as'
	id=$("$RELAY" queue list --queue="$T/queue" --json | grep -oE '"id":"[^"]*"' | head -n 1 | cut -d'"' -f4)
	"$RELAY" queue show --queue="$T/queue" "$id" >"$T/shown" || "$RELAY" queue cat --queue="$T/queue" "$id" >"$T/shown"
	tr -d '\r' <"$T/shown" >"$T/got"
	cat "$T/got"
	grep -qxF 'From: "alice@here.example" <alice.liddell@here.example> (alice@here.example)' "$T/got"
	grep -qxF 'To: carol@new.example,' "$T/got"
	grep -qxF '	Bob <bob@here.example>, erin@here.example' "$T/got"
	grep -qxF 'Cc: list: x@corp.example, root@b.corp.example;' "$T/got"
	grep -qxF 'Reply-To: robert@here.example' "$T/got"
	grep -qxF 'Subject: alice@here.example' "$T/got"
	grep -qxF 'alice@here.example' "$T/got"
	run "$RELAY" queue list --queue="$T/queue" --json
	[[ $output == *'"alice.liddell+x@here.example"'* ]]
	for to in carol@new.example root@a.corp.example dave@corp.example; do [[ $output == *"\"$to\""* ]]; done
	# A stranger's header is his own; his envelope is not.
	printf '%s\n' 'EHLO x' 'MAIL FROM:<eve@old.example>' 'RCPT TO:<bob@here.example>' DATA 'From: alice@here.example' '' x . QUIT |
		serve --users="$T/users" "${rules[@]}" --mda="lmtp:|$PWD/tests/lmtp-sink $T/mail" | grep -q '^250 2'
	grep -q '^MAIL FROM:<eve@new.example>' "$T/mail.commands"
	grep -q '^From: alice@here.example' "$T/mail"
	# Who can't be looked up waits.
	run rcpts --recipient-canonical="socketmap:unix:$T/none:x" -- alice@here.example
	[[ ${lines[0]} == '451 4.3.0 '* ]]
	run "$RELAY" explain --domains=here.example --users="$T/users" "${rules[@]}" --from=alice@here.example \
		--smarthost=smtp://127.0.0.1:9 carol@old.example
	[[ $output == *'its sender is written alice.liddell@here.example'* && $output == *'it is written carol@new.example'* ]]
}

@test "--generic: to other hosts, and not to our own MDA" {
	load queue
	queue_setup
	sink --ext=SIZE
	printf 'bob@lan.local  robert@example.org\n@lan.local  @example.org\n' >"$T/generic"
	printf 'From: Bob <bob@lan.local>\nTo: x@far.example,\n ann+a@lan.local\nSubject: bob@lan.local\n\nbob@lan.local\n' |
		inject bob@lan.local x@far.example ann@lan.local
	run_queue --generic="$T/generic"
	[ "$(waiting)" -eq 0 ]
	cat "$SINK/0001"
	grep -q '^X-From: <robert@example.org> SIZE=' "$SINK/0001"
	grep -q '^X-Rcpt: <ann@example.org>' "$SINK/0001"
	grep -q '^From: Bob <robert@example.org>' "$SINK/0001"
	grep -q '^ ann+a@example.org' "$SINK/0001"
	grep -q '^Subject: bob@lan.local' "$SINK/0001"
	[ "$(tail -n 1 "$SINK/0001" | tr -d '\r')" = 'bob@lan.local' ]
	# The declared size is that of what is sent.
	size=$(sed -n 's/^X-From: .* SIZE=\([0-9]*\).*/\1/p' "$SINK/0001")
	[ "$(sed '1,/^\r*$/d' "$SINK/0001" | wc -c)" -eq "$size" ]
	# Our own MDA knows them as they are.
	message | inject bob@lan.local ann@lan.local
	run_queue --generic="$T/generic" --domains=lan.local --mda="lmtp:|$TOP/lmtp-sink $T/mail"
	grep -q '^MAIL FROM:<bob@lan.local>' "$T/mail.commands"
	# A table that can't be asked: later, with nothing sent.
	message | inject bob@lan.local x@far.example
	run_queue --generic="socketmap:unix:$T/none:x"
	[ "$(waiting)" -eq 1 ]
	[ "$(kept)" -eq 1 ]
	run "$RELAY" explain --from=bob@lan.local --generic="$T/generic" --smarthost=smtp://127.0.0.1:9 x@far.example
	[[ $output == *'there it is from robert@example.org to x@far.example'* ]]
}

@test "--refuse-null-mx: 556 5.1.10 at RCPT" {
	perl -MSocket -e1 || skip "needs perl"
	printf '%s\n' 'null.example MX 0 .' 'plain.example MX 10 mx.plain.example' 'mx.plain.example A 127.0.0.1' \
		'broken.example servfail' >"$T/zone"
	tests/dnsd "$T/zone" "$T/dns" >/dev/null 2>&1 3>&- &
	PIDS+=($!)
	wait_for 60 test -s "$T/dns"
	run rcpts --refuse-null-mx --resolver="127.0.0.1:$(cat "$T/dns")" --relay-to=null.example,plain.example,broken.example -- \
		x@null.example x@plain.example x@broken.example alice@here.example
	echo "$output"
	[[ ${lines[0]} == '556 5.1.10 '* ]]
	[[ ${lines[1]} == '250 '* && ${lines[2]} == '250 '* && ${lines[3]} == '250 '* ]]
}

@test "inject writes addresses as serve does, in envelope and header" {
	load queue
	queue_setup
	sink --ext=SIZE
	echo 'bob@lan.example robert.b@example.org' >"$T/canonical"
	echo 'ann@example.org anna@example.org' >"$T/recipients"
	cat >"$T/conf" <<-C
		[mta-relay]
		canonical = $T/canonical
		recipient-canonical = $T/recipients
		masquerade = example.org
		append-domain = example.org
	C
	printf 'From: Bob <bob@lan.example>\nTo: ann+x@example.org,\n joe (Joe)\nSubject: bob@lan.example\n\nbob@lan.example\n' |
		inject bob@lan.example --config="$T/conf" --delimiter=+ ann@example.org root@host.example.org x@far.example
	run_queue
	[ "$(waiting)" -eq 0 ]
	grep -q '^X-From: <robert.b@example.org>' "$SINK/0001"
	[ "$(grep '^X-Rcpt' "$SINK/0001" | tr '\n' ,)" = 'X-Rcpt: <anna@example.org>,X-Rcpt: <root@example.org>,X-Rcpt: <x@far.example>,' ]
	grep -q '^From: Bob <robert.b@example.org>' "$SINK/0001"
	grep -q '^To: anna+x@example.org,' "$SINK/0001"
	grep -q '^ joe@example.org (Joe)' "$SINK/0001"
	grep -q '^Subject: bob@lan.example' "$SINK/0001"
	[ "$(tail -n 1 "$SINK/0001" | tr -d '\r')" = 'bob@lan.example' ]
	# A table that can't be asked: nothing is queued, and the caller may try again.
	message | { run inject bob@lan.example --canonical="socketmap:unix:$T/none:x" x@far.example; [ "$status" -eq 75 ]; }
	[ "$(waiting)" -eq 0 ]
}
