package sim

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/windlass-ota/windlass/ota"
)

// Behaviour is what a device does that a good one does not.
type Behaviour struct {
	Fails string        // reports FAILED with this text instead of installing
	Lies  string        // after installing, reports this version instead of the target
	Slow  time.Duration // lets this go by before it takes an offer up
}

// Clock is the time that a device lives by.
type Clock interface {
	Now() time.Time
	// Sleep waits; its error is that of a ctx that has ended.
	Sleep(ctx context.Context, d time.Duration) error
}

// machine is the clock of this machine.
type machine struct{}

func (machine) Now() time.Time { return time.Now() }

func (machine) Sleep(ctx context.Context, d time.Duration) error { return pause(ctx, d) }

// Device is one simulated device. Run plays it.
type Device struct {
	Name     string
	Wire     Wire
	Kind     ota.Kind
	Runs     ota.Version // what it runs when it begins; then what it runs
	Chunk    int64       // bytes it asks for at a time; 0: the whole file
	OneMore  bool        // asks one chunk too many, as ThingsBoard's HTTP sample does
	Install  time.Duration
	Retry    time.Duration // pause after an error of the wire
	Behaves  Behaviour
	Notice   func(Event) // may be nil; called on the device's goroutine
	Received []byte      // the last image, where KeepImage is set
	Keep     bool        // keep the image in Received
	Clock    Clock       // nil: this machine's
	Stay     bool        // goes on after an update has ended, until ctx has; Ended hears of each
	Ended    func(Result)

	attrs map[string]json.RawMessage
	owed  *Result // it runs the new version, and has not got that across
	tried bool    // the offer that it knows has been played: it waits to be told again
}

// Event is one thing that happened to a device.
type Event struct {
	Device string
	State  string // as reported
	Bytes  int64  // received since the last event
	Err    error  // of the wire; the device goes on
}

// Result is how a device's update ended.
type Result struct {
	Device string
	State  ota.State
	Error  string
	Bytes  int64
	Took   time.Duration // from the offer to the end
	Offer  Offer
}

// Offer is what a device's attributes tell it.
type Offer struct {
	Version   ota.Version
	Size      int64
	Algorithm ota.ChecksumAlgorithm
	Checksum  string
	URL       string
}

// Run plays the device until one update has ended, or ctx has. Errors of the
// wire are no end: it connects again and goes on, as a device in the field does.
func (d *Device) Run(ctx context.Context) (Result, error) {
	defer d.Wire.Close()
	if d.Retry <= 0 {
		d.Retry = 500 * time.Millisecond
	}
	if d.Clock == nil {
		d.Clock = machine{}
	}
	for {
		r, err := d.session(ctx)
		if err == nil || ctx.Err() != nil {
			return r, errors.Join(err, ctx.Err())
		}
		d.notice(Event{Device: d.Name, Err: err})
		if err := d.Clock.Sleep(ctx, d.Retry); err != nil {
			return r, err
		}
	}
}

// session is one connection: it waits for an offer that differs from what runs
// and plays it to the end.
func (d *Device) session(ctx context.Context) (Result, error) {
	if err := d.Wire.Open(ctx); err != nil {
		return Result{}, err
	}
	if d.owed != nil {
		if r, err := d.arrived(ctx, *d.owed); err != nil || !d.ended(r) {
			return r, err
		}
	} else if err := d.Wire.Report(ctx, d.current("")); err != nil {
		return Result{}, err
	}
	for {
		attrs, err := d.Wire.Attributes(ctx, d.names())
		if err != nil {
			return Result{}, err
		}
		d.attrs = attrs
		for {
			if offer, ok := d.offer(); ok && !d.tried && !offer.Version.Is(d.Runs) {
				if r, err := d.update(ctx, offer); err != nil || !d.ended(r) {
					return r, err
				}
				continue
			}
			push, err := d.Wire.Changes(ctx)
			if err != nil {
				return Result{}, err
			}
			if push == nil {
				break // ask again
			}
			d.merge(push)
			d.tried = false
		}
	}
}

// ended notes the end of an update and says whether the device goes on.
func (d *Device) ended(r Result) bool {
	if d.Ended != nil {
		d.Ended(r)
	}
	d.tried = d.Stay
	return d.Stay
}

