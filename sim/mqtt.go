package sim

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"strconv"
	"strings"
	"time"

	wire "github.com/windlass-ota/windlass/internal/mqttwire"
	"github.com/windlass-ota/windlass/ota"
)

// Topics of ThingsBoard's MQTT device API.
const (
	topicTelemetry  = "v1/devices/me/telemetry"
	topicAttributes = "v1/devices/me/attributes"
	topicRequest    = "v1/devices/me/attributes/request/"
	topicResponse   = "v1/devices/me/attributes/response/"
)

// mqttLimit bounds one packet that a simulated device takes: MQTT's own limit.
const mqttLimit = wire.MaxRemaining

// mqttWire speaks MQTT 3.1.1 or 5.0 the way ThingsBoard's samples do. Answers
// come on the goroutine that asks: it reads until the one that it waits for is
// there, and keeps pushes that came in between.
type mqttWire struct {
	addr, token string
	version     wire.Version
	qos         byte
	patience    time.Duration // for an answer
	poll        time.Duration // for a push

	conn    net.Conn
	packets *wire.Reader
	out     []byte
	next    uint16
	asked   int
	pushes  []map[string]json.RawMessage
}

// NewMQTT returns a wire over MQTT to host:port. Version is 4 for 3.1.1 and 5
// for 5.0; qos is that of publishes. An answer is waited for as long as patience
// says, a push as long as poll says.
func NewMQTT(addr, token string, version int, qos byte, patience, poll time.Duration) Wire {
	return &mqttWire{addr: addr, token: token, version: wire.Version(version), qos: qos, patience: patience, poll: poll}
}

func (w *mqttWire) Open(ctx context.Context) error {
	w.Close() //nolint:errcheck // what is left of a connection that is given up
	var d net.Dialer
	conn, err := d.DialContext(ctx, "tcp", w.addr)
	if err != nil {
		return fmt.Errorf("connect: %w", err)
	}
	w.conn, w.packets, w.pushes = conn, wire.NewReader(conn, mqttLimit), nil
	connect := wire.Connect{Version: w.version, CleanStart: true, KeepAlive: 60, HasUserName: true, UserName: []byte(w.token)}
	if err := w.send(&connect); err != nil {
		return fmt.Errorf("connect: %w", err)
	}
	f, err := w.read(ctx, w.patience)
	if err != nil {
		return fmt.Errorf("connect: %w", err)
	}
	var ack wire.Connack
	if f.Type != wire.CONNACK {
		return fmt.Errorf("connect: the server sent %s", f.Type)
	}
	if err := ack.Decode(f, w.version); err != nil {
		return fmt.Errorf("connect: %w", err)
	}
	if ack.Code != 0 {
		return &Refusal{"connect", int(ack.Code), "connection refused"}
	}
	return w.subscribe(ctx)
}

func (w *mqttWire) subscribe(ctx context.Context) error {
	sub := wire.Subscribe{PacketID: w.packetID()}
	for _, t := range []string{topicAttributes, topicResponse + "+", "v2/fw/response/+", "v2/sw/response/+"} {
		sub.Filters = append(sub.Filters, wire.Filter{Topic: []byte(t), QoS: 1})
	}
	if err := w.send(&sub); err != nil {
		return fmt.Errorf("subscribe: %w", err)
	}
	_, err := w.await(ctx, func(f wire.Frame) (bool, error) { return f.Type == wire.SUBACK, nil })
	return err
}

func (w *mqttWire) Close() error {
	if w.conn == nil {
		return nil
	}
	w.conn.SetWriteDeadline(time.Now().Add(time.Second))
	bye := wire.Close{Type: wire.DISCONNECT}
	if b, err := bye.Append(nil, w.version); err == nil {
		w.conn.Write(b) //nolint:errcheck // a courtesy
	}
	err := w.conn.Close()
	w.conn = nil
	return err
}

func (w *mqttWire) Report(ctx context.Context, values map[string]any) error {
	body, err := json.Marshal(values)
	if err != nil {
		return fmt.Errorf("report: %w", err)
	}
	id, err := w.publish(topicTelemetry, body, w.qos)
	if err != nil || w.qos == 0 {
		return err
	}
	_, err = w.await(ctx, func(f wire.Frame) (bool, error) {
		if f.Type != wire.PUBACK {
			return false, nil
		}
		var ack wire.Ack
		if err := ack.Decode(f, w.version); err != nil {
			return false, err
		}
		if ack.PacketID == id && ack.Reason >= 0x80 {
			return false, &Refusal{"report", int(ack.Reason), "not taken"}
		}
		return ack.PacketID == id, nil
	})
	return err
}

func (w *mqttWire) Attributes(ctx context.Context, names []string) (map[string]json.RawMessage, error) {
	w.asked++
	id := strconv.Itoa(w.asked)
	body, err := json.Marshal(map[string]string{"sharedKeys": strings.Join(names, ",")})
	if err != nil {
		return nil, fmt.Errorf("attributes: %w", err)
	}
	if _, err := w.publish(topicRequest+id, body, w.qos); err != nil {
		return nil, err
	}
	payload, err := w.awaitPublish(ctx, topicResponse+id)
	if err != nil {
		return nil, fmt.Errorf("attributes: %w", err)
	}
	var answer struct{ Shared map[string]json.RawMessage }
	if err := json.Unmarshal(payload, &answer); err != nil {
		return nil, fmt.Errorf("attributes: %w", err)
	}
	return answer.Shared, nil
}

