package main

import (
	"cmp"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"github.com/windlass-ota/windlass/engine"
	"github.com/windlass-ota/windlass/ota"
	"github.com/windlass-ota/windlass/transports"
	"github.com/windlass-ota/windlass/transports/coap"
	httpwire "github.com/windlass-ota/windlass/transports/http"
	"github.com/windlass-ota/windlass/transports/httpcall"
	"github.com/windlass-ota/windlass/transports/lwm2m"
	"github.com/windlass-ota/windlass/transports/mqtt"
	"github.com/windlass-ota/windlass/transports/mqttbridge"
	"github.com/windlass-ota/windlass/transports/schedule"
)

// serveOptions is what the verbs add to a configuration.
type serveOptions struct {
	Err     io.Writer // what people see: the ready line, warnings
	Dev     bool      // a demo fleet of Devices, and its package
	Devices int
}

// drainTime is how long turns and transfers have to end when the server stops.
const drainTime = 8 * time.Second

// server is everything that runs, wired.
type server struct {
	cfg         *Config
	log         *slog.Logger
	house       *house
	engine      *engine.Engine
	chains      *chainFolder
	replayer    *replayer
	router      *transports.Router
	provisioner *transports.Provisioner // devices that make themselves known
	sources     []source
	ways        transports.Doors // that chains have opened
	bridge      *mqttbridge.Bridge
	certificate *certificate      // that doors with TLS and DTLS show; nil: none
	coap        *coap.Transport   // nil: the door is off
	mqtt        *mqtt.Transport   // nil where it is off
	lwm2m       *lwm2m.Transport  // nil where it is off
	arming      chan struct{}     // other chains are in use: their schedules must be due
	doors       map[string]string // by name: the address that it listens on
	started     time.Time
	ready       atomic.Bool
}

// source is a source with the name that errors call it by.
type source struct {
	name string
	transports.Source
}

// serve runs a server until ctx ends: doors first, state last.
func serve(ctx context.Context, cfg *Config, o serveOptions) error {
	if cmp.Or(cfg.HTTP, cfg.HTTPS, cfg.MQTT, cfg.MQTTS, cfg.CoAP, cfg.CoAPS, cfg.LwM2M, cfg.LwM2MS) == "" {
		return errNoDoor
	}
	log := newLog(o.Err, cfg)
	secrets, err := cfg.readSecrets()
	if err != nil {
		return err
	}
	if err := os.MkdirAll(cfg.Data, 0o700); err != nil {
		return err
	}
	token, file, made, err := cfg.adminToken(secrets)
	if err != nil {
		return err
	}
	if made {
		fmt.Fprintf(o.Err, "windlass: the administrator's token lies in %s\n", file)
	}
	h, err := openHouse(ctx, cfg, log)
	if err != nil {
		return err
	}
	if h.warning != "" {
		fmt.Fprintf(o.Err, "windlass: warning: %s\n", h.warning)
	}
	s := &server{cfg: cfg, log: log, house: h, doors: map[string]string{}, arming: make(chan struct{}, 1), started: time.Now()}
	err = s.open(ctx, token, secrets)
	if err == nil {
		err = s.run(ctx, o, token)
	}
	return errors.Join(err, h.close())
}

func newLog(w io.Writer, cfg *Config) *slog.Logger {
	o := &slog.HandlerOptions{Level: cfg.LogLevel}
	if cfg.LogFormat == "json" {
		return slog.New(slog.NewJSONHandler(w, o))
	}
	return slog.New(slog.NewTextHandler(w, o))
}

