package mqttwire

import (
	"bytes"
	"encoding/hex"
	"errors"
	"io"
	"reflect"
	"strings"
	"testing"
	"testing/iotest"
)

// raw reads hex with blanks and 'quoted text' in it.
func raw(t testing.TB, s string) []byte {
	t.Helper()
	var out []byte
	for i, part := range strings.Split(s, "'") {
		if i%2 == 1 {
			out = append(out, part...)
			continue
		}
		b, err := hex.DecodeString(strings.ReplaceAll(part, " ", ""))
		if err != nil {
			t.Fatalf("bad test bytes %q: %v", part, err)
		}
		out = append(out, b...)
	}
	return out
}

func props(set func(p *Properties)) Properties {
	var p Properties
	set(&p)
	return p
}

// good are packets byte for byte as the standard has them, each read and written.
var good = []struct {
	name string
	v    Version
	raw  string
	want Packet
}{
	{"connect 3.1.1 token", V311, "10 15 0004'MQTT' 04 82 003c 0000 0007'A1_TOKE'", &Connect{
		Version: V311, CleanStart: true, KeepAlive: 60, ClientID: []byte{}, HasUserName: true, UserName: []byte("A1_TOKE")}},
	{"connect 3.1", V31, "10 0f 0006'MQIsdp' 03 00 000a 0001'c'", &Connect{Version: V31, KeepAlive: 10, ClientID: []byte("c")}},
	{"connect 5 with all", V5, "10 30 0004'MQTT' 05 ee 0005 0f 11 0000000a 21 0014 26 0001'k' 0001'v' 0001'c'" +
		"05 18 00000001 0001't' 0002 beef 0001'u' 0001'p'", nil},
	{"connack 3.1.1", V311, "20 02 01 00", &Connack{SessionPresent: true}},
	{"connack 5", V5, "20 06 00 87 03 13 001e", &Connack{Code: byte(NotAuthorized),
		Props: props(func(p *Properties) { p.SetUint(ServerKeepAlive, 30) })}},
	{"publish 0", V311, "30 05 0001't' 'hi'", &Publish{Topic: []byte("t"), Payload: []byte("hi")}},
	{"publish 1 dup retain", V311, "3b 07 0001't' 0007 'hi'", &Publish{Dup: true, QoS: 1, Retain: true, Topic: []byte("t"), PacketID: 7, Payload: []byte("hi")}},
	{"publish 2 of 5", V5, "34 08 0001't' 0007 00 'hi'", &Publish{QoS: 2, Topic: []byte("t"), PacketID: 7, Payload: []byte("hi")}},
	{"publish by alias", V5, "30 07 0000 03 23 0001 'x'", &Publish{Topic: []byte{}, Payload: []byte("x"),
		Props: props(func(p *Properties) { p.SetUint(TopicAlias, 1) })}},
	{"publish with subscription ids", V5, "30 0b 0001't' 06 0b 01 0b 808001 'x'", &Publish{Topic: []byte("t"), Payload: []byte("x"),
		Props: Properties{SubscriptionIDs: []int{1, 16384}}}},
	{"publish empty payload", V311, "30 03 0001't'", &Publish{Topic: []byte("t"), Payload: []byte{}}},
	{"puback", V311, "40 02 0001", &Ack{Type: PUBACK, PacketID: 1}},
	{"puback 5 short", V5, "40 02 0001", &Ack{Type: PUBACK, PacketID: 1}},
	{"puback 5 reason", V5, "40 03 0001 99", &Ack{Type: PUBACK, PacketID: 1, Reason: PayloadFormatInvalid}},
	{"pubrec", V311, "50 02 0001", &Ack{Type: PUBREC, PacketID: 1}},
	{"pubrel", V311, "62 02 0001", &Ack{Type: PUBREL, PacketID: 1}},
	{"pubcomp 5", V5, "70 07 0001 92 03 1f 0000", &Ack{Type: PUBCOMP, PacketID: 1, Reason: PacketIDNotFound,
		Props: props(func(p *Properties) { p.SetBytes(ReasonString, []byte{}) })}},
	{"subscribe", V311, "82 0b 0002 0001'a' 00 0002'b/' 02", &Subscribe{PacketID: 2,
		Filters: []Filter{{Topic: []byte("a")}, {Topic: []byte("b/"), QoS: 2}}}},
	{"subscribe 5", V5, "82 09 0002 02 0b 05 0001'a' 2d", &Subscribe{PacketID: 2, Props: Properties{SubscriptionIDs: []int{5}},
		Filters: []Filter{{Topic: []byte("a"), QoS: 1, NoLocal: true, RetainAsPublished: true, RetainHandling: 2}}}},
	{"suback", V311, "90 04 0002 00 80", &SubAck{Type: SUBACK, PacketID: 2, Codes: []byte{0, 0x80}}},
	{"suback 5", V5, "90 05 0002 00 01 8f", &SubAck{Type: SUBACK, PacketID: 2, Codes: []byte{1, byte(TopicFilterInvalid)}}},
	{"unsubscribe", V311, "a2 05 0003 0001'a'", &Unsubscribe{PacketID: 3, Filters: [][]byte{[]byte("a")}}},
	{"unsubscribe 5", V5, "a2 06 0003 00 0001'a'", &Unsubscribe{PacketID: 3, Filters: [][]byte{[]byte("a")}}},
	{"unsuback", V311, "b0 02 0003", &SubAck{Type: UNSUBACK, PacketID: 3}},
	{"unsuback 5", V5, "b0 04 0003 00 11", &SubAck{Type: UNSUBACK, PacketID: 3, Codes: []byte{0x11}}},
	{"pingreq", V311, "c0 00", &Ping{Type: PINGREQ}},
	{"pingresp", V5, "d0 00", &Ping{Type: PINGRESP}},
	{"disconnect", V311, "e0 00", &Close{Type: DISCONNECT}},
	{"disconnect 5", V5, "e0 01 8b", &Close{Type: DISCONNECT, Reason: ServerShuttingDown}},
	{"auth", V5, "f0 06 18 04 15 0001'm'", &Close{Type: AUTH, Reason: ContinueAuthentication,
		Props: props(func(p *Properties) { p.SetBytes(AuthMethod, []byte("m")) })}},
}

