package mqtt

import (
	"bytes"
	"encoding/json"
	"net/url"
	"slices"

	"github.com/windlass-ota/windlass/internal/mqttwire"
	"github.com/windlass-ota/windlass/ota"
	"github.com/windlass-ota/windlass/transports"
)

// gatewayVerbs are the topics by which a gateway speaks for others.
var gatewayVerbs = map[string]func(c *conn, s *scratch, p *mqttwire.Publish, body []byte) (ota.Code, error){
	gatewayConnect:    (*conn).gatewayConnects,
	gatewayDisconnect: (*conn).gatewayParts,
	gatewayTelemetry:  (*conn).gatewayReports,
	gatewayAttributes: (*conn).gatewaySets,
	gatewayAsks:       (*conn).gatewayRequests,
	gatewayRPC:        (*conn).gatewayAnswersCall,
	gatewayClaim:      (*conn).gatewayClaims,
}

// gatewayPublish works what a gateway says for others. Nobody else may say it.
func (c *conn) gatewayPublish(s *scratch, p *mqttwire.Publish) error {
	if !c.isGateway() {
		c.t.counts.unknown.Add(1)
		c.acknowledge(s, p, mqttwire.NotAuthorized)
		return nil
	}
	if t, name, ok := parseGatewayChunk(p.Topic); ok {
		return c.gatewayChunk(s, p, t, name)
	}
	does := gatewayVerbs[string(p.Topic)]
	if does == nil {
		c.t.counts.unknown.Add(1)
		c.acknowledge(s, p, mqttwire.TopicNameInvalid)
		return nil
	}
	before := len(s.out)
	code, err := does(c, s, p, slices.Clone(p.Payload))
	switch {
	case err != nil:
		s.out = s.out[:before]
		return c.unreadable(s, p)
	case code == ota.Busy:
		s.out = s.out[:before]
		return c.busy(p)
	}
	said := slices.Clone(s.out[before:]) // the acknowledgement goes before the answer
	s.out = s.out[:before]
	c.acknowledge(s, p, reasonOf(code))
	s.out = append(s.out, said...)
	return nil
}

func (c *conn) gatewayConnects(_ *scratch, _ *mqttwire.Publish, body []byte) (ota.Code, error) {
	g, err := readGateway(body)
	if err != nil {
		return "", err
	}
	_, err = c.bring(g.Device, g.Type)
	return ota.CodeOf(err), nil
}

func (c *conn) gatewayParts(_ *scratch, _ *mqttwire.Publish, body []byte) (ota.Code, error) {
	g, err := readGateway(body)
	if err != nil {
		return "", err
	}
	if b := c.known(g.Device); b != nil {
		c.part(b)
	}
	return "", nil
}

// each does something for every device of a message. What cannot be done for one
// does not keep the others out, save where the store is away.
func (c *conn) each(body []byte, do func(b *brought, data json.RawMessage) error) (ota.Code, error) {
	all, err := readDevices(body)
	if err != nil {
		return "", err
	}
	var first ota.Code
	for name, data := range all {
		b, err := c.bring(name, "")
		if err == nil {
			err = do(b, data)
		}
		code := ota.CodeOf(err)
		if code == ota.Busy {
			return code, nil
		}
		if first == "" {
			first = code
		}
	}
	return first, nil
}

func (c *conn) gatewayReports(_ *scratch, _ *mqttwire.Publish, body []byte) (ota.Code, error) {
	return c.each(body, func(b *brought, raw json.RawMessage) error {
		data, err := transports.ReadTelemetry(raw, transports.Limits{})
		if err != nil {
			return err
		}
		for _, d := range data {
			m := b.message(ota.Telemetry)
			m.TS, m.Values = d.TS, d.Values
			if _, err := c.t.handler.Handle(c.turns, m); err != nil {
				return err
			}
		}
		return nil
	})
}

func (c *conn) gatewaySets(_ *scratch, _ *mqttwire.Publish, body []byte) (ota.Code, error) {
	return c.each(body, func(b *brought, raw json.RawMessage) (err error) {
		m := b.message(ota.AttributesReported)
		if m.Values, err = transports.ReadAttributes(raw, transports.Limits{}); err == nil {
			_, err = c.t.handler.Handle(c.turns, m)
		}
		return err
	})
}

