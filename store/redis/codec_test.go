package redis

import (
	"encoding/binary"
	"fmt"
	"reflect"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"github.com/windlass-ota/windlass/ota"
	"pgregory.net/rapid"
)

// fill sets every field below v, with what draw says; a field of a type that it
// does not know fails the test, so that a new one is thought of here.
func fill(t *rapid.T, v reflect.Value, name string) {
	if v.Type() == reflect.TypeFor[time.Time]() {
		if ms := rapid.Int64Range(0, 1<<42).Draw(t, name); ms > 0 {
			v.Set(reflect.ValueOf(time.UnixMilli(ms).UTC()))
		}
		return
	}
	if v.Type() == reflect.TypeFor[time.Duration]() {
		v.SetInt(rapid.Int64Range(0, 1<<30).Draw(t, name) * int64(time.Millisecond))
		return
	}
	switch v.Kind() {
	case reflect.String:
		v.SetString(drawText(t, v.Type(), name))
	case reflect.Bool:
		v.SetBool(rapid.Bool().Draw(t, name))
	case reflect.Int, reflect.Int64:
		v.SetInt(rapid.Int64().Draw(t, name))
	case reflect.Uint64, reflect.Uint8:
		v.SetUint(rapid.Uint64Range(0, 255).Draw(t, name))
	case reflect.Float64:
		v.SetFloat(rapid.Float64Range(-1, 1).Draw(t, name))
	case reflect.Pointer:
		v.Set(reflect.New(v.Type().Elem()))
		fill(t, v.Elem(), name)
	case reflect.Struct:
		for i := range v.NumField() {
			fill(t, v.Field(i), name+"."+v.Type().Field(i).Name)
		}
	case reflect.Slice:
		n := rapid.IntRange(0, 3).Draw(t, name)
		v.Set(reflect.MakeSlice(v.Type(), n, n))
		for i := range n {
			fill(t, v.Index(i), fmt.Sprint(name, i))
		}
	case reflect.Map:
		v.Set(reflect.MakeMap(v.Type()))
		for i := range rapid.IntRange(0, 3).Draw(t, name) {
			v.SetMapIndex(reflect.ValueOf(fmt.Sprint("k", i)), reflect.ValueOf(fmt.Sprint("v", i)))
		}
	default:
		t.Fatalf("%s is a %s: teach fill, and the codec, about it", name, v.Type())
	}
}

func drawText(t *rapid.T, typ reflect.Type, name string) string {
	words := []string{"", ota.NewID(), "0123456789abcdef", "app", "d\u00e9j\u00e0", "0195C0DE-0000-4000-8000-000000000000", "0195c0de-0000-4000-8000-00000000000g"}
	switch typ {
	case reflect.TypeFor[ota.State]():
		words = append(words, wordsState...)
	case reflect.TypeFor[ota.Kind]():
		words = append(words, wordsKind...)
	case reflect.TypeFor[ota.RefType]():
		words = append(words, wordsRef...)
	}
	return rapid.SampledFrom(words).Draw(t, name)
}

var homeNouns = map[ota.RefType]func(*ota.Home) reflect.Value{
	ota.DeviceRef:  func(h *ota.Home) reflect.Value { h.Device = &ota.Device{}; return reflect.ValueOf(h.Device) },
	ota.ProfileRef: func(h *ota.Home) reflect.Value { h.Profile = &ota.Profile{}; return reflect.ValueOf(h.Profile) },
	ota.PackageRef: func(h *ota.Home) reflect.Value { h.Package = &ota.Package{}; return reflect.ValueOf(h.Package) },
	ota.RolloutRef: func(h *ota.Home) reflect.Value { h.Rollout = &ota.Rollout{}; return reflect.ValueOf(h.Rollout) },
	ota.JobRef:     func(h *ota.Home) reflect.Value { h.Job = &ota.Job{}; return reflect.ValueOf(h.Job) },
	ota.ApprovalRef: func(h *ota.Home) reflect.Value {
		h.Approval = &ota.Approval{}
		return reflect.ValueOf(h.Approval)
	},
	ota.InletRef: func(h *ota.Home) reflect.Value { h.Inlet = &ota.InletState{}; return reflect.ValueOf(h.Inlet) },
}

