// Package mqttload drives an MQTT endpoint with raw clients that cost next to
// nothing, so that what is measured is the endpoint. It also holds the floor
// that the endpoint is compared with: a server that does nothing but answer
// ([Bare]).
//
// It measures nothing itself and asserts nothing: benchmarks do.
package mqttload

import (
	"bufio"
	"context"
	"encoding/binary"
	"fmt"
	"io"
	"net"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"github.com/windlass-ota/windlass/internal/mqttwire"
)

// Load says who drives the endpoint.
type Load struct {
	Addr    string
	Token   func(client int) string
	Clients int
	For     time.Duration // how long Chunks and Reports go on once all are connected
}

// dial connects one client and reads its CONNACK.
func (l Load) dial(ctx context.Context, client int) (net.Conn, *bufio.Reader, error) {
	var d net.Dialer
	nc, err := d.DialContext(ctx, "tcp", l.Addr)
	if err != nil {
		return nil, nil, fmt.Errorf("mqttload: %w", err)
	}
	hello := mqttwire.Connect{Version: mqttwire.V311, CleanStart: true, HasUserName: true, UserName: []byte(l.Token(client))}
	out, err := hello.Append(nil, mqttwire.V311)
	if err == nil {
		_, err = nc.Write(out)
	}
	var ack [4]byte
	if err == nil {
		_, err = io.ReadFull(nc, ack[:])
	}
	if err == nil && ack[3] != 0 {
		err = fmt.Errorf("refused with code %d", ack[3])
	}
	if err != nil {
		nc.Close()
		return nil, nil, fmt.Errorf("mqttload: client %d: %w", client, err)
	}
	return nc, bufio.NewReaderSize(nc, 64<<10), nil
}

// Idle opens all connections, subscribes each to its attributes and leaves them
// silent. The caller closes them.
func (l Load) Idle(ctx context.Context) ([]net.Conn, error) {
	sub := mqttwire.Subscribe{PacketID: 1, Filters: []mqttwire.Filter{{Topic: []byte("v1/devices/me/attributes"), QoS: 1}}}
	ask, err := sub.Append(nil, mqttwire.V311)
	if err != nil {
		return nil, err
	}
	var conns []net.Conn
	var ack [5]byte
	for i := range l.Clients {
		nc, _, err := l.dial(ctx, i)
		if err == nil {
			conns = append(conns, nc)
			_, err = nc.Write(ask)
		}
		if err == nil {
			_, err = io.ReadFull(nc, ack[:])
		}
		if err != nil {
			Close(conns)
			return nil, err
		}
	}
	return conns, nil
}

// Close closes connections.
func Close(conns []net.Conn) {
	for _, nc := range conns {
		nc.Close()
	}
}

// Chunks has every client ask for chunk after chunk of size bytes, of a file of
// that many chunks, one at a time. It returns how many came.
func (l Load) Chunks(ctx context.Context, size, chunks int) (int64, error) {
	want := strconv.AppendInt(nil, int64(size), 10)
	return l.run(ctx, 1, func(client, round int, topic []byte) mqttwire.Publish {
		topic = strconv.AppendInt(append(topic, "v2/fw/request/1/chunk/"...), int64((client+round)%chunks), 10)
		return mqttwire.Publish{Topic: topic, Payload: want}
	})
}

// Reports has every client publish telemetry with QoS 1, window of them at a
// time. It returns how many were acknowledged.
func (l Load) Reports(ctx context.Context, window int, body func(client, round int) []byte) (int64, error) {
	return l.run(ctx, window, func(client, round int, topic []byte) mqttwire.Publish {
		topic = append(topic, "v1/devices/me/telemetry"...)
		return mqttwire.Publish{QoS: 1, PacketID: uint16(round%60000 + 1), Topic: topic, Payload: body(client, round)}
	})
}

// request makes one publish; it may append to topic for the topic's text.
type request func(client, round int, topic []byte) mqttwire.Publish

// run connects all clients and then has each write window publishes and read as
// many packets, again and again.
func (l Load) run(ctx context.Context, window int, next request) (int64, error) {
	conns := make([]net.Conn, l.Clients)
	readers := make([]*bufio.Reader, l.Clients)
	for i := range conns {
		var err error
		if conns[i], readers[i], err = l.dial(ctx, i); err != nil {
			Close(conns[:i])
			return 0, err
		}
	}
	ctx, cancel := context.WithTimeout(ctx, l.For)
	defer cancel()
	stop := context.AfterFunc(ctx, func() { Close(conns) })
	defer stop()
	var answered atomic.Int64
	var all sync.WaitGroup
	failed := make(chan error, l.Clients)
	for i, nc := range conns {
		all.Go(func() {
			if err := drive(nc, readers[i], i, window, next, &answered); ctx.Err() == nil {
				failed <- err
				cancel()
			}
		})
	}
	all.Wait()
	close(failed)
	return answered.Load(), <-failed
}

// drive is one client; it ends when its connection does.
func drive(nc net.Conn, r *bufio.Reader, client, window int, next request, answered *atomic.Int64) (err error) {
	var out, topic []byte
	for round := 0; ; {
		out = out[:0]
		for range window {
			p := next(client, round, topic[:0])
			topic = p.Topic
			if out, err = p.Append(out, mqttwire.V311); err != nil {
				return err
			}
			round++
		}
		if _, err := nc.Write(out); err != nil {
			return err
		}
		if err := skip(r, window); err != nil {
			return err
		}
		answered.Add(int64(window))
	}
}

// skip reads n packets and looks at none.
func skip(r *bufio.Reader, n int) error {
	for range n {
		if _, err := r.ReadByte(); err != nil {
			return fmt.Errorf("mqttload: read: %w", err)
		}
		size, err := binary.ReadUvarint(r) // the same form as MQTT's lengths
		if err != nil {
			return fmt.Errorf("mqttload: read: %w", err)
		}
		if _, err := r.Discard(int(size)); err != nil {
			return fmt.Errorf("mqttload: read: %w", err)
		}
	}
	return nil
}
