package mqtt

import (
	"context"
	"errors"
	"io"
	"net"
	"os"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/windlass-ota/windlass/internal/mqttwire"
	"github.com/windlass-ota/windlass/ota"
)

// conn is one connection. Its goroutine runs serve; a worker that it waits for
// counts as the same. Others only call what [transports.Session] has, and wake.
type conn struct {
	t     *Transport
	nc    net.Conn
	raw   syscall.RawConn // of nc; nil where it has none
	turns context.Context //nolint:containedctx // what all turns of the endpoint run under
	addr  string

	device    ota.Ref
	id        ota.SessionID
	client    string
	version   mqttwire.Version
	keepAlive time.Duration // silence that is allowed
	limit     int           // longest body that is read
	maxOut    int           // longest packet that the client takes
	open      bool          // there is a session
	greeted   bool          // connected has been handled

	chunks  []download          // sizes and packages by request number
	unowned map[uint16]struct{} // QoS 2: received and not released

	s      *scratch // nil while it waits
	hot    bool     // the last read filled its buffer
	spoke  bool     // something was written since the last read
	readBy time.Time

	// Of the writer: guarded by say.writing.
	writeBy time.Time
	queued  int64 // unread bytes when the last write ran out of time; -1: none did

	takenOver atomic.Bool

	say   sayer
	small [256]byte // what the first read after a wait goes into
}

func newConn(t *Transport, nc net.Conn) *conn {
	return &conn{t: t, nc: nc, raw: rawConn(nc), addr: nc.RemoteAddr().String(), limit: maxConnect, maxOut: mqttwire.MaxRemaining}
}

// How a connection ends, apart from errors of the network.
var (
	errGone     = errors.New("mqtt: client left")
	errStopping = &ending{mqttwire.ServerShuttingDown, "server shuts down"}
	errTaken    = &ending{mqttwire.SessionTakenOver, "session taken over"}
	errSilent   = &ending{mqttwire.KeepAliveTimeout, "keep-alive ran out"}
)

// ending is a connection that we close, and why; 5.0 clients are told.
type ending struct {
	reason mqttwire.Reason
	text   string
}

func (e *ending) Error() string { return "mqtt: " + e.text }

// serve is the life of the connection.
func (c *conn) serve(ctx context.Context) {
	c.turns = ctx
	err := c.connect()
	if err == nil {
		err = c.loop()
	}
	c.finish(err)
}

// loop reads and works until the connection ends.
func (c *conn) loop() error {
	for {
		if c.s != nil && len(c.s.in) == 0 && !c.hot {
			c.t.memory.giveBack(c.s)
			c.s = nil
		}
		if err := c.read(0); err != nil {
			return err
		}
		c.spoke = false
		if err := c.consume(); err != nil {
			return err
		}
		if !c.spoke {
			quickAck(c.raw)
		}
	}
}

// read waits for bytes. Without a scratch they go into the connection's own few
// bytes first, so that waiting costs no buffer.
func (c *conn) read(need int) error {
	buf := c.small[:]
	if c.s != nil {
		buf = c.s.room(need)
	}
	for {
		if err := c.expect(); err != nil {
			return err
		}
		n, err := c.nc.Read(buf)
		if n > 0 {
			c.took(buf, n)
			return nil
		}
		if !errors.Is(err, os.ErrDeadlineExceeded) {
			return err
		}
		if err := c.overdue(); err != nil {
			return err
		}
	}
}

func (c *conn) took(buf []byte, n int) {
	c.hot = n == len(buf)
	if c.s == nil {
		c.s = c.t.memory.scratch(c)
		c.s.in = append(c.s.in, buf[:n]...)
		return
	}
	c.s.in = c.s.in[:len(c.s.in)+n]
}

// expect sets the read deadline: one and a half keep-alives from the last whole
// packet (MQTT-3.1.2-24), so bytes that never make a packet keep nobody alive.
// It moves a deadline that is still good for most of that time only now and
// then, as a timer costs more than a comparison.
func (c *conn) expect() error {
	now := time.Now()
	switch {
	case !c.open: // the deadline of CONNECT stands
	case c.s != nil && len(c.s.in) > 0: // amid a packet
	case !c.greeted:
		c.readBy = now.Add(min(c.t.cfg.Settle, c.keepAlive))
		c.nc.SetReadDeadline(c.readBy)
	case c.readBy.Sub(now) < c.keepAlive:
		c.extend(now)
	}
	// In this order: whoever wakes us sets the word first and the deadline then.
	switch {
	case c.t.stopping.Load():
		return errStopping
	case c.takenOver.Load():
		return errTaken
	}
	return nil
}

