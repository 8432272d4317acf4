package chaintest

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"hash/fnv"
	"math/rand/v2"
	"strconv"
	"sync"
	"time"

	"github.com/windlass-ota/windlass/engine"
	"github.com/windlass-ota/windlass/internal/yamlx"
	"github.com/windlass-ota/windlass/ota"
)

// noon is when a case begins that gives no clock.
var noon = time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC)

// newWorld builds the world that a case begins with.
func newWorld(ctx context.Context, f *File, c *Case, l *loads, seen *Coverage) (*world, error) {
	g := c.given
	now := noon
	if g.Clock != nil {
		now = g.Clock.UTC()
	}
	w := &world{
		ctx: ctx, seed: f.Chain + "/" + c.Name, given: &c.given, loads: l, st: newStore(now), cw: newClockwork(), files: &blobs{}, mocks: &mocks{},
		byID: map[ota.DeviceID]*actor{}, began: now, runs: map[runKey]run{}, seen: newCoverage(), last: runKey{chain: f.Chain}, chunk: 16 << 10,
	}
	w.st.changed = w.cw.changed
	w.wish = ota.Wishes{Homes: w.st, Facts: w.st, Chain: conductor, NewID: w.newDeviceID, NewRollout: w.newRolloutID, Plan: w.plan}
	w.cw.room, w.st.doors.moved = w.st.room, func() { w.cw.stir = true }
	if err := w.start(); err != nil {
		return nil, err
	}
	if err := w.furnish(g); err != nil {
		return w, err
	}
	if err := w.settle(); err != nil {
		return w, err
	}
	// What was given counts for nothing.
	w.runs, w.said, w.replies, w.refused, w.words, w.seen = map[runKey]run{}, nil, nil, nil, nil, seen
	return w, nil
}

func (w *world) furnish(g given) error {
	for _, p := range g.Packages {
		if _, err := w.makePackage(p, true); err != nil {
			return err
		}
		w.chunk = max(w.chunk, int64(p.Size)/10)
	}
	for _, a := range g.Assignments {
		if err := w.assign(a); err != nil {
			return err
		}
	}
	for i := range g.Devices {
		for _, name := range g.Devices[i].names() {
			if err := w.makeDevice(name, &g.Devices[i]); err != nil {
				return err
			}
		}
	}
	return nil
}

func (w *world) newDeviceID(_ context.Context, _ ota.TenantID, name string) (ota.DeviceID, error) {
	return ota.DeviceID(idOf("device " + name)), nil
}

func (w *world) newRolloutID() ota.RolloutID {
	w.rollouts++
	return ota.RolloutID(idOf("rollout " + strconv.Itoa(w.rollouts)))
}

// idOf makes the same id of the same words in each run.
func idOf(words string) string {
	h := sha256.Sum256([]byte(words))
	h[6], h[8] = h[6]&0x0f|0x80, h[8]&0x3f|0x80
	s := hex.EncodeToString(h[:16])
	return s[:8] + "-" + s[8:12] + "-" + s[12:16] + "-" + s[16:20] + "-" + s[20:]
}

func (w *world) write(h *ota.Home, values ...ota.Value) error {
	return w.st.Commit(w.ctx, &ota.Turn{ID: ota.NewTurnID(), Home: h, Values: values})
}

// profile finds a device profile, or makes it.
func (w *world) profile(name string) (ota.Ref, error) {
	ref, err := w.st.Find(w.ctx, tenant, ota.ProfileRef, name)
	if ota.CodeOf(err) != ota.NotFound {
		return ref, err
	}
	ref = ota.Ref{Tenant: tenant, Type: ota.ProfileRef, ID: idOf("profile " + name)}
	return ref, w.write(&ota.Home{Ref: ref, Profile: &ota.Profile{ID: ota.ProfileID(ref.ID), Tenant: tenant, Name: name, Created: w.st.Now()}})
}

func (w *world) makePackage(d packageDoc, ready bool) (*ota.Home, error) {
	prof, err := w.profile(d.Profile)
	if err != nil {
		return nil, err
	}
	v := ota.Version{Title: d.Title, Version: d.Version, Tag: d.Tag}
	p := &ota.Package{
		Tenant: tenant, Profile: ota.ProfileID(prof.ID), Kind: d.Kind, Version: v, Size: int64(d.Size), Labels: d.Labels, Description: d.Description,
		Quarantine: d.Quarantine, URL: d.URL, Created: w.st.Now(), Ready: ready, FileName: d.Title + "-" + d.Version + ".bin",
	}
	if p.Kind == "" {
		p.Kind = ota.Firmware
	}
	p.ID = ota.PackageID(idOf("package " + v.String()))
	if d.URL == "" {
		if p.Size == 0 {
			p.Size = 1000
		}
		f := fileOf(v.String(), p.Size)
		p.Blob, p.Algorithm, p.Checksum = f.digest, ota.SHA256, f.digest
		w.files.put(f.digest, f.data)
	}
	h := &ota.Home{Ref: ota.Ref{Tenant: tenant, Type: ota.PackageRef, ID: string(p.ID)}, Package: p}
	if err := p.Check(); err != nil {
		return nil, err
	}
	return h, w.write(h)
}

// file is what a package holds.
type file struct {
	data   []byte
	digest string
}

