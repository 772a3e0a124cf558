#!/usr/bin/env bats
# Milters, policy services and socket maps that never come to an end, or say more than a message may have: what they
# say is bounded, and the client hears a temporary refusal soon. tests/milter.bats has those that break the protocol.
# shellcheck disable=SC2154,SC2016

load hooks
bats_require_minimum_version 1.5.0

setup() {
	hooks_setup
	perl -MIO::Socket::UNIX -e1 || skip "needs perl"
}
teardown() { hooks_teardown; }

# liar NAME CODE: at $T/NAME, to each who comes; CODE has $s and reads packets of a milter with rd().
liar() {
	perl -MIO::Socket::UNIX -e '
		my ($at, $code) = @ARGV;
		$SIG{CHLD} = $SIG{PIPE} = "IGNORE";
		my $l = IO::Socket::UNIX->new(Local => $at, Listen => 5) or die;
		while (our $s = $l->accept) {
			next if fork;
			sub put { my $n = syswrite($s, $_[0]); exit 0 unless $n }
			sub rd { my $n = read($s, my $b, $_[0]); exit 0 unless $n == $_[0]; $b }
			# A milter that may do everything and agrees to all, up to the end of the message.
			sub milter {
				for (;;) {
					my $n = unpack("N", rd(4));
					my $c = substr(rd($n), 0, 1);
					return if $c eq "E";
					put(pack("NaN3", 13, "O", 6, 0x1ff, 0)) if $c eq "O";
					exit 0 if $c eq "Q";
					put(pack("Na", 1, "c")) unless $c =~ /[ODAQ]/;
				}
			}
			sub pkt { put(pack("N", length($_[0])) . $_[0]) }
			eval $code;
			exit 0;
		}' "$T/$1" "$2" 3>&- &
	PIDS+=($!)
	wait_for 60 listening "$T/$1"
}

@test "answers without end" {
	liar policy '1 while <$s> =~ /./; put("x=y\n" x 10000) for 1 .. 100000'
	liar policy-line '1 while <$s> =~ /./; put("action=" . "x" x 60000) for 1 .. 100000'
	liar body 'milter(); pkt("b" . "x" x 60000) for 1 .. 100000'
	liar edits 'milter(); pkt("hX-A\0y\0") for 1 .. 10000000'
	liar fields 'milter(); pkt("hX-A\0" . "y" x 60000 . "\0") for 1 .. 100000'
	liar reason 'milter(); pkt("y550-no\n" x 9000 . "550 no\0"); milter()'
	liar negotiation 'rd(4); put(pack("NaN3", 0x00100000, "O", 6, 0x1ff, 0)); put("x" x 60000) for 1 .. 100'
	liar map 'sysread($s, my $b, 1000); put("9" x 60000) for 1 .. 100000'
	for hook in --policy="unix:$T/policy,timeout=600s" --policy="unix:$T/policy-line,timeout=600s" --milter="unix:$T/body" \
		--milter="unix:$T/edits" --milter="unix:$T/fields" --milter="unix:$T/reason" --milter="unix:$T/negotiation,timeout=600s" \
		--virtual="socketmap:unix:$T/map:v"; do
		out=$(body | mail a@b.example c@here.example | session | serve --max-size=100k "$hook")
		grep -q '^451 4\.' <<<"$out" || { echo "$hook: $out" && return 1; }
	done
	[ "$(queued)" -eq 0 ]
	run ! grep -iE 'sanitizer|runtime error|signal=' "$T/log"
}
