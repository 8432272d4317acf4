package mqtt

import (
	"bytes"
	"context"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"testing"
	"time"

	"github.com/windlass-ota/windlass/internal/mqttwire"
	"github.com/windlass-ota/windlass/ota"
)

const firmware = "0123456789abcdefghij" // 20 bytes

// shelf is a chain that sends chunks: of the package that is bound, else of the
// one that is assigned.
type shelf struct {
	packages map[ota.PackageID]*ota.Package
	assigned map[ota.Kind]ota.PackageID
}

func newShelf(f files) *shelf {
	h := &shelf{map[ota.PackageID]*ota.Package{}, map[ota.Kind]ota.PackageID{}}
	h.add(f, "fw1", ota.Firmware, []byte(firmware))
	h.add(f, "sw1", ota.Software, []byte("software"))
	h.assigned[ota.Firmware], h.assigned[ota.Software] = "fw1", "sw1"
	return h
}

func (h *shelf) add(f files, id ota.PackageID, k ota.Kind, b []byte) {
	f[string(id)] = b
	h.packages[id] = &ota.Package{ID: id, Kind: k, Blob: string(id), Size: int64(len(b)), Version: ota.Version{Title: string(id), Version: "1"}}
}

func (h *shelf) handle(_ context.Context, m ota.Message) ([]ota.Reply, error) {
	if m.Event != ota.ChunkRequested {
		return nil, nil
	}
	id := m.Bound
	if id == "" {
		id = h.assigned[m.Kind]
	}
	p := h.packages[id]
	if p == nil {
		return []ota.Reply{ota.Refusal(ota.NotFound, "nothing is assigned")}, nil
	}
	return []ota.Reply{ota.Chunk(p.Section(m.Piece()))}, nil
}

func startShelf(t *testing.T, cfg Config) (*server, *shelf) {
	s := start(t, cfg, nil)
	h := newShelf(s.files)
	s.handle = h.handle
	return s, h
}

func ask(kind string, id, chunk int, size string) *mqttwire.Publish {
	return publish(fmt.Sprintf("v2/%s/request/%d/chunk/%d", kind, id, chunk), size)
}

// One connection, one step after the other: what a device asks and hears,
// without any subscription.
func TestChunks(t *testing.T) {
	steps := []struct {
		name string
		ask  *mqttwire.Publish
		on   string
		want string
	}{
		{"first", ask("fw", 1, 0, "8"), "v2/fw/response/1/chunk/0", "01234567"},
		{"size is remembered", ask("fw", 1, 1, ""), "v2/fw/response/1/chunk/1", "89abcdef"},
		{"last is short", ask("fw", 1, 2, "0"), "v2/fw/response/1/chunk/2", "ghij"},
		{"past the end is empty", ask("fw", 1, 3, "-5"), "v2/fw/response/1/chunk/3", ""},
		{"far past the end", ask("fw", 1, 2147483647, "65536"), "v2/fw/response/1/chunk/2147483647", ""},
		{"again, another size", ask("fw", 1, 1, "4"), "v2/fw/response/1/chunk/1", "4567"},
		{"other number, no size: everything", ask("fw", 2, 5, ""), "v2/fw/response/2/chunk/5", firmware},
		{"size 0: everything", ask("fw", 3, 0, "0"), "v2/fw/response/3/chunk/0", firmware},
		{"negative: everything", ask("fw", 4, 0, "-2147483648"), "v2/fw/response/4/chunk/0", firmware},
		{"largest size", ask("fw", 5, 0, "65536"), "v2/fw/response/5/chunk/0", firmware},
		{"leading zeros", ask("fw", 5, 0, "000000000000004"), "v2/fw/response/5/chunk/0", "0123"},
		{"software with a number of firmware", ask("sw", 1, 0, "4"), "v2/sw/response/1/chunk/0", "soft"},
		{"exactly at the end", ask("sw", 1, 2, ""), "v2/sw/response/1/chunk/2", ""},
		{"firmware's size was kept apart", ask("fw", 1, 0, ""), "v2/fw/response/1/chunk/0", "0123"},
	}
	eachVersion(t, func(t *testing.T, v mqttwire.Version) {
		s, _ := startShelf(t, Config{})
		c := s.login(t, v)
		for _, tt := range steps {
			c.send(tt.ask)
			if p := c.wantPublish(tt.on, tt.want); p.QoS != 1 || p.PacketID == 0 {
				t.Errorf("%s: QoS %d", tt.name, p.QoS)
			}
		}
	})
}

