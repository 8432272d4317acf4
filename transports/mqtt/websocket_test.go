package mqtt

import (
	"bufio"
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/windlass-ota/windlass/internal/mqttwire"
	"github.com/windlass-ota/windlass/ota"
	"github.com/windlass-ota/windlass/transports/transporttest"
)

// webClient is a client's end of a WebSocket, which cuts what it writes into
// frames of a few bytes where it is told to.
type webClient struct {
	net.Conn
	r     *bufio.Reader
	left  int
	piece int // bytes of a frame; 0: all
}

func dialWeb(addr string) (*webClient, error) {
	nc, err := net.Dial("tcp", addr)
	if err != nil {
		return nil, err
	}
	fmt.Fprintf(nc, "GET /mqtt HTTP/1.1\r\nHost: x\r\nConnection: keep-alive, Upgrade\r\nUpgrade: WebSocket\r\n"+
		"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Protocol: mqttv3.1, mqtt\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n")
	w := &webClient{Conn: nc, r: bufio.NewReader(nc)}
	resp, err := http.ReadResponse(w.r, nil)
	switch {
	case err != nil:
		return nil, err
	case resp.StatusCode != http.StatusSwitchingProtocols || resp.Header.Get("Sec-WebSocket-Protocol") != "mqtt" ||
		resp.Header.Get("Sec-WebSocket-Accept") != "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=": // the example of RFC 6455, section 1.3
		return nil, fmt.Errorf("%s: %v", resp.Status, resp.Header)
	}
	return w, nil
}

// webFrame is a frame as clients send it.
func webFrame(first byte, body []byte) []byte {
	out := []byte{first}
	switch {
	case len(body) < 126:
		out = append(out, 128|byte(len(body)))
	case len(body) <= 0xffff:
		out = binary.BigEndian.AppendUint16(append(out, 128|126), uint16(len(body)))
	default:
		out = binary.BigEndian.AppendUint64(append(out, 128|127), uint64(len(body)))
	}
	mask := []byte{1, 2, 3, 4}
	out = append(out, mask...)
	for i, c := range body {
		out = append(out, c^mask[i&3])
	}
	return out
}

func (w *webClient) Write(b []byte) (int, error) {
	var out []byte
	op := byte(opBinary)
	for rest := b; ; op = opContinue {
		k := len(rest)
		if w.piece > 0 {
			k = min(k, w.piece)
		}
		last := byte(0)
		if k == len(rest) {
			last = 128
		}
		out = append(out, webFrame(last|op, rest[:k])...)
		if rest = rest[k:]; len(rest) == 0 {
			break
		}
		out = append(out, webFrame(128|opPing, []byte("still there?"))...) // may come between the pieces
	}
	if _, err := w.Conn.Write(out); err != nil {
		return 0, err
	}
	return len(b), nil
}

func (w *webClient) Read(b []byte) (int, error) {
	for w.left == 0 {
		var head [2]byte
		if _, err := io.ReadFull(w.r, head[:]); err != nil {
			return 0, err
		}
		w.left = int(head[1])
		if extra := map[byte]int{126: 2, 127: 8}[head[1]]; extra > 0 {
			var size [8]byte
			if _, err := io.ReadFull(w.r, size[8-extra:]); err != nil {
				return 0, err
			}
			w.left = int(binary.BigEndian.Uint64(size[:]))
		}
		switch head[0] {
		case 128 | opBinary:
		case 128 | opPong:
			if _, err := w.r.Discard(w.left); err != nil {
				return 0, err
			}
			w.left = 0
		case 128 | opClose:
			return 0, io.EOF
		default:
			return 0, fmt.Errorf("a frame begins with %#x", head[0])
		}
	}
	n, err := w.r.Read(b[:min(len(b), w.left)])
	w.left -= n
	return n, err
}

// web serves an endpoint's WebSockets.
func web(t *testing.T, tr *Transport) (addr string) {
	t.Helper()
	s := httptest.NewServer(tr.WebSocket())
	t.Cleanup(s.Close)
	return strings.TrimPrefix(s.URL, "http://")
}

// The whole contract holds over a WebSocket, in frames of any size.
func TestTransportWebSocket(t *testing.T) {
	for _, piece := range []int{0, 7} {
		t.Run(fmt.Sprint(piece), func(t *testing.T) {
			transporttest.Run(t, func(t *testing.T, w transporttest.World) transporttest.Server {
				tr, err := New(Config{Listen: "127.0.0.1:0"}, Deps{Auth: w.Auth, Files: w.Blobs, Router: w.Router, Log: slog.New(slog.NewTextHandler(t.Output(), nil))})
				if err != nil {
					t.Fatal(err)
				}
				stop := transporttest.Serve(t, tr, w.Handler)
				until(t, "it serves", func() bool { return tr.serving() != nil })
				addr := web(t, tr)
				return transporttest.Server{Name: "mqtt", Stop: stop, Dial: func(t *testing.T, token string) (transporttest.Device, error) {
					return dialSuiteOver(t, token, mqttwire.V5, func() (net.Conn, error) {
						nc, err := dialWeb(addr)
						if err == nil {
							nc.piece = piece
						}
						return nc, err
					})
				}}
			})
		})
	}
}

