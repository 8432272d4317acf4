package lwm2m

import (
	"context"
	"errors"
	"strconv"
	"strings"
	"time"

	"github.com/plgd-dev/go-coap/v3/message"
	"github.com/plgd-dev/go-coap/v3/message/codes"

	"github.com/windlass-ota/windlass/internal/coapx"
	"github.com/windlass-ota/windlass/internal/lwm2mwire"
	"github.com/windlass-ota/windlass/ota"
	"github.com/windlass-ota/windlass/transports"
)

// status is the one table from codes to answers.
func status(c ota.Code) codes.Code {
	switch c {
	case ota.Invalid:
		return codes.BadRequest
	case ota.NotFound:
		return codes.NotFound
	case ota.Conflict:
		return codes.Conflict
	case ota.Busy:
		return codes.ServiceUnavailable
	}
	return codes.InternalServerError
}

// asked answers a request of a client: the registration interface (TS 1.1, 6.2),
// what it sends unasked (6.4.6), and the bytes of packages.
func (t *Transport) asked(ctx context.Context, p *peer, r coapx.Asked) *coapx.Message {
	path := r.Strings(message.URIPath)
	if s := p.holder.Load(); s != nil {
		defer s.heard()
	}
	if len(path) == 0 {
		return coapx.Response(codes.NotFound)
	}
	switch {
	case path[0] == "rd" && len(path) == 1 && r.Code == codes.POST:
		return t.register(ctx, p, r)
	case path[0] == "rd" && len(path) == 2:
		s := t.reg.location(path[1])
		if s == nil || !s.admits(p) {
			return coapx.Response(codes.NotFound)
		}
		switch r.Code {
		case codes.POST, codes.PUT: // PUT was LwM2M's before 1.0
			return t.refresh(p, s, r)
		case codes.DELETE:
			s.end()
			return coapx.Response(codes.Deleted)
		}
		return coapx.Response(codes.MethodNotAllowed)
	case path[0] == "dp" && len(path) == 1 && r.Code == codes.POST:
		return t.sent(p, r)
	case path[0] == firmwareLinks && len(path) == 2, path[0] == softwareLinks && len(path) == 2:
		if r.Code != codes.GET {
			return coapx.Response(codes.MethodNotAllowed)
		}
		return t.fetch(p, r, path[0], path[1])
	}
	return coapx.Response(codes.NotFound)
}

// terms is what a client says about its registration.
type terms struct {
	endpoint string
	lifetime time.Duration // 0: it said nothing
	binding  string
	links    []lwm2mwire.WebLink
	listed   bool
}

// The bounds of a registration: the least lifetime, which keeps a client that
// names none of reason from coming and going, and what is usual where it names
// none.
const (
	minLifetime     = 10 * time.Second
	defaultLifetime = 24 * time.Hour
	maxEndpoint     = 255
)

func (t *Transport) readTerms(r coapx.Asked) (x terms, err error) {
	for _, q := range r.Strings(message.URIQuery) {
		name, value, _ := strings.Cut(q, "=")
		switch name {
		case "ep":
			x.endpoint = value
		case "lt":
			n, err := strconv.ParseUint(value, 10, 32)
			if err != nil {
				return x, errors.New("the lifetime is no number of 32 bits")
			}
			x.lifetime = t.c.MaxLifetime // 0 has no end
			if n > 0 {
				x.lifetime = max(min(time.Duration(n)*time.Second, t.c.MaxLifetime), minLifetime)
			}
		case "b":
			x.binding = value
		case "Q": // queue mode, from LwM2M 1.1 on
			x.binding += "Q"
		}
	}
	if len(x.endpoint) > maxEndpoint {
		return x, errors.New("the endpoint name is too long")
	}
	if len(r.Payload) > 0 {
		x.listed = true
		x.links, err = lwm2mwire.ParseLinks(r.Payload)
	}
	return x, err
}

func refused(code codes.Code, why string) *coapx.Message {
	m := coapx.Response(code)
	m.Payload = []byte(why)
	return m
}

