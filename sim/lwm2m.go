package sim

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net"
	"sync"
	"time"

	"github.com/plgd-dev/go-coap/v3/message"
	"github.com/plgd-dev/go-coap/v3/message/codes"

	"github.com/windlass-ota/windlass/internal/coapx"
	"github.com/windlass-ota/windlass/internal/lwm2mwire"
	"github.com/windlass-ota/windlass/ota"
)

// LwM2M is one simulated LwM2M client, with the objects server, device, firmware
// update and software management. The server drives it: it takes a package that
// is written to it, or fetches the URI that is, installs when it is told to,
// restarts and registers anew. Run plays it.
type LwM2M struct {
	Name     string // in results and events
	Endpoint string
	Kind     ota.Kind
	Runs     ota.Version                                              // what it runs when it begins; then what it runs
	Target   ota.Version                                              // what the package turns out to be: its bytes do not tell a simulation
	Says     func(ota.Version) (name, version, v3 string)             // how it tells what it runs; nil: by the names of its object and by /3/0/3
	Dial     func(ctx context.Context) (net.Conn, error)              // UDP, or DTLS, to the server
	Fetch    func(ctx context.Context, host string) (net.Conn, error) // to where a URI points; nil: plain UDP

	Delivery   int64 // /5/0/9: 0 it fetches, 1 it is written to, 2 both; below 0: it does not say
	Lifetime   time.Duration
	Update     time.Duration // how often it updates its registration; 0: half of its lifetime
	Queue      bool          // queue mode: after Awake without a word it hears nothing
	Awake      time.Duration
	AckTimeout time.Duration
	Loss       float64 // share of its datagrams, either way, that is lost
	Install    time.Duration
	Retry      time.Duration // pause before it registers again
	Behaves    Behaviour
	Result     int64                // with Behaves.Fails: the result it ends with; 0: that of an update that failed
	FailTimes  int                  // so often it fails; 0: always
	Late       time.Duration        // above 0: it hears of a package that is written when it is whole, and moves so long after it has answered
	RestartAt  int64                // restarts once when it has so many bytes
	Notice     func(Event)          // may be nil
	Keep       bool                 // keep the image in Received
	Until      func() bool          // it stays registered until that says so; nil: until the server has asked for the last time, as far as can be told
	Received   []byte               // the last image
	Asked      func(m, path string) // hears of each request of the server; may be nil

	mu       sync.Mutex
	state    int64
	result   int64
	watchers map[string]watcher // by path
	bytes    int64
	began    time.Time
	fails    int
	restarts int
	seen     bool // the server has read how it went
	last     time.Time
	conn     *coapx.Conn
	wake     chan what
	own      *lossy
}

// watcher is what the server observes.
type watcher struct {
	token string
	seq   uint32
}

// what has come about, for the loop of the client.
type what int

const (
	happened what = iota // something to notify of
	install
	restart
)

// lwm2mObject is where an object has what.
type lwm2mObject struct {
	id, pkg, uri, apply, state, result, name, version uint16
	downloading, downloaded, updating, settled, good  int64
}

func (d *LwM2M) object() lwm2mObject {
	if d.Kind == ota.Software {
		return lwm2mObject{id: 9, pkg: 2, uri: 3, apply: 4, state: 7, result: 9, name: 0, version: 1, downloading: 1, downloaded: 3, updating: 3, settled: 4, good: 2}
	}
	return lwm2mObject{id: 5, pkg: 0, uri: 1, apply: 2, state: 3, result: 5, name: 6, version: 7, downloading: 1, downloaded: 2, updating: 3, settled: 0, good: 1}
}

// Planned is how the update ought to end on the server.
func (d *LwM2M) Planned() ota.State {
	if d.Behaves.Fails != "" && d.FailTimes == 0 || d.Behaves.Lies != "" {
		return ota.Failed
	}
	return ota.Updated
}

