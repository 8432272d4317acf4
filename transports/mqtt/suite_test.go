package mqtt

import (
	"bytes"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/windlass-ota/windlass/internal/mqttwire"
	"github.com/windlass-ota/windlass/ota"
	"github.com/windlass-ota/windlass/transports/transporttest"
)

func TestTransport(t *testing.T) {
	for _, v := range []mqttwire.Version{mqttwire.V311, mqttwire.V5} {
		t.Run(strconv.Itoa(int(v)), func(t *testing.T) {
			transporttest.Run(t, func(t *testing.T, w transporttest.World) transporttest.Server {
				tr, err := New(Config{Listen: "127.0.0.1:0"}, Deps{Auth: w.Auth, Files: w.Blobs, Router: w.Router, Log: slog.New(slog.NewTextHandler(t.Output(), nil))})
				if err != nil {
					t.Fatal(err)
				}
				stop := transporttest.Serve(t, tr, w.Handler)
				return transporttest.Server{Name: "mqtt", Stop: stop, Dial: func(t *testing.T, token string) (transporttest.Device, error) {
					return dialSuite(t, tr.Addr().String(), token, v)
				}}
			})
		})
	}
}

// suiteDevice speaks MQTT as a device does. A goroutine reads what comes; it
// ends with the connection, and closes every channel then.
type suiteDevice struct {
	nc       net.Conn
	v        mqttwire.Version
	acks     chan *mqttwire.Ack
	granted  chan *mqttwire.SubAck
	replies  chan *mqttwire.Publish
	pushes   chan string
	reading  sync.WaitGroup
	requests int
}

func dialSuite(t *testing.T, addr, token string, v mqttwire.Version) (*suiteDevice, error) {
	return dialSuiteOver(t, token, v, func() (net.Conn, error) { return net.Dial("tcp", addr) })
}

func dialSuiteOver(t *testing.T, token string, v mqttwire.Version, dial func() (net.Conn, error)) (*suiteDevice, error) {
	nc, err := dial()
	if err != nil {
		return nil, err
	}
	nc.SetDeadline(time.Now().Add(patience))
	d := &suiteDevice{
		nc: nc, v: v, acks: make(chan *mqttwire.Ack, 64), granted: make(chan *mqttwire.SubAck, 1),
		replies: make(chan *mqttwire.Publish, 64), pushes: make(chan string, 64),
	}
	t.Cleanup(d.Hangup)
	r := mqttwire.NewReader(nc, mqttwire.MaxRemaining)
	if err := d.send(&mqttwire.Connect{Version: v, CleanStart: true, HasUserName: true, UserName: []byte(token)}); err != nil {
		return nil, err
	}
	f, err := r.Next(v)
	if err != nil {
		return nil, err
	}
	var ack mqttwire.Connack
	if err := ack.Decode(f, v); err != nil || ack.Code != 0 {
		return nil, fmt.Errorf("refused with code %d: %w", ack.Code, err)
	}
	d.reading.Go(func() { d.read(r) })
	return d, nil
}

func (d *suiteDevice) read(r *mqttwire.Reader) {
	defer close(d.acks)
	defer close(d.granted)
	defer close(d.replies)
	for {
		f, err := r.Next(d.v)
		if err != nil {
			return
		}
		f.Body = bytes.Clone(f.Body)
		p := mqttwire.New(f.Type)
		if p.Decode(f, d.v) != nil {
			return
		}
		switch p := p.(type) {
		case *mqttwire.Ack:
			d.acks <- p
		case *mqttwire.SubAck:
			d.granted <- p
		case *mqttwire.Publish:
			if string(p.Topic) == "v1/devices/me/attributes" {
				d.pushes <- string(p.Payload)
			} else {
				d.replies <- p
			}
		}
	}
}

func (d *suiteDevice) send(ps ...mqttwire.Packet) (err error) {
	var out []byte
	for _, p := range ps {
		if out, err = p.Append(out, d.v); err != nil {
			return err
		}
	}
	_, err = d.nc.Write(out)
	return err
}

func (d *suiteDevice) Telemetry(bodies ...string) (acked int) {
	var all []mqttwire.Packet
	for i, b := range bodies {
		all = append(all, publish1(uint16(i+1), "v1/devices/me/telemetry", b))
	}
	return d.acked(all)
}

func (d *suiteDevice) Attributes(body string) bool {
	return d.acked([]mqttwire.Packet{publish1(1, "v1/devices/me/attributes", body)}) == 1
}

func (d *suiteDevice) acked(all []mqttwire.Packet) (n int) {
	if d.send(all...) != nil {
		return 0
	}
	for range all {
		if a, ok := <-d.acks; ok && a.Reason < mqttwire.UnspecifiedError {
			n++
		}
	}
	return n
}

func (d *suiteDevice) Request(clientKeys, sharedKeys string) (string, error) {
	d.requests++
	body := fmt.Sprintf(`{"clientKeys":%q,"sharedKeys":%q}`, clientKeys, sharedKeys)
	p, err := d.ask("v1/devices/me/attributes/request/"+strconv.Itoa(d.requests), body)
	if err != nil {
		return "", err
	}
	return string(p.Payload), nil
}

func (d *suiteDevice) Chunk(k ota.Kind, _ ota.Version, size, chunk int64) ([]byte, error) {
	d.requests++
	p, err := d.ask(fmt.Sprintf("v2/%s/request/%d/chunk/%d", k.Prefix(), d.requests, chunk), strconv.FormatInt(size, 10))
	if err != nil {
		return nil, err
	}
	return p.Payload, nil
}

// ask publishes and waits for what comes on the topic of the answer.
func (d *suiteDevice) ask(topic, body string) (*mqttwire.Publish, error) {
	if err := d.send(publish(topic, body)); err != nil {
		return nil, err
	}
	p, ok := <-d.replies
	switch want := strings.Replace(topic, "/request/", "/response/", 1); {
	case !ok:
		return nil, errors.New("connection ended")
	case string(p.Topic) != want:
		return nil, fmt.Errorf("%s on %s", p.Payload, p.Topic)
	}
	return p, nil
}

func (d *suiteDevice) Listen() <-chan string {
	if d.send(subscribe(1, 1, "v1/devices/me/attributes")) == nil {
		<-d.granted
	}
	return d.pushes
}

func (d *suiteDevice) Hangup() {
	d.nc.Close()
	d.reading.Wait()
}
