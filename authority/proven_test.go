package authority

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/sallyport/sallyport/approval"
	"github.com/sallyport/sallyport/canon"
	"github.com/sallyport/sallyport/internal/store"
	"github.com/sallyport/sallyport/oidc"
	"github.com/sallyport/sallyport/record"
	"github.com/sallyport/sallyport/sshcert"
)

// edit changes rows behind the ledger, as somebody with the database file can.
func (w *world) edit(query string, args ...any) {
	w.t.Helper()
	db, err := w.engine.Begin(context.Background())
	if err != nil {
		w.t.Fatal(err)
	}
	result, err := db.ExecContext(w.t.Context(), query, args...)
	if err := errors.Join(err, db.Commit()); err != nil {
		w.t.Fatal(err)
	}
	if n, err := result.RowsAffected(); err != nil || n == 0 {
		w.t.Fatalf("%s changed %d rows, %v", query, n, err)
	}
	w.forgetRows()
}

// replace replaces text in rows of a table.
func (w *world) replace(table, id, old, text string) {
	w.t.Helper()
	w.edit(`UPDATE state SET body = CAST(replace(CAST(body AS TEXT), $1, $2) AS BLOB) WHERE tbl = $3 AND id LIKE $4 AND instr(CAST(body AS TEXT), $1) > 0`,
		old, text, table, id)
}

// row returns a row as it is.
func (w *world) row(table record.Table, id string) []byte {
	w.t.Helper()
	var body []byte
	err := w.config.Store.Read(w.t.Context(), func(r *store.Reader) (err error) {
		body, err = r.Row(table, id)
		return err
	})
	if err != nil {
		w.t.Fatal(err)
	}
	return body
}

// restore puts a row back to what it was.
func (w *world) restore(table record.Table, id string, body []byte) {
	w.t.Helper()
	w.edit(`UPDATE state SET body = $1 WHERE tbl = $2 AND id = $3`, body, string(table), id)
}

