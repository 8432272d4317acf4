package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/windlass-ota/windlass/api"
)

const defaultServer = "http://127.0.0.1:8080"

// client speaks to a server's management API.
type client struct {
	base     *url.URL
	token    string
	tokenWhy string // why there is no token
	named    bool   // the server was named, and not taken by default
	http     *http.Client
}

// connection are the flags by which a verb finds its server.
type connection struct{ server, token, data string }

func clientFlags(c *cobra.Command) *connection {
	n := &connection{}
	f := c.Flags()
	f.StringVar(&n.server, "server", "", "URL of the server (WINDLASS_SERVER; default "+defaultServer+")")
	f.StringVar(&n.token, "token", "", "administrator's token (WINDLASS_TOKEN)")
	f.StringVar(&n.data, "data", "", "the server's data folder, to read "+tokenFile+" there (WINDLASS_DATA)")
	return n
}

// open makes the client. What was said beats what a data folder holds.
func (n *connection) open() (*client, error) {
	server, data := firstOf(n.server, os.Getenv("WINDLASS_SERVER")), firstOf(n.data, os.Getenv("WINDLASS_DATA"))
	token := firstOf(n.token, os.Getenv("WINDLASS_TOKEN"))
	cl := &client{named: server != "" || data != "" || token != "", token: token, http: &http.Client{Transport: transport()}}
	folder := firstOf(data, defaultData)
	if token == "" {
		t, err := readSecretFile(filepath.Join(folder, tokenFile))
		switch {
		case err == nil:
			cl.token = t
		case data != "" || !errors.Is(err, fs.ErrNotExist):
			return nil, err
		default:
			cl.tokenWhy = "name a token by --token or WINDLASS_TOKEN, or the server's data folder by --data"
		}
	}
	if server == "" {
		server = defaultServer
		if a, err := os.ReadFile(filepath.Join(folder, addressFile)); err == nil && (data != "" || token == "") {
			server = strings.TrimSpace(string(a))
		}
	}
	if !strings.Contains(server, "://") {
		server = "http://" + server
	}
	u, err := url.Parse(server)
	if err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https" {
		return nil, wrongUsage("%q is no URL of a server; write %s", server, defaultServer)
	}
	cl.base = u
	return cl, nil
}

func firstOf(texts ...string) string {
	for _, t := range texts {
		if t != "" {
			return t
		}
	}
	return ""
}

func transport() *http.Transport {
	return &http.Transport{
		Proxy:                 http.ProxyFromEnvironment,
		DialContext:           (&net.Dialer{Timeout: 10 * time.Second}).DialContext,
		TLSHandshakeTimeout:   10 * time.Second,
		ExpectContinueTimeout: 5 * time.Second, // a refused upload sends nothing
		MaxIdleConnsPerHost:   64,
	}
}

// path joins escaped parts; no part, whatever it holds, leads elsewhere.
func path(parts ...string) string {
	for i, p := range parts {
		e := url.PathEscape(p)
		if e == "." || e == ".." {
			e = strings.ReplaceAll(e, ".", "%2E")
		}
		parts[i] = e
	}
	return "/api/" + strings.Join(parts, "/")
}

// request makes a request; at is escaped already.
func (c *client) request(ctx context.Context, method, at string, query url.Values, body io.Reader) (*http.Request, error) {
	to := strings.TrimSuffix(c.base.String(), "/") + at
	if len(query) > 0 {
		to += "?" + query.Encode()
	}
	r, err := http.NewRequestWithContext(ctx, method, to, body)
	if err != nil {
		return nil, err
	}
	if c.token != "" {
		r.Header.Set("Authorization", "Bearer "+c.token)
	}
	r.Header.Set("User-Agent", "windlass/"+version)
	return r, nil
}

