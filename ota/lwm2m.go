package ota

import (
	"net/url"
	"strings"
)

// How the bytes of a package get to an LwM2M client, in ThingsBoard's numbers.
const (
	ByPackage  = 1 // we write them into the object's package resource
	ByURI      = 2 // we write a URI, and the client fetches them
	ByObject19 = 3 // we write them into object 19; firmware only
)

// LwM2MSettings is what a device profile says about LwM2M clients. The zero value is how
// most are updated: the package is written. What a client says of its own
// (delivery method, /5/0/9) wins over the strategies.
type LwM2MSettings struct {
	FirmwareStrategy int               `json:"fwUpdateStrategy,omitempty"`
	SoftwareStrategy int               `json:"swUpdateStrategy,omitempty"`
	FirmwareBase     string            `json:"fwUpdateResource,omitempty"` // where clients fetch, "coap://ota.example.com:5685"; "": the door that they speak to
	SoftwareBase     string            `json:"swUpdateResource,omitempty"`
	Telemetry        map[string]string `json:"telemetry,omitempty"` // by path, "/3/0/9": the key under which its changes are kept
}

// Strategy is how packages of a kind get to clients.
func (l *LwM2MSettings) Strategy(k Kind) int {
	s := 0
	if l != nil {
		if s = l.FirmwareStrategy; k == Software {
			s = l.SoftwareStrategy
		}
	}
	if s == 0 {
		return ByPackage
	}
	return s
}

// Base is where clients fetch packages of a kind, "" where nobody has said.
func (l *LwM2MSettings) Base(k Kind) string {
	switch {
	case l == nil:
		return ""
	case k == Software:
		return strings.TrimRight(l.SoftwareBase, "/")
	}
	return strings.TrimRight(l.FirmwareBase, "/")
}

// maxObserved bounds the resources that a profile has observed: each is a
// request to each client.
const maxObserved = 64

// Check says what is wrong with the settings, with the JSON name of the member
// that it is about, or nil.
func (l *LwM2MSettings) Check() (member string, err error) {
	const op = "lwm2m settings"
	for _, s := range []struct {
		name     string
		strategy int
		last     int
	}{{"fwUpdateStrategy", l.FirmwareStrategy, ByObject19}, {"swUpdateStrategy", l.SoftwareStrategy, ByURI}} {
		if s.strategy < 0 || s.strategy > s.last {
			return s.name, Errorf(Invalid, op, "%s is %d, want 1 to %d", s.name, s.strategy, s.last)
		}
	}
	for _, b := range []struct{ name, base string }{{"fwUpdateResource", l.FirmwareBase}, {"swUpdateResource", l.SoftwareBase}} {
		if b.base == "" {
			continue
		}
		u, err := url.Parse(b.base)
		if err != nil || u.Scheme != "coap" && u.Scheme != "coaps" || u.Host == "" || u.RawQuery != "" || len(b.base) > 100 {
			return b.name, Errorf(Invalid, op, "%s is %q, want coap://HOST:PORT or coaps://HOST:PORT", b.name, b.base)
		}
	}
	if len(l.Telemetry) > maxObserved {
		return "telemetry", Errorf(Invalid, op, "%d resources are observed, %d at most", len(l.Telemetry), maxObserved)
	}
	return "", nil
}
