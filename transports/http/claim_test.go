package http

import (
	"context"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/windlass-ota/windlass/ota"
	"github.com/windlass-ota/windlass/transports"
	"github.com/windlass-ota/windlass/transports/transporttest"
)

// claims answers by what it is shown.
type claims struct{ claimed string }

func byBody(body []byte) error {
	switch string(body) {
	case "{":
		return ota.Errorf(ota.Invalid, "read", "not JSON")
	case `{"busy":1}`:
		return ota.Errorf(ota.Busy, "store", "away")
	case `{"often":1}`:
		return transports.ErrTooMany
	}
	return nil
}

func (*claims) Provision(_ context.Context, body []byte, address string) (reply []byte, ok bool, err error) {
	if err := byBody(body); err != nil {
		return nil, false, err
	}
	if !strings.HasPrefix(address, "192.0.2.1:") || string(body) == `{"wrong":1}` {
		return []byte(`{"status":"NOT_FOUND","errorMsg":"no"}`), false, nil
	}
	return []byte(`{"status":"SUCCESS"}`), true, nil
}

func (c *claims) Claim(_ context.Context, d ota.Ref, body []byte) error {
	c.claimed += d.ID + string(body) + ";"
	return byBody(body)
}

func TestProvisionAndClaim(t *testing.T) {
	all := &claims{}
	tr := New(Config{}, Deps{Auth: transports.NewAuthenticator(transporttest.Tokens{}, transports.Guard{}), Claims: all})
	h := tr.Handler(transports.HandlerFunc(func(context.Context, ota.Message) ([]ota.Reply, error) { return nil, nil }))
	for _, tt := range []struct {
		path, body string
		status     int
		want       string
	}{
		{"provision", `{"deviceName":"x"}`, 200, `{"status":"SUCCESS"}`},
		{"provision", `{"wrong":1}`, 200, `{"status":"NOT_FOUND","errorMsg":"no"}`},
		{"provision", `{`, 500, "read: not JSON"},
		{"provision", `{"busy":1}`, 503, "busy, try later"},
		{"provision", `{"often":1}`, 429, ""},
		{"provision", strings.Repeat(" ", 65<<10), 413, "the body is too large"},
		{"T1/claim", `{"secretKey":"s"}`, 200, ""},
		{"T1/claim", ``, 200, ""},
		{"T1/claim", `{`, 500, "read: not JSON"},
		{"T1/claim", `{"busy":1}`, 503, "busy, try later"},
		{"nobody/claim", ``, 401, ""},
	} {
		w := httptest.NewRecorder()
		h.ServeHTTP(w, httptest.NewRequest(http.MethodPost, "/api/v1/"+tt.path, strings.NewReader(tt.body)))
		body, err := io.ReadAll(w.Result().Body)
		if err != nil || w.Code != tt.status || string(body) != tt.want {
			t.Errorf("%s %.20s: %d %s, want %d %s", tt.path, tt.body, w.Code, body, tt.status, tt.want)
		}
	}
	if all.claimed != `d1{"secretKey":"s"};d1;d1{;d1{"busy":1};` {
		t.Errorf("claimed %s", all.claimed)
	}
}
