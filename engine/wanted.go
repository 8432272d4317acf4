package engine

import (
	"encoding/json"
	"fmt"
	"reflect"
	"slices"
	"strings"
	"time"

	"github.com/windlass-ota/windlass/ota"
)

// since says in words what was wanted since a mark.
func (w *wants) since(m wantsMark) []string {
	return wanted(w.replies[m.replies:], w.pushes[m.pushes:], w.values[m.values:], w.out[m.out:])
}

// wanted says in words what a run wants to be said and written, its home apart.
func wanted(replies, pushes []ota.Reply, values []ota.Value, out []ota.Outgoing) []string {
	var said []string
	for i := range replies {
		said = append(said, "reply "+sayReply(&replies[i]))
	}
	for i := range pushes {
		said = append(said, "push "+sayReply(&pushes[i]))
	}
	for _, v := range values {
		if v.JSON == nil {
			said = append(said, fmt.Sprintf("delete %s.%s", v.Scope, v.Key))
		} else {
			said = append(said, fmt.Sprintf("set %s.%s to %s", v.Scope, v.Key, cutText(string(v.JSON))))
		}
	}
	for i := range out {
		said = append(said, fmt.Sprintf("message %s to %s", out[i].Message.Event, out[i].To))
	}
	return said
}

func sayReply(p *ota.Reply) string {
	var b strings.Builder
	b.WriteString(string(p.Word))
	add := func(format string, a ...any) { fmt.Fprintf(&b, " "+format, a...) }
	if x := p.Section.Package; x != nil {
		add("%d bytes at %d of %s", p.Section.Len, p.Section.Off, x.Version)
	}
	if p.Method != "" {
		add("%s", p.Method)
	}
	for _, x := range []struct {
		name string
		json []byte
	}{{"client", p.Client}, {"shared", p.Shared}, {"", p.Body}} {
		if x.json != nil {
			add("%s", strings.TrimSpace(x.name+" "+cutText(string(x.json))))
		}
	}
	if p.Deleted != nil {
		add("without %s", strings.Join(p.Deleted, ", "))
	}
	if p.Code != "" {
		add("%s: %s", p.Code, p.Text)
	}
	return b.String()
}

// cutText bounds a value in a line for people.
func cutText(s string) string {
	const most = 300
	if len(s) <= most {
		return s
	}
	return strings.ToValidUTF8(s[:most], "") + fmt.Sprintf("… (%d bytes)", len(s))
}

// maxChanges bounds the lines about a home.
const maxChanges = 60

// changed says in words what is different between two states of a home.
func changed(was, is *ota.Home) []string {
	if was == nil || is == nil {
		return nil
	}
	var out []string
	walkChange(&out, "", formOf(was), formOf(is))
	if n := len(out); n > maxChanges {
		out = append(out[:maxChanges], fmt.Sprintf("… and %d changes more", n-maxChanges))
	}
	return out
}

// formOf is a home as maps and lists.
func formOf(h *ota.Home) (v any) {
	h = bare(h)
	h.NextNum, h.Version = 0, 0
	b, err := json.Marshal(h)
	if err != nil {
		return nil
	}
	if err := json.Unmarshal(b, &v); err != nil {
		return nil
	}
	return v
}

func walkChange(out *[]string, at string, was, is any) {
	if reflect.DeepEqual(was, is) {
		return
	}
	a, aMap := was.(map[string]any)
	b, bMap := is.(map[string]any)
	if aMap && (bMap || is == nil) || bMap && was == nil {
		keys := append(sortedKeys(a), sortedKeys(b)...)
		slices.Sort(keys)
		for _, k := range slices.Compact(keys) {
			walkChange(out, strings.TrimPrefix(at+"."+lowerFirst(k), "."), a[k], b[k])
		}
		return
	}
	if empty(was) && empty(is) {
		return
	}
	x, xList := was.([]any)
	y, yList := is.([]any)
	if (xList || was == nil) && yList && len(y) > len(x) && reflect.DeepEqual(x, y[:len(x)]) || yList && len(x) == 0 {
		for _, v := range y[len(x):] {
			*out = append(*out, at+" + "+formText(v))
		}
		return
	}
	*out = append(*out, at+": "+formText(was)+" → "+formText(is))
}

// empty says whether a value stands for nothing.
func empty(v any) bool {
	switch x := v.(type) {
	case nil:
		return true
	case string:
		return x == "" || x == time.Time{}.Format(time.RFC3339)
	case float64:
		return x == 0
	case bool:
		return !x
	case []any:
		return len(x) == 0
	case map[string]any:
		for _, e := range x {
			if !empty(e) {
				return false
			}
		}
		return true
	}
	return false
}

func formText(v any) string {
	if empty(v) {
		return "nothing"
	}
	if s, ok := v.(string); ok {
		return cutText(s)
	}
	if m, ok := v.(map[string]any); ok {
		var parts []string
		for _, k := range sortedKeys(m) {
			if !empty(m[k]) {
				parts = append(parts, lowerFirst(k)+" "+formText(m[k]))
			}
		}
		return cutText(strings.Join(parts, ", "))
	}
	b, err := json.Marshal(v)
	if err != nil {
		return fmt.Sprint(v)
	}
	return cutText(string(b))
}

// lowerFirst puts a member's name into the form in which people know it.
func lowerFirst(s string) string {
	if strings.ToUpper(s) == s {
		return strings.ToLower(s)
	}
	return strings.ToLower(s[:1]) + s[1:]
}