// Called is the name of the device.
func (d *LwM2M) Called() string { return d.Name }

// linger is how long a client stays registered after the server has asked the
// last time how its update ended; lossyLinger where that may be lost, and comes
// again some seconds later.
const (
	linger      = 300 * time.Millisecond
	lossyLinger = 8 * time.Second
)

// Run plays the client until one update has ended, or ctx has.
func (d *LwM2M) Run(ctx context.Context) (Result, error) {
	d.wake = make(chan what, 64)
	if d.Retry <= 0 {
		d.Retry = 200 * time.Millisecond
	}
	if d.Lifetime <= 0 {
		d.Lifetime = 5 * time.Minute
	}
	for {
		res, done, err := d.live(ctx)
		if done || ctx.Err() != nil {
			return res, errors.Join(err, ctx.Err())
		}
		if err != nil {
			d.notice(Event{Device: d.Name, Err: err})
			if err := pause(ctx, d.Retry); err != nil {
				return res, err
			}
		}
	}
}

// live is the time from one start of the client to the next.
func (d *LwM2M) live(ctx context.Context) (res Result, done bool, err error) {
	raw, err := d.Dial(ctx)
	if err != nil {
		return res, false, err
	}
	d.own = &lossy{Conn: raw, share: d.Loss}
	if d.Queue {
		d.own.awake = d.Awake
	}
	d.mu.Lock()
	d.watchers, d.seen, d.last = map[string]watcher{}, false, time.Now()
	d.mu.Unlock()
	conn := coapx.New(func(b []byte) error { _, err := d.own.Write(b); return err }, d.serve, coapx.Config{
		AckTimeout: d.AckTimeout, MaxBody: 256 << 20, Part: d.part,
	})
	d.conn = conn
	var reading sync.WaitGroup
	reading.Go(func() { receive(d.own, conn) })
	defer func() {
		_ = raw.Close()
		reading.Wait()
		conn.Close()
	}()
	location, err := d.register(ctx)
	if err != nil {
		return res, false, err
	}
	defer func() {
		if done {
			bye, cancel := context.WithTimeout(context.WithoutCancel(ctx), 2*time.Second)
			defer cancel()
			_, _ = conn.Do(bye, coapx.Request(codes.DELETE, location)) // if it is lost, the lifetime ends
		}
	}()
	refresh := time.NewTicker(cmp.Or(d.Update, d.Lifetime/2))
	defer refresh.Stop()
	settle := time.NewTicker(50 * time.Millisecond)
	defer settle.Stop()
	for {
		select {
		case <-ctx.Done():
			return res, false, ctx.Err()
		case <-refresh.C:
			r, err := conn.Do(ctx, coapx.Request(codes.POST, location))
			if err != nil || r.Code != codes.Changed {
				return res, false, fmt.Errorf("update the registration: %w", errors.Join(err, refusal(r)))
			}
		case w := <-d.wake:
			switch w {
			case happened:
				d.notify(ctx)
			case restart:
				return res, false, nil
			case install:
				again, err := d.install(ctx)
				if err != nil || again {
					return res, false, err
				}
			}
		case <-settle.C:
			if res, done := d.ended(); done {
				return res, true, nil
			}
		}
	}
}

func refusal(r *coapx.Message) error {
	if r == nil {
		return nil
	}
	return &Refusal{What: "lwm2m", Code: int(r.Code>>5)*100 + int(r.Code&31), Text: string(r.Payload)}
}

