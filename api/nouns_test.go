package api

import (
	"context"
	"fmt"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/windlass-ota/windlass/ota"
)

func TestProfiles(t *testing.T) {
	h := newHouse(t)
	h.steps([]step{
		{"GET", "/api/profiles", "", 200, `{"data":[]}`},
		{"POST", "/api/profiles", `{"name":"pump"}`, 201, `"name":"pump"`},
		{"POST", "/api/profiles", `{"name":"pump"}`, 409, `there is a profile \"pump\" already`},
		{"POST", "/api/profiles", `{"name":"a/b ../ü"}`, 201, `"name":"a/b ../ü"`},
		{"GET", "/api/profiles/" + url.PathEscape("a/b ../ü"), "", 200, `"name":"a/b ../ü"`},
		{"POST", "/api/profiles", `{"name":".."}`, 201, `"name":".."`},
		{"GET", "/api/profiles/%2E%2E", "", 200, `"name":".."`},
		{"DELETE", "/api/profiles/%2e%2e", "", 204, ""},
		{"GET", "/api/profiles/pump", "", 200, `"name":"pump"`},
		{"POST", "/api/devices", `{"name":"d","profile":"pump"}`, 201, ``},
		{"DELETE", "/api/profiles/pump", "", 409, `device d is of this profile`},
		{"DELETE", "/api/devices/d", "", 204, ""},
		{"DELETE", "/api/profiles/pump", "", 204, ""},
		{"DELETE", "/api/profiles/pump", "", 404, `there is no profile \"pump\"`},
		{"POST", "/api/profiles", `{"name":"pump"}`, 201, ``},
	})
	var p, same Profile
	h.must(&p, "GET", "/api/profiles/pump", "")
	h.must(&same, "GET", "/api/profiles/"+p.ID, "")
	if same != p || p.Created.IsZero() {
		t.Errorf("by id: %+v, by name: %+v", same, p)
	}
}

func TestDevices(t *testing.T) {
	h := newHouse(t)
	h.steps([]step{
		{"POST", "/api/profiles", `{"name":"P"}`, 201, ``},
		{"POST", "/api/profiles", `{"name":"Q"}`, 201, ``},
		{"POST", "/api/devices", `{"name":"dev-1","profile":"P","accessToken":"T1","owner":"acme","zone":"Europe/Kyiv"}`, 201, `"accessToken":"T1","owner":"acme","zone":"Europe/Kyiv","groups":[]`},
		{"GET", "/api/devices/dev-1", "", 200, `"firmware":{},"software":{}`},
		{"POST", "/api/devices", `{"name":"dev-1","profile":"P"}`, 409, `there is a device \"dev-1\" already`},
		{"POST", "/api/devices", `{"name":"dev-2","profile":"P","accessToken":"T1"}`, 409, `"location":"body.accessToken"`},
		{"POST", "/api/devices", `{"name":"dev-2","profile":"none"}`, 404, `"location":"body.profile"`},
		{"POST", "/api/devices", `{"name":"dev-2"}`, 422, `profile`},
		{"POST", "/api/devices", `{"name":"dev-2","profile":"P","accessToken":"a/b"}`, 422, `"location":"body.accessToken"`},
		{"POST", "/api/devices", `{"name":"dev-2","profile":"P","zone":"Mars/Base"}`, 422, `"location":"body.zone"`},
		{"GET", "/api/devices", "", 200, `"name":"dev-1"`},
		{"GET", "/api/devices?profile=P", "", 200, `"name":"dev-1"`},
		{"GET", "/api/devices?profile=Q", "", 200, `{"data":[]}`},
		{"GET", "/api/devices?profile=Q&state=FAILED", "", 422, `by profile or by state`},
		{"PATCH", "/api/devices/dev-1", `{"profile":"Q"}`, 200, `"profile":"Q"`},
		{"GET", "/api/devices?profile=Q", "", 200, `"name":"dev-1"`},
		{"PATCH", "/api/devices/dev-1", `{"profile":"none"}`, 404, `"location":"body.profile"`},
		{"DELETE", "/api/devices/dev-1", "", 204, ``},
		{"GET", "/api/devices/dev-1", "", 404, `there is no device`},
		{"POST", "/api/devices", `{"name":"dev-1","profile":"P","accessToken":"T1"}`, 201, ``},
	})
	var d Device
	h.must(&d, "POST", "/api/devices", `{"name":"made","profile":"P"}`)
	if len(d.AccessToken) < 22 {
		t.Errorf("the token made is %q", d.AccessToken)
	}
	if ref, err := h.store.ByKey(t.Context(), d.AccessToken); err != nil || ref.ID != d.ID {
		t.Errorf("the token finds %v, %v", ref, err)
	}
}

