package ota

import (
	"fmt"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

func TestAlarms(t *testing.T) {
	var h Home
	later := t0.Add(time.Hour)
	if a, fresh := h.Raise("site", Warning, "one is away", t0); !fresh || a.Count != 1 {
		t.Errorf("the first: %+v, new %v", a, fresh)
	}
	if _, fresh := h.Raise("disk", Info, "half full", t0); !fresh {
		t.Error("another key is not new")
	}
	was := h.Clone()
	if a, fresh := h.Raise("site", Critical, "two are away", later); fresh || a.Count != 2 {
		t.Errorf("the second: %+v, new %v", a, fresh)
	}
	want := []Alarm{{"site", Critical, "two are away", 2, t0, later}, {"disk", Info, "half full", 1, t0, t0}}
	if diff := cmp.Diff(want, h.Alarms); diff != "" {
		t.Errorf("alarms (-want +got):\n%s", diff)
	}
	if was.Alarms[0].Count != 1 {
		t.Error("a copy of the home changed with it")
	}
	if !h.Clear("site") || h.Clear("site") || len(h.Alarms) != 1 {
		t.Errorf("cleared once: %+v", h.Alarms)
	}
}

func TestAlarmsAreBounded(t *testing.T) {
	var h Home
	for i := range maxAlarms + 3 {
		h.Raise(fmt.Sprint(i), Info, "", t0)
	}
	if n := len(h.Alarms); n != maxAlarms || h.Alarms[0].Key != "3" || h.Alarms[n-1].Key != "34" {
		t.Errorf("%d alarms, from %s on", n, h.Alarms[0].Key)
	}
}
