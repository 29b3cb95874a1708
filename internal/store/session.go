package store

import (
	"crypto/sha256"
	"database/sql"
	"errors"
	"fmt"
	"time"

	"github.com/sallyport/sallyport/canon"
	"github.com/sallyport/sallyport/ledger"
	"github.com/sallyport/sallyport/record"
)

// Reasons why a session, challenge or login flow is refused.
var (
	ErrNoSession   = errors.New("not logged in")
	ErrNoChallenge = errors.New("the challenge was used, is too old or was never given out")
	ErrUsed        = errors.New("it was used before")
	ErrNoFlow      = errors.New("this login was not started here, is finished or took too long")
)

// SessionKind says what a session is for. API routes take only cli sessions,
// pages only web sessions.
type SessionKind string

// The kinds of sessions.
const (
	Web SessionKind = "web"
	CLI SessionKind = "cli"
)

// Idle is how long a session of this kind lives without being used.
func (k SessionKind) Idle() time.Duration {
	if k == CLI {
		return 12 * time.Hour
	}
	return 15 * time.Minute
}

// MaxSession is how long any session lives, used or not.
const MaxSession = record.SessionLife

// Session is a person's standing at the server. The secret that opens it is
// known to the client alone; the store keeps its hash.
type Session struct {
	Kind      SessionKind  `json:"kind"`
	Person    canon.ID     `json:"person"`
	Issuer    string       `json:"issuer"`
	Client    string       `json:"client"`
	Login     canon.Digest `json:"login"`    // leaf hash
	Snapshot  canon.Digest `json:"snapshot"` // leaf hash
	ClaimsAt  canon.Micros `json:"claims_at"`
	AuthAt    canon.Micros `json:"auth_time_at,omitempty"`
	DeviceKey string       `json:"device_key,omitempty"` // b64 of the SSH wire form
	ExpiresAt canon.Micros `json:"expires_at"`
}

// Claims returns the leaves that say who the person was when the session began.
func (s Session) Claims() record.Claims {
	return record.Claims{Login: s.Login, Snapshot: s.Snapshot, ClaimsAt: s.ClaimsAt}
}

// SecretHash is what the store keeps of a bearer, cookie, challenge or state.
func SecretHash(secret string) canon.Digest { return sha256.Sum256([]byte(secret)) }

// PutSession keeps a new session under the hash of its secret.
func (tx *Tx) PutSession(secret canon.Digest, s Session) error {
	body, err := canon.Marshal(s)
	if err != nil {
		return err
	}
	return tx.exec(`INSERT INTO session (id_hash, kind, person, body, seen_us, expires_us) VALUES ($1, $2, $3, $4, $5, $6)`,
		secret[:], string(s.Kind), string(s.Person), body, int64(tx.now), int64(s.ExpiresAt))
}

// RenewSession replaces what is kept of a live session. It lives no longer for it.
func (tx *Tx) RenewSession(secret canon.Digest, s Session) error {
	body, err := canon.Marshal(s)
	if err != nil {
		return err
	}
	result, err := tx.change(`UPDATE session SET body = $1, seen_us = $2 WHERE id_hash = $3 AND kind = $4 AND expires_us = $5`,
		body, int64(tx.now), secret[:], string(s.Kind), int64(s.ExpiresAt))
	return takenOne(result, err, ErrNoSession)
}

// EndSession forgets a session. It is no error if there is none.
func (tx *Tx) EndSession(secret canon.Digest) error {
	return tx.exec(`DELETE FROM session WHERE id_hash = $1`, secret[:])
}

// TouchSession notes that a session was used now.
func (tx *Tx) TouchSession(secret canon.Digest) error {
	return tx.exec(`UPDATE session SET seen_us = $1 WHERE id_hash = $2`, int64(tx.now), secret[:])
}

// Session returns the session of the given kind that a secret opens at now, and
// when it was last seen. ErrNoSession does not say whether there was one.
func (r *Reader) Session(secret canon.Digest, kind SessionKind, now canon.Micros) (Session, canon.Micros, error) {
	var body []byte
	var seen int64
	err := r.beside.QueryRowContext(r.ctx, `SELECT body, seen_us FROM session WHERE id_hash = $1 AND kind = $2 AND expires_us > $3`,
		secret[:], string(kind), int64(now)).Scan(&body, &seen)
	if errors.Is(err, sql.ErrNoRows) {
		return Session{}, 0, ErrNoSession
	}
	if err != nil {
		return Session{}, 0, err
	}
	if now.Time().Sub(canon.Micros(seen).Time()) >= kind.Idle() {
		return Session{}, 0, ErrNoSession
	}
	var s Session
	if err := canon.Unmarshal(body, &s); err != nil {
		return Session{}, 0, err
	}
	return s, canon.Micros(seen), nil
}

