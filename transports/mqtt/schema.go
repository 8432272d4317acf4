package mqtt

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"math"
	"strconv"

	"github.com/bufbuild/protocompile"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/types/dynamicpb"

	"github.com/windlass-ota/windlass/ota"
)

// schema is a proto3 file of a profile: what its devices send is its last
// message.
type schema struct {
	of protoreflect.MessageDescriptor
}

var (
	errNoMessage = errors.New("it defines no message")
	errNotProto3 = errors.New(`it does not begin with syntax = "proto3"`)
)

// compile reads a schema; nil where there is none.
func compile(text string) (*schema, error) {
	if text == "" {
		return nil, nil
	}
	const name = "schema.proto"
	c := protocompile.Compiler{Resolver: &protocompile.SourceResolver{Accessor: protocompile.SourceAccessorFromMap(map[string]string{name: text})}}
	files, err := c.Compile(context.Background(), name)
	switch {
	case err != nil:
		return nil, err
	case files[0].Syntax() != protoreflect.Proto3:
		return nil, errNotProto3
	case files[0].Messages().Len() == 0:
		return nil, errNoMessage
	}
	all := files[0].Messages()
	return &schema{all.Get(all.Len() - 1)}, nil
}

// CheckSettings says what is wrong with the schemas of a profile, with the JSON
// name of the member that it is about, or nil.
func CheckSettings(m ota.MQTTSettings) (member string, err error) {
	for _, s := range []struct{ name, text string }{
		{"deviceTelemetryProtoSchema", m.TelemetryProto}, {"deviceAttributesProtoSchema", m.AttributesProto},
	} {
		switch made, err := compile(s.text); {
		case err != nil:
			return s.name, ota.Errorf(ota.Invalid, "check schema", "%v", err)
		case made == nil && m.Protobuf:
			return s.name, ota.Errorf(ota.Invalid, "check schema", "a profile whose payloads are Protocol Buffers has one")
		}
	}
	return "", nil
}

// json turns a message into JSON with the names of its fields as the file has
// them. Numbers of 64 bits are numbers, which the JSON form of Protocol Buffers
// makes texts of; fields that are not set have their default, save optional ones.
func (s *schema) json(payload []byte) ([]byte, error) {
	m := dynamicpb.NewMessage(s.of)
	if err := proto.Unmarshal(payload, m); err != nil {
		return nil, ota.Errorf(ota.Invalid, "read protobuf", "%v", err)
	}
	return appendMessage(nil, m, 0)
}

var errDeep = ota.Errorf(ota.Invalid, "read protobuf", "messages lie too deep within each other")

func appendMessage(dst []byte, m protoreflect.Message, depth int) (_ []byte, err error) {
	if depth > 16 {
		return nil, errDeep
	}
	dst = append(dst, '{')
	first := true
	fields := m.Descriptor().Fields()
	for i := range fields.Len() {
		f := fields.Get(i)
		if f.HasPresence() && !m.Has(f) {
			continue
		}
		if !first {
			dst = append(dst, ',')
		}
		first = false
		dst = append(append(dst, quote(string(f.Name()))...), ':')
		if dst, err = appendField(dst, f, m.Get(f), depth); err != nil {
			return nil, err
		}
	}
	return append(dst, '}'), nil
}

func appendField(dst []byte, f protoreflect.FieldDescriptor, v protoreflect.Value, depth int) (_ []byte, err error) {
	switch {
	case f.IsMap():
		dst = append(dst, '{')
		first := true
		v.Map().Range(func(k protoreflect.MapKey, v protoreflect.Value) bool {
			if !first {
				dst = append(dst, ',')
			}
			first = false
			dst = append(append(dst, quote(k.String())...), ':')
			dst, err = appendValue(dst, f.MapValue(), v, depth)
			return err == nil
		})
		return append(dst, '}'), err
	case f.IsList():
		dst = append(dst, '[')
		for i := range v.List().Len() {
			if i > 0 {
				dst = append(dst, ',')
			}
			if dst, err = appendValue(dst, f, v.List().Get(i), depth); err != nil {
				return nil, err
			}
		}
		return append(dst, ']'), nil
	}
	return appendValue(dst, f, v, depth)
}

func appendValue(dst []byte, f protoreflect.FieldDescriptor, v protoreflect.Value, depth int) ([]byte, error) {
	switch x := v.Interface().(type) {
	case bool:
		return strconv.AppendBool(dst, x), nil
	case int32:
		return strconv.AppendInt(dst, int64(x), 10), nil
	case int64:
		return strconv.AppendInt(dst, x, 10), nil
	case uint32:
		return strconv.AppendUint(dst, uint64(x), 10), nil
	case uint64:
		return strconv.AppendUint(dst, x, 10), nil
	case float32:
		return appendFloat(dst, float64(x), 32), nil
	case float64:
		return appendFloat(dst, x, 64), nil
	case string:
		return append(dst, quote(x)...), nil
	case []byte:
		return append(dst, quote(base64.StdEncoding.EncodeToString(x))...), nil
	case protoreflect.EnumNumber:
		if e := f.Enum().Values().ByNumber(x); e != nil {
			return append(dst, quote(string(e.Name()))...), nil
		}
		return strconv.AppendInt(dst, int64(x), 10), nil
	case protoreflect.Message:
		return appendMessage(dst, x, depth+1)
	}
	return append(dst, "null"...), nil // there is no other kind
}

func appendFloat(dst []byte, x float64, bits int) []byte {
	if math.IsNaN(x) || math.IsInf(x, 0) {
		return append(dst, "null"...) // JSON has no word for it
	}
	b, err := json.Marshal(x)
	if bits == 32 {
		b, err = json.Marshal(float32(x))
	}
	if err != nil { // cannot happen with a finite number
		return append(dst, "null"...)
	}
	return append(dst, b...)
}
