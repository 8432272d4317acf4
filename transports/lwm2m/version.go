package lwm2m

import "github.com/windlass-ota/windlass/ota"

// told is what a client tells of what it runs.
type told struct {
	name, version string // of its object of updates, where that speaks of what runs
	v3            string // /3/0/3, what object 3 calls the version of the firmware
}

// runs is the version that a client runs; known is false where it tells nothing.
//
// A client is at the target where its object of updates names title and version,
// or where what object 3 says is the target's tag or version, or title and
// version written together. All are compared whole. A part of a name that is in
// the other one is no match: 1.1.1 is a part of 1.1.10, and such a device would
// never be updated.
func (c told) runs(target ota.Version) (v ota.Version, known bool) {
	if !target.Zero() && c.is(target) {
		return ota.Version{Title: target.Title, Version: target.Version}, true
	}
	switch {
	case c.version != "":
		return ota.Version{Title: c.name, Version: c.version}, true
	case c.v3 != "":
		return ota.Version{Version: c.v3}, true
	}
	return v, false
}

func (c told) is(target ota.Version) bool {
	if c.version != "" && c.version == target.Version && (c.name == "" || c.name == target.Title) {
		return true
	}
	if c.version != "" && target.Tag != "" && c.name+c.version == target.Tag {
		return true
	}
	if c.v3 == "" {
		return false
	}
	for _, s := range []string{target.Tag, target.Version, target.Title + target.Version, target.Title + " " + target.Version} {
		if c.v3 == s {
			return true
		}
	}
	return false
}
