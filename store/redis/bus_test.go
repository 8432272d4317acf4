package redis

import (
	"reflect"
	"testing"

	"github.com/windlass-ota/windlass/ota"
	"github.com/windlass-ota/windlass/store/storetest"
)

func TestBuses(t *testing.T) {
	for name, start := range backends {
		t.Run(name, func(t *testing.T) {
			c := start(t)
			storetest.Buses(t, func(t *testing.T) func(string) ota.Bus {
				emptied(t, c)
				return func(process string) ota.Bus {
					s := New(c)
					t.Cleanup(func() { s.Close() })
					b, err := NewBus(s, process)
					if err != nil {
						t.Fatal(err)
					}
					return b
				}
			})
		})
	}
}

func TestNamesOfProcesses(t *testing.T) {
	for _, name := range []string{"", "a|b", "a\nb"} {
		if _, err := NewBus(&Store{}, name); ota.CodeOf(err) != ota.Invalid {
			t.Errorf("a bus of %q: %v", name, err)
		}
		if _, err := NewOwner(&Store{}, name); ota.CodeOf(err) != ota.Invalid {
			t.Errorf("an owner of %q: %v", name, err)
		}
	}
}

func FuzzDecodeWords(f *testing.F) {
	good, err := encodeWords([]ota.Reply{{Word: ota.SayOffer, Section: ota.Section{Package: &ota.Package{ID: "t"}}, Body: []byte{1}}})
	if err != nil {
		f.Fatal(err)
	}
	f.Add(good)
	f.Add([]byte("[{}]"))
	f.Fuzz(func(t *testing.T, text []byte) {
		words, err := decodeWords(text)
		if err != nil {
			return
		}
		again, err := encodeWords(words)
		if err != nil {
			t.Fatal(err)
		}
		if back, err := decodeWords(again); err != nil || len(back) != len(words) || len(words) > 0 && !reflect.DeepEqual(back[0].Word, words[0].Word) {
			t.Fatalf("%+v comes back as %+v, %v", words, back, err)
		}
	})
}
