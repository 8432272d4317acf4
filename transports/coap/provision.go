package coap

import (
	"errors"

	"github.com/windlass-ota/windlass/internal/coapwire"
	"github.com/windlass-ota/windlass/transports"
)

// claim lets whoever knows a device's secret have it for a while.
func (x *exchange) claim(body []byte) {
	if x.t.d.Claims == nil {
		x.answer(coapwire.NotOffered, "devices are not claimed here")
		return
	}
	if err := x.t.d.Claims.Claim(x.t.base, x.ref, body); err != nil {
		x.answer(x.t.codeOf(err, x.ref, "claim"), textOf(err))
		return
	}
	x.answer(coapwire.Created, "")
}

// provision answers a device that is not known yet: created where it is now, a
// bad request where it is not, with the reason as its body (ThingsBoard CoAP
// device API).
func (x *exchange) provision(body []byte) {
	if x.t.d.Claims == nil {
		x.answer(coapwire.NotOffered, "devices are not provisioned here")
		return
	}
	reply, ok, err := x.t.d.Claims.Provision(x.t.base, body, x.l.p.address)
	switch {
	case errors.Is(err, transports.ErrTooMany):
		x.answer(coapwire.TooMany, "")
	case err != nil:
		x.answer(x.t.codeOf(err, x.ref, "provision"), textOf(err))
	case ok:
		x.json(coapwire.Created, reply)
	default:
		x.json(coapwire.BadRequest, reply)
	}
}
