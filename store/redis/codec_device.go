package redis

import (
	"maps"
	"slices"

	"github.com/windlass-ota/windlass/ota"
)

// Id and tenant of a device are those of its home.
func encodeDevice(e *enc, d *ota.Device) {
	e.str(1, string(d.Owner))
	e.str(2, d.Name)
	e.str(3, string(d.Profile))
	e.str(4, d.Zone)
	for _, g := range d.Groups {
		e.strAlways(5, string(g))
	}
	e.str(6, d.Credentials.Token)
	e.time(7, d.Created, 0)
	e.time(8, d.Heard, 0)
	for _, s := range d.Sessions {
		e.msg(9, func(e *enc) {
			e.str(1, s.ID.Process)
			e.int(2, int64(s.ID.Num))
			e.str(3, s.Transport)
			e.time(4, s.Since, 0)
		})
	}
	e.msg(10, func(e *enc) { encodeTrack(e, &d.Firmware, d.Profile) })
	e.msg(11, func(e *enc) { encodeTrack(e, &d.Software, d.Profile) })
	e.int(12, int64(d.Updates))
	if c := &d.Credentials; !justToken(c) {
		e.msg(13, func(e *enc) { encodeCredentials(e, c) })
	}
	e.time(14, d.Provisioned, 0)
	e.str(15, d.Claim.Secret)
	e.time(16, d.Claim.Until, 0)
}

// justToken says whether a device has an access token and nothing else.
func justToken(c *ota.Credentials) bool {
	return c.Type == "" && c.ClientID == "" && c.UserName == "" && c.Password == "" && c.Certificate == "" &&
		c.Endpoint == "" && c.Identity == "" && len(c.Key) == 0
}

// encodeCredentials writes all but an access token, which nearly all devices
// have and which stands in the device itself.
func encodeCredentials(e *enc, c *ota.Credentials) {
	e.str(1, string(c.Type))
	e.str(2, c.ClientID)
	e.str(3, c.UserName)
	e.str(4, c.Password)
	e.str(5, c.Certificate)
	e.str(6, c.Endpoint)
	e.str(7, c.Identity)
	e.str(8, string(c.Key))
}

func decodeCredentials(d *dec, c *ota.Credentials) {
	for d.next() {
		switch d.n {
		case 1:
			c.Type = ota.CredentialsType(d.str())
		case 2:
			c.ClientID = d.str()
		case 3:
			c.UserName = d.str()
		case 4:
			c.Password = d.str()
		case 5:
			c.Certificate = d.str()
		case 6:
			c.Endpoint = d.str()
		case 7:
			c.Identity = d.str()
		case 8:
			if key := d.str(); key != "" {
				c.Key = []byte(key)
			}
		}
	}
}

func decodeDevice(d *dec) *ota.Device {
	v := &ota.Device{}
	for d.next() {
		switch d.n {
		case 1:
			v.Owner = ota.OwnerID(d.str())
		case 2:
			v.Name = d.str()
		case 3:
			v.Profile = ota.ProfileID(d.str())
		case 4:
			v.Zone = d.str()
		case 5:
			v.Groups = append(v.Groups, ota.GroupID(d.str()))
		case 6:
			v.Credentials.Token = d.str()
		case 7:
			v.Created = d.time(0)
		case 8:
			v.Heard = d.time(0)
		case 9:
			v.Sessions = append(v.Sessions, decodeSession(d.msg()))
		case 10:
			v.Firmware = decodeTrack(d.msg(), v.Profile)
		case 11:
			v.Software = decodeTrack(d.msg(), v.Profile)
		case 12:
			v.Updates = int(d.int())
		case 13:
			decodeCredentials(d.msg(), &v.Credentials)
		case 14:
			v.Provisioned = d.time(0)
		case 15:
			v.Claim.Secret = d.str()
		case 16:
			v.Claim.Until = d.time(0)
		}
	}
	return v
}

