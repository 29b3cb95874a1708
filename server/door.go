package server

import (
	"time"

	"github.com/sallyport/sallyport/approval"
)

// door is the picture of a request: the first door has a bolt for each approval
// that the path asks for, and opens when all are drawn back; the second opens when
// a certificate is on record.
type door struct {
	State  string // of the request
	Bolts  []bolt
	Second bool // open
}

// bolt is one bolt of the first door, Y units below the top of the picture.
type bolt struct {
	Y    int
	Back bool
}

// maxBolts is how many are drawn; a path that asks more people shows that many.
const maxBolts = 8

// Open tells whether the first door is open.
func (d door) Open() bool { return d.State == string(approval.Granted) }

// Barred tells whether the first door will not open any more.
func (d door) Barred() bool { return !d.Open() && d.State != string(approval.Pending) }

// shut is the door where there is no request to show.
func shut() door { return door{State: string(approval.Pending), Bolts: []bolt{{Y: 78}}} }

func doorOf(q approval.Request, now time.Time) door {
	d := door{State: string(q.Status(now).State)}
	need, have := 0, 0
	for _, s := range q.Stages {
		need += s.Quorum
	}
	for _, v := range q.Decisions {
		if v.Verdict == approval.Approve {
			have++
		}
	}
	need = min(need, maxBolts)
	for i := range need {
		d.Bolts = append(d.Bolts, bolt{Y: 52 + (2*i+1)*52/(2*need), Back: i < have})
	}
	return d
}
