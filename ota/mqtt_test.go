package ota

import (
	"strings"
	"testing"
)

func TestCheckMQTTSettings(t *testing.T) {
	for _, tt := range []struct {
		set    MQTTSettings
		member string
	}{
		{MQTTSettings{}, ""},
		{MQTTSettings{TelemetryTopic: "plant/+/telemetry", AttributesTopic: "plant/#", SubscribeTopic: "plant/attributes"}, ""},
		{MQTTSettings{TelemetryTopic: "#"}, ""},
		{MQTTSettings{TelemetryTopic: "a/#/b"}, "deviceTelemetryTopic"},
		{MQTTSettings{TelemetryTopic: "a/b+"}, "deviceTelemetryTopic"},
		{MQTTSettings{TelemetryTopic: "$SYS/x"}, "deviceTelemetryTopic"},
		{MQTTSettings{AttributesTopic: "v2/fw/request/1/chunk/1"}, "deviceAttributesTopic"},
		{MQTTSettings{AttributesTopic: "v1/gateway/connect"}, "deviceAttributesTopic"},
		{MQTTSettings{AttributesTopic: strings.Repeat("x", 256)}, "deviceAttributesTopic"},
		{MQTTSettings{TelemetryTopic: "a", AttributesTopic: "a"}, "deviceAttributesTopic"},
		{MQTTSettings{SubscribeTopic: "a/+"}, "deviceAttributesSubscribeTopic"},
		{MQTTSettings{SubscribeTopic: "a\x00"}, "deviceAttributesSubscribeTopic"},
	} {
		if member, err := tt.set.Check(); member != tt.member || (err == nil) != (member == "") {
			t.Errorf("%+v: %q, %v", tt.set, member, err)
		}
	}
}
