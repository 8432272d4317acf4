package mqttbridge

import (
	"context"
	"hash/maphash"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/eclipse/paho.golang/autopaho"
	"github.com/eclipse/paho.golang/paho"

	"github.com/windlass-ota/windlass/ota"
	"github.com/windlass-ota/windlass/transports"
)

// arrival is a message on its way to a chain.
type arrival struct {
	m    ota.Message
	of   *paho.Publish
	from *paho.Client // whom it is acknowledged to
}

// maxBody bounds a message of a broker, in bytes.
const maxBody = 1 << 20

// receive takes a message from the broker; it must not wait. What has QoS 1 finds
// room, since the broker sends no more than we said before it is acknowledged.
func (l *link) receive(p paho.PublishReceived, queues []chan arrival) error {
	l.heard.Add(1)
	door, captured := l.doors.Topic(l.broker.Name, p.Packet.Topic)
	if door == nil || len(p.Packet.Payload) > maxBody {
		l.unheard.Add(1)
		return p.Client.Ack(p.Packet)
	}
	m := transports.Arrive(door, p.Packet.Topic, captured, p.Packet.Payload)
	m.Transport, m.Address = Name, l.broker.Name
	if props := p.Packet.Properties; props != nil {
		m.Headers = headers(props)
	}
	select {
	case queues[l.lane(captured, p.Packet.Topic)] <- arrival{m, p.Packet, p.Client}:
	default:
		l.unheard.Add(1) // QoS 0 promises nothing
	}
	return nil
}

// headers are the properties of a message as text by name.
func headers(p *paho.PublishProperties) map[string]string {
	out := map[string]string{}
	for _, u := range p.User {
		out[strings.ToLower(u.Key)] = u.Value
	}
	if p.ContentType != "" {
		out["content-type"] = p.ContentType
	}
	return out
}

// lane is where a message is worked: behind those whose topics capture the same.
func (l *link) lane(captured map[string]string, topic string) int {
	var h maphash.Hash
	h.SetSeed(l.seed)
	for _, name := range slices.Sorted(maps.Keys(captured)) {
		_, _ = h.WriteString(captured[name])
		_ = h.WriteByte(0)
	}
	if len(captured) == 0 {
		_, _ = h.WriteString(topic)
	}
	return int(h.Sum64() % lanes)
}

// busyFor is how long is waited before a message is tried again that could not
// be stored, at first and at most.
const busyFor, busyAtMost = 100 * time.Millisecond, 5 * time.Second

// work hands a message over until it is stored or refused, and then acknowledges
// it. One that is not acknowledged comes again from the broker.
func (l *link) work(ctx context.Context, h transports.Handler, a arrival) {
	for wait := busyFor; ; wait = min(2*wait, busyAtMost) {
		_, err := h.Handle(context.WithoutCancel(ctx), a.m)
		code := ota.CodeOf(err)
		if code != ota.Busy {
			if err != nil {
				l.unheard.Add(1)
				l.log.Debug("a message of a broker was refused", "topic", a.m.Topic, "err", err)
			}
			break
		}
		select {
		case <-ctx.Done():
			return
		case <-time.After(wait):
		}
	}
	if a.of.QoS == 0 {
		return
	}
	if err := a.from.Ack(a.of); err != nil {
		l.log.Debug("a message is not acknowledged, since its connection is gone", "topic", a.m.Topic, "err", err)
	}
}

// leave queues a word to be said.
func (l *link) leave(w ota.BrokerWord) {
	select {
	case l.words <- w:
	default:
		l.lost.Add(1)
	}
}

// speak says what was left, one after the other, until ctx ends and nothing is
// left.
func (l *link) speak(ctx context.Context, conn *autopaho.ConnectionManager) {
	for {
		select {
		case w := <-l.words:
			l.sayOnce(conn, w)
			continue
		default:
		}
		select {
		case <-ctx.Done():
			return
		case w := <-l.words:
			l.sayOnce(conn, w)
		}
	}
}

// sayOnce says a word at most once. It is not waited for that the broker has it.
func (l *link) sayOnce(conn *autopaho.ConnectionManager, w ota.BrokerWord) {
	if !l.connected.Load() {
		l.lost.Add(1)
		return
	}
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	_, err := conn.Publish(ctx, packet(w))
	if err != nil {
		l.lost.Add(1)
		l.log.Debug("a word to a broker is lost", "topic", w.Topic, "err", err)
		return
	}
	l.said.Add(1)
}

// say says a word and waits until the broker has it.
func (l *link) say(ctx context.Context, w ota.BrokerWord) error {
	l.mu.Lock()
	conn := l.conn
	l.mu.Unlock()
	if conn == nil || !l.connected.Load() {
		return ota.Errorf(ota.Busy, "deliver to broker "+l.broker.Name, "it is not reached")
	}
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	ack, err := conn.Publish(ctx, packet(w))
	if err == nil && ack != nil && ack.ReasonCode >= 0x80 {
		err = ota.Errorf(ota.Busy, "publish", "it is refused with reason 0x%02x", ack.ReasonCode)
	}
	if err != nil {
		return &ota.Error{Code: ota.Busy, Op: "deliver to broker " + l.broker.Name, Err: err}
	}
	l.said.Add(1)
	return nil
}

func packet(w ota.BrokerWord) *paho.Publish {
	return &paho.Publish{Topic: w.Topic, QoS: byte(w.QoS), Retain: w.Retain, Payload: w.Body}
}
