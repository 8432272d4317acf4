package mqttload

import (
	"bytes"
	"context"
	"fmt"
	"net"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/windlass-ota/windlass/internal/mqttwire"
)

// maxPush bounds what a listener takes in one publish.
const maxPush = 64 << 10

// Listener hears what is pushed to a connection of [Load.Idle].
type Listener struct {
	nc net.Conn
	in *mqttwire.Reader
}

// Listen makes listeners of connections, once for each.
func Listen(conns []net.Conn) []Listener {
	out := make([]Listener, len(conns))
	for i, nc := range conns {
		out[i] = Listener{nc, mqttwire.NewReader(nc, maxPush)}
	}
	return out
}

// Await returns when each listener has heard a publish whose payload holds text.
// It acknowledges what is to be acknowledged, and calls heard, which may be
// called by many at a time, for each. When ctx ends first the listeners are of no
// use any more.
func Await(ctx context.Context, all []Listener, text string, heard func()) error {
	var wg sync.WaitGroup
	failed := make(chan error, len(all))
	for i, l := range all {
		wg.Go(func() {
			stop := l.until(ctx)
			defer stop()
			if err := l.await([]byte(text)); err != nil {
				failed <- fmt.Errorf("mqttload: client %d: %w", i, err)
				return
			}
			heard()
		})
	}
	wg.Wait()
	close(failed)
	return <-failed
}

// until ends the listener's reading when ctx ends, unless stop comes first.
func (l Listener) until(ctx context.Context) (stop func() bool) {
	return context.AfterFunc(ctx, func() {
		l.nc.SetReadDeadline(time.Unix(1, 0))
	})
}

func (l Listener) await(text []byte) error {
	for {
		p, err := l.next()
		if err != nil {
			return err
		}
		if bytes.Contains(p.Payload, text) {
			return nil
		}
	}
}

// next returns the next publish, which is acknowledged then.
func (l Listener) next() (p mqttwire.Publish, err error) {
	for {
		f, err := l.in.Next(mqttwire.V311)
		if err != nil {
			return p, err
		}
		if f.Type != mqttwire.PUBLISH {
			continue
		}
		return l.taken(f)
	}
}

// taken acknowledges a publish where that is due.
func (l Listener) taken(f mqttwire.Frame) (p mqttwire.Publish, err error) {
	if err := p.Decode(f, mqttwire.V311); err != nil || p.QoS == 0 {
		return p, err
	}
	return p, l.write(&mqttwire.Ack{Type: mqttwire.PUBACK, PacketID: p.PacketID})
}

func (l Listener) write(p mqttwire.Packet) error {
	out, err := p.Append(nil, mqttwire.V311)
	if err != nil {
		return err
	}
	_, err = l.nc.Write(out)
	return err
}

// Report has every listener publish all bodies as telemetry with QoS 1, each
// when the one before is acknowledged; so many listeners do so at a time. What
// is pushed to them meanwhile is thrown away.
func Report(ctx context.Context, all []Listener, atOnce int, bodies [][]byte) error {
	g, ctx := errgroup.WithContext(ctx)
	g.SetLimit(atOnce)
	for i, l := range all {
		if ctx.Err() != nil {
			break
		}
		g.Go(func() error {
			stop := l.until(ctx)
			defer stop()
			for n, body := range bodies {
				if err := l.report(uint16(n+1), body); err != nil {
					return fmt.Errorf("mqttload: client %d: %w", i, err)
				}
			}
			return nil
		})
	}
	return g.Wait()
}

func (l Listener) report(id uint16, body []byte) error {
	if err := l.write(&mqttwire.Publish{QoS: 1, PacketID: id, Topic: []byte("v1/devices/me/telemetry"), Payload: body}); err != nil {
		return err
	}
	for {
		f, err := l.in.Next(mqttwire.V311)
		if err != nil {
			return err
		}
		var ack mqttwire.Ack
		switch f.Type {
		case mqttwire.PUBACK:
			if err := ack.Decode(f, mqttwire.V311); err != nil || ack.PacketID == id {
				return err
			}
		case mqttwire.PUBLISH:
			if _, err := l.taken(f); err != nil {
				return err
			}
		}
	}
}
