package postgres

import (
	"errors"
	"strings"
	"testing"

	"github.com/sallyport/sallyport/internal/lab"
)

func TestAddress(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name, url string
		hosts     []host
		encrypted bool
	}{
		{"a host", "postgres://sallyd@db.acme.example/sallyport", []host{{"db.acme.example", 5432}}, true},
		{"two hosts", "postgres://sallyd@db-1.acme.example:5433,db-2.acme.example/sallyport?sslmode=verify-full", []host{{"db-1.acme.example", 5433}, {"db-2.acme.example", 5432}}, true},
		{"IPv6", "postgres://sallyd@[2001:db8::1]:5433/sallyport", []host{{"2001:db8::1", 5433}}, true},
		{"this machine", "postgres://sallyd@127.0.0.1:5433/sallyport", []host{{"127.0.0.1", 5433}}, false},
		{"this machine, encrypted", "postgres://sallyd@localhost/sallyport?sslmode=verify-full&sslrootcert=/etc/ca.pem", []host{{"localhost", 5432}}, true},
		{"a socket", "postgres://sallyd@/sallyport?host=/run/postgresql", []host{{"/run/postgresql", 5432}}, false},
		{"escaped", "postgres://s%40lly@127.0.0.1/a%2Fb?sslmode=disable", []host{{"127.0.0.1", 5432}}, false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			a, err := parseAddress(tt.url)
			if err != nil {
				t.Fatal(err)
			}
			if len(a.hosts) != len(tt.hosts) || a.hosts[0] != tt.hosts[0] || a.encrypted != tt.encrypted {
				t.Errorf("%+v", a)
			}
			a.rootCert = ""
			c, err := a.config()
			if err != nil {
				t.Fatal(err)
			}
			if c.Host != tt.hosts[0].name || c.Port != tt.hosts[0].port || c.User != a.user || c.Database != a.database || c.Password != "" ||
				(c.TLSConfig != nil) != tt.encrypted || len(c.Fallbacks) != len(tt.hosts)-1 {
				t.Errorf("%+v", c)
			}
			for i, f := range c.Fallbacks {
				if f.TLSConfig == nil || f.TLSConfig.ServerName != tt.hosts[i+1].name || f.TLSConfig.InsecureSkipVerify {
					t.Errorf("%+v", f)
				}
			}
			if c.TLSConfig != nil && (c.TLSConfig.ServerName != tt.hosts[0].name || c.TLSConfig.InsecureSkipVerify) {
				t.Errorf("%+v", c.TLSConfig)
			}
		})
	}
}

func TestAddressRefused(t *testing.T) {
	t.Parallel()
	const secret = "hunter2"
	for _, tt := range []struct{ name, url, text string }{
		{"empty", "", "postgres://USER@HOST"},
		{"another scheme", "mysql://sallyd@db/x", "postgres://USER@HOST"},
		{"keywords", "host=db user=sallyd", "postgres://USER@HOST"},
		{"no role", "postgres://db.example/x", "name one role"},
		{"two roles", "postgres://a@b@db.example/x", "name one role"},
		{"a password", "postgres://sallyd:" + secret + "@db.example/x", "password_file"},
		{"an escaped password", "postgres://sallyd%3A" + secret + "@:" + secret + "@db.example/x", "name one role"},
		{"a password as an option", "postgres://sallyd@db.example/x?password=" + secret, `"password"`},
		{"no database", "postgres://sallyd@db.example", "name one database"},
		{"no database either", "postgres://sallyd@db.example/", "name one database"},
		{"two databases", "postgres://sallyd@db.example/x/y", "name one database"},
		{"no host", "postgres://sallyd@/x", "name the host"},
		{"a host twice", "postgres://sallyd@db.example/x?host=/run", "name the host"},
		{"a socket's folder that is none", "postgres://sallyd@/x?host=run", "name the host"},
		{"an empty host", "postgres://sallyd@a,,b/x", `"" is not a host`},
		{"a host with a quote", "postgres://sallyd@a'b/x", "is not a host"},
		{"a port that is none", "postgres://sallyd@db.example:x/x", `"x" is not a port`},
		{"port 0", "postgres://sallyd@db.example:0/x", `"0" is not a port`},
		{"port 65536", "postgres://sallyd@db.example:65536/x", "is not a port"},
		{"unencrypted", "postgres://sallyd@db.example/x?sslmode=disable", "this machine only"},
		{"unencrypted, one of two", "postgres://sallyd@127.0.0.1,db.example/x?sslmode=disable", "this machine only"},
		{"encrypted to anybody", "postgres://sallyd@db.example/x?sslmode=require", "does not check whom"},
		{"encrypted if they like", "postgres://sallyd@127.0.0.1/x?sslmode=prefer", "does not check whom"},
		{"an unknown option", "postgres://sallyd@db.example/x?options=-c%20fsync=off", `"options"`},
		{"an option twice", "postgres://sallyd@db.example/x?sslmode=disable&sslmode=verify-full", "twice"},
		{"a relative file", "postgres://sallyd@db.example/x?sslrootcert=ca.pem", "absolute"},
		{"a certificate without key", "postgres://sallyd@db.example/x?sslcert=/a.pem", "come together"},
		{"certificates without encryption", "postgres://sallyd@127.0.0.1/x?sslrootcert=/a.pem", "verify-full"},
		{"badly escaped", "postgres://sallyd@db.example/x%zz", "escaped"},
		{"badly escaped role", "postgres://s%zz@db.example/x", "escaped"},
		{"badly escaped options", "postgres://sallyd@db.example/x?%zz", "escaped"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			err := Config{URL: tt.url}.Check()
			if !errors.Is(err, ErrConfig) || !strings.HasPrefix(err.Error(), "url: ") || !strings.Contains(err.Error(), tt.text) {
				t.Errorf("%v, want a refusal that says %q", err, tt.text)
			}
			if err != nil && strings.Contains(err.Error(), secret) {
				t.Errorf("the refusal holds the password: %v", err)
			}
		})
	}
}

