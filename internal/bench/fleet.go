package main

import (
	"context"
	"fmt"
	"net/http"
	"os"

	"github.com/windlass-ota/windlass/internal/child"
	"github.com/windlass-ota/windlass/transports/coap/coapload"
	"github.com/windlass-ota/windlass/transports/http/httpload"
	"github.com/windlass-ota/windlass/transports/mqtt/mqttload"
)

// fleet is a server some of whose devices have an update on offer.
type fleet struct {
	*server
}

const (
	fleetTitle   = "controller-main"
	fleetVersion = "1.15.0"
	chunkHTTP    = 64 << 10
	chunkMQTT    = 16 << 10
)

func fleetToken(i int) string { return fmt.Sprint("F", i) }

// devicesInUse is the one fleet, made where it is not there yet.
func (b *bench) devicesInUse(ctx context.Context) (*fleet, error) {
	if b.fleet != nil {
		return b.fleet, nil
	}
	s, err := b.server(ctx, "fleet")
	if err != nil {
		return nil, err
	}
	n := b.Conns
	if err := s.devices(ctx, "fleet", "F", 0, n); err != nil {
		return nil, err
	}
	// A device that was never heard is not offered anything.
	err = each(ctx, 0, n, func(ctx context.Context, i int) error {
		return s.device(ctx, http.MethodPost, fleetToken(i), "telemetry", `{"current_fw_title":"`+fleetTitle+`","current_fw_version":"1.14.2"}`, nil)
	})
	if err != nil {
		return nil, err
	}
	file, err := os.Open(b.firmware)
	if err != nil {
		return nil, err
	}
	defer file.Close()
	if err := s.upload(ctx, "fleet", fleetTitle, fleetVersion, file); err != nil {
		return nil, err
	}
	if err := s.assign(ctx, "fleet", fleetTitle, fleetVersion); err != nil {
		return nil, err
	}
	b.fleet = &fleet{s}
	return b.fleet, each(ctx, 0, n, b.fleet.offered)
}

// fleetAnd returns the fleet and a raw part.
func (b *bench) fleetAnd(ctx context.Context, floor ...string) (*fleet, *process, string, error) {
	f, err := b.devicesInUse(ctx)
	if err != nil {
		return nil, nil, "", err
	}
	p, addr, err := b.floor(ctx, floor...)
	return f, p, addr, err
}

// offered waits until a device has its offer.
func (f *fleet) offered(ctx context.Context, i int) error {
	return child.Eventually(ctx, patience, func() (bool, error) {
		var has struct{ Shared map[string]any }
		err := f.device(ctx, http.MethodGet, fleetToken(i), "attributes?sharedKeys=fw_version", "", &has)
		return has.Shared["fw_version"] == fleetVersion, err
	})
}

// asked is a part that is asked over HTTP.
func (b *bench) asked(name string, p *process, addr string, request httpload.Request) *part {
	return &part{Name: name, measure: func(ctx context.Context) (sample, error) {
		return p.spend(func() (int64, error) {
			ctx, cancel := context.WithTimeout(ctx, b.Round)
			defer cancel()
			return httpload.Load{Addr: addr, Conns: b.Conns}.Run(ctx, 1<<40, request)
		})
	}}
}

func get(path string) httpload.Request {
	text := "GET " + path + " HTTP/1.1\r\nHost: bench\r\n\r\n"
	return func(buf []byte, _ int, _ int64) []byte { return append(buf, text...) }
}

// piece is which chunk request i asks for: near ones, and not all the same.
func piece(i int64) int64 { return i * 7 % (firmwareSize / chunkHTTP) }

// ranged asks for chunks by a Range header; path takes the number of the connection.
func ranged(path string) httpload.Request {
	return func(buf []byte, conn int, i int64) []byte {
		off := piece(i) * chunkHTTP
		return fmt.Appendf(buf, "GET "+path+" HTTP/1.1\r\nHost: bench\r\nX-Conn: %[1]d\r\nRange: bytes=%[2]d-%[3]d\r\n\r\n", conn, off, off+chunkHTTP-1)
	}
}

const firmwarePath = "/api/v1/F%[1]d/firmware?title=" + fleetTitle + "&version=" + fleetVersion