func decodeSession(d *dec) (s ota.Session) {
	for d.next() {
		switch d.n {
		case 1:
			s.ID.Process = d.str()
		case 2:
			s.ID.Num = uint64(d.int())
		case 3:
			s.Transport = d.str()
		case 4:
			s.Since = d.time(0)
		}
	}
	return s
}

func encodeTrack(e *enc, t *ota.Track, p ota.ProfileID) {
	if t.Assigned != nil {
		e.msg(1, func(e *enc) { encodeAssignment(e, t.Assigned) })
	}
	e.str(2, string(t.Followed.Package))
	e.str(3, string(t.Followed.Rollout))
	e.word(4, string(t.Followed.Source.Type), wordsRef)
	e.str(5, same(t.Followed.Source.ID, string(p)))
	e.str(6, t.Followed.Source.Name)
	e.str(7, t.Skipped)
	e.str(8, same(string(t.Offer.Package), string(t.Followed.Package)))
	e.time(9, t.Offer.At, 0)
	encodeVersion(e, 10, t.Reported)
	e.int(14, int64(t.Tells))
	e.flag(15, t.Quits)
	if t.Update != nil {
		e.msg(13, func(e *enc) { encodeUpdate(e, t) })
	}
}

func decodeTrack(d *dec, p ota.ProfileID) (t ota.Track) {
	for d.next() {
		switch d.n {
		case 1:
			t.Assigned = decodeAssignment(d.msg())
		case 2:
			t.Followed.Package = ota.PackageID(d.str())
		case 3:
			t.Followed.Rollout = ota.RolloutID(d.str())
		case 4:
			t.Followed.Source.Type = ota.RefType(d.word(wordsRef))
		case 5:
			t.Followed.Source.ID = different(d.str(), string(p))
		case 6:
			t.Followed.Source.Name = d.str()
		case 7:
			t.Skipped = d.str()
		case 8:
			t.Offer.Package = ota.PackageID(different(d.str(), string(t.Followed.Package)))
		case 9:
			t.Offer.At = d.time(0)
		case 10, 11, 12:
			decodeVersion(d, 10, &t.Reported)
		case 13:
			t.Update = decodeUpdate(d.msg(), &t)
		case 14:
			t.Tells = int(d.int())
		case 15:
			t.Quits = d.flag()
		}
	}
	return t
}

func encodeAssignment(e *enc, a *ota.Assignment) {
	e.str(1, string(a.Package))
	e.str(2, string(a.Rollout))
	e.time(3, a.At, 0)
	e.str(4, a.By)
	e.str(5, a.Cause)
	e.str(6, a.Chain)
	for _, k := range slices.Sorted(maps.Keys(a.Args)) {
		e.msg(7, func(e *enc) {
			e.str(1, k)
			e.str(2, a.Args[k])
		})
	}
}

func decodeAssignment(d *dec) *ota.Assignment {
	a := &ota.Assignment{}
	for d.next() {
		switch d.n {
		case 1:
			a.Package = ota.PackageID(d.str())
		case 2:
			a.Rollout = ota.RolloutID(d.str())
		case 3:
			a.At = d.time(0)
		case 4:
			a.By = d.str()
		case 5:
			a.Cause = d.str()
		case 6:
			a.Chain = d.str()
		case 7:
			if a.Args == nil {
				a.Args = map[string]string{}
			}
			var k, v string
			for m := d.msg(); m.next(); {
				switch m.n {
				case 1:
					k = m.str()
				case 2:
					v = m.str()
				}
			}
			a.Args[k] = v
		}
	}
	return a
}

// A version takes three numbers from n on.
func encodeVersion(e *enc, n int, v ota.Version) {
	e.str(n, v.Title)
	e.str(n+1, v.Version)
	e.str(n+2, v.Tag)
}

func decodeVersion(d *dec, n int, v *ota.Version) {
	switch d.n - n {
	case 0:
		v.Title = d.str()
	case 1:
		v.Version = d.str()
	case 2:
		v.Tag = d.str()
	}
}
