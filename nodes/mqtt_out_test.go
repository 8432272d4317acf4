package nodes_test

import (
	"context"
	"strings"
	"testing"

	"github.com/windlass-ota/windlass/engine"
	"github.com/windlass-ota/windlass/ota"
)

// broker keeps what is said to it.
type broker struct{ words []ota.BrokerWord }

func (b *broker) Publish(w ota.BrokerWord) { b.words = append(b.words, w) }

func TestMQTTOut(t *testing.T) {
	const chain = `chain: tells
summary: Tells a broker.
trigger: connected
steps:
  - {node: mqtt_out, with: {broker: plant, topic: "x/${device.name}", json: {is: "${msg.transport}"}, retain: true}}
  - {node: mqtt_out, name: again, with: {broker: plant, topic: y, body: text, qos: 0}}
`
	var b broker
	w := newWorld()
	c := loadWith(t, chain, engine.Deps{Brokers: &b})
	r := c.Try(context.Background(), ota.Message{Event: ota.Connected, Tenant: tenant, Device: device, Transport: "mqtt"}, w.homes[ota.RefOf(tenant, device)].Clone(), w, start)
	if r.Err != nil {
		t.Fatal(r.Err)
	}
	same(t, "path", pathOf(r), []string{"mqtt_out sent", "again sent"})
	same(t, "words before the commit", len(b.words), 0)
	for _, f := range r.After {
		f()
	}
	same(t, "words", b.words, []ota.BrokerWord{
		{Broker: "plant", Device: ota.RefOf(tenant, device), Topic: "x/dev-1", Body: []byte(`{"is":"mqtt"}`), QoS: 1, Retain: true},
		{Broker: "plant", Device: ota.RefOf(tenant, device), Topic: "y", Body: []byte("text")},
	})
}

func TestMQTTOutRefused(t *testing.T) {
	tests := []struct{ name, with, want string }{
		{"two forms", `{broker: plant, topic: a, body: x, json: {}}`, "json is given beside body"},
		{"a wildcard", `{broker: plant, topic: "a/#"}`, "topic is no topic"},
		{"the broker's own", `{broker: plant, topic: "$SYS/x"}`, "belongs to the broker"},
		{"the device API", `{topic: "v2/a"}`, "one of the device API"},
		{"QoS 2", `{broker: plant, topic: a, qos: 2}`, "qos is 2, want 0 to 1"},
		{"a durable word to a device", `{topic: a, durable: true}`, "durable is for brokers"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			text := faultsOf(t, "chain: x\nsummary: X.\ntrigger: connected\nsteps: [{node: mqtt_out, with: "+tt.with+"}]\n")
			if !strings.Contains(text, tt.want) {
				t.Errorf("faults are\n%s\nwant %q", text, tt.want)
			}
		})
	}
}

func TestMQTTOutToATopicThatIsNone(t *testing.T) {
	w := newWorld()
	const chain = "chain: tells\nsummary: Tells.\ntrigger: connected\nsteps: [{node: mqtt_out, with: {broker: plant, topic: \"${msg.address}/#\"}}]\n"
	r := loadWith(t, chain, engine.Deps{Brokers: &broker{}}).Try(context.Background(), ota.Message{Event: ota.Connected, Tenant: tenant, Device: device}, w.homes[ota.RefOf(tenant, device)].Clone(), w, start)
	same(t, "code", ota.CodeOf(r.Err), ota.Invalid)
}

func TestMQTTOutDurable(t *testing.T) {
	const chain = "chain: tells\nsummary: Tells.\ntrigger: connected\nsteps: [{node: mqtt_out, with: {broker: plant, topic: x, body: text, durable: true}}]\n"
	w := newWorld()
	c := loadWith(t, chain, engine.Deps{Brokers: &broker{}})
	same(t, "the chain only asks", c.Asks(), false)
	r := c.Try(context.Background(), ota.Message{Event: ota.Connected, Tenant: tenant, Device: device}, w.homes[ota.RefOf(tenant, device)].Clone(), w, start)
	if r.Err != nil || len(r.After) != 0 {
		t.Fatalf("error %v, %d words after the commit", r.Err, len(r.After))
	}
	same(t, "in the commit", r.Out, []ota.Outgoing{{To: ota.RefOf(tenant, device), Message: ota.Message{Event: ota.Say, Tenant: tenant, Device: device, Broker: "plant", Topic: "x", Body: []byte("text")}}})
}

func TestMQTTOutToTheDevice(t *testing.T) {
	const chain = "chain: tells\nsummary: Tells.\ntrigger: connected\nsteps: [{node: mqtt_out, with: {topic: \"down/${device.name}\", body: text}}]\n"
	w := newWorld()
	r := loadWith(t, chain, engine.Deps{}).Try(context.Background(), ota.Message{Event: ota.Connected, Tenant: tenant, Device: device}, w.homes[ota.RefOf(tenant, device)].Clone(), w, start)
	if r.Err != nil {
		t.Fatal(r.Err)
	}
	same(t, "pushes", r.Pushes, []ota.Reply{{Word: ota.SayTopic, Tenant: tenant, Device: device, Push: true, Topic: "down/dev-1", Body: []byte("text"), QoS: 1}})
}