// register takes a client in. Its endpoint must be a device's, and who shows it
// must be that device.
func (t *Transport) register(ctx context.Context, p *peer, r coapx.Asked) *coapx.Message {
	x, err := t.readTerms(r)
	if err != nil {
		t.counts.refused.Add(1)
		return refused(codes.BadRequest, err.Error())
	}
	ref, code := t.admit(ctx, p, &x)
	if code != 0 {
		t.counts.refused.Add(1)
		return refused(code, "")
	}
	was := t.reg.device(ref)
	if was != nil && !was.mayReplace(ctx, p) {
		t.counts.refused.Add(1)
		t.log.Warn("a registration was refused, since the client that has its endpoint is there", "device", ref.ID, "address", p.addr)
		return refused(codes.Forbidden, "")
	}
	s := t.newSession(ref, p, x)
	if !t.reg.put(s, was, t.c.MaxClients) {
		t.counts.refused.Add(1)
		return refused(codes.ServiceUnavailable, "")
	}
	if was != nil {
		was.replaced()
	}
	if err := s.open(); err != nil {
		s.end()
		return refused(status(ota.CodeOf(err)), "")
	}
	out := coapx.Response(codes.Created).Add(message.LocationPath, "rd").Add(message.LocationPath, s.location)
	out.After = s.begin
	return out
}

// admit finds the device of an endpoint and holds the peer to its credentials:
// one endpoint is one device, and only that device may show it. code is what a
// peer is refused with, 0 where it may come in.
func (t *Transport) admit(ctx context.Context, p *peer, x *terms) (ref ota.Ref, code codes.Code) {
	if x.endpoint == "" && p.secure { // the identity of DTLS names it (TS 1.1, 6.2.1)
		h, err := t.d.Facts.Get(ctx, p.proven)
		if err != nil {
			return ref, status(ota.CodeOf(err))
		}
		if h.Device != nil {
			x.endpoint = h.Device.Credentials.Endpoint
		}
	}
	if x.endpoint == "" {
		return ref, codes.BadRequest
	}
	ref, cred, err := t.d.Auth.Endpoint(ctx, x.endpoint, p.addr)
	switch {
	case errors.Is(err, transports.ErrTooMany):
		return ref, codes.TooManyRequests
	case ota.CodeOf(err) == ota.NotFound:
		return ref, codes.Forbidden
	case err != nil:
		return ref, status(ota.CodeOf(err))
	case p.secure && ref != p.proven, !p.secure && (cred.Identity != "" || cred.Certificate != ""):
		t.log.Warn("a registration was refused, since its endpoint is another's", "device", ref.ID, "address", p.addr)
		return ref, codes.Forbidden
	}
	return ref, 0
}

// refresh is an update of a registration: it lives on, perhaps at another
// address, with other terms.
func (t *Transport) refresh(p *peer, s *session, r coapx.Asked) *coapx.Message {
	x, err := t.readTerms(r)
	if err != nil {
		return refused(codes.BadRequest, err.Error())
	}
	moved := s.refresh(p, x)
	defer s.heard()
	// The house hears of it at most every few minutes, and is told here that the
	// device is there.
	if _, err := t.handle(s.message(ota.Touch)); err != nil {
		return refused(status(ota.CodeOf(err)), "")
	}
	out := coapx.Response(codes.Changed)
	if moved {
		out.After = s.greetAgain
	}
	return out
}

// sent takes what a registered client sends unasked.
func (t *Transport) sent(p *peer, r coapx.Asked) *coapx.Message {
	s := p.holder.Load()
	if s == nil {
		return coapx.Response(codes.NotFound)
	}
	f, _ := r.Uint(message.ContentFormat)
	entries, err := lwm2mwire.Decode(lwm2mwire.Format(f), lwm2mwire.P(), r.Payload)
	if err != nil || f != uint32(lwm2mwire.SenMLJSON) && f != uint32(lwm2mwire.SenMLCBOR) {
		return coapx.Response(codes.BadRequest)
	}
	if err := s.tellObserved(entries); err != nil {
		return refused(status(ota.CodeOf(err)), "")
	}
	return coapx.Response(codes.Changed)
}
