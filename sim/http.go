package sim

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/windlass-ota/windlass/ota"
)

// maxBody bounds what a simulated device takes in one answer.
const maxBody = 2 << 30

// httpWire speaks ThingsBoard's HTTP device API.
type httpWire struct {
	client *http.Client
	base   string // …/api/v1/TOKEN
	poll   time.Duration
}

// NewHTTP returns a wire over HTTP to a server such as http://127.0.0.1:8080.
// Devices may share a client, and should: each holds at most one long poll.
func NewHTTP(client *http.Client, server, token string, poll time.Duration) Wire {
	return &httpWire{client: client, base: strings.TrimRight(server, "/") + "/api/v1/" + url.PathEscape(token), poll: poll}
}

func (w *httpWire) Open(context.Context) error { return nil }
func (w *httpWire) Close() error               { return nil }

func (w *httpWire) Report(ctx context.Context, values map[string]any) error {
	body, err := json.Marshal(values)
	if err != nil {
		return fmt.Errorf("report: %w", err)
	}
	_, err = w.do(ctx, "report", http.MethodPost, "/telemetry", nil, body)
	return err
}

func (w *httpWire) Attributes(ctx context.Context, names []string) (map[string]json.RawMessage, error) {
	data, err := w.do(ctx, "attributes", http.MethodGet, "/attributes", url.Values{"sharedKeys": {strings.Join(names, ",")}}, nil)
	if err != nil {
		return nil, err
	}
	var answer struct{ Shared map[string]json.RawMessage }
	if err := json.Unmarshal(data, &answer); err != nil {
		return nil, fmt.Errorf("attributes: %w", err)
	}
	return answer.Shared, nil
}

func (w *httpWire) Changes(ctx context.Context) (map[string]json.RawMessage, error) {
	q := url.Values{"timeout": {strconv.FormatInt(w.poll.Milliseconds(), 10)}}
	data, err := w.do(ctx, "wait for attributes", http.MethodGet, "/attributes/updates", q, nil)
	var no *Refusal
	if errors.As(err, &no) && no.Code == http.StatusRequestTimeout {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	return parsePush(data)
}

func (w *httpWire) Chunk(ctx context.Context, k ota.Kind, v ota.Version, size, n int64) ([]byte, error) {
	q := url.Values{"title": {v.Title}, "version": {v.Version}, "size": {strconv.FormatInt(size, 10)}, "chunk": {strconv.FormatInt(n, 10)}}
	return w.do(ctx, "chunk "+strconv.FormatInt(n, 10), http.MethodGet, "/"+string(k), q, nil)
}

func (w *httpWire) do(ctx context.Context, what, method, path string, q url.Values, body []byte) ([]byte, error) {
	target := w.base + path
	if len(q) > 0 {
		target += "?" + q.Encode()
	}
	req, err := http.NewRequestWithContext(ctx, method, target, bytes.NewReader(body))
	if err != nil {
		return nil, fmt.Errorf("%s: %w", what, err)
	}
	if body != nil {
		req.Header.Set("Content-Type", "application/json")
	}
	res, err := w.client.Do(req)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", what, withoutURL(err))
	}
	defer res.Body.Close()
	data, err := io.ReadAll(io.LimitReader(res.Body, maxBody))
	if err != nil {
		return nil, fmt.Errorf("%s: %w", what, err)
	}
	if res.StatusCode != http.StatusOK {
		return nil, &Refusal{what, res.StatusCode, strings.TrimSpace(string(data[:min(len(data), 200)]))}
	}
	return data, nil
}

// withoutURL keeps the token, which stands in the URL, out of errors.
func withoutURL(err error) error {
	var u *url.Error
	if errors.As(err, &u) {
		return u.Err
	}
	return err
}

// parsePush reads a push of shared attributes; what was deleted is nil.
func parsePush(data []byte) (map[string]json.RawMessage, error) {
	var push map[string]json.RawMessage
	if err := json.Unmarshal(data, &push); err != nil {
		return nil, fmt.Errorf("push: %w", err)
	}
	if gone, ok := push["deleted"]; ok {
		var names []string
		if err := json.Unmarshal(gone, &names); err != nil {
			return nil, fmt.Errorf("push: deleted: %w", err)
		}
		delete(push, "deleted")
		for _, n := range names {
			push[n] = nil
		}
	}
	return push, nil
}
