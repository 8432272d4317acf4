package ota

import (
	"testing"
	"time"
)

func TestEnqueue(t *testing.T) {
	pk3 := &Package{ID: "p3", Kind: Firmware, Version: Version{Title: "app", Version: "1.3"}, Blob: "c", Profile: "P"}
	t.Run("the same target again changes nothing", func(t *testing.T) {
		tr := in(t, Downloading)
		if tr.Enqueue(pk2, "2", "r1", "", t0) || tr.Update.ID != "1" || tr.Update.State != Downloading {
			t.Errorf("%+v", tr.Update)
		}
	})
	t.Run("another target replaces the open update", func(t *testing.T) {
		tr := in(t, Downloading)
		old := tr.Update
		if !tr.Enqueue(pk3, "2", "r2", "", t0) || old.Closed != ClosedReplaced || tr.Update.State != Queued || tr.Offer.Package != "p2" {
			t.Errorf("old %+v, new %+v, on offer %v", old, tr.Update, tr.Offer)
		}
	})
	t.Run("a device that runs it already is UPDATED at once, and on offer", func(t *testing.T) {
		tr := &Track{Reported: v2}
		if tr.Enqueue(pk2, "1", "", "", t0) || tr.Update.State != Updated || tr.Offer.Package != "p2" {
			t.Errorf("%+v", tr.Update)
		}
	})
	t.Run("after an end the same target may be tried again", func(t *testing.T) {
		tr := in(t, Failed)
		if !tr.Enqueue(pk2, "2", "r1", "", t0) || tr.Update.State != Queued {
			t.Errorf("%+v", tr.Update)
		}
	})
}

func TestRetry(t *testing.T) {
	for _, s := range States() {
		t.Run(string(s), func(t *testing.T) {
			tr := in(t, s)
			got := tr.Retry(3, time.Minute, true, t0)
			if want := s != Queued && s != Updated; got != want {
				t.Fatalf("may be tried again: %v", got)
			}
			if !got {
				return
			}
			if u := tr.Update; u.State != Queued || u.Attempt != 2 || !u.NotBefore.Equal(t0.Add(time.Minute)) || u.Waiting() {
				t.Errorf("%+v", u)
			}
			tr.Ripe(t0.Add(time.Minute))
			if !tr.Update.Waiting() {
				t.Error("when its time has come it stands in line")
			}
		})
	}
	tr := in(t, Downloading)
	tr.Update.Attempt = 3
	if tr.Retry(3, time.Minute, true, t0) {
		t.Error("a fourth attempt of three")
	}
}

func TestDeadlineCountsFromTheLastWord(t *testing.T) {
	tr := in(t, Downloading)
	tr.Update.Timeout = time.Hour
	tr.Report(Report{State: "DOWNLOADING"}, t0.Add(30*time.Minute))
	if got := tr.Update.Deadline(); !got.Equal(t0.Add(90 * time.Minute)) {
		t.Errorf("deadline %v", got)
	}
	for _, s := range []State{Initiated, Downloading, Downloaded, Verified, Updating} {
		if u := in(t, s).Update; u.Deadline().IsZero() {
			t.Errorf("%s has no time-out", s)
		}
	}
	for _, s := range []State{Queued, Updated, Failed} {
		if u := in(t, s).Update; !u.Deadline().IsZero() {
			t.Errorf("%s has a time-out", s)
		}
	}
}

func TestWorkOfDueEntries(t *testing.T) {
	h := NewDevice(Device{ID: NewDeviceID(1, 1), Tenant: "t", Name: "d", Profile: "P"}, t0)
	h.Device.Firmware = *in(t, Downloading)
	h.Device.Software = *in(t, Failed)
	h.Device.Software.Retry(3, time.Minute, true, t0)
	h.Park(Parked{At: t0.Add(time.Hour)})
	later := t0.Add(48 * time.Hour)
	want := map[string]string{"t:firmware": DueTimeout, "q:software": DueRipe, "e:1": DueEvent, "e:2": DueEvent, "r:3": DueParked}
	for _, d := range h.Dues() {
		if w := h.Work(d.Key, later); w.What != want[d.Key] {
			t.Errorf("%s is %q, want %q", d.Key, w.What, want[d.Key])
		}
		if w := h.Work(d.Key, d.At.Add(-time.Second)); w.What != DueNothing {
			t.Errorf("%s before its time is %q", d.Key, w.What)
		}
		delete(want, d.Key)
	}
	if len(want) > 0 {
		t.Errorf("nothing is due for %v", want)
	}
	for _, key := range []string{"", "t:", "t:toaster", "q:firmware", "e:99", "e:x", "r:1", "zzz"} {
		if w := h.Work(key, later); w.What != DueNothing {
			t.Errorf("%q is %q", key, w.What)
		}
	}
}
