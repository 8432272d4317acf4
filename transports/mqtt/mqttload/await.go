package mqttload

import (
	"bytes"
	"context"
	"fmt"
	"net"
	"sync"
	"time"

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
	stop := context.AfterFunc(ctx, func() {
		for _, l := range all {
			l.nc.SetReadDeadline(time.Unix(1, 0)) //nolint:errcheck // a closed connection reads nothing either
		}
	})
	defer stop()
	var wg sync.WaitGroup
	failed := make(chan error, len(all))
	for i, l := range all {
		wg.Go(func() {
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

func (l Listener) await(text []byte) error {
	var p mqttwire.Publish
	for {
		f, err := l.in.Next(mqttwire.V311)
		if err != nil {
			return err
		}
		if f.Type != mqttwire.PUBLISH {
			continue
		}
		if err := p.Decode(f, mqttwire.V311); err != nil {
			return err
		}
		if p.QoS == 1 {
			ack, err := (&mqttwire.Ack{Type: mqttwire.PUBACK, PacketID: p.PacketID}).Append(nil, mqttwire.V311)
			if err != nil {
				return err
			}
			if _, err := l.nc.Write(ack); err != nil {
				return err
			}
		}
		if bytes.Contains(p.Payload, text) {
			return nil
		}
	}
}