// What is no request for a WebSocket that speaks MQTT is answered in HTTP.
func TestWebSocketRefused(t *testing.T) {
	s := start(t, Config{}, nil)
	addr := web(t, s.mqtt)
	for name, tt := range map[string]struct {
		head string
		want int
	}{
		"a page":              {"", 426},
		"another version":     {"Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 8\r\n", 426},
		"another subprotocol": {"Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Protocol: chat\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n", 400},
		"no key":              {"Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Protocol: mqtt\r\n", 400},
	} {
		t.Run(name, func(t *testing.T) {
			nc, err := net.Dial("tcp", addr)
			if err != nil {
				t.Fatal(err)
			}
			defer nc.Close()
			nc.SetDeadline(time.Now().Add(patience))
			fmt.Fprintf(nc, "GET / HTTP/1.1\r\nHost: x\r\n%s\r\n", tt.head)
			resp, err := http.ReadResponse(bufio.NewReader(nc), nil)
			if err != nil || resp.StatusCode != tt.want {
				t.Errorf("got %v, %v, want %d", resp, err, tt.want)
			}
		})
	}
}

// Bytes that are no frames of a client end the connection.
func TestWebSocketMalformed(t *testing.T) {
	s := start(t, Config{}, nil)
	addr := web(t, s.mqtt)
	for name, raw := range map[string][]byte{
		"text":                       webFrame(129, []byte("hello")),
		"no mask":                    {130, 1, 'x'},
		"an extension":               webFrame(0xc2, nil),
		"an unknown opcode":          webFrame(0x83, nil),
		"a long ping":                webFrame(128|opPing, make([]byte, 126)),
		"a ping in pieces":           webFrame(opPing, nil),
		"a length over 63 bits":      {130, 255, 255, 0, 0, 0, 0, 0, 0, 0, 1, 2, 3, 4},
		"farewell":                   webFrame(128|opClose, []byte{3, 232}),
		"a frame of 4 GiB of zeroes": append([]byte{130, 255, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0}, make([]byte, 1000)...),
	} {
		t.Run(name, func(t *testing.T) {
			nc, err := dialWeb(addr)
			if err != nil {
				t.Fatal(err)
			}
			defer nc.Close()
			nc.SetDeadline(time.Now().Add(patience))
			if _, err := nc.Conn.Write(raw); err != nil {
				t.Fatal(err)
			}
			_, err = io.Copy(io.Discard, nc.Conn)
			var timeout net.Error
			if errors.As(err, &timeout) && timeout.Timeout() {
				t.Error("the connection stands")
			}
		})
	}
}

// FuzzFrames holds unwrapping to this: whatever the frames and however they are
// cut, what comes out is the same, or an error.
func FuzzFrames(f *testing.F) {
	f.Add(append(webFrame(2, []byte("one")), webFrame(128, []byte("two"))...), 1)
	f.Add(append(webFrame(128|opPing, []byte("hi")), webFrame(130, make([]byte, 300))...), 5)
	f.Add(webFrame(128|opClose, nil), 2)
	read := func(b []byte, cut int) (out []byte, err error) {
		c := &conn{t: &Transport{cfg: Config{}.withDefaults()}, sock: quiet{}}
		w := &frames{Conn: quiet{}, c: c}
		for len(b) > 0 && err == nil {
			k := min(max(cut, 1), len(b))
			part := bytes.Clone(b[:k])
			var n int
			n, err = w.unwrap(part)
			out, b = append(out, part[:n]...), b[k:]
		}
		return out, err
	}
	f.Fuzz(func(t *testing.T, b []byte, cut int) {
		whole, err1 := read(b, len(b))
		pieces, err2 := read(b, cut)
		if !bytes.Equal(whole, pieces) || (err1 == nil) != (err2 == nil) || len(whole) > len(b) {
			t.Errorf("%x, %v and in pieces %x, %v", whole, err1, pieces, err2)
		}
	})
}

// quiet is a connection that takes all and has nothing.
type quiet struct{ net.Conn }

func (quiet) Write(b []byte) (int, error)      { return len(b), nil }
func (quiet) Read([]byte) (int, error)         { return 0, io.EOF }
func (quiet) SetWriteDeadline(time.Time) error { return nil }

// Pushes and take-over work as anywhere: a deadline wakes what waits.
func TestWebSocketWakes(t *testing.T) {
	s := start(t, Config{Settle: 10 * time.Millisecond}, nil)
	addr := web(t, s.mqtt)
	join := func() *client {
		nc, err := dialWeb(addr)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { nc.Close() })
		nc.SetReadDeadline(time.Now().Add(patience))
		c := &client{t, nc, mqttwire.NewReader(nc, mqttwire.MaxRemaining), mqttwire.V5}
		c.send(hello(mqttwire.V5, true))
		c.next()
		return c
	}
	older := join()
	until(t, "it has settled", func() bool { return len(s.events(ota.Connected)) == 1 })
	older.subscribed(subscribe(1, 1, "v2/a"), 1)
	s.push(offer("d1", `{"n":1}`))
	older.wantPublish("v2/a", `{"n":1}`)
	join().wantAlive()
	older.wantClosed(mqttwire.SessionTakenOver)
}