func (w *mqttWire) Changes(ctx context.Context) (map[string]json.RawMessage, error) {
	for until := time.Now().Add(w.poll); len(w.pushes) == 0; {
		left := time.Until(until)
		if left <= 0 {
			return nil, nil
		}
		f, err := w.read(ctx, left)
		var slow net.Error
		if errors.As(err, &slow) && slow.Timeout() && ctx.Err() == nil {
			return nil, nil
		}
		if err != nil {
			return nil, err
		}
		if _, err := w.take(f); err != nil {
			return nil, err
		}
	}
	push := w.pushes[0]
	w.pushes = w.pushes[1:]
	return push, nil
}

func (w *mqttWire) Chunk(ctx context.Context, k ota.Kind, _ ota.Version, size, n int64) ([]byte, error) {
	if n == 0 { // a new request id for each update binds it to one package
		w.asked++
	}
	where := "/" + strconv.Itoa(w.asked) + "/chunk/" + strconv.FormatInt(n, 10)
	payload := ""
	if size > 0 {
		payload = strconv.FormatInt(size, 10)
	}
	if _, err := w.publish("v2/"+k.Prefix()+"/request"+where, []byte(payload), w.qos); err != nil {
		return nil, err
	}
	return w.awaitPublish(ctx, "v2/"+k.Prefix()+"/response"+where)
}

func (w *mqttWire) publish(topic string, payload []byte, qos byte) (uint16, error) {
	p := wire.Publish{QoS: qos, Topic: []byte(topic), Payload: payload}
	if qos > 0 {
		p.PacketID = w.packetID()
	}
	return p.PacketID, w.send(&p)
}

func (w *mqttWire) packetID() uint16 {
	if w.next++; w.next == 0 {
		w.next = 1
	}
	return w.next
}

func (w *mqttWire) send(p wire.Packet) (err error) {
	if w.conn == nil {
		return net.ErrClosed
	}
	if w.out, err = p.Append(w.out[:0], w.version); err != nil {
		return err
	}
	w.conn.SetWriteDeadline(time.Now().Add(w.patience))
	_, err = w.conn.Write(w.out)
	return err
}

// read returns the next packet, waiting until ctx ends or patience is over.
func (w *mqttWire) read(ctx context.Context, patience time.Duration) (wire.Frame, error) {
	if w.conn == nil {
		return wire.Frame{}, net.ErrClosed
	}
	conn := w.conn // the function may run after Close has forgotten it
	conn.SetReadDeadline(time.Now().Add(patience))
	stop := context.AfterFunc(ctx, func() { conn.SetReadDeadline(time.Unix(1, 0)) })
	defer stop()
	f, err := w.packets.Next(w.version)
	if ctx.Err() != nil {
		return f, ctx.Err()
	}
	if errors.Is(err, io.EOF) {
		err = fmt.Errorf("the server closed the connection: %w", err)
	}
	return f, err
}

// await reads until done says that its packet has come; others are taken on the
// way.
func (w *mqttWire) await(ctx context.Context, done func(wire.Frame) (bool, error)) (wire.Frame, error) {
	for until := time.Now().Add(w.patience); ; {
		f, err := w.read(ctx, time.Until(until))
		if err != nil {
			return f, err
		}
		ok, err := done(f)
		if ok || err != nil {
			return f, err
		}
		if _, err := w.take(f); err != nil {
			return f, err
		}
	}
}

func (w *mqttWire) awaitPublish(ctx context.Context, topic string) (payload []byte, err error) {
	for until := time.Now().Add(w.patience); ; {
		f, err := w.read(ctx, time.Until(until))
		if err != nil {
			return nil, err
		}
		p, err := w.take(f)
		if err != nil {
			return nil, err
		}
		switch {
		case p == nil:
		case string(p.Topic) == topic:
			return append([]byte(nil), p.Payload...), nil
		case string(p.Topic) == "v2/fw/error":
			return nil, &Refusal{What: "chunk", Text: string(p.Payload)}
		}
	}
}

// take acknowledges a publish and keeps it where it is a push of attributes;
// other packets are nothing to it.
func (w *mqttWire) take(f wire.Frame) (*wire.Publish, error) {
	if f.Type == wire.DISCONNECT {
		return nil, &Refusal{What: "connection", Text: "the server disconnected"}
	}
	if f.Type != wire.PUBLISH {
		return nil, nil
	}
	var p wire.Publish
	if err := p.Decode(f, w.version); err != nil {
		return nil, err
	}
	if p.QoS == 1 {
		if err := w.send(&wire.Ack{Type: wire.PUBACK, PacketID: p.PacketID}); err != nil {
			return nil, err
		}
	}
	if string(p.Topic) == topicAttributes {
		push, err := parsePush(p.Payload)
		if err != nil {
			return nil, err
		}
		w.pushes = append(w.pushes, push)
	}
	return &p, nil
}
