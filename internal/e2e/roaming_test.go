package e2e

import (
	"context"
	"net/http"
	"testing"
	"time"

	"github.com/windlass-ota/windlass/ota"
	"github.com/windlass-ota/windlass/sim"
)

// roamer is a device that loses one connection after another and goes on over
// another protocol each time, at the piece where it was.
type roamer struct {
	sim.Wire // the one that it has now
	next     map[int64]sim.Wire
	moved    func() // before it goes on
}

func (r *roamer) Chunk(ctx context.Context, k ota.Kind, v ota.Version, size, n int64) ([]byte, error) {
	if w := r.next[n]; w != nil {
		delete(r.next, n)
		if err := r.Close(); err != nil {
			return nil, err
		}
		r.moved()
		r.Wire = w
		if err := w.Open(ctx); err != nil {
			return nil, err
		}
	}
	return r.Wire.Chunk(ctx, k, v, size, n)
}

// What has been served belongs to the update and not to a session: a device that
// loses MQTT goes on over HTTP, then over CoAP, then over MQTT again, and is
// updated once.
func TestOneUpdateManyWays(t *testing.T) {
	t.Parallel()
	const chunk, chunks = 4 << 10, 40
	s := run(t, "", "--set", "offers.pace=unlimited")
	s.do(t, "profile", "create", "rover")
	s.do(t, "device", "create", "rover-1", "--profile", "rover", "--access-token", "T1")
	file, _ := randomFile(t, randomFor(t), chunk*chunks-7)
	s.upload(t, file, "app", "1", "rover")
	s.do(t, "assign", "app@1", "--profile", "rover")

	first := sim.NewMQTT(s.mqtt, "T1", 4, 1, 10*time.Second, time.Second)
	var percents []int
	r := &roamer{Wire: first, next: map[int64]sim.Wire{
		10: sim.NewHTTP(http.DefaultClient, "http://"+s.http, "T1", time.Second),
		20: sim.NewCoAP(s.listensAt(t, "coap"), "T1", 0, time.Second, 10*time.Second, time.Second),
		30: sim.NewMQTT(s.mqtt, "T1", 5, 1, 10*time.Second, time.Second),
	}, moved: func() {
		percents = append(percents, s.device(t, "rover-1").Firmware.Progress)
	}}
	d := &sim.Device{Name: "rover-1", Wire: r, Kind: ota.Firmware, Chunk: chunk}
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	got, err := d.Run(ctx)
	if err != nil || got.State != ota.Updated {
		t.Fatalf("%+v, %v", got, err)
	}
	for i := 1; i < len(percents); i++ {
		if percents[i] < percents[i-1] {
			t.Errorf("the progress was %v", percents)
		}
	}
	if len(r.next) > 0 || len(percents) != 3 {
		t.Errorf("it has not moved three times: %v", percents)
	}
	s.assertRoad(t, "rover-1", version{"app", "1"}, "profile")
	s.recount(t)
}
