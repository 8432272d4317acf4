package api

import (
	"context"
	"encoding/hex"
	"net/http"
	"strings"

	"github.com/danielgtaylor/huma/v2"

	"github.com/windlass-ota/windlass/ota"
)

// Credentials is how a device proves who it is. What is secret is taken and
// never shown, save for an access token, which is all that a device has.
type Credentials struct {
	Type        string `json:"type,omitempty" enum:"ACCESS_TOKEN,MQTT_BASIC,X509_CERTIFICATE,LWM2M_CREDENTIALS" doc:"ACCESS_TOKEN when left out"`
	AccessToken string `json:"accessToken,omitempty" maxLength:"255"`
	ClientID    string `json:"clientId,omitempty" maxLength:"255" doc:"MQTT_BASIC: the client id, the user name or both"`
	UserName    string `json:"userName,omitempty" maxLength:"255"`
	Password    string `json:"password,omitempty" maxLength:"255" writeOnly:"true"`
	Certificate string `json:"certificate,omitempty" maxLength:"16384" doc:"The device's own certificate in PEM, or its hash: the SHA3-256 of the base64 text of its DER bytes"`
	Endpoint    string `json:"endpoint,omitempty" maxLength:"255" doc:"LWM2M_CREDENTIALS: the client's endpoint name"`
	Identity    string `json:"identity,omitempty" maxLength:"255" doc:"LWM2M_CREDENTIALS: the identity of a pre-shared key; without it and without a certificate the client speaks plainly"`
	Key         string `json:"key,omitempty" maxLength:"128" writeOnly:"true" doc:"The pre-shared key in hexadecimal digits"`
}

type credentialsIn struct {
	Device string `path:"device" doc:"Name or id"`
	Body   Credentials
}

func (s *Server) credentialRoutes() {
	tags := []string{"Devices"}
	register(s, huma.Operation{
		OperationID: "show-credentials", Method: http.MethodGet, Path: "/api/devices/{device}/credentials", Tags: tags,
		Summary: "Show how a device proves who it is", Description: "Passwords and keys are left out.", Errors: []int{http.StatusNotFound},
	}, s.showCredentials)
	register(s, huma.Operation{
		OperationID: "put-credentials", Method: http.MethodPut, Path: "/api/devices/{device}/credentials", Tags: tags,
		Summary: "Give a device other credentials", Description: "The old ones are worth nothing from then on, at most 5 s later; sessions that are open stay open.",
		Errors: []int{http.StatusNotFound, http.StatusConflict},
	}, s.putCredentials)
}

func (s *Server) showCredentials(ctx context.Context, in *deviceIn) (*body[Credentials], error) {
	h, err := s.find(ctx, ota.DeviceRef, in.Device)
	if err != nil {
		return nil, err
	}
	return answer(viewCredentials(&h.Device.Credentials))
}

func (s *Server) putCredentials(ctx context.Context, in *credentialsIn) (*body[Credentials], error) {
	h, err := s.find(ctx, ota.DeviceRef, in.Device)
	if err != nil {
		return nil, err
	}
	c, err := s.credentials(ctx, h.Ref, in.Body, "body.")
	if err != nil {
		return nil, err
	}
	if h, err = s.change(ctx, h.Ref, func(t *ota.Turn) error { t.Home.Device.Credentials = c; return nil }); err != nil {
		return nil, err
	}
	return answer(viewCredentials(&h.Device.Credentials))
}

// credentials reads those that somebody wants to give to a device, which is zero
// for one that is about to be made. at is where they stand in the request.
func (s *Server) credentials(ctx context.Context, device ota.Ref, b Credentials, at string) (ota.Credentials, error) {
	c := ota.Credentials{
		Type: ota.CredentialsType(b.Type), Token: b.AccessToken, ClientID: b.ClientID, UserName: b.UserName, Password: b.Password,
		Certificate: strings.ToLower(b.Certificate), Endpoint: b.Endpoint, Identity: b.Identity,
	}
	if strings.Contains(b.Certificate, "-----BEGIN") {
		var err error
		if c.Certificate, err = ota.HashOfPEM(b.Certificate); err != nil {
			return c, inField(at+"certificate", err)
		}
	}
	if b.Key != "" {
		var err error
		if c.Key, err = hex.DecodeString(b.Key); err != nil {
			return c, invalid(at+"key", "a pre-shared key is written as hexadecimal digits")
		}
	}
	if member, err := c.Check(); err != nil {
		return c, inField(at+member, err)
	}
	for _, key := range c.Keys() {
		has, err := s.Facts.ByKey(ctx, key)
		switch {
		case err == nil && has != device:
			return c, inField(at+memberOf(&c), ota.Errorf(ota.Conflict, "", "another device has these credentials"))
		case err != nil && ota.CodeOf(err) != ota.NotFound:
			return c, err
		}
	}
	return c, nil
}

// memberOf is the member that a device is found by first.
func memberOf(c *ota.Credentials) string {
	switch c.Kind() {
	case ota.MQTTBasic:
		if c.ClientID == "" {
			return "userName"
		}
		return "clientId"
	case ota.X509Certificate:
		return "certificate"
	case ota.LwM2M:
		return "endpoint"
	}
	return "accessToken"
}

func viewCredentials(c *ota.Credentials) Credentials {
	return Credentials{
		Type: string(c.Kind()), AccessToken: c.Token, ClientID: c.ClientID, UserName: c.UserName,
		Certificate: c.Certificate, Endpoint: c.Endpoint, Identity: c.Identity,
	}
}
