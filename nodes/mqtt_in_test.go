package nodes_test

import (
	"context"
	"strings"
	"testing"

	"github.com/windlass-ota/windlass/engine"
	"github.com/windlass-ota/windlass/ota"
)

// arrived tries a chain for what came in by its first door.
func arrived(t *testing.T, chain string, m ota.Message) engine.Trial {
	t.Helper()
	w := newWorld()
	m.Event, m.Tenant, m.Device = ota.Arrived, tenant, device
	c := load(t, chain, w)
	for _, x := range c.Triggers {
		if captured, ok := x.Door.Pattern.Match(m.Topic); m.Door == "" && (ok || x.Door.Next != nil) {
			m.Door, m.Capture = x.Door.Name, captured
		}
	}
	return c.Try(context.Background(), m, w.homes[ota.RefOf(tenant, device)].Clone(), w, w.now)
}

func TestMQTTIn(t *testing.T) {
	const chain = `chain: heard
summary: Hears two topics.
trigger:
  - {node: mqtt_in, with: {broker: plant, topic: "a/{serial}/up/{rest...}"}, device: "${capture.serial}", fields: {level: int, note: optional text}, to: up}
  - {node: mqtt_in, with: {topic: "b/{what}"}, to: down}
branches:
  up:
    - {node: reply, with: {body: "${capture.serial} ${capture.rest} ${msg.json.level + 1} ${msg.json.note ?? '-'} ${msg.topic} ${msg.headers.unit ?? ''}"}}
  down:
    - {node: reply, name: second, with: {body: "${capture.what} ${msg.text} ${msg.json.x ?? 'no x'}"}}
`
	tests := []struct{ name, topic, body, want string }{
		{"typed members", "a/dev-1/up/x/y", `{"level":3}`, "body 200 dev-1 x/y 4 - a/dev-1/up/x/y m"},
		{"an optional one", "a/dev-1/up/x", `{"level":3,"note":"n"}`, "body 200 dev-1 x 4 n a/dev-1/up/x m"},
		{"any body", "b/c", `{"y":3}`, `body 200 c {"y":3} no x`},
		{"no JSON at all", "b/c", `plain`, `body 200 c plain no x`},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			r := arrived(t, strings.TrimSpace(chain)+"\n", ota.Message{Topic: tt.topic, Body: []byte(tt.body), Headers: map[string]string{"unit": "m"}})
			if r.Err != nil {
				t.Fatal(r.Err)
			}
			same(t, "said", saidBy(r), []string{tt.want})
		})
	}
}

func TestMQTTInRefused(t *testing.T) {
	tests := []struct{ name, trigger, want string }{
		{"a level that is half a capture", `{node: mqtt_in, with: {topic: "a/x{y}"}}`, "a capture is a whole level"},
		{"wildcards", `{node: mqtt_in, with: {topic: "a/+"}}`, "write {name} for one level"},
		{"a tail in the middle", `{node: mqtt_in, with: {topic: "{a...}/b"}}`, "which takes everything"},
		{"twice", `{node: mqtt_in, with: {topic: "{a}/{a}"}}`, "captures a twice"},
		{"the device API", `{node: mqtt_in, with: {topic: "v1/devices/me/telemetry"}}`, "one of the device API"},
		{"a group of devices", `{node: mqtt_in, with: {topic: "x", group: g}}`, "devices have none"},
		{"QoS 2", `{node: mqtt_in, with: {topic: "x", qos: 2}}`, "qos is 2, want 0 to 1"},
		{"another key", `{node: mqtt_in, with: {topic: "x"}, profiles: [a]}`, "a trigger with a transport node has no key profiles"},
		{"unknown without a device", `{node: mqtt_in, with: {topic: "x"}, unknown: run}`, "no device is named"},
		{"a type that there is not", `{node: mqtt_in, with: {topic: "x"}, fields: {a: integer}}`, "there is no type integer"},
		{"a step in a trigger", `{node: log, with: {message: x}}`, "log stands among steps, not in a trigger"},
		{"no such node", `{node: mqt_in, with: {topic: x}}`, "there is no transport node mqt_in; did you mean mqtt_in?"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			text := faultsOf(t, "chain: x\nsummary: X.\ntrigger: "+tt.trigger+"\nsteps: [{node: log, with: {message: x}}]\n")
			if !strings.Contains(text, tt.want) {
				t.Errorf("faults are\n%s\nwant %q", text, tt.want)
			}
		})
	}
}
