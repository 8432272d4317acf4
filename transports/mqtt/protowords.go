package mqtt

import (
	"math"
	"strings"

	"github.com/tidwall/gjson"
	"google.golang.org/protobuf/encoding/protowire"

	"github.com/windlass-ota/windlass/ota"
	"github.com/windlass-ota/windlass/transports"
)

// Attributes as devices with Protocol Buffers ask for them and are told them
// (ThingsBoard's transport.proto, by its numbers).

var errProto = ota.Errorf(ota.Invalid, "read protobuf", "it is no request for attributes")

// readProtoRequest reads {1 clientKeys, 2 sharedKeys}, names with commas between.
func readProtoRequest(b []byte) (client, shared []string, err error) {
	var lists [3]string
	for len(b) > 0 {
		num, typ, n := protowire.ConsumeTag(b)
		if n < 0 {
			return nil, nil, errProto
		}
		b = b[n:]
		if num <= 2 && typ == protowire.BytesType {
			text, n := protowire.ConsumeString(b)
			if n < 0 {
				return nil, nil, errProto
			}
			lists[num], b = text, b[n:]
			continue
		}
		if n = protowire.ConsumeFieldValue(num, typ, b); n < 0 {
			return nil, nil, errProto
		}
		b = b[n:]
	}
	if client, err = transports.SplitKeys(transports.Limits{}, lists[1]); err == nil {
		shared, err = transports.SplitKeys(transports.Limits{}, lists[2])
	}
	return client, shared, err
}

// protoAnswer is {1 requestId, 2 client, 3 shared}.
func protoAnswer(id int32, r ota.Reply) []byte {
	out := protowire.AppendVarint(protowire.AppendTag(nil, 1, protowire.VarintType), uint64(id))
	out = appendEntries(out, 2, r.Client)
	return appendEntries(out, 3, r.Shared)
}

// protoPush is {1 updated, 2 deleted}; ok is false where it says nothing.
func protoPush(w ota.Reply) (body []byte, ok bool) {
	out := appendEntries(nil, 1, w.Shared)
	for _, name := range w.Deleted {
		out = protowire.AppendString(protowire.AppendTag(out, 2, protowire.BytesType), name)
	}
	return out, len(out) > 0 && transports.IsAttributes(w.Word)
}

// The types of a value (KeyValueType).
const (
	protoLong   = 1
	protoDouble = 2
	protoText   = 3
	protoJSON   = 4
)

// appendEntries writes each member of an object as a field: an entry {2 kv}.
func appendEntries(dst []byte, field protowire.Number, object []byte) []byte {
	gjson.ParseBytes(object).ForEach(func(key, v gjson.Result) bool {
		kv := protowire.AppendString(protowire.AppendTag(nil, 1, protowire.BytesType), key.String())
		kv = appendKV(kv, v)
		entry := protowire.AppendBytes(protowire.AppendTag(nil, 2, protowire.BytesType), kv)
		dst = protowire.AppendBytes(protowire.AppendTag(dst, field, protowire.BytesType), entry)
		return true
	})
	return dst
}

func appendKV(kv []byte, v gjson.Result) []byte {
	number := func(field protowire.Number, n uint64) {
		kv = protowire.AppendVarint(protowire.AppendTag(kv, field, protowire.VarintType), n)
	}
	text := func(typ uint64, field protowire.Number, s string) {
		number(2, typ)
		kv = protowire.AppendString(protowire.AppendTag(kv, field, protowire.BytesType), s)
	}
	switch v.Type {
	case gjson.True, gjson.False:
		number(3, protowire.EncodeBool(v.Bool()))
	case gjson.Number:
		if f := v.Float(); !strings.ContainsAny(v.Raw, ".eE") && math.Abs(f) < 1<<63 {
			number(2, protoLong)
			number(4, uint64(v.Int()))
		} else {
			number(2, protoDouble)
			kv = protowire.AppendFixed64(protowire.AppendTag(kv, 5, protowire.Fixed64Type), math.Float64bits(f))
		}
	case gjson.String:
		text(protoText, 6, v.String())
	default:
		text(protoJSON, 7, v.Raw)
	}
	return kv
}
