package api

import (
	"context"
	"time"

	"github.com/windlass-ota/windlass/ota"
)

// Profile is a device profile as clients see it.
type Profile struct {
	ID       string      `json:"id"`
	Name     string      `json:"name"`
	Created  time.Time   `json:"created"`
	Firmware *Assignment `json:"firmware,omitempty" doc:"The firmware assigned to the profile"`
	Software *Assignment `json:"software,omitempty" doc:"The software assigned to the profile"`

	LwM2M        *LwM2M        `json:"lwm2m,omitempty" doc:"How its clients of LwM2M are updated and observed"`
	Provisioning *Provisioning `json:"provisioning,omitempty" doc:"How its devices make themselves known; left out where they may not"`
	MQTT         *MQTT         `json:"mqtt,omitempty" doc:"How its devices speak MQTT, where that is not as all do"`
}

// Assignment is a package that is assigned to a device or a profile.
type Assignment struct {
	Title   string            `json:"title"`
	Version string            `json:"version"`
	Package string            `json:"package" doc:"Id of the package"`
	Rollout string            `json:"rollout,omitempty" doc:"Id of the rollout that follows the assignment"`
	At      time.Time         `json:"at"`
	By      string            `json:"by,omitempty"`
	Chain   string            `json:"chain,omitempty" doc:"The conductor"`
	Params  map[string]string `json:"params,omitempty" doc:"The conductor's params"`
}

// Device is a device as clients see it.
type Device struct {
	ID          string     `json:"id"`
	Name        string     `json:"name"`
	Profile     string     `json:"profile" doc:"Name of the profile"`
	AccessToken string     `json:"accessToken,omitempty" doc:"Left out of lists"`
	Owner       string     `json:"owner"`
	Zone        string     `json:"zone,omitempty" doc:"IANA time zone"`
	Groups      []string   `json:"groups"`
	Created     time.Time  `json:"created"`
	Online      bool       `json:"online"`
	LastSeen    *time.Time `json:"lastSeen,omitempty"`
	Firmware    Track      `json:"firmware"`
	Software    Track      `json:"software"`
	Alarms      []Alarm    `json:"alarms,omitempty" doc:"What chains ask people to look at, the oldest first"`
}

// Alarm is something that a chain asks people to look at until it clears it.
type Alarm struct {
	Key      string    `json:"key"`
	Severity string    `json:"severity" enum:"info,warning,critical"`
	Message  string    `json:"message"`
	Count    int       `json:"count" doc:"How often it was raised since it was last cleared"`
	Raised   time.Time `json:"raised"`
	Last     time.Time `json:"last" doc:"When it was raised for the last time"`
}

// Track is what a device has of one kind: empty where nothing was ever assigned
// or reported.
type Track struct {
	State      string   `json:"state,omitempty" doc:"State of the update"`
	Closed     string   `json:"closed,omitempty" enum:"cancelled,replaced" doc:"Why an update without a verdict is over"`
	Target     *Target  `json:"target,omitempty" doc:"What the device shall run"`
	Current    *Version `json:"current,omitempty" doc:"What the device last said that it runs"`
	AssignedBy string   `json:"assignedBy,omitempty" doc:"device, profile or group:NAME"`
	Error      *string  `json:"error,omitempty" doc:"Why the update failed"`
	Reported   *Version `json:"reported,omitempty" doc:"What the device reported instead of the target"`
	Progress   *int     `json:"progress,omitempty" doc:"Percent"`
	Attempt    int      `json:"attempt,omitempty"`
	Waits      string   `json:"waits,omitempty" doc:"Why a queued update waits"`
	Skipped    string   `json:"skipped,omitempty" doc:"Why the assignment leaves this device out"`
	Rollout    string   `json:"rollout,omitempty"`
	History    []Step   `json:"history,omitempty" doc:"Left out of lists"`
}

// Version names a build.
type Version struct {
	Title   string `json:"title"`
	Version string `json:"version"`
}

// Target names a build and the tag that an operator gave it.
type Target struct {
	Title   string `json:"title"`
	Version string `json:"version"`
	Tag     string `json:"tag"`
}

// Step is one move of an update.
type Step struct {
	At    time.Time `json:"at"`
	State string    `json:"state"`
	Note  string    `json:"note,omitempty"`
	Path  *RunPath  `json:"path,omitempty" doc:"The way of the run that moved it; absent where no chain did"`
}

