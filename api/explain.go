package api

import (
	"context"
	"net/http"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"github.com/windlass-ota/windlass/ota"
)

// Explanation says why a device shall run what it shall run, how it came to
// where it is, and what it waits for.
type Explanation struct {
	ID       string            `json:"id"`
	Name     string            `json:"name"`
	Profile  string            `json:"profile"`
	Online   bool              `json:"online"`
	LastSeen *time.Time        `json:"lastSeen,omitempty"`
	Types    []TypeExplanation `json:"types"`
	Alarms   []Alarm           `json:"alarms,omitempty"`
}

// TypeExplanation is the part about firmware, or about software: sentences, and
// the facts that they are made of.
type TypeExplanation struct {
	Type        string          `json:"type" enum:"firmware,software"`
	Sentences   []string        `json:"sentences"`
	Track       Track           `json:"track"`
	Assignment  *Assignment     `json:"assignment,omitempty" doc:"The one in force"`
	Offer       *Target         `json:"offer,omitempty" doc:"What its attributes tell the device"`
	Offered     *time.Time      `json:"offered,omitempty" doc:"Since when they do"`
	Rollout     *ExplainRollout `json:"rollout,omitempty" doc:"The rollout of the open update, else of the assignment"`
	Place       *float64        `json:"place,omitempty" doc:"Of a queued update: where the device stands in its rollout's line, 0 to 1"`
	NotBefore   *time.Time      `json:"notBefore,omitempty" doc:"Of a queued update: it waits until then"`
	Deadline    *time.Time      `json:"deadline,omitempty" doc:"Until when the device may be silent"`
	DeadLetters []DeadLetter    `json:"deadLetters,omitempty"`
}

// ExplainRollout is how far a rollout's door is open.
type ExplainRollout struct {
	ID     string  `json:"id"`
	Chain  string  `json:"chain" doc:"The conductor"`
	State  string  `json:"state" enum:"running,paused,finished,cancelled,replaced"`
	Reason string  `json:"reason,omitempty"`
	Stage  string  `json:"stage,omitempty"`
	Quota  float64 `json:"quota" doc:"Share of the members that may be admitted; 0: none"`
	Mark   float64 `json:"mark" doc:"Places in the line up to here are let in"`
}

type explainIn struct {
	Device string `path:"device" doc:"Name or id"`
	Type   string `query:"type" enum:"firmware,software" doc:"One type alone; left out: each of which there is something to say"`
}

func (s *Server) explainRoutes() {
	register(s, huma.Operation{
		OperationID: "explain-device", Method: http.MethodGet, Path: "/api/devices/{device}/explain", Tags: []string{"Devices"},
		Summary: "Explain in sentences what a device shall run, how it got there, and what it waits for", Errors: []int{http.StatusNotFound},
	}, s.explain)
}

// maxLetters is how many dead letters are looked through for a device's.
const maxLetters = 1000

func (s *Server) explain(ctx context.Context, in *explainIn) (*body[Explanation], error) {
	h, err := s.find(ctx, ota.DeviceRef, in.Device)
	if err != nil {
		return nil, err
	}
	n, now := s.names(), s.Homes.Now()
	view, err := n.viewDevice(ctx, h, now, false)
	if err != nil {
		return nil, err
	}
	letters, err := s.Lister.DeadLetters(ctx, s.Tenant, maxLetters)
	if err != nil {
		return nil, err
	}
	out := Explanation{ID: view.ID, Name: view.Name, Profile: view.Profile, Online: view.Online, LastSeen: view.LastSeen, Alarms: view.Alarms, Types: []TypeExplanation{}}
	tracks := map[ota.Kind]Track{ota.Firmware: view.Firmware, ota.Software: view.Software}
	for _, k := range ota.Kinds() {
		x, err := n.situation(ctx, h, k, letters)
		if err != nil {
			return nil, err
		}
		if in.Type == string(k) || in.Type == "" && somethingToSay(x) {
			out.Types = append(out.Types, explainType(x, tracks[k], now))
		}
	}
	if len(out.Types) == 0 { // nothing at all: say that of firmware
		x, err := n.situation(ctx, h, ota.Firmware, letters)
		if err != nil {
			return nil, err
		}
		out.Types = append(out.Types, explainType(x, view.Firmware, now))
	}
	return answer(out)
}

