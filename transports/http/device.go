package http

import (
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strconv"

	"github.com/windlass-ota/windlass/ota"
	"github.com/windlass-ota/windlass/transports"
)

// telemetry hands over one message for each moment, in order, and acknowledges
// after the last.
func (t *Transport) telemetry(x *exchange) {
	body, ok := x.body(t.c.MaxBody)
	if !ok {
		return
	}
	data, err := transports.ReadTelemetry(body, t.c.JSON)
	if err != nil {
		x.malformed(err)
		return
	}
	for _, d := range data {
		m := x.message(ota.Telemetry)
		m.TS, m.Values = d.TS, d.Values
		if _, ok := x.handle(m); !ok {
			return
		}
	}
	x.answer(http.StatusOK, "")
}

// malformed answers a body that cannot be read. ThingsBoard says 500 to that,
// with the reason as its body.
func (x *exchange) malformed(err error) { x.answer(http.StatusInternalServerError, err.Error()) }

func (t *Transport) setAttributes(x *exchange) {
	body, ok := x.body(t.c.MaxBody)
	if !ok {
		return
	}
	values, err := transports.ReadAttributes(body, t.c.JSON)
	if err != nil {
		x.malformed(err)
		return
	}
	m := x.message(ota.AttributesReported)
	m.Values = values
	if _, ok := x.handle(m); ok {
		x.answer(http.StatusOK, "")
	}
}

func (t *Transport) getAttributes(x *exchange) {
	m := x.message(ota.AttributesRequested)
	if x.r.URL.RawQuery != "" {
		q, err := url.ParseQuery(x.r.URL.RawQuery)
		if err == nil {
			m.ClientKeys, err = transports.SplitKeys(t.c.JSON, q["clientKeys"]...)
		}
		if err == nil {
			m.SharedKeys, err = transports.SplitKeys(t.c.JSON, q["sharedKeys"]...)
		}
		if err != nil {
			x.answer(http.StatusBadRequest, err.Error())
			return
		}
	}
	replies, ok := x.handle(m)
	if !ok {
		return
	}
	var found ota.Reply // a chain that says nothing has found nothing
	for _, r := range replies {
		if r.Word == ota.SayAttributes && !r.Push {
			found = r
		}
	}
	x.json(http.StatusOK, transports.AttributesBody(found))
}

// call answers what a device asks of the server, such as getSessionLimits.
func (t *Transport) call(x *exchange) {
	body, ok := x.body(t.c.MaxRPCBody)
	if !ok {
		return
	}
	m := x.message(ota.RPCRequested)
	var err error
	if m.Method, m.Params, err = transports.ReadRPC(body, t.c.JSON); err != nil {
		x.malformed(err)
		return
	}
	m.Limits = fmt.Appendf(nil,
		`{"maxPayloadSize":%d,"maxInflightMessages":0,"rateLimits":{"messages":null,"telemetryMessages":null,"telemetryDataPoints":null}}`, t.c.MaxBody)
	if _, ok := x.handle(m); ok {
		x.answer(http.StatusOK, "")
	}
}

// answered takes what a device answers to a call of one of its methods.
func (t *Transport) answered(x *exchange) {
	call, err := strconv.ParseInt(x.r.PathValue("id"), 10, 32)
	if err != nil || call < 0 {
		x.answer(http.StatusBadRequest, "the id is not the number of a call")
		return
	}
	body, ok := x.body(t.c.MaxRPCBody)
	if !ok {
		return
	}
	m := x.message(ota.RPCAnswered)
	m.Call = call
	if m.Result, err = transports.ReadAny(body, t.c.JSON); err != nil {
		x.malformed(err)
		return
	}
	if _, ok := x.handle(m); ok {
		x.answer(http.StatusOK, "")
	}
}

// claim notes that a device lets itself be claimed. The body may be empty.
func (t *Transport) claim(x *exchange) {
	body, ok := x.body(t.c.MaxRPCBody)
	if !ok {
		return
	}
	if t.d.Claims == nil {
		x.answer(http.StatusNotImplemented, "devices are not claimed here")
		return
	}
	switch err := t.d.Claims.Claim(x.r.Context(), x.ref, body); {
	case err == nil:
		x.answer(http.StatusOK, "")
	case ota.CodeOf(err) == ota.Invalid:
		x.malformed(err)
	default:
		x.fail(err)
	}
}

// provision answers a device that is not known yet. What came of it stands in
// the body; the status says only that there is an answer (ThingsBoard HTTP device
// API).
func (t *Transport) provision(x *exchange) {
	body, ok := x.body(t.c.MaxRPCBody)
	if !ok {
		return
	}
	if t.d.Claims == nil {
		x.answer(http.StatusNotImplemented, "devices are not provisioned here")
		return
	}
	reply, _, err := t.d.Claims.Provision(x.r.Context(), body, x.r.RemoteAddr)
	switch {
	case err == nil:
		x.json(http.StatusOK, reply)
	case errors.Is(err, transports.ErrTooMany):
		x.w.Header().Set("Retry-After", "1")
		x.answer(http.StatusTooManyRequests, "")
	case ota.CodeOf(err) == ota.Invalid:
		x.malformed(err)
	default:
		x.fail(err)
	}
}
