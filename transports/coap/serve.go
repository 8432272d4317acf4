package coap

import (
	"bytes"
	"fmt"
	"hash/maphash"
	"strings"

	"github.com/plgd-dev/go-coap/v3/message"
	gocodes "github.com/plgd-dev/go-coap/v3/message/codes"
	"github.com/plgd-dev/go-coap/v3/message/pool"

	"github.com/windlass-ota/windlass/internal/coapwire"
	"github.com/windlass-ota/windlass/ota"
	"github.com/windlass-ota/windlass/transports"
)

// maxRPCBody bounds what is said in a call.
const maxRPCBody = 64 << 10

// exchange is one request with its whole body, on its way to its answer.
type exchange struct {
	t     *Transport
	l     *link
	w     writer
	r     *pool.Message
	route route
	ref   ota.Ref // who asks
}

// serve answers a request; go-coap calls it, one after the other for a peer.
func (l *link) serve(w writer, r *pool.Message) {
	if r.Code() < gocodes.GET || r.Code() >= 32 {
		return // an acknowledgement, or an answer that nobody waits for
	}
	x := &exchange{t: l.t, l: l, w: w, r: r}
	var path []string
	for _, o := range r.Options() {
		if o.ID == message.URIPath {
			path = append(path, string(o.Value))
		}
	}
	x.route = routeOf(path, l.p.secure)
	method := coapwire.Code(r.Code()) //nolint:gosec // codes are bytes on the wire
	if code, text := x.route.refused(method); code != coapwire.Empty {
		x.answer(code, text)
		return
	}
	switch x.route.to {
	case door:
		x.enter(method)
		return
	case provision:
		x.post()
		return
	}
	ref, err := l.t.who(l.p, x.route.token, x.route.shown)
	if err != nil {
		x.answer(l.t.whoCode(err), "")
		return
	}
	x.ref = ref
	l.t.speaks(l.p, ref)
	if method == coapwire.GET {
		x.get()
		return
	}
	x.post()
}

func (x *exchange) get() {
	observe, err := x.r.Observe()
	begins := err == nil && observe == 0
	if err == nil && observe == 1 {
		x.t.unobserve(x.l.p, string(x.r.Token()))
	}
	switch {
	case begins && (x.route.to == attributes || x.route.to == call):
		x.observe()
	case x.route.to == attributes:
		x.getAttributes()
	default: // such as asking for telemetry
		x.answer(coapwire.BadRequest, "this cannot be asked for")
	}
}

func (x *exchange) post() {
	limit := x.t.c.MaxBody
	if x.route.to == call || x.route.to == answer {
		limit = min(limit, maxRPCBody)
	}
	body, err := x.r.ReadBody()
	switch {
	case err != nil:
		x.answer(coapwire.BadRequest, "the body cannot be read")
		return
	case int64(len(body)) > limit:
		x.answer(coapwire.TooLarge, "the body is too large")
		return
	}
	body = bytes.Clone(body) // the message's bytes are used again
	switch x.route.to {
	case telemetry:
		x.telemetry(body)
	case attributes:
		x.setAttributes(body)
	case call:
		x.called(body)
	case answer:
		x.answered(body)
	case claim:
		x.claim(body)
	case provision:
		x.provision(body)
	default:
		x.answer(coapwire.NotOffered, "this is not offered yet")
	}
}

// telemetry hands over one message for each moment, in order, and acknowledges
// after the last.
func (x *exchange) telemetry(body []byte) {
	data, err := transports.ReadTelemetry(body, x.t.c.JSON)
	if err != nil {
		x.answer(coapwire.BadRequest, err.Error())
		return
	}
	for _, d := range data {
		m := x.message(ota.Telemetry)
		m.TS, m.Values = d.TS, d.Values
		if _, ok := x.handle(m); !ok {
			return
		}
	}
	x.answer(coapwire.Created, "")
}

func (x *exchange) setAttributes(body []byte) {
	values, err := transports.ReadAttributes(body, x.t.c.JSON)
	if err != nil {
		x.answer(coapwire.BadRequest, err.Error())
		return
	}
	m := x.message(ota.AttributesReported)
	m.Values = values
	if _, ok := x.handle(m); ok {
		x.answer(coapwire.Created, "")
	}
}

// getAttributes answers a request for attributes: not found where there is none
// of them (ThingsBoard CoAP device API).
func (x *exchange) getAttributes() {
	x.l.p.forget(x.path())
	m := x.message(ota.AttributesRequested)
	var err error
	for _, o := range x.r.Options() {
		if o.ID != message.URIQuery {
			continue
		}
		// Of a key given twice the last counts (ThingsBoard CoAP device API).
		switch key, value, _ := strings.Cut(string(o.Value), "="); key {
		case "clientKeys":
			m.ClientKeys, err = transports.SplitKeys(x.t.c.JSON, value)
		case "sharedKeys":
			m.SharedKeys, err = transports.SplitKeys(x.t.c.JSON, value)
		}
		if err != nil {
			x.answer(coapwire.BadRequest, err.Error())
			return
		}
	}
	replies, ok := x.handle(m)
	if !ok {
		return
	}
	body := transports.AttributesBody(found(replies))
	if len(body) <= len("{}") {
		x.answer(coapwire.NotFound, "")
		return
	}
	x.json(coapwire.Content, body)
}

