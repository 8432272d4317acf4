package http

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/windlass-ota/windlass/ota"
	"github.com/windlass-ota/windlass/transports"
)

const doorKey = "0123456789abcdef"

// opened is a server with doors, which says what came in.
func opened(t *testing.T) *httptest.Server {
	t.Helper()
	var doors transports.Doors
	var all []ota.Inlet
	for i, d := range []ota.Inlet{
		{Pattern: pattern(t, "open/{x}"), Auth: "none"}, {Pattern: pattern(t, "open/exact"), Auth: "none"}, {Pattern: pattern(t, "keyed"), Auth: "token", Key: doorKey},
		{Pattern: pattern(t, "signed"), Auth: "hmac", Key: doorKey}, {Pattern: pattern(t, "own"), Auth: "token"}, {Pattern: pattern(t, "fails/{code}"), Auth: "none"},
	} {
		d.Name, d.Node, d.Method = fmt.Sprintf("d.%d", i), ota.HTTPIn, http.MethodPost
		all = append(all, d)
	}
	doors.Use(all)
	tr := New(Config{}, Deps{Auth: transports.NewAuthenticator(facts{}, transports.Guard{}), Doors: &doors})
	srv := httptest.NewServer(tr.door(transports.HandlerFunc(func(_ context.Context, m ota.Message) ([]ota.Reply, error) {
		if code := m.Capture["code"]; code != "" {
			return nil, ota.Errorf(ota.Code(code), "door", "why")
		}
		if m.Headers["authorization"] != "" {
			t.Error("a secret header is handed over")
		}
		if m.Capture["x"] == "silent" {
			return nil, nil
		}
		return []ota.Reply{{Word: ota.SayBody, Status: 201, Body: fmt.Appendf(nil, `{"door":%q,"device":%q,"x":%q,"body":%q}`, m.Door, m.Device, m.Capture["x"], m.Body)}}, nil
	})))
	t.Cleanup(srv.Close)
	return srv
}

func pattern(t *testing.T, text string) ota.Pattern {
	t.Helper()
	p, err := ota.ParsePattern(text)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func TestDoor(t *testing.T) {
	srv := opened(t)
	sign := func(key string, at time.Time, body string) []string {
		stamp := fmt.Sprint(at.Unix())
		mac := hmac.New(sha256.New, []byte(key))
		mac.Write([]byte(stamp + "." + body))
		return []string{"X-Windlass-Timestamp", stamp, "X-Windlass-Signature", "sha256=" + hex.EncodeToString(mac.Sum(nil))}
	}
	now := time.Now()
	tests := []struct {
		name, method, path, body string
		header                   []string
		status                   int
		says                     string
	}{
		{"open", "POST", "/in/open/a", "hi", nil, 201, `{"door":"d.0","device":"","x":"a","body":"hi"}`},
		{"the exact one goes first", "POST", "/in/open/exact", "", nil, 201, `"door":"d.1"`},
		{"no reply", "POST", "/in/open/silent", "", nil, 204, ""},
		{"another method", "GET", "/in/open/a", "", nil, 405, ""},
		{"no door", "POST", "/in/other", "", nil, 404, ""},
		{"a key", "POST", "/in/keyed", "", []string{"Authorization", "Bearer " + doorKey}, 201, `"door":"d.2"`},
		{"a wrong key", "POST", "/in/keyed", "", []string{"Authorization", "Bearer 0123456789abcdeX"}, 401, ""},
		{"no key", "POST", "/in/keyed", "", nil, 401, ""},
		{"signed", "POST", "/in/signed", "hi", sign(doorKey, now, "hi"), 201, `"body":"hi"`},
		{"signed for another body", "POST", "/in/signed", "ho", sign(doorKey, now, "hi"), 401, ""},
		{"signed long ago", "POST", "/in/signed", "hi", sign(doorKey, now.Add(-time.Hour), "hi"), 401, ""},
		{"signed with another key", "POST", "/in/signed", "hi", sign("another key, long", now, "hi"), 401, ""},
		{"not signed", "POST", "/in/signed", "hi", nil, 401, ""},
		{"a device's own token", "POST", "/in/own", "", []string{"Authorization", "Bearer T1"}, 201, `"device":"d1"`},
		{"an unknown token", "POST", "/in/own", "", []string{"Authorization", "Bearer T9"}, 401, ""},
		{"the store is away", "POST", "/in/own", "", []string{"Authorization", "Bearer away"}, 503, ""},
		{"too large", "POST", "/in/open/a", strings.Repeat("x", maxDoorBody+1), nil, 413, ""},
		{"invalid", "POST", "/in/fails/invalid", "", nil, 400, "why"},
		{"conflict", "POST", "/in/fails/conflict", "", nil, 409, "why"},
		{"busy", "POST", "/in/fails/busy", "", nil, 503, "why"},
		{"internal", "POST", "/in/fails/internal", "", nil, 500, "the server failed"},
	}
	r := &rig{url: srv.URL, client: srv.Client()}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got := r.do(t, tt.method, tt.path, tt.body, tt.header...)
			if got.status != tt.status || !strings.Contains(got.body, tt.says) {
				t.Errorf("%d %q, want %d with %q", got.status, got.body, tt.status, tt.says)
			}
		})
	}
}