func TestChunkIsAcknowledgedBeforeTheData(t *testing.T) {
	eachVersion(t, func(t *testing.T, v mqttwire.Version) {
		s, _ := startShelf(t, Config{})
		c := s.login(t, v)
		c.send(publish1(7, "v2/fw/request/1/chunk/0", "4"), publish1(8, "v2/fw/request/1/chunk/1", ""), publish1(9, "v2/fw/request/1/chunk/9", ""))
		c.wantAck(mqttwire.PUBACK, 7, 0)
		c.wantPublish("v2/fw/response/1/chunk/0", "0123")
		c.wantAck(mqttwire.PUBACK, 8, 0)
		c.wantPublish("v2/fw/response/1/chunk/1", "4567")
		c.wantAck(mqttwire.PUBACK, 9, 0)
		c.wantPublish("v2/fw/response/1/chunk/9", "")
	})
}

func TestChunkQoSFollowsTheSubscription(t *testing.T) {
	s, _ := startShelf(t, Config{})
	for _, filter := range []string{"v2/fw/response/+/chunk/+", "v2/fw/response/+"} {
		c := s.login(t, mqttwire.V311)
		c.subscribed(subscribe(1, 0, filter), 0)
		c.send(ask("fw", 1, 0, "4"))
		if p := c.wantPublish("v2/fw/response/1/chunk/0", "0123"); p.QoS != 0 {
			t.Errorf("%s: QoS %d", filter, p.QoS)
		}
	}
}

func TestChunkErrors(t *testing.T) {
	tests := []struct {
		name, topic, payload string
		assigned             ota.PackageID
		say                  string // on v2/fw/error; "": nothing
		reason               mqttwire.Reason
	}{
		{"too large", "v2/fw/request/1/chunk/0", "65537", "fw1", "PAYLOAD_TOO_LARGE", mqttwire.ImplementationSpecific},
		{"largest number", "v2/fw/request/1/chunk/0", "2147483647", "fw1", "PAYLOAD_TOO_LARGE", mqttwire.ImplementationSpecific},
		{"nothing assigned", "v2/fw/request/1/chunk/0", "4", "", "NOT_FOUND", mqttwire.ImplementationSpecific},
		{"software tells on fw too", "v2/sw/request/1/chunk/0", "4", "", "NOT_FOUND", mqttwire.ImplementationSpecific},
		{"file is gone", "v2/fw/request/1/chunk/0", "4", "lost", "NOT_FOUND", mqttwire.ImplementationSpecific},
		{"over 32 bits", "v2/fw/request/1/chunk/0", "2147483648", "fw1", "", mqttwire.PayloadFormatInvalid},
		{"2^63", "v2/fw/request/1/chunk/0", "9223372036854775808", "fw1", "", mqttwire.PayloadFormatInvalid},
		{"not a number", "v2/fw/request/1/chunk/0", "4k", "fw1", "", mqttwire.PayloadFormatInvalid},
		{"space", "v2/fw/request/1/chunk/0", " 4", "fw1", "", mqttwire.PayloadFormatInvalid},
		{"chunk over 32 bits", "v2/fw/request/1/chunk/2147483648", "4", "fw1", "", mqttwire.TopicNameInvalid},
		{"number over 32 bits", "v2/fw/request/2147483648/chunk/0", "4", "fw1", "", mqttwire.TopicNameInvalid},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			eachVersion(t, func(t *testing.T, v mqttwire.Version) {
				s, h := startShelf(t, Config{})
				h.add(s.files, "lost", ota.Firmware, []byte("x"))
				delete(s.files, "lost")
				h.assigned[ota.Firmware], h.assigned[ota.Software] = tt.assigned, ""
				c := s.login(t, v)
				c.send(publish1(1, tt.topic, tt.payload))
				if tt.say != "" {
					c.wantPublish("v2/fw/error", tt.say)
				}
				c.wantClosed(tt.reason)
			})
		})
	}
}