func TestCredentials(t *testing.T) {
	h := newHouse(t)
	hash := strings.Repeat("ab", 32)
	h.steps([]step{
		{"POST", "/api/profiles", `{"name":"P"}`, 201, ``},
		{"POST", "/api/devices", `{"name":"d","profile":"P","credentials":{"type":"MQTT_BASIC","clientId":"c","userName":"u","password":"hush"}}`, 201, `"name":"d"`},
		{"GET", "/api/devices/d/credentials", "", 200, `{"type":"MQTT_BASIC","clientId":"c","userName":"u"}`},
		{"POST", "/api/devices", `{"name":"e","profile":"P","accessToken":"T","credentials":{"type":"MQTT_BASIC","userName":"u"}}`, 422, `not both`},
		{"POST", "/api/devices", `{"name":"e","profile":"P","credentials":{"type":"MQTT_BASIC","clientId":"c","userName":"u"}}`, 409, `"location":"body.credentials.clientId"`},
		{"POST", "/api/devices", `{"name":"e","profile":"P","credentials":{"type":"MQTT_BASIC"}}`, 422, `"location":"body.credentials.clientId"`},
		{"POST", "/api/devices", `{"name":"e","profile":"P","credentials":{"type":"TELEPATHY"}}`, 422, `credentials.type`},
		{"PUT", "/api/devices/d/credentials", `{"type":"X509_CERTIFICATE","certificate":"` + hash + `"}`, 200, `"certificate":"` + hash},
		{"PUT", "/api/devices/d/credentials", `{"type":"X509_CERTIFICATE","certificate":"-----BEGIN nothing"}`, 422, `not in PEM`},
		{"PUT", "/api/devices/d/credentials", `{"type":"LWM2M_CREDENTIALS","endpoint":"urn:1","identity":"i","key":"xyz"}`, 422, `hexadecimal`},
		{"PUT", "/api/devices/d/credentials", `{"type":"LWM2M_CREDENTIALS","endpoint":"urn:1","identity":"i","key":"000102030405060708090a0b0c0d0e0f"}`, 200, `{"type":"LWM2M_CREDENTIALS","endpoint":"urn:1","identity":"i"}`},
		{"PUT", "/api/devices/d/credentials", `{"accessToken":"T"}`, 200, `{"type":"ACCESS_TOKEN","accessToken":"T"}`},
		{"PUT", "/api/devices/d/credentials", `{"accessToken":"T"}`, 200, `"accessToken":"T"`},
		{"PUT", "/api/devices/nobody/credentials", `{"accessToken":"T"}`, 404, `there is no device`},
	})
}

func TestProvisioning(t *testing.T) {
	h := newHouse(t)
	h.steps([]step{
		{"POST", "/api/profiles", `{"name":"P"}`, 201, ``},
		{"POST", "/api/profiles", `{"name":"Q"}`, 201, ``},
		{"PATCH", "/api/profiles/P", `{"provisioning":{"strategy":"ALLOW_CREATE_NEW_DEVICES","key":"k","secret":"short"}}`, 422, `"location":"body.provisioning.secret"`},
		{"PATCH", "/api/profiles/P", `{"provisioning":{"strategy":"ALLOW_CREATE_NEW_DEVICES","key":"k","secret":"0123456789abcdef"}}`, 200, `"provisioning":{"strategy":"ALLOW_CREATE_NEW_DEVICES","key":"k"}`},
		{"PATCH", "/api/profiles/P", `{}`, 200, `"key":"k"`},
		{"PATCH", "/api/profiles/Q", `{"provisioning":{"strategy":"CHECK_PRE_PROVISIONED_DEVICES","key":"k","secret":"0123456789abcdef"}}`, 409, `"location":"body.provisioning.key"`},
		{"PATCH", "/api/profiles/Q", `{"provisioning":{"strategy":"X509_CERTIFICATE_CHAIN","certificate":"` + strings.Repeat("ab", 32) + `","pattern":"("}}`, 422, `"location":"body.provisioning.pattern"`},
		{"PATCH", "/api/profiles/P", `{"mqtt":{"deviceTelemetryTopic":"a/#/b"}}`, 422, `"location":"body.mqtt.deviceTelemetryTopic"`},
		{"PATCH", "/api/profiles/P", `{"mqtt":{"deviceTelemetryTopic":"plant/+/t","gateway":true}}`, 200, `"mqtt":{"deviceTelemetryTopic":"plant/+/t","gateway":true}`},
		{"PATCH", "/api/profiles/P", `{"mqtt":{}}`, 200, `"name":"P"`},
		{"PATCH", "/api/profiles/P", `{"provisioning":{"strategy":"DISABLED"}}`, 200, `"name":"P"`},
		{"PATCH", "/api/profiles/Q", `{"provisioning":{"strategy":"CHECK_PRE_PROVISIONED_DEVICES","key":"k","secret":"0123456789abcdef"}}`, 200, `"key":"k"`},
	})
	if _, text := h.call("GET", "/api/profiles/Q", ""); strings.Contains(text, "0123456789abcdef") {
		t.Errorf("the secret is shown: %s", text)
	}
}

