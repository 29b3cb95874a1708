package host

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/sallyport/sallyport/canon"
	"github.com/sallyport/sallyport/sshcert"
)

// AlarmVersion is what an alarm in the spool says that it is.
const AlarmVersion = "sallyport.alarm/v1"

const (
	alarmSuffix = ".alarm"
	// maxAlarms is how many alarms wait for the agent at most: the first ones say
	// what there is to say, and a flood of others must not fill the disk.
	maxAlarms = 64
)

// ErrSpool says that an alarm could not be left for the agent.
var ErrSpool = errors.New("the alarm is not in the spool")

// Alarm is an event that somebody has to look at: the authority signed a certificate
// which the ledger was not shown to hold.
type Alarm struct {
	V           string       `json:"v"`
	Event       Reason       `json:"event"`
	At          canon.Micros `json:"at"` // by the host's clock
	Host        sshcert.Host `json:"host"`
	Detail      string       `json:"detail"`      // what is wrong with the proof, in ASCII
	Certificate string       `json:"certificate"` // b64 of the wire form
}

// spool leaves an alarm for the agent, once for each certificate. The folder may not
// be there, or not be writable: then the log alone has it.
func spool(folder string, a Alarm, wire []byte) error {
	digest := canon.Digest(sha256.Sum256(wire))
	name := filepath.Join(folder, digest.String()+alarmSuffix)
	if _, err := os.Lstat(name); err == nil {
		return nil // sshd asks twice, and whoever is refused tries again
	}
	entries, err := os.ReadDir(folder)
	if err != nil {
		return fmt.Errorf("%w: %w", ErrSpool, cause(err))
	}
	if len(entries) >= maxAlarms {
		return fmt.Errorf("%w: %d wait there already", ErrSpool, len(entries))
	}
	text, err := canon.Marshal(a)
	if err != nil {
		return fmt.Errorf("%w: %w", ErrSpool, err)
	}
	file, err := os.CreateTemp(folder, ".new-")
	if err != nil {
		return fmt.Errorf("%w: %w", ErrSpool, cause(err))
	}
	_, err = file.Write(text)
	if err = errors.Join(err, file.Close()); err == nil {
		err = os.Rename(file.Name(), name)
	}
	if err != nil {
		return fmt.Errorf("%w: %w", ErrSpool, errors.Join(cause(err), os.Remove(file.Name())))
	}
	return nil
}

// maxAlarm is the largest alarm, in bytes: the certificate is all that is long in it.
const maxAlarm = sshcert.MaxCertificate/3*4 + 4096

// ReadAlarm reads an alarm that [Alarms] lists. The spool is the verifier's, who is
// not believed more than anybody: no link is followed, nothing waited for, nothing
// read that is larger than an alarm.
func ReadAlarm(path string) (Alarm, error) {
	text, err := readPlain(path, maxAlarm, func(fs.FileInfo) error { return nil })
	if err != nil {
		return Alarm{}, fmt.Errorf("%s: %w", filepath.Base(path), err)
	}
	return ParseAlarm(text)
}

// ParseAlarm reads the text of an alarm, strictly.
func ParseAlarm(text []byte) (Alarm, error) {
	var a Alarm
	if err := canon.Unmarshal(text, &a); err != nil {
		return Alarm{}, fmt.Errorf("%w: %w", ErrSpool, err)
	}
	wire, err := canon.ParseB64(a.Certificate)
	switch {
	case a.V != AlarmVersion || a.Event != WithoutProof:
		return Alarm{}, fmt.Errorf("%w: it says that it is %.60q, %.60q", ErrSpool, a.V, string(a.Event))
	case err != nil || len(wire) == 0 || len(wire) > sshcert.MaxCertificate:
		return Alarm{}, fmt.Errorf("%w: it holds no certificate", ErrSpool)
	case a.At < 1:
		return Alarm{}, fmt.Errorf("%w: it has no time", ErrSpool)
	}
	return a, nil
}

// Alarms lists the files of the alarms that wait in a spool.
func Alarms(folder string) ([]string, error) {
	entries, err := os.ReadDir(folder)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	var out []string
	for _, e := range entries {
		if e.Type().IsRegular() && strings.HasSuffix(e.Name(), alarmSuffix) {
			out = append(out, filepath.Join(folder, e.Name()))
		}
	}
	return out, nil
}
