package nodes

import (
	"context"
	"errors"
	"slices"
	"strings"

	"github.com/tidwall/gjson"

	"github.com/windlass-ota/windlass/engine"
	"github.com/windlass-ota/windlass/ota"
)

// Docs of settings that several nodes have.
const (
	docKind   = "Firmware or software. Left out, it is that of `update`, else that of the message."
	docReason = "Why, in words for people; shown by `explain` and on the device's page."
)

// kindOf reads a setting of a kind; left out it is the run's.
func kindOf(r *engine.Run, s engine.Kind) (ota.Kind, error) {
	k, err := s.Get(r)
	if err != nil {
		return "", err
	}
	if k = r.Kind(k); !k.Valid() {
		return "", errors.New("kind is required here: neither an update nor the message has one")
	}
	return k, nil
}

// packageOf reads a package; absent is nil without an error.
func packageOf(ctx context.Context, r *engine.Run, id ota.PackageID) (*ota.Package, error) {
	if id == "" {
		return nil, nil
	}
	h, err := r.Facts.Get(ctx, ota.Ref{Tenant: r.Msg.Tenant, Type: ota.PackageRef, ID: string(id)})
	switch {
	case ota.CodeOf(err) == ota.NotFound:
		return nil, nil
	case err != nil:
		return nil, err
	}
	return h.Package, nil
}

// rolloutOf reads a rollout; absent is nil without an error.
func rolloutOf(ctx context.Context, r *engine.Run, id ota.RolloutID) (*ota.Rollout, error) {
	if id == "" {
		return nil, nil
	}
	h, err := r.Facts.Get(ctx, ota.Ref{Tenant: r.Msg.Tenant, Type: ota.RolloutRef, ID: string(id)})
	switch {
	case ota.CodeOf(err) == ota.NotFound:
		return nil, nil
	case err != nil:
		return nil, err
	}
	return h.Rollout, nil
}

// use makes pkg the run's package, in force by eff. eff is nil where pkg is not
// what is in force now.
func use(r *engine.Run, pkg *ota.Package, eff *ota.Effective) {
	r.Package, r.Source, r.By = pkg, ota.Source{}, ""
	if eff != nil {
		r.Source, r.By = eff.Source, eff.Rollout
	}
}

// follow notes that the run has decided about the assignment by which its
// package is in force. A package that came another way is no assignment.
func follow(r *engine.Run, t *ota.Track) {
	r.Decided()
	if r.Source.Type != "" {
		t.Followed = ota.Followed{Package: r.Package.ID, Rollout: r.By, Source: r.Source}
	}
}

// pushOffer tells the device what is on offer: all attributes in one word, so
// that it never sees half of them. No names are deleted with it: what an
// earlier offer had besides is simply not there when the device asks, whereas a
// list of deleted names that comes late makes ThingsBoard's own clients forget
// the offer.
func pushOffer(r *engine.Run, pkg *ota.Package) {
	r.Push(ota.Reply{
		Word: ota.SayOffer, Kind: pkg.Kind, Section: ota.Section{Package: pkg},
		Shared: ota.Object(ota.OfferAttributes(pkg)),
	})
}

// openUpdate is the open update that a node is about, or a Conflict.
func openUpdate(r *engine.Run, op string) (*ota.Update, error) {
	if u := r.Update(); u.Open() {
		return u, nil
	}
	return nil, ota.Errorf(ota.Conflict, op, "no update is open")
}

// maxNote bounds, in characters, what a device or a chain says and a home
// keeps. It is above the length of titles and versions, so that no two of them
// become equal by being cut.
const maxNote = 512

// clip cuts text that goes into a home and drops what is not UTF-8.
func clip(s string) string {
	s = strings.ToValidUTF8(s, "\uFFFD")
	n := 0
	for i := range s {
		if n++; n > maxNote {
			return s[:i] + "…"
		}
	}
	return s
}

// word reads a setting that is one of some words. The loader checks a literal;
// what an expression gives is checked here.
func word(r *engine.Run, key string, s engine.Text, words ...string) (string, error) {
	w, err := s.Get(r)
	if err == nil && !slices.Contains(words, w) {
		err = ota.Errorf(ota.Internal, key, "is %q, want one of %s", w, strings.Join(words, ", "))
	}
	return w, err
}

// members lists the members of a JSON object, in their order and as they were
// written. A null says nothing and is left out.
func members(raw []byte) ([]ota.Attr, error) {
	doc := gjson.ParseBytes(raw)
	if !doc.IsObject() {
		return nil, ota.Errorf(ota.Invalid, "values", "want an object of keys and values, not %.40s", raw)
	}
	var out []ota.Attr
	empty := false
	doc.ForEach(func(key, v gjson.Result) bool {
		if v.Type != gjson.Null {
			out = append(out, ota.Attr{Name: key.String(), JSON: v.Raw})
			empty = empty || key.String() == ""
		}
		return true
	})
	if empty {
		return nil, ota.Errorf(ota.Invalid, "values", "a key is empty")
	}
	return out, nil
}

// said is a word in one of two forms: json as JSON, else body as it is.
func said(r *engine.Run, op string, body, json engine.Data) ([]byte, error) {
	if json.Given() {
		return r.JSON(json)
	}
	v, err := body.Get(r)
	if err != nil {
		return nil, err
	}
	switch x := v.(type) {
	case nil:
		return nil, nil
	case string:
		return []byte(x), nil
	case []byte:
		return x, nil
	}
	return nil, ota.Errorf(ota.Internal, op, "body is neither text nor bytes; say it as json")
}
