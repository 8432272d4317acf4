package ota_test

import (
	"strconv"
	"testing"

	"github.com/windlass-ota/windlass/ota"
)

// The values are kept: a device must keep its place when the server is renewed.
func TestShareIsStable(t *testing.T) {
	tests := []struct {
		texts []string
		want  float64
	}{
		{nil, 0.8894159948913373},
		{[]string{""}, 0.6848974799809221},
		{[]string{"rollout-1", "device-1"}, 0.7135557373110973},
		{[]string{"rollout-1", "device-2"}, 0.26269147839921014},
	}
	for _, tt := range tests {
		if got := ota.Share(tt.texts...); got != tt.want {
			t.Errorf("Share(%q) = %v, want %v", tt.texts, got, tt.want)
		}
	}
}

func TestShareKeepsTextsApart(t *testing.T) {
	if ota.Share("a", "bc") == ota.Share("ab", "c") {
		t.Error("the same share for different texts that read alike when joined")
	}
}

func TestShareSpreadsEvenly(t *testing.T) {
	const devices, parts = 100_000, 20
	var count [parts]int
	for i := range devices {
		s := ota.Share("rollout", strconv.Itoa(i))
		if s < 0 || s >= 1 {
			t.Fatalf("Share of device %d = %v, want 0 ≤ share < 1", i, s)
		}
		count[int(s*parts)]++
	}
	for i, n := range count {
		if n < devices/parts*95/100 || n > devices/parts*105/100 {
			t.Errorf("part %d of %d holds %d of %d devices", i, parts, n, devices)
		}
	}
}
