package api

import (
	"io"
	"net/http"
	"time"
)

// Deadlines are set on the connection for as long as bytes are expected and
// taken off again: one left behind would end the work on a request that was read
// whole (net/http watches the connection meanwhile), or the next request on it.
// Errors of setting them are dropped, since a writer in a test has none.

// movingBody gives each read of a body a deadline, or all of them one.
type movingBody struct {
	io.ReadCloser
	c    *http.ResponseController
	idle time.Duration
	end  time.Time // zero: each read has idle
}

// moving is a body of any length that must keep moving.
func moving(w http.ResponseWriter, b io.ReadCloser, idle time.Duration) io.ReadCloser {
	return &movingBody{ReadCloser: b, c: http.NewResponseController(w), idle: idle}
}

// within is a body that must be there after d.
func within(w http.ResponseWriter, b io.ReadCloser, d time.Duration) io.ReadCloser {
	return &movingBody{ReadCloser: b, c: http.NewResponseController(w), end: time.Now().Add(d)}
}

func (m *movingBody) Read(p []byte) (int, error) {
	end := m.end
	if end.IsZero() {
		end = time.Now().Add(m.idle)
	}
	_ = m.c.SetReadDeadline(end)
	n, err := m.ReadCloser.Read(p)
	if err != nil {
		_ = m.c.SetReadDeadline(time.Time{})
	}
	return n, err
}

// movingWriter gives each write so long and no longer.
type movingWriter struct {
	http.ResponseWriter
	c    *http.ResponseController
	idle time.Duration
}

func (m *movingWriter) Write(p []byte) (int, error) {
	_ = m.c.SetWriteDeadline(time.Now().Add(m.idle))
	return m.ResponseWriter.Write(p)
}

func (m *movingWriter) end() { _ = m.c.SetWriteDeadline(time.Time{}) }
