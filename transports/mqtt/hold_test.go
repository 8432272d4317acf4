package mqtt
import ("testing";"context";"time";"os";"fmt";"strings"
"github.com/windlass-ota/windlass/ota")
func TestHold(t *testing.T) {
	want := pattern(3<<20)
	os.WriteFile("/tmp/fw.bin", want, 0o644)
	dir := t.TempDir()
	os.WriteFile(dir+"/fw", want, 0o600)
	pkg := &ota.Package{ID: "fw", Kind: ota.Firmware, Blob: "fw", Size: int64(len(want))}
	s := start(t, Config{}, func(_ context.Context, m ota.Message) ([]ota.Reply, error) {
		switch m.Event {
		case ota.ChunkRequested: return []ota.Reply{ota.Chunk(pkg.Section(m.Piece()))}, nil
		case ota.RPCRequested: return []ota.Reply{{Word: ota.SayBody, Body: m.Limits}}, nil
		case ota.AttributesRequested: return []ota.Reply{{Word: ota.SayAttributes, Shared: []byte(`{"fw_title":"x","fw_size":3145728}`)}}, nil
		}
		fmt.Println("HEARD", m.Event, string(m.Values))
		return nil, nil
	})
	s.mu.Lock(); s.disk = onDisk{dir}; s.mu.Unlock()
	a := s.mqtt.Addr().String()
	os.WriteFile("/tmp/mqtt.port", []byte(a[strings.LastIndex(a, ":")+1:]), 0o644)
	for i := 0; i < 60; i++ { time.Sleep(time.Second); s.push(offer("d1", `{"fw_title":"pushed"}`)); if _, err := os.Stat("/tmp/mqtt.stop"); err == nil { return } }
}
