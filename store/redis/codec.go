package redis

import (
	"encoding/binary"
	"encoding/json"
	"fmt"
	"time"

	"github.com/windlass-ota/windlass/ota"
)

// A record is a header and a payload. The header is what scripts compare and
// owners read without decoding: version (8 bytes, big endian), last turn (16),
// id as packed UUID (16; zero where the id is no UUID).
const (
	headVersion = 8
	headTurn    = headVersion + 16
	headSize    = headTurn + 16
)

// Fields of a home's payload.
const (
	fHomeNext = iota + 1
	fHomePending
	fHomeParked
	fHomeDevice
	fHomeNoun     // JSON: nouns of a tenant are few, and read from copies
	fHomeRevision // of a job, as text: a commit that raises the tenant's revision appends it
	fHomeAlarm
	fHomeMark
)

var (
	wordsKind  = []string{string(ota.Firmware), string(ota.Software)}
	wordsState = []string{
		string(ota.Queued), string(ota.Initiated), string(ota.Downloading), string(ota.Downloaded),
		string(ota.Verified), string(ota.Updating), string(ota.Updated), string(ota.Failed),
	}
	wordsRef = []string{
		string(ota.DeviceRef), string(ota.ProfileRef), string(ota.GroupRef), string(ota.PackageRef),
		string(ota.RolloutRef), string(ota.ScheduleRef), string(ota.JobRef), string(ota.ApprovalRef), string(ota.InletRef),
	}
	wordsSeverity = words(ota.Severities())

	wordsClosed = []string{ota.ClosedCancelled, ota.ClosedReplaced}
	wordsEvent  = []string{string(ota.Decide), string(ota.RolloutStarted), string(ota.UpdateFinished), string(ota.PackageAdded), string(ota.Arrived)}
)

// encodeHome packs h as version number v, written by turn. h's times must be
// whole milliseconds in UTC (settle).
func encodeHome(h *ota.Home, v uint64, turn ota.TurnID) ([]byte, error) {
	return encodeHomeIn(make([]byte, 0, 512), h, v, turn)
}

// encodeHomeIn is encodeHome in the memory of b, which is empty.
func encodeHomeIn(b []byte, h *ota.Home, v uint64, turn ota.TurnID) ([]byte, error) {
	e := &enc{b: append(b, make([]byte, headSize)...)}
	binary.BigEndian.PutUint64(e.b, v)
	copy(e.b[headVersion:], turn)
	if id, ok := packUUID(h.Ref.ID); ok {
		copy(e.b[headTurn:], id[:])
	}
	e.int(fHomeNext, int64(h.NextNum))
	for i := range h.Alarms {
		e.msg(fHomeAlarm, func(e *enc) { encodeAlarm(e, &h.Alarms[i]) })
	}
	for i := range h.Marks {
		e.msg(fHomeMark, func(e *enc) { encodeMark(e, &h.Marks[i]) })
	}
	for i := range h.Pending {
		e.msg(fHomePending, func(e *enc) { encodePending(e, &h.Pending[i]) })
	}
	for i := range h.Parked {
		e.msg(fHomeParked, func(e *enc) { encodeParked(e, &h.Parked[i]) })
	}
	var noun any
	switch {
	case h.Device != nil:
		e.msg(fHomeDevice, func(e *enc) { encodeDevice(e, h.Device) })
		return e.b, nil
	case h.Profile != nil:
		noun = h.Profile
	case h.Package != nil:
		noun = h.Package
	case h.Rollout != nil:
		noun = h.Rollout
	case h.Job != nil:
		noun = h.Job
	case h.Approval != nil:
		noun = h.Approval
	case h.Inlet != nil:
		noun = h.Inlet
	}
	text, err := json.Marshal(noun)
	if err != nil {
		return nil, fmt.Errorf("encode %s: %w", h.Ref, err)
	}
	e.key(fHomeNoun, formBytes)
	e.b = binary.AppendUvarint(e.b, uint64(len(text)))
	e.b = append(e.b, text...)
	return e.b, nil
}

