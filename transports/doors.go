package transports

import (
	"slices"
	"strings"
	"sync"

	"github.com/windlass-ota/windlass/ota"
)

// Doors are the ways in that chains have opened, as the transports serve them.
// The zero value has none. It is safe for concurrent use.
type Doors struct {
	mu      sync.RWMutex
	all     []ota.Inlet // more exact patterns first
	changed chan struct{}
}

// Use makes all the doors that there are.
func (d *Doors) Use(all []ota.Inlet) {
	all = slices.Clone(all)
	slices.SortStableFunc(all, func(a, b ota.Inlet) int {
		switch {
		case a.Pattern.Before(b.Pattern):
			return -1
		case b.Pattern.Before(a.Pattern):
			return 1
		}
		return 0
	})
	d.mu.Lock()
	defer d.mu.Unlock()
	d.all = all
	if d.changed != nil {
		close(d.changed)
		d.changed = nil
	}
}

// Changed is closed when other doors are used. Ask before the doors are read.
func (d *Doors) Changed() <-chan struct{} {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.changed == nil {
		d.changed = make(chan struct{})
	}
	return d.changed
}

// Of lists the doors at a broker.
func (d *Doors) Of(broker string) []ota.Inlet {
	d.mu.RLock()
	defer d.mu.RUnlock()
	var out []ota.Inlet
	for _, x := range d.all {
		if x.Node == ota.MQTTIn && x.Broker == broker {
			out = append(out, x)
		}
	}
	return out
}

// Topic finds the door that hears a topic of a broker, and what the topic
// captures; nil where none does.
func (d *Doors) Topic(broker, topic string) (*ota.Inlet, map[string]string) {
	d.mu.RLock()
	defer d.mu.RUnlock()
	for i := range d.all {
		x := &d.all[i]
		if x.Node != ota.MQTTIn || x.Broker != broker {
			continue
		}
		if captured, ok := x.Pattern.Match(topic); ok {
			return x, captured
		}
	}
	return nil, nil
}

// Path finds the door for a request over HTTP to a path below /in. Where there is
// none for the method but for others, these are told.
func (d *Doors) Path(method, path string) (door *ota.Inlet, captured map[string]string, others []string) {
	return d.At(ota.HTTPIn, method, path)
}

// At is Path for the doors that nodes of a name open.
func (d *Doors) At(node, method, path string) (door *ota.Inlet, captured map[string]string, others []string) {
	d.mu.RLock()
	defer d.mu.RUnlock()
	for i := range d.all {
		x := &d.all[i]
		if x.Node != node {
			continue
		}
		captured, ok := x.Pattern.Match(path)
		switch {
		case ok && x.Method == method:
			return x, captured, nil
		case ok && !slices.Contains(others, x.Method):
			others = append(others, x.Method)
		}
	}
	return nil, nil, others
}

// Arrive is the message of something that came in by a door. Nobody changes the
// body afterwards.
func Arrive(d *ota.Inlet, topic string, captured map[string]string, body []byte) ota.Message {
	return ota.Message{Event: ota.Arrived, Tenant: ota.DefaultTenant, Door: d.Name, Topic: strings.TrimPrefix(topic, "/"), Capture: captured, Body: body}
}