func TestAListComesPageByPage(t *testing.T) {
	h := newHouse(t)
	h.must(nil, "POST", "/api/profiles", `{"name":"P"}`)
	var want, got []string
	for i := range 25 {
		name := fmt.Sprintf("dev-%02d", i)
		want = append(want, name)
		h.must(nil, "POST", "/api/devices", fmt.Sprintf(`{"name":%q,"profile":"P"}`, name))
	}
	for cursor := ""; ; {
		var page List[Device]
		h.must(&page, "GET", "/api/devices?pageSize=10&cursor="+url.QueryEscape(cursor), "")
		for _, d := range page.Data {
			got = append(got, d.Name)
			if d.AccessToken != "" || d.Profile != "P" {
				t.Errorf("in a list: %+v", d)
			}
		}
		if cursor = page.Next; cursor == "" {
			break
		}
	}
	if slices.Sort(got); !slices.Equal(got, want) {
		t.Errorf("got %v", got)
	}
}

// change writes a device the way a run would.
func (h *house) change(name string, do func(d *ota.Device, now time.Time)) {
	h.t.Helper()
	ref, err := h.store.Find(h.t.Context(), ota.DefaultTenant, ota.DeviceRef, name)
	if err != nil {
		h.t.Fatal(err)
	}
	_, err = h.api.change(h.t.Context(), ref, func(t *ota.Turn) error {
		do(t.Home.Device, h.store.Now())
		return nil
	})
	if err != nil {
		h.t.Fatal(err)
	}
}

func (h *house) pkg(name string) *ota.Package {
	h.t.Helper()
	home, err := h.api.find(h.t.Context(), ota.PackageRef, name)
	if err != nil {
		h.t.Fatal(err)
	}
	return home.Package
}

// fleet makes a profile P, devices dev-1…dev-n and packages app@1.1 and app@1.2.
func (h *house) fleet(n int) {
	h.t.Helper()
	h.must(nil, "POST", "/api/profiles", `{"name":"P"}`)
	for i := range n {
		h.must(nil, "POST", "/api/devices", fmt.Sprintf(`{"name":"dev-%d","profile":"P"}`, i+1))
	}
	for _, v := range []string{"1.1", "1.2"} {
		h.must(nil, "POST", "/api/packages?title=app&profile=P&tag=app+"+v+"&version="+v, "bytes of "+v, "Content-Type", "application/octet-stream")
	}
}