func (c *conn) gatewayClaims(_ *scratch, _ *mqttwire.Publish, body []byte) (ota.Code, error) {
	return c.each(body, func(b *brought, raw json.RawMessage) error {
		if c.t.provisioner == nil {
			return ota.Errorf(ota.NotFound, "mqtt: gateway", "devices are not claimed here")
		}
		return c.t.provisioner.Claim(c.turns, b.ref, raw)
	})
}

func (c *conn) gatewayRequests(s *scratch, _ *mqttwire.Publish, body []byte) (ota.Code, error) {
	g, err := readGateway(body)
	if err != nil {
		return "", err
	}
	keys := g.Keys
	if g.Key != "" {
		keys = []string{g.Key}
	}
	if len(keys) == 0 || len(keys) > transports.DefaultKeys {
		return "", errNoDevice
	}
	b, err := c.bring(g.Device, "")
	if err != nil {
		return ota.CodeOf(err), nil
	}
	m := b.message(ota.AttributesRequested)
	if m.SharedKeys = keys; g.Client {
		m.ClientKeys, m.SharedKeys = keys, nil
	}
	replies, err := c.t.handler.Handle(c.turns, m)
	if err != nil {
		return ota.CodeOf(err), nil
	}
	var found ota.Reply
	for _, r := range replies {
		if r.Word == ota.SayAttributes && !r.Push {
			found = r
		}
	}
	s.topic = append(s.topic[:0], gatewayAnswers...)
	c.say1(s, feedGatewayResponse, formLong, gatewayAnswer(g, found))
	return "", nil
}

// gatewayAnswersCall takes what a device answers to a call of its method. Only
// one that the gateway has brought can have heard it.
func (c *conn) gatewayAnswersCall(_ *scratch, _ *mqttwire.Publish, body []byte) (ota.Code, error) {
	g, err := readGateway(body)
	if err != nil {
		return "", err
	}
	b := c.known(g.Device)
	if b == nil {
		return ota.NotFound, nil
	}
	m := b.message(ota.RPCAnswered)
	if m.Call, m.Result = g.ID, g.Data; len(m.Result) == 0 {
		m.Result = []byte("null")
	}
	_, err = c.t.handler.Handle(c.turns, m)
	return ota.CodeOf(err), nil
}

// gatewayChunk answers a gateway that asks for a piece of a device's package. It
// must have brought the device.
func (c *conn) gatewayChunk(s *scratch, p *mqttwire.Publish, t target, name string) error {
	if t.bad {
		return errBadNumber
	}
	b := c.known(name)
	if b == nil {
		s.topic = append(s.topic[:0], gatewayError...)
		c.acknowledge(s, p, mqttwire.NotAuthorized)
		c.say1(s, feedError, formLong, gatewayFails(t, name, sayNotFound))
		return nil
	}
	return c.chunk(s, p, t, b)
}

// parseGatewayChunk understands v1/gateway/fw/request/{device}/{id}/chunk/{n}, or
// the same of sw. The device's name is one level of the topic: what it holds of
// "/", "+", "#" and "%" is written in per cent (RFC 3986).
func parseGatewayChunk(topic []byte) (t target, name string, ok bool) {
	rest, ok := bytes.CutPrefix(topic, []byte(gatewayFirmware))
	if t.kind = ota.Firmware; !ok {
		rest, ok = bytes.CutPrefix(topic, []byte(gatewaySoftware))
		t.kind = ota.Software
	}
	level, rest, more := bytes.Cut(rest, []byte{'/'})
	if !ok || !more {
		return target{}, "", false
	}
	name, err := url.PathUnescape(string(level))
	if err != nil || name == "" {
		return target{}, "", false
	}
	id, digits, idFits := number(rest)
	rest, ok = bytes.CutPrefix(rest[digits:], []byte("/chunk/"))
	chunk, chunkDigits, chunkFits := number(rest)
	if !ok || digits == 0 || chunkDigits == 0 || chunkDigits != len(rest) {
		return target{}, "", false
	}
	t.verb, t.id, t.chunk, t.bad = verbChunk, id, chunk, !idFits || !chunkFits
	return t, name, true
}
