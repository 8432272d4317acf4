package ota

import (
	"math"
	"strings"
	"testing"
)

func TestPackageCheck(t *testing.T) {
	good := Package{Profile: "P", Kind: Firmware, Version: Version{Title: "app", Version: "1.10"}, Blob: "b"}
	tests := []struct {
		name   string
		change func(*Package)
		want   string // part of the message; "" is accepted
	}{
		{"good", func(*Package) {}, ""},
		{"blank title", func(p *Package) { p.Title = "  " }, "title is required"},
		{"no version", func(p *Package) { p.Version.Version = "" }, "version is required"},
		{"NUL in the title", func(p *Package) { p.Title = "a\x00" }, "control characters"},
		{"markup", func(p *Package) { p.Tag = "<b>" }, "markup"},
		{"not UTF-8", func(p *Package) { p.FileName = "\xff" }, "UTF-8"},
		{"255 letters", func(p *Package) { p.Title = strings.Repeat("ä", 255) }, ""},
		{"256 letters", func(p *Package) { p.Title = strings.Repeat("ä", 256) }, "longer than 255"},
		{"no profile", func(p *Package) { p.Profile = "" }, "profile is required"},
		{"no kind", func(p *Package) { p.Kind = "toaster" }, "firmware or software"},
		{"data and URL", func(p *Package) { p.URL = "https://x" }, "both"},
		{"a checksum of nothing known", func(p *Package) { p.Checksum = "aa" }, "needs its algorithm"},
		{"an unknown algorithm", func(p *Package) { p.Algorithm = "SHA1" }, "SHA256"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			p := good
			tt.change(&p)
			err := p.Check()
			if tt.want == "" && err != nil || tt.want != "" && (err == nil || !strings.Contains(err.Error(), tt.want)) {
				t.Errorf("%v, want %q", err, tt.want)
			}
		})
	}
}

func TestPackageNeverChanges(t *testing.T) {
	old := Package{ID: "p", Profile: "P", Kind: Firmware, Version: Version{"app", "1", "t"}, Blob: "b", Size: 3, Algorithm: SHA256, Checksum: "c", FileName: "f", ContentType: "x/y"}
	changes := map[string]func(*Package){
		"kind": func(p *Package) { p.Kind = Software }, "title": func(p *Package) { p.Title = "b" }, "version": func(p *Package) { p.Version.Version = "2" },
		"tag": func(p *Package) { p.Tag = "" }, "device profile": func(p *Package) { p.Profile = "Q" }, "url": func(p *Package) { p.URL = "u" },
		"file name": func(p *Package) { p.FileName = "g" }, "content type": func(p *Package) { p.ContentType = "" },
		"checksum algorithm": func(p *Package) { p.Algorithm = MD5 }, "checksum": func(p *Package) { p.Checksum = "d" }, "data": func(p *Package) { p.Blob = "d" }, "size": func(p *Package) { p.Size = 4 },
	}
	for name, change := range changes {
		p := old
		change(&p)
		if err := CheckChange(&old, &p); err == nil || !strings.Contains(err.Error(), name) {
			t.Errorf("changing the %s: %v", name, err)
		}
	}
	p := old
	p.Description, p.Labels, p.Quarantine, p.Ready = "d", map[string]string{"a": "b"}, "why", true
	if err := CheckChange(&old, &p); err != nil {
		t.Errorf("description, labels, quarantine may change: %v", err)
	}
}

func TestSection(t *testing.T) {
	p := &Package{Size: 2500}
	tests := []struct{ size, chunk, off, len int64 }{
		{0, 0, 0, 2500}, {0, 7, 0, 2500}, {-1, 3, 0, 2500}, // below 1: everything
		{1000, 0, 0, 1000}, {1000, 1, 1000, 1000}, {1000, 2, 2000, 500}, {1000, 3, 2500, 0},
		{1250, 2, 2500, 0}, {2500, 0, 0, 2500}, {2500, 1, 2500, 0}, {4096, 0, 0, 2500},
		{1, -1, 2500, 0}, {1 << 31, 1 << 31, 2500, 0}, {math.MaxInt64, math.MaxInt64, 2500, 0}, {math.MaxInt64, 0, 0, 2500}, {1, math.MaxInt64, 2500, 0},
	}
	for _, tt := range tests {
		if s := p.Section(ChunkRange(tt.size, tt.chunk)); s.Off != tt.off || s.Len != tt.len {
			t.Errorf("size %d, chunk %d: %d+%d, want %d+%d", tt.size, tt.chunk, s.Off, s.Len, tt.off, tt.len)
		}
	}
}

func FuzzSection(f *testing.F) {
	f.Add(int64(10), int64(3), int64(2))
	f.Fuzz(func(t *testing.T, total, size, chunk int64) {
		if total < 0 {
			return
		}
		s := (&Package{Size: total}).Section(ChunkRange(size, chunk))
		if s.Off < 0 || s.Len < 0 || s.Off > total || s.Len > total-s.Off {
			t.Fatalf("%d bytes, size %d, chunk %d: %d+%d", total, size, chunk, s.Off, s.Len)
		}
	})
}

func TestOfferAttributes(t *testing.T) {
	p := &Package{Kind: Software, Version: Version{"app", "1.10", ""}, Blob: "b", Size: 12, Algorithm: SHA256, Checksum: "aa"}
	if got, want := string(Object(OfferAttributes(p))), `{"sw_title":"app","sw_version":"1.10","sw_size":12,"sw_checksum_algorithm":"SHA256","sw_checksum":"aa"}`; got != want {
		t.Errorf("%s\nwant %s", got, want)
	}
	u := &Package{Kind: Firmware, Version: Version{"app", "1", "app 1"}, URL: "https://x/y"}
	if got, want := string(Object(OfferAttributes(u))), `{"fw_title":"app","fw_version":"1","fw_tag":"app 1","fw_url":"https://x/y"}`; got != want {
		t.Errorf("%s\nwant %s", got, want)
	}
}

func TestDeviceIDHoldsItsPlace(t *testing.T) {
	for _, num := range []uint64{0, 1, 77, 1<<40 - 1} {
		for _, shard := range []int{0, 1, 255} {
			id := NewDeviceID(shard, num)
			if s, n, ok := id.Place(); !ok || s != shard || n != num {
				t.Errorf("%s: shard %d, number %d, %v", id, s, n, ok)
			}
		}
	}
	for _, id := range []DeviceID{"", "x", DeviceID(NewID()), "zzzzzzzz-zzzz-8zzz-8zzz-zzzzzzzzzzzz"} {
		if _, _, ok := id.Place(); ok {
			t.Errorf("%q is no device id", id)
		}
	}
}
