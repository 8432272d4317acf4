package sim

import (
	"context"
	"sync"

	"github.com/windlass-ota/windlass/ota"
)

// Player is a simulated device of any kind.
type Player interface {
	// Called is its name.
	Called() string
	// Run plays it until one update has ended, or ctx has.
	Run(ctx context.Context) (Result, error)
	// Planned is how its update ought to end on the server.
	Planned() ota.State
}

// Called is the name of the device.
func (d *Device) Called() string { return d.Name }

// Play runs devices side by side, each until its update has ended or ctx has,
// and returns their results in the devices' order. What a device could not do
// before ctx ended stands in its Result as State "".
func Play[P Player](ctx context.Context, devices []P) []Result {
	results := make([]Result, len(devices))
	var wg sync.WaitGroup
	for i, d := range devices {
		wg.Go(func() {
			r, err := d.Run(ctx)
			r.Device = d.Called()
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
