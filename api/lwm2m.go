package api

import "github.com/windlass-ota/windlass/ota"

// LwM2M is how clients of LwM2M are updated and observed, with ThingsBoard's
// names where it has one.
type LwM2M struct {
	FirmwareStrategy int               `json:"fwUpdateStrategy,omitempty" minimum:"0" maximum:"3" doc:"1: the package is written (usual), 2: a URI is, 3: the package is written to object 19. What a client says of its own (/5/0/9) wins"`
	SoftwareStrategy int               `json:"swUpdateStrategy,omitempty" minimum:"0" maximum:"2"`
	FirmwareBase     string            `json:"fwUpdateResource,omitempty" maxLength:"100" doc:"Where clients fetch firmware: coap://ota.example.com:5685. Left out: the door that they speak to"`
	SoftwareBase     string            `json:"swUpdateResource,omitempty" maxLength:"100"`
	Telemetry        map[string]string `json:"telemetry,omitempty" doc:"Resources that are observed, by path (/3/0/9), and the key of telemetry under which each is kept"`
}

// lwm2mSettings reads those of a profile; nil where none are given.
func lwm2mSettings(b *LwM2M) (*ota.LwM2MSettings, error) {
	if b == nil {
		return nil, nil
	}
	s := ota.LwM2MSettings(*b)
	if member, err := s.Check(); err != nil {
		return nil, inField("body.lwm2m."+member, err)
	}
	return &s, nil
}

func viewLwM2M(s *ota.LwM2MSettings) *LwM2M {
	if s == nil {
		return nil
	}
	v := LwM2M(*s)
	return &v
}
