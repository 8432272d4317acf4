package mqtt

import (
	"bytes"
	"context"
	"crypto/sha1" //nolint:gosec // what RFC 6455 asks for; nothing secret hangs on it
	"encoding/base64"
	"encoding/binary"
	"errors"
	"io"
	"net"
	"net/http"
	"strings"
)

// WebSocket answers requests to speak MQTT over a WebSocket (MQTT section 6, RFC
// 6455), on any HTTP server. The framing is our own, since what waits for its
// device here must be woken by a deadline and hold no buffer, which libraries
// for WebSocket do not offer. Who asks from which page does not matter: a device
// proves itself in CONNECT, by nothing that a browser would add by itself.
func (t *Transport) WebSocket() http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		protocol, key := subprotocol(r), r.Header.Get("Sec-WebSocket-Key")
		switch {
		case r.Method != http.MethodGet || !hasToken(r.Header, "Connection", "upgrade") || !hasToken(r.Header, "Upgrade", "websocket"):
			w.Header().Set("Upgrade", "websocket")
			http.Error(w, "this path speaks MQTT over a WebSocket", http.StatusUpgradeRequired)
			return
		case r.Header.Get("Sec-WebSocket-Version") != "13":
			w.Header().Set("Sec-WebSocket-Version", "13")
			http.Error(w, "the version of WebSocket is 13", http.StatusUpgradeRequired)
			return
		case protocol == "" || len(key) != 24:
			http.Error(w, "ask for the subprotocol mqtt, with a key", http.StatusBadRequest)
			return
		}
		turns := t.serving()
		if turns == nil {
			http.Error(w, "not now", http.StatusServiceUnavailable)
			return
		}
		sock, rw, err := http.NewResponseController(w).Hijack()
		if err != nil {
			http.Error(w, "a WebSocket needs HTTP/1.1", http.StatusHTTPVersionNotSupported)
			return
		}
		early := make([]byte, rw.Reader.Buffered())
		_, _ = io.ReadFull(rw.Reader, early) // it is all there
		answer := "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Protocol: " + protocol +
			"\r\nSec-WebSocket-Accept: " + accepts(key) + "\r\n\r\n"
		if _, err := io.WriteString(sock, answer); err != nil {
			sock.Close()
			return
		}
		c := newConn(t, sock, nil)
		c.nc = &frames{Conn: &patient{sock, c}, c: c, early: early}
		t.begin(turns, c)
	})
}

// serving is what turns run under; nil before Serve and when it ends.
func (t *Transport) serving() context.Context {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.stopping.Load() {
		return nil
	}
	return t.turns
}

// subprotocol picks the name that MQTT goes by, "" where it was not asked for.
func subprotocol(r *http.Request) string {
	for _, name := range []string{"mqtt", "mqttv3.1"} {
		if hasToken(r.Header, "Sec-WebSocket-Protocol", name) {
			return name
		}
	}
	return ""
}

func hasToken(h http.Header, name, token string) bool {
	for _, line := range h.Values(name) {
		for part := range strings.SplitSeq(line, ",") {
			if strings.EqualFold(strings.TrimSpace(part), token) {
				return true
			}
		}
	}
	return false
}

func accepts(key string) string {
	sum := sha1.Sum([]byte(key + "258EAFA5-E914-47DA-95CA-C5AB0DC85B11")) //nolint:gosec // see above
	return base64.StdEncoding.EncodeToString(sum[:])
}

// The opcodes of RFC 6455, section 5.2.
const (
	opContinue = 0
	opBinary   = 2
	opClose    = 8
	opPing     = 9
	opPong     = 10
)

var errFrame = errors.New("mqtt: WebSocket frame is malformed, or no binary one")

// frames is a connection whose bytes go in frames of WebSocket. It reads into
// its caller's buffer and unwraps there, so it holds none.
type frames struct {
	net.Conn
	c     *conn
	early []byte // what came together with the request

	head [14]byte // of the frame that is being read
	have int      // bytes of it
	left uint64   // bytes of the payload that are still to come
	at   int      // place in the mask
	note []byte   // payload of a control frame
}

// Read implements [net.Conn]. It is called by one goroutine at a time.
func (f *frames) Read(b []byte) (int, error) {
	for {
		var n int
		var err error
		if len(f.early) > 0 {
			n = copy(b, f.early)
			f.early = f.early[n:]
		} else if n, err = f.Conn.Read(b); n == 0 {
			return 0, err
		}
		n, err = f.unwrap(b[:n])
		if n > 0 || err != nil {
			return n, err
		}
	}
}

