package transports

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/windlass-ota/windlass/ota"
)

// said shows data as text: the time in milliseconds, or nothing, and the values.
func said(data []Datum) []string {
	var out []string
	for _, d := range data {
		ts := ""
		if !d.TS.IsZero() {
			ts = d.TS.UTC().Format("15:04:05.000") + " "
		}
		out = append(out, ts+string(d.Values))
	}
	return out
}

func TestReadTelemetry(t *testing.T) {
	tests := []struct {
		name, body string
		want       []string
	}{
		{"object", `{"fw_state":"DOWNLOADING","n":1}`, []string{`{"fw_state":"DOWNLOADING","n":1}`}},
		{"numbers as written", `{"v":1.10,"e":1e3,"big":12345678901234567890123}`, []string{`{"v":1.10,"e":1e3,"big":12345678901234567890123}`}},
		{"text as written", `{"v":"1.10","empty":""}`, []string{`{"v":"1.10","empty":""}`}},
		{"nulls go", `{"a":null,"b":"","c":null}`, []string{`{"b":""}`}},
		{"only nulls", `{"a":null}`, []string{`{}`}},
		{"nothing", `{}`, []string{`{}`}},
		{"kept as JSON", `{"o":{"x":null,"y":[1, {"z":"}"}]},"t":true}`, []string{`{"o":{"x":null,"y":[1, {"z":"}"}]},"t":true}`}},
		{"space", " { \"a\" : 1 , \"b\":null } \n", []string{`{"a":1}`}},
		{"the last of a key counts", `{"a":1,"b":2,"\u0061":3}`, []string{`{"a":3,"b":2}`}},
		{"time", `{"ts":3661001,"values":{"a":1}}`, []string{`01:01:01.001 {"a":1}`}},
		{"time as text", `{"values":{"a":null},"ts":"1000"}`, []string{`00:00:01.000 {}`}},
		{"ts alone is a value", `{"ts":5}`, []string{`{"ts":5}`}},
		{"list", `[{"a":1},{"ts":1000,"values":{"a":2}},{"a":3}]`, []string{`{"a":1}`, `00:00:01.000 {"a":2}`, `{"a":3}`}},
		{"list of none", `[]`, nil},
		{"not UTF-8", "{\"a\":\"\xff\"}", []string{`{"a":"` + "\uFFFD" + `"}`}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got, err := ReadTelemetry([]byte(tt.body), Limits{})
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(tt.want, said(got)); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestReadRefuses(t *testing.T) {
	telemetry := func(b string) error {
		_, err := ReadTelemetry([]byte(b), Limits{Depth: 8, Keys: 20, Key: 10})
		return err
	}
	attributes := func(b string) error {
		_, err := ReadAttributes([]byte(b), Limits{Depth: 8, Keys: 20, Key: 10})
		return err
	}
	request := func(b string) error { _, _, err := ReadAttributesRequest([]byte(b), Limits{}); return err }
	rpc := func(b string) error { _, _, err := ReadRPC([]byte(b), Limits{}); return err }
	tests := []struct {
		name string
		read func(string) error
		body string
	}{
		{"empty", telemetry, ``},
		{"space", telemetry, `  `},
		{"cut", telemetry, `{"a":1`},
		{"two values", telemetry, `{"a":1}{"a":2}`},
		{"text", telemetry, `"a"`},
		{"number", telemetry, `1`},
		{"null", telemetry, `null`},
		{"list of numbers", telemetry, `[1,2]`},
		{"list of lists", telemetry, `[[{"a":1}]]`},
		{"values is no object", telemetry, `{"ts":1,"values":2}`},
		{"ts is no number", telemetry, `{"ts":"soon","values":{}}`},
		{"ts is no whole number", telemetry, `{"ts":1.5,"values":{}}`},
		{"ts before 1970", telemetry, `{"ts":-1,"values":{}}`},
		{"ts beyond 64 bits", telemetry, `{"ts":92233720368547758080,"values":{}}`},
		{"ts after the year 9999", telemetry, `{"ts":9223372036854775807,"values":{}}`},
		{"deep", telemetry, `{"a":` + strings.Repeat("[", 8) + strings.Repeat("]", 8) + `}`},
		{"very deep", telemetry, strings.Repeat("[", 1<<20)},
		{"many keys", telemetry, `{` + strings.Repeat(`"a":1,`, 20) + `"b":1}`},
		{"many elements", telemetry, `[` + strings.Repeat(`{},`, 20) + `{}]`},
		{"long key", telemetry, `{"12345678901":1}`},
		{"attributes in a list", attributes, `[{"a":1}]`},
		{"attributes cut", attributes, `{"a"`},
		{"attributes with a long key", attributes, `{"12345678901":1}`},
		{"keys are no text", request, `{"clientKeys":1}`},
		{"request in a list", request, `[]`},
		{"call without method", rpc, `{"params":{}}`},
		{"call of a number", rpc, `{"method":1}`},
		{"call in a list", rpc, `[]`},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if got := ota.CodeOf(tt.read(tt.body)); got != ota.Invalid {
				t.Errorf("code %q, want invalid", got)
			}
		})
	}
}

func TestReadObjectOfManyKeys(t *testing.T) {
	body := `{"a":null`
	for i := range 40 {
		body += fmt.Sprintf(`,"k%d":%d`, i%30, i/30)
	}
	got, err := ReadAttributes([]byte(body+`}`), Limits{})
	if err != nil {
		t.Fatal(err)
	}
	var have map[string]int
	if err := json.Unmarshal(got, &have); err != nil {
		t.Fatal(err)
	}
	if len(have) != 30 || have["k0"] != 1 || have["k29"] != 0 || strings.Count(string(got), ":") != 30 {
		t.Errorf("got %s", got)
	}
}

func TestReadAttributesRequest(t *testing.T) {
	tests := []struct {
		name, body     string
		client, shared []string
	}{
		{"both", `{"clientKeys":"a, b","sharedKeys":"c"}`, []string{"a", "b"}, []string{"c"}},
		{"one", `{"sharedKeys":"fw_title,fw_version"}`, nil, []string{"fw_title", "fw_version"}},
		{"all", `{}`, nil, nil},
		{"empty", `{"clientKeys":"","sharedKeys":null,"other":1}`, nil, nil},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			c, s, err := ReadAttributesRequest([]byte(tt.body), Limits{})
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff([][]string{tt.client, tt.shared}, [][]string{c, s}); diff != "" {
				t.Error(diff)
			}
		})
	}
	if keys, err := SplitKeys(Limits{}, "a", "b,c", ",", ""); err != nil || strings.Join(keys, "|") != "a|b|c" {
		t.Errorf("repeated and joined: %q, %v", keys, err)
	}
	if _, err := SplitKeys(Limits{Keys: 2}, "a,b,c"); ota.CodeOf(err) != ota.Invalid {
		t.Errorf("too many: %v", err)
	}
}

