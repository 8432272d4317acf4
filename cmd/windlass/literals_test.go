package main

import (
	"testing"
	"time"

	"github.com/windlass-ota/windlass/ota"
)

func TestParsePace(t *testing.T) {
	for in, want := range map[string]ota.Pace{
		"unlimited": {}, "100/1m": {Count: 100, Every: time.Minute}, "10/h": {Count: 10, Every: time.Hour}, "1/1h30m": {Count: 1, Every: 90 * time.Minute},
	} {
		if got, err := parsePace(in); err != nil || got != want {
			t.Errorf("%q: got %v, %v; want %v", in, got, err, want)
		}
	}
	for _, in := range []string{"", "100", "/1m", "0/1m", "-1/1m", "1/", "1/0s", "1/-1m", "x/1m", "1/1x", "1.5/1m", "1/1m/1m"} {
		if got, err := parsePace(in); err == nil {
			t.Errorf("%q is taken as %v", in, got)
		}
	}
}

func TestParseSize(t *testing.T) {
	for in, want := range map[string]int64{
		"0": 0, "512": 512, "512B": 512, "4KiB": 4096, "1.5KiB": 1536, "64MiB": 64 << 20, "1GB": 1e9, "2 GiB": 2 << 30, "1kB": 1000,
	} {
		if got, err := parseSize(in); err != nil || got != want {
			t.Errorf("%q: got %d, %v; want %d", in, got, err, want)
		}
	}
	for _, in := range []string{"", "B", "-1", "1.5", "1XB", "1e400", "NaN", "Inf", "9999999999TiB", "1,5KiB"} {
		if got, err := parseSize(in); err == nil {
			t.Errorf("%q is taken as %d", in, got)
		}
	}
}

func TestParsePercent(t *testing.T) {
	for in, want := range map[string]float64{"0%": 0, "3%": 0.03, "0.5%": 0.005, "100%": 1} {
		if got, err := parsePercent(in); err != nil || got != want {
			t.Errorf("%q: got %v, %v; want %v", in, got, err, want)
		}
	}
	for _, in := range []string{"", "3", "%", "-1%", "101%", "NaN%"} {
		if got, err := parsePercent(in); err == nil {
			t.Errorf("%q is taken as %v", in, got)
		}
	}
}

func TestPrintSize(t *testing.T) {
	for in, want := range map[int64]string{0: "0 B", 1023: "1023 B", 1024: "1.0 KiB", 3 << 20: "3.0 MiB", 5 << 40: "5.0 TiB", 5 << 50: "5120.0 TiB"} {
		if got := printSize(in); got != want {
			t.Errorf("%d: got %q, want %q", in, got, want)
		}
	}
}

func FuzzLiterals(f *testing.F) {
	for _, s := range []string{"100/1m", "4KiB", "3%", "unlimited", "1e9GB"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		if p, err := parsePace(s); err == nil && s != "unlimited" && (p.Count < 1 || p.Every <= 0) {
			t.Errorf("pace %q is %v", s, p)
		}
		if n, err := parseSize(s); err == nil && n < 0 {
			t.Errorf("size %q is %d", s, n)
		}
		if p, err := parsePercent(s); err == nil && (p < 0 || p > 1) {
			t.Errorf("share %q is %v", s, p)
		}
	})
}
