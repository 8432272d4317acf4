package ota

// CheckDeletePackage says why pkg cannot be deleted, or nil. by names the
// assignment that it is in, "" where there is none (ThingsBoard refuses the
// same: a package stays as long as a device or a profile points at it).
func CheckDeletePackage(pkg *Package, by string) error {
	if by != "" {
		return Errorf(Conflict, "delete "+pkg.Version.String(), "it is assigned to %s; unassign it there first", by)
	}
	return nil
}

// CheckDeleteProfile says why p cannot be deleted, or nil. device is the name of
// any device of that profile, "" where there is none. Packages made for the
// profile are no reason; nothing can be assigned to anybody by them any more.
func CheckDeleteProfile(p *Profile, device string) error {
	if device != "" {
		return Errorf(Conflict, "delete profile "+p.Name, "device %s is of this profile; delete or move its devices first", device)
	}
	return nil
}
