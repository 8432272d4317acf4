package mqtt

import (
	"errors"
	"fmt"
	"net"
	"os"
	"time"

	"github.com/windlass-ota/windlass/internal/mqttwire"
	"github.com/windlass-ota/windlass/ota"
)

// append encodes a packet. One that the client said it would not take
// (MQTT-3.1.2-24), or that cannot be said in MQTT, is dropped and counted.
func (c *conn) append(dst []byte, p mqttwire.Packet) []byte {
	out, err := p.Append(dst, c.version)
	if err != nil || len(out)-len(dst) > c.maxOut {
		c.t.counts.dropped.Add(1)
		return dst
	}
	return out
}

// flush writes what the scratch holds: packets, then a section behind the last.
func (c *conn) flush() error {
	s := c.s
	c.spoke = c.spoke || len(s.out) > 0
	if s.file != nil {
		err := c.writeSection(s.out, s.section, s.file)
		s.closeFile()
		s.out = s.out[:0]
		return err
	}
	if len(s.out) == 0 {
		return nil
	}
	err := c.write(s.out)
	s.out = s.out[:0]
	return err
}

// write puts out whole packets.
func (c *conn) write(b []byte) error {
	c.say.writing.Lock()
	defer c.say.writing.Unlock()
	return c.put(b)
}

// put writes under the deadline. The lock is held.
func (c *conn) put(b []byte) error {
	if c.nc != c.sock { // what lies on the socket writes to it by patient
		if _, err := c.nc.Write(b); err != nil {
			return fmt.Errorf("mqtt: write: %w", err)
		}
		return nil
	}
	return c.putSocket(b)
}

// patient is the socket as TLS or WebSocket writes to it: with the patience that
// a slow device is owed. Below them and not above, since neither can go on with
// a record of which a part was written.
type patient struct {
	net.Conn
	c *conn
}

func (p *patient) Write(b []byte) (int, error) {
	if err := p.c.putSocket(b); err != nil {
		return 0, err
	}
	return len(b), nil
}

func (c *conn) putSocket(b []byte) error {
	c.allow()
	for {
		n, err := c.sock.Write(b)
		if err == nil {
			return nil
		}
		if !c.tookSome(int64(n), err) {
			return fmt.Errorf("mqtt: write: %w", err)
		}
		b = b[n:]
	}
}

// allow gives the next write its time. A deadline that has most of it left is
// good enough. The lock is held.
func (c *conn) allow() {
	c.queued = -1
	timeout := c.t.cfg.WriteTimeout
	if now := time.Now(); c.writeBy.Sub(now) < timeout*3/4 {
		c.writeBy = now.Add(timeout)
		c.sock.SetWriteDeadline(c.writeBy)
	}
}

// leastTaken is what a device must have taken in one write timeout to be slow
// and not stuck, in bytes. Narrow-band radio carries ten times as much.
const leastTaken = 1 << 10

// tookSome says whether a write that ended with err, after wrote bytes, may go
// on: its time ran out, but the device does take what it is sent. That is asked
// of the socket, since a socket says that it can be written to only when a large
// part of its queue, which may be megabytes, has drained.
func (c *conn) tookSome(wrote int64, err error) bool {
	if !errors.Is(err, os.ErrDeadlineExceeded) {
		return false
	}
	now, ok := unread(c.raw)
	if !ok {
		return false
	}
	before := c.queued
	c.queued = int64(now)
	if before >= 0 && before+wrote-c.queued < leastTaken {
		return false
	}
	c.writeBy = time.Now().Add(c.t.cfg.WriteTimeout)
	c.sock.SetWriteDeadline(c.writeBy)
	return true
}

// writeSection puts out packets and behind them the bytes that the last of them
// announces. Should the file fail midway the packet cannot be mended, and the
// connection must end.
func (c *conn) writeSection(head []byte, s ota.Section, file ota.Blob) error {
	c.say.writing.Lock()
	defer c.say.writing.Unlock()
	if local, ok := file.(ota.LocalBlob); ok && c.nc == c.sock {
		if tried, err := c.s.splicer.splice(c, head, local.File(), s.Off, s.Len); tried {
			return err
		}
	}
	return c.copySection(head, s, file)
}

// copySection does the same through a buffer, in pieces, so that a whole file
// costs no more memory than a chunk.
func (c *conn) copySection(head []byte, s ota.Section, file ota.Blob) error {
	lent := c.t.memory.piece()
	defer c.t.memory.pieces.Put(lent)
	for piece := *lent; s.Len > 0 || len(head) > 0; {
		n := copy(piece, head)
		head = head[n:]
		take := int(min(s.Len, int64(len(piece)-n)))
		if take > 0 {
			if got, err := file.ReadAt(piece[n:n+take], s.Off); got < take {
				return fmt.Errorf("mqtt: read file of %s: %w", s.Package.Version, err)
			}
		}
		if err := c.put(piece[:n+take]); err != nil {
			return err
		}
		s.Off, s.Len = s.Off+int64(take), s.Len-int64(take)
	}
	return nil
}
