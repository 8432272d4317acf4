package nodes

import (
	"errors"

	"github.com/windlass-ota/windlass/engine"
	"github.com/windlass-ota/windlass/ota"
)

// MQTTInConfig is the "with" of a mqtt_in trigger.
type MQTTInConfig struct {
	Broker string `yaml:"broker"`
	Topic  string `yaml:"topic"`
	QoS    int    `yaml:"qos"`
	Group  string `yaml:"group"`
}

// Validate refuses a topic that is none, and those of the device API.
func (c MQTTInConfig) Validate() error {
	_, err := pattern("topic", c.Topic)
	if err == nil && c.Broker == ota.DevicesBroker && ownTopic(c.Topic) {
		err = &engine.FieldError{Key: "topic", Err: errors.New("is one of the device API, whose messages are events: telemetry, attributes and others")}
	}
	if err == nil && c.Broker == ota.DevicesBroker && c.Group != "" {
		err = &engine.FieldError{Key: "group", Err: errors.New("is of subscriptions to a broker; devices have none")}
	}
	return errors.Join(err, engine.Between("qos", c.QoS, 0, 1))
}

// MQTTIn defines mqtt_in, by which a chain hears a topic.
func MQTTIn() engine.Factory {
	return engine.Define(engine.Spec{
		Name:    "mqtt_in",
		Summary: "Hears a topic of MQTT.",
		Doc: "With the broker `devices` it is a topic that a device publishes on its own connection to us, and `device` is that device. " +
			"Any other broker is one that the configuration names; there all our processes share one subscription, and a message is acknowledged when what it led to is stored. " +
			"A broker is trusted: whoever may publish there speaks as any device that the topic names.\n\n" +
			"`capture.NAME` is what a level of the topic holds, `msg.topic` all of it, `msg.json`, `msg.text` and `msg.body` what was said, `msg.headers` the user properties of MQTT 5.",
		Fields: []engine.Field{
			{Key: "broker", Doc: "Where.", Broker: true},
			{Key: "topic", Doc: "What is listened to: {name} captures one level, {name...} all behind it.", Required: true},
			{Key: "qos", Doc: "0 or 1. With 0 nothing is sent again."},
			{Key: "group", Doc: "The name of the shared subscription; windlass where it is left out."},
		},
		Source: true,
		Example: `chain: example
summary: Hears what loggers say on the plant's own broker.
trigger: {node: mqtt_in, with: {broker: plant, topic: "acme/{serial}/up"}, device: "${capture.serial}", fields: {level: number}}
steps:
  - {node: save_telemetry, with: {values: {level: "${msg.json.level}"}}}
`,
	}, MQTTInConfig{Broker: ota.DevicesBroker, QoS: 1}, func(c MQTTInConfig) (engine.Node, error) {
		p, err := pattern("topic", c.Topic)
		return &mqttIn{source{p}, c}, err
	})
}

type mqttIn struct {
	source
	MQTTInConfig
}

func (n *mqttIn) Door(*engine.Run) (ota.Inlet, error) {
	return ota.Inlet{Broker: n.Broker, QoS: n.QoS, Group: n.Group, Pattern: n.pattern}, nil
}
