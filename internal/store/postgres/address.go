package postgres

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"github.com/jackc/pgx/v5"
)

// ErrConfig says that a setting can't be meant.
var ErrConfig = errors.New("not a usable setting")

// scheme begins every address of a database.
const scheme = "postgres://"

// address is what a URL says.
type address struct {
	user, database      string
	hosts               []host
	encrypted           bool
	rootCert, cert, key string // files
}

type host struct {
	name string // or the folder of a socket
	port uint16
}

// parseAddress reads postgres://USER@HOST[:PORT][,HOST[:PORT]…]/DATABASE[?OPTION=VALUE…].
// It is strict: what it does not know it refuses, and a password it never takes.
func parseAddress(text string) (address, error) {
	refuse := func(format string, args ...any) (address, error) {
		return address{}, fmt.Errorf("url: %w: "+format, append([]any{ErrConfig}, args...)...)
	}
	rest, ok := strings.CutPrefix(text, scheme)
	if !ok {
		return refuse("it is %sUSER@HOST[:PORT]/DATABASE", scheme)
	}
	rest, query, _ := strings.Cut(rest, "?")
	rest, database, _ := strings.Cut(rest, "/")
	user, hosts, ok := strings.Cut(rest, "@")
	switch {
	case !ok || user == "" || strings.Contains(hosts, "@"):
		return refuse("name one role, %sUSER@…", scheme)
	case strings.Contains(user, ":"):
		return refuse("it holds a password; put that into a file of mode 0600 and name it in password_file, or a variable in password_env")
	case database == "" || strings.Contains(database, "/"):
		return refuse("name one database, …/DATABASE")
	}
	var a address
	var err error
	if a.user, err = url.PathUnescape(user); err != nil {
		return refuse("the role's name is not well escaped")
	}
	if a.database, err = url.PathUnescape(database); err != nil {
		return refuse("the database's name is not well escaped")
	}
	options, err := url.ParseQuery(query)
	if err != nil {
		return refuse("its options are not well escaped")
	}
	if err := a.readHosts(hosts, options); err != nil {
		return address{}, err
	}
	return a, a.readOptions(options)
}

// readHosts reads where the database is. Several hosts are one database: the one
// that takes writes is used.
func (a *address) readHosts(hosts string, options url.Values) error {
	socket := options.Get("host")
	if hosts == "" && strings.HasPrefix(socket, "/") {
		a.hosts = []host{{socket, 5432}}
		return nil
	}
	if hosts == "" || options.Has("host") {
		return fmt.Errorf("url: %w: name the host, …@HOST[:PORT]/…, or for a socket its folder, …@/DATABASE?host=/FOLDER", ErrConfig)
	}
	for part := range strings.SplitSeq(hosts, ",") {
		h := host{part, 5432}
		if name, port, err := net.SplitHostPort(part); err == nil {
			n, err := strconv.ParseUint(port, 10, 16)
			if err != nil || n == 0 {
				return fmt.Errorf("url: %w: %q is not a port", ErrConfig, port)
			}
			h = host{name, uint16(n)}
		}
		if h.name == "" || strings.ContainsAny(h.name, " :/%[]\\'") && net.ParseIP(h.name) == nil {
			return fmt.Errorf("url: %w: %q is not a host", ErrConfig, part)
		}
		a.hosts = append(a.hosts, h)
	}
	return nil
}

// local reports whether all hosts are this machine for sure.
func (a *address) local() bool {
	return !slices.ContainsFunc(a.hosts, func(h host) bool {
		ip := net.ParseIP(h.name)
		return !strings.HasPrefix(h.name, "/") && h.name != "localhost" && (ip == nil || !ip.IsLoopback())
	})
}

