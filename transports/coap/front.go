package coap

import (
	"errors"
	"net"
	"net/netip"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"github.com/windlass-ota/windlass/internal/coapwire"
)

// maxDatagram is the largest datagram that is read.
const maxDatagram = 64 << 10

// patience is how long a datagram may keep the reader from the socket before
// another reads on.
const patience = 2 * time.Millisecond

// front reads one socket. A goroutine reads a datagram and does what it asks
// for, which mostly takes microseconds and so costs no switch of goroutines.
// Where it takes longer (the store is asked) another goroutine reads on, and
// the first ends when it is done.
//
// mark is 2n for a reader that waits for its n-th datagram, 2n+1 while it works
// on it. Whoever changes it from the odd number has the socket.
type front struct {
	mark   atomic.Uint64
	busy   atomic.Int64  // readers that work on a datagram
	asleep atomic.Bool   // the watch
	wake   chan struct{} // room for one
}

// readUDP reads until the transport stops.
func (t *Transport) readUDP() error {
	f := &t.front
	f.wake = make(chan struct{}, 1)
	ended := make(chan error, 1)
	var readers sync.WaitGroup
	read := func() {
		if err, last := t.read(); last {
			ended <- err
		}
	}
	readers.Go(read)
	watched := make(chan struct{})
	go func() {
		defer close(watched)
		t.watch(func() { readers.Go(read) })
	}()
	err := <-ended
	<-watched
	readers.Wait()
	return err
}

// read reads and works as long as it has the socket; last where nobody reads on.
func (t *Transport) read() (err error, last bool) {
	f := &t.front
	x := newScratch()
	for {
		n, from, err := t.udp.ReadFromUDPAddrPort(x.in)
		select {
		case <-t.stopping:
			return nil, true
		default:
		}
		if errors.Is(err, net.ErrClosed) {
			return err, true
		}
		if err != nil && !errors.Is(err, os.ErrDeadlineExceeded) {
			continue // an ICMP error of somebody else's
		}
		mine := f.mark.Load() + 1
		f.mark.Store(mine)
		if f.asleep.Load() && f.asleep.CompareAndSwap(true, false) {
			f.wake <- struct{}{}
		}
		f.busy.Add(1)
		t.datagram(x, x.in[:n], netip.AddrPortFrom(from.Addr().Unmap(), from.Port()))
		f.busy.Add(-1)
		if !f.mark.CompareAndSwap(mine, mine+1) {
			return nil, false
		}
	}
}

// watch gives the socket to another reader when the one that has it works for
// long. It sleeps while nothing comes.
func (t *Transport) watch(readOn func()) {
	f := &t.front
	tick := time.NewTicker(patience)
	defer tick.Stop()
	seen := f.mark.Load()
	for quiet := 0; ; {
		select {
		case <-t.stopping:
			return
		case <-tick.C:
		}
		now := f.mark.Load()
		if now != seen {
			seen, quiet = now, 0
			continue
		}
		if now&1 == 1 && f.busy.Load() < int64(t.c.InFlight) {
			if f.mark.CompareAndSwap(now, now+1) {
				readOn()
			}
			continue
		}
		if quiet++; quiet < 50 {
			continue
		}
		tick.Stop()
		f.asleep.Store(true)
		if f.mark.Load() == now { // else one came in between, and nobody wakes us
			select {
			case <-f.wake:
			case <-t.stopping:
				return
			}
		} else if !f.asleep.CompareAndSwap(true, false) {
			<-f.wake
		}
		quiet = 0
		tick.Reset(patience)
	}
}

// scratch is what a reader works with.
type scratch struct {
	in  []byte
	out []byte
	m   coapwire.Message
	ask ask
}

func newScratch() *scratch {
	return &scratch{in: make([]byte, maxDatagram), out: make([]byte, 0, 2048), m: coapwire.Message{Options: make([]coapwire.Option, 0, coapwire.MaxOptions)}}
}

// datagram sorts one datagram of an address.
func (t *Transport) datagram(x *scratch, b []byte, from netip.AddrPort) {
	err := x.m.Decode(b)
	if errors.Is(err, coapwire.ErrVersion) { // RFC 7252, section 3
		t.counts.malformed.Add(1)
		return
	}
	p := t.peers.at(from, len(b), t)
	if p == nil {
		t.counts.dropped.Add(1)
		return
	}
	t.take(p, x, b, err)
}

// take does with a message of a peer what is to be done at once, and leaves the
// rest to the peer's exchange. Both doors come here.
func (t *Transport) take(p *peer, x *scratch, b []byte, malformed error) {
	m := &x.m
	switch {
	case malformed != nil:
		t.counts.malformed.Add(1)
		if m.Type == coapwire.CON { // RFC 7252, section 4.2
			p.say(t, reset(x, m.ID))
		}
	case m.Type == coapwire.RST || m.Type == coapwire.ACK:
		asked := p.answered(t, m)
		t.exchange(p, x, b)
		if asked != nil {
			t.exchange(p, x, asked)
		}
	case m.Code == coapwire.Empty:
		if m.Type == coapwire.CON { // a ping
			p.say(t, reset(x, m.ID))
		}
	case !m.Code.IsRequest():
		t.exchange(p, x, b)
	case isDownload(m):
		if !t.begin() {
			return
		}
		if reply := t.download(p, x); reply != nil {
			p.say(t, reply)
		}
		t.finish()
	default:
		t.exchange(p, x, b)
	}
}

func reset(x *scratch, id uint16) []byte {
	x.out = (&coapwire.Message{Type: coapwire.RST, ID: id}).Append(x.out[:0])
	return x.out
}

// refuse writes an answer without any more than a code, and a text for people.
func refuse(x *scratch, p *peer, code coapwire.Code, text string) []byte {
	r := p.replyTo(&x.m, code)
	if len(text) > 64 {
		text = text[:64] // an answer stays smaller than what it answers
	}
	r.Payload = []byte(text)
	x.out = r.Append(x.out[:0])
	return x.out
}
