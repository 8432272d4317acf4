package lwm2m

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"encoding/hex"
	"net"
	"strconv"
	"strings"
	"time"

	"github.com/windlass-ota/windlass/ota"
)

// The first parts of the paths of packages.
const (
	firmwareLinks = "fw"
	softwareLinks = "sw"
)

// link is by what a client fetches a package: it names the device, the package
// and its end, and is signed, so that nobody guesses one, and nothing is kept of
// it. Any process that has the key serves it.
type link struct {
	tenant  ota.TenantID
	device  ota.DeviceID
	pkg     ota.PackageID
	expires time.Time
}

// sealed is the length of a link's signature.
const sealed = 16

// pack writes a link as one part of a path: 80 letters as a rule, since a client
// may take a URI of 255 bytes.
func (l *link) pack(key []byte) string {
	b := binary.BigEndian.AppendUint32(nil, uint32(l.expires.Unix()))
	for _, s := range []string{string(l.tenant), string(l.device), string(l.pkg)} {
		b = appendName(b, s)
	}
	return base64.RawURLEncoding.EncodeToString(append(b, seal(key, b)...))
}

func seal(key, b []byte) []byte {
	m := hmac.New(sha256.New, key)
	_, _ = m.Write([]byte("lwm2m link\x00"))
	_, _ = m.Write(b)
	return m.Sum(nil)[:sealed]
}

// appendName writes a name: a UUID as its 16 bytes, anything else as it is.
func appendName(b []byte, s string) []byte {
	if u, err := hex.DecodeString(strings.ReplaceAll(s, "-", "")); err == nil && len(s) == 36 && len(u) == 16 && uuid(u) == s {
		return append(append(b, 0xff), u...)
	}
	return append(append(b, byte(min(len(s), 254))), s[:min(len(s), 254)]...)
}

func uuid(b []byte) string {
	s := hex.EncodeToString(b)
	return s[:8] + "-" + s[8:12] + "-" + s[12:16] + "-" + s[16:20] + "-" + s[20:]
}

// nextName reads what appendName has written.
func nextName(b []byte) (s string, rest []byte, ok bool) {
	if len(b) == 0 {
		return "", nil, false
	}
	n, isUUID := int(b[0]), b[0] == 0xff
	if isUUID {
		n = 16
	}
	if len(b) < 1+n {
		return "", nil, false
	}
	if isUUID {
		return uuid(b[1 : 1+n]), b[1+n:], true
	}
	return string(b[1 : 1+n]), b[1+n:], true
}

// openLink reads a link that was signed with the key; ok is false where it was not.
func openLink(key []byte, s string) (l link, ok bool) {
	b, err := base64.RawURLEncoding.Strict().DecodeString(s)
	if err != nil || len(b) < sealed+4 || len(s) > 255 {
		return l, false
	}
	b, sum := b[:len(b)-sealed], b[len(b)-sealed:]
	if !hmac.Equal(sum, seal(key, b)) {
		return l, false
	}
	l.expires = time.Unix(int64(binary.BigEndian.Uint32(b)), 0)
	var names [3]string
	b = b[4:]
	for i := range names {
		if names[i], b, ok = nextName(b); !ok {
			return l, false
		}
	}
	l.tenant, l.device, l.pkg = ota.TenantID(names[0]), ota.DeviceID(names[1]), ota.PackageID(names[2])
	return l, true
}

// linkFor makes the URI by which a client fetches a package: at the base that its
// profile names, else at the door that it speaks to.
func (t *Transport) linkFor(s *session, settings *ota.LwM2MSettings, pkg *ota.Package) (string, error) {
	base := settings.Base(pkg.Kind)
	if base == "" {
		var err error
		if base, err = t.baseFor(s.through()); err != nil {
			return "", err
		}
	}
	folder := firmwareLinks
	if pkg.Kind == ota.Software {
		folder = softwareLinks
	}
	l := link{s.ref.Tenant, ota.DeviceID(s.ref.ID), pkg.ID, time.Now().Add(t.c.LinkFor)}
	return base + "/" + folder + "/" + l.pack(t.d.Key), nil
}

// baseFor is where a peer reaches this process: at our address on the way to it.
func (t *Transport) baseFor(p *peer) (string, error) {
	scheme, at := "coap", t.Addr()
	if p.secure || at == nil {
		scheme, at = "coaps", t.SecureAddr()
	}
	own, ok := at.(*net.UDPAddr)
	if !ok {
		return "", ota.Errorf(ota.Internal, "make a link", "there is no door to fetch from")
	}
	ip := own.IP
	if ip.IsUnspecified() {
		way, err := net.Dial("udp", p.addr) // nothing is sent by that
		if err != nil {
			return "", ota.Errorf(ota.Internal, "make a link", "there is no way to %s: %w", p.addr, err)
		}
		defer way.Close()
		ip = way.LocalAddr().(*net.UDPAddr).IP //nolint:forcetypeassert // it was dialled as UDP
	}
	return scheme + "://" + net.JoinHostPort(ip.String(), strconv.Itoa(own.Port)), nil
}
