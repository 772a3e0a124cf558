#!/usr/bin/env bats
# The files that set mail programs up.

setup() {
	AUTOCONFIG=$BATS_TEST_DIRNAME/../share/autoconfig/waypost-autoconfig
	T=$BATS_TEST_TMPDIR
}

well_formed() { # FILE...
	command -v python3 >/dev/null || skip "needs python3"
	python3 -c 'import sys, xml.dom.minidom as m; [m.parse(f) for f in sys.argv[1:]]' "$@"
}

@test "three files for mail programs, well-formed, and the DNS records" {
	"$AUTOCONFIG" --domain=example.org --host=mail.example.org --pop3=pop.example.org --name='A & B <C>' "$T/web"
	local config="$T/web/.well-known/autoconfig/mail/config-v1.1.xml"
	grep -A4 'type="imap"' "$config" | grep -q '<port>993</port>'
	grep -A4 'type="smtp"' "$config" | grep -q '<hostname>mail.example.org</hostname>'
	grep -q '<displayName>A &amp; B &lt;C&gt;</displayName>' "$config"
	grep -A2 '<Type>POP3</Type>' "$T/web/autodiscover/autodiscover.xml" | grep -q '<Server>pop.example.org</Server>'
	grep -q '<key>OutgoingMailServerPortNumber</key><integer>465</integer>' "$T/web/email.mobileconfig"
	grep -q '^_submissions._tcp.example.org. IN SRV 0 1 465 mail.example.org.$' "$T/web/zone"
	well_formed "$config" "$T/web/autodiscover/autodiscover.xml" "$T/web/email.mobileconfig"
}

@test "a service that there is not is in no file, and the DNS says so" {
	"$AUTOCONFIG" --domain=example.org --host=mail.example.org --imap=none "$T/web"
	run grep -ri imap "$T/web/.well-known" "$T/web/autodiscover"
	[ "$status" -eq 1 ]
	grep -q 'EmailTypePOP' "$T/web/email.mobileconfig"
	grep -q '^_imaps._tcp.example.org. IN SRV 0 0 0 .$' "$T/web/zone"
}

@test "what is no host name, or too little, is refused" {
	run "$AUTOCONFIG" --domain='a"b' --host=mail.example.org "$T/web"
	[ "$status" -eq 64 ]
	[[ $output == *"is no host name"* ]]
	run "$AUTOCONFIG" --domain=example.org "$T/web"
	[ "$status" -eq 64 ]
	[ ! -e "$T/web" ]
}
