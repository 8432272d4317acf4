// Package httpcall makes the requests that chains want made, and keeps them from
// reaching what they must not: a chain's URL may hold what a device has said, so
// the address that is really dialled is looked at, after every name was resolved,
// and nothing is followed elsewhere.
//
// It knows no chain and no secret by name.
package httpcall

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"strings"
	"syscall"
	"time"

	"github.com/windlass-ota/windlass/ota"
)

// Config is what an operator may set. A zero member means its default.
type Config struct {
	Allow   []string      // networks (10.0.0.0/8) and hosts (hooks.internal, 127.0.0.1:9000) that may be called beside the public ones
	MaxBody int64         // bytes of an answer: 1 MiB
	Timeout time.Duration // of one call: 10 s
}

// Caller makes requests. It is safe for concurrent use.
type Caller struct {
	c      Config
	client *http.Client
	nets   []netip.Prefix
	hosts  map[string]bool
}

// New returns a caller. An entry of the allow-list that is none is an error.
func New(c Config) (*Caller, error) {
	if c.MaxBody <= 0 {
		c.MaxBody = 1 << 20
	}
	if c.Timeout <= 0 {
		c.Timeout = 10 * time.Second
	}
	x := &Caller{c: c, hosts: map[string]bool{}}
	for _, a := range c.Allow {
		switch p, err := netip.ParsePrefix(a); {
		case err == nil:
			x.nets = append(x.nets, p.Masked())
		case a == "" || strings.ContainsAny(a, "/@ *"):
			return nil, fmt.Errorf("%q is neither a network, such as 10.0.0.0/8, nor a host", a)
		default:
			x.hosts[strings.ToLower(a)] = true
		}
	}
	dialer := &net.Dialer{Timeout: 5 * time.Second, KeepAlive: 30 * time.Second, ControlContext: x.control}
	x.client = &http.Client{
		Transport: &http.Transport{
			Proxy: nil, DialContext: dialer.DialContext, ForceAttemptHTTP2: true, MaxIdleConnsPerHost: 8, MaxConnsPerHost: 64,
			IdleConnTimeout: time.Minute, TLSHandshakeTimeout: 5 * time.Second, MaxResponseHeaderBytes: 64 << 10,
			// An idle connection was checked for the host that it was made for alone.
		},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
	return x, nil
}

// errForbidden refuses an address.
var errForbidden = errors.New("the address is not public, and no operator has allowed it")

type hostKey struct{}

// control looks at the address that is about to be dialled.
func (x *Caller) control(ctx context.Context, network, address string, _ syscall.RawConn) error {
	if !strings.HasPrefix(network, "tcp") {
		return errForbidden
	}
	if allowed, ok := ctx.Value(hostKey{}).(bool); ok && allowed {
		return nil
	}
	at, err := netip.ParseAddrPort(address)
	if err != nil || !x.may(at.Addr()) {
		return errForbidden
	}
	return nil
}

// forbidden are networks that are not the public internet, besides those that
// netip knows by itself (RFC 6890 and its registry).
var forbidden = func() (out []netip.Prefix) {
	for _, p := range []string{
		"0.0.0.0/8", "100.64.0.0/10", "192.0.0.0/24", "192.0.2.0/24", "192.88.99.0/24", "198.18.0.0/15", "198.51.100.0/24", "203.0.113.0/24", "240.0.0.0/4",
		"::/96", "64:ff9b::/96", "64:ff9b:1::/48", "100::/64", "2001::/23", "2001:db8::/32", "2002::/16", "fec0::/10", "3fff::/20", "5f00::/16",
	} {
		out = append(out, netip.MustParsePrefix(p))
	}
	return out
}()

func (x *Caller) may(a netip.Addr) bool {
	a = a.Unmap().WithZone("")
	for _, p := range x.nets {
		if p.Contains(a) {
			return true
		}
	}
	if !a.IsGlobalUnicast() || a.IsPrivate() || a.IsLoopback() || a.IsLinkLocalUnicast() {
		return false
	}
	for _, p := range forbidden {
		if p.Contains(a) {
			return false
		}
	}
	return true
}

// Call makes a request. An answer with any status is no error. The error is
// [ota.Invalid] where the URL may not be called, which no second try mends, else
// [ota.Busy]; it never shows the URL, which may be a secret.
func (x *Caller) Call(ctx context.Context, c ota.Call) (ota.Called, error) {
	const op = "call"
	u, err := url.Parse(c.URL)
	if err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https" {
		return ota.Called{}, ota.Errorf(ota.Invalid, op, "the URL is none of http or https")
	}
	if u.User != nil {
		return ota.Called{}, ota.Errorf(ota.Invalid, op, "the URL holds a user; say that in a header")
	}
	allowed := x.hosts[strings.ToLower(u.Hostname())] || x.hosts[strings.ToLower(u.Host)]
	ctx, cancel := context.WithTimeout(context.WithValue(ctx, hostKey{}, allowed), x.c.Timeout)
	defer cancel()
	r, err := http.NewRequestWithContext(ctx, c.Method, u.String(), bytes.NewReader(c.Body))
	if err != nil {
		return ota.Called{}, ota.Errorf(ota.Invalid, op, "the request is none: %w", bare(err))
	}
	for name, v := range c.Headers {
		r.Header.Set(name, v)
	}
	a, err := x.client.Do(r)
	if err != nil {
		if errors.Is(err, errForbidden) {
			return ota.Called{}, ota.Errorf(ota.Invalid, op, "%w", errForbidden)
		}
		return ota.Called{}, ota.Errorf(ota.Busy, op, "%w", bare(err))
	}
	defer a.Body.Close()
	body, err := io.ReadAll(io.LimitReader(a.Body, x.c.MaxBody+1))
	if err != nil {
		return ota.Called{}, ota.Errorf(ota.Busy, op, "the answer ends too soon: %w", bare(err))
	}
	if int64(len(body)) > x.c.MaxBody {
		return ota.Called{}, ota.Errorf(ota.Invalid, op, "the answer has more than %d bytes", x.c.MaxBody)
	}
	return ota.Called{Status: a.StatusCode, Body: body}, nil
}

// bare is an error of net/http without the URL that it shows.
func bare(err error) error {
	var u *url.Error
	if errors.As(err, &u) {
		return u.Err
	}
	return err
}
