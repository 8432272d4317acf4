package nodes

import (
	"context"
	"strings"

	"github.com/windlass-ota/windlass/engine"
	"github.com/windlass-ota/windlass/ota"
)

// source is what the nodes of triggers have in common.
type source struct{ pattern ota.Pattern }

// Process is never called: the node stands in a trigger.
func (source) Process(context.Context, *engine.Run) (string, error) {
	return "", ota.Errorf(ota.Internal, "trigger", "a transport node is no step")
}

// Captures implements [engine.Doorman].
func (s source) Captures() []string { return s.pattern.Names() }

// pattern reads a setting that is a topic or a path.
func pattern(key, text string) (ota.Pattern, error) {
	p, err := ota.ParsePattern(text)
	if err != nil {
		return p, &engine.FieldError{Key: key, Err: err}
	}
	return p, nil
}

// ownTopic says whether a topic belongs to the device API over MQTT.
func ownTopic(topic string) bool {
	for _, head := range []string{"v1/devices/", "v1/gateway", "v2/", "provision"} {
		if strings.HasPrefix(topic, head) || topic+"/" == head {
			return true
		}
	}
	return false
}

var (
	_ engine.Doorman = (*mqttIn)(nil)
	_ engine.Doorman = (*httpIn)(nil)
	_ engine.Doorman = (*coapIn)(nil)
	_ engine.Doorman = (*scheduleIn)(nil)
)
