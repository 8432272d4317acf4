package lwm2m

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/url"
	"slices"
	"strconv"
	"strings"

	"github.com/plgd-dev/go-coap/v3/message"
	"github.com/plgd-dev/go-coap/v3/message/codes"

	"github.com/windlass-ota/windlass/internal/coapx"
	"github.com/windlass-ota/windlass/internal/lwm2mwire"
	"github.com/windlass-ota/windlass/ota"
)

// callParams are the params of a call, as ThingsBoard has them for LwM2M.
type callParams struct {
	ID         string                     `json:"id"`
	Key        string                     `json:"key"` // a path, too
	Value      json.RawMessage            `json:"value"`
	Attributes map[string]json.RawMessage `json:"attributes"`
}

// call does what a chain asks of the client's device: Read, Write, WriteUpdate,
// WriteAttributes, Execute, Observe, ObserveCancel, Discover, Create, Delete. The
// answer has a result, the name of the response's code, and a value or an error.
func (s *session) call(ctx context.Context, w ota.Reply) {
	out := map[string]any{}
	value, err := s.called(ctx, w)
	no := (*answerError)(nil)
	switch {
	case err == nil:
		out["result"] = "SUCCESS"
		if value != nil {
			out["value"] = value
		}
	case errors.As(err, &no):
		out["result"], out["error"] = strings.ToUpper(no.code.String()), no.Error()
	case ctx.Err() != nil:
		return // it answers to nobody any more
	case errors.Is(err, coapx.ErrSilent):
		out["result"], out["error"] = "TIMEOUT", err.Error()
	default:
		out["result"], out["error"] = "BAD_REQUEST", err.Error()
	}
	m := s.message(ota.RPCAnswered)
	m.Method, m.Call = w.Method, w.Call
	if m.Result, err = json.Marshal(out); err != nil {
		s.t.log.Error("an answer cannot be written", "device", s.ref.ID, "err", err)
		return
	}
	if _, err := s.t.handle(m); err != nil {
		s.t.log.Warn("an answer was not taken", "device", s.ref.ID, "err", err)
	}
}

func (s *session) called(ctx context.Context, w ota.Reply) (any, error) {
	var x callParams
	if len(w.Body) > 0 {
		if err := json.Unmarshal(w.Body, &x); err != nil {
			return nil, fmt.Errorf("params: %w", err)
		}
	}
	if x.ID == "" {
		x.ID = x.Key
	}
	id := x.ID
	if strings.Count(id, "_") > 0 && strings.LastIndexByte(id, '_') > strings.IndexByte(id, '/') { // "/3_1.1/0/3" names a version
		head, rest, _ := strings.Cut(id, "_")
		_, rest, _ = strings.Cut(rest, "/")
		id = head + "/" + rest
	}
	p, err := lwm2mwire.ParsePath(id)
	if err != nil {
		return nil, err
	}
	if p.Depth == 0 && w.Method != "DiscoverAll" {
		return nil, errors.New("params: id is no path")
	}
	switch w.Method {
	case "Read":
		es, err := s.read(ctx, p)
		return tree(p, es), err
	case "Write", "WriteReplace":
		return nil, s.put(ctx, codes.PUT, p, x.Value)
	case "WriteUpdate":
		return nil, s.put(ctx, codes.POST, p, x.Value)
	case "Create":
		return nil, s.put(ctx, codes.POST, p.Upper(1), x.Value)
	case "Delete":
		_, err := s.ask(ctx, coapx.Request(codes.DELETE, p.String()))
		return nil, err
	case "Execute":
		args := ""
		if len(x.Value) > 0 && json.Unmarshal(x.Value, &args) != nil {
			args = string(x.Value)
		}
		return nil, s.execute(ctx, p, args)
	case "Observe":
		es, err := s.observe(ctx, p, func(es []lwm2mwire.Entry) { s.do(func(context.Context) { _ = s.tellObserved(es) }) })
		return tree(p, es), err
	case "ObserveCancel":
		_, err := s.ask(ctx, coapx.Request(codes.GET, p.String()).Set(message.Observe, 1))
		return nil, err
	case "WriteAttributes":
		return nil, s.writeAttributes(ctx, p, x.Attributes)
	case "Discover":
		r, err := s.ask(ctx, coapx.Request(codes.GET, p.String()).Set(message.Accept, uint32(lwm2mwire.Links)))
		if err != nil {
			return nil, err
		}
		return string(r.Payload), nil
	case "DiscoverAll":
		s.mu.Lock()
		defer s.mu.Unlock()
		var all []string
		for _, o := range s.objects {
			all = append(all, "<"+o.String()+">")
		}
		return strings.Join(all, ","), nil
	}
	return nil, fmt.Errorf("there is no method %q of LwM2M", w.Method)
}

