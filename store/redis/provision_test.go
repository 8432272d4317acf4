package redis

import (
	"testing"

	"github.com/windlass-ota/windlass/ota"
	"github.com/windlass-ota/windlass/store/redis/redistest"
)

// provisioned is a store with a profile whose devices make themselves known.
func provisioned(t *testing.T, p ota.Provisioning) (ota.Wishes, *Store) {
	t.Helper()
	c, _ := redistest.Memory(t)
	s := New(c)
	t.Cleanup(func() { s.Close() })
	id := ota.ProfileID(ota.NewID())
	h := &ota.Home{Ref: ota.Ref{Tenant: "main", Type: ota.ProfileRef, ID: string(id)}, Profile: &ota.Profile{ID: id, Tenant: "main", Name: "pump", Created: s.Now(), Provision: p}}
	if err := s.Commit(t.Context(), &ota.Turn{ID: ota.NewTurnID(), Home: h}); err != nil {
		t.Fatal(err)
	}
	return ota.Wishes{Homes: s, Facts: s, NewID: s.NewDevice}, s
}

func device(t *testing.T, s *Store, name string) *ota.Home {
	t.Helper()
	r, err := s.Find(t.Context(), "main", ota.DeviceRef, name)
	if err != nil {
		t.Fatal(err)
	}
	h, err := s.Load(t.Context(), r)
	if err != nil {
		t.Fatal(err)
	}
	return h
}

const secret = "0123456789abcdef"

func TestProvisionNewDevices(t *testing.T) {
	w, s := provisioned(t, ota.Provisioning{Strategy: ota.ProvisionNew, Key: "key", Secret: secret})
	ask := func(q ota.ProvisionRequest) (ota.Credentials, ota.Code) {
		c, err := w.Provision(t.Context(), "main", q)
		return c, ota.CodeOf(err)
	}
	for _, tc := range []struct {
		name string
		q    ota.ProvisionRequest
		want ota.Code
	}{
		{"no key", ota.ProvisionRequest{Device: "d"}, ota.NotFound},
		{"a wrong key", ota.ProvisionRequest{Device: "d", Key: "no", Secret: secret}, ota.NotFound},
		{"a wrong secret", ota.ProvisionRequest{Device: "d", Key: "key", Secret: "0123456789abcdeF"}, ota.NotFound},
		{"a key that is a profile's name", ota.ProvisionRequest{Device: "d", Key: "pump", Secret: secret}, ota.NotFound},
		{"a token that cannot be", ota.ProvisionRequest{Device: "d", Key: "key", Secret: secret, Credentials: ota.Credentials{Token: "a b"}}, ota.Invalid},
		{"a new device", ota.ProvisionRequest{Device: "d", Key: "key", Secret: secret}, ""},
		{"again", ota.ProvisionRequest{Device: "d", Key: "key", Secret: secret}, ota.Conflict},
		{"a token of its own", ota.ProvisionRequest{Device: "e", Key: "key", Secret: secret, Credentials: ota.Credentials{Token: "T"}}, ""},
		{"the token of another", ota.ProvisionRequest{Device: "f", Key: "key", Secret: secret, Credentials: ota.Credentials{Token: "T"}}, ota.Conflict},
		{"a name and a password", ota.ProvisionRequest{Device: "g", Key: "key", Secret: secret, Credentials: ota.Credentials{Type: ota.MQTTBasic, UserName: "u", Password: "p"}}, ""},
	} {
		c, code := ask(tc.q)
		if code != tc.want {
			t.Errorf("%s: %q, want %q", tc.name, code, tc.want)
		}
		if code != "" {
			continue
		}
		d := device(t, s, tc.q.Device).Device
		if !d.Credentials.SameKeys(&c) || c.IsZero() || d.Provisioned.IsZero() {
			t.Errorf("%s: it is known by %v, told %v", tc.name, d.Credentials.Kind(), c.Kind())
		}
	}
	if c, code := ask(ota.ProvisionRequest{Key: "key", Secret: secret}); code != "" || c.Token == "" {
		t.Errorf("a device without a name: %q", code)
	}
}

