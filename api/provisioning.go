package api

import (
	"context"
	"strings"

	"github.com/windlass-ota/windlass/ota"
)

// Provisioning is how devices of a profile make themselves known.
type Provisioning struct {
	Strategy    string `json:"strategy" enum:"DISABLED,ALLOW_CREATE_NEW_DEVICES,CHECK_PRE_PROVISIONED_DEVICES,X509_CERTIFICATE_CHAIN" doc:"Which devices may"`
	Key         string `json:"key,omitempty" maxLength:"255" doc:"What a device shows, with the secret"`
	Secret      string `json:"secret,omitempty" maxLength:"255" writeOnly:"true" doc:"At least 16 bytes"`
	Certificate string `json:"certificate,omitempty" maxLength:"16384" doc:"X509_CERTIFICATE_CHAIN: the certificate that issues those of the devices, in PEM, or its hash"`
	Pattern     string `json:"pattern,omitempty" maxLength:"255" doc:"X509_CERTIFICATE_CHAIN: a regular expression (RE2) that finds the device's name in the common name; its first group, or all of it"`
	Create      bool   `json:"create,omitempty" doc:"X509_CERTIFICATE_CHAIN: make devices that are not there"`
}

// ProfileChange asks for changes of a profile; what is left out stays.
type ProfileChange struct {
	Provisioning *Provisioning `json:"provisioning,omitempty"`
	MQTT         *MQTT         `json:"mqtt,omitempty" doc:"All of it: what is left out of it is as every device has it"`
	LwM2M        *LwM2M        `json:"lwm2m,omitempty" doc:"How LwM2M clients of the profile are updated and observed"`
}

type profileChangeIn struct {
	Profile string `path:"profile" doc:"Name or id"`
	Body    ProfileChange
}

func (s *Server) changeProfile(ctx context.Context, in *profileChangeIn) (*body[Profile], error) {
	h, err := s.find(ctx, ota.ProfileRef, in.Profile)
	if err != nil {
		return nil, err
	}
	var p ota.Provisioning
	if in.Body.Provisioning != nil {
		if p, err = provisioning(*in.Body.Provisioning); err != nil {
			return nil, err
		}
	}
	mqtt, err := s.mqttSettings(in.Body.MQTT)
	if err != nil {
		return nil, err
	}
	lwm2m, err := lwm2mSettings(in.Body.LwM2M)
	if err != nil {
		return nil, err
	}
	h, err = s.change(ctx, h.Ref, func(t *ota.Turn) error {
		if in.Body.MQTT != nil {
			t.Home.Profile.MQTT = mqtt
		}
		if in.Body.Provisioning != nil {
			t.Home.Profile.Provision = p
		}
		if lwm2m != nil {
			t.Home.Profile.LwM2M = lwm2m
		}
		return nil
	})
	if ota.CodeOf(err) == ota.Invalid {
		return nil, inField("body.provisioning.key", ota.Errorf(ota.Conflict, "", "another profile has this key or certificate"))
	}
	if err != nil {
		return nil, err
	}
	return s.profileView(ctx, h.Profile)
}

func provisioning(b Provisioning) (ota.Provisioning, error) {
	const at = "body.provisioning."
	p := ota.Provisioning{
		Strategy: ota.ProvisionStrategy(b.Strategy), Key: b.Key, Secret: b.Secret,
		Certificate: strings.ToLower(b.Certificate), Pattern: b.Pattern, Create: b.Create,
	}
	if strings.Contains(b.Certificate, "-----BEGIN") {
		var err error
		if p.Certificate, err = ota.HashOfPEM(b.Certificate); err != nil {
			return p, inField(at+"certificate", err)
		}
	}
	if member, err := p.Check(); err != nil {
		return p, inField(at+member, err)
	}
	return p, nil
}

func viewProvisioning(p ota.Provisioning) *Provisioning {
	if p.Strategy == "" || p.Strategy == ota.ProvisionNone {
		return nil
	}
	return &Provisioning{Strategy: string(p.Strategy), Key: p.Key, Certificate: p.Certificate, Pattern: p.Pattern, Create: p.Create}
}
