package coap

import (
	"context"
	"errors"

	"github.com/windlass-ota/windlass/internal/coapwire"
	"github.com/windlass-ota/windlass/ota"
	"github.com/windlass-ota/windlass/transports"
)

// codes is the one table from codes to answers.
var codes = map[ota.Code]coapwire.Code{
	ota.Invalid:  coapwire.BadRequest,
	ota.NotFound: coapwire.NotFound,
	ota.Conflict: coapwire.Conflict,
	ota.Busy:     coapwire.Unavailable,
	ota.Internal: coapwire.Internal,
	"":           coapwire.Internal,
}

// codeOf is the answer to an error. What is our fault is logged, since the
// device is told no more than that.
func (t *Transport) codeOf(err error, ref ota.Ref, what string) coapwire.Code {
	code := ota.CodeOf(err)
	if code == ota.Internal {
		t.log.Error("a request failed", "transport", Name, "device", ref.ID, "request", what, "error", err)
	}
	if c, ok := codes[code]; ok {
		return c
	}
	return coapwire.Internal
}

// textOf is what people may read of an error: nothing that tells how we are built.
func textOf(err error) string {
	switch ota.CodeOf(err) {
	case ota.Internal:
		return "internal error"
	case ota.Busy:
		return "busy, try later"
	}
	return err.Error()
}

// who proves the device that a request is from: by its token, or by the
// handshake of its connection. There a token may be left out; one that is shown
// must be the device's own.
func (t *Transport) who(p *peer, token string, shown bool) (ota.Ref, error) {
	if p.secure && !shown {
		return p.ref, nil
	}
	if !shown {
		return ota.Ref{}, errNoToken
	}
	ref, err := t.d.Auth.Token(t.base, token, p.address)
	if err == nil && p.secure && ref != p.ref {
		return ota.Ref{}, errNoToken
	}
	return ref, err
}

var errNoToken error = ota.Errorf(ota.NotFound, "authenticate", "no token")

// whoCode is the answer to who cannot be proven.
func (t *Transport) whoCode(err error) coapwire.Code {
	switch {
	case errors.Is(err, transports.ErrTooMany):
		t.counts.refused.Add(1)
		return coapwire.TooMany
	case ota.CodeOf(err) == ota.NotFound:
		t.counts.refused.Add(1)
		return coapwire.Unauthorized
	case ota.CodeOf(err) == ota.Busy, errors.Is(err, context.Canceled):
		return coapwire.Unavailable
	}
	t.log.Error("a device could not be proven", "transport", Name, "error", err)
	return coapwire.Internal
}
