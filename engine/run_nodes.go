package engine

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"slices"
	"strings"
	"time"

	"github.com/windlass-ota/windlass/ota"
)

// subject is whom a run is about.
type subject struct {
	device  *ota.Device
	profile *ota.Profile
}

// See makes another device the root "device" of expressions from here on. It is
// shared: nobody changes it. The run stays about the device that it was about,
// and nodes that are about a device go on with that one, since a run writes its
// own home alone.
func (r *Run) See(d *ota.Device, p *ota.Profile) {
	if r.own == nil {
		r.own = &subject{r.device, r.profile}
	}
	r.device, r.profile = d, p
	r.env.read = facts{}
}

// After lets f be called after the commit: for words that nobody must hear
// twice. It is not called where the run fails or is run again. f must not use
// the run, must not wait and must not panic.
func (r *Run) After(f func()) { r.wants.after = append(r.wants.after, f) }

// deadWish is why a run shall be kept for people, and at which step.
type deadWish struct{ step, reason string }

// Dead keeps the run as a dead letter, with what it has changed: for a step that
// ends the run.
func (r *Run) Dead(reason string) { r.wants.dead = &deadWish{r.Step(), reason} }

// Values returns those of the device's values of a scope that exist, sorted by
// key; all of them where keys is nil. What this run itself has set or deleted
// counts, although nothing of it is written yet.
func (r *Run) Values(ctx context.Context, s ota.Scope, keys []string) ([]ota.Value, error) {
	return r.ValuesFrom(ctx, r.Facts, s, keys)
}

// ValuesFrom is [Run.Values] out of other facts than the run's: of the store
// itself, say.
func (r *Run) ValuesFrom(ctx context.Context, f ota.Facts, s ota.Scope, keys []string) ([]ota.Value, error) {
	values, err := r.valuesFrom(ctx, f, ota.RefOf(r.Msg.Tenant, r.Msg.Device), s, keys)
	if err != nil || len(r.wants.values) == 0 {
		return values, err
	}
	values = slices.Clone(values)
	for _, v := range r.wants.values {
		if v.Scope != s || keys != nil && !slices.Contains(keys, v.Key) {
			continue
		}
		at, found := slices.BinarySearchFunc(values, v.Key, func(x ota.Value, key string) int { return cmp.Compare(x.Key, key) })
		switch {
		case v.JSON == nil && found:
			values = slices.Delete(values, at, at+1)
		case v.JSON == nil:
		case found:
			values[at] = v
		default:
			values = slices.Insert(values, at, v)
		}
	}
	return values, nil
}

// JSON works a setting out as JSON; nil where it is absent. What is exactly one
// JSON member of the message (msg.values, msg.params, msg.result, msg.limits)
// comes as it was written, so that 1.10 stays 1.10. Nothing is escaped for HTML.
func (r *Run) JSON(s Data) ([]byte, error) {
	if s.eval != nil && s.eval.one != nil {
		switch strings.TrimSpace(s.eval.one.text) {
		case "msg.values":
			return r.Msg.Values, nil
		case "msg.params":
			return r.Msg.Params, nil
		case "msg.result":
			return r.Msg.Result, nil
		case "msg.limits":
			return r.Msg.Limits, nil
		}
	}
	v, err := s.Get(r)
	if err != nil || v == nil {
		return nil, err
	}
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	if err := e.Encode(jsonForm(v)); err != nil {
		return nil, ota.Errorf(ota.Invalid, "setting", "as JSON: %w", err)
	}
	return bytes.TrimSuffix(b.Bytes(), []byte("\n")), nil
}

// jsonForm gives times and durations the form in which the language prints them.
func jsonForm(v any) any {
	switch x := v.(type) {
	case time.Time, time.Duration:
		return printValue(x)
	case map[string]any:
		m := make(map[string]any, len(x))
		for k, e := range x {
			m[k] = jsonForm(e)
		}
		return m
	case []any:
		l := make([]any, len(x))
		for i, e := range x {
			l[i] = jsonForm(e)
		}
		return l
	}
	return v
}
