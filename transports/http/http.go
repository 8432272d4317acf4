// Package http is ThingsBoard's device API over HTTP: telemetry, attributes, the
// poll that waits for a change of them, and the bytes of firmware and software.
// On top of it come the things that HTTP clients know how to use and ThingsBoard
// lacks: Range, ETag, HEAD.
//
// It decodes and encodes, and moves bytes from files to sockets. What a device
// is answered is decided behind [transports.Handler].
package http

import (
	"context"
	"crypto/tls"
	"errors"
	"log/slog"
	"net"
	"net/http"
	"sync"
	"sync/atomic"
	"time"

	"github.com/windlass-ota/windlass/ota"
	"github.com/windlass-ota/windlass/transports"
)

// Name is what messages that came over HTTP carry as their transport.
const Name = "http"

// Config bounds what devices may do. The zero value of each member means its
// default.
type Config struct {
	MaxBody    int64         // bytes of a body; default 50 MiB
	MaxRPCBody int64         // bytes of a body of rpc; default 64 KiB
	InFlight   int           // messages handled at once; others wait at their socket. Default 1024
	Header     time.Duration // to send the header of a request, and between the bytes of its body; default 8 s
	Stall      time.Duration // to take something of a reply; default 30 s
	Idle       time.Duration // between two requests of a connection; default 2 minutes
	Drain      time.Duration // to end what goes on when the server stops; default 10 s
	JSON       transports.Limits
}

func (c Config) filled() Config {
	def := func(v *time.Duration, d time.Duration) {
		if *v <= 0 {
			*v = d
		}
	}
	def(&c.Header, 8*time.Second)
	def(&c.Stall, 30*time.Second)
	def(&c.Idle, 2*time.Minute)
	def(&c.Drain, 10*time.Second)
	if c.MaxBody <= 0 {
		c.MaxBody = 50 << 20
	}
	if c.MaxRPCBody <= 0 {
		c.MaxRPCBody = 64 << 10
	}
	if c.InFlight <= 0 {
		c.InFlight = 1024
	}
	return c
}

// Deps is what the transport works with. Doors, Claims and Beside may be nil, and
// of the listeners one.
type Deps struct {
	Listener net.Listener // where Serve listens; Serve closes it
	Secure   net.Listener // where it listens with TLS; Serve closes it, too
	TLS      *tls.Config  // what is shown there
	Auth     *transports.Authenticator
	Router   *transports.Router
	Blobs    ota.Blobs
	Doors    *transports.Doors // what chains answer below /in/; nil: nothing
	Claims   Provisioner       // nil: nobody is made known here, and nobody claimed
	Log      *slog.Logger
	Beside   http.Handler // answers every path outside of /api/v1/, such as the management API
}

// Provisioner makes devices known that were not, and lets known ones be claimed;
// [transports.Provisioner] does.
type Provisioner interface {
	Provision(ctx context.Context, body []byte, address string) (reply []byte, ok bool, err error)
	Claim(ctx context.Context, device ota.Ref, body []byte) error
}

// Transport serves devices over HTTP.
type Transport struct {
	c      Config
	d      Deps
	slots  chan struct{} // one for each message that is being handled
	faces  faces
	parked lot
	calls  atomic.Int64 // number of the last call of a device's method

	stop    chan struct{} // closed when polls shall end
	stopped sync.Once
}

var _ transports.Source = (*Transport)(nil)

// New returns a transport that does nothing yet.
func New(c Config, d Deps) *Transport {
	c = c.filled()
	return &Transport{c: c, d: d, slots: make(chan struct{}, c.InFlight), stop: make(chan struct{})}
}

