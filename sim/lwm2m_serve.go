package sim

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/url"
	"time"

	"github.com/plgd-dev/go-coap/v3/message"
	"github.com/plgd-dev/go-coap/v3/message/codes"

	"github.com/windlass-ota/windlass/internal/coapx"
	"github.com/windlass-ota/windlass/internal/lwm2mwire"
	"github.com/windlass-ota/windlass/ota"
)

// serve answers the server.
func (d *LwM2M) serve(_ context.Context, r coapx.Asked) *coapx.Message {
	p, err := lwm2mwire.ParsePath(r.Path())
	if err != nil {
		return coapx.Response(codes.NotFound)
	}
	d.mu.Lock()
	d.last = time.Now()
	d.mu.Unlock()
	if d.Asked != nil {
		d.Asked(r.Code.String(), p.String())
	}
	o := d.object()
	switch r.Code {
	case codes.GET:
		return d.read(p, r)
	case codes.PUT:
		return d.write(p, r)
	case codes.POST:
		d.mu.Lock()
		state := d.state
		d.mu.Unlock()
		switch {
		case p == lwm2mwire.P(o.id, 0, o.apply) && state == o.downloaded:
			d.tell(install)
			return coapx.Response(codes.Changed)
		case p == lwm2mwire.P(9, 0, 6) && d.Kind == ota.Software: // uninstall
			d.set(0, 0)
			return coapx.Response(codes.Changed)
		}
	}
	return coapx.Response(codes.MethodNotAllowed)
}

func (d *LwM2M) read(p lwm2mwire.Path, r coapx.Asked) *coapx.Message {
	f := lwm2mwire.TLV
	if a, ok := r.Uint(message.Accept); ok {
		f = lwm2mwire.Format(a)
	}
	m := d.answer(p, f)
	if m.Code != codes.Content {
		return m
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	o := d.object()
	if v, ok := r.Uint(message.Observe); ok && v == 0 {
		d.watchers[p.String()] = watcher{token: r.Token, seq: 1}
		m.Set(message.Observe, 1)
	}
	if p == lwm2mwire.P(o.id, 0, o.result) {
		d.seen = true
	}
	return m
}

// answer is the content of a path.
func (d *LwM2M) answer(p lwm2mwire.Path, f lwm2mwire.Format) *coapx.Message {
	var es []lwm2mwire.Entry
	for _, e := range d.resources() {
		if p.Holds(e.Path) {
			es = append(es, e)
		}
	}
	if len(es) == 0 {
		return coapx.Response(codes.NotFound)
	}
	b, err := lwm2mwire.Encode(f, p, es)
	if err != nil {
		return coapx.Response(codes.NotAcceptable)
	}
	m := coapx.Response(codes.Content).Set(message.ContentFormat, uint32(f))
	m.Payload = b
	return m
}

// resources are all that can be read.
func (d *LwM2M) resources() []lwm2mwire.Entry {
	d.mu.Lock()
	defer d.mu.Unlock()
	name, version, v3 := d.Runs.Title, d.Runs.Version, d.Runs.Version
	if d.Says != nil {
		name, version, v3 = d.Says(d.Runs)
	}
	o := d.object()
	es := []lwm2mwire.Entry{
		{Path: lwm2mwire.P(1, 0, 1), Value: lwm2mwire.Int(int64(d.Lifetime / time.Second))},
		{Path: lwm2mwire.P(3, 0, 0), Value: lwm2mwire.Str("Windlass simulation")},
		{Path: lwm2mwire.P(3, 0, 3), Value: lwm2mwire.Str(v3)},
		{Path: lwm2mwire.P(3, 0, 9), Value: lwm2mwire.Int(87)},
	}
	add := func(r uint16, v lwm2mwire.Value) {
		es = append(es, lwm2mwire.Entry{Path: lwm2mwire.P(o.id, 0, r), Value: v})
	}
	if d.Kind == ota.Software {
		add(o.name, lwm2mwire.Str(name))
		add(o.version, lwm2mwire.Str(version))
		add(o.state, lwm2mwire.Int(d.state))
		add(o.result, lwm2mwire.Int(d.result))
		return es
	}
	add(o.state, lwm2mwire.Int(d.state))
	add(o.result, lwm2mwire.Int(d.result))
	if name != "" {
		add(o.name, lwm2mwire.Str(name))
	}
	if version != "" {
		add(o.version, lwm2mwire.Str(version))
	}
	if d.Delivery >= 0 {
		add(9, lwm2mwire.Int(d.Delivery))
	}
	return es
}

func (d *LwM2M) write(p lwm2mwire.Path, r coapx.Asked) *coapx.Message {
	o := d.object()
	switch {
	case p == lwm2mwire.P(o.id, 0, o.pkg) && d.Delivery != 0:
		m := coapx.Response(codes.Changed)
		if d.Late > 0 {
			m.After = func() {
				time.AfterFunc(d.Late, func() {
					d.set(o.downloading, 0)
					d.arrived(r.Payload)
				})
			}
			return m
		}
		d.arrived(r.Payload)
		return m
	case p == lwm2mwire.P(o.id, 0, o.uri):
		es, err := lwm2mwire.Decode(lwm2mwire.Text, p, r.Payload)
		if f, ok := r.Uint(message.ContentFormat); ok {
			es, err = lwm2mwire.Decode(lwm2mwire.Format(f), p, r.Payload)
		}
		if err != nil || len(es) != 1 {
			return coapx.Response(codes.BadRequest)
		}
		uri, _ := es[0].Value.Text()
		if uri == "" {
			d.set(0, 0)
			return coapx.Response(codes.Changed)
		}
		d.set(o.downloading, 0)
		m := coapx.Response(codes.Changed)
		m.After = func() { go d.fetch(d.conn, uri) }
		return m
	}
	return coapx.Response(codes.MethodNotAllowed)
}

// part hears of a block of the package that is written; false lets it go wrong.
func (d *LwM2M) part(m *coapx.Message, off int64) bool {
	o := d.object()
	if m.Path() != lwm2mwire.P(o.id, 0, o.pkg).String() {
		return true
	}
	d.mu.Lock()
	d.last = time.Now()
	d.mu.Unlock()
	return d.progress(off, int64(len(m.Payload)))
}

// progress notes bytes that came; false where the client restarts with them.
func (d *LwM2M) progress(off, n int64) bool {
	d.mu.Lock()
	if d.began.IsZero() {
		d.began = time.Now()
	}
	d.bytes += n
	again := d.RestartAt > 0 && off+n >= d.RestartAt && d.restarts == 0
	if again {
		d.restarts++
		d.state, d.result = 0, 0
	}
	d.mu.Unlock()
	d.notice(Event{Device: d.Name, Bytes: n})
	if again {
		d.tell(restart)
		return false
	}
	if off == 0 && d.Late == 0 {
		d.set(d.object().downloading, 0)
	}
	return true
}

// arrived is a package that has come whole.
func (d *LwM2M) arrived(b []byte) {
	d.mu.Lock()
	if d.began.IsZero() {
		d.began = time.Now()
	}
	if d.Keep {
		d.Received = append([]byte(nil), b...)
	}
	d.mu.Unlock()
	o, result := d.object(), int64(0)
	if d.Kind == ota.Software {
		result = 3
	}
	d.set(o.downloaded, result)
}

// fetchTries is how often a client asks for a block before it gives up.
const fetchTries = 20

// fetch fetches a package, and begins again at the block that did not come.
func (d *LwM2M) fetch(over *coapx.Conn, uri string) {
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Minute)
	defer cancel()
	b, err := d.download(ctx, over, uri)
	switch {
	case errors.Is(err, errRestarts):
	case err != nil:
		n := int64(4)
		if d.Kind == ota.Software {
			n = 52
		}
		d.notice(Event{Device: d.Name, Err: fmt.Errorf("fetch: %w", err)})
		d.set(0, n)
	default:
		d.arrived(b)
	}
}

