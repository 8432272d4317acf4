package ota

import (
	"time"
)

// Inlet is a way in that a chain opens for itself, by a transport node in its
// trigger. It is a description: the transports are given all doors and serve
// those of their wire, and what comes in by one is a message of the event
// [Arrived] that names it.
type Inlet struct {
	Name  string // of the door, unique among all: by it a message says where it came in
	Chain string
	Node  string // mqtt_in, http_in, coap_in, schedule_in

	// Of mqtt_in.
	Broker string // [DevicesBroker], or one that the configuration names
	QoS    int
	Group  string // of the shared subscription, "" for the usual one

	// Of http_in and coap_in.
	Method string

	// Of http_in; the secrets are shown to nobody.
	Auth string // token, hmac or none
	Key  string

	Pattern Pattern // of the topic, or of the path below /in

	// Of schedule_in: when it opens by itself. One of the three is set.
	Next   Recurrence
	Plan   string // what Next follows, so that a change is seen
	Missed string // what becomes of a time that nobody was there for: once or skip
}

// DevicesBroker is the name of our own MQTT endpoint, as a broker of chains.
const DevicesBroker = "devices"

// The nodes that doors are made by.
const (
	MQTTIn     = "mqtt_in"
	HTTPIn     = "http_in"
	CoAPIn     = "coap_in"
	ScheduleIn = "schedule_in"
)

// InletState is what is kept of a door: the noun of a home for the runs that come
// in by it and are about no device.
type InletState struct {
	ID     string
	Tenant TenantID
	Plan   string // of a schedule, as it was armed
}

// RefOfInlet points at the home of a door.
func RefOfInlet(t TenantID, name string) Ref { return Ref{t, InletRef, name} }

// NewInletHome is the home of a door by which nobody has come yet.
func NewInletHome(t TenantID, name string) *Home {
	return &Home{Ref: RefOfInlet(t, name), Inlet: &InletState{ID: name, Tenant: t}}
}

// Arm makes the next time of the door's schedule due, where it is not already.
// changed is false where nothing is to be written.
func (h *Home) Arm(d *Inlet, now time.Time) (changed bool) {
	if h.Inlet.Plan == d.Plan && h.armed() {
		return false
	}
	h.Disarm()
	h.Inlet.Plan = d.Plan
	if at := d.Next(now); !at.IsZero() {
		h.Post(Pending{At: at, Event: Arrived, Chain: d.Name})
	}
	return true
}

// Disarm takes away what a door's schedule has coming.
func (h *Home) Disarm() { h.DropEvent(Arrived) }

func (h *Home) armed() bool {
	for i := range h.Pending {
		if h.Pending[i].Event == Arrived {
			return true
		}
	}
	return false
}

// BrokerWord is a word to a broker.
type BrokerWord struct {
	Broker string
	Device Ref // whose run says it, where it is about one
	Topic  string
	Body   []byte
	QoS    int
	Retain bool
}
