package coap

import (
	"cmp"
	"encoding/hex"
	"io"
	"slices"
	"strconv"

	"github.com/windlass-ota/windlass/internal/coapwire"
	"github.com/windlass-ota/windlass/ota"
	"github.com/windlass-ota/windlass/transports"
)

// ask is what a request for firmware or software says.
type ask struct {
	kind        ota.Kind
	token       string
	shown       bool // a token
	want        ota.Version
	size, chunk int64
	block       coapwire.Block
}

// isDownload says whether a request asks for bytes of a package.
func isDownload(m *coapwire.Message) bool {
	if m.Code != coapwire.GET {
		return false
	}
	path, ok := m.Get(coapwire.URIPath)
	return ok && (string(path) == "fw" || string(path) == "sw")
}

// known are the options of a request that must not be passed over and are not:
// where it goes, and the form of its answer.
func known(num uint16) bool {
	switch num {
	case coapwire.IfMatch, coapwire.URIHost, 5, coapwire.URIPort, coapwire.URIPath, coapwire.URIQuery, coapwire.Accept, coapwire.Block2, coapwire.Block1:
		return true
	}
	return false
}

// read reads the request; the code is Empty where all is well.
func (a *ask) read(m *coapwire.Message) (coapwire.Code, string) {
	*a = ask{block: coapwire.Block{SZX: coapwire.MaxSZX}}
	segments := 0
	for _, o := range m.Options {
		switch {
		case o.Num == coapwire.URIPath:
			switch segments++; segments {
			case 1:
				a.kind = ota.Firmware
				if o.Value[0] == 's' {
					a.kind = ota.Software
				}
			case 2:
				a.token, a.shown = string(o.Value), true
			default:
				return coapwire.BadRequest, "there is nothing behind the token"
			}
		case o.Num == coapwire.URIQuery:
			if !a.query(o.Value) {
				return coapwire.BadRequest, "size and chunk are whole numbers"
			}
		case o.Num == coapwire.Block2:
			b, _, ok := m.Block(coapwire.Block2)
			if !ok {
				return coapwire.BadRequest, "no such block"
			}
			a.block = b
		case o.Critical() && !known(o.Num):
			return coapwire.BadOption, "unknown option " + strconv.Itoa(int(o.Num))
		}
	}
	return coapwire.Empty, ""
}

// query reads one part of the query, text as it stands behind the equals sign.
func (a *ask) query(q []byte) bool {
	at := slices.Index(q, '=')
	if at < 0 {
		return true
	}
	var err error
	switch value := string(q[at+1:]); string(q[:at]) {
	case "title":
		a.want.Title = value
	case "version":
		a.want.Version = value
	case "size":
		a.size, err = strconv.ParseInt(value, 10, 64)
	case "chunk":
		a.chunk, err = strconv.ParseInt(value, 10, 64)
	}
	return err == nil
}

// window is the part of what was asked for that one answer carries: a chunk that
// fits, or a block of the chunk or of everything.
func (a *ask) window(m *ota.Message) {
	m.Size, m.Chunk = a.size, a.chunk
	if a.size > 0 && a.size <= a.block.Size() && a.block.Num == 0 {
		return
	}
	all := ota.ChunkRange(a.size, a.chunk)
	w := ota.Range{Off: all.Off + a.block.Offset(), Len: a.block.Size()}
	if all.Len > 0 {
		w.Len = min(w.Len, max(0, all.Len-a.block.Offset()))
	}
	m.Range = &w
}

// download answers a request for bytes. nil where nothing is said.
func (t *Transport) download(p *peer, x *scratch) []byte {
	a := &x.ask
	if code, text := a.read(&x.m); code != coapwire.Empty {
		if code == coapwire.BadOption && x.m.Type == coapwire.NON { // RFC 7252, section 5.4.1
			return nil
		}
		return refuse(x, p, code, text)
	}
	ref, err := t.who(p, a.token, a.shown)
	if err != nil {
		return refuse(x, p, t.whoCode(err), "")
	}
	m := transports.From(ref, ota.ChunkRequested, Name, p.address)
	m.Kind, m.Want = a.kind, a.want
	a.window(&m)
	if m.Range != nil && m.Range.Len == 0 {
		return refuse(x, p, coapwire.BadRequest, "no such block")
	}
	replies, err := t.handle(m)
	if err != nil {
		return refuse(x, p, t.codeOf(err, ref, "download"), textOf(err))
	}
	for i := range replies {
		switch r := &replies[i]; {
		case r.Word == ota.SayChunk && r.Section.Package != nil:
			return t.piece(p, x, &r.Section)
		case r.Word == ota.SayError:
			return refuse(x, p, codes[r.Code], r.Text)
		}
	}
	return refuse(x, p, coapwire.NotFound, "")
}

// piece writes the answer with the bytes of a section.
func (t *Transport) piece(p *peer, x *scratch, s *ota.Section) []byte {
	a := &x.ask
	all := s.Package.Section(ota.ChunkRange(a.size, a.chunk)) // what the block is one of
	if s.Len == 0 && all.Len > 0 {
		return refuse(x, p, coapwire.BadRequest, "no such block")
	}
	if s.Len > a.block.Size() { // the chain has answered with more
		s.Off, s.Len = all.Off+a.block.Offset(), a.block.Size()
	}
	a.block.More = s.Off+s.Len < all.Off+all.Len
	r := p.replyTo(&x.m, coapwire.Content)
	var buf [16]byte
	tag, err := hex.AppendDecode(buf[:0], []byte(s.Package.Blob[:min(len(s.Package.Blob), 16)]))
	if err != nil || len(tag) == 0 { // a name of its own, as in tests
		tag = append(buf[:0], s.Package.Blob[:min(len(s.Package.Blob), 8)]...)
	}
	opts := [3]coapwire.Option{{Num: coapwire.ETag, Value: tag}}
	n := 1
	if _, asked := x.m.Get(coapwire.Block2); asked || a.block.More {
		opts[n] = coapwire.Option{Num: coapwire.Block2, Value: coapwire.AppendUint(buf[8:8], a.block.Uint())}
		n++
		if a.block.Num == 0 {
			opts[n] = coapwire.Option{Num: coapwire.Size2, Value: coapwire.AppendUint(buf[11:11], uint32(min(all.Len, 1<<32-1)))}
			n++
		}
	}
	r.Options = opts[:n]
	out := r.Append(x.out[:0])
	if s.Len > 0 {
		if out, err = t.bytes(out, s); err != nil {
			t.log.Warn("a block could not be read", "transport", Name, "package", s.Package.Version.String(), "error", err)
			return refuse(x, p, codes[ota.CodeOf(err)], "")
		}
	}
	x.out = out
	t.counts.blocks.Add(1)
	return out
}

// bytes appends the marker of a payload and the bytes of a section.
func (t *Transport) bytes(out []byte, s *ota.Section) ([]byte, error) {
	const op = "send package"
	blob, err := t.d.Files.Open(t.base, s.Package.Blob)
	if ota.CodeOf(err) == ota.NotFound { // the package is there, so the loss is ours
		return out, &ota.Error{Code: ota.Internal, Op: op, Err: err}
	}
	if err != nil {
		return out, err
	}
	defer blob.Close()
	out = append(out, 0xff)
	n := len(out)
	out = slices.Grow(out, int(s.Len))[:n+int(s.Len)]
	if got, err := blob.ReadAt(out[n:], s.Off); got < int(s.Len) {
		return out, &ota.Error{Code: ota.Internal, Op: op, Err: cmp.Or(err, io.ErrUnexpectedEOF)}
	}
	return out, nil
}