// Neither variables nor files of a home folder decide where one connects, and as
// whom.
func TestOnlyTheSettingsCount(t *testing.T) {
	c := fresh(t)
	for name, value := range map[string]string{
		"PGHOST": "evil.example", "PGPORT": "1", "PGUSER": "postgres", "PGPASSWORD": "x", "PGDATABASE": "other", "PGSSLMODE": "disable",
		"PGOPTIONS": "-c synchronous_commit=off", "PGSSLROOTCERT": "/nowhere", "PGTARGETSESSIONATTRS": "standby", "PGAPPNAME": "x", "PGPASSFILE": "/nowhere",
		"PGREQUIREAUTH": "none", "PGCHANNELBINDING": "require", "PGSSLCERT": "/nowhere", "PGSSLKEY": "/nowhere", "PGSSLCERTMODE": "require",
		"PGMINPROTOCOLVERSION": "3.2", "PGSSLNEGOTIATION": "direct", "PGTZ": "Asia/Tokyo",
	} {
		t.Setenv(name, value)
	}
	e := opened(t, c)
	tx, err := e.Read(t.Context())
	must(t, err)
	var user, database, app, commit string
	must(t, tx.QueryRowContext(t.Context(), `SELECT current_user, current_database(), current_setting('application_name'), current_setting('synchronous_commit')`).
		Scan(&user, &database, &app, &commit))
	if a, _ := parseAddress(c.URL); user != "sallyd" || database != a.database || app != "sallyd" || commit != "on" {
		t.Errorf("%s in %s as %s with synchronous_commit=%s", user, database, app, commit)
	}
	must(t, errors.Join(tx.Rollback(), e.Close()))
}

// What a person reads when the way to the database is barred.
func TestNoConnection(t *testing.T) {
	t.Parallel()
	c := fresh(t)
	a, err := parseAddress(c.URL)
	must(t, err)
	w := t.TempDir()
	must(t, lab.WriteTLS(w))
	for _, tt := range []struct{ name, url, password, text string }{
		{"nobody listens", "postgres://sallyd@127.0.0.1:1/x", "", "no answer from the database at 127.0.0.1:1"},
		{"no such socket", "postgres://sallyd@/x?host=/nowhere", "", "no answer from the database at /nowhere"},
		{"another password", c.URL, "x", "the database refuses the connection: FATAL: password authentication failed"},
		{"another database", strings.Replace(c.URL, a.database, "nowhere", 1), cluster.Password(), `database "nowhere" does not exist`},
		{"another role", strings.Replace(c.URL, "sallyd@", "nobody@", 1), cluster.Password(), "password authentication failed"},
		{"another authority", "postgres://sallyd@" + cluster.Addr() + "/x?sslmode=verify-full&sslrootcert=" + w + "/" + lab.TLSAuthority, "", "TLS certificate is not trusted"},
		{"unencrypted", "postgres://sallyd@" + cluster.Addr() + "/" + a.database, cluster.Password(), "no pg_hba.conf entry"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			_, err := Open(t.Context(), Config{URL: tt.url, Password: func() (string, error) { return tt.password, nil }, AcceptAsynchronous: true})
			if err == nil || !strings.Contains(err.Error(), tt.text) || strings.Contains(err.Error(), "\n") || strings.Count(err.Error(), tt.text) != 1 {
				t.Errorf("%v, want one sentence with %q", err, tt.text)
			}
			t.Log(err)
		})
	}
}