// tree is what was read: a value, or an object of values by what their paths have
// behind p.
func tree(p lwm2mwire.Path, es []lwm2mwire.Entry) any {
	if len(es) == 1 && es[0].Path == p {
		v, _ := jsonOf(es[0].Value)
		return v
	}
	out := map[string]any{}
	for _, e := range es {
		if v, ok := jsonOf(e.Value); ok && p.Holds(e.Path) {
			out[strings.TrimPrefix(strings.TrimPrefix(e.Path.String(), p.String()), "/")] = v
		}
	}
	return out
}

// put writes a value, or an object of values by resource.
func (s *session) put(ctx context.Context, code codes.Code, p lwm2mwire.Path, value json.RawMessage) error {
	if len(value) == 0 {
		return errors.New("params: there is no value")
	}
	var many map[string]json.RawMessage
	if json.Unmarshal(value, &many) != nil || p.Depth >= 3 {
		v, err := valueOf(value)
		if err != nil {
			return err
		}
		return s.putAs(ctx, code, p, lwm2mwire.Text, []lwm2mwire.Entry{{Path: p, Value: v}})
	}
	var es []lwm2mwire.Entry
	for name, raw := range many {
		at, err := lwm2mwire.ParsePath(strings.TrimSuffix(p.String(), "/") + "/" + name)
		if err != nil {
			return err
		}
		v, err := valueOf(raw)
		if err != nil {
			return err
		}
		es = append(es, lwm2mwire.Entry{Path: at, Value: v})
	}
	slices.SortFunc(es, func(a, b lwm2mwire.Entry) int { return slices.Compare(a.Path.ID[:], b.Path.ID[:]) })
	f, ok := s.accepts()
	if !ok {
		f = lwm2mwire.TLV
	}
	return s.putAs(ctx, code, p, f, es)
}

func (s *session) putAs(ctx context.Context, code codes.Code, p lwm2mwire.Path, f lwm2mwire.Format, es []lwm2mwire.Entry) error {
	b, err := lwm2mwire.Encode(f, p, es)
	if err != nil {
		return err
	}
	m := coapx.Request(code, p.String()).Set(message.ContentFormat, uint32(f))
	m.Payload = b
	_, err = s.ask(ctx, m)
	return err
}

// valueOf reads a JSON value as one of LwM2M.
func valueOf(raw json.RawMessage) (lwm2mwire.Value, error) {
	var any any
	if err := json.Unmarshal(raw, &any); err != nil {
		return lwm2mwire.Value{}, fmt.Errorf("params: value: %w", err)
	}
	switch v := any.(type) {
	case string:
		return lwm2mwire.Str(v), nil
	case bool:
		return lwm2mwire.Bool(v), nil
	case float64:
		if i, err := strconv.ParseInt(string(raw), 10, 64); err == nil {
			return lwm2mwire.Int(i), nil
		}
		return lwm2mwire.Num(v), nil
	}
	return lwm2mwire.Value{}, errors.New("params: a value is a text, a number or a truth value")
}

// writeAttributes says when the client notifies: pmin, pmax, gt, lt, st.
func (s *session) writeAttributes(ctx context.Context, p lwm2mwire.Path, attrs map[string]json.RawMessage) error {
	if len(attrs) == 0 {
		return errors.New("params: there are no attributes")
	}
	m := coapx.Request(codes.PUT, p.String())
	names := make([]string, 0, len(attrs))
	for name := range attrs {
		names = append(names, name)
	}
	slices.Sort(names)
	for _, name := range names {
		v := string(attrs[name])
		if !slices.Contains([]string{"pmin", "pmax", "gt", "lt", "st", "epmin", "epmax"}, name) {
			return fmt.Errorf("params: there is no attribute %q", name)
		}
		if v != "null" {
			if _, err := strconv.ParseFloat(v, 64); err != nil {
				return fmt.Errorf("params: attribute %s is no number", name)
			}
			name += "=" + url.QueryEscape(v)
		}
		m.Add(message.URIQuery, name)
	}
	_, err := s.ask(ctx, m)
	return err
}
