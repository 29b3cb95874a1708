package contract

// otherLints are the warnings, what is to be read, and E53, which came later.
func otherLints() []lint {
	return []lint{
		{
			"W34", "single-point-of-approval",
			"requests stop when one approver is away",
			"two leads, of whom one asks and one decides", "add people or a group to the stage", checkW34,
		},
		{
			"W35", "quorum-equals-group",
			"a stage needs everybody of its groups",
			"`quorum: 2` of a group of two", "add people to the group, or lower the quorum", checkW35,
		},
		{
			"W36", "approver-overlap",
			"all who may ask decide for each other, in every stage",
			"`who: [sre]` with `from: [sre]`", "let one stage be decided by a group whose members may not ask", checkW36,
		},
		{
			"W37", "vendor-no-sponsor",
			"people of a vendor come in though nobody of the other party decides about them",
			"`who: [nw-support]`, and the stage is the vendor's own", "add a stage of the party that the vendor works for", checkW37,
		},
		{
			"W38", "review-interval",
			"who may have a role is looked at less often than a framework asks",
			"`recertify: {pci-db: 1y}` with `frameworks: {pci: …}`", "name the role in `review.recertify` with a shorter time", checkW38,
		},
		{
			"W39", "no-sla",
			"a stage without a promise how soon somebody answers",
			"a stage without `sla`", "add `sla: 10m` or so", checkW39,
		},
		{
			"W40", "timeout-over-ttl",
			"a stage waits, or an approval lasts, longer than the longest grant",
			"`timeout: 1d` with `grant: {max: 1h}`", "shorten the timeout or `ceilings.approval_ttl`", checkW40,
		},
		{
			"W41", "krl-slower-than-ttl",
			"hosts hear of a revocation when the longest grant is over anyway",
			"`hosts: 2h` with `grant: {max: 1h}`", "shorten `hosts` of the obligation", checkW41,
		},
		{
			"W42", "unused-role",
			"nobody asked for a role in 180 days",
			"a role of last year's project", "leave the role out", checkW42,
		},
		{
			"W43", "stale-exception",
			"another way into a host is open for good, or longer than it should",
			"a pinned key without an end", "give it an end, or close it", checkW43,
		},
		{
			"W44", "obligation-unmonitorable",
			"a duty that no program can watch, as nothing sends its signals",
			"`duty: record`, and no host sends recordings", "leave the obligation out, or send the signals", checkW44,
		},
		{
			"W45", "overlapping-roles",
			"what a role gives after several approvals another gives after fewer",
			"two roles with login ops on the same hosts, one with auto", "ask for as much in the weaker role, or take the hosts or the login out of it", checkW45,
		},
		{
			"W46", "extension-agent-forwarding",
			"agent forwarding lends people's keys to the host",
			"`extensions: [permit-agent-forwarding]`", "take it out; `ssh -J` reaches hosts behind hosts without it", checkW46,
		},
		{
			"W47", "hosts-selector-matches-none",
			"a role's labels match no host, or every one",
			"`hosts: {env: [prdo]}`", "write labels that some hosts have and others have not", checkW47,
		},
		{
			"W48", "same-ca-key",
			"one CA key signs for contracts of different parties",
			"two contracts on one server, with another customer each", "give the other contract a server, and so a CA key, of its own", checkW48,
		},
		{
			"I49", "dead-approver",
			"people who may decide and never do",
			"no decision in 90 days", "take them out of the group", checkI49,
		},
		{
			"I50", "widening-summary",
			"what an amendment allows that was not allowed",
			"`grant: {max: 1h}` became 4h", "nothing, if it is meant", checkI50,
		},
		{
			"I51", "prose-only-change",
			"an amendment changes what people read and nothing of what programs do",
			"a new heading", "nothing, if it is meant", checkI51,
		},
		{
			"I52", "ack-fatigue",
			"people have to acknowledge so often that they stop to read",
			"the fourth time in 90 days", "put several amendments into one", checkI52,
		},
		{
			"E53", "not-enforced",
			"a key of the terms that this release does not enforce",
			"`delegates: [sre-leads]`", "leave the key out until a release enforces it", checkE53,
		},
	}
}
