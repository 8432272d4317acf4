package lwm2m

import (
	"bytes"
	"context"
	"crypto/tls"
	"fmt"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/pion/dtls/v3"
	"github.com/plgd-dev/go-coap/v3/message"
	"github.com/plgd-dev/go-coap/v3/message/codes"

	"github.com/windlass-ota/windlass/internal/coapx"
	"github.com/windlass-ota/windlass/ota"
	"github.com/windlass-ota/windlass/transports/transporttest"
)

// raw is a client by hand: a connection that answers nothing but pings.
func raw(t *testing.T, nc net.Conn) *coapx.Conn {
	t.Helper()
	c := coapx.New(func(b []byte) error { _, err := nc.Write(b); return err }, func(context.Context, coapx.Asked) *coapx.Message {
		return coapx.Response(codes.NotFound)
	}, coapx.Config{AckTimeout: 50 * time.Millisecond})
	done := make(chan struct{})
	go func() {
		defer close(done)
		b := make([]byte, 8<<10)
		for {
			n, err := nc.Read(b)
			if err != nil {
				return
			}
			c.Receive(b[:n])
		}
	}()
	t.Cleanup(func() { nc.Close(); <-done; c.Close() })
	return c
}

func plainly(t *testing.T, x *Transport, from string) *coapx.Conn {
	t.Helper()
	d := net.Dialer{LocalAddr: &net.UDPAddr{IP: net.ParseIP(from)}}
	nc, err := d.DialContext(t.Context(), "udp", x.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	return raw(t, nc)
}

func securely(t *testing.T, x *Transport, o ...dtls.ClientOption) (*coapx.Conn, error) {
	t.Helper()
	at, err := net.ResolveUDPAddr("udp", x.SecureAddr().String())
	if err != nil {
		t.Fatal(err)
	}
	nc, err := dtls.DialWithOptions("udp", at, o...)
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(t.Context(), 3*time.Second)
	defer cancel()
	if err := nc.HandshakeContext(ctx); err != nil {
		nc.Close()
		return nil, err
	}
	return raw(t, nc), nil
}

func psk(identity string, key []byte) []dtls.ClientOption {
	return []dtls.ClientOption{
		dtls.WithPSK(func([]byte) ([]byte, error) { return key, nil }), dtls.WithPSKIdentityHint([]byte(identity)),
		dtls.WithCipherSuites(dtls.TLS_PSK_WITH_AES_128_CCM_8),
	}
}

// register registers by hand and returns the code and the location.
func register(t *testing.T, c *coapx.Conn, query ...string) (codes.Code, string) {
	t.Helper()
	m := coapx.Request(codes.POST, "/rd").Set(message.ContentFormat, 40)
	for _, q := range query {
		m.Add(message.URIQuery, q)
	}
	m.Payload = []byte("</1/0>,</3/0>")
	r, err := c.Do(t.Context(), m)
	if err != nil {
		t.Fatal(err)
	}
	return r.Code, "/" + strings.Join(r.Strings(message.LocationPath), "/")
}

var key1, key2 = bytes.Repeat([]byte{1}, 16), bytes.Repeat([]byte{2}, 16)

// TestIdentity: an endpoint is one device's, and only that device may show it.
func TestIdentity(t *testing.T) {
	h := newHouse(t, 100)
	x := h.serve(Config{Secure: "127.0.0.1:0"})
	h.device("d1", ota.Credentials{Endpoint: "one", Identity: "id1", Key: key1})
	h.device("d2", ota.Credentials{Endpoint: "two", Identity: "id2", Key: key2})
	h.device("d3", ota.Credentials{Endpoint: "open"})

	one, err := securely(t, x, psk("id1", key1)...)
	if err != nil {
		t.Fatal(err)
	}
	two, err := securely(t, x, psk("id2", key2)...)
	if err != nil {
		t.Fatal(err)
	}
	code, location := register(t, one, "ep=one", "lt=300")
	if code != codes.Created {
		t.Fatalf("its own endpoint: %v", code)
	}
	plain := plainly(t, x, "127.0.0.1")
	for _, tt := range []struct {
		name string
		by   *coapx.Conn
		ep   string
		want codes.Code
	}{
		{"another's endpoint by DTLS", two, "ep=one", codes.Forbidden},
		{"an open endpoint by DTLS of another", two, "ep=open", codes.Forbidden},
		{"plainly, where a key is due", plain, "ep=one", codes.Forbidden},
		{"nobody's endpoint", plain, "ep=none", codes.Forbidden},
		{"no endpoint", plain, "lt=60", codes.BadRequest},
		{"an endpoint without end", plain, "ep=" + strings.Repeat("x", 250), codes.Forbidden},
		{"the identity names it", two, "lt=60", codes.Created},
		{"plainly, where that is enough", plain, "ep=open", codes.Created},
	} {
		if code, _ := register(t, tt.by, tt.ep); code != tt.want {
			t.Errorf("%s: %v, want %v", tt.name, code, tt.want)
		}
	}
	if s := x.reg.device(ota.RefOf(tenant, "d1")); s == nil || "/rd/"+s.location != location {
		t.Error("the registration that was there has gone")
	}
	for name, c := range map[string]*coapx.Conn{"plainly": plain, "another": two} {
		for _, m := range []codes.Code{codes.POST, codes.DELETE} {
			if r, err := c.Do(t.Context(), coapx.Request(m, location)); err != nil || r.Code != codes.NotFound {
				t.Errorf("%s, %v of another's registration: %v, %v", name, m, r, err)
			}
		}
	}
	for name, o := range map[string][]dtls.ClientOption{"wrong key": psk("id1", key2), "unknown identity": psk("id9", key1)} {
		if _, err := securely(t, x, o...); err == nil {
			t.Errorf("%s: the handshake went well", name)
		}
	}
	if r, err := one.Do(t.Context(), coapx.Request(codes.DELETE, location)); err != nil || r.Code != codes.Deleted {
		t.Errorf("de-register: %v, %v", r, err)
	}
	if x.reg.device(ota.RefOf(tenant, "d1")) != nil {
		t.Error("it is registered still")
	}
}

// TestTwoOfOneName: over plain UDP a client that is there is not driven out from
// another address; one that has gone is.
func TestTwoOfOneName(t *testing.T) {
	h := newHouse(t, 100)
	x := h.serve(Config{})
	ref := h.device("d1", ota.Credentials{Endpoint: "open"})
	first := plainly(t, x, "127.0.0.1")
	_, location := register(t, first, "ep=open")
	other := plainly(t, x, "127.0.0.2")
	if code, _ := register(t, other, "ep=open"); code != codes.Forbidden {
		t.Errorf("the second: %v", code)
	}
	if s := x.reg.device(ref); s == nil || "/rd/"+s.location != location {
		t.Error("the first has gone")
	}
	first.Close() // it answers no more
	if code, _ := register(t, other, "ep=open"); code != codes.Created {
		t.Errorf("the second, when the first has gone: %v", code)
	}
}

// TestTerms: what a registration may say, and how long it lasts.
func TestTerms(t *testing.T) {
	h := newHouse(t, 100)
	x := h.serve(Config{})
	ref := h.device("d1", ota.Credentials{Endpoint: "open"})
	c := plainly(t, x, "127.0.0.1")
	for _, tt := range []struct {
		lt   string
		want codes.Code
		is   time.Duration
	}{
		{"lt=60", codes.Created, time.Minute}, {"lt=0", codes.Created, 30 * 24 * time.Hour}, {"lt=1", codes.Created, minLifetime},
		{"lt=4294967295", codes.Created, 30 * 24 * time.Hour}, {"lt=4294967296", codes.BadRequest, 0}, {"lt=-1", codes.BadRequest, 0}, {"lt=x", codes.BadRequest, 0},
	} {
		code, _ := register(t, c, "ep=open", tt.lt)
		if s := x.reg.device(ref); code != tt.want || tt.is > 0 && s.lifetime != tt.is {
			t.Errorf("%s: %v", tt.lt, code)
		}
	}
	m := coapx.Request(codes.POST, "/rd").Add(message.URIQuery, "ep=open")
	m.Payload = []byte(strings.Repeat("</3/0>,", 100) + "</3")
	if r, err := c.Do(t.Context(), m); err != nil || r.Code != codes.BadRequest {
		t.Errorf("broken links: %v, %v", r, err)
	}
	many := []byte(strings.TrimSuffix(strings.Repeat("</65000/1000>,", 10_000), ","))
	r, err := c.Upload(t.Context(), coapx.Request(codes.POST, "/rd").Add(message.URIQuery, "ep=open"), coapx.Upload{
		Size: int64(len(many)), SZX: coapx.MaxSZX, Patience: func() time.Duration { return 5 * time.Second },
		Read: func(_ context.Context, off int64, b []byte) error { copy(b, many[off:]); return nil },
	})
	if err != nil || r.Code != codes.RequestEntityTooLarge {
		t.Errorf("10,000 links: %v, %v", r, err)
	}
	// The lifetime ends.
	register(t, c, "ep=open", "lt=60")
	s := x.reg.device(ref)
	s.refresh(s.through(), terms{lifetime: time.Millisecond})
	h.until("its lifetime is over", func() bool { return x.reg.len() == 0 && h.router.Sessions() == 0 })
	h.mu.Lock()
	defer h.mu.Unlock()
	if last := h.events[len(h.events)-1]; last != "disconnected d1" {
		t.Errorf("the last event is %s", last)
	}
}

// TestSecureUpdates: by key and by certificate, pushed and pulled over the same
// connection.
func TestSecureUpdates(t *testing.T) {
	own, theirs, stranger := transporttest.Certificate(t, "server"), transporttest.Certificate(t, "d1"), transporttest.Certificate(t, "d2")
	for _, tt := range []struct {
		name string
		cred ota.Credentials
		opts []dtls.ClientOption
	}{
		{"key", ota.Credentials{Endpoint: "d1", Identity: "id1", Key: key1}, psk("id1", key1)},
		{"certificate", ota.Credentials{Endpoint: "d1", Certificate: ota.CertificateHash(theirs.Certificate[0])},
			[]dtls.ClientOption{dtls.WithCertificates(theirs), dtls.WithInsecureSkipVerify(true)}},
	} {
		for _, delivery := range []int64{0, 1} {
			t.Run(fmt.Sprint(tt.name, " ", delivery), func(t *testing.T) {
				h := newHouse(t, 50_001)
				x := h.serve(Config{Secure: "127.0.0.1:0"}, func(d *Deps) { d.Certificate = func() *tls.Certificate { return &own } })
				ref := h.device("d1", tt.cred)
				h.assign(ref, h.add(ota.Firmware, "1.1.10"))
				if _, err := securely(t, x, dtls.WithCertificates(stranger), dtls.WithInsecureSkipVerify(true)); err == nil {
					t.Error("a stranger's certificate is taken")
				}
				c := h.client(x, "d1", ota.Firmware)
				c.Delivery = delivery
				c.Dial = func(ctx context.Context) (net.Conn, error) {
					at, err := net.ResolveUDPAddr("udp", x.SecureAddr().String())
					if err != nil {
						return nil, err
					}
					nc, err := dtls.DialWithOptions("udp", at, tt.opts...)
					if err != nil {
						return nil, err
					}
					return nc, nc.HandshakeContext(ctx)
				}
				h.play(c)
				h.until("UPDATED", func() bool { return h.track(ref, ota.Firmware).Update.State == ota.Updated })
				if !bytes.Equal(c.Received, h.data) {
					t.Errorf("%d bytes came", len(c.Received))
				}
			})
		}
	}
}

// TestLinks: a link is one device's, for one package, for a time; nobody guesses
// one, and who has none gets nothing.
func TestLinks(t *testing.T) {
	h := newHouse(t, 5000)
	x := h.serve(Config{})
	ref := h.device("d1", ota.Credentials{Endpoint: "d1"})
	other := h.device("d2", ota.Credentials{Endpoint: "d2"})
	p := h.add(ota.Firmware, "1.1.10")
	h.assign(ref, p)
	c := plainly(t, x, "127.0.0.1")
	get := func(path string, b coapx.Block) *coapx.Message {
		t.Helper()
		r, err := c.Once(t.Context(), coapx.Request(codes.GET, path).SetBlock(message.Block2, b))
		if err != nil {
			t.Fatal(err)
		}
		return r
	}
	soon := time.Now().Add(time.Hour)
	good := link{ref.Tenant, ota.DeviceID(ref.ID), p.ID, soon}
	path := "/fw/" + good.pack([]byte("0123456789abcdef"))
	if len(path) > 100 {
		t.Errorf("a link has %d letters", len(path))
	}
	changed := path[:len(path)-1] + "A"
	if changed == path {
		changed = path[:len(path)-1] + "Q"
	}
	var got []byte
	for _, n := range []uint32{0, 1, 2, 3, 4} {
		r := get(path, coapx.Block{Num: n, SZX: coapx.MaxSZX})
		if b, _ := r.Block(message.Block2); r.Code != codes.Content || b.More != (n < 4) || b.Num != n {
			t.Fatalf("block %d: %v %+v", n, r.Code, b)
		}
		got = append(got, r.Payload...)
	}
	if !bytes.Equal(got, h.data) {
		t.Error("the bytes differ")
	}
	if r := get(path, coapx.Block{Num: 77, SZX: 2}); !bytes.Equal(r.Payload, h.data[77*64:78*64]) {
		t.Error("a block by itself differs")
	}
	for name, tt := range map[string]struct {
		path string
		b    coapx.Block
		want codes.Code
	}{
		"past the end":          {path, coapx.Block{Num: 5, SZX: coapx.MaxSZX}, codes.BadRequest},
		"far past the end":      {path, coapx.Block{Num: coapx.MaxBlockNum, SZX: coapx.MaxSZX}, codes.BadRequest},
		"a reserved size":       {path, coapx.Block{SZX: 7}, codes.BadRequest},
		"of software":           {"/sw" + path[3:], coapx.Block{SZX: 6}, codes.NotFound},
		"another key":           {"/fw/" + good.pack([]byte("another key here")), coapx.Block{SZX: 6}, codes.NotFound},
		"changed":               {changed, coapx.Block{SZX: 6}, codes.NotFound},
		"the package's id":      {"/fw/" + string(p.ID), coapx.Block{SZX: 6}, codes.NotFound},
		"ended":                 {"/fw/" + (&link{ref.Tenant, ota.DeviceID(ref.ID), p.ID, time.Now().Add(-time.Second)}).pack([]byte("0123456789abcdef")), coapx.Block{SZX: 6}, codes.NotFound},
		"of a device without":   {"/fw/" + (&link{ref.Tenant, ota.DeviceID(other.ID), p.ID, soon}).pack([]byte("0123456789abcdef")), coapx.Block{SZX: 6}, codes.NotFound},
		"of no device":          {"/fw/" + (&link{ref.Tenant, "d9", p.ID, soon}).pack([]byte("0123456789abcdef")), coapx.Block{SZX: 6}, codes.NotFound},
		"of no package":         {"/fw/" + (&link{ref.Tenant, ota.DeviceID(ref.ID), "none", soon}).pack([]byte("0123456789abcdef")), coapx.Block{SZX: 6}, codes.NotFound},
		"nothing":               {"/fw/", coapx.Block{SZX: 6}, codes.NotFound},
		"a path of ThingsBoard": {"/tbfw/" + string(p.ID), coapx.Block{SZX: 6}, codes.NotFound},
	} {
		if r := get(tt.path, tt.b); r.Code != tt.want || len(r.Payload) > 0 {
			t.Errorf("%s: %v with %d bytes, want %v", name, r.Code, len(r.Payload), tt.want)
		}
	}
	h.mu.Lock()
	h.devices[ref].Device.Firmware.Cancel()
	h.mu.Unlock()
	if r := get(path, coapx.Block{SZX: 6}); r.Code != codes.NotFound {
		t.Errorf("after the update was cancelled: %v", r.Code)
	}
}

func FuzzLink(f *testing.F) {
	key := []byte("0123456789abcdef")
	f.Add((&link{"main", ota.DeviceID(ota.NewID()), "p", time.Now()}).pack(key))
	f.Add("")
	f.Fuzz(func(t *testing.T, s string) {
		if l, ok := openLink(key, s); ok && l.pack(key) != s {
			t.Fatalf("%q opens, and is packed otherwise", s)
		}
	})
}
