package engine

import (
	"reflect"
	"strconv"

	"github.com/windlass-ota/windlass/ota"
)

// SettingDoc is one setting as reference pages show it.
type SettingDoc struct {
	Field
	Type    string // the language's word for it: "text", "map of duration", "expression"
	Default string // as it is written in a chain; "" where there is none
}

// Describe lists the settings of a node type, in the order of its spec.
func (f Factory) Describe() []SettingDoc {
	var out []SettingDoc
	for _, field := range f.Spec.Fields {
		d := SettingDoc{Field: field}
		if i := fieldIndex(f.config, field.Key); i >= 0 {
			v := f.value().Field(i)
			d.Type = describeType(v.Type())
			if s, ok := v.Interface().(interface{ written() string }); ok && !field.Required {
				d.Default = s.written()
			}
		}
		out = append(out, d)
	}
	return out
}

// describeType is what a config's field is called in the language.
func describeType(t reflect.Type) string {
	switch z := reflect.Zero(t).Interface().(type) {
	case interface{ settingType() Type }:
		return string(z.settingType())
	case Value:
		return "value"
	}
	switch t {
	case reflect.TypeFor[Cond](), reflect.TypeFor[*Cond]():
		return "expression"
	case reflect.TypeFor[ota.Kind]():
		return string(KindType)
	}
	switch t.Kind() {
	case reflect.Map:
		return "map of " + describeType(t.Elem())
	case reflect.Slice:
		return "list of " + describeType(t.Elem())
	case reflect.Struct:
		return string(MapType)
	}
	for _, x := range []Type{TextType, BoolType, IntType, NumberType, DurationType, RateType, TimeType} {
		if x.goType() == t {
			return string(x)
		}
	}
	switch t {
	case reflect.TypeFor[Bytes]():
		return string(SizeType)
	case reflect.TypeFor[Percent]():
		return string(PercentType)
	}
	return string(AnyType)
}

func (s Setting[T]) settingType() Type { return typeOf[T]() }

// written is a literal as it is written in a chain.
func (s Setting[T]) written() string {
	if !s.given {
		return ""
	}
	switch x := any(s.lit).(type) {
	case Bytes:
		return strconv.FormatInt(int64(x), 10)
	case ota.Pace:
		if x.Every == 0 {
			return "unlimited"
		}
		return strconv.Itoa(x.Count) + "/" + printDuration(x.Every)
	}
	return show(s.lit)
}