// Every row that decides about a certificate is what its leaves say, or nothing
// is issued: the request may have been made and approved by an edited row.
func TestPromiseP06_EditedRowsIssueNothing(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name string
		// forge returns who asks for a certificate under what.
		forge func(t *testing.T, w *world, alice, bob user) (user, approval.Request)
	}{
		{"a host's label", func(t *testing.T, w *world, alice, bob user) (user, approval.Request) {
			w.addHost("db.prod", map[string]string{"env": "prod"})
			w.replace("host", "db.prod", `"prod"`, `"demo"`)
			q := alice.newRequest()
			q.doc.Hosts = []sshcert.Host{"db.prod"}
			return alice, w.approved(alice, bob, q)
		}},
		{"that a host is retired", func(t *testing.T, w *world, alice, bob user) (user, approval.Request) {
			grant := alice.granted(bob, 0)
			before := w.row(record.TableHost, "web-1.demo")
			if _, err := w.a.RetireHost(t.Context(), "web-1.demo"); err != nil {
				t.Fatal(err)
			}
			w.restore(record.TableHost, "web-1.demo", before)
			return alice, grant
		}},
		{"that a host was relabelled before what was read so far", func(t *testing.T, w *world, alice, bob user) (user, approval.Request) {
			grant := alice.granted(bob, 0)
			before := w.row(record.TableHost, "web-1.demo")
			carol := w.logIn("carol", []string{"leads"})
			w.relabel(bob, carol, "web-1.demo", "prod")
			w.reopen()
			dan := w.logIn("dan", []string{"engineers"})
			q := dan.newRequest()
			q.doc.Hosts = []sshcert.Host{"web-2.demo"}
			if _, err := dan.issue(w.approved(dan, bob, q), newKey(t)); err != nil {
				t.Fatal(err)
			}
			w.restore(record.TableHost, "web-1.demo", before)
			return alice, grant
		}},
		{"the approver's groups", func(_ *testing.T, w *world, alice, _ user) (user, approval.Request) {
			eve := w.logIn("eve", []string{"visitors"})
			w.replace("snapshot", "%", `"visitors"`, `"leads"`)
			w.replace("login", "%", `"visitors"`, `"leads"`)
			return alice, w.approved(alice, eve, alice.newRequest())
		}},
		{"the requester's groups", func(_ *testing.T, w *world, _, bob user) (user, approval.Request) {
			eve := w.logIn("eve", []string{"visitors"})
			w.replace("snapshot", "%", `"visitors"`, `"engineers"`)
			w.replace("login", "%", `"visitors"`, `"engineers"`)
			return eve, w.approved(eve, bob, eve.newRequest())
		}},
		{"the requester's client", func(_ *testing.T, w *world, _, bob user) (user, approval.Request) {
			eve := w.logInAs(oidc.Identity{Issuer: testIssuer, Client: "theirs", Subject: "sub-eve", Groups: []string{"engineers"}})
			w.replace("login", eve.session.Login.String(), `"theirs"`, `"cli"`)
			return eve, w.approved(eve, bob, eve.newRequest())
		}},
		{"the approver's client", func(_ *testing.T, w *world, alice, _ user) (user, approval.Request) {
			eve := w.logInAs(oidc.Identity{Issuer: testIssuer, Client: "theirs", Subject: "sub-eve", Groups: []string{"leads"}})
			w.replace("login", eve.session.Login.String(), `"theirs"`, `"cli"`)
			return alice, w.approved(alice, eve, alice.newRequest())
		}},
		{"the requester's device key", func(t *testing.T, w *world, alice, bob user) (user, approval.Request) {
			grant := alice.granted(bob, 0)
			thief := user{w: w, device: newKey(t), session: alice.session}
			thief.session.DeviceKey = canon.B64(thief.device.PublicKey().Marshal())
			w.replace("login", alice.session.Login.String(), alice.session.DeviceKey, thief.session.DeviceKey)
			return thief, grant
		}},
		{"groups that were taken away", func(_ *testing.T, w *world, alice, bob user) (user, approval.Request) {
			grant, person := alice.granted(bob, 0), string(alice.session.Person)
			before := w.row(record.TablePerson, person)
			w.pass(time.Minute)
			w.logIn("alice", []string{"visitors"})
			w.restore(record.TablePerson, person, before)
			return alice, grant
		}},
		{"groups that were taken away, in a session after that", func(t *testing.T, w *world, alice, bob user) (user, approval.Request) {
			grant, person := alice.granted(bob, 0), string(alice.session.Person)
			if _, err := alice.issue(grant, newKey(t)); err != nil {
				t.Fatal(err)
			}
			before := w.row(record.TablePerson, person)
			w.pass(time.Minute)
			w.logIn("alice", []string{"visitors"})
			w.pass(time.Minute)
			again := w.logIn("alice", []string{"visitors"}) // no new snapshot comes with this one
			again.session.Snapshot = alice.session.Snapshot
			w.restore(record.TablePerson, person, before)
			return again, grant
		}},
		{"that the approver is the requester", func(t *testing.T, w *world, alice, bob user) (user, approval.Request) {
			grant := alice.granted(bob, 0)
			before := [2][]byte{w.row(record.TablePerson, string(alice.session.Person)), w.row(record.TablePerson, string(bob.session.Person))}
			carol := w.logIn("carol", []string{"visitors"})
			for _, who := range []user{alice, bob} {
				if _, err := w.a.LinkPeople(t.Context(), who.session.Person, carol.session.Person, "one desk"); err != nil {
					t.Fatal(err)
				}
			}
			w.restore(record.TablePerson, string(alice.session.Person), before[0])
			w.restore(record.TablePerson, string(bob.session.Person), before[1])
			return alice, grant
		}},
		{"a denial", func(t *testing.T, w *world, alice, bob user) (user, approval.Request) {
			r, err := alice.submit(alice.newRequest())
			if err != nil {
				t.Fatal(err)
			}
			before := w.row(record.TableRequest, string(r.ID))
			if _, err := bob.decide(r, approval.Deny, 0); err != nil {
				t.Fatal(err)
			}
			w.restore(record.TableRequest, string(r.ID), before)
			carol := w.logIn("carol", []string{"leads"})
			if r, err = carol.decide(r, approval.Approve, 0); err != nil {
				t.Fatal(err)
			}
			return alice, r
		}},
		{"a denial from before what was read so far", func(t *testing.T, w *world, alice, bob user) (user, approval.Request) {
			r, err := alice.submit(alice.newRequest())
			if err != nil {
				t.Fatal(err)
			}
			before := w.row(record.TableRequest, string(r.ID))
			if _, err := bob.decide(r, approval.Deny, 0); err != nil {
				t.Fatal(err)
			}
			w.reopen()
			carol, dan := w.logIn("carol", []string{"leads"}), w.logIn("dan", []string{"engineers"})
			if _, err := dan.issue(dan.granted(carol, 0), newKey(t)); err != nil {
				t.Fatal(err)
			}
			w.restore(record.TableRequest, string(r.ID), before)
			if r, err = carol.decide(r, approval.Approve, 0); err != nil {
				t.Fatal(err)
			}
			return alice, r
		}},
		{"a cancellation", func(t *testing.T, w *world, alice, bob user) (user, approval.Request) {
			r, err := alice.submit(alice.newRequest())
			if err != nil {
				t.Fatal(err)
			}
			if _, err := alice.issue(r, newKey(t)); !errors.Is(err, approval.ErrNotGranted) { // so the pending row was proved once
				t.Fatal(err)
			}
			before := w.row(record.TableRequest, string(r.ID))
			if _, err := alice.cancel(r); err != nil {
				t.Fatal(err)
			}
			w.restore(record.TableRequest, string(r.ID), before)
			if r, err = bob.decide(r, approval.Approve, 0); err != nil {
				t.Fatal(err)
			}
			return alice, r
		}},
		{"a cancellation that nobody made", func(_ *testing.T, w *world, alice, bob user) (user, approval.Request) {
			grant := alice.granted(bob, 0)
			w.replace("request", string(grant.ID), `"contract"`, `"cancelled":{"at":1},"contract"`)
			return alice, grant
		}},
		{"the lineage's version", func(t *testing.T, w *world, alice, bob user) (user, approval.Request) {
			grant := alice.granted(bob, 0)
			if err := w.otherContract(); err != nil {
				t.Fatal(err)
			}
			var other canon.Digest
			err := w.config.Store.Read(t.Context(), func(r *store.Reader) error {
				list, err := InForce(r, canon.At(w.clock()))
				for _, v := range list {
					if v.Terms.ID == "other" {
						other = v.Digest
					}
				}
				return err
			})
			if err != nil {
				t.Fatal(err)
			}
			w.replace("lineage", grant.Lineage.String(), `"current":"`+grant.Contract.String(), `"current":"`+other.String())
			return alice, grant
		}},
		{"when the contract came into force", func(_ *testing.T, w *world, alice, bob user) (user, approval.Request) {
			grant := alice.granted(bob, 0)
			w.edit(`UPDATE state SET body = CAST(replace(CAST(body AS TEXT), '"in_force_at":1', '"in_force_at":0') AS BLOB) WHERE tbl = 'contract'`)
			return alice, grant
		}},
		{"the key that signs certificates", func(t *testing.T, w *world, alice, bob user) (user, approval.Request) {
			grant := alice.granted(bob, 0)
			w.replace("log", "log", canon.B64(w.config.CA.PublicKey().Marshal()), canon.B64(newKey(t).PublicKey().Marshal()))
			return alice, grant
		}},
		{"what a leaf hides", func(_ *testing.T, w *world, alice, bob user) (user, approval.Request) {
			w.addHost("db.prod", map[string]string{"env": "prod"})
			w.replace("host", "db.prod", `"prod"`, `"demo"`)
			w.edit(`UPDATE opening SET facts = CAST(replace(CAST(facts AS TEXT), '"prod"', '"demo"') AS BLOB) WHERE instr(CAST(facts AS TEXT), '"prod"') > 0`)
			q := alice.newRequest()
			q.doc.Hosts = []sshcert.Host{"db.prod"}
			return alice, w.approved(alice, bob, q)
		}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			alice, bob := w.logIn("alice", []string{"engineers"}), w.logIn("bob", []string{"leads"})
			// What was proved for another grant proves nothing for this one.
			if _, err := alice.issue(alice.granted(bob, 0), newKey(t)); err != nil {
				t.Fatal(err)
			}
			who, grant := tt.forge(t, w, alice, bob)
			size := w.size()
			if _, err := who.issue(grant, newKey(t)); !errors.Is(err, ErrHalted) {
				t.Errorf("%v, want ErrHalted", err)
			}
			if w.size() != size {
				t.Errorf("%d leaves were appended", w.size()-size)
			}
		})
	}
}

