package lwm2m

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/plgd-dev/go-coap/v3/message"
	"github.com/plgd-dev/go-coap/v3/message/codes"

	"github.com/windlass-ota/windlass/internal/coapx"
	"github.com/windlass-ota/windlass/internal/lwm2mwire"
	"github.com/windlass-ota/windlass/ota"
)

// answerError is a client that says no.
type answerError struct {
	what string
	code codes.Code
}

func (e *answerError) Error() string {
	return fmt.Sprintf("%s: the client answers %d.%02d", e.what, e.code>>5, e.code&31)
}

// ask sends a request to the client as soon as it listens, and returns its
// response where that is a success. A client in queue mode that has fallen
// asleep is asked once more when it wakes.
func (s *session) ask(ctx context.Context, m *coapx.Message) (*coapx.Message, error) {
	what := fmt.Sprintf("%v %s", m.Code, m.Path())
	for try := 0; ; try++ {
		if err := s.awake(ctx, try > 0); err != nil {
			return nil, err
		}
		r, err := s.through().conn.Do(ctx, m)
		switch {
		case errors.Is(err, coapx.ErrSilent) && s.sleeps() && try < 3:
			continue
		case err != nil:
			return nil, fmt.Errorf("%s: %w", what, err)
		case r.Code>>5 != 2:
			return r, &answerError{what, r.Code}
		}
		return r, nil
	}
}

func (s *session) sleeps() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.queue
}

