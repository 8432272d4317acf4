package storetest

import (
	"context"
	"fmt"
	"reflect"
	"sync"
	"testing"
	"time"

	"github.com/windlass-ota/windlass/ota"
)

// Buses holds buses to the meaning of [ota.Bus]. open makes a new and empty
// store, which ends with the test, and returns what makes the bus of another
// process.
func Buses(t *testing.T, open func(t *testing.T) func(process string) ota.Bus) {
	t.Run("words arrive whole and in order", func(t *testing.T) { busWords(t, open(t)) })
	t.Run("nobody hears", func(t *testing.T) { busNobody(t, open(t)) })
	t.Run("a slow taker loses words, not the bus", func(t *testing.T) { busSlow(t, open(t)) })
}

// listen runs Listen until the test, or the function it returns, ends it.
func listen(t *testing.T, b ota.Bus, take func([]ota.Reply)) (stop func()) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	var done sync.WaitGroup
	done.Go(func() {
		if err := b.Listen(ctx, take); err != nil {
			t.Error(err)
		}
	})
	stop = func() {
		cancel()
		done.Wait()
	}
	t.Cleanup(stop)
	return stop
}

func publish(t *testing.T, b ota.Bus, to string, words ...ota.Reply) bool {
	t.Helper()
	heard, err := b.Publish(t.Context(), to, words)
	if err != nil {
		t.Fatal(err)
	}
	return heard
}

func busWords(t *testing.T, process func(string) ota.Bus) {
	a, b := process("a"), process("b")
	if a.Process() != "a" || b.Process() != "b" {
		t.Errorf("they are called %q and %q", a.Process(), b.Process())
	}
	got := make(chan []ota.Reply, 100)
	listen(t, b, func(w []ota.Reply) {
		if w[0].Word != ota.SayRPC { // those that wait for somebody to hear
			got <- w
		}
	})
	for _, from := range []ota.Bus{a, b} { // from another process, and from itself
		eventually(t, "b hears", func() bool { return publish(t, from, "b", ota.Reply{Word: ota.SayRPC}) })
		pkg := &ota.Package{ID: "p", Version: ota.Version{Title: "app", Version: "1.2"}, Size: 7, Labels: map[string]string{"k": "ü"}}
		want := []ota.Reply{
			{Word: ota.SayOffer, Tenant: tenant, Device: "d", Kind: ota.Software, Push: true, Section: ota.Section{Package: pkg}, Shared: []byte(`{"sw_title":"app"}`)},
			{Word: ota.SayCancel, Tenant: tenant, Device: "d", Deleted: []string{"fw_title", "fw_tag"}},
			{Word: ota.SayBody, Body: []byte{0, 0xff, 10}, Status: 204, Code: ota.Busy, Text: "später", Method: "m", Client: []byte("{}")},
		}
		for i := range 20 {
			want[1].Text = fmt.Sprint(i)
			if !publish(t, from, "b", append([]ota.Reply(nil), want...)...) {
				t.Error("b listens and does not hear")
			}
		}
		for i := range 20 {
			want[1].Text = fmt.Sprint(i)
			select {
			case words := <-got:
				if !reflect.DeepEqual(words, want) {
					t.Fatalf("words %d from %s are\n%+v\nwant\n%+v", i, from.Process(), words, want)
				}
			case <-time.After(10 * time.Second):
				t.Fatalf("words %d from %s do not arrive", i, from.Process())
			}
		}
	}
}

// busNobody has processes of its own: a store may still count the listeners
// of the tests before, whose connections it has not seen closed yet.
func busNobody(t *testing.T, process func(string) ota.Bus) {
	asker, hearer := process("asker"), process("hearer")
	word := ota.Reply{Word: ota.SayOffer}
	for _, to := range []string{"asker", "hearer", "unknown"} {
		if publish(t, asker, to, word) {
			t.Errorf("%s does not listen and hears", to)
		}
	}
	hears := func() bool { return publish(t, asker, "hearer", word) }
	stop := listen(t, hearer, func([]ota.Reply) {})
	eventually(t, "it hears", hears)
	stop()
	eventually(t, "it has ended and hears no more", func() bool { return !hears() })
	listen(t, hearer, func([]ota.Reply) {})
	eventually(t, "it listens again", hears)
}

func busSlow(t *testing.T, process func(string) ota.Bus) {
	a, b := process("a"), process("b")
	blocked, last := make(chan struct{}), make(chan struct{})
	var once sync.Once
	listen(t, b, func(w []ota.Reply) {
		<-blocked
		if w[0].Text == "last" {
			once.Do(func() { close(last) })
		}
	})
	eventually(t, "b hears", func() bool { return publish(t, a, "b", ota.Reply{}) })
	for range 3000 {
		publish(t, a, "b", ota.Reply{})
	}
	close(blocked)
	eventually(t, "words come through again", func() bool {
		publish(t, a, "b", ota.Reply{Text: "last"})
		select {
		case <-last:
			return true
		default:
			return false
		}
	})
}
