package mqtt

import (
	"encoding/json"
	"strconv"

	"github.com/windlass-ota/windlass/ota"
	"github.com/windlass-ota/windlass/transports"
)

// The topics of the gateway API, ThingsBoard's and, for the bytes of packages,
// our own.
const (
	gatewayConnect    = "v1/gateway/connect"
	gatewayDisconnect = "v1/gateway/disconnect"
	gatewayTelemetry  = "v1/gateway/telemetry"
	gatewayAttributes = "v1/gateway/attributes"
	gatewayAsks       = "v1/gateway/attributes/request"
	gatewayAnswers    = "v1/gateway/attributes/response"
	gatewayRPC        = "v1/gateway/rpc"
	gatewayClaim      = "v1/gateway/claim"
	gatewayFirmware   = "v1/gateway/fw/request/"
	gatewaySoftware   = "v1/gateway/sw/request/"
	gatewayError      = "v1/gateway/fw/error"
)

// gatewaySays is one message of a gateway about one device. Which members there
// are depends on the topic.
type gatewaySays struct {
	Device string          `json:"device"`
	Type   string          `json:"type"` // the profile of a device that is new
	ID     int64           `json:"id"`   // of a request, or of a call
	Client bool            `json:"client"`
	Key    string          `json:"key"`
	Keys   []string        `json:"keys"`
	Data   json.RawMessage `json:"data"`
}

// readGateway reads a message about one device.
func readGateway(body []byte) (g gatewaySays, err error) {
	whole, err := transports.ReadAny(body, transports.Limits{})
	if err == nil {
		err = json.Unmarshal(whole, &g)
	}
	if err == nil && g.Device == "" {
		err = errNoDevice
	}
	return g, err
}

var errNoDevice = ota.Errorf(ota.Invalid, "mqtt: gateway", "no device is named")

// readDevices reads a message about several: an object with a member for each.
func readDevices(body []byte) (map[string]json.RawMessage, error) {
	whole, err := transports.ReadAny(body, transports.Limits{})
	if err != nil {
		return nil, err
	}
	var out map[string]json.RawMessage
	if err := json.Unmarshal(whole, &out); err != nil || out == nil {
		return nil, errNoDevice
	}
	return out, nil
}

// quote writes a text as JSON has it.
func quote(text string) []byte {
	b, err := json.Marshal(text)
	if err != nil { // cannot happen with a text
		return []byte(`""`)
	}
	return b
}

// gatewayData is how a push for a device is said: {"device":…,"data":{…}}.
func gatewayData(name string, data []byte) []byte {
	out := append([]byte(`{"device":`), quote(name)...)
	out = append(append(out, `,"data":`...), data...)
	return append(out, '}')
}

// gatewayCall is how a call of a device's method is said.
func gatewayCall(name string, w ota.Reply) []byte {
	data := strconv.AppendInt([]byte(`{"id":`), w.Call, 10)
	return gatewayData(name, append(append(data, ','), transports.RPCBody(w)[1:]...))
}

// gatewayAnswer is the answer to a request for attributes: "value" where one key
// was asked for, "values" where several were.
func gatewayAnswer(g gatewaySays, r ota.Reply) []byte {
	found := r.Shared
	if g.Client {
		found = r.Client
	}
	if len(found) == 0 {
		found = []byte(`{}`)
	}
	out := strconv.AppendInt([]byte(`{"id":`), g.ID, 10)
	out = append(append(out, `,"device":`...), quote(g.Device)...)
	if g.Key == "" {
		return append(append(append(out, `,"values":`...), found...), '}')
	}
	var all map[string]json.RawMessage
	if err := json.Unmarshal(found, &all); err == nil && all[g.Key] != nil {
		out = append(append(out, `,"value":`...), all[g.Key]...)
	}
	return append(out, '}')
}

// gatewayFails is how it is told that a device's piece cannot be had. The
// connection stays: the gateway's other devices have no part in it.
func gatewayFails(t target, name, word string) []byte {
	out := append([]byte(`{"device":`), quote(name)...)
	out = strconv.AppendInt(append(out, `,"id":`...), int64(t.id), 10)
	out = strconv.AppendInt(append(out, `,"chunk":`...), int64(t.chunk), 10)
	return append(append(append(out, `,"error":`...), quote(word)...), '}')
}