func connectWithAll() *Connect {
	p := &Connect{Version: V5, CleanStart: true, KeepAlive: 5, ClientID: []byte("c"),
		HasWill: true, Will: Will{Topic: []byte("t"), Payload: []byte{0xbe, 0xef}, QoS: 1, Retain: true},
		HasUserName: true, UserName: []byte("u"), HasPassword: true, Password: []byte("p")}
	p.Props.SetUint(SessionExpiry, 10)
	p.Props.SetUint(ReceiveMaximum, 20)
	p.Props.User = []Pair{{[]byte("k"), []byte("v")}}
	p.Will.Props.SetUint(WillDelay, 1)
	return p
}

func TestPackets(t *testing.T) {
	for _, tt := range good {
		t.Run(tt.name, func(t *testing.T) {
			if tt.want == nil {
				tt.want = connectWithAll()
			}
			b := raw(t, tt.raw)
			f, size, err := Split(b, tt.v, 1024)
			if err != nil || size != len(b) {
				t.Fatalf("Split: size %d of %d, %v", size, len(b), err)
			}
			got := New(f.Type)
			if err := got.Decode(f, tt.v); err != nil {
				t.Fatalf("Decode: %v", err)
			}
			if !reflect.DeepEqual(got, tt.want) {
				t.Errorf("Decode:\n got %+v\nwant %+v", got, tt.want)
			}
			out, err := tt.want.Append([]byte("before"), tt.v)
			if err != nil {
				t.Fatalf("Append: %v", err)
			}
			if want := append([]byte("before"), b...); !bytes.Equal(out, want) {
				t.Errorf("Append:\n got %x\nwant %x", out, want)
			}
			for cut := range b {
				if _, size, err := Split(b[:cut], tt.v, 1024); err != nil || size != 0 && size != len(b) {
					t.Errorf("Split of the first %d bytes: size %d, %v", cut, size, err)
				}
			}
		})
	}
}

