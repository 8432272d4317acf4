package coap

import (
	"strings"

	"github.com/plgd-dev/go-coap/v3/message"

	"github.com/windlass-ota/windlass/internal/coapwire"
	"github.com/windlass-ota/windlass/ota"
	"github.com/windlass-ota/windlass/transports"
)

// doorCode says whether a chain has a door at a path below /in; Empty where it
// has.
func (t *Transport) doorCode(method coapwire.Code, path string) coapwire.Code {
	if t.d.Doors == nil {
		return coapwire.NotFound
	}
	d, _, others := t.d.Doors.At(ota.CoAPIn, methodName(method), path)
	switch {
	case d != nil:
		return coapwire.Empty
	case others != nil:
		return coapwire.NotAllowed
	}
	return coapwire.NotFound
}

func methodName(method coapwire.Code) string {
	switch method {
	case coapwire.GET:
		return "GET"
	case coapwire.POST:
		return "POST"
	case coapwire.PUT:
		return "PUT"
	case coapwire.DELETE:
		return "DELETE"
	}
	return ""
}

// enter answers a request below /in by the chain that has opened a door there.
// Over DTLS the device is known by its handshake.
func (x *exchange) enter(method coapwire.Code) {
	if code := x.t.doorCode(method, x.route.path); code != coapwire.Empty {
		x.answer(code, "")
		return
	}
	body, err := x.r.ReadBody()
	switch {
	case err != nil:
		x.answer(coapwire.BadRequest, "the body cannot be read")
		return
	case int64(len(body)) > x.t.c.MaxBody:
		x.answer(coapwire.TooLarge, "the body is too large")
		return
	}
	d, captured, _ := x.t.d.Doors.At(ota.CoAPIn, methodName(method), x.route.path)
	if d == nil {
		x.answer(coapwire.NotFound, "")
		return
	}
	headers, ok := x.enters(d)
	if !ok {
		return
	}
	m := transports.Arrive(d, x.route.path, captured, append([]byte(nil), body...))
	m.Transport, m.Address = Name, x.l.p.address
	m.Headers = headers
	if x.ref.ID != "" {
		m.Tenant, m.Device = x.ref.Tenant, ota.DeviceID(x.ref.ID)
	}
	if _, ok := x.handle(m); ok {
		x.answer(coapwire.Changed, "")
	}
}

// maxHeaders bounds the parts of a query that a chain sees.
const maxHeaders = 32

// enters finds out which device asks at a door, where it proves that: by its
// handshake, or by a token in the query. The other parts of the query are what
// the chain sees as headers. ok is false where the exchange has its answer.
func (x *exchange) enters(d *ota.Inlet) (headers map[string]string, ok bool) {
	var token string
	shown := false
	headers = map[string]string{}
	for _, o := range x.r.Options() {
		if o.ID != message.URIQuery {
			continue
		}
		name, value, _ := strings.Cut(string(o.Value), "=")
		if name = strings.ToLower(name); name == "token" {
			token, shown = value, true
		} else if len(headers) < maxHeaders {
			headers[name] = value
		}
	}
	if !shown && !x.l.p.secure && d.Auth != "token" {
		return headers, true
	}
	ref, err := x.t.who(x.l.p, token, shown)
	if err != nil {
		x.answer(x.t.whoCode(err), "")
		return nil, false
	}
	x.ref = ref
	return headers, true
}
