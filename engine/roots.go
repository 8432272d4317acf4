package engine

import (
	"slices"
	"strings"
	"time"

	"github.com/windlass-ota/windlass/ota"
)

// member is one thing below a root that expressions may name.
type member struct {
	typ    Type
	absent bool     // may be absent: needs ?? before it is reckoned with
	words  []string // the only words that it can be
	get    func(r *Run) any
	fill   filler // instead of get
	stable bool   // does not change while the run goes on
}

// The members of the roots that are nouns, by their path.
var (
	deviceMembers = map[string]member{
		"id":        {typ: TextType, get: ofDevice(func(d *ota.Device) any { return string(d.ID) }), stable: true},
		"name":      {typ: TextType, get: ofDevice(func(d *ota.Device) any { return d.Name })},
		"profile":   {typ: TextType, get: func(r *Run) any { return profileName(r.profile) }},
		"owner":     {typ: TextType, get: ofDevice(func(d *ota.Device) any { return string(d.Owner) })},
		"zone":      {typ: TextType, absent: true, get: ofDevice(func(d *ota.Device) any { return orAbsent(d.Zone) })},
		"groups":    {typ: ListType, get: ofDevice(func(d *ota.Device) any { return anyList(d.Groups) })},
		"online":    {typ: BoolType, get: func(r *Run) any { return r.device != nil && r.device.Online(r.Now) }},
		"last_seen": {typ: TimeType, get: ofDevice(func(d *ota.Device) any { return d.Heard })},
	}
	packageMembers = map[string]member{
		"id":                 {typ: TextType, get: ofPackage(func(p *ota.Package) any { return string(p.ID) })},
		"title":              {typ: TextType, get: ofPackage(func(p *ota.Package) any { return p.Title })},
		"version":            {typ: TextType, get: ofPackage(func(p *ota.Package) any { return p.Version.Version })},
		"tag":                {typ: TextType, get: ofPackage(func(p *ota.Package) any { return p.Tag })},
		"kind":               {typ: KindType, words: kindWords, get: ofPackage(func(p *ota.Package) any { return string(p.Kind) })},
		"profile":            {typ: TextType, get: ofPackage(func(p *ota.Package) any { return string(p.Profile) })},
		"url":                {typ: TextType, get: ofPackage(func(p *ota.Package) any { return p.URL })},
		"checksum":           {typ: TextType, get: ofPackage(func(p *ota.Package) any { return p.Checksum })},
		"checksum_algorithm": {typ: TextType, words: words(ota.ChecksumAlgorithms()), get: ofPackage(func(p *ota.Package) any { return string(p.Algorithm) })},
		"file_name":          {typ: TextType, get: ofPackage(func(p *ota.Package) any { return p.FileName })},
		"description":        {typ: TextType, get: ofPackage(func(p *ota.Package) any { return p.Description })},
		"size":               {typ: IntType, get: ofPackage(func(p *ota.Package) any { return int(p.Size) })},
		"labels":             {typ: MapType, get: ofPackage(func(p *ota.Package) any { return anyMap(p.Labels) })},
	}
	updateMembers = map[string]member{
		"id":       {typ: TextType, get: ofUpdate(func(u *ota.Update) any { return u.ID })},
		"kind":     {typ: KindType, words: kindWords, get: ofUpdate(func(u *ota.Update) any { return string(u.Kind) })},
		"state":    {typ: TextType, words: stateWords, get: ofUpdate(func(u *ota.Update) any { return string(u.State) })},
		"error":    {typ: TextType, get: ofUpdate(func(u *ota.Update) any { return u.Error })},
		"cause":    {typ: TextType, get: ofUpdate(func(u *ota.Update) any { return u.Cause })},
		"rollout":  {typ: TextType, get: ofUpdate(func(u *ota.Update) any { return string(u.Rollout) })},
		"attempt":  {typ: IntType, get: ofUpdate(func(u *ota.Update) any { return u.Attempt })},
		"progress": {typ: NumberType, get: progress},
		"entered":  {typ: TimeType, get: ofUpdate(func(u *ota.Update) any { return u.Entered })},
		"waited":   {typ: DurationType, get: waited},

		"target.title":     {typ: TextType, get: ofUpdate(func(u *ota.Update) any { return u.Target.Title })},
		"target.version":   {typ: TextType, get: ofUpdate(func(u *ota.Update) any { return u.Target.Version })},
		"from.title":       {typ: TextType, get: ofUpdate(func(u *ota.Update) any { return u.From.Title })},
		"from.version":     {typ: TextType, get: ofUpdate(func(u *ota.Update) any { return u.From.Version })},
		"reported.title":   {typ: TextType, get: ofUpdate(func(u *ota.Update) any { return u.Reported.Title })},
		"reported.version": {typ: TextType, get: ofUpdate(func(u *ota.Update) any { return u.Reported.Version })},
	}
	rolloutMembers = map[string]member{
		"id":         {typ: TextType, get: ofRollout(func(x *ota.Rollout) any { return string(x.ID) })},
		"kind":       {typ: KindType, words: kindWords, get: ofRollout(func(x *ota.Rollout) any { return string(x.Kind) })},
		"target":     {typ: TextType, get: ofRollout(func(x *ota.Rollout) any { return string(x.Target.Type) + ":" + x.Target.ID })},
		"stage":      {typ: TextType, get: ofRollout(func(x *ota.Rollout) any { return x.Stage })},
		"reason":     {typ: TextType, get: ofRollout(func(x *ota.Rollout) any { return x.Reason })},
		"started_by": {typ: TextType, get: ofRollout(func(x *ota.Rollout) any { return x.By })},
		"share":      {typ: NumberType, get: ofRollout(func(x *ota.Rollout) any { return x.Quota })},
		"paused":     {typ: BoolType, get: ofRollout(func(x *ota.Rollout) any { return x.State == ota.RolloutPaused })},
		"started":    {typ: TimeType, get: ofRollout(func(x *ota.Rollout) any { return x.Started })},

		"members":      {typ: IntType, fill: ofCounts(func(c ota.RolloutCounts) any { return c.Members })},
		"decided":      {typ: IntType, fill: ofCounts(func(c ota.RolloutCounts) any { return c.Decided() })},
		"updated":      {typ: IntType, fill: ofCounts(func(c ota.RolloutCounts) any { return c.Updated })},
		"failed":       {typ: IntType, fill: ofCounts(func(c ota.RolloutCounts) any { return c.Failed })},
		"silent":       {typ: IntType, fill: ofCounts(func(c ota.RolloutCounts) any { return c.Silent })},
		"in_flight":    {typ: IntType, fill: ofCounts(func(c ota.RolloutCounts) any { return c.InFlight })},
		"waiting":      {typ: IntType, fill: ofCounts(func(c ota.RolloutCounts) any { return c.Waiting })},
		"held":         {typ: IntType, fill: ofCounts(func(c ota.RolloutCounts) any { return c.Held })},
		"skipped":      {typ: IntType, fill: ofCounts(func(c ota.RolloutCounts) any { return c.Skipped })},
		"failed_share": {typ: NumberType, fill: ofCounts(func(c ota.RolloutCounts) any { return c.FailedShare() })},
	}
	errorMembers = map[string]member{
		"code":    {typ: TextType, words: codeWords, get: ofError(func(e *runError) any { return string(e.code) })},
		"message": {typ: TextType, get: ofError(func(e *runError) any { return e.err.Error() })},
		"step":    {typ: TextType, get: ofError(func(e *runError) any { return e.step })},
		"node":    {typ: TextType, get: ofError(func(e *runError) any { return e.node })},
		"attempt": {typ: IntType, get: ofError(func(e *runError) any { return e.attempt })},
	}
	runMembers = map[string]member{
		"id":       {typ: TextType, stable: true, get: func(r *Run) any { return hexID(r.origin()) }},
		"chain":    {typ: TextType, stable: true, get: func(r *Run) any { return r.chain.Name }},
		"revision": {typ: TextType, stable: true, get: func(r *Run) any { return r.chain.Digest }},
		"started":  {typ: TimeType, stable: true, get: func(r *Run) any { return r.begunAt() }},
	}
	nounRoots = map[string]map[string]member{
		"device": withTracks(deviceMembers), "package": packageMembers, "update": updateMembers, "rollout": withPackage(rolloutMembers),
		"error": errorMembers, "run": runMembers,
	}
)