// Each case breaks one rule; the reason is what the peer is told.
func TestMalformed(t *testing.T) {
	tests := []struct {
		name string
		v    Version
		raw  string
		want *Error
	}{
		{"reserved type", V311, "00 00", errReservedType},
		{"five byte length", V311, "30 ffffffff01", errVarint},
		{"padded length", V5, "c0 8000", errVarint},
		{"over the limit", V311, "30 8108", errPacketTooLarge},
		{"connect empty", V311, "10 00", errShort},
		{"connect flags", V311, "11 0c 0004'MQTT' 04 02 0000 0000", errFlags},
		{"connect name", V311, "10 0c 0004'HTTP' 04 02 0000 0000", errProtocolName},
		{"connect version 6", V311, "10 0c 0004'MQTT' 06 02 0000 0000", errProtocolVersion},
		{"connect 3.1 named MQTT", V311, "10 0c 0004'MQTT' 03 02 0000 0000", errProtocolVersion},
		{"connect reserved flag", V311, "10 0c 0004'MQTT' 04 03 0000 0000", errConnectReserved},
		{"connect will qos alone", V311, "10 0c 0004'MQTT' 04 08 0000 0000", errWillFlags},
		{"connect will qos 3", V311, "10 12 0004'MQTT' 04 1c 0000 0000 0001't' 0001'p'", errWillQoS},
		{"connect will wildcard", V311, "10 12 0004'MQTT' 04 04 0000 0000 0001'#' 0001'p'", errWillTopic},
		{"connect password alone 3.1.1", V311, "10 0f 0004'MQTT' 04 40 0000 0000 0001'p'", errPasswordAlone},
		{"connect user missing", V311, "10 0c 0004'MQTT' 04 80 0000 0000", errShort},
		{"connect trailing", V311, "10 0d 0004'MQTT' 04 02 0000 0000 00", errTrailing},
		{"connect client id not UTF-8", V311, "10 0d 0004'MQTT' 04 02 0000 0001 ff", errUTF8},
		{"connect surrogate", V311, "10 0f 0004'MQTT' 04 02 0000 0003 eda080", errUTF8},
		{"connect NUL", V311, "10 0d 0004'MQTT' 04 02 0000 0001 00", errNUL},
		{"connect 5 without properties", V5, "10 0a 0004'MQTT' 05 02 0000", errShort},
		{"receive maximum 0", V5, "10 10 0004'MQTT' 05 02 0000 03 21 0000 0000", errPropertyValue},
		{"property twice", V5, "10 13 0004'MQTT' 05 02 0000 06 21 0001 21 0001 0000", errPropertyTwice},
		{"property of another packet", V5, "10 10 0004'MQTT' 05 02 0000 03 23 0001 0000", errPropertyForeign},
		{"property unknown", V5, "10 0f 0004'MQTT' 05 02 0000 02 7f 00 0000", errPropertyUnknown},
		{"property past the block", V5, "10 0f 0004'MQTT' 05 02 0000 02 11 00 0000", errShort},
		{"auth data alone", V5, "10 10 0004'MQTT' 05 02 0000 03 16 0000 0000", errAuthDataAlone},
		{"request problem 2", V5, "10 0f 0004'MQTT' 05 02 0000 02 17 02 0000", errPropertyValue},
		{"subscription id in connect", V5, "10 0f 0004'MQTT' 05 02 0000 02 0b 01 0000", errPropertyForeign},
		{"publish qos 3", V311, "36 05 0001't' 0001", errQoS3},
		{"publish dup qos 0", V311, "38 03 0001't'", errDupQoS0},
		{"publish id 0", V311, "32 05 0001't' 0000", errPacketID},
		{"publish no id", V311, "32 03 0001't'", errShort},
		{"publish no topic", V311, "30 02 0000", errTopicEmpty},
		{"publish no topic 5", V5, "30 03 0000 00", errTopicAlone},
		{"publish alias 0", V5, "30 07 0001't' 03 23 0000", errTopicAliasZero},
		{"publish +", V311, "30 05 0003'a/+'", errTopicWild},
		{"publish #", V5, "30 04 0001'#' 00", errTopicWild},
		{"publish response topic wild", V5, "30 08 0001't' 04 08 0001'#'", errResponseTopic},
		{"publish property length over the body", V5, "30 04 0001't' 7f", errShort},
		{"publish subscription id 0", V5, "30 06 0001't' 02 0b 00", errSubscriptionID},
		{"puback short", V311, "40 01 00", errShort},
		{"puback long", V311, "40 03 0001 00", errTrailing},
		{"puback id 0", V311, "40 02 0000", errPacketID},
		{"puback reason", V5, "40 03 0001 8b", errReason},
		{"pubrel flags", V311, "60 02 0001", errFlags},
		{"pubrel flags 5", V5, "6a 02 0001", errFlags},
		{"subscribe flags", V311, "80 06 0001 0001'a' 00", errFlags},
		{"subscribe nothing", V311, "82 02 0001", errNoFilters},
		{"subscribe id 0", V311, "82 06 0000 0001'a' 00", errPacketID},
		{"subscribe qos 3", V311, "82 06 0001 0001'a' 03", errSubscribeFlags},
		{"subscribe option of 5", V311, "82 06 0001 0001'a' 04", errSubscribeFlags},
		{"subscribe reserved", V5, "82 07 0001 00 0001'a' 40", errSubscribeFlags},
		{"subscribe retain handling", V5, "82 07 0001 00 0001'a' 30", errRetainHandling},
		{"subscribe empty filter", V311, "82 05 0001 0000 00", errFilterEmpty},
		{"subscribe no options", V311, "82 05 0001 0001'a'", errShort},
		{"subscribe two ids", V5, "82 0b 0001 04 0b 01 0b 02 0001'a' 00", errSubscriptionID},
		{"subscribe shared no-local", V5, "82 0f 0001 00 0009'$share/g/' 04", errSharedNoLocal},
		{"unsubscribe nothing", V311, "a2 02 0001", errNoFilters},
		{"unsubscribe empty filter", V311, "a2 04 0001 0000", errFilterEmpty},
		{"pingreq with body", V311, "c0 01 00", errTrailing},
		{"pingreq flags", V311, "c1 00", errFlags},
		{"disconnect with body 3.1.1", V311, "e0 01 00", errTrailing},
		{"disconnect reason", V5, "e0 01 01", errReason},
		{"auth 3.1.1", V311, "f0 00", errAuthVersion},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			b := raw(t, tt.raw)
			f, size, err := Split(b, tt.v, 1024)
			if err == nil {
				if size != len(b) {
					t.Fatalf("Split: size %d of %d bytes", size, len(b))
				}
				err = New(f.Type).Decode(f, tt.v)
			}
			if err != error(tt.want) {
				t.Errorf("got %v, want %v", err, tt.want)
			}
		})
	}
}

