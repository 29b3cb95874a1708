package cosign_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/sallyport/sallyport/ledger"
	"github.com/sallyport/sallyport/ledger/witness"
	"github.com/sallyport/sallyport/record"
	"github.com/sallyport/sallyport/record/recordtest"
)

// A cosigner judges what becomes of the hosts of its contract: an honest story stands,
// and a host that was put into the inventory by nobody gets no word.
func TestPromiseP12_CosignerJudgesHosts(t *testing.T) {
	t.Parallel()
	story := recordtest.New(t, t.Name())
	story.Version = story.Fleet()
	w := newWorldOf(t, story)
	fleet, key := story.Version, story.Key()
	add := func(f record.Facts) { w.append(recordtest.Draft{Facts: f}) }
	add(story.AddKey(w.m, record.KeyHostCA))
	invite := story.Invite(w.m, story.Bob, fleet, "db-1.demo", "demo", []byte("secret"))
	add(story.Accept(w.m, invite, w.append(recordtest.Draft{Facts: invite}), key))
	add(story.Certify(w.m, "db-1.demo", key))
	change := story.ID()
	add(story.Label(w.m, story.Bob, fleet, "db-1.demo", change, "prod"))
	add(story.Label(w.m, story.Carol, fleet, "db-1.demo", change, "prod"))
	add(story.Enter(w.m, fleet, "db-1.demo", 0))
	add(story.Refuse(w.m, fleet, "db-1.demo"))
	add(story.Offline(w.m, fleet, "db-1.demo"))
	add(story.Retire(w.m, story.Bob, fleet, "db-1.demo"))
	w.sync()
	if err := w.judge(); err != nil {
		t.Fatal(err)
	}
	w.open()
	if err := w.judge(); err != nil {
		t.Fatalf("after a restart: %v", err)
	}
	// Eve has the server: she invites a host of her own in Bob's name.
	forged := story.Invite(w.m, nil, fleet, "eve-1.demo", "demo", []byte("secret"))
	forged.Who = record.Actor{By: record.ByPerson, Person: story.Bob.Person, Claims: story.Bob.Claims, Document: "{}", Signature: "-----BEGIN"}
	w.force(recordtest.Draft{Facts: forged})
	err := w.judge()
	if !errors.Is(err, witness.ErrUnjustified) || len(w.alarms) == 0 || !strings.Contains(w.alarms[0].Rule, "signed document") {
		t.Errorf("%v, alarms %+v; kind %s", err, w.alarms, ledger.HostInvite)
	}
}
