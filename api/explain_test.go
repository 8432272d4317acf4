package api

import (
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/windlass-ota/windlass/ota"
)

func TestExplain(t *testing.T) {
	h := newHouse(t, func(d *Deps) { d.Pace = ota.Pace{Count: 7, Every: time.Minute} })
	ctx := t.Context()
	h.must(nil, http.MethodPost, "/api/profiles", `{"name":"pump"}`)
	h.must(nil, http.MethodPost, "/api/devices", `{"name":"d","profile":"pump"}`)
	explain := func(query string) Explanation {
		t.Helper()
		var x Explanation
		h.must(&x, http.MethodGet, "/api/devices/d/explain"+query, "")
		return x
	}
	says := func(x TypeExplanation, want string) {
		t.Helper()
		if !slices.ContainsFunc(x.Sentences, func(s string) bool { return strings.Contains(s, want) }) {
			t.Errorf("it does not say %q:\n%s", want, strings.Join(x.Sentences, "\n"))
		}
	}
	x := explain("")
	if len(x.Types) != 1 || x.Types[0].Type != "firmware" || x.Name != "d" || x.Profile != "pump" {
		t.Fatalf("%+v", x)
	}
	says(x.Types[0], "No firmware is assigned")

	h.must(nil, http.MethodPost, "/api/packages/external", `{"title":"app","version":"1.2","profile":"pump","url":"https://example.org/a"}`)
	var done AssignDone
	h.must(&done, http.MethodPost, "/api/assignments", `{"package":"app@1.2","profile":"pump"}`)
	h.bury("d", "l1", `{}`)
	x = explain("?type=firmware")
	says(x.Types[0], "app@1.2 is in force: it is assigned to its profile pump by admin since ")
	says(x.Types[0], "No update has begun yet.")
	says(x.Types[0], "is kept as dead letter l1: why.")
	if a := x.Types[0].Assignment; a == nil || a.Title != "app" || a.Rollout != done.Rollout || len(x.Types[0].DeadLetters) != 1 {
		t.Errorf("%+v", x.Types[0])
	}

	ref, err := h.store.Find(ctx, ota.DefaultTenant, ota.DeviceRef, "d")
	if err != nil {
		t.Fatal(err)
	}
	pkg, err := h.api.find(ctx, ota.PackageRef, "app@1.2")
	if err != nil {
		t.Fatal(err)
	}
	home, err := h.api.change(ctx, ref, func(x *ota.Turn) error {
		x.Home.Device.Firmware.Enqueue(pkg.Package, "1", ota.RolloutID(done.Rollout), "", h.store.Now())
		x.Home.Device.Firmware.Update.Place = 0.5
		x.Home.Device.Software.Reported = ota.Version{Title: "os", Version: "3"}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	x = explain("")
	if len(x.Types) != 2 {
		t.Fatalf("%+v", x.Types)
	}
	says(x.Types[0], "It waits for rollout "+done.Rollout+", which has not let in any device yet.")
	says(x.Types[1], "The device reports os@3.")
	if f := x.Types[0]; f.Place == nil || *f.Place != 0.5 || f.Deadline != nil || f.Rollout == nil || f.Rollout.State != "running" || f.Track.State != "QUEUED" || len(f.Track.History) != 1 {
		t.Errorf("%+v", f)
	}

	if _, err = h.api.change(ctx, home.Ref, func(x *ota.Turn) error {
		return x.Home.Device.Firmware.Initiate(time.Hour, h.store.Now())
	}); err != nil {
		t.Fatal(err)
	}
	f := explain("?type=firmware").Types[0]
	says(f, "it may be silent until ")
	says(f, "Its attributes tell the device of app@1.2, since ")
	if f.Deadline == nil || f.Place != nil || f.Offer == nil || f.Offered == nil {
		t.Errorf("%+v", f)
	}
	h.steps([]step{
		{"GET", "/api/devices/none/explain", "", 404, `there is no device \"none\"`},
		{"GET", "/api/devices/d/explain?type=bootloader", "", 422, "type"},
	})
	if s, text := h.call("GET", "/api/devices/d/explain", ""); s != 200 || strings.Contains(text, "accessToken") {
		t.Errorf("%d %s: the token is nobody's business here", s, text)
	}
}