func version(v ota.Version) *Version {
	if v.Zero() {
		return nil
	}
	return &Version{v.Title, v.Version}
}

func target(v ota.Version) *Target { return &Target{v.Title, v.Version, v.Tag} }

func (n *names) viewProfile(ctx context.Context, p *ota.Profile) (Profile, error) {
	out := Profile{
		ID: string(p.ID), Name: p.Name, Created: p.Created.UTC(), Provisioning: viewProvisioning(p.Provision), MQTT: viewMQTT(p.MQTT), LwM2M: viewLwM2M(p.LwM2M),
	}
	var err error
	if out.Firmware, err = n.viewAssignment(ctx, p.Firmware); err != nil {
		return out, err
	}
	out.Software, err = n.viewAssignment(ctx, p.Software)
	return out, err
}

func (n *names) viewAssignment(ctx context.Context, a *ota.Assignment) (*Assignment, error) {
	if a == nil {
		return nil, nil
	}
	out := &Assignment{Package: string(a.Package), Rollout: string(a.Rollout), At: a.At.UTC(), By: a.By, Chain: a.Chain, Params: a.Args}
	pkg, err := n.pkg(ctx, a.Package)
	if err == nil && pkg != nil {
		out.Title, out.Version = pkg.Title, pkg.Version.Version
	}
	return out, err
}

// viewDevice shows a device; in a list without its token and its history.
func (n *names) viewDevice(ctx context.Context, h *ota.Home, now time.Time, list bool) (Device, error) {
	d := h.Device
	n.brief = list
	p, err := n.profile(ctx, d.Profile)
	if err != nil {
		return Device{}, err
	}
	out := Device{
		ID: string(d.ID), Name: d.Name, Profile: p.Name, AccessToken: d.Credentials.Token, Owner: string(d.Owner), Zone: d.Zone,
		Groups: []string{}, Created: d.Created.UTC(), Online: d.Online(now),
	}
	for _, a := range h.Alarms {
		out.Alarms = append(out.Alarms, Alarm{a.Key, string(a.Severity), a.Message, a.Count, a.Raised.UTC(), a.Last.UTC()})
	}
	for _, g := range d.Groups {
		out.Groups = append(out.Groups, string(g))
	}
	if !d.Heard.IsZero() {
		heard := d.Heard.UTC()
		out.LastSeen = &heard
	}
	if out.Firmware, err = n.viewTrack(ctx, d, p, ota.Firmware); err != nil {
		return Device{}, err
	}
	if out.Software, err = n.viewTrack(ctx, d, p, ota.Software); err != nil {
		return Device{}, err
	}
	if list {
		out.AccessToken, out.Firmware.History, out.Software.History = "", nil, nil
	}
	return out, nil
}

func (n *names) viewTrack(ctx context.Context, d *ota.Device, p *ota.Profile, k ota.Kind) (Track, error) {
	t := d.Track(k)
	out := Track{Current: version(t.Reported), Skipped: t.Skipped}
	effective := ota.FindEffective(d, p, k)
	if effective != nil {
		out.AssignedBy = effective.Source.String()
		pkg, err := n.pkg(ctx, effective.Package)
		if err != nil {
			return out, err
		}
		if pkg != nil {
			out.Target = target(pkg.Version)
		}
	}
	u := t.Update
	if u == nil {
		return out, nil
	}
	for _, s := range u.History {
		out.History = append(out.History, Step{s.At.UTC(), string(s.State), s.Note, n.path(ctx, s.Path)})
	}
	out.Attempt, out.Rollout = u.Attempt, string(u.Rollout)
	if u.Closed != "" {
		out.Closed = u.Closed
		return out, nil
	}
	var size int64
	if u.State == ota.Downloading {
		pkg, err := n.pkg(ctx, u.Package)
		if err != nil {
			return out, err
		}
		if pkg != nil {
			size = pkg.Size
		}
	}
	percent, failure := u.Percent(size), u.Error
	out.State, out.Target, out.Reported = string(u.State), target(u.Target), version(u.Reported)
	out.Progress, out.Error = &percent, &failure
	if u.State == ota.Queued {
		out.Waits = waits(u)
	}
	return out, nil
}

// waits says in words why a queued update is not offered.
func waits(u *ota.Update) string {
	switch {
	case u.Away:
		return "until the device is heard"
	case u.Held != "":
		return u.Held
	case !u.NotBefore.IsZero():
		return "until " + u.NotBefore.UTC().Format(time.RFC3339)
	}
	return "for its turn"
}
