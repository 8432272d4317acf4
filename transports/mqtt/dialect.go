package mqtt

import (
	"context"
	"encoding/json"
	"sync"

	"github.com/windlass-ota/windlass/ota"
)

// Nouns reads the devices and profiles that connections are of; [ota.Facts] does.
type Nouns interface {
	Get(ctx context.Context, r ota.Ref) (*ota.Home, error)
}

// dialect is how the devices of a profile speak, where that is not as all do. All
// its connections share it.
type dialect struct {
	of                    ota.MQTTSettings
	telemetry, attributes *schema // nil: JSON
	pushes                *grant  // the profile's own topic for pushes of attributes; nil: none
}

func newDialect(m ota.MQTTSettings) (*dialect, error) {
	d := &dialect{of: m}
	if m.Protobuf {
		var err error
		if d.telemetry, err = compile(m.TelemetryProto); err == nil {
			d.attributes, err = compile(m.AttributesProto)
		}
		if err != nil {
			return nil, err
		}
	}
	if m.SubscribeTopic != "" {
		d.pushes = &grant{m.SubscribeTopic, feedAttributes, formOwn}
	}
	return d, nil
}

// dialects keeps those in use by profile. Its zero value is empty.
type dialects struct {
	mu sync.Mutex
	of map[ota.Ref]*dialect
}

const maxDialects = 4096

func (d *dialects) get(profile ota.Ref, m ota.MQTTSettings) (*dialect, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if was := d.of[profile]; was != nil && was.of == m {
		return was, nil
	}
	made, err := newDialect(m)
	if err != nil {
		return nil, err
	}
	if d.of == nil || len(d.of) >= maxDialects {
		d.of = map[ota.Ref]*dialect{}
	}
	d.of[profile] = made
	return made, nil
}

// learn finds how the device speaks. Nil is as all do.
func (t *Transport) learn(ctx context.Context, device ota.Ref) (*dialect, error) {
	if t.nouns == nil {
		return nil, nil
	}
	h, err := t.nouns.Get(ctx, device)
	if err != nil {
		return nil, notFoundIsNone(err)
	}
	if h.Device == nil || h.Device.Profile == "" {
		return nil, nil
	}
	profile := ota.Ref{Tenant: device.Tenant, Type: ota.ProfileRef, ID: string(h.Device.Profile)}
	p, err := t.nouns.Get(ctx, profile)
	if err != nil {
		return nil, notFoundIsNone(err)
	}
	if p.Profile == nil || p.Profile.MQTT == nil {
		return nil, nil
	}
	d, err := t.dialects.get(profile, *p.Profile.MQTT)
	if err != nil { // a schema that was good when it was set
		t.log.Error("mqtt settings of a profile cannot be used, its devices speak as all others", "profile", p.Profile.Name, "error", err)
		return nil, nil
	}
	return d, nil
}

func notFoundIsNone(err error) error {
	if ota.CodeOf(err) == ota.NotFound {
		return nil
	}
	return err
}

// target understands a publish topic in the words of the connection's profile.
// Its own topics stand in the place of the long ones of the device API.
func (c *conn) target(topic []byte) target {
	t := parseTopic(topic)
	if t.form == formProto && !c.speaksProto() {
		return target{}
	}
	if c.dialect == nil {
		return t
	}
	for _, own := range []struct {
		filter string
		verb   verb
	}{{c.dialect.of.TelemetryTopic, verbTelemetry}, {c.dialect.of.AttributesTopic, verbAttributes}} {
		switch {
		case own.filter == "":
		case covers(own.filter, string(topic)):
			return target{verb: own.verb, form: formLong}
		case t.verb == own.verb && t.form == formLong:
			return target{}
		}
	}
	return t
}

// speaksProto says whether the profile's payloads are Protocol Buffers.
func (c *conn) speaksProto() bool { return c.dialect != nil && c.dialect.of.Protobuf }

// asJSON returns a payload of telemetry or attributes as JSON. Where the profile
// speaks Protocol Buffers, so does every form of a topic but the one for JSON.
func (c *conn) asJSON(payload []byte, t target) ([]byte, error) {
	if !c.speaksProto() || t.form == formShortJSON {
		return payload, nil
	}
	by := c.dialect.telemetry
	if t.verb == verbAttributes {
		by = c.dialect.attributes
	}
	if by == nil {
		return payload, nil
	}
	if c.dialect.of.AlsoJSON && t.form != formProto && json.Valid(payload) { // no message of a schema is that by chance
		return payload, nil
	}
	return by.json(payload)
}

// hearsProto says whether what is said to the device in a form of a topic is in
// Protocol Buffers.
func (c *conn) hearsProto(f form) bool {
	return c.speaksProto() && f != formShortJSON && (f == formProto || !c.dialect.of.JSONDownlinks)
}

// isGateway says whether the device may speak for others.
func (c *conn) isGateway() bool {
	return c.dialect != nil && c.dialect.of.Gateway && c.t.fleet != nil
}
