package http

import (
	"context"
	"errors"
	"io"
	"net/http"
	"strconv"
	"time"

	"github.com/windlass-ota/windlass/ota"
	"github.com/windlass-ota/windlass/transports"
)

// maxQuery bounds the query of a request, in bytes.
const maxQuery = 8 << 10

// exchange is one request on its way to its reply.
type exchange struct {
	w   http.ResponseWriter
	r   *http.Request
	h   transports.Handler
	t   *Transport
	ref ota.Ref // who asks
}

// status is the one table from codes to answers.
func status(c ota.Code) int {
	switch c {
	case ota.Invalid:
		return http.StatusBadRequest
	case ota.NotFound:
		return http.StatusNotFound
	case ota.Conflict:
		return http.StatusConflict
	case ota.Busy:
		return http.StatusServiceUnavailable
	}
	return http.StatusInternalServerError
}

// admit proves the device, or answers why it cannot.
func (x *exchange) admit() bool {
	if len(x.r.URL.RawQuery) > maxQuery {
		x.answer(http.StatusRequestURITooLong, "the query is too long")
		return false
	}
	ref, err := x.t.d.Auth.Token(x.r.Context(), x.r.PathValue("token"), x.r.RemoteAddr)
	switch {
	case err == nil:
		x.ref = ref
		return true
	case errors.Is(err, transports.ErrTooMany):
		x.w.Header().Set("Retry-After", "1")
		x.answer(http.StatusTooManyRequests, "")
	case ota.CodeOf(err) == ota.NotFound:
		x.answer(http.StatusUnauthorized, "")
	default:
		x.fail(err)
	}
	return false
}

// answer ends the exchange with a status and a text, which may be "".
func (x *exchange) answer(status int, text string) {
	h := x.w.Header()
	if text != "" {
		h.Set("Content-Type", "text/plain; charset=utf-8")
		h.Set("X-Content-Type-Options", "nosniff")
	}
	h.Set("Content-Length", strconv.Itoa(len(text)))
	x.w.WriteHeader(status)
	if text != "" {
		io.WriteString(x.w, text) //nolint:errcheck // the asker is gone, nobody else is told
	}
}

// json ends the exchange with a JSON body, which may be empty.
func (x *exchange) json(status int, body []byte) {
	h := x.w.Header()
	if len(body) > 0 {
		h["Content-Type"] = jsonType
	}
	h.Set("Content-Length", strconv.Itoa(len(body)))
	x.w.WriteHeader(status)
	x.w.Write(body)
}

var jsonType = []string{"application/json"}

// fail ends the exchange with an error: its text where it is the asker's to
// mend, none where it would only tell how we are built.
func (x *exchange) fail(err error) {
	code := ota.CodeOf(err)
	x.refuse(code, publicText(code, err))
	if code == ota.Internal {
		x.t.d.Log.Error("a request failed", "transport", Name, "device", x.ref.ID, "path", x.r.Pattern, "error", err)
	}
}

func publicText(code ota.Code, err error) string {
	switch code {
	case ota.Internal:
		return "internal error"
	case ota.Busy:
		return "busy, try later"
	}
	return err.Error()
}

func (x *exchange) refuse(code ota.Code, text string) {
	if code == ota.Busy {
		x.w.Header().Set("Retry-After", "1")
	}
	x.answer(status(code), text)
}

// handle hands a message over. ok is false where the exchange has ended, with
// an error or with what a chain says in its own form.
func (x *exchange) handle(m ota.Message) (replies []ota.Reply, ok bool) {
	t := x.t
	select {
	case t.slots <- struct{}{}:
	default:
		select {
		case t.slots <- struct{}{}:
		case <-x.r.Context().Done():
			return nil, false
		}
	}
	replies, err := x.through(m)
	if err != nil {
		x.fail(err)
		return nil, false
	}
	for _, r := range replies {
		switch r.Word {
		case ota.SayError:
			x.refuse(r.Code, r.Text)
			return nil, false
		case ota.SayBody:
			if r.Status < 200 || r.Status > 599 {
				r.Status = http.StatusOK
			}
			x.json(r.Status, r.Body)
			return nil, false
		}
	}
	return replies, true
}

// through goes through the door and gives its slot back. What has begun is
// ended, also when the asker hangs up.
func (x *exchange) through(m ota.Message) ([]ota.Reply, error) {
	defer func() { <-x.t.slots }()
	return x.h.Handle(context.WithoutCancel(x.r.Context()), m)
}

func (x *exchange) message(e ota.Event) ota.Message {
	return transports.From(x.ref, e, Name, x.r.RemoteAddr)
}

// body reads the whole body, at most limit bytes. ok is false where the
// exchange has ended.
func (x *exchange) body(limit int64) (body []byte, ok bool) {
	if x.r.ContentLength > limit {
		x.tooLarge()
		return nil, false
	}
	conn := http.NewResponseController(x.w)
	src := &paced{src: http.MaxBytesReader(x.w, x.r.Body, limit), conn: conn, within: x.t.c.Header}
	size := x.r.ContentLength
	if size < 0 || size > 64<<10 {
		size = 512 // nobody is believed before his bytes have come
	}
	body, err := readAll(src, int(size))
	if src.set && err == nil { // else the rest of the body shall not be waited for
		conn.SetReadDeadline(time.Time{}) //nolint:errcheck // a connection without deadlines needs none lifted
	}
	var large *http.MaxBytesError
	switch {
	case err == nil:
		return body, true
	case errors.As(err, &large):
		x.tooLarge()
	default:
		x.w.Header().Set("Connection", "close")
		x.answer(http.StatusBadRequest, "the body did not come whole")
	}
	return nil, false
}

func (x *exchange) tooLarge() {
	x.w.Header().Set("Connection", "close")
	x.answer(http.StatusRequestEntityTooLarge, "the body is too large")
}

// paced reads with a deadline for each piece, so that a body may be long but
// not stand still.
type paced struct {
	src    io.Reader
	conn   *http.ResponseController
	within time.Duration
	set    bool
}

func (p *paced) Read(b []byte) (int, error) {
	p.set = p.conn.SetReadDeadline(time.Now().Add(p.within)) == nil
	return p.src.Read(b)
}

// readAll reads to the end into a buffer that begins with room for size bytes.
func readAll(r io.Reader, size int) ([]byte, error) {
	b := make([]byte, 0, size+1)
	for {
		if len(b) == cap(b) {
			b = append(b, 0)[:len(b)]
		}
		n, err := r.Read(b[len(b):cap(b)])
		b = b[:len(b)+n]
		if err == io.EOF {
			return b, nil
		}
		if err != nil {
			return nil, err
		}
	}
}
