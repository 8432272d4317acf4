package storetest

import (
	"context"
	"fmt"
	"slices"
	"testing"

	"github.com/windlass-ota/windlass/ota"
)

func pagesOfDevices(t *testing.T, w *world) {
	ctx := t.Context()
	pkg := w.newPackage("2").Package
	var all, odd, queued, alarmed []ota.Ref
	for i := range 60 {
		h := w.device(t, fmt.Sprintf("d%02d", i))
		if i%2 == 1 {
			h.Device.Profile = "odd"
			odd = append(odd, h.Ref)
		}
		if i%7 == 0 {
			h.Raise("battery", ota.Warning, "low", w.Store.Now())
			alarmed = append(alarmed, h.Ref)
		}
		if i%10 == 0 {
			h.Device.Firmware.Enqueue(pkg, "1", "", "", w.Store.Now())
			queued = append(queued, h.Ref)
		}
		all = append(all, w.create(t, h).Ref)
	}
	gone := turn(w.load(t, all[7]))
	gone.Delete = true
	if err := w.Store.Commit(ctx, gone); err != nil {
		t.Fatal(err)
	}
	without := func(refs []ota.Ref) []ota.Ref {
		return slices.DeleteFunc(slices.Clone(refs), func(r ota.Ref) bool { return r == all[7] })
	}
	w.commit(t, alarmed[0], func(x *ota.Turn) { x.Home.Clear("battery") })
	alarmed = alarmed[1:]
	for _, limit := range []int{1, 7, 1000} {
		for name, c := range map[string]struct {
			q    ota.Query
			want []ota.Ref
		}{
			"all":     {ota.Query{}, without(all)},
			"profile": {ota.Query{Profile: "odd"}, without(odd)},
			"state":   {ota.Query{Kind: ota.Firmware, State: ota.Queued}, queued},
			"alarmed": {ota.Query{Alarmed: true}, without(alarmed)},
			"none":    {ota.Query{Kind: ota.Software, State: ota.Queued}, nil},
		} {
			c.q.Tenant, c.q.Type, c.q.Limit = w.tenant, ota.DeviceRef, limit
			got := w.walk(t, ctx, c.q)
			sortRefs(got)
			sortRefs(c.want)
			if !slices.Equal(got, c.want) {
				t.Errorf("%s by %d: %d devices, want %d", name, limit, len(got), len(c.want))
			}
		}
	}
	for _, q := range []ota.Query{{Limit: 0}, {Limit: 1001}, {Limit: 1, Cursor: "x"}, {Limit: 1, Cursor: "256.0"}} {
		q.Tenant, q.Type = w.tenant, ota.DeviceRef
		_, err := w.Store.List(ctx, q)
		want(t, err, ota.Invalid)
	}
}

func (w *world) walk(t fataler, ctx context.Context, q ota.Query) (refs []ota.Ref) { //nolint:revive // t comes first in tests
	t.Helper()
	for {
		page, err := w.Store.List(ctx, q)
		if err != nil {
			t.Fatalf("list: %v", err)
		}
		if len(page.Homes) > q.Limit {
			t.Fatalf("%d homes in a page of %d", len(page.Homes), q.Limit)
		}
		for _, h := range page.Homes {
			refs = append(refs, h.Ref)
		}
		if page.Next == "" {
			return refs
		}
		q.Cursor = page.Next
	}
}

func sortRefs(refs []ota.Ref) {
	slices.SortFunc(refs, func(a, b ota.Ref) int {
		switch {
		case a.ID < b.ID:
			return -1
		case a.ID > b.ID:
			return 1
		}
		return 0
	})
}

func pagesOfNouns(t *testing.T, w *world) {
	ctx := t.Context()
	var names []string
	for i := range 23 {
		names = append(names, w.create(t, w.newProfile(fmt.Sprintf("p%02d", 22-i))).Profile.Name)
	}
	slices.Sort(names)
	for _, limit := range []int{1, 5, 23, 100} {
		var got []string
		for _, r := range w.walk(t, ctx, ota.Query{Tenant: w.tenant, Type: ota.ProfileRef, Limit: limit}) {
			got = append(got, w.load(t, r).Profile.Name)
		}
		if !slices.Equal(got, names) {
			t.Errorf("by %d: %v", limit, got)
		}
	}
	for prefix, count := range map[string]int{"p0": 10, "p1": 10, "p2": 3, "p": 23, "p22": 1, "o": 0, "q": 0} {
		got := w.walk(t, ctx, ota.Query{Tenant: w.tenant, Type: ota.ProfileRef, Prefix: prefix, Limit: 4})
		if len(got) != count {
			t.Errorf("%d names begin with %s, want %d", len(got), prefix, count)
		}
	}
}
