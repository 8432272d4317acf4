package engine

import (
	"reflect"
	"time"

	"github.com/windlass-ota/windlass/ota"
)

// Type is a type of the chain language, named by the word that a chain's params
// use.
type Type string

// The types. A value of AnyType may also be absent.
const (
	AnyType      Type = "any"
	TextType     Type = "text"
	BoolType     Type = "bool"
	IntType      Type = "int"
	NumberType   Type = "number"
	DurationType Type = "duration"
	SizeType     Type = "size"
	PercentType  Type = "percent"
	RateType     Type = "rate"
	TimeType     Type = "time"
	KindType     Type = "kind"
	ListType     Type = "list"
	MapType      Type = "map"
	BytesType    Type = "bytes"
)

// goType is what a value of the type is in Go while a run has it; nil for any.
func (t Type) goType() reflect.Type {
	switch t {
	case TextType, KindType:
		return reflect.TypeFor[string]()
	case BoolType:
		return reflect.TypeFor[bool]()
	case IntType, SizeType:
		return reflect.TypeFor[int]()
	case NumberType, PercentType:
		return reflect.TypeFor[float64]()
	case DurationType:
		return reflect.TypeFor[time.Duration]()
	case RateType:
		return reflect.TypeFor[ota.Pace]()
	case TimeType:
		return reflect.TypeFor[time.Time]()
	case ListType:
		return reflect.TypeFor[[]any]()
	case MapType:
		return reflect.TypeFor[map[string]any]()
	case BytesType:
		return reflect.TypeFor[[]byte]()
	}
	return nil
}

// zero is the value of the type that nothing has been put into.
func (t Type) zero() any {
	if g := t.goType(); g != nil {
		return reflect.Zero(g).Interface()
	}
	return nil
}