func TestLenience(t *testing.T) {
	tests := []struct {
		name string
		v    Version
		raw  string
	}{
		{"padded length before 5", V311, "c0 8000"},
		{"3.1 repeated subscribe", V31, "8a 06 0001 0001'a' 00"},
		{"3.1 repeated pubrel", V31, "6a 02 0001"},
		{"empty client id, session kept", V311, "10 0c 0004'MQTT' 04 00 0000 0000"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			f, _, err := Split(raw(t, tt.raw), tt.v, 1024)
			if err == nil {
				err = New(f.Type).Decode(f, tt.v)
			}
			if err != nil {
				t.Error(err)
			}
		})
	}
}

func TestConnectKeepsVersionOnError(t *testing.T) {
	f, _, err := Split(raw(t, "10 0d 0004'MQTT' 05 03 0000 00 0000"), 0, 1024)
	if err != nil {
		t.Fatal(err)
	}
	var p Connect
	if err := p.Decode(f, 0); err == nil || p.Version != V5 {
		t.Errorf("version %d, %v: want 5 and an error", p.Version, err)
	}
}

func TestUserPropertiesAreBounded(t *testing.T) {
	p := Publish{Topic: []byte("t"), Payload: []byte{}}
	for range MaxUserProperties + 1 {
		p.Props.User = append(p.Props.User, Pair{[]byte("k"), []byte("v")})
	}
	b, err := p.Append(nil, V5)
	if err != nil {
		t.Fatal(err)
	}
	f, _, err := Split(b, V5, 1024)
	if err != nil {
		t.Fatal(err)
	}
	if err := new(Publish).Decode(f, V5); err != error(errManyUserProps) {
		t.Errorf("got %v, want %v", err, errManyUserProps)
	}
}

