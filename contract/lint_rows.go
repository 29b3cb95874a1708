package contract

// errorLints are the lints that block signing.
func errorLints() []lint {
	return []lint{
		{
			"E00", "terms-refused",
			"the file can't be read as terms, or a rule of the format is broken that has no lint of its own",
			"`grant: {max: 4 hours}`", "write what the message says would pass", nil,
		},
		{
			"E01", "unsatisfiable-quorum",
			"somebody may ask, and fewer people than a stage's quorum could decide about them",
			"`{from: [leads], quorum: 2}`, and one of the two leads may ask", "lower the quorum or add a group to `from`", checkE01,
		},
		{
			"E02", "nobody-can-approve",
			"a stage's groups are empty",
			"`from: [dba-owners]`, and nobody is in it", "put somebody into the group, or name another in `from`", checkE02,
		},
		{
			"E03", "nobody-can-request",
			"the groups that may ask are empty",
			"`who: [nw-support]`, and nobody is in it", "put somebody into the group, name another in `who`, or leave the role out", checkE03,
		},
		{
			"E04", "self-approval",
			"somebody could decide on their own request through a second account or a service identity that the server does not hold as theirs, or look at their own break-glass",
			"a deploy robot may ask, and the human who runs it is in `from`", "link the accounts (`sallyd person link`), or take one of them out of the group", checkE04,
		},
		{
			"E05", "sod-deadlock",
			"each stage alone has enough people, all together have not, as nobody decides twice or for who has their manager",
			"two stages from a group of two, of whom one asks", "add a group to one of the stages, lower a quorum, or ease `duties`", checkE05,
		},
		{
			"E06", "escalation-loop",
			"groups pass silence round in a circle",
			"stage one escalates from leads to soc, stage two from soc to leads", "let one of the stages escalate to a third group", checkE06,
		},
		{
			"E07", "escalation-to-nobody-new",
			"a silent stage asks nobody who was not asked before, or the requester only",
			"`{from: [leads], escalate: {to: [leads], timeout: 1h}}`", "escalate to a group with other people in it", checkE07,
		},
		{
			"E08", "escalation-auto",
			"silence would end in a yes",
			"`escalate: approve`", "name the groups that are asked then; silence after that ends the request", nil,
		},
		{
			"E09", "ttl-over-ceiling",
			"a role allows longer than the ceilings",
			"`grant: {max: 12h}` under `ceilings: {grant: 8h}`", "shorten it to the ceiling", checkE09,
		},
		{
			"E10", "zero-or-negative-duration",
			"a duration is zero, less, or too short to be meant",
			"`timeout: 0s`", "write a duration such as 15m", checkE10,
		},
		{
			"E11", "break-glass-no-review",
			"break-glass without who looks at it afterwards, by when, and what follows else",
			"`break_glass` without `review`", "add `review: {by: [GROUP], within: 24h, else: suspend-role}`", checkE11,
		},
		{
			"E12", "break-glass-reviewer-self",
			"all who look at break-glass afterwards can use it",
			"`who: [dba]` with `review: {by: [dba], …}`", "name a group of other people in `review.by`", checkE12,
		},
		{
			"E13", "orphan-group",
			"a group that is not in the terms or not at its identity provider, or whose owner has left",
			"`groups: {sre: oidc:acme/sre-old}`", "name a group that is there, or give it an owner", checkE13,
		},
		{
			"E14", "orphan-role",
			"a role has no path that decides, so every request is denied",
			"`paths: []`", "add a path, or leave the role out", checkE14,
		},
		{
			"E15", "unreachable-path",
			"every request that a path's guard lets in is taken by a path before it",
			"`grant_seconds <= 900` after `grant_seconds <= 3600`", "put the path before the one that takes its requests, or leave it out", checkE15,
		},
		{
			"E16", "guard-never",
			"a guard holds for no request that the role accepts",
			"`grant_seconds > 7200` under `grant: {max: 1h}`", "mend the guard, or leave the path out", checkE16,
		},
		{
			"E17", "guard-always-auto",
			"a path grants without asking, and its guard holds for every request",
			"`{auto: true, when: 'hosts >= 1'}`", "tighten the guard, or ask somebody in a stage", checkE17,
		},
		{
			"E18", "guard-profile",
			"a guard is not of the language, or a role's guards tell more than 2^17 cases apart",
			"`when: 'size(groups) > 0'`", "write it in the language of guards (docs/formats.md), or name fewer things in it", checkE18,
		},
		{
			"E19", "unknown-fact",
			"a guard reads something that is not known of requests",
			"`when: 'weekday == 1'`", "use a field that guards know", checkE19,
		},
		{
			"E20", "empty-principals",
			"a role without logins, or with one that stands for several",
			"`logins: []`, `logins: [\"*\"]`", "name each login", checkE20,
		},
		{
			"E21", "root-without-dual",
			"root after fewer than two approvals",
			"`logins: [root]` with one stage of `quorum: 1`", "raise the quorum to 2, add a stage, or take root out", checkE21,
		},
		{
			"E22", "source-address-invalid",
			"an address range that OpenSSH does not take, or that is every address",
			"`source_address: [10.20.9.7/24]`", "write the network, such as 10.20.9.0/24", checkE22,
		},
		{
			"E23", "force-command-defeated",
			"a forced command that forces nothing: a shell, no absolute path, or forwarding beside it",
			"`force_command: /bin/sh`", "name a program that does one thing, by its absolute path", checkE23,
		},
		{
			"E24", "touch-not-required",
			"keys that nobody touches, or `verify_required` for keys that can't verify",
			"`verify_required: true` with `keys: [ssh-ed25519]`", "let `keys` name FIDO keys only, or leave `verify_required` out", checkE24,
		},
		{
			"E25", "signatory-not-in-parent",
			"an amendment is signed by somebody whom it introduces",
			"a new signatory has signed the amendment that names them", "have it signed by whom the version before names", checkE25,
		},
		{
			"E26", "threshold-unreachable",
			"more signatures are needed than people can give",
			"`need: 2` with two names in `of`, one of whom has left", "lower `need`, or add a key", checkE26,
		},
		{
			"E27", "same-human-two-parties",
			"one human signs for two parties",
			"one key under two parties", "let somebody else sign for one of them", checkE27,
		},
		{
			"E28", "circular-authority",
			"all who could sign that a role gets wider decide under it",
			"the leads approve, and the leads alone sign", "add a signatory who decides nothing under the role", checkE28,
		},
		{
			"E29", "clause-missing",
			"a clause that the terms cite has no heading in the prose, or a number in the prose is not that of the terms",
			"`clause: §4.9`, and no heading has §4.9", "add the heading, or write the number of the terms", checkE29,
		},
		{
			"E30", "parent-mismatch",
			"the amendment is of another version than the one at hand",
			"its `parent` is another digest", "make the amendment again from the version that is in force", checkE30,
		},
		{
			"E31", "effective-in-past",
			"the version would be in force before it is signed",
			"`not_before` of last month", "take a later `not_before`, or leave it out", checkE31,
		},
		{
			"E32", "calendar-unknown",
			"a calendar's zone is not pinned by its rules",
			"`zone: Europe/Berlin`", "write the rules, such as CET-1CEST,M3.5.0,M10.5.0/3", checkE32,
		},
		{
			"E33", "retention-below-framework",
			"who acted stays readable for less than a framework asks",
			"`retention` of 365d with `frameworks: {hipaa: …}`", "lengthen `retention.period`", checkE33,
		},
	}
}