// open loads the chains and opens the doors; nothing is served yet.
func (s *server) open(ctx context.Context, token string, secrets map[string]string) error {
	s.router = transports.NewRouter(s.house.bus, s.house.facts)
	var err error
	if s.bridge, err = s.newBridge(secrets); err != nil {
		return err
	}
	deps := s.house.deps(s.cfg, s.log)
	deps.Brokers, deps.Devices = s, s
	if deps.Calls, err = httpcall.New(httpcall.Config{Allow: s.cfg.CallsAllow}); err != nil {
		return fmt.Errorf("calls.allow: %w", err)
	}
	chains, err := loadChains(ctx, s.cfg, deps, s.house.store, secrets, s.log)
	if err != nil {
		return err
	}
	s.chains = chains
	library := engine.NewLibrary(s.house.store, chains.reg, chains.opts)
	if err := chains.nameLost(ctx, library); err != nil {
		return err
	}
	s.engine = engine.New(chains.set(), engine.Host{
		Homes: s.house.facts, Facts: s.house.facts, Fresh: s.house.store, Doors: s.house.store, Slots: s.house.store, Members: s.house.store, Deliver: s.bridge, Sender: s.router, Process: s.house.process, Library: library, Log: s.log, Runs: s.cfg.Limits.Runs,
	})
	chains.use, s.house.plan = s.use, s.engine.Plan
	s.use(chains.set())
	if s.replayer, err = newReplayer(s, s.house.deps(s.cfg, s.log)); err != nil {
		return err
	}
	auth := transports.NewAuthenticator(s.house.facts, transports.Guard{})
	s.provisioner = transports.NewProvisioner(auth, s.house.wishes(s.cfg), ota.DefaultTenant)
	s.sources = append(s.sources, source{"schedule", schedule.New(schedule.Config{Pace: s.cfg.OffersPace}, schedule.Deps{Owner: s.house.owner, Homes: s.house.store, Log: s.log})})
	s.sources = append(s.sources, source{"brokers", s.bridge})
	if err := s.openCertificate(); err != nil {
		return err
	}
	secure := s.certificate.tls()
	if err := s.openMQTT(auth, secure); err != nil {
		return err
	}
	if err := s.openCoAP(auth); err != nil {
		return err
	}
	if err := s.openLwM2M(auth); err != nil {
		return err
	}
	return s.openHTTP(auth, token, secure)
}

// openCertificate reads what all doors with TLS and DTLS show. Those with DTLS
// alone can do without: devices come with pre-shared keys then.
func (s *server) openCertificate() (err error) {
	c := s.cfg
	streams := c.HTTPS != "" || c.MQTTS != ""
	datagrams := (c.CoAPS != "" || c.LwM2MS != "") && cmp.Or(c.TLSCert, c.TLSKey) != ""
	if streams || datagrams {
		s.certificate, err = openCertificate(c, s.log)
	}
	return err
}

func (s *server) openMQTT(auth *transports.Authenticator, secure *tls.Config) error {
	if s.cfg.MQTT == "" && s.cfg.MQTTS == "" {
		return nil
	}
	t, err := mqtt.New(mqtt.Config{
		Listen: s.cfg.MQTT, ListenTLS: s.cfg.MQTTS,
		MaxPayload: int(s.cfg.Limits.MQTTPayload), MaxInflight: s.cfg.Limits.MQTTPending, MaxConnections: s.cfg.Limits.Sessions,
	}, mqtt.Deps{Auth: auth, Nouns: s.house.facts, Fleet: s.house.wishes(s.cfg), Claims: s.provisioner, Router: s.router, Doors: &s.ways, Files: s.house.blobs, TLS: secure, Log: s.log})
	if err != nil {
		return err
	}
	s.opened("mqtt", t.Addr())
	s.opened("mqtts", t.AddrTLS())
	s.mqtt = t
	s.sources = append(s.sources, source{"mqtt", t})
	return nil
}

