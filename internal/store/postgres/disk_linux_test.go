package postgres

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/sallyport/sallyport/internal/lab"
	labpostgres "github.com/sallyport/sallyport/internal/lab/postgres"
	"github.com/sallyport/sallyport/internal/store"
)

// TestPromiseP14_FullDisk: the disk on which the database's tables are runs full.
// Writes are refused and can be tried again, nothing is half-written, what was
// acknowledged stays, and all goes on once there is room. The server was not started
// again.
func TestPromiseP14_FullDisk(t *testing.T) {
	t.Parallel()
	w, err := lab.NewDir()
	must(t, err)
	t.Cleanup(func() { must(t, w.Remove()) })
	disk, err := lab.NewSmallDisk(t.Context(), w.Path("disk"), 64<<20)
	must(t, err)
	t.Cleanup(func() { must(t, disk.Close()) })
	c, err := labpostgres.Start(t.Context(), w, "cluster")
	must(t, err)
	t.Cleanup(func() { must(t, c.Close()) })
	template, err := makeTemplate(t.Context(), c)
	must(t, err)
	name, err := c.NewDatabaseAt(t.Context(), template, w.Path("disk"))
	must(t, err)
	p := newAlone(t, configFor(c, name))
	p.setup()

	must(t, disk.Fill())
	want := make(map[string]bool)
	refused := 0
	for n := 0; refused < 5; n++ {
		if n > 5000 {
			t.Fatal("it never runs full")
		}
		host := fmt.Sprintf("full-%d.demo", n)
		switch err := p.join(host, nil); {
		case err == nil:
			want[host] = true
		case errors.Is(err, store.ErrUnavailable):
			refused++
		default:
			t.Fatalf("host %s: %v, want ErrUnavailable", host, err)
		}
	}
	must(t, p.Read(t.Context(), func(r *store.Reader) error { // reading goes on
		_, err := r.Head()
		return err
	}))

	must(t, disk.Free())
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	must(t, lookForWrite(ctx, p, "room.demo"))
	want["room.demo"] = true
	have := p.hosts()
	for host := range want {
		if have[host] != 1 {
			t.Errorf("host %s joined %d times", host, have[host])
		}
	}
	for host := range have {
		if !want[host] && host != "web-1.demo" && host != "web-2.demo" {
			t.Errorf("host %s was refused, and joined", host)
		}
	}
}
