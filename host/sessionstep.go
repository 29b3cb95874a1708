package host

import (
	"errors"
	"fmt"
	"io"
	"path/filepath"
	"strconv"
	"time"

	"golang.org/x/crypto/ssh"

	"github.com/sallyport/sallyport/host/session"
	"github.com/sallyport/sallyport/ledger/trust"
)

// Folders of the agent.
const (
	// SessionsFolder, below it, has the records of sessions.
	SessionsFolder = "sessions"
	// EventsFolder, below it, has what the server has not been told yet.
	EventsFolder = "spool"
	// AgentLock, below it, is a file that the agent holds locked as long as it runs.
	AgentLock = "lock"
)

// ErrSession says that PAM is told to let nobody in.
var ErrSession = errors.New("the session can't be kept to its grant")

// SessionOptions are the settings of [SessionStep].
type SessionOptions struct {
	Folder Folder
	State  string
	Log    Log
	Now    func() time.Time
	Rand   io.Reader
	Getenv func(string) string // PAM's environment
	Caller int                 // the process that called PAM
}

// SessionStep is what pam_exec runs when a session begins or ends. It puts a session
// that a certificate of ours opens into a cgroup of its own and records it. If that
// fails, or the host's files can't be read, the answer is an error, so that PAM refuses
// the session, unless host.json says observe. A login in which no certificate took part
// is recorded, and let in whatever is broken: it is how the host's owner mends it.
func SessionStep(o SessionOptions) (err error) {
	did, observe := session.Did{Certificate: true}, false // until it is known
	defer func() {
		if fault := recover(); fault != nil {
			err = refuse(Panic, fmt.Errorf("%v", fault))
		}
		err = o.answer(did, observe, err)
	}()
	step := session.Host{Now: o.Now, Rand: o.Rand}
	verifier, unread := Load(o.Folder)
	if unread == nil {
		observe = verifier.config.Mode == Observe
		step.Offline, step.Strict = verifier.config.opensOffline, verifier.config.Mode == Require
		step.Authorities, unread = publicKeys(verifier.bundle.UserCAs)
	}
	var unkept error
	step.Sessions, unkept = session.OpenFolder(filepath.Join(o.State, SessionsFolder))
	step.Unready = errors.Join(unread, unkept)
	did, err = step.Step(o.Getenv, o.Caller)
	return err
}

// answer logs what came of a step, and returns what to tell PAM.
func (o SessionOptions) answer(did session.Did, observe bool, err error) error {
	fields := []field{{"session", string(did.Session)}, {"user", did.Login}}
	if did.Serial > 0 {
		fields = append(fields, field{"serial", strconv.FormatUint(did.Serial, 10)})
	}
	if err != nil {
		fields = append(fields, field{"detail", err.Error()})
	}
	if did.Offline != "" {
		fields = append(fields, field{"offline_key", did.Offline})
	}
	switch {
	case err == nil && did.Opens && did.Offline != "":
		o.Log(Alert, line("session-opened", fields...)) // nobody approved it
	case err == nil && did.Opens:
		o.Log(Notice, line("session-opened", fields...))
	case err == nil:
		o.Log(Notice, line("session-closed", fields...))
	case !did.Certificate:
		o.Log(Failure, line("session-unrecorded", fields...))
	case observe:
		o.Log(Failure, line("would-refuse-session", fields...))
	default:
		o.Log(Failure, line("session-refused", fields...))
		return fmt.Errorf("%w: %w", ErrSession, err)
	}
	return nil
}

func publicKeys(list []trust.Key) ([]ssh.PublicKey, error) {
	out := make([]ssh.PublicKey, 0, len(list))
	for _, k := range list {
		public, err := k.Public()
		if err != nil {
			return nil, err
		}
		out = append(out, public)
	}
	return out, nil
}