func TestChunkCodes(t *testing.T) {
	tests := []struct {
		code   ota.Code
		say    string
		reason mqttwire.Reason
	}{
		{ota.NotFound, "NOT_FOUND", mqttwire.ImplementationSpecific},
		{ota.Invalid, "FAILURE", mqttwire.ImplementationSpecific},
		{ota.Conflict, "FAILURE", mqttwire.ImplementationSpecific},
		{ota.Internal, "FAILURE", mqttwire.ImplementationSpecific},
		{ota.Busy, "", mqttwire.ServerBusy},
	}
	for _, tt := range tests {
		for _, asError := range []bool{true, false} {
			t.Run(fmt.Sprint(tt.code, asError), func(t *testing.T) {
				s := start(t, Config{}, func(context.Context, ota.Message) ([]ota.Reply, error) {
					if asError {
						return nil, ota.Errorf(tt.code, "test", "as planned")
					}
					return []ota.Reply{ota.Refusal(tt.code, "as planned")}, nil
				})
				c := s.login(t, mqttwire.V5)
				c.send(publish1(1, "v2/fw/request/1/chunk/0", "4"))
				if tt.say != "" {
					c.wantPublish("v2/fw/error", tt.say)
				}
				c.wantClosed(tt.reason)
			})
		}
	}
}

// The first success of a request number binds it, for this connection and kind,
// to the package that was assigned then.
func TestChunkBinding(t *testing.T) {
	s, h := startShelf(t, Config{})
	h.add(s.files, "fw2", ota.Firmware, []byte("another!"))
	c := s.login(t, mqttwire.V311)
	one := func(c *client, kind string, id, chunk int, want string) {
		t.Helper()
		c.send(ask(kind, id, chunk, "4"))
		c.wantPublish(fmt.Sprintf("v2/%s/response/%d/chunk/%d", kind, id, chunk), want)
	}
	one(c, "fw", 1, 0, "0123")
	h.assigned[ota.Firmware] = "fw2"
	one(c, "fw", 1, 1, "4567")
	one(c, "fw", 2, 0, "anot")
	one(c, "sw", 1, 0, "soft")
	one(c, "fw", 1, 2, "89ab")
	again := s.login(t, mqttwire.V311)
	one(again, "fw", 1, 1, "her!")
}

// Old request numbers are forgotten, so that a connection's memory has a bound;
// the one in use never is.
func TestChunkMemoryIsBounded(t *testing.T) {
	s, h := startShelf(t, Config{})
	h.add(s.files, "fw2", ota.Firmware, []byte("another!"))
	c := s.login(t, mqttwire.V311)
	ids := func(from, to int) {
		t.Helper()
		for id := from; id < to; id++ {
			c.send(ask("fw", 1, 0, "4"), ask("fw", id, 0, "4"))
			c.wantPublish("v2/fw/response/1/chunk/0", "0123")
			c.next()
		}
	}
	ids(2, 100)
	h.assigned[ota.Firmware] = "fw2"
	ids(100, 120)
	c.send(ask("fw", 2, 0, ""))
	c.wantPublish("v2/fw/response/2/chunk/0", "another!")
}

func TestWholeFileInOnePublish(t *testing.T) {
	eachVersion(t, func(t *testing.T, v mqttwire.Version) {
		s, h := startShelf(t, Config{})
		big := make([]byte, 3<<20+17)
		for i := range big {
			big[i] = byte(i * 7 / 5)
		}
		h.add(s.files, "big", ota.Firmware, big)
		h.assigned[ota.Firmware] = "big"
		c := s.login(t, v)
		c.send(ask("fw", 1, 0, ""))
		if p, ok := c.next().(*mqttwire.Publish); !ok || !bytes.Equal(p.Payload, big) {
			t.Fatal("the file came out differently")
		}
		var got []byte
		for n := 0; len(got) < len(big); n++ {
			c.send(ask("fw", 2, n, "65536"))
			p, ok := c.next().(*mqttwire.Publish)
			if !ok || len(p.Payload) == 0 {
				t.Fatalf("chunk %d: %+v", n, p)
			}
			got = append(got, p.Payload...)
		}
		if !bytes.Equal(got, big) {
			t.Error("the chunks are not the file")
		}
		c.wantAlive()
	})
}

