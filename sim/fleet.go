package sim

import (
	"context"
	"sync"

	"github.com/windlass-ota/windlass/ota"
)

// Play runs devices side by side, each until its update has ended or ctx has,
// and returns their results in the devices' order. What a device could not do
// before ctx ended stands in its Result as State "".
func Play(ctx context.Context, devices []*Device) []Result {
	results := make([]Result, len(devices))
	var wg sync.WaitGroup
	for i, d := range devices {
		wg.Go(func() {
			r, err := d.Run(ctx)
			r.Device = d.Name
			if err != nil {
				r.State, r.Error = "", err.Error()
			}
			results[i] = r
		})
	}
	wg.Wait()
	return results
}

// Chosen says whether device i, counted from 0, is one of the share of all that
// misbehaves: floor(n × share) of the first n, spread evenly.
func Chosen(i int, share float64) bool {
	const dust = 1e-9 // 3 % of 100 are 3, whatever binary fractions say
	return int(float64(i+1)*share+dust) > int(float64(i)*share+dust)
}

// Planned is how a device's update ought to end on the server.
func (d *Device) Planned() ota.State {
	if d.Behaves.Fails != "" || d.Behaves.Lies != "" {
		return ota.Failed
	}
	return ota.Updated
}
