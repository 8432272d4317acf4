package mqtt

import (
	"errors"
	"io"
	"time"

	"github.com/windlass-ota/windlass/internal/mqttwire"
)

// How a connection ends, apart from errors of the network.
var (
	errGone     = errors.New("mqtt: client left")
	errStopping = &ending{mqttwire.ServerShuttingDown, "server shuts down"}
	errTaken    = &ending{mqttwire.SessionTakenOver, "session taken over"}
	errCrowded  = &ending{mqttwire.QuotaExceeded, "too much is held of packets that have not come whole"}
	errSilent   = &ending{mqttwire.KeepAliveTimeout, "keep-alive ran out"}
)

// ending is a connection that we close, and why; 5.0 clients are told.
type ending struct {
	reason mqttwire.Reason
	text   string
}

func (e *ending) Error() string { return "mqtt: " + e.text }

// finish says goodbye as far as the version knows how to, ends the session and
// closes the connection. What was said is given time to arrive.
func (c *conn) finish(err error) {
	c.goodbye(err)
	if !c.open {
		c.t.counts.refused.Add(1)
	}
	later := false
	switch {
	case c.guest:
		c.say.take()
	case c.open:
		c.t.router.Close(c)
		c.silence()
		later = c.t.release(c)
	}
	c.nc.Close()
	c.say.wait()
	if c.open && !c.guest && (c.greeted || c.will != nil) {
		if c.s == nil {
			c.s = c.t.memory.scratch(c)
		}
		c.bury(err, later)
		if c.greeted {
			c.delegate(jobDisconnected)
		}
	}
	if c.s != nil {
		c.t.memory.giveBack(c.s)
		c.s = nil
	}
	c.t.log.Debug("mqtt connection closed", "device", c.device.ID, "address", c.addr, "cause", err)
}

// goodbye writes what is still to be written and, where the connection is ended
// by us, a DISCONNECT with the reason (5.0; servers of older versions cannot).
func (c *conn) goodbye(err error) {
	var broken *mqttwire.Error
	var end *ending
	var reason mqttwire.Reason
	switch {
	case errors.Is(err, io.EOF) || errors.Is(err, errGone) || errors.Is(err, errWilled):
		return
	case errors.As(err, &broken):
		reason = broken.Reason
		c.t.counts.cut.Add(1)
	case errors.As(err, &end):
		if reason = end.reason; reason != mqttwire.ServerShuttingDown && reason != mqttwire.SessionTakenOver {
			c.t.counts.cut.Add(1)
		}
	default:
		c.t.counts.cut.Add(1)
		return // of the network: nobody hears
	}
	if !c.open {
		return
	}
	if c.s == nil {
		c.s = c.t.memory.scratch(c)
	}
	if c.version == mqttwire.V5 {
		c.s.close = mqttwire.Close{Type: mqttwire.DISCONNECT, Reason: reason}
		c.s.out = c.append(c.s.out, &c.s.close)
	}
	if c.flush() == nil {
		c.linger()
	}
}

// linger lets the last words arrive: a socket that is closed while the client
// still sends is reset, and what it has not read by then is lost.
func (c *conn) linger() {
	half, ok := c.nc.(interface{ CloseWrite() error }) // of a socket, or of TLS
	if !ok || half.CloseWrite() != nil {
		return
	}
	c.nc.SetReadDeadline(time.Now().Add(lingerTime))
	for range lingerReads {
		if _, err := c.nc.Read(c.small[:]); err != nil {
			return
		}
	}
}

const (
	lingerTime  = time.Second
	lingerReads = 4096 // of 256 bytes: what a client may have had on its way
)