func TestAppendRefuses(t *testing.T) {
	long := make([]byte, 65536)
	tests := []struct {
		name string
		p    Packet
		want *Error
	}{
		{"long client id", &Connect{Version: V5, ClientID: long}, errTooLong},
		{"no version", &Connect{}, errProtocolVersion},
		{"long topic", &Publish{Topic: long}, errTooLong},
		{"no packet id", &Publish{Topic: []byte("t"), QoS: 1}, errPacketID},
		{"wildcard", &Publish{Topic: []byte("#")}, errTopicWild},
		{"qos 3", &Publish{Topic: []byte("t"), QoS: 3}, errQoS3},
		{"long property", &Connack{Props: props(func(p *Properties) { p.SetBytes(ReasonString, long) })}, errTooLong},
		{"no filters", &Subscribe{PacketID: 1}, errNoFilters},
		{"long filter", &Subscribe{PacketID: 1, Filters: []Filter{{Topic: long}}}, errTooLong},
		{"no codes", &SubAck{Type: SUBACK, PacketID: 1}, errNoCodes},
		{"no id", &Ack{Type: PUBACK}, errPacketID},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got, err := tt.p.Append([]byte("before"), V5)
			if err != error(tt.want) || string(got) != "before" {
				t.Errorf("got %q, %v; want %v", got, err, tt.want)
			}
		})
	}
	if _, err := (&Publish{Topic: []byte("t")}).AppendHeader(nil, V311, MaxRemaining); err != error(errPacketTooLarge) {
		t.Errorf("payload over the limit of MQTT: %v", err)
	}
}

func TestValidFilter(t *testing.T) {
	for filter, want := range map[string]bool{
		"a": true, "a/b": true, "/": true, "+": true, "#": true, "a/+/b": true, "a/#": true, "+/#": true,
		"": false, "a#": false, "#/a": false, "a/b+": false, "++": false, "a/#/b": false,
		"$share/g/a/+": true, "$share/g/": false, "$share//a": false, "$share/g": false, "$share/g+/a": false, "$SYS/#": true,
	} {
		if got := ValidFilter([]byte(filter)); got != want {
			t.Errorf("ValidFilter(%q) = %v", filter, got)
		}
	}
}

func TestReader(t *testing.T) {
	var stream []byte
	for _, tt := range good {
		if tt.v == V311 {
			stream = append(stream, raw(t, tt.raw)...)
		}
	}
	big := &Publish{Topic: []byte("t"), Payload: bytes.Repeat([]byte("x"), 9000)}
	stream, err := big.Append(stream, V311)
	if err != nil {
		t.Fatal(err)
	}
	for name, src := range map[string]io.Reader{
		"whole": bytes.NewReader(stream), "byte by byte": iotest.OneByteReader(bytes.NewReader(stream)),
		"data with EOF": iotest.DataErrReader(bytes.NewReader(stream)),
	} {
		t.Run(name, func(t *testing.T) {
			r := NewReader(src, 10000)
			for _, tt := range good {
				if tt.v != V311 {
					continue
				}
				f, err := r.Next(V311)
				if err != nil {
					t.Fatalf("%s: %v", tt.name, err)
				}
				if got := New(f.Type); got.Decode(f, V311) != nil || !reflect.DeepEqual(got, tt.want) {
					t.Errorf("%s: got %+v", tt.name, got)
				}
			}
			f, err := r.Next(V311)
			if err != nil || len(f.Body) != 9003 {
				t.Fatalf("big packet: %d bytes, %v", len(f.Body), err)
			}
			if _, err := r.Next(V311); err != io.EOF {
				t.Errorf("at the end: %v", err)
			}
		})
	}
	r := NewReader(bytes.NewReader(stream[:len(stream)-1]), 10000)
	for err = nil; err == nil; {
		_, err = r.Next(V311)
	}
	if !errors.Is(err, io.ErrUnexpectedEOF) {
		t.Errorf("cut stream: %v", err)
	}
}

func TestDecodePublishAllocatesNothing(t *testing.T) {
	for _, tt := range []struct {
		v   Version
		raw string
	}{{V311, "32 09 0001't' 0007 'hi!!'"}, {V5, "34 08 0001't' 0007 00 'hi'"}} {
		b := raw(t, tt.raw)
		var p Publish
		n := testing.AllocsPerRun(100, func() {
			f, _, err := Split(b, tt.v, 1024)
			if err == nil {
				err = p.Decode(f, tt.v)
			}
			if err != nil {
				t.Fatal(err)
			}
		})
		if n != 0 {
			t.Errorf("version %d: %v allocations", tt.v, n)
		}
	}
}
