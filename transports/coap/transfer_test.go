package coap

import (
	"bytes"
	"context"
	"errors"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/windlass-ota/windlass/sim"
)

// TestCutTransfers: a transfer that is cut 500 times, at the boundaries of
// blocks and a byte beside them, from a new address each time, ends with an equal
// image and little sent twice.
func TestCutTransfers(t *testing.T) {
	const block, cuts = 1024, 500
	image := noise(cuts * block * 6 / 5)
	r := start(t, Config{}, image, nil)
	var got []byte
	var sent int64
	for cut := range cuts {
		c := r.dial(t)
		limit := (cut+1)*block + cut%3 - 1 // behind this byte the device loses its connection
		ctx, lose := context.WithCancel(t.Context())
		c.Got = func(n int) {
			if n >= limit {
				lose()
			}
		}
		var err error
		if got, err = c.Fetch(ctx, "fw/T1", got); !errors.Is(err, context.Canceled) {
			t.Fatalf("cut %d: %v", cut, err)
		}
		got = got[:limit] // what it had not written yet is gone
		sent += c.In
		c.Conn.Close()
	}
	c := r.dial(t)
	got, err := c.Fetch(t.Context(), "fw/T1", got)
	sent += c.In
	if err != nil || !bytes.Equal(got, image) {
		t.Fatalf("%d bytes, %v, of %d", len(got), err, len(image))
	}
	if most := int64(len(image))*105/100 + cuts*block; sent > most {
		t.Errorf("%d bytes were sent, %d at most", sent, most)
	}
	t.Logf("an image of %d bytes took %d bytes of datagrams and %d cuts", len(image), sent, cuts)
}

// TestLoss: with three of ten datagrams lost both ways, 1 MiB comes whole, to a
// client that goes on at its last block.
func TestLoss(t *testing.T) {
	t.Parallel() // it waits most of the time
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	rnd := rand.New(rand.NewPCG(seed, 0)) //nolint:gosec // a test's data
	image := noise(1 << 20)
	r := start(t, Config{}, image, nil)
	c := r.dial(t)
	c.Ack, c.Says = 20*time.Millisecond, 1
	c.Drop = func() bool { return rnd.IntN(10) < 3 }
	var got []byte
	var err error
	began := time.Now()
	gaps := 0
	for got, err = c.Fetch(t.Context(), "fw/T1", nil); errors.Is(err, sim.ErrNoAnswer); got, err = c.Fetch(t.Context(), "fw/T1", got) {
		gaps++
	}
	if err != nil || !bytes.Equal(got, image) {
		t.Fatalf("%d bytes, %v", len(got), err)
	}
	t.Logf("%v, %d times begun again", time.Since(began).Round(time.Millisecond), gaps)
}