func (b *bench) httpChunks(ctx context.Context) (*row, error) {
	f, floor, addr, err := b.fleetAnd(ctx, "http", b.firmware)
	if err != nil {
		return nil, err
	}
	r := &row{
		What: "HTTP chunk of 64 KiB through the chain, with its token", Unit: "chunks per CPU-s", Goal: "≥ 0.8 of raw, ≥ ServeContent",
		Params: fmt.Sprintf("%d connections, one request at a time on each, %v a round, a file of 16 MiB", b.Conns, b.Round),
		Raw:    b.asked("net/http, own range, pooled files, sendfile", floor, addr, ranged("/own")),
		Ours: b.asked("windlass, size= and chunk=", f.process, f.http, func(buf []byte, conn int, i int64) []byte {
			return fmt.Appendf(buf, "GET "+firmwarePath+"&size=%[2]d&chunk=%[3]d HTTP/1.1\r\nHost: bench\r\n\r\n", conn, chunkHTTP, piece(i))
		}),
		Beside: []*part{
			b.asked("windlass, Range", f.process, f.http, ranged(firmwarePath)),
			b.asked("net/http, ServeContent", floor, addr, ranged("/content")),
		},
	}
	if err := b.interleave(ctx, r.Raw, r.Ours, r.Beside[0], r.Beside[1]); err != nil {
		return nil, err
	}
	served := spreadOf(r.Beside[1].figures()).Median
	r.reaches(r.compare().Median >= 0.8 && spreadOf(r.Ours.figures()).Median >= served)
	return r, floor.Stop()
}

func (b *bench) polls(ctx context.Context) (*row, error) {
	f, floor, addr, err := b.fleetAnd(ctx, "http", b.firmware)
	if err != nil {
		return nil, err
	}
	r := &row{
		What: "HTTP poll of attributes with nothing to do", Unit: "polls per CPU-s", Goal: "≥ 20 k/s",
		Params: fmt.Sprintf("%d connections, one request at a time on each, %v a round; seven shared attributes of the offer are asked for and sent; the goal is held against a CPU-second", b.Conns, b.Round),
		Raw:    b.asked("net/http, a tiny reply", floor, addr, get("/tiny")),
		Ours: b.asked("windlass", f.process, f.http, func(buf []byte, conn int, _ int64) []byte {
			return fmt.Appendf(buf, "GET /api/v1/F%d/attributes?sharedKeys=fw_title,fw_version,fw_tag,fw_size,fw_checksum,fw_checksum_algorithm,fw_url HTTP/1.1\r\nHost: bench\r\n\r\n", conn)
		}),
	}
	if err := b.interleave(ctx, r.Raw, r.Ours); err != nil {
		return nil, err
	}
	r.compare()
	r.reaches(spreadOf(r.Ours.figures()).Median >= 20e3)
	return r, floor.Stop()
}

// load drives an MQTT endpoint by the fleet's devices.
func (b *bench) load(addr string, clients int) mqttload.Load {
	return mqttload.Load{Addr: addr, Clients: clients, Token: fleetToken, For: b.Round}
}

func (b *bench) mqttChunks(ctx context.Context) (*row, error) {
	f, floor, addr, err := b.fleetAnd(ctx, "mqtt", fmt.Sprint(chunkMQTT))
	if err != nil {
		return nil, err
	}
	chunks := func(name string, p *process, addr string) *part {
		return &part{Name: name, measure: func(ctx context.Context) (sample, error) {
			return p.spend(func() (int64, error) { return b.load(addr, b.Conns).Chunks(ctx, chunkMQTT, firmwareSize/chunkMQTT) })
		}}
	}
	r := &row{
		What: "MQTT chunk of 16 KiB through the chain", Unit: "chunks per CPU-s", Goal: "≥ 0.6 of raw",
		Params: fmt.Sprintf("%d connections, one request at a time on each, %v a round; connecting is counted on both sides", b.Conns, b.Round),
		Raw:    chunks("a bare loop that answers from memory", floor, addr), Ours: chunks("windlass", f.process, f.mqtt),
	}
	if err := b.interleave(ctx, r.Raw, r.Ours); err != nil {
		return nil, err
	}
	r.reaches(r.compare().Median >= 0.6)
	return r, floor.Stop()
}

func (b *bench) coapBlocks(ctx context.Context) (*row, error) {
	f, floor, addr, err := b.fleetAnd(ctx, "coap", b.firmware)
	if err != nil {
		return nil, err
	}
	blocks := func(name string, p *process, addr string) *part {
		return &part{Name: name, measure: func(ctx context.Context) (sample, error) {
			return p.spend(func() (int64, error) {
				ctx, cancel := context.WithTimeout(ctx, b.Round)
				defer cancel()
				l := coapload.Load{Addr: addr, Clients: b.Conns, Blocks: firmwareSize / coapload.BlockSize, Path: func(i int) []string { return []string{"fw", fleetToken(i)} }}
				return l.Run(ctx, 1<<40)
			})
		}}
	}
	r := &row{
		What: "CoAP block of 1 KiB through the chain", Unit: "blocks per CPU-s", Goal: "≥ 0.6 of raw",
		Params: fmt.Sprintf("%d clients, one request at a time of each, %v a round, a file of 16 MiB; each proves its address once a round", b.Conns, b.Round),
		Raw:    blocks("a bare loop that answers from an open file", floor, addr), Ours: blocks("windlass", f.process, f.coap),
	}
	if err := b.interleave(ctx, r.Raw, r.Ours); err != nil {
		return nil, err
	}
	r.reaches(r.compare().Median >= 0.6)
	return r, floor.Stop()
}