var (
	filesMu sync.Mutex
	files   = map[string]file{} // the same for all cases
)

// fileOf makes the bytes of a package: the same for the same name and size.
func fileOf(name string, size int64) file {
	filesMu.Lock()
	defer filesMu.Unlock()
	key := name + " " + strconv.FormatInt(size, 10)
	if f, ok := files[key]; ok {
		return f
	}
	h := fnv.New64a()
	h.Write([]byte(key))
	var seed [32]byte
	copy(seed[:], h.Sum(nil))
	data := make([]byte, size)
	_, _ = rand.NewChaCha8(seed).Read(data) // it never fails
	sum := sha256.Sum256(data)
	f := file{data, hex.EncodeToString(sum[:])}
	files[key] = f
	return f
}

func (w *world) makeDevice(name string, d *deviceDoc) error {
	prof, err := w.profile(d.Profile)
	if err != nil {
		return err
	}
	id, err := w.newDeviceID(w.ctx, tenant, name)
	if err != nil {
		return err
	}
	dev := ota.Device{ID: id, Tenant: tenant, Name: name, Profile: ota.ProfileID(prof.ID), Zone: d.Zone, Owner: ota.OwnerID(d.Owner), Credentials: ota.Credentials{Token: "token of " + name}}
	for _, g := range d.Groups {
		dev.Groups = append(dev.Groups, ota.GroupID(g))
	}
	dev.Firmware.Reported, dev.Software.Reported = ota.Version(d.Runs), ota.Version(d.Software)
	h := ota.NewDevice(dev, w.st.Now())
	a := &actor{w: w, name: name, ref: h.Ref, profile: d.Profile}
	if d.Online == nil || *d.Online {
		w.session++
		a.session, a.online = ota.SessionID{Process: w.process(), Num: w.session}, true
		h.Device.OpenSession(ota.Session{ID: a.session, Transport: "mqtt", Since: w.st.Now()})
		h.Device.Heard = w.st.Now()
	}
	var values []ota.Value
	for _, x := range []struct {
		scope ota.Scope
		n     *yamlx.Node
	}{{ota.TelemetryScope, d.Telemetry}, {ota.ClientScope, d.Client}, {ota.SharedScope, d.Shared}, {ota.ServerScope, d.Server}} {
		values = append(values, valuesOf(x.scope, x.n, w.st.Now())...)
	}
	if err := w.write(h, values...); err != nil {
		return err
	}
	w.actors = append(w.actors, a)
	w.byID[id] = a
	if d.Behaves != nil {
		a.play(*d.Behaves, ota.Version(d.Runs), w.chunk)
	}
	return nil
}

// valuesOf are the members of a map as values of a scope.
func valuesOf(scope ota.Scope, n *yamlx.Node, now time.Time) []ota.Value {
	var out []ota.Value
	if n != nil {
		for _, p := range n.Pairs {
			v := ota.Value{Scope: scope, Key: p.Key.Text, JSON: jsonOf(p.Value), TS: now}
			if p.Value.Null() {
				v.JSON = nil
			}
			out = append(out, v)
		}
	}
	return out
}

// jsonOf writes a node as JSON. Numbers stay as they are written, so that 1.10
// stays 1.10.
func jsonOf(n *yamlx.Node) []byte {
	var b bytes.Buffer
	switch n.Kind {
	case yamlx.Map:
		b.WriteByte('{')
		for i, p := range n.Pairs {
			if i > 0 {
				b.WriteByte(',')
			}
			b.Write(quoted(p.Key.Text))
			b.WriteByte(':')
			b.Write(jsonOf(p.Value))
		}
		b.WriteByte('}')
	case yamlx.List:
		b.WriteByte('[')
		for i, x := range n.Items {
			if i > 0 {
				b.WriteByte(',')
			}
			b.Write(jsonOf(x))
		}
		b.WriteByte(']')
	default:
		b.Write(scalarJSON(n))
	}
	return b.Bytes()
}

func scalarJSON(n *yamlx.Node) []byte {
	switch n.Value().(type) {
	case nil:
		return []byte("null")
	case bool:
		return []byte(n.Text)
	case int, float64:
		if json.Valid([]byte(n.Text)) {
			return []byte(n.Text)
		}
	}
	return quoted(n.Text)
}

func quoted(s string) []byte {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	_ = e.Encode(s) // text always encodes
	return bytes.TrimRight(b.Bytes(), "\n")
}

// actor finds a device by its name; "" is the only one.
func (w *world) actor(name string) (*actor, error) {
	if name == "" {
		if len(w.actors) != 1 {
			return nil, fmt.Errorf("which of the %d devices? name one", len(w.actors))
		}
		return w.actors[0], nil
	}
	var names []string
	for _, a := range w.actors {
		if a.name == name {
			return a, nil
		}
		names = append(names, a.name)
	}
	if ref, err := w.st.Find(w.ctx, tenant, ota.DeviceRef, name); err == nil { // a chain has made it
		a := &actor{w: w, name: name, ref: ref}
		w.actors = append(w.actors, a)
		w.byID[ota.DeviceID(ref.ID)] = a
		return a, nil
	}
	return nil, fmt.Errorf("there is no device %s%s", name, engine.DidYouMean(name, names))
}
