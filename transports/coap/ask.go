package coap

import (
	"bytes"
	"context"
	"errors"
	"strings"

	"github.com/plgd-dev/go-coap/v3/message"
	gocodes "github.com/plgd-dev/go-coap/v3/message/codes"

	"github.com/windlass-ota/windlass/ota"
)

// maxRefs bounds the devices that are known to speak from one address.
const maxRefs = 8

// maxAnswer bounds what a device answers, in bytes.
const maxAnswer = 1 << 20

// speaks notes that a device was heard from a peer with an exchange, so that it
// can be asked there.
func (t *Transport) speaks(p *peer, ref ota.Ref) {
	if was, ok := t.peers.speak.Load(ref); ok && was == p {
		return
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.ended || len(p.refs) >= maxRefs {
		return
	}
	p.refs = append(p.refs, ref)
	t.peers.speak.Store(ref, p)
}

var errNotThere = errors.New("the device has no exchange with this process")

// Call asks a device over CoAP, where it spoke to us last, and waits for its
// answer as long as ctx. The error is [ota.Busy] where it is not there or does
// not answer, [ota.Invalid] where the request is none.
func (t *Transport) Call(ctx context.Context, c ota.Call) (ota.Called, error) {
	const op = "ask device"
	v, _ := t.peers.speak.Load(c.Device)
	p, _ := v.(*peer)
	var l *link
	if p != nil {
		l = p.linkNow()
	}
	if l == nil || l.Context().Err() != nil {
		return ota.Called{}, &ota.Error{Code: ota.Busy, Op: op, Err: errNotThere}
	}
	m := l.cc.AcquireMessage(ctx)
	defer l.cc.ReleaseMessage(m)
	token, err := message.GetToken()
	if err != nil {
		return ota.Called{}, &ota.Error{Code: ota.Internal, Op: op, Err: err}
	}
	code, ok := map[string]gocodes.Code{"GET": gocodes.GET, "POST": gocodes.POST, "PUT": gocodes.PUT, "DELETE": gocodes.DELETE}[c.Method]
	if !ok {
		return ota.Called{}, ota.Errorf(ota.Invalid, op, "%s is no method of CoAP", c.Method)
	}
	path, query, _ := strings.Cut(c.URL, "?")
	m.SetCode(code)
	m.SetType(message.Confirmable)
	m.SetToken(token)
	if err := m.SetPath(path); err != nil {
		return ota.Called{}, ota.Errorf(ota.Invalid, op, "the path is none: %w", err)
	}
	for q := range strings.SplitSeq(query, "&") {
		if q != "" {
			m.AddQuery(q)
		}
	}
	if len(c.Body) > 0 {
		m.SetBody(bytes.NewReader(c.Body))
	}
	t.peers.waits(l, 1)
	defer t.peers.waits(l, -1)
	a, err := l.cc.Do(m)
	if err != nil {
		return ota.Called{}, &ota.Error{Code: ota.Busy, Op: op, Err: err}
	}
	defer l.cc.ReleaseMessage(a)
	body, err := a.ReadBody()
	if err != nil || len(body) > maxAnswer {
		return ota.Called{}, ota.Errorf(ota.Invalid, op, "the answer cannot be read, or has more than %d bytes", maxAnswer)
	}
	return ota.Called{Status: int(a.Code()>>5)*100 + int(a.Code()&31), Body: bytes.Clone(body)}, nil
}