func TestReadRPC(t *testing.T) {
	method, params, err := ReadRPC([]byte(`{"method":"getSessionLimits","params":{"timeout":5000}}`), Limits{})
	if err != nil || method != "getSessionLimits" || string(params) != `{"timeout":5000}` {
		t.Errorf("got %q %q %v", method, params, err)
	}
	if _, params, err = ReadRPC([]byte(`{"method":"m"}`), Limits{}); err != nil || params != nil {
		t.Errorf("without params: %q %v", params, err)
	}
}

func TestBodies(t *testing.T) {
	attrs := func(r ota.Reply) string { return string(AttributesBody(r)) }
	push := func(r ota.Reply) string {
		b, ok := PushBody(r)
		if !ok {
			return "-"
		}
		return string(b)
	}
	rpc := func(r ota.Reply) string { return string(RPCBody(r)) }
	tests := []struct {
		name  string
		write func(ota.Reply) string
		reply ota.Reply
		want  string
	}{
		{"both scopes", attrs, ota.Reply{Client: []byte(`{"a":1}`), Shared: []byte(`{"b":2}`)}, `{"client":{"a":1},"shared":{"b":2}}`},
		{"one scope", attrs, ota.Reply{Client: []byte(`{}`), Shared: []byte(`{"b":2}`)}, `{"shared":{"b":2}}`},
		{"nothing found", attrs, ota.Reply{}, `{}`},
		{"offer", push, ota.Reply{Word: ota.SayOffer, Shared: []byte(`{"fw_title":"T"}`)}, `{"fw_title":"T"}`},
		{"withdrawn", push, ota.Reply{Word: ota.SayCancel, Deleted: []string{"fw_title", "fw_tag"}}, `{"deleted":["fw_title","fw_tag"]}`},
		{"both", push, ota.Reply{Word: ota.SayAttributes, Shared: []byte(`{"a":1}`), Deleted: []string{"b"}}, `{"a":1,"deleted":["b"]}`},
		{"nothing to say", push, ota.Reply{Word: ota.SayAttributes}, `-`},
		{"no push", push, ota.Reply{Word: ota.SayApply, Shared: []byte(`{"a":1}`)}, `-`},
		{"call", rpc, ota.Reply{Method: `re"boot`, Body: []byte(`[1]`)}, `{"method":"re\"boot","params":[1]}`},
		{"call without params", rpc, ota.Reply{Method: "reboot"}, `{"method":"reboot","params":{}}`},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if got := tt.write(tt.reply); got != tt.want {
				t.Errorf("got %s, want %s", got, tt.want)
			}
		})
	}
}