// Serve implements [transports.Source] on the listener. Polls that wait end at
// once when ctx does, whole requests have the drain time.
func (t *Transport) Serve(ctx context.Context, h transports.Handler) error {
	mux := http.NewServeMux()
	mux.Handle("/api/v1/", t.Handler(h))
	if t.d.Doors != nil {
		mux.Handle("/in/", lastIfChunked(t.door(h)))
	}
	if t.d.Beside != nil {
		mux.Handle("/", lastIfChunked(t.d.Beside))
	}
	srv := &http.Server{
		Handler:           mux,
		ReadHeaderTimeout: t.c.Header,
		IdleTimeout:       t.c.Idle,
		MaxHeaderBytes:    32 << 10,
		ErrorLog:          slog.NewLogLogger(t.d.Log.Handler(), slog.LevelDebug),
		ConnContext:       ConnContext,
		BaseContext:       func(net.Listener) context.Context { return context.WithoutCancel(ctx) },
		TLSConfig:         t.d.TLS,
	}
	var doors []func() error
	if l := t.d.Listener; l != nil {
		doors = append(doors, func() error { return srv.Serve(Listener(l, t.c.Stall)) })
	}
	if l := t.d.Secure; l != nil {
		doors = append(doors, func() error { return srv.ServeTLS(Listener(l, t.c.Stall), "", "") })
	}
	return t.serve(ctx, srv, doors)
}

// serve runs the doors of a server until ctx ends or one of them fails, and then
// lets what goes on end.
func (t *Transport) serve(ctx context.Context, srv *http.Server, doors []func() error) error {
	ended := make(chan error, len(doors))
	for _, door := range doors {
		go func() { ended <- door() }()
	}
	var failed error
	left := len(doors)
	select {
	case failed = <-ended:
		left--
	case <-ctx.Done():
	}
	t.Stop()
	drain, cancel := context.WithTimeout(context.WithoutCancel(ctx), t.c.Drain)
	defer cancel()
	if err := srv.Shutdown(drain); err != nil {
		t.d.Log.Warn("connections were cut, since they did not end in time", "transport", Name, "drain", t.c.Drain)
		srv.Close() //nolint:errcheck // nobody could act on it
	}
	t.parked.wg.Wait()
	for ; left > 0; left-- {
		if err := <-ended; !errors.Is(err, http.ErrServerClosed) {
			failed = errors.Join(failed, err)
		}
	}
	return failed
}

// Stop ends the polls that wait, each with the answer that nothing came. Serve
// does it by itself; whoever mounts [Transport.Handler] on a server of his own
// calls it when that server stops. Stopping twice is stopping once.
func (t *Transport) Stop() { t.stopped.Do(func() { close(t.stop); t.parked.close() }) }

// Handler answers the paths below /api/v1/. Files leave by the kernel alone
// where the server's listener came through [Listener], see also [ConnContext].
func (t *Transport) Handler(h transports.Handler) http.Handler {
	mux := http.NewServeMux()
	for pattern, serve := range map[string]func(*exchange){
		"POST /api/v1/{token}/telemetry":         t.telemetry,
		"POST /api/v1/{token}/attributes":        t.setAttributes,
		"GET /api/v1/{token}/attributes":         t.getAttributes,
		"GET /api/v1/{token}/attributes/updates": t.awaitAttributes,
		"GET /api/v1/{token}/firmware":           func(x *exchange) { t.download(x, ota.Firmware) },
		"GET /api/v1/{token}/software":           func(x *exchange) { t.download(x, ota.Software) },
		"POST /api/v1/{token}/rpc":               t.call,
		"GET /api/v1/{token}/rpc":                t.awaitCall,
		"POST /api/v1/{token}/rpc/{id}":          t.answered,
		"POST /api/v1/{token}/claim":             t.claim,
	} {
		mux.HandleFunc(pattern, func(w http.ResponseWriter, r *http.Request) {
			x := &exchange{w: w, r: r, h: h, t: t}
			if x.admit() {
				serve(x)
			}
		})
	}
	mux.HandleFunc("POST /api/v1/provision", func(w http.ResponseWriter, r *http.Request) {
		t.provision(&exchange{w: w, r: r, h: h, t: t})
	})
	return lastIfChunked(mux)
}

// lastIfChunked closes the connection behind a request whose body came in
// chunks. Such a request may have named a length as well, which net/http does
// not tell: what one server reads as its body is the next request to another
// (RFC 9112, section 6.3).
func lastIfChunked(h http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if len(r.TransferEncoding) > 0 {
			w.Header().Set("Connection", "close")
		}
		h.ServeHTTP(w, r)
	})
}