func TestProvisionKnownDevices(t *testing.T) {
	w, s := provisioned(t, ota.Provisioning{Strategy: ota.ProvisionKnown, Key: "key", Secret: secret})
	if _, _, err := w.CreateDevice(t.Context(), "main", "d", "pump"); err != nil {
		t.Fatal(err)
	}
	want := device(t, s, "d").Device.Credentials
	for i, code := range []ota.Code{"", ota.Conflict} {
		c, err := w.Provision(t.Context(), "main", ota.ProvisionRequest{Device: "d", Key: "key", Secret: secret})
		if ota.CodeOf(err) != code || code == "" && c.Token != want.Token {
			t.Errorf("time %d: %v", i, err)
		}
	}
	if _, err := w.Provision(t.Context(), "main", ota.ProvisionRequest{Device: "e", Key: "key", Secret: secret}); ota.CodeOf(err) != ota.Conflict {
		t.Errorf("a device that is not there: %v", err)
	}
}

func TestIssuedCertificates(t *testing.T) {
	issuer, first, second := ota.CertificateHash([]byte("ca")), ota.CertificateHash([]byte("1")), ota.CertificateHash([]byte("2"))
	w, s := provisioned(t, ota.Provisioning{Strategy: ota.ProvisionChain, Certificate: issuer, Pattern: `^pump-(\d+)\.plant$`, Create: true})
	for _, tc := range []struct {
		issuer, name, hash string
		want               ota.Code
	}{
		{first, "pump-7.plant", first, ota.NotFound},
		{issuer, "valve-7.plant", first, ota.NotFound},
		{issuer, "pump-7.plant", first, ""},
		{issuer, "pump-7.plant", first, ""},
		{issuer, "pump-7.plant", second, ""}, // a renewed one
	} {
		ref, err := w.Issued(t.Context(), "main", tc.issuer, tc.name, tc.hash)
		if ota.CodeOf(err) != tc.want {
			t.Errorf("%+v: %v", tc, err)
		}
		if err == nil {
			if h := device(t, s, "7"); h.Ref != ref || h.Device.Credentials.Certificate != tc.hash {
				t.Errorf("%+v: it is %s", tc, ref)
			}
		}
	}
	if _, err := s.ByKey(t.Context(), ota.CertificateKey(first)); ota.CodeOf(err) != ota.NotFound {
		t.Errorf("the certificate before it: %v", err)
	}
}

// A profile's key is unique, and free again when the profile gives it up.
func TestProvisionKeysAreUnique(t *testing.T) {
	_, s := provisioned(t, ota.Provisioning{Strategy: ota.ProvisionNew, Key: "key", Secret: secret})
	other := ota.ProfileID(ota.NewID())
	h := &ota.Home{Ref: ota.Ref{Tenant: "main", Type: ota.ProfileRef, ID: string(other)}, Profile: &ota.Profile{ID: other, Tenant: "main", Name: "valve", Provision: ota.Provisioning{Strategy: ota.ProvisionKnown, Key: "key", Secret: secret}}}
	if err := s.Commit(t.Context(), &ota.Turn{ID: ota.NewTurnID(), Home: h.Clone()}); ota.CodeOf(err) != ota.Invalid {
		t.Fatalf("a second profile with the key: %v", err)
	}
	r, err := s.Find(t.Context(), "main", ota.ProfileRef, "pump")
	if err != nil {
		t.Fatal(err)
	}
	p, err := s.Load(t.Context(), r)
	if err != nil {
		t.Fatal(err)
	}
	was := p.Clone()
	p.Profile.Provision = ota.Provisioning{}
	if err := s.Commit(t.Context(), &ota.Turn{ID: ota.NewTurnID(), Was: was, Home: p}); err != nil {
		t.Fatal(err)
	}
	if err := s.Commit(t.Context(), &ota.Turn{ID: ota.NewTurnID(), Home: h}); err != nil {
		t.Errorf("the key is free: %v", err)
	}
}

func TestClaim(t *testing.T) {
	w, s := provisioned(t, ota.Provisioning{})
	ref, _, err := w.CreateDevice(t.Context(), "main", "d", "pump")
	if err != nil {
		t.Fatal(err)
	}
	if err := w.Claim(t.Context(), ref, "s", 0); err != nil {
		t.Fatal(err)
	}
	if c := device(t, s, "d").Device.Claim; c.Secret != "s" || !c.Until.After(s.Now()) {
		t.Errorf("%+v", c)
	}
	if err := w.Claim(t.Context(), ref, "s", 1<<60); ota.CodeOf(err) != ota.Invalid {
		t.Errorf("a claim for years: %v", err)
	}
}