// somethingToSay leaves out the type that a device has nothing to do with.
func somethingToSay(x ota.Situation) bool {
	t := x.Home.Device.Track(x.Kind)
	return x.Effective != nil || t.Update != nil || !t.Reported.Zero() || t.Offer.Package != ""
}

// situation gathers what an explanation is made of.
func (n *names) situation(ctx context.Context, h *ota.Home, k ota.Kind, letters []ota.DeadLetter) (ota.Situation, error) {
	d := h.Device
	x := ota.Situation{Home: h, Kind: k, Pace: n.s.Pace, Way: func(path string) string { return n.path(ctx, path).words() }}
	p, err := n.profile(ctx, d.Profile)
	if err != nil {
		return x, err
	}
	x.Profile, x.Effective = p, ota.FindEffective(d, p, k)
	var rollout ota.RolloutID
	if e := x.Effective; e != nil {
		rollout = e.Rollout
		if x.Package, err = n.pkg(ctx, e.Package); err != nil {
			return x, err
		}
	}
	t := d.Track(k)
	if x.Offer, err = n.pkg(ctx, t.Offer.Package); err != nil {
		return x, err
	}
	if t.Update.Open() {
		rollout = t.Update.Rollout
	}
	r, err := n.get(ctx, ota.RolloutRef, string(rollout))
	if err != nil {
		return x, err
	}
	if r != nil {
		x.Rollout = r.Rollout
		if err := n.standing(ctx, &x, r.Ref); err != nil {
			return x, err
		}
	}
	for _, l := range letters {
		if l.Message.Device == d.ID && (l.Message.Kind == "" || l.Message.Kind == k) {
			x.Letters = append(x.Letters, l)
		}
	}
	return x, nil
}

// standing gathers what members of the rollout have come to, for whoever waits
// at a door that takes permits.
func (n *names) standing(ctx context.Context, x *ota.Situation, r ota.Ref) error {
	if !x.Rollout.Permits || n.s.Doors == nil {
		return nil
	}
	m, err := n.s.Lister.Counts(ctx, r.Tenant, x.Rollout.Kind, x.Rollout.ID)
	if err != nil {
		return err
	}
	x.Counts = ota.CountsOf(m)
	x.Tally, err = n.s.Doors.Tally(ctx, r)
	return err
}

// explainType lays sentences and facts side by side.
func explainType(x ota.Situation, track Track, now time.Time) TypeExplanation {
	out := TypeExplanation{Type: string(x.Kind), Sentences: ota.Explain(x, now), Track: track}
	if e := x.Effective; e != nil {
		a := Assignment{Package: string(e.Package), Rollout: string(e.Rollout), At: e.At.UTC(), By: e.By, Chain: e.Chain, Params: e.Args}
		if x.Package != nil {
			a.Title, a.Version = x.Package.Title, x.Package.Version.Version
		}
		out.Assignment = &a
	}
	t := x.Home.Device.Track(x.Kind)
	if x.Offer != nil {
		out.Offer, out.Offered = target(x.Offer.Version), moment(t.Offer.At)
	}
	if r := x.Rollout; r != nil {
		out.Rollout = &ExplainRollout{string(r.ID), r.Chain, string(r.State), r.Reason, r.Stage, r.Quota, r.Mark}
	}
	if u := t.Update; u.Open() {
		out.Deadline = moment(u.Deadline())
		if u.State == ota.Queued {
			out.Place, out.NotBefore = &u.Place, moment(u.NotBefore)
		}
	}
	for i := range x.Letters {
		out.DeadLetters = append(out.DeadLetters, viewLetter(&x.Letters[i]))
	}
	return out
}

// moment is a time that may be unknown.
func moment(t time.Time) *time.Time {
	if t.IsZero() {
		return nil
	}
	t = t.UTC()
	return &t
}
