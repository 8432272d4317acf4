package ota

import "time"

// Assignment is a wish: the devices of a target shall run a package. It counts
// at once; whether a device is offered it now is its rollout's door.
type Assignment struct {
	Package PackageID
	Rollout RolloutID // the record that follows it; "" for a device's own without a chain
	At      time.Time
	By      string            // who wished it
	Cause   string            // "", or why it was made by ourselves: rollback
	Chain   string            // the conductor
	Args    map[string]string // its params
}

// Source says where an effective assignment comes from.
type Source struct {
	Type RefType // device, group or profile
	ID   string  // of the group or profile
	Name string
}

// String is "device", "profile" or "group:NAME".
func (s Source) String() string {
	if s.Type == GroupRef {
		return "group:" + s.Name
	}
	return string(s.Type)
}

// Effective is the assignment in force for a device and one kind.
type Effective struct {
	Assignment
	Source Source
}

// FindEffective returns the assignment in force for d: its own, else its
// profile's. It is nil where there is none.
func FindEffective(d *Device, p *Profile, k Kind) *Effective {
	if a := d.Track(k).Assigned; a != nil {
		return &Effective{*a, Source{Type: DeviceRef, ID: string(d.ID), Name: d.Name}}
	}
	if p != nil {
		if a := p.Assignment(k); a != nil {
			return &Effective{*a, Source{Type: ProfileRef, ID: string(p.ID), Name: p.Name}}
		}
	}
	return nil
}

// CheckCompatible says why a device of profile p cannot take pkg, or "".
func CheckCompatible(pkg *Package, p ProfileID) string {
	switch {
	case pkg.Quarantine != "":
		return pkg.Version.String() + " is in quarantine: " + pkg.Quarantine
	case pkg.Profile != p:
		return pkg.Version.String() + " is made for another device profile"
	case !pkg.HasData():
		return pkg.Version.String() + " has neither data nor a URL"
	}
	return ""
}

// CheckAssign says why pkg cannot be assigned, as kind k, to devices of profile
// p, or nil (the checks of ThingsBoard's device and profile save).
func CheckAssign(pkg *Package, t TenantID, k Kind, p ProfileID) error {
	op := "assign " + pkg.Version.String()
	switch {
	case pkg.Tenant != t: // as if it did not exist
		return Errorf(NotFound, op, "there is no such package")
	case pkg.Kind != k:
		return Errorf(Invalid, op, "it is %s, not %s", pkg.Kind, k)
	case !pkg.Ready:
		return Errorf(Conflict, op, "it is still being checked")
	}
	if why := CheckCompatible(pkg, p); why != "" {
		return Errorf(Invalid, op, "%s", why)
	}
	return nil
}

// Changed compares what a device followed with what is in force now, and says
// which event tells it so: "" where nothing changed. covered says whether the
// source that it followed still reaches it with any assignment.
func Changed(was Followed, now *Effective, covered func(Source) bool) Event {
	switch {
	case was.Package == "" && now == nil:
		return ""
	case was.Package == "":
		return Assigned
	case now != nil && was.Package == now.Package && was.Rollout == now.Rollout && was.Source.Type == now.Source.Type && was.Source.ID == now.Source.ID:
		return ""
	case now == nil, !covered(was.Source):
		return Unassigned
	}
	return Assigned
}

// Followed is the assignment that a device's last decision was about.
type Followed struct {
	Package PackageID
	Rollout RolloutID
	Source  Source
}

// Profile is a kind of device: what packages are made for.
type Profile struct {
	ID       ProfileID
	Tenant   TenantID
	Owner    OwnerID
	Name     string
	Created  time.Time
	Firmware *Assignment
	Software *Assignment
	LwM2M    *LwM2MSettings `json:",omitempty"` // nil: as its zero value
	MQTT     *MQTTSettings  `json:",omitempty"` // nil: as its zero value

	Provision Provisioning // how its devices make themselves known
}

// names lists what a profile is found by, of which each is unique.
func (p *Profile) names() []string { return append([]string{p.Name}, p.Provision.names()...) }

// Assignment returns the profile's assignment of kind k, or nil.
func (p *Profile) Assignment(k Kind) *Assignment {
	if k == Software {
		return p.Software
	}
	return p.Firmware
}

// Assign sets or, with nil, clears the profile's assignment of kind k.
func (p *Profile) Assign(k Kind, a *Assignment) {
	if k == Software {
		p.Software = a
	} else {
		p.Firmware = a
	}
}