// unwrap leaves of b what belongs to the stream, at its beginning.
func (f *frames) unwrap(b []byte) (n int, err error) {
	for len(b[n:]) > 0 && err == nil {
		rest := b[n:]
		if f.left == 0 {
			used, e := f.header(rest)
			copy(rest, rest[used:])
			b, err = b[:len(b)-used], e
			continue
		}
		k := int(min(f.left, uint64(len(rest))))
		f.unmask(rest[:k])
		if f.left -= uint64(k); f.opcode() < opClose {
			n += k
		} else {
			f.note = append(f.note, rest[:k]...)
			copy(rest, rest[k:])
			b = b[:len(b)-k]
		}
		if f.left == 0 {
			err = f.end()
		}
	}
	return n, err
}

func (f *frames) opcode() byte { return f.head[0] & 15 }

// need is how long the header is, as far as that can be told.
func (f *frames) need() int {
	switch {
	case f.have < 2:
		return 2
	case f.head[1]&127 == 126:
		return 8
	case f.head[1]&127 == 127:
		return 14
	}
	return 6
}

// header takes bytes of a header; with the last of them the payload begins.
func (f *frames) header(b []byte) (used int, err error) {
	for used < len(b) && f.have < f.need() {
		f.head[f.have] = b[used]
		f.have++
		used++
	}
	if f.have < f.need() {
		return used, nil
	}
	switch short := f.head[1] & 127; short {
	case 126:
		f.left = uint64(binary.BigEndian.Uint16(f.head[2:]))
	case 127:
		f.left = binary.BigEndian.Uint64(f.head[2:])
	default:
		f.left = uint64(short)
	}
	op, last := f.opcode(), f.head[0]&128 != 0
	switch {
	case f.head[0]&0x70 != 0, f.head[1]&128 == 0, f.left>>63 != 0: // extensions, no mask
		return used, errFrame
	case op >= opClose && (op > opPong || !last || f.left > 125), op != opContinue && op != opBinary && op < opClose:
		return used, errFrame
	}
	f.at, f.note = 0, f.note[:0]
	if f.left == 0 {
		return used, f.end()
	}
	return used, nil
}

func (f *frames) unmask(b []byte) {
	mask := f.head[f.have-4 : f.have]
	for i := range b {
		b[i] ^= mask[(f.at+i)&3]
	}
	f.at = (f.at + len(b)) & 3
}

// end does what a whole control frame asks for.
func (f *frames) end() error {
	f.have = 0
	switch f.opcode() {
	case opPing:
		return f.answer(opPong, f.note)
	case opClose:
		_ = f.answer(opClose, f.note[:min(2, len(f.note))]) // it leaves in any case
		return io.EOF
	}
	return nil
}

func (f *frames) answer(op byte, note []byte) error {
	f.c.say.writing.Lock()
	defer f.c.say.writing.Unlock()
	return f.write(op, note)
}

// Write implements [net.Conn]; each write is a frame.
func (f *frames) Write(b []byte) (int, error) {
	if err := f.write(opBinary, b); err != nil {
		return 0, err
	}
	return len(b), nil
}

// together is up to which size a frame goes out in one write with its header.
const together = 4 << 10

func (f *frames) write(op byte, b []byte) error {
	head := append(make([]byte, 0, 10), 128|op)
	switch {
	case len(b) < 126:
		head = append(head, byte(len(b)))
	case len(b) <= 0xffff:
		head = binary.BigEndian.AppendUint16(append(head, 126), uint16(len(b)))
	default:
		head = binary.BigEndian.AppendUint64(append(head, 127), uint64(len(b)))
	}
	if len(b) <= together {
		head, b = bytes.Join([][]byte{head, b}, nil), nil
	}
	if _, err := f.Conn.Write(head); err != nil || len(b) == 0 {
		return err
	}
	_, err := f.Conn.Write(b)
	return err
}

// CloseWrite says that nothing more comes.
func (f *frames) CloseWrite() error {
	if err := f.answer(opClose, []byte{3, 232}); err != nil { // 1000: normal
		return err
	}
	if half, ok := f.c.sock.(interface{ CloseWrite() error }); ok {
		return half.CloseWrite()
	}
	return nil
}