// A field that is added to a noun and forgotten in the codec fails here.
func TestEveryFieldSurvives(t *testing.T) {
	if n := reflect.TypeFor[ota.Home]().NumField(); n != 3+len(homeNouns)+5 {
		t.Fatalf("a home has %d fields: teach the codec, and this test, about the new one", n)
	}
	rapid.Check(t, func(t *rapid.T) {
		for typ, noun := range homeNouns {
			h := &ota.Home{Ref: ota.Ref{Tenant: "main", Type: typ, ID: ota.NewID()}, Version: 7, LastTurn: ota.NewTurnID()}
			fill(t, reflect.ValueOf(&h.Alarms).Elem(), "alarms")
			fill(t, reflect.ValueOf(&h.Marks).Elem(), "marks")
			fill(t, reflect.ValueOf(&h.Pending).Elem(), "pending")
			fill(t, reflect.ValueOf(&h.Parked).Elem(), "parked")
			h.NextNum = rapid.Int().Draw(t, "next")
			fill(t, noun(h).Elem(), string(typ))
			if h.Device != nil {
				h.Device.ID, h.Device.Tenant = ota.DeviceID(h.Ref.ID), h.Ref.Tenant
			}
			b, err := encodeHome(h, h.Version, h.LastTurn)
			if err != nil {
				t.Fatal(err)
			}
			got, err := decodeHome(h.Ref, string(b))
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(h, got, cmpopts.EquateEmpty()); diff != "" {
				t.Fatalf("%s (-want +got):\n%s", typ, diff)
			}
		}
	})
}

// settle must know every time of a device, else a kept home and a loaded one
// would disagree about when something is due.
func TestSettleReachesEveryTime(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		h := &ota.Home{Ref: ota.RefOf("main", ota.NewDeviceID(1, 2)), Device: &ota.Device{}}
		fill(t, reflect.ValueOf(&h.Alarms).Elem(), "alarms")
		fill(t, reflect.ValueOf(&h.Marks).Elem(), "marks")
		fill(t, reflect.ValueOf(&h.Pending).Elem(), "pending")
		fill(t, reflect.ValueOf(&h.Parked).Elem(), "parked")
		fill(t, reflect.ValueOf(h.Device).Elem(), "device")
		h.Device.ID, h.Device.Tenant = ota.DeviceID(h.Ref.ID), h.Ref.Tenant
		roughen(reflect.ValueOf(h).Elem())
		settle(h)
		b, err := encodeHome(h, 1, ota.NewTurnID())
		if err != nil {
			t.Fatal(err)
		}
		got, err := decodeHome(h.Ref, string(b))
		if err != nil {
			t.Fatal(err)
		}
		h.Version, h.LastTurn = got.Version, got.LastTurn
		if diff := cmp.Diff(h, got, cmpopts.EquateEmpty()); diff != "" {
			t.Fatalf("(-settled +loaded):\n%s", diff)
		}
	})
}

// roughen moves every time and duration off the whole millisecond.
func roughen(v reflect.Value) {
	switch {
	case v.Type() == reflect.TypeFor[time.Time]():
		if at := v.Interface().(time.Time); !at.IsZero() {
			v.Set(reflect.ValueOf(at.Add(1234).Local()))
		}
	case v.Type() == reflect.TypeFor[time.Duration]():
		v.SetInt(v.Int() + 1234)
	case v.Kind() == reflect.Pointer && !v.IsNil():
		roughen(v.Elem())
	case v.Kind() == reflect.Struct:
		for i := range v.NumField() {
			roughen(v.Field(i))
		}
	case v.Kind() == reflect.Slice:
		for i := range v.Len() {
			roughen(v.Index(i))
		}
	}
}

func TestJobTakesAnAppendedRevision(t *testing.T) {
	h := &ota.Home{Ref: ota.Ref{Tenant: "main", Type: ota.JobRef, ID: ota.NewID()}, Job: &ota.Job{Revision: 3}}
	b, err := encodeHome(h, 1, ota.NewTurnID())
	if err != nil {
		t.Fatal(err)
	}
	b = append(b, revisionPrefix...)
	b = append(b, 2, '4', '1')
	got, err := decodeHome(h.Ref, string(b))
	if err != nil || got.Job.Revision != 41 {
		t.Fatalf("revision %d, %v; want 41", got.Job.Revision, err)
	}
}