// CountSessions returns how many sessions of a kind are alive.
func (r *Reader) CountSessions(kind SessionKind, now canon.Micros) (int64, error) {
	var n int64
	err := r.beside.QueryRowContext(r.ctx, `SELECT count(*) FROM session WHERE kind = $1 AND expires_us > $2 AND seen_us > $3`,
		string(kind), int64(now), int64(canon.At(now.Time().Add(-kind.Idle())))).Scan(&n)
	return n, err
}

// PutChallenge keeps the hash of a challenge that was given out.
func (tx *Tx) PutChallenge(challenge canon.Digest, purpose string, expires canon.Micros) error {
	return tx.exec(`INSERT INTO challenge (hash, purpose, expires_us) VALUES ($1, $2, $3)`, challenge[:], purpose, int64(expires))
}

// TakeChallenge uses a challenge up: it is there for this purpose, in time, and
// gone afterwards.
func (tx *Tx) TakeChallenge(challenge canon.Digest, purpose string) error {
	result, err := tx.change(`DELETE FROM challenge WHERE hash = $1 AND purpose = $2 AND expires_us > $3`, challenge[:], purpose, int64(tx.now))
	return takenOne(result, err, ErrNoChallenge)
}

// UseOnce notes that something is used now, and refuses it with ErrUsed if it was
// before. What it was need not be known after expires: by then it is refused for
// its age.
func (tx *Tx) UseOnce(hash canon.Digest, expires canon.Micros) error {
	result, err := tx.change(`INSERT INTO used (hash, expires_us) VALUES ($1, $2) ON CONFLICT (hash) DO NOTHING`, hash[:], int64(expires))
	return takenOne(result, err, ErrUsed)
}

// PutFlow keeps what the server must remember of a login that a browser started.
func (tx *Tx) PutFlow(state canon.Digest, body []byte, expires canon.Micros) error {
	return tx.exec(`INSERT INTO login_flow (state_hash, body, expires_us) VALUES ($1, $2, $3)`, state[:], body, int64(expires))
}

// TakeFlow returns what PutFlow kept, once.
func (tx *Tx) TakeFlow(state canon.Digest) ([]byte, error) {
	var body []byte
	err := tx.beside.QueryRowContext(tx.ctx, `SELECT body FROM login_flow WHERE state_hash = $1 AND expires_us > $2`, state[:], int64(tx.now)).Scan(&body)
	if errors.Is(err, sql.ErrNoRows) {
		return nil, ErrNoFlow
	}
	if err != nil {
		return nil, err
	}
	result, err := tx.change(`DELETE FROM login_flow WHERE state_hash = $1`, state[:])
	return body, takenOne(result, err, ErrNoFlow)
}

// Sweep forgets sessions, challenges and login flows that are over.
func (tx *Tx) Sweep() error {
	for _, query := range []string{
		`DELETE FROM session WHERE expires_us <= $1`,
		`DELETE FROM challenge WHERE expires_us <= $1`,
		`DELETE FROM login_flow WHERE expires_us <= $1`,
		`DELETE FROM used WHERE expires_us <= $1`,
	} {
		if err := tx.exec(query, int64(tx.now)); err != nil {
			return err
		}
	}
	return nil
}

// PersonPart returns the newest person part of a kind that is about a person,
// or record.ErrNotFound: a name to show, nothing to decide by.
func (r *Reader) PersonPart(person canon.ID, kind ledger.Kind) (any, error) {
	var leaf int64
	var key, sealed []byte
	err := r.db.QueryRowContext(r.ctx, `SELECT p.leaf, k.secret, p.sealed FROM person_part p JOIN leaf l ON l.idx = p.leaf JOIN person_key k ON k.person = p.person
		WHERE p.person = $1 AND l.kind = $2 ORDER BY p.leaf DESC LIMIT 1`, string(person), string(kind)).Scan(&leaf, &key, &sealed)
	if errors.Is(err, sql.ErrNoRows) {
		return nil, fmt.Errorf("person %s: %w", person, record.ErrNotFound)
	}
	if err != nil {
		return nil, err
	}
	o := Opening{PersonID: person}
	if err := o.unseal(leaf, key, sealed); err != nil {
		return nil, err
	}
	return record.ParsePerson(kind, o.Person)
}

func takenOne(result sql.Result, err, none error) error {
	if err != nil {
		return err
	}
	n, err := result.RowsAffected()
	if err != nil {
		return err
	}
	if n != 1 {
		return none
	}
	return nil
}
