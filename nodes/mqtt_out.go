package nodes

import (
	"context"
	"errors"
	"strings"

	"github.com/windlass-ota/windlass/engine"
	"github.com/windlass-ota/windlass/ota"
)

// MQTTOutConfig is the "with" of a mqtt_out step.
type MQTTOutConfig struct {
	Broker  string      `yaml:"broker"`
	Topic   engine.Text `yaml:"topic"`
	Body    engine.Data `yaml:"body"`
	JSON    engine.Data `yaml:"json"`
	QoS     engine.Int  `yaml:"qos"`
	Retain  engine.Bool `yaml:"retain"`
	Durable bool        `yaml:"durable"`
}

// Validate refuses a word in two forms and a topic that nobody may publish on.
func (c MQTTOutConfig) Validate() error {
	if c.Body.Given() && c.JSON.Given() {
		return &engine.FieldError{Key: "json", Err: errors.New("is given beside body; choose one")}
	}
	if topic, ok := c.Topic.Literal(); ok {
		if err := sayable(c.Broker, topic); err != nil {
			return &engine.FieldError{Key: "topic", Err: err}
		}
	}
	if c.Durable && c.Broker == ota.DevicesBroker {
		return &engine.FieldError{Key: "durable", Err: errors.New("is for brokers; what a device must hear is said again when it asks or comes back")}
	}
	return engine.Within("qos", c.QoS, 0, 1)
}

// sayable says why nobody may publish on a topic.
func sayable(broker, topic string) error {
	switch {
	case topic == "" || len(topic) > 65535 || strings.ContainsAny(topic, "+#\x00"):
		return errors.New("is no topic: one byte at least, without + and #")
	case broker == ota.DevicesBroker && ownTopic(topic):
		return errors.New("is one of the device API, on which push_attributes, push_offer and others speak")
	case strings.HasPrefix(topic, "$"):
		return errors.New("begins with $, and belongs to the broker")
	}
	return nil
}

// MQTTOut defines mqtt_out, which says a word over MQTT.
func MQTTOut(p engine.Publisher) engine.Factory {
	return engine.Define(engine.Spec{
		Name:    "mqtt_out",
		Summary: "Says something on a topic of MQTT.",
		Doc: "It is said after the commit, once, and is lost where nobody can be reached then. With `durable` it is written down in the commit and said until the broker has taken it, perhaps twice, and not always in order. " +
			"With the broker `devices` it is said to the run's own device, on the connections on which it has subscribed to the topic.",
		Outlets: []engine.Outlet{{Name: "sent", Doc: "it will be said"}},
		Fields: []engine.Field{
			{Key: "broker", Doc: "Where: devices, or a broker that the configuration names.", Broker: true},
			{Key: "topic", Doc: "The topic.", Required: true},
			{Key: "body", Doc: "Text or bytes, as they are."},
			{Key: "json", Doc: "Anything, said as JSON. With neither, the word is empty."},
			{Key: "qos", Doc: "0 or 1."},
			{Key: "retain", Doc: "The broker keeps it for those who come later."},
			{Key: "durable", Doc: "Say it until the broker has taken it."},
		},
		Example: `chain: example
summary: Tells the plant's own broker which updates are over.
trigger: update_finished
steps:
  - {node: mqtt_out, with: {broker: plant, topic: "updates/${device.name}", json: {state: "${msg.state}", version: "${update.target.version}"}}}
`,
	}, MQTTOutConfig{Broker: ota.DevicesBroker, QoS: engine.Lit(1), Retain: engine.Lit(false)}, func(c MQTTOutConfig) (engine.Node, error) {
		return &mqttOut{c, p}, nil
	})
}

type mqttOut struct {
	MQTTOutConfig
	brokers engine.Publisher
}

func (n *mqttOut) Process(_ context.Context, r *engine.Run) (string, error) {
	w, err := n.word(r)
	if err != nil {
		return "", err
	}
	if n.Durable {
		r.Send(r.Home.Ref, ota.Message{Event: ota.Say, Tenant: r.Msg.Tenant, Device: ota.DeviceID(w.Device.ID), Broker: w.Broker, Topic: w.Topic, Body: w.Body, Retain: w.Retain})
		return "sent", nil
	}
	if n.Broker == ota.DevicesBroker {
		if r.Device() == nil || r.Device().ID != r.Msg.Device {
			return "", ota.Errorf(ota.Invalid, "mqtt out", "the run is about no device, and to devices only the run's own is spoken to")
		}
		r.Push(ota.Reply{Word: ota.SayTopic, Topic: w.Topic, Body: w.Body, QoS: w.QoS})
		return "sent", nil
	}
	if n.brokers != nil {
		r.After(func() { n.brokers.Publish(w) })
	}
	return "sent", nil
}

// Writes implements [engine.Writer]: a durable word lies in the commit, and what
// is said to the device goes with the other pushes of a move.
func (n *mqttOut) Writes() bool { return n.Durable || n.Broker == ota.DevicesBroker }

func (n *mqttOut) word(r *engine.Run) (w ota.BrokerWord, err error) {
	const op = "mqtt out"
	w.Broker = n.Broker
	if w.Topic, err = n.Topic.Get(r); err != nil {
		return w, err
	}
	if err := sayable(w.Broker, w.Topic); err != nil {
		return w, ota.Errorf(ota.Invalid, op, "topic %q %w", w.Topic, err)
	}
	if w.QoS, err = n.QoS.Get(r); err != nil {
		return w, err
	}
	if w.QoS < 0 || w.QoS > 1 {
		return w, ota.Errorf(ota.Invalid, op, "qos is %d, want 0 or 1", w.QoS)
	}
	if w.Retain, err = n.Retain.Get(r); err != nil {
		return w, err
	}
	if d := r.Device(); d != nil {
		w.Device = ota.RefOf(d.Tenant, d.ID)
	}
	w.Body, err = said(r, op, n.Body, n.JSON)
	return w, err
}
