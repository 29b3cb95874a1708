// Package host owns what runs on a host: the verifier that sshd asks about each
// certificate, and the files that it answers from.
//
// [Verifier.Check] is the decision, a function of what the host pins, a certificate,
// a user and the time. [Load] reads what the host pins from a folder that nobody
// else can write to, and [Principals] is the command around both, as sshd calls it.
// All of it refuses where anything is wrong: a file that is not there, a byte too
// many, a step that panics. docs/hosts.md lists the checks, in their order, and the
// reasons that are logged.
//
// A host decides nothing about who may get in. It holds a certificate to the ledger
// and to its own limits, without network.
package host

// Where a host's files are, unless it is told otherwise.
const (
	// DefaultDir is the folder that only root writes to and everybody reads.
	DefaultDir = "/etc/ssh/sallyport"
	// DefaultSpool is the folder in which the verifier leaves alarms for the agent.
	// It is the verifier's own: sshd runs it as a user that can write nowhere else.
	DefaultSpool = "/var/spool/sally-host"
)

// Files in that folder.
const (
	ConfigFile = "host.json"   // [Config]
	BundleFile = "bundle.json" // the trust bundle with its signatures
	KRLFile    = "krl"         // the revocation list, read by sshd
	SignedFile = "krl.json"    // what is signed about it
)