func (d *Device) update(ctx context.Context, offer Offer) (Result, error) {
	began := d.Clock.Now()
	res := Result{Device: d.Name, Offer: offer}
	end := func(s ota.State, text string) (Result, error) {
		res.State, res.Error, res.Took = s, text, d.Clock.Now().Sub(began)
		return res, nil
	}
	if err := d.Clock.Sleep(ctx, d.Behaves.Slow); err != nil {
		return res, err
	}
	if err := d.say(ctx, ota.Downloading); err != nil {
		return res, err
	}
	sum := offer.Algorithm.New()
	n, err := d.download(ctx, offer, func(b []byte) {
		if sum != nil {
			sum.Write(b)
		}
	})
	res.Bytes = n
	if err != nil {
		return res, err
	}
	if err := d.say(ctx, ota.Downloaded); err != nil {
		return res, err
	}
	if sum != nil && offer.Algorithm.Hex(sum) != offer.Checksum {
		return d.fail(ctx, "checksum mismatch", end)
	}
	if err := d.say(ctx, ota.Verified); err != nil {
		return res, err
	}
	if err := d.say(ctx, ota.Updating); err != nil {
		return res, err
	}
	if err := d.Clock.Sleep(ctx, d.Install); err != nil {
		return res, err
	}
	if d.Behaves.Fails != "" {
		return d.fail(ctx, d.Behaves.Fails, end)
	}
	d.Runs = offer.Version
	if d.Behaves.Lies != "" {
		d.Runs.Version = d.Behaves.Lies
	}
	res, _ = end(ota.Updated, "")
	d.owed = &res
	return d.arrived(ctx, res)
}

// arrived reports the new version. A device that loses its connection here has
// rebooted into it all the same, and says so when it is back.
func (d *Device) arrived(ctx context.Context, res Result) (Result, error) {
	if err := d.Wire.Report(ctx, d.current(ota.Updated)); err != nil {
		return res, err
	}
	d.owed = nil
	d.notice(Event{Device: d.Name, State: string(ota.Updated)})
	return res, nil
}

func (d *Device) fail(ctx context.Context, text string, end func(ota.State, string) (Result, error)) (Result, error) {
	p := d.Kind.Prefix()
	if err := d.Wire.Report(ctx, map[string]any{p + "_state": ota.Failed, p + "_error": text}); err != nil {
		return Result{}, err
	}
	d.notice(Event{Device: d.Name, State: string(ota.Failed)})
	return end(ota.Failed, text)
}

// download fetches the image in pieces, each in turn, and hands them over.
func (d *Device) download(ctx context.Context, offer Offer, take func([]byte)) (int64, error) {
	d.Received = nil
	var got int64
	for n := int64(0); got < offer.Size || d.OneMore && d.Chunk > 0 && got == offer.Size && n*d.Chunk >= offer.Size; n++ {
		b, err := d.Wire.Chunk(ctx, d.Kind, offer.Version, d.Chunk, n)
		if err != nil {
			return got, err
		}
		if len(b) == 0 {
			if got < offer.Size {
				return got, fmt.Errorf("chunk %d: empty after %d of %d bytes", n, got, offer.Size)
			}
			return got, nil
		}
		if got += int64(len(b)); got > offer.Size {
			return got, fmt.Errorf("chunk %d: %d bytes of %d", n, got, offer.Size)
		}
		take(b)
		if d.Keep {
			d.Received = append(d.Received, b...)
		}
		d.notice(Event{Device: d.Name, Bytes: int64(len(b))})
	}
	return got, nil
}

func (d *Device) say(ctx context.Context, s ota.State) error {
	p := d.Kind.Prefix()
	err := d.Wire.Report(ctx, map[string]any{"current_" + p + "_title": d.Runs.Title, "current_" + p + "_version": d.Runs.Version, p + "_state": s})
	if err == nil {
		d.notice(Event{Device: d.Name, State: string(s)})
	}
	return err
}

// current is what the device says that it runs.
func (d *Device) current(s ota.State) map[string]any {
	p := d.Kind.Prefix()
	m := map[string]any{"current_" + p + "_title": d.Runs.Title, "current_" + p + "_version": d.Runs.Version}
	if s != "" {
		m[p+"_state"] = s
	}
	return m
}

func (d *Device) names() []string {
	p := d.Kind.Prefix() + "_"
	return []string{p + "title", p + "version", p + "tag", p + "size", p + "checksum_algorithm", p + "checksum", p + "url"}
}

func (d *Device) merge(push map[string]json.RawMessage) {
	if d.attrs == nil {
		d.attrs = map[string]json.RawMessage{}
	}
	for k, v := range push {
		if v == nil {
			delete(d.attrs, k)
		} else {
			d.attrs[k] = v
		}
	}
}

// offer reads what the attributes tell; ok is false where they tell nothing whole.
func (d *Device) offer() (o Offer, ok bool) {
	p := d.Kind.Prefix() + "_"
	text := func(name string) (s string) {
		if json.Unmarshal(d.attrs[p+name], &s) != nil {
			return ""
		}
		return s
	}
	o = Offer{Version: ota.Version{Title: text("title"), Version: text("version"), Tag: text("tag")}, URL: text("url"),
		Algorithm: ota.ChecksumAlgorithm(text("checksum_algorithm")), Checksum: text("checksum")}
	if json.Unmarshal(d.attrs[p+"size"], &o.Size) != nil {
		return o, false
	}
	return o, o.Version.Title != "" && o.Version.Version != "" && o.Size > 0 && o.URL == ""
}

func (d *Device) notice(e Event) {
	if d.Notice != nil {
		d.Notice(e)
	}
}

func pause(ctx context.Context, d time.Duration) error {
	if d <= 0 {
		return ctx.Err()
	}
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-t.C:
		return nil
	}
}
