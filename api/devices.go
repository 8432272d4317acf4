package api

import (
	"context"
	"crypto/rand"
	"net/http"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"github.com/windlass-ota/windlass/ota"
)

// NewDevice asks for a device.
type NewDevice struct {
	Name        string       `json:"name" minLength:"1" maxLength:"255"`
	Profile     string       `json:"profile" minLength:"1" doc:"Name or id of the profile"`
	AccessToken string       `json:"accessToken,omitempty" maxLength:"255" doc:"What the device shows to be let in; made here when left out"`
	Credentials *Credentials `json:"credentials,omitempty" doc:"How the device proves who it is, in place of an access token"`
	Owner       string       `json:"owner,omitempty" maxLength:"255"`
	Zone        string       `json:"zone,omitempty" maxLength:"64" doc:"IANA time zone, such as Europe/Kyiv"`
}

// DeviceChange is what may change of a device.
type DeviceChange struct {
	Profile string `json:"profile" minLength:"1" doc:"Name or id of the profile to move to"`
}

// DeviceQuery chooses devices. One filter at a time.
type DeviceQuery struct {
	Paging
	Profile string `query:"profile" doc:"Devices of this profile, by name or id"`
	State   string `query:"state" enum:"QUEUED,INITIATED,DOWNLOADING,DOWNLOADED,VERIFIED,UPDATING,UPDATED,FAILED" doc:"Devices whose update is in this state"`
	Type    string `query:"type" enum:"firmware,software" default:"firmware" doc:"Of which type, with state"`
	Alarmed bool   `query:"alarmed" doc:"Devices with an alarm"`
}

// filters is how many of the filters are set.
func (q *DeviceQuery) filters() int {
	n := 0
	for _, set := range []bool{q.Profile != "", q.State != "", q.Alarmed} {
		if set {
			n++
		}
	}
	return n
}

type deviceIn struct {
	Device string `path:"device" doc:"Name or id"`
}

type moveIn struct {
	Device string `path:"device" doc:"Name or id"`
	Body   DeviceChange
}

func (s *Server) deviceRoutes() {
	tags := []string{"Devices"}
	register(s, huma.Operation{
		OperationID: "list-devices", Method: http.MethodGet, Path: "/api/devices", Tags: tags, Summary: "List devices",
		Errors: []int{http.StatusNotFound},
	}, s.listDevices)
	register(s, huma.Operation{
		OperationID: "create-device", Method: http.MethodPost, Path: "/api/devices", Tags: tags, Summary: "Create a device",
		DefaultStatus: http.StatusCreated, Errors: []int{http.StatusNotFound, http.StatusConflict},
	}, s.createDevice)
	register(s, huma.Operation{
		OperationID: "show-device", Method: http.MethodGet, Path: "/api/devices/{device}", Tags: tags, Summary: "Show a device",
		Errors: []int{http.StatusNotFound},
	}, s.showDevice)
	register(s, huma.Operation{
		OperationID: "move-device", Method: http.MethodPatch, Path: "/api/devices/{device}", Tags: tags, Summary: "Move a device to another profile",
		Description: "Refused while the device has a package of its own, which is made for the old profile.",
		Errors:      []int{http.StatusNotFound, http.StatusConflict},
	}, s.moveDevice)
	register(s, huma.Operation{
		OperationID: "delete-device", Method: http.MethodDelete, Path: "/api/devices/{device}", Tags: tags, Summary: "Delete a device",
		Errors: []int{http.StatusNotFound},
	}, s.deleteDevice)
}

func (s *Server) listDevices(ctx context.Context, in *DeviceQuery) (*body[List[Device]], error) {
	q := ota.Query{Tenant: s.Tenant, Type: ota.DeviceRef, Alarmed: in.Alarmed, Cursor: in.Cursor, Limit: in.PageSize}
	if in.filters() > 1 {
		return nil, invalid("query.state", "filter by profile or by state or by alarms, not by two of them")
	}
	if in.Profile != "" {
		h, err := s.find(ctx, ota.ProfileRef, in.Profile)
		if err != nil {
			return nil, inField("query.profile", err)
		}
		q.Profile = h.Profile.ID
	}
	if in.State != "" {
		q.Kind, q.State = ota.Kind(in.Type), ota.State(in.State)
	}
	page, err := s.Lister.List(ctx, q)
	if err != nil {
		return nil, err
	}
	out, n, now := List[Device]{Data: []Device{}, Next: page.Next}, s.names(), s.Homes.Now()
	for _, h := range page.Homes {
		d, err := n.viewDevice(ctx, h, now, true)
		if err != nil {
			return nil, err
		}
		out.Data = append(out.Data, d)
	}
	return answer(out)
}

