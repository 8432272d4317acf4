package http

import (
	"crypto/hmac"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/hex"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/windlass-ota/windlass/ota"
	"github.com/windlass-ota/windlass/transports"
)

// maxDoorBody bounds a body that comes in by a chain's own door.
const maxDoorBody = 1 << 20

// signedFor is how far the timestamp of a signature may be off.
const signedFor = 5 * time.Minute

// door answers requests below /in/ by the chains that have opened doors there.
func (t *Transport) door(h transports.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		d, captured, others := t.d.Doors.Path(r.Method, strings.TrimPrefix(r.URL.Path, "/in/"))
		switch {
		case d == nil && others != nil:
			w.Header().Set("Allow", strings.Join(others, ", "))
			refuse(w, http.StatusMethodNotAllowed, "this path has no "+r.Method)
			return
		case d == nil:
			refuse(w, http.StatusNotFound, "there is no such door")
			return
		}
		select {
		case t.slots <- struct{}{}:
			defer func() { <-t.slots }()
		case <-r.Context().Done():
			return
		}
		body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, min(maxDoorBody, t.c.MaxBody)))
		var large *http.MaxBytesError
		switch {
		case errors.As(err, &large):
			refuse(w, http.StatusRequestEntityTooLarge, "the body is too large")
			return
		case err != nil:
			refuse(w, http.StatusBadRequest, "the body cannot be read")
			return
		}
		device, ok := t.mayEnter(w, r, d, body)
		if !ok {
			return
		}
		m := transports.Arrive(d, strings.TrimPrefix(r.URL.Path, "/in/"), captured, body)
		m.Device, m.Transport, m.Address, m.Headers = ota.DeviceID(device.ID), Name, r.RemoteAddr, headersOf(r)
		if device.Tenant != "" {
			m.Tenant = device.Tenant
		}
		replies, err := h.Handle(r.Context(), m)
		answerDoor(w, r, replies, err)
	})
}

// mayEnter holds whoever asks to the door's lock. Where that is a device's own
// token, the device is known by it.
func (t *Transport) mayEnter(w http.ResponseWriter, r *http.Request, d *ota.Inlet, body []byte) (device ota.Ref, ok bool) {
	switch d.Auth {
	case "none":
		return device, true
	case "hmac":
		if !signed(r, d.Key, body, time.Now()) {
			refuse(w, http.StatusUnauthorized, "the signature is missing or wrong")
			return device, false
		}
		return device, true
	}
	token, bearer := strings.CutPrefix(r.Header.Get("Authorization"), "Bearer ")
	if d.Key != "" {
		if !bearer || !alike(token, d.Key) {
			w.Header().Set("WWW-Authenticate", "Bearer")
			refuse(w, http.StatusUnauthorized, "the token is missing or wrong")
			return device, false
		}
		return device, true
	}
	device, err := t.d.Auth.Token(r.Context(), token, r.RemoteAddr)
	switch {
	case err == nil && bearer:
		return device, true
	case errors.Is(err, transports.ErrTooMany):
		refuse(w, http.StatusTooManyRequests, "too many wrong tokens")
	case ota.CodeOf(err) == ota.Busy:
		refuse(w, http.StatusServiceUnavailable, "try again")
	default:
		w.Header().Set("WWW-Authenticate", "Bearer")
		refuse(w, http.StatusUnauthorized, "the token is missing or wrong")
	}
	return device, false
}

// alike compares secrets in a time that says nothing of them.
func alike(a, b string) bool {
	x, y := sha256.Sum256([]byte(a)), sha256.Sum256([]byte(b))
	return subtle.ConstantTimeCompare(x[:], y[:]) == 1
}

// signed says whether a body was signed with the key lately.
func signed(r *http.Request, key string, body []byte, now time.Time) bool {
	stamp := r.Header.Get("X-Windlass-Timestamp")
	seconds, err := strconv.ParseInt(stamp, 10, 64)
	if err != nil || now.Sub(time.Unix(seconds, 0)).Abs() > signedFor {
		return false
	}
	text, ok := strings.CutPrefix(r.Header.Get("X-Windlass-Signature"), "sha256=")
	got, err := hex.DecodeString(text)
	if !ok || err != nil {
		return false
	}
	mac := hmac.New(sha256.New, []byte(key))
	_, _ = mac.Write([]byte(stamp + "."))
	_, _ = mac.Write(body)
	return hmac.Equal(got, mac.Sum(nil))
}

// secretHeaders are not for chains: what they hold would be kept with the run.
var secretHeaders = map[string]bool{"authorization": true, "cookie": true, "proxy-authorization": true, "x-windlass-signature": true}

func headersOf(r *http.Request) map[string]string {
	out := map[string]string{}
	for name, values := range r.Header {
		if low := strings.ToLower(name); !secretHeaders[low] && len(out) < 64 {
			out[low] = strings.Join(values, ", ")
		}
	}
	return out
}

// refuse answers in words for people.
func refuse(w http.ResponseWriter, status int, text string) { (&exchange{w: w}).answer(status, text) }

// answerDoor says what the chain has replied: the last word counts.
func answerDoor(w http.ResponseWriter, r *http.Request, replies []ota.Reply, err error) {
	if err != nil {
		code := ota.CodeOf(err)
		if code == ota.Busy {
			w.Header().Set("Retry-After", "1")
		}
		text := "the server failed"
		if code != ota.Internal {
			text = err.Error()
		}
		refuse(w, status(code), text)
		return
	}
	for i := len(replies) - 1; i >= 0; i-- {
		switch p := replies[i]; p.Word {
		case ota.SayError:
			refuse(w, status(p.Code), p.Text)
			return
		case ota.SayBody:
			w.Header().Set("Content-Type", contentType(p.Body))
			w.Header().Set("X-Content-Type-Options", "nosniff")
			w.WriteHeader(max(p.Status, http.StatusOK))
			if r.Method != http.MethodHead {
				_, _ = w.Write(p.Body) // who has gone hears nothing
			}
			return
		}
	}
	w.WriteHeader(http.StatusNoContent)
}

// contentType is what a body seems to be, of the two that chains say.
func contentType(body []byte) string {
	if len(body) > 0 && strings.IndexByte(`{["0123456789-tfn`, body[0]) >= 0 && json.Valid(body) {
		return "application/json"
	}
	return "application/octet-stream"
}
