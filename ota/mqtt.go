package ota

import (
	"context"
	"crypto/rand"
	"strings"
)

// MQTTSettings is what a device profile says about MQTT, in ThingsBoard's names.
// The zero value is ThingsBoard's device API as every device has it. A device
// hears of a change with its next connection.
type MQTTSettings struct {
	// Topics, in the place of v1/devices/me/telemetry and v1/devices/me/attributes;
	// filters with + and # are allowed in the first two. "": those of the device API.
	TelemetryTopic  string `json:"deviceTelemetryTopic,omitempty"`
	AttributesTopic string `json:"deviceAttributesTopic,omitempty"`
	SubscribeTopic  string `json:"deviceAttributesSubscribeTopic,omitempty"` // where pushes of attributes go, beside those of the device API

	AckInvalid bool `json:"sendAckOnValidationException,omitempty"` // before 5.0 a payload that cannot be read is acknowledged, instead of ending the connection

	Protobuf        bool   `json:"protobuf,omitempty"`                    // payloads are Protocol Buffers, not JSON
	TelemetryProto  string `json:"deviceTelemetryProtoSchema,omitempty"`  // proto3, its last message is what devices send
	AttributesProto string `json:"deviceAttributesProtoSchema,omitempty"` // the same
	AlsoJSON        bool   `json:"enableCompatibilityWithJsonPayloadFormat,omitempty"`
	JSONDownlinks   bool   `json:"useJsonPayloadFormatForDefaultDownlinkTopics,omitempty"`

	Gateway bool `json:"gateway,omitempty"` // its devices may speak for others
}

// Check says what is wrong with settings, with the JSON name of the member that
// it is about, or nil. Whether the schemas are any is for the transport to say.
func (m *MQTTSettings) Check() (member string, err error) {
	for _, t := range []struct {
		name, topic string
		filter      bool
	}{
		{"deviceTelemetryTopic", m.TelemetryTopic, true}, {"deviceAttributesTopic", m.AttributesTopic, true},
		{"deviceAttributesSubscribeTopic", m.SubscribeTopic, false},
	} {
		if t.topic != "" && !checkTopic(t.topic, t.filter) {
			return t.name, Errorf(Invalid, "check profile", "it is no topic of MQTT that a device could have for itself: 255 bytes at most, + alone in its level, # alone in the last, no $ at the start, none of the device API's v1/gateway, v2/fw and v2/sw")
		}
	}
	if m.TelemetryTopic != "" && m.TelemetryTopic == m.AttributesTopic {
		return "deviceAttributesTopic", Errorf(Invalid, "check profile", "telemetry and attributes have topics of their own")
	}
	return "", nil
}

func checkTopic(topic string, filter bool) bool {
	if len(topic) > 255 || topic[0] == '$' || strings.ContainsRune(topic, 0) {
		return false
	}
	for _, taken := range []string{"v1/gateway", "v2/fw", "v2/sw", "provision"} {
		if strings.HasPrefix(topic, taken) {
			return false
		}
	}
	levels := strings.Split(topic, "/")
	for i, l := range levels {
		wild := strings.ContainsAny(l, "+#")
		if wild && (!filter || len(l) > 1 || l == "#" && i < len(levels)-1) {
			return false
		}
	}
	return true
}

// FallbackProfile is the profile of a device that a gateway brings, where the one
// that it names is not there.
const FallbackProfile = "default"

// Through returns the device that a gateway speaks for by a name, which is made
// where there is none: of the profile named, or else of [FallbackProfile]. It is
// NotFound where there is no such profile, Conflict where the device is another
// owner's or a gateway itself. Whether the gateway may speak for others at all
// is for the caller to see.
func (w Wishes) Through(ctx context.Context, gateway Ref, name, profile string) (device Ref, err error) {
	if err := CheckName("device", name); err != nil {
		return Ref{}, err
	}
	g, err := w.Homes.Load(ctx, gateway)
	if err != nil {
		return Ref{}, err
	}
	device, err = w.Facts.Find(ctx, gateway.Tenant, DeviceRef, name)
	if CodeOf(err) == NotFound {
		device, err = w.bring(ctx, g, name, profile)
	}
	if err != nil {
		return Ref{}, err
	}
	h, err := w.Homes.Load(ctx, device)
	if err != nil {
		return Ref{}, err
	}
	p, err := w.Homes.Load(ctx, Ref{gateway.Tenant, ProfileRef, string(h.Device.Profile)})
	switch {
	case err != nil && CodeOf(err) != NotFound:
		return Ref{}, err
	case h.Device.Owner != g.Device.Owner || err == nil && p.Profile.MQTT != nil && p.Profile.MQTT.Gateway:
		return Ref{}, Errorf(Conflict, "speak for device", "%q is another owner's device, or a gateway itself", name)
	}
	return device, nil
}

// bring makes a device of the gateway's owner.
func (w Wishes) bring(ctx context.Context, g *Home, name, profile string) (Ref, error) {
	p, err := w.Facts.Find(ctx, g.Ref.Tenant, ProfileRef, profile)
	if CodeOf(err) == NotFound || profile == "" {
		p, err = w.Facts.Find(ctx, g.Ref.Tenant, ProfileRef, FallbackProfile)
	}
	if err != nil {
		return Ref{}, err
	}
	device, _, err := w.create(ctx, g.Ref.Tenant, Device{Name: name, Owner: g.Device.Owner, Profile: ProfileID(p.ID), Credentials: Credentials{Token: rand.Text()}})
	return device, err
}