func (s *server) openHTTP(auth *transports.Authenticator, token string, secure *tls.Config) error {
	if s.cfg.HTTP == "" && s.cfg.HTTPS == "" {
		return nil
	}
	plain, err := s.listen("http", s.cfg.HTTP)
	if err != nil {
		return err
	}
	withTLS, err := s.listen("https", s.cfg.HTTPS)
	if err != nil {
		return errors.Join(err, closeDoor(plain))
	}
	mux := http.NewServeMux()
	s.management(token).Mount(mux)
	mux.Handle("GET /metrics", s.metrics())
	if s.mqtt != nil {
		mux.Handle("GET /mqtt", s.mqtt.WebSocket())
	}
	s.sources = append(s.sources, source{"http", httpwire.New(httpwire.Config{Drain: drainTime}, httpwire.Deps{
		Listener: plain, Secure: withTLS, TLS: secure, Auth: auth, Claims: s.provisioner, Router: s.router, Doors: &s.ways, Blobs: s.house.blobs, Log: s.log, Beside: mux,
	})})
	return nil
}

// listen binds the address of a door; nil where it is off.
func (s *server) listen(name, address string) (net.Listener, error) {
	if address == "" {
		return nil, nil
	}
	ln, err := net.Listen("tcp", address)
	if err != nil {
		return nil, fmt.Errorf("%s: listen: %w", name, err)
	}
	s.opened(name, ln.Addr())
	return ln, nil
}

// opened notes where a door listens; nil where it is off.
func (s *server) opened(name string, at net.Addr) {
	if at != nil {
		s.doors[name] = at.String()
	}
}

func closeDoor(l net.Listener) error {
	if l == nil {
		return nil
	}
	return l.Close()
}

// run serves until ctx ends or a part fails. The doors close first; turns under
// way end; then the caller closes what they stood on.
func (s *server) run(ctx context.Context, o serveOptions, token string) error {
	ctx, stop := context.WithCancelCause(ctx)
	defer stop(nil)
	var wg sync.WaitGroup
	start := func(name string, serve func(context.Context) error) {
		wg.Go(func() {
			if err := serve(ctx); err != nil && ctx.Err() == nil {
				stop(fmt.Errorf("%s: %w", name, err))
			}
		})
	}
	start("bus", s.router.Listen)
	start("sweep", s.sweep)
	start("mend", s.mend)
	start("schedules", s.arm)
	start("chains", s.chains.watch)
	start("revisions", s.chains.follow)
	for _, src := range s.sources {
		start(src.name, func(ctx context.Context) error { return src.Serve(ctx, s.engine) })
	}
	forget := func() {}
	if at := s.doors["http"]; at != "" {
		var err error
		if forget, err = noteAddress(s.cfg.Data, "http://"+reachable(at)); err != nil {
			stop(err)
		}
	}
	defer forget()
	s.ready.Store(true)
	fmt.Fprintln(o.Err, readyLine(s.doors))
	if o.Dev {
		start("demo", func(ctx context.Context) error { return s.demo(ctx, o, token) })
	}
	<-ctx.Done()
	s.ready.Store(false)
	wg.Wait()
	s.engine.Wait()
	if err := context.Cause(ctx); !errors.Is(err, context.Canceled) {
		return err
	}
	return nil
}

// sweepEvery is how often names are freed that a creation reserved and a crash
// left behind.
const sweepEvery = time.Minute

func (s *server) sweep(ctx context.Context) error {
	tick := time.NewTicker(sweepEvery)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
		if err := s.house.store.Sweep(ctx); err != nil && ctx.Err() == nil {
			s.log.Warn("names that nobody uses were not freed", "err", err)
		}
	}
}

// readyLine is what scripts wait for.
func readyLine(doors map[string]string) string {
	line := "windlass ready"
	for _, name := range sortedKeys(doors) {
		line += " " + name + "=" + doors[name]
	}
	return line
}

// reachable turns the address of a listener into one that this machine's tools
// can connect to.
func reachable(at string) string {
	host, port, err := net.SplitHostPort(at)
	if err != nil {
		return at
	}
	if ip := net.ParseIP(host); ip != nil && ip.IsUnspecified() {
		host = "127.0.0.1"
	}
	return net.JoinHostPort(host, port)
}