// decodeHome is the inverse of encodeHome. The home keeps no part of s that may
// change, as strings do not.
func decodeHome(r ota.Ref, s string) (*ota.Home, error) {
	if len(s) < headSize {
		return nil, fmt.Errorf("decode %s: %w", r, errPacked)
	}
	h := &ota.Home{Ref: r, Version: binary.BigEndian.Uint64([]byte(s[:headVersion])), LastTurn: ota.TurnID(s[headVersion:headTurn])}
	d := newDec(s[headSize:])
	revision := int64(0)
	for d.next() {
		switch d.n {
		case fHomeNext:
			h.NextNum = int(d.int())
		case fHomeAlarm:
			h.Alarms = append(h.Alarms, decodeAlarm(d.msg()))
		case fHomeMark:
			h.Marks = append(h.Marks, decodeMark(d.msg()))
		case fHomePending:
			h.Pending = append(h.Pending, decodePending(d.msg()))
		case fHomeParked:
			h.Parked = append(h.Parked, decodeParked(d.msg()))
		case fHomeDevice:
			h.Device = decodeDevice(d.msg())
			h.Device.ID, h.Device.Tenant = ota.DeviceID(r.ID), r.Tenant
		case fHomeNoun:
			if err := decodeNoun(h, d.str()); err != nil {
				return nil, fmt.Errorf("decode %s: %w", r, err)
			}
		case fHomeRevision:
			if _, err := fmt.Sscan(d.str(), &revision); err != nil {
				return nil, fmt.Errorf("decode %s: revision: %w", r, err)
			}
		}
	}
	if *d.err != nil {
		return nil, fmt.Errorf("decode %s: %w", r, *d.err)
	}
	if h.Job != nil && revision != 0 {
		h.Job.Revision = revision
	}
	return h, nil
}

func decodeNoun(h *ota.Home, text string) error {
	var into any
	switch h.Ref.Type {
	case ota.ProfileRef:
		h.Profile = &ota.Profile{}
		into = h.Profile
	case ota.PackageRef:
		h.Package = &ota.Package{}
		into = h.Package
	case ota.RolloutRef:
		h.Rollout = &ota.Rollout{}
		into = h.Rollout
	case ota.JobRef:
		h.Job = &ota.Job{}
		into = h.Job
	case ota.ApprovalRef:
		h.Approval = &ota.Approval{}
		into = h.Approval
	case ota.InletRef:
		h.Inlet = &ota.InletState{}
		into = h.Inlet
	default:
		return fmt.Errorf("a %s has no noun", h.Ref.Type)
	}
	return json.Unmarshal([]byte(text), into)
}

func words[T ~string](all []T) []string {
	out := make([]string, len(all))
	for i, w := range all {
		out[i] = string(w)
	}
	return out
}

func encodeMark(e *enc, m *ota.Mark) {
	e.str(1, m.Key)
	e.time(2, m.Until, 0)
	e.int(3, int64(m.Count))
}

func decodeMark(d *dec) (m ota.Mark) {
	for d.next() {
		switch d.n {
		case 1:
			m.Key = d.str()
		case 2:
			m.Until = d.time(0)
		case 3:
			m.Count = int(d.int())
		}
	}
	return m
}

func encodeAlarm(e *enc, a *ota.Alarm) {
	e.str(1, a.Key)
	e.word(2, string(a.Severity), wordsSeverity)
	e.str(3, a.Message)
	e.int(4, int64(a.Count))
	e.time(5, a.Raised, 0)
	e.time(6, a.Last, 0)
}

func decodeAlarm(d *dec) (a ota.Alarm) {
	for d.next() {
		switch d.n {
		case 1:
			a.Key = d.str()
		case 2:
			a.Severity = ota.Severity(d.word(wordsSeverity))
		case 3:
			a.Message = d.str()
		case 4:
			a.Count = int(d.int())
		case 5:
			a.Raised = d.time(0)
		case 6:
			a.Last = d.time(0)
		}
	}
	return a
}