// A contract that nobody signed is not in force, whatever its rows say.
func TestPromiseP10_RowsBringNoContractIntoForce(t *testing.T) {
	t.Parallel()
	w := newLedger(t)
	added, err := w.a.AddContract(t.Context(), w.contractFiles("20s"), nil)
	if err != nil {
		t.Fatal(err)
	}
	w.v = added.Version
	w.replace("contract", "%", `"id":"demo"`, `"id":"demo","in_force_at":1`)
	w.replace("lineage", "%", `{"lineage"`, `{"current":"`+w.v.Digest.String()+`","lineage"`)
	w.addHost("web-1.demo", map[string]string{"env": "demo"})
	alice, bob := w.logIn("alice", []string{"engineers"}), w.logIn("bob", []string{"leads"})
	grant, size := alice.granted(bob, 0), int64(0)
	size = w.size()
	if _, err := alice.issue(grant, newKey(t)); !errors.Is(err, ErrHalted) || w.size() != size {
		t.Errorf("%v and %d leaves, want ErrHalted and none", err, w.size()-size)
	}
}

// approved is a request of u that lead approved.
func (w *world) approved(u, lead user, q request) approval.Request {
	w.t.Helper()
	r, err := u.submit(q)
	if err != nil {
		w.t.Fatal(err)
	}
	if r, err = lead.decide(r, approval.Approve, 0); err != nil {
		w.t.Fatal(err)
	}
	return r
}