// found is the answer to a request for attributes; a chain that says nothing has
// found nothing.
func found(replies []ota.Reply) (f ota.Reply) {
	for _, r := range replies {
		if r.Word == ota.SayAttributes && !r.Push {
			f = r
		}
	}
	return f
}

// called answers what a device asks of the server, such as getSessionLimits.
func (x *exchange) called(body []byte) {
	m := x.message(ota.RPCRequested)
	var err error
	if m.Method, m.Params, err = transports.ReadRPC(body, x.t.c.JSON); err != nil {
		x.answer(coapwire.BadRequest, err.Error())
		return
	}
	m.Limits = fmt.Appendf(nil,
		`{"maxPayloadSize":%d,"maxInflightMessages":1,"rateLimits":{"messages":null,"telemetryMessages":null,"telemetryDataPoints":null}}`, x.t.c.MaxBody)
	if _, ok := x.handle(m); ok {
		x.answer(coapwire.Content, "")
	}
}

// answered takes what a device answers to a call of one of its methods.
func (x *exchange) answered(body []byte) {
	m := x.message(ota.RPCAnswered)
	m.Call = x.route.call
	var err error
	if m.Result, err = transports.ReadAny(body, x.t.c.JSON); err != nil {
		x.answer(coapwire.BadRequest, err.Error())
		return
	}
	if _, ok := x.handle(m); ok {
		x.answer(coapwire.Created, "")
	}
}

func (x *exchange) message(e ota.Event) ota.Message {
	return transports.From(x.ref, e, Name, x.l.p.address)
}

// handle hands a message over. ok is false where the exchange has its answer:
// an error, or what a chain says in its own form.
func (x *exchange) handle(m ota.Message) (replies []ota.Reply, ok bool) {
	replies, err := x.t.handle(m)
	if err != nil {
		x.answer(x.t.codeOf(err, x.ref, string(m.Event)), textOf(err))
		return nil, false
	}
	for _, r := range replies {
		switch r.Word {
		case ota.SayError:
			x.answer(codes[r.Code], r.Text)
			return nil, false
		case ota.SayBody:
			x.json(statusCode(r.Status), r.Body)
			return nil, false
		}
	}
	return replies, true
}

// statusCode says a status of HTTP, which is what chains speak of, in CoAP.
func statusCode(status int) coapwire.Code {
	switch status {
	case 201:
		return coapwire.Created
	case 204:
		return coapwire.Changed
	case 400, 401, 402, 403, 404, 405, 406, 408, 409, 412, 413, 415, 422, 429:
		return coapwire.Code(4<<5 | status - 400)
	case 500, 501, 502, 503, 504:
		return coapwire.Code(5<<5 | status - 500)
	}
	switch {
	case status >= 500:
		return coapwire.Internal
	case status >= 400:
		return coapwire.BadRequest
	}
	return coapwire.Content
}

// answer ends the exchange with a code and a text for people, which may be "".
func (x *exchange) answer(code coapwire.Code, text string) {
	m := x.w.Message()
	m.SetCode(gocodes.Code(code))
	m.ResetOptionsTo(nil)
	if text != "" {
		if len(text) > 256 {
			text = text[:256]
		}
		m.SetBody(strings.NewReader(text))
	}
}

var tagSeed = maphash.MakeSeed()

// tagOf names a body, so that whoever fetches it in blocks sees when it changes.
func tagOf(body []byte) []byte {
	h := maphash.Bytes(tagSeed, body)
	return []byte{byte(h >> 24), byte(h >> 16), byte(h >> 8), byte(h)}
}

// json ends the exchange with a body, which may be empty.
func (x *exchange) json(code coapwire.Code, body []byte) {
	m := x.w.Message()
	m.SetCode(gocodes.Code(code))
	m.ResetOptionsTo(nil)
	if len(body) == 0 {
		return
	}
	m.SetContentFormat(message.AppJSON)
	if err := m.SetETag(tagOf(body)); err != nil {
		x.t.log.Debug("an answer has no tag", "transport", Name, "error", err)
	}
	m.SetBody(bytes.NewReader(body))
}

// path is the request's path as it was sent.
func (x *exchange) path() string {
	var out []string
	for _, o := range x.r.Options() {
		if o.ID == message.URIPath {
			out = append(out, string(o.Value))
		}
	}
	return strings.Join(out, "/")
}
