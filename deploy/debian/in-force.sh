# in_force names what needs /usr/bin/sally-host, a line each: while there is one, nobody gets in without it. It stands in
# prerm and in postrm, which may depend on no other file.
in_force() {
	if [ -e /var/lib/sally-host/setup.json ]; then echo /var/lib/sally-host/setup.json; fi
	grep -ls '^[^#]*sally-host ' /etc/pam.d/* /etc/ssh/sshd_config /etc/ssh/sshd_config.d/*.conf || true
	if sshd -T 2>/dev/null | grep -qi '^authorizedprincipalscommand .*sally-host '; then
		echo 'what sshd -T says'
	fi
}