// sampleDevice is a device that has gone through an update, as a fleet has them.
func sampleDevice(num uint64) *ota.Home {
	at := time.Date(2026, 11, 24, 12, 0, 0, 0, time.UTC)
	id := ota.NewDeviceID(int(num%ota.Shards), num/ota.Shards+1)
	profile, pkg, rollout := ota.ProfileID(ota.NewID()), ota.PackageID(ota.NewID()), ota.RolloutID(ota.NewID())
	d := &ota.Device{ID: id, Tenant: ota.DefaultTenant, Name: fmt.Sprintf("device-%06d", num), Profile: profile, Credentials: ota.Credentials{Token: "A1_TEST_TOKEN_0123456"}, Created: at, Heard: at.Add(time.Hour), Updates: 1}
	f := &d.Firmware
	f.Followed = ota.Followed{Package: pkg, Rollout: rollout, Source: ota.Source{Type: ota.ProfileRef, ID: string(profile), Name: "thermostat"}}
	f.Reported = ota.Version{Title: "thermostat-fw", Version: "1.3.1"}
	f.Enqueue(&ota.Package{ID: pkg, Kind: ota.Firmware, Version: ota.Version{Title: "thermostat-fw", Version: "1.4.0"}}, "1", rollout, "", at)
	f.Update.Place = 0.7312345678
	if err := f.Initiate(time.Hour, at.Add(time.Minute)); err != nil {
		panic(err)
	}
	for i, s := range []ota.State{ota.Downloading, ota.Downloaded, ota.Downloading, ota.Downloaded, ota.Verified, ota.Updating} {
		f.Report(ota.Report{State: string(s)}, at.Add(time.Duration(i+2)*13*time.Second))
	}
	for i := range f.Update.History {
		f.Update.History[i].Path = fmt.Sprintf("a1b2c3d4e5f6:0.%d.1.%d", i, i%3)
	}
	return &ota.Home{Ref: ota.RefOf(d.Tenant, id), Device: d, NextNum: 3}
}

func TestRecordIsSmall(t *testing.T) {
	h := sampleDevice(1)
	settle(h)
	b, err := encodeHome(h, 9, ota.NewTurnID())
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("a device with an update and %d steps takes %d bytes", len(h.Device.Firmware.Update.History), len(b))
	if len(b) > 450 {
		t.Errorf("%d bytes, want 450 at most", len(b))
	}
}

func FuzzDecodeHome(f *testing.F) {
	for num := range uint64(2) {
		h := sampleDevice(num)
		settle(h)
		b, err := encodeHome(h, 1, ota.NewTurnID())
		if err != nil {
			f.Fatal(err)
		}
		f.Add(b)
		f.Add(b[:len(b)/2])
	}
	f.Add(append(make([]byte, headSize), binary.AppendUvarint(nil, 1<<63)...))
	ref := ota.RefOf("main", ota.NewDeviceID(1, 2))
	f.Fuzz(func(t *testing.T, b []byte) {
		h, err := decodeHome(ref, string(b))
		if err != nil || h.Device == nil {
			return
		}
		// What was understood must be written and understood again.
		again, err := encodeHome(h, h.Version, h.LastTurn)
		if err != nil {
			t.Fatal(err)
		}
		got, err := decodeHome(ref, string(again))
		if err != nil {
			t.Fatal(err)
		}
		if third, _ := encodeHome(got, got.Version, got.LastTurn); string(third) != string(again) {
			t.Fatalf("% x\n% x", again, third)
		}
	})
}

func BenchmarkCodec(b *testing.B) {
	h := sampleDevice(1)
	settle(h)
	rec, err := encodeHome(h, 1, ota.NewTurnID())
	if err != nil {
		b.Fatal(err)
	}
	b.Run("encode", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			_, _ = encodeHome(h, 1, h.LastTurn)
		}
	})
	b.Run("decode", func(b *testing.B) {
		b.ReportAllocs()
		s := string(rec)
		for b.Loop() {
			_, _ = decodeHome(h.Ref, s)
		}
	})
}