func (d *LwM2M) register(ctx context.Context) (location string, err error) {
	m := coapx.Request(codes.POST, "/rd").Set(message.ContentFormat, uint32(lwm2mwire.Links))
	binding := "U"
	if d.Queue {
		binding = "UQ"
	}
	m.Add(message.URIQuery, "ep="+d.Endpoint).Add(message.URIQuery, fmt.Sprintf("lt=%d", int(max(d.Lifetime/time.Second, 1)))).
		Add(message.URIQuery, "lwm2m=1.0").Add(message.URIQuery, "b="+binding)
	m.Payload = []byte(`</>;rt="oma.lwm2m";ct="110 112 11542",</1/0>,</3/0>,</5/0>,</9/0>`)
	r, err := d.conn.Do(ctx, m)
	if err != nil {
		return "", fmt.Errorf("register: %w", err)
	}
	if r.Code != codes.Created {
		return "", refusal(r)
	}
	for _, p := range r.Strings(message.LocationPath) {
		location += "/" + p
	}
	return location, nil
}

// notify tells the server of states and results that it observes.
func (d *LwM2M) notify(ctx context.Context) {
	o := d.object()
	for _, r := range []uint16{o.state, o.result} {
		p := lwm2mwire.P(o.id, 0, r)
		d.mu.Lock()
		w, ok := d.watchers[p.String()]
		w.seq++
		if ok {
			d.watchers[p.String()] = w
		}
		d.mu.Unlock()
		if !ok {
			continue
		}
		m := d.answer(p, lwm2mwire.TLV)
		m.Set(message.Observe, w.seq)
		if err := d.conn.Notify(ctx, w.token, m); errors.Is(err, coapx.ErrReset) {
			d.mu.Lock()
			delete(d.watchers, p.String())
			d.mu.Unlock()
		}
	}
}

// set comes to a state and a result.
func (d *LwM2M) set(state, result int64) {
	d.mu.Lock()
	changed := d.state != state || d.result != result
	d.state, d.result = state, result
	d.mu.Unlock()
	if changed {
		d.tell(happened)
	}
}

func (d *LwM2M) tell(w what) {
	select {
	case d.wake <- w:
	default:
	}
}

// install installs what was downloaded; again says that the client restarts.
func (d *LwM2M) install(ctx context.Context) (again bool, err error) {
	o := d.object()
	d.set(o.updating, 0)
	d.notify(ctx)
	if err := pause(ctx, d.Install); err != nil {
		return false, err
	}
	d.mu.Lock()
	fails := d.Behaves.Fails != "" && (d.FailTimes == 0 || d.fails < d.FailTimes)
	if fails {
		d.fails++
	}
	d.mu.Unlock()
	if fails {
		n := d.Result
		if n == 0 {
			n = 8
			if d.Kind == ota.Software {
				n = 58
			}
		}
		d.set(0, n)
		return false, nil
	}
	d.mu.Lock()
	d.Runs = d.Target
	if d.Behaves.Lies != "" {
		d.Runs.Version = d.Behaves.Lies
	}
	d.state, d.result = o.settled, o.good
	d.mu.Unlock()
	d.notice(Event{Device: d.Name, State: string(ota.Updated)})
	return true, nil
}

// ended says whether an update has ended and the server knows how.
func (d *LwM2M) ended() (res Result, done bool) {
	d.mu.Lock()
	defer d.mu.Unlock()
	o := d.object()
	res = Result{Device: d.Name, Bytes: d.bytes, State: ota.Updated}
	stay := linger
	if d.Loss > 0 {
		stay = lossyLinger
	}
	switch {
	case d.Until != nil && !d.Until():
		return res, false
	case d.began.IsZero() && d.Runs != d.Target, !d.seen || time.Since(d.last) < stay:
		return res, false
	case d.state == o.settled && (d.result == o.good || d.began.IsZero()) && (d.Runs == d.Target || d.Behaves.Lies != ""):
	case d.state == 0 && d.result > o.good && (d.FailTimes == 0 || d.fails > d.FailTimes):
		res.State, res.Error = ota.Failed, d.Behaves.Fails
	default:
		return res, false
	}
	if !d.began.IsZero() {
		res.Took = time.Since(d.began)
	}
	return res, true
}

func (d *LwM2M) notice(e Event) {
	if d.Notice != nil {
		d.Notice(e)
	}
}
