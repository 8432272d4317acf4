package transporttest

import (
	"bytes"
	"context"
	"encoding/json"
	"reflect"
	"sync"
	"testing"
	"time"

	"github.com/windlass-ota/windlass/ota"
)

func sendsPieces(t *testing.T, w Wire, remote bool) {
	data := make([]byte, 50_000)
	for i := range data {
		data[i] = byte(i) ^ byte(i>>8)*7
	}
	files := NewFiles(t, remote)
	files.Add(t, "sum", data)
	pkgs := map[ota.Kind]*ota.Package{}
	for _, k := range ota.Kinds() {
		pkgs[k] = &ota.Package{ID: ota.PackageID(k), Kind: k, Version: ota.Version{Title: "pump", Version: "1.10"}, Blob: "sum", Size: int64(len(data))}
	}
	x := begin(t, w, files, func(_ context.Context, m ota.Message) ([]ota.Reply, error) {
		if m.Event != ota.ChunkRequested {
			return nil, nil
		}
		if m.Device != "d1" {
			return []ota.Reply{ota.Refusal(ota.NotFound, "")}, nil
		}
		return []ota.Reply{ota.Chunk(pkgs[m.Kind].Section(m.Piece()))}, nil
	})
	d := x.dial(t, "T1")
	for _, k := range ota.Kinds() {
		for _, size := range []int64{1000, 4096, 25_000, 50_000, 65_536} {
			var got []byte
			for n := range int64(len(data))/size + 2 {
				b, err := d.Chunk(k, pkgs[k].Version, size, n)
				if err != nil {
					t.Fatalf("%s, piece %d of %d bytes: %v", k, n, size, err)
				}
				if past := n*size >= int64(len(data)); past != (len(b) == 0) {
					t.Fatalf("%s, piece %d of %d bytes has %d", k, n, size, len(b))
				}
				got = append(got, b...)
			}
			if !bytes.Equal(got, data) {
				t.Errorf("%s in pieces of %d: the bytes differ", k, size)
			}
		}
		if b, err := d.Chunk(k, pkgs[k].Version, 0, 0); err != nil || !bytes.Equal(b, data) {
			t.Errorf("%s whole: %d bytes, %v", k, len(b), err)
		}
	}
	if b, err := x.dial(t, "T2").Chunk(ota.Firmware, pkgs[ota.Firmware].Version, 1000, 0); err == nil {
		t.Errorf("a device without a package got %d bytes", len(b))
	}
}

func pushes(t *testing.T, w Wire) {
	x := begin(t, w, nil, quiet)
	one, two := x.dial(t, "T1").Listen(), x.dial(t, "T2").Listen()
	alike := x.dial(t, "A1").Listen()
	say := func(d ota.DeviceID, r ota.Reply) {
		t.Helper()
		r.Tenant, r.Device, r.Push = "main", d, true
		if heard, err := x.Router.Send(t.Context(), []ota.Reply{r}); !heard || err != nil {
			t.Errorf("heard %v, %v", heard, err)
		}
	}
	say("d1", ota.Reply{Word: ota.SayOffer, Shared: []byte(`{"fw_title":"pump","fw_version":"1.10","fw_size":3}`)})
	say("d2", ota.Reply{Word: ota.SayCancel, Deleted: []string{"fw_title", "fw_version"}})
	hears(t, one, `{"fw_title":"pump","fw_version":"1.10","fw_size":3}`)
	hears(t, two, `{"deleted":["fw_title","fw_version"]}`)
	select {
	case got := <-alike:
		t.Errorf("another tenant's device of the same name heard %s", got)
	default:
	}
	if heard, _ := x.Router.Send(t.Context(), []ota.Reply{{Word: ota.SayOffer, Tenant: "main", Device: "d3", Push: true, Shared: []byte(`{}`)}}); heard {
		t.Error("a device that is not there was heard")
	}
}

func hears(t *testing.T, c <-chan string, want string) {
	t.Helper()
	select {
	case got := <-c:
		var a, b any
		if json.Unmarshal([]byte(got), &a) != nil || json.Unmarshal([]byte(want), &b) != nil || !reflect.DeepEqual(a, b) {
			t.Errorf("heard %s, want %s", got, want)
		}
	case <-time.After(10 * time.Second):
		t.Errorf("heard nothing, want %s", want)
	}
}

func forgets(t *testing.T, w Wire) {
	x := begin(t, w, nil, quiet)
	d := x.dial(t, "T1")
	d.Listen()
	if n := x.Router.Sessions(); n == 0 {
		t.Error("who listens holds no session")
	}
	d.Hangup()
	deadline := time.After(10 * time.Second)
	for x.Router.Sessions() > 0 {
		select {
		case <-deadline:
			t.Fatalf("%d sessions are left", x.Router.Sessions())
		case <-time.After(time.Millisecond):
		}
	}
}

func drains(t *testing.T, w Wire) {
	began, ending, release := make(chan struct{}), make(chan struct{}), make(chan struct{})
	var once sync.Once
	var mu sync.Mutex
	stored := false
	x := begin(t, w, nil, func(ctx context.Context, m ota.Message) ([]ota.Reply, error) {
		if m.Event != ota.Telemetry {
			return nil, nil
		}
		once.Do(func() { close(began) })
		<-release
		mu.Lock()
		defer mu.Unlock()
		stored = ctx.Err() == nil
		return nil, nil
	})
	x.dial(t, "T2").Listen() // who only waits must not hold up the end
	d := x.dial(t, "T1")
	said := make(chan struct{})
	go func() {
		defer close(said)
		d.Telemetry(`{"a":1}`)
	}()
	<-began
	ended := make(chan error, 1)
	go func() { close(ending); ended <- x.Stop() }()
	<-ending
	select {
	case err := <-ended:
		t.Errorf("it ended before what it had begun: %v", err)
	case <-time.After(50 * time.Millisecond):
	}
	close(release)
	if err := <-ended; err != nil {
		t.Errorf("serve: %v", err)
	}
	mu.Lock()
	if !stored {
		t.Error("what had begun was not ended")
	}
	mu.Unlock()
	d.Hangup()
	<-said
	if d, err := x.Dial(t, "T3"); err == nil && d.Telemetry(`{"a":1}`) != 0 {
		t.Error("a new message was taken")
	}
}