func (s *Server) createDevice(ctx context.Context, in *struct{ Body NewDevice }) (*body[Device], error) {
	b := in.Body
	if err := checkNewDevice(b); err != nil {
		return nil, err
	}
	p, err := s.find(ctx, ota.ProfileRef, b.Profile)
	if err != nil {
		return nil, inField("body.profile", err)
	}
	if err := s.free(ctx, ota.DeviceRef, b.Name); err != nil {
		return nil, err
	}
	c, err := s.newCredentials(ctx, b)
	if err != nil {
		return nil, err
	}
	id, err := s.NewDeviceID(ctx, s.Tenant, b.Name)
	if err != nil {
		return nil, err
	}
	h := ota.NewDevice(ota.Device{
		ID: id, Tenant: s.Tenant, Owner: ota.OwnerID(b.Owner), Name: b.Name, Profile: p.Profile.ID, Zone: b.Zone, Credentials: c,
	}, s.Homes.Now())
	if err := s.create(ctx, h); err != nil {
		return nil, err
	}
	return s.deviceView(ctx, h)
}

func checkNewDevice(b NewDevice) error {
	if err := ota.CheckName("device", b.Name); err != nil {
		return inField("body.name", err)
	}
	if b.Owner != "" {
		if err := ota.CheckName("owner", b.Owner); err != nil {
			return inField("body.owner", err)
		}
	}
	if b.Zone != "" {
		if _, err := time.LoadLocation(b.Zone); err != nil || b.Zone == "Local" {
			return invalid("body.zone", "%q is no time zone; write it like Europe/Kyiv", b.Zone)
		}
	}
	return nil
}

// newCredentials are those of a device that is about to be made: the ones asked
// for, else an access token.
func (s *Server) newCredentials(ctx context.Context, b NewDevice) (ota.Credentials, error) {
	if b.Credentials != nil {
		if b.AccessToken != "" {
			return ota.Credentials{}, invalid("body.accessToken", "give an accessToken or credentials, not both")
		}
		return s.credentials(ctx, ota.Ref{}, *b.Credentials, "body.credentials.")
	}
	if b.AccessToken == "" {
		b.AccessToken = rand.Text()
	}
	return s.credentials(ctx, ota.Ref{}, Credentials{AccessToken: b.AccessToken}, "body.")
}

func (s *Server) showDevice(ctx context.Context, in *deviceIn) (*body[Device], error) {
	h, err := s.find(ctx, ota.DeviceRef, in.Device)
	if err != nil {
		return nil, err
	}
	return s.deviceView(ctx, h)
}

func (s *Server) deviceView(ctx context.Context, h *ota.Home) (*body[Device], error) {
	v, err := s.names().viewDevice(ctx, h, s.Homes.Now(), false)
	if err != nil {
		return nil, err
	}
	return answer(v)
}

func (s *Server) moveDevice(ctx context.Context, in *moveIn) (*body[Device], error) {
	h, err := s.find(ctx, ota.DeviceRef, in.Device)
	if err != nil {
		return nil, err
	}
	p, err := s.find(ctx, ota.ProfileRef, in.Body.Profile)
	if err != nil {
		return nil, inField("body.profile", err)
	}
	h, err = s.change(ctx, h.Ref, func(t *ota.Turn) error { return t.Home.Move(p.Profile.ID, s.Homes.Now()) })
	if err != nil {
		return nil, err
	}
	return s.deviceView(ctx, h)
}

func (s *Server) deleteDevice(ctx context.Context, in *deviceIn) (*struct{}, error) {
	h, err := s.find(ctx, ota.DeviceRef, in.Device)
	if err != nil {
		return nil, err
	}
	return nil, s.remove(ctx, h.Ref, func(*ota.Home) error { return nil })
}
