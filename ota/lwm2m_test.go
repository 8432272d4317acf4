package ota

import (
	"strings"
	"testing"
)

func TestLwM2MSettings(t *testing.T) {
	var none *LwM2MSettings
	if none.Strategy(Firmware) != ByPackage || none.Base(Software) != "" {
		t.Error("nothing said is not as usual")
	}
	s := &LwM2MSettings{FirmwareStrategy: ByURI, SoftwareBase: "coap://ota.example.com:5685/"}
	if s.Strategy(Firmware) != ByURI || s.Strategy(Software) != ByPackage || s.Base(Software) != "coap://ota.example.com:5685" || s.Base(Firmware) != "" {
		t.Errorf("%+v", s)
	}
	many := map[string]string{}
	for i := range maxObserved + 1 {
		many["/3/0/"+itoa(i)] = "k"
	}
	for _, tt := range []struct {
		s    LwM2MSettings
		want string
	}{
		{LwM2MSettings{}, ""},
		{LwM2MSettings{FirmwareStrategy: ByObject19, SoftwareStrategy: ByURI, FirmwareBase: "coaps://h:5686"}, ""},
		{LwM2MSettings{FirmwareStrategy: 4}, "fwUpdateStrategy"},
		{LwM2MSettings{SoftwareStrategy: ByObject19}, "swUpdateStrategy"},
		{LwM2MSettings{FirmwareBase: "http://h"}, "fwUpdateResource"},
		{LwM2MSettings{SoftwareBase: "coap://" + strings.Repeat("h", 100)}, "swUpdateResource"},
		{LwM2MSettings{Telemetry: many}, "telemetry"},
	} {
		if member, err := tt.s.Check(); member != tt.want || (err != nil) != (tt.want != "") {
			t.Errorf("%+v: %s, %v", tt.s, member, err)
		}
	}
}