func TestAssignments(t *testing.T) {
	h := newHouse(t)
	h.fleet(3)
	h.steps([]step{
		{"POST", "/api/assignments?dryRun=true", `{"package":"app@1.2","profile":"P"}`, 200, `"preview":{"devices":3,"update":3,"current":0,"overridden":0}`},
		{"GET", "/api/profiles/P", "", 200, `"name":"P","created"`},
		{"POST", "/api/assignments", `{"package":"app@1.2","profile":"P"}`, 200, `"changed":true,"rollout":"`},
		{"POST", "/api/assignments", `{"package":"app@1.2","profile":"P"}`, 200, `"changed":false`},
		{"GET", "/api/profiles/P", "", 200, `"firmware":{"title":"app","version":"1.2"`},
		{"POST", "/api/assignments", `{"package":"app@1.1","device":"dev-1"}`, 200, `"changed":true`},
		{"GET", "/api/devices/dev-1", "", 200, `"firmware":{"target":{"title":"app","version":"1.1","tag":"app 1.1"},"assignedBy":"device"}`},
		{"GET", "/api/devices/dev-2", "", 200, `"firmware":{"target":{"title":"app","version":"1.2","tag":"app 1.2"},"assignedBy":"profile"}`},
		{"POST", "/api/assignments?dryRun=true", `{"package":"app@1.1","profile":"P"}`, 200, `"preview":{"devices":3,"update":2,"current":0,"overridden":1}`},
		{"PATCH", "/api/devices/dev-1", `{"profile":"P"}`, 200, ``},
		{"DELETE", "/api/packages/app@1.1", "", 409, `unassign it there first`},
		{"DELETE", "/api/packages/app@1.2", "", 409, `unassign it there first`},
		{"DELETE", "/api/assignments?type=firmware&device=dev-1", "", 200, `"changed":true`},
		{"DELETE", "/api/assignments?type=firmware&device=dev-1", "", 200, `"changed":false`},
		{"DELETE", "/api/packages/app@1.1", "", 204, ``},
		{"POST", "/api/assignments", `{"package":"app@1.1","device":"dev-1"}`, 404, `"location":"body.package"`},
		{"POST", "/api/assignments", `{"package":"app@1.2"}`, 422, `name a device or a profile`},
		{"POST", "/api/assignments", `{"package":"app@1.2","device":"dev-1","profile":"P"}`, 422, `not both`},
		{"POST", "/api/assignments", `{"package":"app@1.2","group":"G"}`, 422, `no device groups`},
		{"DELETE", "/api/assignments?device=dev-1", "", 422, `type`},
		{"PUT", "/api/packages/app@1.2/quarantine", `{"reason":"bricks pumps"}`, 200, `"quarantine":"bricks pumps"`},
		{"POST", "/api/assignments", `{"package":"app@1.2","device":"dev-1"}`, 422, `in quarantine: bricks pumps`},
		{"DELETE", "/api/packages/app@1.2/quarantine", "", 200, `"ready":true}`},
		{"POST", "/api/assignments", `{"package":"app@1.2","device":"dev-1"}`, 200, `"changed":true`},
	})
}

func TestAPackageOfAnotherProfileIsNotAssigned(t *testing.T) {
	h := newHouse(t)
	h.fleet(1)
	h.steps([]step{
		{"POST", "/api/profiles", `{"name":"Q"}`, 201, ``},
		{"POST", "/api/assignments", `{"package":"app@1.2","profile":"Q"}`, 422, `made for another device profile`},
		{"POST", "/api/assignments?dryRun=true", `{"package":"app@1.2","profile":"Q"}`, 422, `made for another device profile`},
		{"POST", "/api/assignments", `{"package":"app@1.2","device":"dev-1"}`, 200, ``},
		{"PATCH", "/api/devices/dev-1", `{"profile":"Q"}`, 409, `unassign that first`},
	})
}

type fakeChains struct{ faults []string }

func (f *fakeChains) List() []Chain {
	return []Chain{{Name: "rollout", Triggers: []string{"rollout"}}, {Name: "download", Triggers: []string{"chunk_requested"}}}
}
func (f *fakeChains) Source(name string) ([]byte, bool) { return []byte("chain: " + name + "\n"), true }
func (f *fakeChains) Revisions(_ context.Context, name string) ([]ChainRevision, error) {
	if name != "download" {
		return nil, ota.Errorf(ota.NotFound, "", "there is no chain %q", name)
	}
	return []ChainRevision{{Revision: "cafe0123", By: "file", At: time.Unix(0, 0).UTC(), Active: true, Waiting: 3}}, nil
}

func (f *fakeChains) Revision(_ context.Context, name, prefix string) (RevisionText, error) {
	if prefix != "cafe" {
		return RevisionText{}, ota.Errorf(ota.NotFound, "", "chain %s has no revision %q", name, prefix)
	}
	return RevisionText{ChainRevision{Revision: "cafe0123"}, []ChainFile{{name, name + ".yaml", "chain: x"}}}, nil
}

func (f *fakeChains) Revert(_ context.Context, name, prefix, by string) (Reverted, error) {
	return Reverted{Chain: name, Revision: prefix + "0123", Was: by, Changed: []string{name}, Faults: f.faults}, nil
}
func (f *fakeChains) reload() Reload { return Reload{Changed: []string{"download"}, Faults: f.faults} }

