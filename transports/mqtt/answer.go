package mqtt

import (
	"encoding/json"

	"github.com/windlass-ota/windlass/internal/mqttwire"
	"github.com/windlass-ota/windlass/ota"
	"github.com/windlass-ota/windlass/transports"
)

// answer says a reply to what the device asked on t, whether or not it has
// subscribed to the topic of the answer: its client waits for it.
func (c *conn) answer(s *scratch, r ota.Reply, t target) {
	switch {
	case r.Word == ota.SayAttributes && !r.Push && t.verb == verbAttributesRequest:
		s.topic = appendNumbered(s.topic[:0], attributesResponse[t.form], t.id)
		body := transports.AttributesBody(r)
		if c.hearsProto(t.form) {
			body = protoAnswer(t.id, r)
		}
		c.say1(s, feedAttributesResponse, t.form, body)
	case r.Word == ota.SayBody && t.verb == verbRPCRequest:
		s.topic = appendNumbered(s.topic[:0], rpcResponse[t.form], t.id)
		c.say1(s, feedRPCResponse, t.form, r.Body)
	case r.Word == ota.SayError && t.verb == verbRPCRequest:
		s.topic = appendNumbered(s.topic[:0], rpcResponse[t.form], t.id)
		c.say1(s, feedRPCResponse, t.form, errorBody(r))
	default:
		c.t.counts.dropped.Add(1)
	}
}

// say1 appends one publish on s.topic to what is written.
func (c *conn) say1(s *scratch, f feed, form form, body []byte) {
	s.reply = mqttwire.Publish{Topic: s.topic, Payload: body}
	s.reply.QoS, s.reply.PacketID = c.say.delivery(f, form)
	s.out = c.append(s.out, &s.reply)
}

// errorBody is how ThingsBoard answers a device's call that failed.
func errorBody(r ota.Reply) []byte {
	text := r.Text
	if text == "" {
		text = string(r.Code)
	}
	b, err := json.Marshal(map[string]string{"error": text})
	if err != nil { // cannot happen with strings
		return []byte(`{"error":""}`)
	}
	return b
}