// send does a request and turns an answer that is no success into an error.
func (c *client) send(r *http.Request) (*http.Response, error) {
	resp, err := c.http.Do(r)
	if err != nil {
		var u *url.Error
		if errors.As(err, &u) {
			err = u.Err // its text repeats method and address
		}
		if r.Context().Err() != nil {
			return nil, r.Context().Err()
		}
		return nil, &unreachable{server: c.base.Redacted(), err: err}
	}
	if resp.StatusCode < 300 {
		return resp, nil
	}
	defer resp.Body.Close()
	return nil, c.refused(resp)
}

// unreachable says that no server answered.
type unreachable struct {
	server string
	err    error
}

func (u *unreachable) Error() string {
	return fmt.Sprintf("no server answers at %s: %s", u.server, u.err)
}
func (u *unreachable) Unwrap() error { return u.err }

// refusal is the server's no.
type refusal struct {
	status  int
	problem api.Problem
}

func (r *refusal) Error() string {
	text := firstOf(r.problem.Detail, r.problem.Title, http.StatusText(r.status))
	for _, e := range r.problem.Errors {
		if e.Message != "" && !strings.Contains(text, e.Message) {
			text += "\n" + strings.TrimPrefix(e.Location+": "+e.Message, ": ")
		}
	}
	return text
}

func (c *client) refused(resp *http.Response) error {
	r := &refusal{status: resp.StatusCode}
	data, _ := io.ReadAll(io.LimitReader(resp.Body, 1<<20)) // what could be read says enough
	if json.Unmarshal(data, &r.problem) != nil {
		r.problem.Detail = fmt.Sprintf("%s answers %s; is it a windlass server?", c.base.Redacted(), resp.Status)
	}
	if resp.StatusCode == http.StatusUnauthorized {
		return hinted(r, firstOf(c.tokenWhy, "the token named is not this server's"))
	}
	return r
}

// do sends in, as JSON, and reads the answer into out. Either may be nil.
func (c *client) do(ctx context.Context, method, at string, query url.Values, in, out any) error {
	var body io.Reader
	if in != nil {
		data, err := json.Marshal(in)
		if err != nil {
			return err
		}
		body = bytes.NewReader(data)
	}
	r, err := c.request(ctx, method, at, query, body)
	if err != nil {
		return err
	}
	if in != nil {
		r.Header.Set("Content-Type", "application/json")
	}
	resp, err := c.send(r)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	if out == nil {
		return nil
	}
	if err := json.NewDecoder(resp.Body).Decode(out); err != nil {
		return fmt.Errorf("%s: the answer cannot be read: %w", c.base.Redacted(), err)
	}
	return nil
}

// each calls do for everything in a list, page by page.
func each[T any](ctx context.Context, c *client, at string, query url.Values, do func(T) error) error {
	if query == nil {
		query = url.Values{}
	}
	query.Set("pageSize", "500")
	for {
		var page api.List[T]
		if err := c.do(ctx, http.MethodGet, at, query, nil, &page); err != nil {
			return err
		}
		for _, v := range page.Data {
			if err := do(v); err != nil {
				return err
			}
		}
		if page.Next == "" {
			return nil
		}
		query.Set("cursor", page.Next)
	}
}

// all gathers a whole list.
func all[T any](ctx context.Context, c *client, at string, query url.Values) ([]T, error) {
	out := []T{}
	err := each(ctx, c, at, query, func(v T) error {
		out = append(out, v)
		return nil
	})
	return out, err
}

// clientVerb is a verb that speaks to a server.
func clientVerb(c *cobra.Command, do func(c *cobra.Command, cl *client, a []string) error) *cobra.Command {
	n := clientFlags(c)
	c.RunE = func(c *cobra.Command, a []string) error {
		cl, err := n.open()
		if err != nil {
			return err
		}
		err = do(c, cl, a)
		var u *unreachable
		if errors.As(err, &u) {
			return hinted(err, "start one by `windlass run`, or name another by --server")
		}
		return err
	}
	return c
}

// done says what was done, on stderr so that stdout stays for data.
func done(c *cobra.Command, format string, a ...any) error {
	_, err := fmt.Fprintf(c.ErrOrStderr(), format+"\n", a...)
	return err
}