// readOptions reads how the way there is secured. Whoever is not this machine is
// known by a certificate.
func (a *address) readOptions(options url.Values) error {
	for name, values := range options {
		if !slices.Contains([]string{"host", "sslmode", "sslrootcert", "sslcert", "sslkey"}, name) {
			return fmt.Errorf("url: %w: the option %q is not one of host, sslmode, sslrootcert, sslcert, sslkey", ErrConfig, name)
		}
		if len(values) != 1 {
			return fmt.Errorf("url: %w: the option %q stands there twice", ErrConfig, name)
		}
		if strings.HasPrefix(name, "sslr") || name == "sslcert" || name == "sslkey" {
			if !filepath.IsAbs(values[0]) {
				return fmt.Errorf("url: %w: %s=%s is not an absolute path", ErrConfig, name, values[0])
			}
		}
	}
	a.rootCert, a.cert, a.key = options.Get("sslrootcert"), options.Get("sslcert"), options.Get("sslkey")
	mode := options.Get("sslmode")
	switch {
	case (a.cert == "") != (a.key == ""):
		return fmt.Errorf("url: %w: sslcert and sslkey come together", ErrConfig)
	case mode == "verify-full":
		a.encrypted = true
	case mode == "" && !a.local():
		a.encrypted = true
	case mode != "" && mode != "disable":
		return fmt.Errorf("url: %w: sslmode=%s does not check whom one talks to; it is verify-full, or on this machine disable", ErrConfig, mode)
	case !a.local():
		return fmt.Errorf("url: %w: sslmode=disable is for this machine only", ErrConfig)
	case a.rootCert != "" || a.cert != "":
		return fmt.Errorf("url: %w: certificates are for sslmode=verify-full", ErrConfig)
	}
	return nil
}

// config is what pgx connects with. Neither PG… variables nor files in a home
// folder count: the settings are the only source.
func (a *address) config() (*pgx.ConnConfig, error) {
	names, ports := make([]string, len(a.hosts)), make([]string, len(a.hosts))
	for i, h := range a.hosts {
		names[i], ports[i] = h.name, strconv.Itoa(int(h.port))
	}
	var text strings.Builder
	for _, pair := range [][2]string{
		{"host", strings.Join(names, ",")},
		{"port", strings.Join(ports, ",")},
		{"user", a.user},
		{"dbname", a.database},
		{"passfile", os.DevNull},
		{"sslmode", "disable"},
		{"sslrootcert", ""},
		{"sslcert", ""},
		{"sslkey", ""},
		{"sslcertmode", "allow"},
		{"sslnegotiation", "postgres"},
		{"channel_binding", "prefer"},
		{"require_auth", ""},
		{"options", ""},
		{"min_protocol_version", "3.0"},
		{"max_protocol_version", "3.0"},
		{"target_session_attrs", "any"},
	} {
		fmt.Fprintf(&text, "%s='%s' ", pair[0], strings.NewReplacer(`\`, `\\`, `'`, `\'`).Replace(pair[1]))
	}
	c, err := pgx.ParseConfig(text.String())
	if err != nil {
		return nil, fmt.Errorf("url: %w: it is not understood; if PGSERVICE is set, unset it", ErrConfig)
	}
	if !a.encrypted {
		return c, nil
	}
	base, err := a.tls()
	if err != nil {
		return nil, err
	}
	named := func(name string) *tls.Config {
		t := base.Clone()
		t.ServerName = name
		return t
	}
	c.TLSConfig = named(c.Host)
	for _, f := range c.Fallbacks {
		f.TLSConfig = named(f.Host)
	}
	return c, nil
}

func (a *address) tls() (*tls.Config, error) {
	t := &tls.Config{MinVersion: tls.VersionTLS12}
	if a.rootCert != "" {
		text, err := os.ReadFile(a.rootCert)
		if err != nil {
			return nil, fmt.Errorf("url: %w: sslrootcert: %w", ErrConfig, err)
		}
		t.RootCAs = x509.NewCertPool()
		if !t.RootCAs.AppendCertsFromPEM(text) {
			return nil, fmt.Errorf("url: %w: sslrootcert: %s holds no certificate in PEM", ErrConfig, a.rootCert)
		}
	}
	if a.cert != "" {
		pair, err := tls.LoadX509KeyPair(a.cert, a.key)
		if err != nil {
			return nil, fmt.Errorf("url: %w: sslcert and sslkey: %w", ErrConfig, err)
		}
		t.Certificates = []tls.Certificate{pair}
	}
	return t, nil
}