func TestMergePushes(t *testing.T) {
	gone := ota.Reply{Word: ota.SayCancel, Deleted: []string{"fw_tag", "fw_url"}}
	offer := ota.Reply{Word: ota.SayOffer, Shared: []byte(`{"fw_title":"T","fw_tag":"x","fw_size":1}`)}
	other := ota.Reply{Word: ota.SayAttributes, Shared: []byte(`{"fw_size":2}`)}
	tests := []struct {
		name  string
		words []ota.Reply
		want  string
	}{
		{"one", []ota.Reply{offer}, `{"fw_title":"T","fw_tag":"x","fw_size":1}`},
		{"gone, then set", []ota.Reply{gone, offer}, `{"fw_title":"T","fw_tag":"x","fw_size":1,"deleted":["fw_url"]}`},
		{"set, then gone", []ota.Reply{offer, gone}, `{"fw_title":"T","fw_size":1,"deleted":["fw_tag","fw_url"]}`},
		{"the last counts", []ota.Reply{offer, other}, `{"fw_title":"T","fw_tag":"x","fw_size":2}`},
		{"no push", []ota.Reply{{Word: ota.SayApply}, {Word: ota.SayAttributes}}, `-`},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got := "-"
			if b, ok := MergePushes(tt.words); ok {
				got = string(b)
			}
			if got != tt.want {
				t.Errorf("got %s, want %s", got, tt.want)
			}
		})
	}
}

// TestReadingCostsLittle: a report of a device is read where it lies.
func TestReadingCostsLittle(t *testing.T) {
	body := []byte(`{"current_fw_title":"pump","current_fw_version":"1.2.3","fw_state":"DOWNLOADING"}`)
	got := testing.AllocsPerRun(100, func() {
		if _, err := ReadTelemetry(body, Limits{}); err != nil {
			t.Fatal(err)
		}
	})
	if got > 8 {
		t.Errorf("%v allocations, want 8 at most", got)
	}
}

func FuzzReadTelemetry(f *testing.F) {
	for _, s := range []string{
		`{"a":1}`, `[{"ts":1,"values":{"a":null,"b":"x"}},{"c":[1,{"d":"\\\""}]}]`, `{"a":1,"\u0061":2}`, ` [ ] `, `{"ts":"7","values":{}}`,
		"{\"\xff\":\"\\ud800\"}", `[[[[`, `{"a":"]}"}`,
	} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		data, err := ReadTelemetry(body, Limits{})
		if err != nil {
			if ota.CodeOf(err) != ota.Invalid {
				t.Fatalf("%v is coded %q", err, ota.CodeOf(err))
			}
			return
		}
		for _, d := range data {
			checkObject(t, d.Values)
			if d.TS.After(time.UnixMilli(lastTS)) {
				t.Fatalf("time %v", d.TS)
			}
		}
	})
}

func FuzzReadAttributes(f *testing.F) {
	for _, s := range []string{`{"a":1.10}`, `{"a":null}`, `{"":{"":{}}}`, `{ "a" : [ ] , "a" : "" }`} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		if got, err := ReadAttributes(body, Limits{}); err == nil {
			checkObject(t, got)
		}
		_, _, _ = ReadAttributesRequest(body, Limits{})
		if _, params, err := ReadRPC(body, Limits{}); err == nil && params != nil && !json.Valid(params) {
			t.Fatalf("params %q", params)
		}
	})
}

// checkObject proves what every reader downstream relies on: an object, no
// nulls in it, no key twice.
func checkObject(t *testing.T, b []byte) {
	t.Helper()
	var m map[string]json.RawMessage
	if err := json.Unmarshal(b, &m); err != nil || m == nil {
		t.Fatalf("%q is no object: %v", b, err)
	}
	n := 0
	members(b, func(x member) bool {
		if n++; string(x.value) == "null" {
			t.Fatalf("null in %q", b)
		}
		return true
	})
	if n != len(m) {
		t.Fatalf("%d members, %d keys in %q", n, len(m), b)
	}
}
