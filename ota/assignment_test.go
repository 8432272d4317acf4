package ota

import "testing"

func TestEffectiveAndChanged(t *testing.T) {
	own := &Assignment{Package: "own", Rollout: ""}
	prof := &Assignment{Package: "prof", Rollout: "r1"}
	next := &Assignment{Package: "next", Rollout: "r2"}
	type world struct{ device, profile *Assignment }
	tests := []struct {
		name   string
		before world
		after  world
		want   Event
		runs   PackageID
	}{
		{"nothing ever", world{}, world{}, "", ""},
		{"the first, by its profile", world{}, world{nil, prof}, Assigned, "prof"},
		{"the same again", world{nil, prof}, world{nil, prof}, "", "prof"},
		{"its own wins over its profile's", world{nil, prof}, world{own, prof}, Assigned, "own"},
		{"its profile's changes below its own", world{own, prof}, world{own, next}, "", "own"},
		{"a successor", world{nil, prof}, world{nil, next}, Assigned, "next"},
		{"gone", world{nil, prof}, world{}, Unassigned, ""},
		{"its own gone, back to its profile's", world{own, prof}, world{nil, prof}, Unassigned, "prof"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			d, p := &Device{ID: "d", Profile: "P"}, &Profile{ID: "P", Name: "pump"}
			set := func(w world) *Effective {
				d.Firmware.Assigned, p.Firmware = w.device, w.profile
				return FindEffective(d, p, Firmware)
			}
			var was Followed
			if e := set(tt.before); e != nil {
				was = Followed{e.Package, e.Rollout, e.Source}
			}
			now := set(tt.after)
			covered := func(s Source) bool {
				if s.Type == DeviceRef {
					return d.Firmware.Assigned != nil
				}
				return p.Firmware != nil
			}
			if got := Changed(was, now, covered); got != tt.want {
				t.Errorf("changed: %q, want %q", got, tt.want)
			}
			if got := packageOf(now); got != tt.runs {
				t.Errorf("effective: %q, want %q", got, tt.runs)
			}
		})
	}
}

func packageOf(e *Effective) PackageID {
	if e == nil {
		return ""
	}
	return e.Package
}

func TestCheckAssign(t *testing.T) {
	good := Package{ID: "p", Tenant: "t", Profile: "P", Kind: Firmware, Version: v1, Blob: "b", Ready: true}
	tests := []struct {
		name   string
		change func(*Package)
		want   Code
	}{
		{"good", func(*Package) {}, ""},
		{"a URL is as good as data", func(p *Package) { p.Blob, p.URL = "", "https://x" }, ""},
		{"another tenant's does not exist", func(p *Package) { p.Tenant = "u" }, NotFound},
		{"software as firmware", func(p *Package) { p.Kind = Software }, Invalid},
		{"another profile's", func(p *Package) { p.Profile = "Q" }, Invalid},
		{"empty", func(p *Package) { p.Blob = "" }, Invalid},
		{"in quarantine", func(p *Package) { p.Quarantine = "bad" }, Invalid},
		{"not checked yet", func(p *Package) { p.Ready = false }, Conflict},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			p := good
			tt.change(&p)
			if got := CodeOf(CheckAssign(&p, "t", Firmware, "P")); got != tt.want {
				t.Errorf("code %q, want %q", got, tt.want)
			}
		})
	}
}
