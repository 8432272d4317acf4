package engine

import (
	"context"
	"log/slog"
	"testing"

	"github.com/windlass-ota/windlass/ota"
)

// mark writes into the run's package.
func mark() Factory {
	return Define(Spec{Name: "mark", Subject: PackageSubject, Writes: true, Outlets: []Outlet{{Name: "marked"}}}, struct{}{}, func(struct{}) (Node, error) {
		return nodeFunc(func(_ context.Context, r *Run) (string, error) {
			r.Home.Package.Description = "seen"
			return "marked", nil
		}), nil
	})
}

// TestPackageAdded: a package is assignable when the run that checks it has
// ended well, and not before, whoever began that run.
func TestPackageAdded(t *testing.T) {
	const top = "chain: x\nsummary: A test.\ntrigger: {event: package_added, kind: firmware}\n"
	for _, x := range []struct {
		name, chain string
		kind        ota.Kind
		ready       bool
		seen        string
		pending     int
	}{
		{"checked", top + "steps: [{node: mark}]\n", ota.Firmware, true, "seen", 0},
		{"no chain is for its kind", top + "steps: [{node: mark}]\n", ota.Software, true, "", 0},
		{"the chain refuses it", top + "steps: [{node: mark}, {node: boom, with: {code: invalid}}]\n", ota.Firmware, false, "", 0},
		{"the chain has a fault", top + "steps: [{node: mark}, {node: boom, with: {code: internal}}]\n", ota.Firmware, false, "", 0},
		{"kept for people", top + "steps: [{node: mark}, {node: bury}]\n", ota.Firmware, false, "seen", 0},
		{"a part is away", top + "steps: [{node: mark}, {node: boom, with: {code: busy}}]\n", ota.Firmware, false, "", 1},
		{"it waits", top + "steps: [{node: mark}, {node: wait, with: {for: 1h}}]\n", ota.Firmware, false, "seen", 0},
	} {
		for _, due := range []bool{false, true} {
			reg, err := NewRegistry([]Factory{mark(), bury(), boom(), wait()})
			if err != nil {
				t.Fatal(err)
			}
			set, err := Compile(sources(x.chain), reg, Options{})
			if err != nil {
				t.Fatal(FaultsOf(err).Text())
			}
			s := newShelf()
			ref := ota.Ref{Tenant: "main", Type: ota.PackageRef, ID: "pkg"}
			h := &ota.Home{Ref: ref, Version: 1, Package: &ota.Package{ID: "pkg", Tenant: "main", Kind: x.kind}}
			h.Post(ota.Pending{At: testTime, Event: ota.PackageAdded, Kind: x.kind})
			s.homes[ref] = h
			e := New(set, Host{Homes: s, Facts: s, Fresh: s, Sender: s, Log: slog.New(slog.DiscardHandler)})
			m := ota.Message{Event: ota.PackageAdded, Tenant: "main", Home: ref, Kind: x.kind}
			if due {
				m = ota.Message{Event: ota.Due, Tenant: "main", Home: ref, Key: h.Dues()[0].Key}
			}
			_, _ = e.Handle(t.Context(), m)
			got := s.homes[ref]
			if got.Package.Ready != x.ready || got.Package.Description != x.seen || len(got.Pending) != x.pending {
				t.Errorf("%s (due %v): ready %v, %q, %d pending; want %v, %q, %d", x.name, due, got.Package.Ready, got.Package.Description, len(got.Pending), x.ready, x.seen, x.pending)
			}
		}
	}
}