func (c *conn) extend(now time.Time) {
	c.readBy = now.Add(c.keepAlive + c.keepAlive/8)
	c.nc.SetReadDeadline(c.readBy)
}

// overdue says what a deadline that has passed means: a new session has settled,
// somebody woke us (then expect knows), or the client is silent for too long.
func (c *conn) overdue() error {
	switch {
	case c.t.stopping.Load() || c.takenOver.Load():
		return nil
	case c.open && !c.greeted:
		return c.greet()
	}
	return errSilent
}

// wake makes a read that waits return. Safe from any goroutine.
func (c *conn) wake() { c.nc.SetReadDeadline(time.Unix(1, 0)) }

// consume works through what was read, and reads on while it ends amid a packet.
func (c *conn) consume() error {
	for {
		f, size, err := mqttwire.Split(c.s.in, c.version, c.limit)
		switch {
		case err != nil:
			return err
		case size == 0 || len(c.s.in) < size:
			if err := c.flush(); err != nil {
				return err
			}
			if len(c.s.in) == 0 {
				return nil
			}
			if err := c.read(size); err != nil {
				return err
			}
			continue
		}
		if f.Type == mqttwire.PUBLISH {
			size, err = c.publishes()
		} else {
			err = c.control(f)
		}
		c.drop(size)
		if err != nil {
			return err
		}
		if c.t.stopping.Load() {
			return errStopping
		}
	}
}

// drop forgets the first n bytes that were read.
func (c *conn) drop(n int) {
	c.s.in = c.s.in[:copy(c.s.in, c.s.in[n:])]
}

// publishes has the publishes at the front worked through by a worker, as many
// as are there, and writes what they led to.
func (c *conn) publishes() (used int, err error) {
	if err := c.greet(); err != nil {
		return 0, err
	}
	s := c.s
	s.todo, s.used, s.err = s.in, 0, nil
	c.delegate(jobPublishes)
	if s.file != nil || len(s.out) >= flushSize {
		if err := c.flush(); err != nil {
			return s.used, err
		}
	}
	return s.used, s.err
}

// delegate has a worker do a job and waits for it.
func (c *conn) delegate(j job) {
	c.s.job = j
	c.t.workers.run(&c.s.task)
}

// work is what the worker does.
func (c *conn) work(s *scratch) {
	switch s.job {
	case jobPublishes:
		c.workPublishes(s)
	case jobConnect:
		c.device, s.err = c.t.auth.Token(c.turns, string(s.connect.UserName), c.addr)
	case jobConnected:
		c.tell(ota.Connected)
	case jobDisconnected:
		c.tell(ota.Disconnected)
	}
}

func (c *conn) workPublishes(s *scratch) {
	for range c.t.cfg.MaxInflight {
		f, size, err := mqttwire.Split(s.todo[s.used:], c.version, c.limit)
		if err != nil || size == 0 || len(s.todo)-s.used < size || f.Type != mqttwire.PUBLISH {
			return // the connection meets it again
		}
		s.used += size
		s.err = c.publish(s, f)
		if s.err != nil || s.file != nil || len(s.out) >= flushSize || c.t.stopping.Load() {
			return
		}
	}
}

// greet tells the house that the device is connected, once, when the session is
// likely to hear what that leads to: after it has subscribed to its attributes,
// before it says anything itself, or when it has been silent for a while.
func (c *conn) greet() error {
	if c.greeted {
		return nil
	}
	c.greeted = true
	c.extend(time.Now()) // until now it had to settle
	spare := c.s == nil
	if spare {
		c.s = c.t.memory.scratch(c)
	}
	err := c.flush()
	c.delegate(jobConnected)
	if spare {
		c.t.memory.giveBack(c.s)
		c.s = nil
	}
	return err
}

func (c *conn) tell(e ota.Event) {
	m := c.message(e)
	if _, err := c.t.handler.Handle(c.turns, m); err != nil {
		c.t.log.Debug("mqtt session event not handled", "event", e, "device", c.device.ID, "error", err)
	}
}

// finish says goodbye as far as the version knows how to, ends the session and
// closes the connection. What was said is given time to arrive.
func (c *conn) finish(err error) {
	c.goodbye(err)
	if !c.open {
		c.t.counts.refused.Add(1)
	}
	if c.open {
		c.t.router.Close(c)
		c.t.release(c, c.client)
		c.say.end()
	}
	c.nc.Close()
	c.say.wait()
	if c.open && c.greeted {
		if c.s == nil {
			c.s = c.t.memory.scratch(c)
		}
		c.delegate(jobDisconnected)
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
	case errors.Is(err, io.EOF) || errors.Is(err, errGone):
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
	half, ok := c.nc.(interface{ CloseWrite() error })
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
