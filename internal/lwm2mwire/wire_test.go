package lwm2mwire

import (
	"bytes"
	"encoding/hex"
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// The device object of the OMA examples (TS 1.0, table 14; TS 1.1, 7.4.3), as
// resources of instance 0.
const deviceTLV = `C80014 4F70656E204D6F62696C6520416C6C69616E6365
C80116 4C69676874776569676874204D324D20436C69656E74
C80209 333435303030313233
C303 312E30
8606 410001 410105
880708 42000ED8 42011388
8708 41007D 42010384
C10964 C10A0F 830B 410000 C40D5182428F C60E2B30323A3030 C11055`

// What it says, resource by resource.
var deviceSays = []string{
	"/3/0/0=Open Mobile Alliance", "/3/0/1=Lightweight M2M Client", "/3/0/2=345000123", "/3/0/3=1.0", "/3/0/6/0=1", "/3/0/6/1=5", "/3/0/7/0=3800",
	"/3/0/7/1=5000", "/3/0/8/0=125", "/3/0/8/1=900", "/3/0/9=100", "/3/0/10=15", "/3/0/11/0=0", "/3/0/13=1367491215", "/3/0/14=+02:00", "/3/0/16=U",
}

func unhex(t *testing.T, s string) []byte {
	t.Helper()
	b, err := hex.DecodeString(strings.Join(strings.Fields(s), ""))
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// texts are the resources of the device object that are text; TLV does not say.
var texts = map[uint16]bool{0: true, 1: true, 2: true, 3: true, 14: true, 16: true}

func said(es []Entry) (out []string) {
	for _, e := range es {
		s, ok := e.Value.Text()
		if i, isInt := e.Value.Int(); e.Value.Type == Unknown && isInt && (e.Path.ID[0] != 3 || !texts[e.Path.ID[2]]) {
			s, ok = fmt.Sprint(i), true
		}
		if !ok {
			s = fmt.Sprintf("%x", e.Value.Bytes())
		}
		out = append(out, e.Path.String()+"="+s)
	}
	return out
}

func TestDecode(t *testing.T) {
	const (
		jsonDoc = `{"bn":"/3/0/","e":[{"n":"0","sv":"Open Mobile Alliance"},{"n":"1","sv":"Lightweight M2M Client"},{"n":"2","sv":"345000123"},{"n":"3","sv":"1.0"},
			{"n":"6/0","v":1},{"n":"6/1","v":5},{"n":"7/0","v":3800},{"n":"7/1","v":5000},{"n":"8/0","v":125},{"n":"8/1","v":900},{"n":"9","v":100},{"n":"10","v":15},
			{"n":"11/0","v":0},{"n":"13","v":1367491215},{"n":"14","sv":"+02:00"},{"n":"16","sv":"U"}]}`
		senml = `[{"bn":"/3/0/","n":"0","vs":"Open Mobile Alliance"},{"n":"1","vs":"Lightweight M2M Client"},{"n":"2","vs":"345000123"},{"n":"3","vs":"1.0"},
			{"n":"6/0","v":1},{"n":"6/1","v":5},{"n":"7/0","v":3800},{"n":"7/1","v":5000},{"n":"8/0","v":125},{"n":"8/1","v":900},{"n":"9","v":100},{"n":"10","v":15},
			{"n":"11/0","v":0},{"n":"13","v":1367491215},{"n":"14","vs":"+02:00"},{"n":"16","vs":"U"}]`
	)
	hexed := func(s string) string { return string(unhex(t, s)) }
	tests := []struct {
		name   string
		format Format
		base   Path
		body   string
		want   []string
	}{
		{"TLV, an instance", TLV, P(3, 0), hexed(deviceTLV), deviceSays},
		{"TLV, an object with the instance around", TLV, P(3), hexed("080079" + deviceTLV), deviceSays},
		{"TLV, an instance with itself around", TLV, P(3, 0), hexed("080079" + deviceTLV), deviceSays},
		{"TLV, two instances", TLV, P(2), hexed(`08000E C10001 C10100 8302417F07 C1037F 080212 C10003 C10100 8702417F0761013601 C1037F`),
			[]string{"/2/0/0=1", "/2/0/1=0", "/2/0/2/127=7", "/2/0/3=127", "/2/2/0=3", "/2/2/1=0", "/2/2/2/127=7", "/2/2/2/310=1", "/2/2/3=127"}},
		{"TLV, links to objects", TLV, P(65, 0), hexed(`88000C 440000420000 440100420001 C8010D38363133383030373535353030 C40212345678`),
			[]string{"/65/0/0/0=4325376", "/65/0/0/1=4325377", "/65/0/1=8613800755500", "/65/0/2=305419896"}},
		{"TLV, a resource", TLV, P(3, 0, 9), hexed("C10964"), []string{"/3/0/9=100"}},
		{"TLV, a resource of several", TLV, P(3, 0, 6), hexed("8606410001410105"), []string{"/3/0/6/0=1", "/3/0/6/1=5"}},
		{"TLV, bare instances of a resource", TLV, P(3, 0, 6), hexed("410001410105"), []string{"/3/0/6/0=1", "/3/0/6/1=5"}},
		{"TLV, nothing", TLV, P(3, 0), "", nil},
		{"JSON", JSON, P(3, 0), jsonDoc, deviceSays},
		{"JSON without a base", JSON, P(3, 0), strings.Replace(jsonDoc, `"bn":"/3/0/",`, "", 1), deviceSays},
		{"JSON, one resource", JSON, P(3, 0, 3), `{"e":[{"n":"","sv":"1.10"}]}`, []string{"/3/0/3=1.10"}},
		{"JSON, a number as written", JSON, P(3, 0, 3), `{"bn":"/3/0/3","e":[{"n":"","v":1.10}]}`, []string{"/3/0/3=1.10"}},
		{"JSON, the others", JSON, P(65, 0), `{"bn":"/65/0/","e":[{"n":"0/0","ov":"66:0"},{"n":"1","bv":true}]}`, []string{"/65/0/0/0=66:0", "/65/0/1=1"}},
		{"SenML JSON", SenMLJSON, P(3, 0), senml, deviceSays},
		{"SenML JSON, one resource", SenMLJSON, P(5, 0, 3), `[{"n":"/5/0/3","v":2}]`, []string{"/5/0/3=2"}},
		{"SenML JSON, nameless", SenMLJSON, P(5, 0, 3), `[{"v":2}]`, []string{"/5/0/3=2"}},
		{"SenML JSON, a base that changes", SenMLJSON, P(), `[{"bn":"/5/0/","bt":1.5e9},{"n":"3","v":1},{"bn":"/9/0/","n":"7","v":2,"t":-5}]`, []string{"/5/0/3=1", "/9/0/7=2"}},
		{"SenML JSON, the others", SenMLJSON, P(65, 0), `[{"bn":"/65/0/","n":"0","vd":"_-8"},{"n":"1","vb":true},{"n":"2","vlo":"66:1"},{"n":"3","v":1.5}]`,
			[]string{"/65/0/0=ffef", "/65/0/1=1", "/65/0/2=66:1", "/65/0/3=1.5"}},
		// {-2: "/3/0/", 0: "0", 3: "Open Mobile Alliance"}, {0: "9", 2: 95}, {0: "13", 2: 1367491215} (TS 1.1, 7.4.5)
		{"SenML CBOR", SenMLCBOR, P(3, 0), hexed("83 A3 21 65 2F332F302F 00 61 30 03 74 4F70656E204D6F62696C6520416C6C69616E6365 A2 00 61 39 02 18 5F A2 00 62 3133 02 1A 5182428F"),
			[]string{"/3/0/0=Open Mobile Alliance", "/3/0/9=95", "/3/0/13=1367491215"}},
		{"SenML CBOR, the others", SenMLCBOR, P(65, 0), hexed("84 A3 21 66 2F36352F302F 00 61 30 08 42 FFEF A2 00 61 31 04 F5 A2 63 766C6F 64 36363A31 00 61 32 A2 00 61 33 02 F9 3E00"),
			[]string{"/65/0/0=ffef", "/65/0/1=1", "/65/0/2=66:1", "/65/0/3=1.5"}},
		{"text", Text, P(5, 0, 3), "2", []string{"/5/0/3=2"}},
		{"text that is no number", Text, P(3, 0, 3), "1.10-rc", []string{"/3/0/3=1.10-rc"}},
		{"opaque", Opaque, P(5, 0, 0), "\x01\xff", []string{"/5/0/0=01ff"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got, err := Decode(tt.format, tt.base, []byte(tt.body))
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(tt.want, said(got)); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestDecodeRefuses(t *testing.T) {
	hexed := func(s string) string { return string(unhex(t, s)) }
	for _, tt := range []struct {
		name   string
		format Format
		body   string
	}{
		{"TLV, cut header", TLV, hexed("C8")},
		{"TLV, cut id", TLV, hexed("E100")},
		{"TLV, cut length", TLV, hexed("D000")},
		{"TLV, cut value", TLV, hexed("C80114 4C69")},
		{"TLV, length beyond all", TLV, hexed("D800FFFFFF00")},
		{"TLV, resource in a resource", TLV, hexed("8603 C10001")},
		{"TLV, several in several", TLV, hexed("8604 820141 00")},
		{"TLV, instance in an instance", TLV, hexed("080003 080000")},
		{"TLV, instance of no resource", TLV, hexed("410001")},
		{"JSON, cut", JSON, `{"e":[`},
		{"JSON, a list", JSON, `[]`},
		{"JSON, two", JSON, `{"e":[]}{"e":[]}`},
		{"JSON, a path that is none", JSON, `{"e":[{"n":"x","v":1}]}`},
		{"JSON, a path too deep", JSON, `{"e":[{"n":"1/2/3","v":1}]}`},
		{"JSON, a number that is none", JSON, `{"e":[{"n":"1","v":1e999}]}`},
		{"SenML JSON, cut", SenMLJSON, `[{"n":"1","v":`},
		{"SenML JSON, an object", SenMLJSON, `{}`},
		{"SenML JSON, bytes that are none", SenMLJSON, `[{"n":"1","vd":"!"}]`},
		{"SenML JSON, a link that is none", SenMLJSON, `[{"n":"1","vlo":"66"}]`},
		{"SenML JSON, an id too large", SenMLJSON, `[{"n":"65536","v":1}]`},
		{"SenML CBOR, cut", SenMLCBOR, hexed("83A3")},
		{"SenML CBOR, a map", SenMLCBOR, hexed("A0")},
		{"SenML CBOR, not a number", SenMLCBOR, hexed("81 A2 00 61 31 02 F97E00")},
		{"SenML CBOR, a text for a number", SenMLCBOR, hexed("81 A2 00 61 31 02 61 31")},
		{"SenML CBOR, a long list announced", SenMLCBOR, hexed("9A FFFFFFFF")},
		{"unknown", 9999, ""},
	} {
		if got, err := Decode(tt.format, P(3, 0), []byte(tt.body)); err == nil {
			t.Errorf("%s: read as %v", tt.name, said(got))
		}
	}
	if _, err := Decode(TLV, P(3, 0), bytes.Repeat(unhex(t, "C10001"), maxEntries+1)); err == nil {
		t.Error("any number of resources is taken")
	}
}

func TestEncode(t *testing.T) {
	device := []Entry{
		{P(3, 0, 0), Str("Open Mobile Alliance")}, {P(3, 0, 1), Str("Lightweight M2M Client")}, {P(3, 0, 2), Str("345000123")}, {P(3, 0, 3), Str("1.0")},
		{P(3, 0, 6, 0), Int(1)}, {P(3, 0, 6, 1), Int(5)}, {P(3, 0, 7, 0), Int(3800)}, {P(3, 0, 7, 1), Int(5000)}, {P(3, 0, 8, 0), Int(125)}, {P(3, 0, 8, 1), Int(900)},
		{P(3, 0, 9), Int(100)}, {P(3, 0, 10), Int(15)}, {P(3, 0, 11, 0), Int(0)}, {P(3, 0, 13), Int(1367491215)}, {P(3, 0, 14), Str("+02:00")}, {P(3, 0, 16), Str("U")},
	}
	for _, tt := range []struct {
		name string
		base Path
		want string
	}{{"an instance", P(3, 0), deviceTLV}, {"an object", P(3), "080079" + deviceTLV}} {
		got, err := Encode(TLV, tt.base, device)
		if err != nil || !bytes.Equal(got, unhex(t, tt.want)) {
			t.Errorf("%s: %X, %v", tt.name, got, err)
		}
	}
	one := []Entry{{P(5, 0, 1), Str("coap://[::1]/fw")}}
	for _, tt := range []struct {
		format Format
		want   string
	}{
		{Text, "coap://[::1]/fw"},
		{TLV, "\xc8\x01\x0fcoap://[::1]/fw"},
		{JSON, `{"bn":"/5/0/1","e":[{"n":"","sv":"coap://[::1]/fw"}]}`},
		{SenMLJSON, `[{"bn":"/5/0/1","vs":"coap://[::1]/fw"}]`},
		{SenMLCBOR, "\x81\xa2\x21\x66/5/0/1\x03\x6fcoap://[::1]/fw"},
	} {
		got, err := Encode(tt.format, P(5, 0, 1), one)
		if err != nil || string(got) != tt.want {
			t.Errorf("%d: %q, %v", tt.format, got, err)
		}
	}
	if _, err := Encode(TLV, P(9, 0), one); err == nil {
		t.Error("what is not below is written")
	}
	if _, err := Encode(Text, P(3, 0), device); err == nil {
		t.Error("many resources as one text")
	}
}

// TestThereAndBack: what is written is read again, in every format.
func TestThereAndBack(t *testing.T) {
	entries := []Entry{
		{P(65, 1, 0), Int(-300)}, {P(65, 1, 1), Int(1 << 40)}, {P(65, 1, 2), Num(-1.25)}, {P(65, 1, 3), Bool(true)}, {P(65, 1, 4), Bytes([]byte{0, 0xff, 7})},
		{P(65, 1, 5), Link(66, 2)}, {P(65, 1, 300), Str(strings.Repeat("ä", 200))}, {P(65, 1, 301, 0), Int(127)}, {P(65, 1, 301, 400), Int(128)},
	}
	for _, f := range []Format{TLV, JSON, SenMLJSON, SenMLCBOR} {
		for _, base := range []Path{P(65, 1), P(65)} {
			b, err := Encode(f, base, entries)
			if err != nil {
				t.Fatal(err)
			}
			got, err := Decode(f, base, b)
			if err != nil || len(got) != len(entries) {
				t.Fatalf("%d: %v, %v", f, said(got), err)
			}
			for i, e := range entries {
				g := got[i]
				same := g.Path == e.Path
				switch e.Value.Type {
				case Float:
					v, ok := g.Value.Float()
					same = same && ok && v == -1.25
				case Boolean:
					v, ok := g.Value.Bool()
					same = same && ok && v
				case Binary:
					v, ok := Opaqued(g.Value)
					same = same && ok && bytes.Equal(v, e.Value.Bytes())
				case String:
					v, ok := g.Value.Text()
					same = same && ok && v == strings.Repeat("ä", 200)
				case Integer:
					v, ok := g.Value.Int()
					w, _ := e.Value.Int()
					same = same && ok && v == w
				case ObjectLink:
					v, _ := g.Value.Text()
					same = same && (v == "66:2" || f == TLV)
				}
				if !same {
					t.Errorf("%d: %s came back as %s", f, said([]Entry{e}), said([]Entry{g}))
				}
			}
		}
	}
}

func TestParseLinks(t *testing.T) {
	for _, tt := range []struct{ in, want string }{
		{"", ""},
		{"</1/0>,</3/0>,</5/0>", "/1/0 /3/0 /5/0"},
		{`</>;rt="oma.lwm2m";ct="60 110 112 11542 11543",</1>;ver=1.1,</1/0>,</5/0>`, "/[ct=60 110 112 11542 11543 rt=oma.lwm2m] /1[ver=1.1] /1/0 /5/0"},
		{`</lwm2m>;rt="oma.lwm2m", </lwm2m/1/0> ; obs`, "/lwm2m[rt=oma.lwm2m] /lwm2m/1/0[obs=]"},
		{`</a>;title="x, \"y\"; z>";title=twice`, `/a[title=x, "y"; z>]`},
	} {
		links, err := ParseLinks([]byte(tt.in))
		if err != nil {
			t.Errorf("%q: %v", tt.in, err)
			continue
		}
		var got []string
		for _, l := range links {
			s := l.Target
			if len(l.Attrs) > 0 {
				var attrs []string
				for _, k := range []string{"ct", "obs", "rt", "title", "ver"} {
					if v, ok := l.Attrs[k]; ok {
						attrs = append(attrs, k+"="+v)
					}
				}
				s += "[" + strings.Join(attrs, " ") + "]"
			}
			got = append(got, s)
		}
		if strings.Join(got, " ") != tt.want {
			t.Errorf("%q: %q", tt.in, got)
		}
	}
	for _, bad := range []string{"x", "<a", "</a>x", "</a>,", "</a>;", `</a>;b="c`, `</a>;b="\`, "</a>;=1", strings.Repeat("</a>,", 3000) + "</a>", "</a>" + strings.Repeat(";a", 3000)} {
		if got, err := ParseLinks([]byte(bad)); err == nil {
			t.Errorf("%.30q is read as %v", bad, got)
		}
	}
}

func TestPath(t *testing.T) {
	for in, want := range map[string]string{"/5/0/3": "/5/0/3", "5": "/5", "/3/0/": "/3/0", "/": "/", "": "/", "/1/2/3/4": "/1/2/3/4"} {
		if p, err := ParsePath(in); err != nil || p.String() != want {
			t.Errorf("%q: %s, %v", in, p, err)
		}
	}
	for _, bad := range []string{"/a", "/1//2", "/-1", "/65535", "/65536", "/1/2/3/4/5", "//1"} {
		if p, err := ParsePath(bad); err == nil {
			t.Errorf("%q is %s", bad, p)
		}
	}
	if !P(5).Holds(P(5, 0, 3)) || P(5, 1).Holds(P(5, 0, 3)) || P(5, 0, 3).Holds(P(5, 0)) || !P().Holds(P(1)) {
		t.Error("what lies below what")
	}
}

func FuzzDecode(f *testing.F) {
	for _, s := range []string{
		deviceTLV, "080079" + deviceTLV, "08000E C10001 C10100 8302417F07 C1037F", "83A321652F332F302F0061300360",
		hex.EncodeToString([]byte(`{"bn":"/3/0/","e":[{"n":"0","sv":"x"},{"n":"1","v":1.5}]}`)), hex.EncodeToString([]byte(`[{"bn":"/3/0/","n":"0","vs":"x"},{"n":"1","vlo":"1:2"}]`)),
	} {
		b, err := hex.DecodeString(strings.Join(strings.Fields(s), ""))
		if err != nil {
			f.Fatal(err)
		}
		for n := range 5 {
			f.Add(byte(n), b)
		}
	}
	formats := []Format{TLV, JSON, SenMLJSON, SenMLCBOR, Text}
	f.Fuzz(func(t *testing.T, n byte, b []byte) {
		format := formats[int(n)%len(formats)]
		for _, base := range []Path{P(3), P(3, 0), P(3, 0, 1)} {
			got, err := Decode(format, base, b)
			if err != nil {
				continue
			}
			if len(got) > maxEntries {
				t.Fatalf("%d resources", len(got))
			}
			said(got)
			for _, e := range got {
				e.Value.Float()
				e.Value.Bool()
				if e.Path.Depth != 3 && e.Path.Depth != 4 && format == TLV {
					t.Fatalf("%s is no resource", e.Path)
				}
			}
		}
	})
}

func FuzzParseLinks(f *testing.F) {
	for _, s := range []string{`</>;rt="oma.lwm2m";ct=11543,</1/0>`, `<a>;b="\""`, ",", "<>"} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		links, err := ParseLinks(b)
		if err == nil && len(links) > maxLinks {
			t.Fatalf("%d links", len(links))
		}
	})
}
