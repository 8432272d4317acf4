package chaintest

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/windlass-ota/windlass/engine"
	"github.com/windlass-ota/windlass/internal/yamlx"
	"github.com/windlass-ota/windlass/ota"
)

// Words of what a case may expect. A list under a key holds the members of what
// stands there.
var (
	expectKeys = []string{"by", "path", "outlet", "reply", "replies", "device", "devices", "counts", "rollout", "alarms", "dead_letters", "clock", "published", "pushes", "vars", "timing", "answered", "waiting_at"}
	deviceKeys = []string{
		"name", "kind", "state", "closed", "target", "from", "held", "error", "runs", "progress", "attempt", "silent", "online", "away", "offered",
		"skipped", "assigned_by", "cause", "zone", "profile", "groups", "history", "alarms", "telemetry", "client", "shared", "server", "due",
	}
	replyKeys  = []string{"word", "size", "offset", "package", "code", "text", "status", "body", "json", "client", "shared", "method"}
	memberKeys = map[string][]string{
		"device": deviceKeys, "devices": deviceKeys, "reply": replyKeys, "replies": replyKeys,

		"rollout":      {"state", "stage", "chain", "kind", "target", "package", "reason", "by", "members", "updated", "failed", "silent", "waiting", "in_flight", "held", "decided", "skipped", "paused"},
		"alarms":       {"key", "severity", "message", "count", "device"},
		"dead_letters": {"chain", "step", "reason", "attempts", "event"},
		"published":    {"broker", "topic", "json", "text", "size", "retain"},
		"pushes":       {"device", "word", "kind", "shared", "deleted", "method", "json", "text", "package"},
		"counts":       append([]string{"kind"}, stateNames()...),
		"timing":       append([]string{"device", "kind"}, stateNames()...),
	}
)

func stateNames() []string {
	var out []string
	for _, s := range ota.States() {
		out = append(out, string(s))
	}
	return out
}

// expectAct holds what is against what is expected.
type expectAct struct{ n *yamlx.Node }

func (e *expectAct) read(rd *reader, n *yamlx.Node) {
	e.n = n
	rd.expectation(n, "expect", expectKeys)
}

// expectation checks the words of an expectation.
func (rd *reader) expectation(n *yamlx.Node, what string, keys []string) {
	if n.Kind != yamlx.Map || len(n.Pairs) == 0 {
		rd.fault(n, ruleWrongType, "%s is %s, want a map of what is expected", what, describe(n))
		return
	}
	rd.known(n, what, keys)
	for _, p := range n.Pairs {
		members := memberKeys[p.Key.Text]
		if members == nil {
			continue
		}
		for _, x := range append([]*yamlx.Node{p.Value}, p.Value.Items...) {
			if x.Kind == yamlx.Map {
				rd.known(x, p.Key.Text, members)
			}
		}
	}
}

func (e *expectAct) do(p *player, _ *yamlx.Node) error {
	for _, m := range p.w.expect(e.n) {
		p.fail(m.at, m.String())
	}
	return nil
}

// untilAct lets time go by until something is as expected.
type untilAct struct {
	n      *yamlx.Node
	within time.Duration
}

func (u *untilAct) read(rd *reader, n *yamlx.Node) {
	u.n = &yamlx.Node{Kind: n.Kind, Line: n.Line, Col: n.Col, Text: n.Text}
	within := n.Get("within")
	for _, p := range n.Pairs {
		if p.Value != within {
			u.n.Pairs = append(u.n.Pairs, p)
		}
	}
	rd.expectation(u.n, "until", expectKeys)
	if within == nil {
		rd.fault(n, ruleMissing, "until needs the key within")
		return
	}
	rd.into(valueOf(&u.within), within, "within")
}

func (u *untilAct) do(p *player, at *yamlx.Node) error {
	writes, step, stored := -1, time.Duration(0), onlyStored(u.n)
	if !stored {
		step = time.Minute
	}
	ok, err := p.w.pass(u.within, step, func() bool {
		if n := p.w.st.commits(); !stored || n != writes { // else nothing can have changed
			writes = n
			return len(p.w.expect(u.n)) == 0
		}
		return false
	})
	if err != nil || ok {
		return err
	}
	left := p.w.expect(u.n)
	if len(left) == 0 {
		return nil
	}
	for _, m := range left {
		p.fail(m.at, fmt.Sprintf("not within %s: %s", engine.PrintDuration(u.within), m))
	}
	return errGiveUp
}

