package sim

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"testing"

	"github.com/windlass-ota/windlass/ota"
)

// script is a server in a table: it offers one package and cuts the wire where
// it is told to.
type script struct {
	image   []byte
	version ota.Version
	sum     string
	cuts    map[string]int // how often a call fails
	said    []string
	asked   []string
}

var errCut = errors.New("cut")

func (s *script) cut(what string) error {
	if s.cuts[what] > 0 {
		s.cuts[what]--
		return errCut
	}
	return nil
}
func (s *script) Open(context.Context) error { return s.cut("open") }
func (s *script) Close() error               { return nil }
func (s *script) Report(_ context.Context, v map[string]any) error {
	state := fmt.Sprint(v["fw_state"])
	if err := s.cut(state); err != nil {
		return err
	}
	s.said = append(s.said, fmt.Sprintf("%s %v%v", state, v["current_fw_version"], v["fw_error"]))
	return nil
}
func (s *script) Attributes(context.Context, []string) (map[string]json.RawMessage, error) {
	return nil, s.cut("attributes")
}
func (s *script) Changes(context.Context) (map[string]json.RawMessage, error) {
	return parsePush([]byte(fmt.Sprintf(`{"fw_title":%q,"fw_version":%q,"fw_size":%d,"fw_checksum_algorithm":"CRC32","fw_checksum":%q,"deleted":["fw_url"]}`,
		s.version.Title, s.version.Version, len(s.image), s.sum)))
}
func (s *script) Chunk(_ context.Context, k ota.Kind, v ota.Version, size, n int64) ([]byte, error) {
	s.asked = append(s.asked, fmt.Sprintf("%s %s %d/%d", k, v, n, size))
	if err := s.cut(fmt.Sprint("chunk ", n)); err != nil {
		return nil, err
	}
	p := ota.Package{Size: int64(len(s.image))}
	sec := p.Section(ota.ChunkRange(size, n))
	return s.image[sec.Off : sec.Off+sec.Len], nil
}

func TestDevice(t *testing.T) {
	image := bytes.Repeat([]byte("0123456789"), 25)
	good := []string{"<nil> 1.1<nil>", "DOWNLOADING 1.1<nil>", "DOWNLOADED 1.1<nil>", "VERIFIED 1.1<nil>", "UPDATING 1.1<nil>", "UPDATED 1.2<nil>"}
	tests := []struct {
		name    string
		device  Device
		cuts    map[string]int
		sum     string
		want    ota.State
		said    []string
		chunks  int
		planned ota.State
	}{
		{"good", Device{Chunk: 100}, nil, "", ota.Updated, good, 3, ota.Updated},
		{"whole", Device{}, nil, "", ota.Updated, good, 1, ota.Updated},
		{"one chunk too many", Device{Chunk: 100, OneMore: true}, nil, "", ota.Updated, good, 4, ota.Updated},
		{"fails", Device{Chunk: 100, Behaves: Behaviour{Fails: "flash"}}, nil, "", ota.Failed, append(good[:5:5], "FAILED <nil>flash"), 3, ota.Failed},
		{"lies", Device{Chunk: 100, Behaves: Behaviour{Lies: "9"}}, nil, "", ota.Updated, append(good[:5:5], "UPDATED 9<nil>"), 3, ota.Failed},
		{"wrong checksum", Device{Chunk: 100}, nil, "00000000", ota.Failed, append(good[:3:3], "FAILED <nil>checksum mismatch"), 3, ota.Updated},
		{"cut in the download", Device{Chunk: 100}, map[string]int{"chunk 1": 1}, "", ota.Updated, append(good[:2:2], good...), 5, ota.Updated},
		{"cut at the last word", Device{Chunk: 100}, map[string]int{"UPDATED": 2}, "", ota.Updated, good, 3, ota.Updated},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			s := &script{image: image, version: ota.Version{Title: "app", Version: "1.2"}, sum: ota.CRC32.Sum(image), cuts: tt.cuts}
			if tt.sum != "" {
				s.sum = tt.sum
			}
			d := tt.device
			d.Wire, d.Kind, d.Runs, d.Keep, d.Retry = s, ota.Firmware, ota.Version{Title: "app", Version: "1.1"}, true, 1
			r, err := d.Run(t.Context())
			if err != nil || r.State != tt.want {
				t.Fatalf("%+v, %v", r, err)
			}
			if got, want := fmt.Sprint(s.said), fmt.Sprint(tt.said); got != want {
				t.Errorf("said\n%s, want\n%s", got, want)
			}
			if len(s.asked) != tt.chunks || !bytes.Equal(d.Received, image) {
				t.Errorf("asked %v, got %d bytes", s.asked, len(d.Received))
			}
			if d.Planned() != tt.planned {
				t.Errorf("planned %s", d.Planned())
			}
		})
	}
}

func TestChosen(t *testing.T) {
	for _, tt := range []struct {
		n     int
		share float64
		want  int
	}{{1000, 0.03, 30}, {100, 0.03, 3}, {10, 0.03, 0}, {50, 1, 50}, {50, 0, 0}, {7, 0.5, 3}} {
		got := 0
		for i := range tt.n {
			if Chosen(i, tt.share) {
				got++
			}
		}
		if got != tt.want {
			t.Errorf("%v of %d are %d, want %d", tt.share, tt.n, got, tt.want)
		}
	}
}

func FuzzParsePush(f *testing.F) {
	f.Add([]byte(`{"fw_title":"a","deleted":["fw_url"]}`))
	f.Fuzz(func(_ *testing.T, b []byte) { parsePush(b) }) //nolint:errcheck // it must not panic
}
