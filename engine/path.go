package engine

import (
	"encoding/binary"
	"encoding/hex"

	"github.com/windlass-ota/windlass/ota"
)

// A run's path is kept in some 20 bytes: the beginning of the chain's digest,
// the first step, and one byte for each hop, since a step and its outlet say
// which step comes next.
const (
	pathDigest = 8    // bytes of the digest
	pathJump   = 0xfd // the next two bytes name the step, where the hop before does not lead to it
	pathCut    = 0xfc // the run went on
	maxPacked  = 120  // bytes
)

// packPath packs the hops of a path of the chain.
func (c *Chain) packPath(path []byte) string {
	digest, err := hex.DecodeString(c.Digest[:min(len(c.Digest), 2*pathDigest)])
	if err != nil || len(digest) < pathDigest || len(path) < pathHop {
		return ""
	}
	b := make([]byte, 0, 32)
	b = append(b, digest...)
	at := int32(binary.BigEndian.Uint16(path))
	b = binary.AppendUvarint(b, uint64(at))
	for p := path; len(p) >= pathHop; p = p[pathHop:] {
		step, outlet := int32(binary.BigEndian.Uint16(p)), p[2]
		if len(b) > maxPacked-4 {
			return string(append(b, pathCut))
		}
		if at = c.loud(at); at != step {
			b = append(b, pathJump, p[0], p[1])
		}
		b = append(b, outlet)
		at = c.behind(step, outlet)
	}
	return string(b)
}

// loud is the first step from at on that paths show.
func (c *Chain) loud(at int32) int32 {
	for range c.steps { // no way is longer
		if at < 0 || int(at) >= len(c.steps) || !c.steps[at].quiet || len(c.steps[at].next) == 0 {
			return at
		}
		at = c.steps[at].next[0]
	}
	return at
}

// behind is the step that an outlet leads to.
func (c *Chain) behind(step int32, outlet byte) int32 {
	s := &c.steps[step]
	switch {
	case outlet == outletError:
		return s.onError
	case outlet == outletSkip:
		return s.skip
	case int(outlet) < len(s.next):
		return s.next[outlet]
	}
	return end
}

// PackedPath is the path of a run as an update's history keeps it
// ([ota.Step].Path).
type PackedPath string

// Digest is the beginning of the digest of the chain that ran, in hex; "" where
// no chain moved the update.
func (p PackedPath) Digest() string {
	if len(p) < pathDigest {
		return ""
	}
	return hex.EncodeToString([]byte(p[:pathDigest]))
}

// Unpack reads the path of a run of the chain, which must be that of its digest.
// What does not fit the chain ends it; cut says that the run went on.
func (c *Chain) Unpack(p PackedPath) (hops []Hop, cut bool) {
	if len(p) < pathDigest {
		return nil, false
	}
	b := []byte(p[pathDigest:])
	start, n := binary.Uvarint(b)
	if n <= 0 || start >= uint64(len(c.steps)) {
		return nil, false
	}
	at := int32(start)
	for b = b[n:]; len(b) > 0; b = b[1:] {
		if b[0] == pathCut {
			return hops, true
		}
		if at = c.loud(at); b[0] == pathJump {
			if len(b) < 4 {
				return hops, true
			}
			at, b = int32(binary.BigEndian.Uint16(b[1:])), b[3:]
		}
		if at < 0 || int(at) >= len(c.steps) {
			return hops, true
		}
		hops = append(hops, c.told(at, b[0]))
		at = c.behind(at, b[0])
	}
	return hops, false
}

// hopOf is a hop as people read it.
func (c *Chain) hopOf(step int32, outlet byte) Hop {
	s := &c.steps[step]
	h := Hop{Step: s.name}
	switch {
	case outlet == outletError:
		h.Outlet = "error"
	case outlet == outletSkip:
	case int(outlet) < len(s.outlets):
		h.Outlet = s.outlets[outlet]
	}
	return h
}

// told is a hop for people who were not there: what is "" of [Run.Path] where
// a step ends the run is "end", so that it is not taken for one that was skipped.
func (c *Chain) told(step int32, outlet byte) Hop {
	h := c.hopOf(step, outlet)
	if h.Outlet == "" && outlet != outletSkip {
		h.Outlet = "end"
	}
	return h
}

// way reads a path as runs keep it, as told.
func (c *Chain) way(path []byte) []Hop {
	var out []Hop
	for p := path; len(p) >= pathHop; p = p[pathHop:] {
		out = append(out, c.told(int32(binary.BigEndian.Uint16(p)), p[2]))
	}
	return out
}

// hopsOf reads a path as runs keep it.
func (c *Chain) hopsOf(path []byte) []Hop {
	var out []Hop
	for p := path; len(p) >= pathHop; p = p[pathHop:] {
		out = append(out, c.hopOf(int32(binary.BigEndian.Uint16(p)), p[2]))
	}
	return out
}

// chronicle puts the run's path into what it has added to the histories of its
// device's updates.
func (r *Run) chronicle(was *ota.Home) {
	if r.Home == nil || r.Home.Device == nil || was.Device == nil {
		return
	}
	packed := ""
	for _, k := range ota.Kinds() {
		u, old := r.Home.Device.Track(k).Update, was.Device.Track(k).Update
		if u == nil {
			continue
		}
		kept := 0
		if old != nil && old.ID == u.ID && len(old.History) < len(u.History) {
			kept = len(old.History)
		}
		for i := len(u.History) - 1; i >= kept; i-- {
			s := &u.History[i]
			if s.Path != "" || !s.At.Equal(r.Now) {
				break
			}
			if packed == "" {
				packed = r.chain.packPath(r.path)
			}
			s.Path = packed
		}
	}
}