// A 5.0 client may limit its packets; MQTT itself limits them to 256 MiB.
func TestChunkOverWhatAPacketMayHold(t *testing.T) {
	s, h := startShelf(t, Config{})
	h.packages["huge"] = &ota.Package{ID: "huge", Kind: ota.Firmware, Blob: "fw1", Size: 1 << 28}
	c := s.dial(t, mqttwire.V5)
	p := &mqttwire.Connect{Version: mqttwire.V5, HasUserName: true, UserName: []byte("T1")}
	p.Props.SetUint(mqttwire.MaximumPacketSize, smallestPacket)
	c.send(p)
	c.next()
	h.add(s.files, "fw2", ota.Firmware, make([]byte, smallestPacket))
	h.assigned[ota.Firmware] = "fw2"
	c.send(ask("fw", 1, 0, "4"))
	c.wantPublish("v2/fw/response/1/chunk/0", "\x00\x00\x00\x00")
	c.send(ask("fw", 1, 0, strconv.Itoa(smallestPacket-20)))
	c.wantPublish("v2/fw/error", "PAYLOAD_TOO_LARGE")
	c.wantClosed(mqttwire.ImplementationSpecific)

	h.assigned[ota.Firmware] = "huge"
	c = s.login(t, mqttwire.V311)
	c.send(ask("fw", 1, 0, ""))
	c.wantPublish("v2/fw/error", "PAYLOAD_TOO_LARGE")
	c.wantClosed(mqttwire.Success)
}

// A device that takes nothing of what it asked for is cut, and nobody else
// feels it.
func TestSlowReaderIsCut(t *testing.T) {
	s, h := startShelf(t, Config{WriteTimeout: 150 * time.Millisecond})
	h.add(s.files, "big", ota.Firmware, make([]byte, 64<<20))
	h.assigned[ota.Firmware] = "big"
	slow, well := s.login(t, mqttwire.V311), s.login(t, mqttwire.V311)
	slow.send(ask("fw", 1, 0, ""))
	for n := 0; s.mqtt.Stats().Cut == 0; n++ {
		well.send(ask("sw", 1, 0, strconv.Itoa(n%8+1)))
		well.wantPublish("v2/sw/response/1/chunk/0", "software"[:n%8+1])
	}
	well.wantAlive()
}

// A file that fails midway ends the connection: the rest cannot be made up.
func TestFileThatFailsMidway(t *testing.T) {
	s, h := startShelf(t, Config{})
	h.add(s.files, "short", ota.Firmware, make([]byte, 100))
	h.packages["short"].Size = 1 << 20
	h.assigned[ota.Firmware] = "short"
	c := s.login(t, mqttwire.V311)
	c.send(ask("fw", 1, 0, ""))
	if p, err := c.read(); err == nil {
		t.Errorf("got %+v, want the connection cut amid the packet", p)
	}
}

// onDisk keeps files where the kernel can send them from.
type onDisk struct{ dir string }

func (d onDisk) Open(_ context.Context, digest string) (ota.Blob, error) {
	f, err := os.Open(filepath.Join(d.dir, digest))
	if err != nil {
		return nil, ota.Errorf(ota.NotFound, "open", "%w", err)
	}
	return diskBlob{f}, nil
}

type diskBlob struct{ f *os.File }

func (b diskBlob) File() *os.File                          { return b.f }
func (b diskBlob) Close() error                            { return b.f.Close() }
func (b diskBlob) ReadAt(p []byte, off int64) (int, error) { return b.f.ReadAt(p, off) }

func (b diskBlob) Size() int64 {
	info, err := b.f.Stat()
	if err != nil {
		return 0
	}
	return info.Size()
}