func TestAConductorMustBeAChainThatConducts(t *testing.T) {
	h := newHouse(t, func(d *Deps) { d.Chains = &reloadable{} })
	h.fleet(1)
	h.steps([]step{
		{"POST", "/api/assignments", `{"package":"app@1.2","profile":"P","chain":"download"}`, 422, `there are: rollout`},
		{"POST", "/api/assignments", `{"package":"app@1.2","profile":"P","chain":"rollout","params":{"soak":"6h"}}`, 200, `"changed":true`},
		{"GET", "/api/profiles/P", "", 200, `"chain":"rollout","params":{"soak":"6h"}`},
	})
}

func TestADeviceShowsItsUpdate(t *testing.T) {
	h := newHouse(t)
	h.fleet(2)
	h.must(nil, "POST", "/api/assignments", `{"package":"app@1.2","profile":"P"}`)
	p := h.pkg("app@1.2")
	h.change("dev-1", func(d *ota.Device, now time.Time) {
		d.Firmware.Reported = ota.Version{Title: "app", Version: "1.1"}
		d.Firmware.Enqueue(p, "1", "", "", now)
	})
	h.steps([]step{
		{"GET", "/api/devices/dev-1", "", 200, `"state":"QUEUED","target":{"title":"app","version":"1.2","tag":"app 1.2"},"current":{"title":"app","version":"1.1"},"assignedBy":"profile","error":"","progress":0,"attempt":1,"waits":"for its turn"`},
		{"GET", "/api/status", "", 200, `{"firmware":{"QUEUED":1,"INITIATED":0,"DOWNLOADING":0,"DOWNLOADED":0,"VERIFIED":0,"UPDATING":0,"UPDATED":0,"FAILED":0},"software":{"QUEUED":0,`},
		{"GET", "/api/status?type=firmware", "", 200, `"FAILED":0}}`},
		{"GET", "/api/devices?state=QUEUED", "", 200, `"name":"dev-1"`},
		{"GET", "/api/devices?state=FAILED&type=software", "", 200, `{"data":[]}`},
		{"GET", "/api/deadletters", "", 200, `{"data":[]}`},
	})
	h.change("dev-1", func(d *ota.Device, now time.Time) {
		if err := d.Firmware.Initiate(time.Hour, now); err != nil {
			t.Fatal(err)
		}
		d.Firmware.Report(ota.Report{State: "FAILED", Error: "flash is worn"}, now)
	})
	var d Device
	h.must(&d, "GET", "/api/devices/dev-1", "")
	var states []string
	for _, s := range d.Firmware.History {
		states = append(states, s.State)
	}
	if !slices.Equal(states, []string{"QUEUED", "INITIATED", "FAILED"}) || *d.Firmware.Error != "flash is worn" || *d.Firmware.Progress != 99 {
		t.Errorf("got %+v", d.Firmware)
	}
	h.change("dev-2", func(d *ota.Device, now time.Time) {
		d.Firmware.Enqueue(p, "1", "", "", now)
		d.Firmware.Cancel()
	})
	h.steps([]step{{"GET", "/api/devices/dev-2", "", 200, `"firmware":{"closed":"cancelled","target":{"title":"app"`}})
}

func TestDeviceShowsItsAlarms(t *testing.T) {
	h := newHouse(t)
	h.fleet(2)
	ref, err := h.store.Find(t.Context(), ota.DefaultTenant, ota.DeviceRef, "dev-1")
	if err != nil {
		t.Fatal(err)
	}
	_, err = h.api.change(t.Context(), ref, func(x *ota.Turn) error {
		x.Home.Raise("battery", ota.Info, "at 20 %", h.store.Now())
		x.Home.Raise("battery", ota.Critical, "at 2 %", h.store.Now())
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	var one Device
	var all List[Device]
	h.must(&one, "GET", "/api/devices/dev-1", "")
	h.must(&all, "GET", "/api/devices?alarmed=true", "")
	if len(all.Data) != 1 {
		t.Fatalf("%d devices have an alarm", len(all.Data))
	}
	for _, d := range []Device{one, all.Data[0]} {
		if len(d.Alarms) != 1 || d.Alarms[0].Key != "battery" || d.Alarms[0].Severity != "critical" || d.Alarms[0].Message != "at 2 %" || d.Alarms[0].Count != 2 {
			t.Errorf("alarms %+v", d.Alarms)
		}
	}
}
