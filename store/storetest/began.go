package storetest

import (
	"fmt"
	"testing"
	"time"

	"github.com/windlass-ota/windlass/ota"
)

func beganCountsOnce(t *testing.T, w *world) {
	ctx := t.Context()
	h := w.device(t, "d1")
	h.Post(ota.Pending{At: w.Store.Now(), Event: ota.Decide})
	d := w.create(t, h)
	due := d.Dues()[0]
	began := &ota.Origin{Key: w.Entry(d.Ref, due.Key), Due: due.At.UnixMilli()}

	moved := turn(w.load(t, d.Ref))
	moved.Began = &ota.Origin{Key: began.Key, Due: began.Due + 1}
	want(t, w.Store.Commit(ctx, moved), ota.Conflict)

	w.commit(t, d.Ref, func(x *ota.Turn) {
		x.Began = began
		x.Home.Drop(1)
	})
	late := turn(w.load(t, d.Ref))
	late.Began = began
	want(t, w.Store.Commit(ctx, late), ota.Conflict)
}

func placeCountsOnce(t *testing.T, w *world) {
	ctx := t.Context()
	d := w.create(t, w.device(t, "d1"))
	pkg := &ota.Package{ID: ota.PackageID(ota.NewID()), Kind: ota.Firmware, Version: ota.Version{Title: "fw", Version: "2"}}
	rollout := ota.RolloutID(ota.NewID())
	w.commit(t, d.Ref, func(x *ota.Turn) {
		x.Home.Device.Firmware.Enqueue(pkg, "1", rollout, "", w.Store.Now())
		x.Home.Device.Firmware.Update.Place = 0.25
	})
	began := &ota.Origin{Place: &ota.Place{Rollout: rollout, Kind: ota.Firmware, Device: d.Device.ID, At: 0.25}}
	other := turn(w.load(t, d.Ref))
	other.Began = &ota.Origin{Place: &ota.Place{Rollout: rollout, Kind: ota.Software, Device: d.Device.ID}}
	want(t, w.Store.Commit(ctx, other), ota.Conflict)
	w.commit(t, d.Ref, func(x *ota.Turn) {
		x.Began = began
		if err := x.Home.Device.Firmware.Initiate(time.Hour, w.Store.Now()); err != nil {
			t.Fatal(err)
		}
	})
	late := turn(w.load(t, d.Ref))
	late.Began = began
	want(t, w.Store.Commit(ctx, late), ota.Conflict)
}

func lateOwnerIsRefused(t *testing.T, w *world) {
	ctx := t.Context()
	d := w.create(t, w.device(t, "d1"))
	shard, _, _ := d.Device.ID.Place()
	now := ota.Lease{Shard: shard, Owner: "new", Token: 12}
	if err := w.Hold(ctx, now); err != nil {
		t.Fatal(err)
	}
	for _, l := range []ota.Lease{{Shard: shard, Owner: "old", Token: 11}, {Shard: shard, Owner: "new", Token: 1}, {Shard: shard, Owner: "old", Token: 12}, {Shard: shard, Owner: "ne", Token: 12}} {
		late := turn(w.load(t, d.Ref))
		late.Began = &ota.Origin{Lease: l}
		want(t, w.Store.Commit(ctx, late), ota.Conflict)
	}
	w.commit(t, d.Ref, func(x *ota.Turn) { x.Began = &ota.Origin{Lease: now} })
	w.commit(t, d.Ref, func(x *ota.Turn) { x.Began = &ota.Origin{Lease: ota.Lease{Shard: shard}} }) // needs none
}

func oldFactsAreRefused(t *testing.T, w *world) {
	ctx := t.Context()
	d := w.create(t, w.device(t, "d1"))
	shard, _, _ := d.Device.ID.Place()
	rev, err := w.Store.Revision(ctx, w.tenant)
	if err != nil || rev < 1 {
		t.Fatalf("revision %d, %v", rev, err)
	}
	if err := w.RaiseShard(ctx, w.tenant, shard, rev+1); err != nil {
		t.Fatal(err)
	}
	old := turn(w.load(t, d.Ref))
	old.Revision = rev
	want(t, w.Store.Commit(ctx, old), ota.Conflict)
	w.commit(t, d.Ref, func(x *ota.Turn) { x.Revision = rev + 1 })
	w.commit(t, d.Ref, func(x *ota.Turn) { x.Revision = 0 })
}

func wholeOrNotAtAll(t *testing.T, w *world) {
	ctx := t.Context()
	d := w.create(t, w.device(t, "d1"))
	for i, spoil := range []func(*ota.Turn){
		func(x *ota.Turn) { x.Began = &ota.Origin{Key: w.Entry(d.Ref, "e:99"), Due: 1} },
		func(x *ota.Turn) { x.Began = &ota.Origin{Lease: ota.Lease{Shard: 0, Owner: "x", Token: 9}} },
		func(x *ota.Turn) { x.Home.Version, x.Was.Version = 7, 7 },
	} {
		x := turn(w.load(t, d.Ref))
		shard, _, _ := d.Device.ID.Place()
		x.Home.Post(ota.Pending{At: w.Store.Now(), Event: ota.Decide})
		x.Home.Device.Profile = "elsewhere"
		x.Home.Device.Name = fmt.Sprint("renamed ", i)
		x.Values = []ota.Value{{Scope: ota.SharedScope, Key: "a", JSON: []byte("1")}}
		x.Dead = &ota.DeadLetter{ID: "x", Tenant: w.tenant}
		spoil(x)
		if x.Began != nil && x.Began.Lease.Token > 0 {
			x.Began.Lease.Shard = shard
		}
		want(t, w.Store.Commit(ctx, x), ota.Conflict)
		_, err := w.Store.Find(ctx, w.tenant, ota.DeviceRef, fmt.Sprint("renamed ", i))
		want(t, err, ota.NotFound)
	}
	same(t, w.load(t, d.Ref), d)
	if v, err := w.Store.Values(ctx, d.Ref, ota.SharedScope, nil); err != nil || len(v) != 0 {
		t.Errorf("values %v, %v", v, err)
	}
	if dead, err := w.Store.DeadLetters(ctx, w.tenant, 10); err != nil || len(dead) != 0 {
		t.Errorf("dead letters %v, %v", dead, err)
	}
}