// logInAs is logIn with an identity of the test's own.
func (w *world) logInAs(id oidc.Identity) user {
	w.t.Helper()
	id.Flow, id.GroupsKnown, id.Raw, id.IssuedAt = "code", true, "a.b."+id.Subject, w.clock().Truncate(time.Second)
	u := user{w: w, device: newKey(w.t)}
	var err error
	if u.session, _, err = w.a.logIn(w.t.Context(), id, store.CLI, canon.B64(u.device.PublicKey().Marshal()), "", func(*store.Tx) error { return nil }); err != nil {
		w.t.Fatal(err)
	}
	return u
}

// Rows that change as they should between the check and the write are checked
// again, and hold nobody up.
func TestALoginMeanwhileHoldsNobodyUp(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	alice, bob := w.logIn("alice", []string{"engineers"}), w.logIn("bob", []string{"leads"})
	grant, key := alice.granted(bob, 0), newKey(t)
	if err := w.a.checkGrant(t.Context(), alice.session, grant.ID); err != nil {
		t.Fatal(err)
	}
	w.pass(time.Minute)
	w.logIn("alice", []string{"engineers"}) // the same groups: the older session is still good
	doc := alice.issueDoc(grant, key)
	err := w.config.Store.Write(t.Context(), func(tx *store.Tx) error {
		_, err := reusable(tx, held{tx, w.a.proven}, alice.session, doc, key.PublicKey())
		return err
	})
	if !errors.Is(err, errUnproved) || !errors.Is(err, store.ErrConflict) {
		t.Errorf("a row that was not checked: %v, want errUnproved", err)
	}
	if _, err := alice.issue(grant, key); err != nil {
		t.Errorf("the call checks it again: %v", err)
	}
}

// Another server, whose clock is a little ahead, records the approval; this one
// issues at once, in ledger time.
func TestIssuesBehindTheLedgersTime(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	alice, bob := w.logIn("alice", []string{"engineers"}), w.logIn("bob", []string{"leads"})
	grant := alice.granted(bob, 0)
	w.pass(-2 * time.Second)
	if _, err := alice.issue(grant, newKey(t)); err != nil {
		t.Error(err)
	}
}