// startDisk serves one package whose file lies on disk, and claims size for it.
func startDisk(t *testing.T, cfg Config, content []byte, size int) *server {
	t.Helper()
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "fw"), content, 0o600); err != nil {
		t.Fatal(err)
	}
	pkg := &ota.Package{ID: "fw", Kind: ota.Firmware, Blob: "fw", Size: int64(size)}
	s := start(t, cfg, func(_ context.Context, m ota.Message) ([]ota.Reply, error) {
		if m.Event != ota.ChunkRequested {
			return nil, nil
		}
		return []ota.Reply{ota.Chunk(pkg.Section(m.Piece()))}, nil
	})
	s.mu.Lock()
	s.disk = onDisk{dir}
	s.mu.Unlock()
	return s
}

func pattern(n int) []byte {
	b := make([]byte, n)
	for i := range b {
		b[i] = byte(i>>8) ^ byte(i*7)
	}
	return b
}

func TestChunksFromDisk(t *testing.T) {
	want := pattern(3<<20 + 17)
	s := startDisk(t, Config{}, want, len(want))
	c := s.login(t, mqttwire.V5)
	for _, size := range []int{0, 1000, spliceFrom - 1, spliceFrom, 65536} {
		var got []byte
		for n := 0; len(got) < len(want); n++ {
			c.send(publish1(1, fmt.Sprintf("v2/fw/request/%d/chunk/%d", size, n), strconv.Itoa(size)))
			c.wantAck(mqttwire.PUBACK, 1, 0)
			p, ok := c.next().(*mqttwire.Publish)
			if !ok || len(p.Payload) == 0 {
				t.Fatalf("size %d, chunk %d: %+v", size, n, p)
			}
			got = append(got, p.Payload...)
		}
		if !bytes.Equal(got, want) {
			t.Errorf("size %d: the chunks are not the file", size)
		}
	}
	c.wantAlive()
}

// Many requests in one write are answered in order, large and small mixed.
func TestChunksAskedAllAtOnce(t *testing.T) {
	want := pattern(1 << 20)
	s := startDisk(t, Config{}, want, len(want))
	c := s.login(t, mqttwire.V311)
	var burst []mqttwire.Packet
	sizes := []int{100, 20000, 3, 65536, 8191, 8192}
	for i := range 120 {
		burst = append(burst, publish1(uint16(i+1), fmt.Sprintf("v2/fw/request/1/chunk/%d", i%7), strconv.Itoa(sizes[i%len(sizes)])))
	}
	c.flood(encode(t, c.v, burst...))
	for i := range 120 {
		size := sizes[i%len(sizes)]
		c.wantAck(mqttwire.PUBACK, uint16(i+1), 0)
		c.wantPublish(fmt.Sprintf("v2/fw/response/1/chunk/%d", i%7), string(want[size*(i%7):size*(i%7)+size]))
	}
}

func TestFileOnDiskThatIsShort(t *testing.T) {
	s := startDisk(t, Config{}, pattern(100_000), 200_000)
	c := s.login(t, mqttwire.V311)
	c.send(ask("fw", 1, 0, ""))
	if p, err := c.read(); err == nil {
		t.Errorf("got %+v, want the connection cut amid the packet", p)
	}
}

// A device may be as slow as it likes as long as it takes something: only one
// that stops is cut.
func TestSlowButSteadyReader(t *testing.T) {
	want := pattern(12 << 20)
	s := startDisk(t, Config{WriteTimeout: 100 * time.Millisecond}, want, len(want))
	c := s.login(t, mqttwire.V311)
	if err := c.nc.(*net.TCPConn).SetReadBuffer(256 << 10); err != nil {
		t.Fatal(err)
	}
	c.send(ask("fw", 1, 0, ""))
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	began, buf, got := time.Now(), make([]byte, 64<<10), 0
	for got < len(want) {
		n, err := c.nc.Read(buf)
		if err != nil {
			t.Fatalf("cut after %d bytes: %v", got, err)
		}
		got += n
		<-tick.C
	}
	if took := time.Since(began); took < 3*s.mqtt.cfg.WriteTimeout {
		t.Errorf("took %v, which proves nothing", took)
	}
	// Now it stops.
	c.send(ask("fw", 2, 0, ""))
	until(t, "the connection is cut", func() bool { return s.mqtt.Stats().Cut == 1 })
}
