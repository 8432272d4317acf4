package lwm2m

import (
	"encoding/hex"
	"errors"
	"time"

	"github.com/plgd-dev/go-coap/v3/message"
	"github.com/plgd-dev/go-coap/v3/message/codes"

	"github.com/windlass-ota/windlass/internal/coapx"
	"github.com/windlass-ota/windlass/internal/lwm2mwire"
	"github.com/windlass-ota/windlass/ota"
	"github.com/windlass-ota/windlass/transports"
)

// fetch answers with the block of a package that a client asks for. Nothing is
// kept between two blocks, so that any can be asked for, at any time, of any
// process. Whoever has no link hears the same as whoever has one that has ended.
func (t *Transport) fetch(p *peer, r coapx.Asked, folder, token string) *coapx.Message {
	l, ok := openLink(t.d.Key, token)
	ref := ota.RefOf(l.tenant, l.device)
	if !ok || !time.Now().Before(l.expires) || p.secure && p.proven != ref {
		return coapx.Response(codes.NotFound)
	}
	h, err := t.d.Facts.Get(t.ctx, ota.Ref{Tenant: l.tenant, Type: ota.PackageRef, ID: string(l.pkg)})
	if err != nil || h.Package == nil || h.Package.Blob == "" || (folder == softwareLinks) != (h.Package.Kind == ota.Software) {
		if code := ota.CodeOf(err); err != nil && code != ota.NotFound {
			return coapx.Response(status(code))
		}
		return coapx.Response(codes.NotFound)
	}
	b, asked := r.Block(message.Block2)
	if !asked {
		b.SZX = coapx.MaxSZX
	}
	if b.SZX > coapx.MaxSZX {
		return coapx.Response(codes.BadRequest)
	}
	m, err := t.block(p, ref, h.Package, b)
	if no := (*refusedError)(nil); errors.As(err, &no) {
		return coapx.Response(status(no.reply.Code))
	}
	if err != nil {
		if ota.CodeOf(err) == ota.Internal {
			t.log.Error("a package could not be read", "device", ref.ID, "package", h.Package.Version.String(), "err", err)
		}
		return coapx.Response(status(ota.CodeOf(err)))
	}
	return m
}

// block reads one block, which the chains must grant.
func (t *Transport) block(p *peer, ref ota.Ref, pkg *ota.Package, b coapx.Block) (*coapx.Message, error) {
	sec, err := t.piece(transports.From(ref, ota.ChunkRequested, Name, p.addr), pkg, ota.Range{Off: b.Off(), Len: b.Size()})
	if err != nil {
		return nil, err
	}
	if sec.Len == 0 && pkg.Size > 0 {
		return coapx.Response(codes.BadRequest), nil // there is no such block
	}
	m := coapx.Response(codes.Content).Set(message.ContentFormat, uint32(lwm2mwire.Opaque))
	m.Payload, m.Anew = make([]byte, sec.Len), true
	if sec.Len > 0 {
		blob, err := t.d.Files.Open(t.ctx, pkg.Blob)
		if err != nil {
			return nil, err
		}
		defer blob.Close()
		if n, err := blob.ReadAt(m.Payload, sec.Off); n < len(m.Payload) {
			return nil, ota.Errorf(ota.Internal, "read a block", "%d of %d bytes: %w", n, len(m.Payload), err)
		}
	}
	b.More = sec.Off+sec.Len < pkg.Size
	m.SetBlock(message.Block2, b)
	if pkg.Size < 1<<32 {
		m.Set(message.Size2, uint32(pkg.Size))
	}
	if tag, err := hex.DecodeString(pkg.Blob); err == nil && len(tag) >= 8 {
		m.Add(message.ETag, string(tag[:8]))
	}
	t.counts.blocks.Add(1)
	if s := t.reg.device(ref); s != nil {
		u := s.kinds[pkg.Kind]
		u.fetched.Store(time.Now().UnixNano())
		u.reached.Store(max(u.reached.Load(), sec.Off+sec.Len))
	}
	return m, nil
}
