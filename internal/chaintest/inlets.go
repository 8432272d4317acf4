package chaintest

import (
	"cmp"
	"context"
	"encoding/json"

	"github.com/windlass-ota/windlass/ota"
)

// published takes the words that chains say to brokers.
type published world

// Publish implements [engine.Publisher].
func (p *published) Publish(w ota.BrokerWord) { p.words = append(p.words, w) }

// Deliver implements [engine.Deliverer].
func (p *published) Deliver(_ context.Context, w ota.BrokerWord) error {
	p.words = append(p.words, w)
	return nil
}

// publications are the words to brokers since a case last asked.
func (w *world) publications() []any {
	out := []any{}
	for _, x := range w.words {
		m := map[string]func() any{
			"broker": value(x.Broker), "topic": value(x.Topic), "text": value(string(x.Body)), "size": value(len(x.Body)), "retain": value(x.Retain),
			"json": func() any {
				var v any
				if json.Unmarshal(x.Body, &v) != nil {
					return nil
				}
				return v
			},
		}
		out = append(out, noun{text: x.Topic, members: m})
	}
	return out
}

// arrive brings what a case sends by a door that a chain has opened.
func (s *sendAct) arrive(p *player) error {
	w := p.w
	m := ota.Message{Event: ota.Arrived, Tenant: tenant, Topic: s.Topic + s.Path, Headers: s.Headers, Body: []byte(s.Text)}
	if s.JSON != nil {
		m.Body = jsonOf(s.JSON)
	}
	m.Transport, m.Address = "mqtt", "192.0.2.1"
	if s.Path != "" {
		m.Transport = "http"
	}
	if s.Device != "" {
		a, err := w.actor(s.Device)
		if err != nil {
			return err
		}
		m.Device, m.Session = ota.DeviceID(a.ref.ID), a.session
	}
	var best ota.Inlet
	for _, d := range w.eng.Set().Doors() {
		fits := s.Topic != "" && d.Node == ota.MQTTIn && (s.Broker == "" || s.Broker == d.Broker) ||
			s.Path != "" && (d.Node == ota.HTTPIn || d.Node == ota.CoAPIn) && d.Method == cmp.Or(s.Method, "POST")
		captured, ok := d.Pattern.Match(m.Topic)
		if fits && ok && (best.Name == "" || d.Pattern.Before(best.Pattern)) {
			best, m.Capture = d, captured
		}
	}
	if best.Name == "" {
		return ota.Errorf(ota.NotFound, "send", "no chain has opened a door for %s", m.Topic)
	}
	if m.Door = best.Name; best.Node == ota.CoAPIn {
		m.Transport = "coap"
	}
	w.replies, w.refused = nil, nil
	w.replies, w.refused = w.eng.Handle(w.ctx, m)
	w.eng.Wait()
	return w.settle()
}
