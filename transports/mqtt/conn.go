package mqtt

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
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
	nc    net.Conn        // packets go over it: the socket, or what lies on it
	sock  net.Conn        // the socket
	raw   syscall.RawConn // of the socket; nil where it has none
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
	guest     bool          // there is none, and this is somebody who wants to be made known
	leaveBy   time.Time     // when a guest must go

	dialect *dialect          // how its profile speaks; nil: as all do
	gw      *gateway          // for whom else it speaks; nil: for nobody
	chunks  downloads         // sizes and packages by request number
	aliases map[uint16][]byte // topics that the client has numbered
	will    *will             // what to say when the connection breaks; nil: nothing
	expiry  time.Duration     // for which the session outlives the connection

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

func newConn(t *Transport, sock net.Conn, secure *tls.Config) *conn {
	c := &conn{t: t, nc: sock, sock: sock, raw: rawConn(sock), addr: sock.RemoteAddr().String(), limit: maxConnect, maxOut: mqttwire.MaxRemaining}
	if secure != nil {
		c.nc = tls.Server(&patient{sock, c}, secure)
	}
	return c
}

// serve is the life of the connection.
func (c *conn) serve(ctx context.Context) {
	c.turns = ctx
	err := c.connect()
	if err == nil {
		err = c.loop()
	}
	c.finish(err)
}

// chain is the certificate that the device came with, and those behind it; nil
// where it came without. The handshake must be over.
func (c *conn) chain() []*x509.Certificate {
	if s, ok := c.nc.(*tls.Conn); ok {
		return s.ConnectionState().PeerCertificates
	}
	return nil
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
		if buf = c.s.room(need); !c.t.memory.count(c.s) {
			return errCrowded
		}
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
	if c.guest && c.leaveBy.Before(c.readBy) {
		c.readBy = c.leaveBy
	}
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
	for whole := false; ; {
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
			if now := time.Now(); whole && c.readBy.Sub(now) < c.keepAlive {
				c.extend(now) // working through the last packet may have taken long
			}
			whole = false
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
		if whole = true; c.t.stopping.Load() {
			return errStopping
		}
	}
}

// drop forgets the first n bytes that were read.
func (c *conn) drop(n int) {
	c.s.in = c.s.in[:copy(c.s.in, c.s.in[n:])]
}
