package sim

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"net/url"
	"strings"
	"time"

	wire "github.com/windlass-ota/windlass/internal/coapwire"
	"github.com/windlass-ota/windlass/ota"
)

// coapWire speaks ThingsBoard's CoAP device API: it observes its attributes and
// fetches pieces block by block, going on at the last block when nobody answers.
type coapWire struct {
	addr, token string
	loss        float64
	ack         time.Duration
	patience    time.Duration // for a whole answer
	poll        time.Duration // for a push

	c *CoAP
}

// NewCoAP returns a wire over CoAP to host:port. Of the datagrams either way the
// share loss is lost; what is not answered within ack is said again. An answer is
// waited for as long as patience says, a push as long as poll says.
func NewCoAP(addr, token string, loss float64, ack, patience, poll time.Duration) Wire {
	return &coapWire{addr: addr, token: url.PathEscape(token), loss: loss, ack: ack, patience: patience, poll: poll}
}

func (w *coapWire) Open(ctx context.Context) error {
	w.Close() //nolint:errcheck // what is left of a connection that is given up
	var d net.Dialer
	conn, err := d.DialContext(ctx, "udp", w.addr)
	if err != nil {
		return fmt.Errorf("connect: %w", err)
	}
	w.c = &CoAP{Conn: conn, Ack: w.ack}
	if w.loss > 0 {
		w.c.Drop = func() bool { return rand.Float64() < w.loss }
	}
	return w.insist(ctx, func(ctx context.Context) error {
		_, err := w.c.Observe(ctx, "api/v1/"+w.token+"/attributes")
		return err
	})
}

func (w *coapWire) Close() error {
	if w.c == nil {
		return nil
	}
	c := w.c
	w.c = nil
	_ = c.Unobserve("api/v1/" + w.token + "/attributes") // the server finds out by itself, in time
	return c.Conn.Close()
}

var errNotOpen = errors.New("not connected")

// insist tries again what nobody has answered, as long as patience lasts.
func (w *coapWire) insist(ctx context.Context, do func(ctx context.Context) error) error {
	if w.c == nil {
		return errNotOpen
	}
	until := time.Now().Add(w.patience)
	for {
		err := do(ctx)
		if !errors.Is(err, ErrNoAnswer) || time.Now().After(until) {
			return err
		}
	}
}

func (w *coapWire) Report(ctx context.Context, values map[string]any) error {
	body, err := json.Marshal(values)
	if err != nil {
		return fmt.Errorf("report: %w", err)
	}
	return w.insist(ctx, func(ctx context.Context) error {
		a, err := w.c.Post(ctx, "api/v1/"+w.token+"/telemetry", body)
		if err == nil && a.Code != wire.Created {
			err = coapRefusal("report", a)
		}
		return err
	})
}

func (w *coapWire) Attributes(ctx context.Context, names []string) (map[string]json.RawMessage, error) {
	var body []byte
	err := w.insist(ctx, func(ctx context.Context) (err error) {
		body, err = w.c.Fetch(ctx, "api/v1/"+w.token+"/attributes?sharedKeys="+strings.Join(names, ","), nil)
		return err
	})
	var no *Refusal
	if errors.As(err, &no) && no.Code == 404 { // none of them
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	var answer struct{ Shared map[string]json.RawMessage }
	if err := json.Unmarshal(body, &answer); err != nil {
		return nil, fmt.Errorf("attributes: %w", err)
	}
	return answer.Shared, nil
}

func (w *coapWire) Changes(ctx context.Context) (map[string]json.RawMessage, error) {
	if w.c == nil {
		return nil, errNotOpen
	}
	body, err := w.c.Next(ctx, w.poll)
	if err != nil || body == nil {
		return nil, err
	}
	return parsePush(body)
}

func (w *coapWire) Chunk(ctx context.Context, k ota.Kind, v ota.Version, size, n int64) ([]byte, error) {
	path := fmt.Sprintf("%s/%s?title=%s&version=%s", k.Prefix(), w.token, url.PathEscape(v.Title), url.PathEscape(v.Version))
	if size > 0 {
		path += fmt.Sprintf("&size=%d&chunk=%d", size, n)
	}
	var got []byte
	err := w.insist(ctx, func(ctx context.Context) (err error) {
		before := len(got)
		for got, err = w.c.Fetch(ctx, path, got); errors.Is(err, ErrNoAnswer) && len(got) > before; got, err = w.c.Fetch(ctx, path, got) {
			before = len(got) // as long as something comes there is no hurry
		}
		return err
	})
	return got, err
}