func withTracks(m map[string]member) map[string]member {
	for _, k := range ota.Kinds() {
		of := func(get func(v ota.Version) string) func(r *Run) any {
			return ofDevice(func(d *ota.Device) any { return get(d.Track(k).Reported) })
		}
		m[string(k)+".title"] = member{typ: TextType, get: of(func(v ota.Version) string { return v.Title })}
		m[string(k)+".version"] = member{typ: TextType, get: of(func(v ota.Version) string { return v.Version })}
		m[string(k)+".tag"] = member{typ: TextType, get: of(func(v ota.Version) string { return v.Tag })}
	}
	return m
}

// withPackage adds the package that a rollout is about, which is the run's.
func withPackage(m map[string]member) map[string]member {
	for k, x := range packageMembers {
		m["package."+k] = x
	}
	return m
}

// The getters below answer nil, and with it the type's zero value, where the
// noun is not there.

func ofDevice(get func(*ota.Device) any) func(*Run) any {
	return func(r *Run) any {
		if r.device == nil {
			return nil
		}
		return get(r.device)
	}
}

func ofPackage(get func(*ota.Package) any) func(*Run) any {
	return func(r *Run) any {
		if r.Package == nil {
			return nil
		}
		return get(r.Package)
	}
}

func ofUpdate(get func(*ota.Update) any) func(*Run) any {
	return func(r *Run) any {
		u := r.Update()
		if u == nil {
			return nil
		}
		return get(u)
	}
}