// awake waits until the client listens: always, or in queue mode for some time
// after a word of its own. anew says that it did not answer just now.
func (s *session) awake(ctx context.Context, anew bool) error {
	for s.sleeps() {
		word := s.nextWord()
		if heard := s.through().conn.Heard(); !anew && time.Since(heard) < s.t.c.Awake {
			return nil
		}
		select {
		case <-word:
			return ctx.Err()
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	return ctx.Err()
}

// nextWord is closed with the next word of the client.
func (s *session) nextWord() <-chan struct{} {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.word == nil {
		s.word = make(chan struct{})
	}
	return s.word
}

// heard wakes who waits for a word of the client.
func (s *session) heard() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.word != nil {
		close(s.word)
		s.word = nil
	}
}

// accepts is the format in which resources are asked for, of those that the
// client says it knows; ok is false where it says nothing, and then each client
// answers in its own.
func (s *session) accepts() (f lwm2mwire.Format, ok bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, f := range []lwm2mwire.Format{lwm2mwire.SenMLCBOR, lwm2mwire.SenMLJSON, lwm2mwire.TLV, lwm2mwire.JSON} {
		if slices.Contains(s.formats, f) {
			return f, true
		}
	}
	return 0, false
}

// read reads resources. What the client does not have it leaves out.
func (s *session) read(ctx context.Context, p lwm2mwire.Path) ([]lwm2mwire.Entry, error) {
	m := coapx.Request(codes.GET, p.String())
	if f, ok := s.accepts(); ok {
		m.Set(message.Accept, uint32(f))
	}
	r, err := s.ask(ctx, m)
	if err != nil {
		return nil, err
	}
	return content(p, r)
}

// content decodes what a client answers about a path.
func content(p lwm2mwire.Path, r *coapx.Message) ([]lwm2mwire.Entry, error) {
	f, ok := r.Uint(message.ContentFormat)
	if !ok {
		f = uint32(lwm2mwire.Text)
		if p.Depth < 3 {
			f = uint32(lwm2mwire.TLV)
		}
	}
	if f == 1542 || f == 1543 { // of clients from before LwM2M 1.0 was final
		f += 10_000
	}
	return lwm2mwire.Decode(lwm2mwire.Format(f), p, r.Payload)
}

// observe reads a resource and hears of its changes. Not every client notifies
// of every resource, which is no failure.
func (s *session) observe(ctx context.Context, p lwm2mwire.Path, hear func([]lwm2mwire.Entry)) ([]lwm2mwire.Entry, error) {
	if err := s.awake(ctx, false); err != nil {
		return nil, err
	}
	m := coapx.Request(codes.GET, p.String())
	if f, ok := s.accepts(); ok {
		m.Set(message.Accept, uint32(f))
	}
	r, stop, observed, err := s.through().conn.Observe(ctx, m, func(r *coapx.Message) {
		s.heard()
		if r.Code>>5 != 2 {
			return
		}
		if entries, err := content(p, r); err == nil {
			hear(entries)
		}
	})
	switch {
	case err != nil:
		return nil, fmt.Errorf("observe %s: %w", p, err)
	case r.Code>>5 != 2:
		return nil, &answerError{"observe " + p.String(), r.Code}
	}
	if observed {
		s.keep(stop)
	}
	return content(p, r)
}

// write writes one resource as text, which every client takes.
func (s *session) write(ctx context.Context, p lwm2mwire.Path, text string) error {
	m := coapx.Request(codes.PUT, p.String()).Set(message.ContentFormat, uint32(lwm2mwire.Text))
	m.Payload = []byte(text)
	_, err := s.ask(ctx, m)
	return err
}

// execute runs a resource.
func (s *session) execute(ctx context.Context, p lwm2mwire.Path, args string) error {
	m := coapx.Request(codes.POST, p.String())
	if args != "" {
		m.Set(message.ContentFormat, uint32(lwm2mwire.Text))
		m.Payload = []byte(args)
	}
	_, err := s.ask(ctx, m)
	return err
}

// tell hands telemetry over. What cannot be stored now is handed over again for
// a while: an observed state is said once.
func (s *session) tell(ctx context.Context, values map[string]any) error {
	if ctx.Err() != nil { // whoever came after knows better
		return ctx.Err()
	}
	body, err := json.Marshal(values)
	if err != nil {
		return fmt.Errorf("tell: %w", err)
	}
	m := s.message(ota.Telemetry)
	m.Values = body
	pause := 100 * time.Millisecond
	for {
		if _, err = s.t.handle(m); ota.CodeOf(err) != ota.Busy || pause > 30*time.Second {
			break
		}
		timer := time.NewTimer(pause)
		select {
		case <-timer.C:
		case <-ctx.Done():
			timer.Stop()
			return err
		}
		pause *= 2
	}
	if err != nil {
		s.t.log.Warn("what a client says was not taken", "device", s.ref.ID, "err", err)
	}
	return err
}

// tellObserved keeps resources whose changes the profile wants kept.
func (s *session) tellObserved(entries []lwm2mwire.Entry) error {
	s.mu.Lock()
	keys := map[string]string(nil)
	if s.settings != nil {
		keys = s.settings.Telemetry
	}
	s.mu.Unlock()
	values := map[string]any{}
	for _, e := range entries {
		if key := keys[e.Path.String()]; key != "" {
			if v, ok := jsonOf(e.Value); ok {
				values[key] = v
			}
		}
	}
	if len(values) == 0 {
		return nil
	}
	return s.tell(s.ctx, values)
}

// jsonOf is a value as telemetry has it.
func jsonOf(v lwm2mwire.Value) (any, bool) {
	switch v.Type {
	case lwm2mwire.Integer, lwm2mwire.Float:
		s, ok := v.Text()
		return json.RawMessage(s), ok && json.Valid([]byte(s))
	case lwm2mwire.Boolean:
		return v.Bool()
	case lwm2mwire.Unknown:
		s, ok := v.Text()
		if i, isInt := v.Int(); isInt && (!ok || !printable(s)) {
			return i, true
		}
		if f, isFloat := v.Float(); isFloat && (!ok || !printable(s)) {
			return f, true
		}
		if ok && json.Valid([]byte(s)) && len(s) > 0 && (s[0] == '-' || s[0] >= '0' && s[0] <= '9') {
			return json.RawMessage(s), true
		}
		return s, ok && printable(s)
	}
	return v.Text()
}

func printable(s string) bool {
	return !slices.ContainsFunc([]rune(s), func(r rune) bool { return r < ' ' || r == 0xfffd })
}