func encodePending(e *enc, p *ota.Pending) {
	e.int(1, int64(p.Num))
	e.time(2, p.At, 0)
	e.word(3, string(p.Event), wordsEvent)
	e.word(4, string(p.Kind), wordsKind)
	e.str(5, p.Cause)
	e.str(6, string(p.Rollout))
	e.word(7, string(p.State), wordsState)
	e.str(8, p.Chain)
}

func decodePending(d *dec) (p ota.Pending) {
	for d.next() {
		switch d.n {
		case 1:
			p.Num = int(d.int())
		case 2:
			p.At = d.time(0)
		case 3:
			p.Event = ota.Event(d.word(wordsEvent))
		case 4:
			p.Kind = ota.Kind(d.word(wordsKind))
		case 5:
			p.Cause = d.str()
		case 6:
			p.Rollout = ota.RolloutID(d.str())
		case 7:
			p.State = ota.State(d.word(wordsState))
		case 8:
			p.Chain = d.str()
		}
	}
	return p
}

func encodeParked(e *enc, p *ota.Parked) {
	e.int(1, int64(p.Num))
	e.time(2, p.At, 0)
	e.str(3, p.Update)
	e.word(4, string(p.Kind), wordsKind)
	e.str(5, p.Digest)
	e.str(6, string(p.Data))
}

func decodeParked(d *dec) (p ota.Parked) {
	for d.next() {
		switch d.n {
		case 1:
			p.Num = int(d.int())
		case 2:
			p.At = d.time(0)
		case 3:
			p.Update = d.str()
		case 4:
			p.Kind = ota.Kind(d.word(wordsKind))
		case 5:
			p.Digest = d.str()
		case 6:
			p.Data = []byte(d.str())
		}
	}
	return p
}

// settle brings the times of a home to what its record holds: whole
// milliseconds in UTC. What a process keeps of a home after a commit is then
// what another would load, and due entries mean the same to both.
func settle(h *ota.Home) {
	for i := range h.Alarms {
		settleTime(&h.Alarms[i].Raised)
		settleTime(&h.Alarms[i].Last)
	}
	for i := range h.Marks {
		settleTime(&h.Marks[i].Until)
	}
	for i := range h.Pending {
		settleTime(&h.Pending[i].At)
	}
	for i := range h.Parked {
		settleTime(&h.Parked[i].At)
	}
	if d := h.Device; d != nil {
		settleTime(&d.Created)
		settleTime(&d.Heard)
		settleTime(&d.Provisioned)
		settleTime(&d.Claim.Until)
		for i := range d.Sessions {
			settleTime(&d.Sessions[i].Since)
		}
		settleTrack(&d.Firmware)
		settleTrack(&d.Software)
	}
}

func settleTrack(t *ota.Track) {
	settleTime(&t.Offer.At)
	if t.Assigned != nil {
		settleTime(&t.Assigned.At)
	}
	u := t.Update
	if u == nil {
		return
	}
	for _, at := range [...]*time.Time{&u.Queued, &u.Entered, &u.LastWord, &u.NotBefore, &u.HeldFrom} {
		settleTime(at)
	}
	u.HeldFor -= u.HeldFor % time.Millisecond
	if r := u.Timeout % time.Millisecond; r > 0 {
		u.Timeout += time.Millisecond - r
	}
	for i := range u.History {
		settleTime(&u.History[i].At)
	}
}

func settleTime(t *time.Time) {
	if !t.IsZero() {
		*t = time.UnixMilli(t.UnixMilli()).UTC()
	}
}

// revisionPrefix begins a field of revision text; its length, one byte, and the
// text follow.
var revisionPrefix = binary.AppendUvarint(nil, uint64(fHomeRevision)<<2|formBytes)