func ofRollout(get func(*ota.Rollout) any) func(*Run) any {
	return func(r *Run) any {
		if r.Rollout == nil {
			return nil
		}
		return get(r.Rollout)
	}
}

func ofError(get func(*runError) any) func(*Run) any {
	return func(r *Run) any {
		if r.err == nil {
			return nil
		}
		return get(r.err)
	}
}

func profileName(p *ota.Profile) any {
	if p == nil {
		return nil
	}
	return p.Name
}

func progress(r *Run) any {
	u := r.Update()
	if u == nil {
		return nil
	}
	var size int64
	if r.Package != nil && r.Package.ID == u.Package {
		size = r.Package.Size
	}
	return float64(u.Percent(size))
}

// waited is how long the update's device has said nothing in this state.
func waited(r *Run) any {
	u := r.Update()
	if u == nil {
		return nil
	}
	from := u.Entered
	if u.LastWord.After(from) {
		from = u.LastWord
	}
	return r.Now.Sub(from).Round(time.Second)
}

func orAbsent(s string) any {
	if s == "" {
		return nil
	}
	return s
}

func anyList[T ~string](xs []T) any {
	out := make([]any, len(xs))
	for i, x := range xs {
		out[i] = string(x)
	}
	return out
}

func anyMap(m map[string]string) any {
	out := make(map[string]any, len(m))
	for k, v := range m {
		out[k] = v
	}
	return out
}

// filler makes the member fill its slot.
func (m member) filler() filler {
	if m.fill != nil {
		return m.fill
	}
	zero := m.typ.zero()
	if m.absent {
		zero = nil
	}
	get := m.get
	return func(r *Run, i int32) error {
		v := get(r)
		if v == nil {
			v = zero
		}
		r.put(i, v)
		return nil
	}
}

// longest finds the member with the longest path that path begins with.
func longest(members map[string]member, path []string) (m member, n int, ok bool) {
	for n = min(len(path), 2); n > 0; n-- {
		if m, ok = members[strings.Join(path[:n], ".")]; ok {
			return m, n, true
		}
	}
	return m, 0, false
}

// memberWords lists what can follow a root, for "did you mean".
func memberWords(members map[string]member) []string {
	var out []string
	for _, k := range sortedKeys(members) {
		head, _, _ := strings.Cut(k, ".")
		if !slices.Contains(out, head) {
			out = append(out, head)
		}
	}
	return out
}