var errRestarts = errors.New("it restarts")

func (d *LwM2M) download(ctx context.Context, over *coapx.Conn, uri string) (b []byte, err error) {
	u, err := url.Parse(uri)
	if err != nil {
		return nil, err
	}
	if u.Scheme != "coaps" {
		dial := d.Fetch
		if dial == nil {
			dial = func(ctx context.Context, host string) (net.Conn, error) {
				return (&net.Dialer{}).DialContext(ctx, "udp", host)
			}
		}
		raw, err := dial(ctx, u.Host)
		if err != nil {
			return nil, err
		}
		own := &lossy{Conn: raw, share: d.Loss}
		over = coapx.New(func(b []byte) error { _, err := own.Write(b); return err }, nil, coapx.Config{AckTimeout: d.AckTimeout})
		done := make(chan struct{})
		go func() { defer close(done); receive(own, over) }()
		defer func() { _ = raw.Close(); <-done; over.Close() }()
	}
	for more, n := true, uint32(0); more; n++ {
		m := coapx.Request(codes.GET, u.Path).SetBlock(message.Block2, coapx.Block{Num: n, SZX: coapx.MaxSZX})
		var r *coapx.Message
		for range fetchTries {
			if r, err = over.Once(ctx, m); !errors.Is(err, coapx.ErrSilent) {
				break
			}
		}
		if err != nil {
			return nil, err
		}
		blk, ok := r.Block(message.Block2)
		if r.Code != codes.Content || !ok || blk.Num != n {
			return nil, refusal(r)
		}
		if !d.progress(int64(len(b)), int64(len(r.Payload))) {
			return nil, errRestarts
		}
		b, more = append(b, r.Payload...), blk.More
	}
	return b, nil
}