// onlyStored says whether an expectation is about nothing but what is stored, so
// that it can come true by a commit alone.
func onlyStored(n *yamlx.Node) bool {
	for _, p := range n.Pairs {
		switch p.Key.Text {
		case "device", "devices", "counts", "rollout", "alarms", "dead_letters":
		default:
			return false
		}
		for _, x := range append([]*yamlx.Node{p.Value}, p.Value.Items...) {
			if x.Get("online") != nil {
				return false
			}
		}
	}
	return true
}

// expect holds the world against an expectation.
func (w *world) expect(n *yamlx.Node) (out []mismatch) {
	w.last.by = ""
	if by := n.Get("by"); by != nil {
		w.last.by = by.Text
	}
	for _, p := range n.Pairs {
		key, v := p.Key.Text, p.Value
		switch key {
		case "by":
		case "device":
			out = append(out, w.expectDevice(v, key)...)
		case "devices":
			for i, x := range v.Items {
				out = append(out, w.expectDevice(x, fmt.Sprintf("devices[%d]", i))...)
			}
		case "alarms", "dead_letters":
			out = append(out, amongst(v, w.got(key, v), key)...)
		default:
			out = append(out, compare(v, w.got(key, v), key)...)
		}
	}
	return out
}

// got is what there is of what a key names.
func (w *world) got(key string, n *yamlx.Node) any {
	switch key {
	case "path":
		return w.path(n)
	case "outlet":
		if steps := w.runs[w.last].Steps; len(steps) > 0 {
			return steps[len(steps)-1].Outlet
		}
		return nil
	case "reply":
		if all := w.answers(); len(all) > 0 {
			return all[len(all)-1]
		}
		return nil
	case "replies":
		return w.answers()
	case "counts":
		return w.counts(n)
	case "rollout":
		return w.rollout()
	case "alarms":
		return w.alarms()
	case "dead_letters":
		return w.deadLetters()
	case "clock":
		return w.st.Now()
	case "published":
		return w.publications()
	case "pushes":
		return w.pushes()
	case "vars":
		out := map[string]any{}
		for k, v := range w.runs[w.last].Vars {
			out[k] = plain(v)
		}
		return out
	case "timing":
		return w.timing(n)
	case "answered":
		return w.answered()
	case "waiting_at":
		if r := w.runs[w.last]; r.Waits && len(r.Steps) > 0 {
			return r.Steps[len(r.Steps)-1].Step
		}
		return nil
	}
	return nil
}

// path lists the steps of the last run of the chain under test. A step that calls
// stands by its name; to look into it, a case writes call/step.
func (w *world) path(n *yamlx.Node) any {
	run, ran := w.runs[w.last]
	if !ran {
		return noun{text: "no run of chain " + w.last.chain}
	}
	steps := run.Steps
	deep := slices.ContainsFunc(n.Items, func(x *yamlx.Node) bool { return strings.Contains(x.Text, "/") })
	if deep {
		steps = run.full
	}
	out := []string{}
	for _, h := range steps {
		within := func(x engine.Hop) bool { return strings.HasPrefix(x.Step, h.Step+"/") }
		if !deep || !slices.ContainsFunc(steps, within) {
			out = append(out, h.Step)
		}
	}
	return out
}

// amongst looks for each that is expected among all that there are; an empty
// list expects none.
func amongst(n *yamlx.Node, got any, field string) (out []mismatch) {
	all, _ := got.([]any)
	if n.Kind != yamlx.List || len(n.Items) == 0 {
		return compare(n, got, field)
	}
	for _, x := range n.Items {
		if !slices.ContainsFunc(all, func(v any) bool { return len(compare(x, v, field)) == 0 }) {
			out = append(out, mismatch{x, field, show(x), printed(got)})
		}
	}
	return out
}
