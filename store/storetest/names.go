package storetest

import (
	"fmt"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/windlass-ota/windlass/ota"
)

func deviceNamesAreUnique(t *testing.T, w *world) {
	ctx := t.Context()
	a, b := w.create(t, w.device(t, "a")), w.create(t, w.device(t, "b/{x}: \u00e9"))
	second := w.device(t, "a")
	second.Device.Credentials.Token = "another"
	want(t, w.Store.Commit(ctx, &ota.Turn{ID: ota.NewTurnID(), Home: second}), ota.Invalid)
	_, err := w.Store.Load(ctx, second.Ref)
	want(t, err, ota.NotFound)
	_, err = w.Store.ByKey(ctx, "another")
	want(t, err, ota.NotFound)

	x := turn(w.load(t, b.Ref))
	x.Home.Device.Name = "a"
	want(t, w.Store.Commit(ctx, x), ota.Invalid)

	w.commit(t, a.Ref, func(x *ota.Turn) { x.Home.Device.Name = "c" })
	_, err = w.Store.Find(ctx, w.tenant, ota.DeviceRef, "a")
	want(t, err, ota.NotFound)
	for name, h := range map[string]*ota.Home{"c": a, "b/{x}: \u00e9": b} {
		if r, err := w.Store.Find(ctx, w.tenant, ota.DeviceRef, name); err != nil || r != h.Ref {
			t.Errorf("find %s: %s, %v", name, r, err)
		}
	}
	w.commit(t, b.Ref, func(x *ota.Turn) { x.Home.Device.Name = "a" })
	w.commit(t, b.Ref, func(x *ota.Turn) { x.Home.Device.Name = "b" })
	w.commit(t, b.Ref, func(x *ota.Turn) { x.Home.Device.Name = "a" })
	if r, err := w.Store.Find(ctx, w.tenant, ota.DeviceRef, "a"); err != nil || r != b.Ref {
		t.Errorf("find a: %s, %v", r, err)
	}
}

func oneCreatorWins(t *testing.T, w *world) {
	ctx := t.Context()
	for round := range 5 {
		name := fmt.Sprint("wanted ", round)
		var won, lost atomic.Int32
		var wait sync.WaitGroup
		for i := range 8 {
			wait.Go(func() {
				h := w.device(t, name)
				h.Device.Credentials.Token += fmt.Sprint(i)
				switch err := w.Store.Commit(ctx, &ota.Turn{ID: ota.NewTurnID(), Home: h}); ota.CodeOf(err) {
				case "":
					won.Add(1)
				case ota.Invalid:
					lost.Add(1)
				default:
					t.Error(err)
				}
			})
		}
		wait.Wait()
		if won.Load() != 1 || lost.Load() != 7 {
			t.Fatalf("%d won and %d lost", won.Load(), lost.Load())
		}
	}
}

func nounNamesAreUnique(t *testing.T, w *world) {
	ctx := t.Context()
	a, b := w.create(t, w.newProfile("a")), w.create(t, w.newProfile("b"))
	want(t, w.Store.Commit(ctx, &ota.Turn{ID: ota.NewTurnID(), Home: w.newProfile("a")}), ota.Invalid)
	x := turn(w.load(t, b.Ref))
	x.Home.Profile.Name = "a"
	want(t, w.Store.Commit(ctx, x), ota.Invalid)
	del := turn(w.load(t, a.Ref))
	del.Delete = true
	if err := w.Store.Commit(ctx, del); err != nil {
		t.Fatal(err)
	}
	w.commit(t, b.Ref, func(x *ota.Turn) { x.Home.Profile.Name = "a" })
	if r, err := w.Store.Find(ctx, w.tenant, ota.ProfileRef, "a"); err != nil || r != b.Ref {
		t.Errorf("find a: %s, %v", r, err)
	}
	pkg := w.create(t, w.newPackage("1"))
	want(t, w.Store.Commit(ctx, &ota.Turn{ID: ota.NewTurnID(), Home: w.newPackage("1")}), ota.Invalid)
	if r, err := w.Store.Find(ctx, w.tenant, ota.PackageRef, "fw@1"); err != nil || r != pkg.Ref {
		t.Errorf("find fw@1: %s, %v", r, err)
	}
}

func tokensAreFound(t *testing.T, w *world) {
	ctx := t.Context()
	d := w.create(t, w.device(t, "d"))
	old := d.Device.Credentials.Token
	if r, err := w.Store.ByKey(ctx, old); err != nil || r != d.Ref {
		t.Fatalf("%s, %v", r, err)
	}
	thief := w.device(t, "thief")
	thief.Device.Credentials.Token = old
	want(t, w.Store.Commit(ctx, &ota.Turn{ID: ota.NewTurnID(), Home: thief}), ota.Invalid)
	_, err := w.Store.Find(ctx, w.tenant, ota.DeviceRef, "thief")
	want(t, err, ota.NotFound)
	w.commit(t, d.Ref, func(x *ota.Turn) { x.Home.Device.Credentials.Token = "new " + old })
	_, err = w.Store.ByKey(ctx, old)
	want(t, err, ota.NotFound)
	if r, err := w.Store.ByKey(ctx, "new "+old); err != nil || r != d.Ref {
		t.Fatalf("%s, %v", r, err)
	}
}

// Whatever a device proves itself by is found as an access token is, is unique
// and is free again when it is given up.
func keysAreFound(t *testing.T, w *world) {
	ctx := t.Context()
	d, other := w.create(t, w.device(t, "d")), w.create(t, w.device(t, "other"))
	unique := string(w.tenant) + ota.NewID()
	sets := []ota.Credentials{
		{Type: ota.MQTTBasic, ClientID: unique, UserName: "user", Password: "p"},
		{Type: ota.X509Certificate, Certificate: ota.CertificateHash([]byte(unique))},
		{Type: ota.LwM2M, Endpoint: "urn:" + unique, Identity: unique, Key: []byte("0123456789abcdef")},
		{Type: ota.AccessToken, Token: unique},
	}
	for i, c := range sets {
		w.commit(t, d.Ref, func(x *ota.Turn) { x.Home.Device.Credentials = c })
		if got := w.load(t, d.Ref).Device.Credentials; !cmp.Equal(got, c) && !(got.Kind() == c.Kind() && got.Token == c.Token) {
			t.Errorf("kept as %s", got.Kind())
		}
		for _, key := range c.Keys() {
			if r, err := w.Store.ByKey(ctx, key); err != nil || r != d.Ref {
				t.Errorf("by %q: %s, %v", key, r, err)
			}
		}
		x := turn(w.load(t, other.Ref))
		x.Home.Device.Credentials = c
		want(t, w.Store.Commit(ctx, x), ota.Invalid)
		if i > 0 {
			for _, key := range sets[i-1].Keys() {
				_, err := w.Store.ByKey(ctx, key)
				want(t, err, ota.NotFound)
			}
		}
	}
}
