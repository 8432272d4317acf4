package ota

import "testing"

func TestWhatIsUsedIsNotDeleted(t *testing.T) {
	pkg, p := &Package{Version: Version{Title: "app", Version: "1.2"}}, &Profile{Name: "pump"}
	for _, c := range []struct {
		name string
		err  error
		want Code
	}{
		{"a package that nobody has", CheckDeletePackage(pkg, ""), ""},
		{"a package that a profile has", CheckDeletePackage(pkg, "profile pump"), Conflict},
		{"a profile without devices", CheckDeleteProfile(p, ""), ""},
		{"a profile of a device", CheckDeleteProfile(p, "pump-1"), Conflict},
	} {
		if got := CodeOf(c.err); got != c.want {
			t.Errorf("%s: got %q (%v), want %q", c.name, got, c.err, c.want)
		}
	}
}
