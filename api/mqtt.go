package api

import (
	"github.com/windlass-ota/windlass/ota"
)

// MQTT is what a profile says about MQTT, in ThingsBoard's names.
type MQTT struct {
	TelemetryTopic  string `json:"deviceTelemetryTopic,omitempty" maxLength:"255" doc:"Where devices publish telemetry, in the place of v1/devices/me/telemetry; + and # are allowed"`
	AttributesTopic string `json:"deviceAttributesTopic,omitempty" maxLength:"255" doc:"Where devices publish attributes, in the place of v1/devices/me/attributes; + and # are allowed"`
	SubscribeTopic  string `json:"deviceAttributesSubscribeTopic,omitempty" maxLength:"255" doc:"Where devices may hear of changed attributes, beside the topics of the device API"`
	AckInvalid      bool   `json:"sendAckOnValidationException,omitempty" doc:"Acknowledge a payload that cannot be read, instead of ending the connection; clients of MQTT 5 are told the reason in any case"`
	Protobuf        bool   `json:"protobuf,omitempty" doc:"Payloads are Protocol Buffers by the schemas below, not JSON"`
	TelemetryProto  string `json:"deviceTelemetryProtoSchema,omitempty" maxLength:"65536" doc:"A proto3 file; its last message is what devices publish as telemetry"`
	AttributesProto string `json:"deviceAttributesProtoSchema,omitempty" maxLength:"65536" doc:"A proto3 file; its last message is what devices publish as attributes"`
	AlsoJSON        bool   `json:"enableCompatibilityWithJsonPayloadFormat,omitempty" doc:"Where a payload is no message of the schema, it may be JSON"`
	JSONDownlinks   bool   `json:"useJsonPayloadFormatForDefaultDownlinkTopics,omitempty" doc:"What is said to devices on the default topics is JSON"`
	Gateway         bool   `json:"gateway,omitempty" doc:"Its devices may speak for other devices of their owner, over the topics v1/gateway/…"`
}

// mqttSettings reads what a profile shall say about MQTT; nil: nothing.
func (s *Server) mqttSettings(m *MQTT) (*ota.MQTTSettings, error) {
	if m == nil || *m == (MQTT{}) {
		return nil, nil
	}
	out := ota.MQTTSettings(*m)
	member, err := out.Check()
	if err == nil && s.CheckMQTT != nil {
		member, err = s.CheckMQTT(out)
	}
	if err != nil {
		return nil, inField("body.mqtt."+member, err)
	}
	return &out, nil
}

func viewMQTT(m *ota.MQTTSettings) *MQTT {
	if m == nil {
		return nil
	}
	out := MQTT(*m)
	return &out
}
