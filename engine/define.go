package engine

import (
	"cmp"
	"errors"
	"fmt"
	"reflect"
)

// Define makes the factory of a node type. A step's "with" is decoded strictly
// into a copy of defaults, by C's yaml tags; where C has a method
// Validate() error it is asked then; build makes the node. All of it happens at
// load: when a chain runs, settings that depend on the run are read by
// [Setting.Get], [Cond.Eval] and [Value.Eval], and the rest are plain Go.
//
// C is a struct whose fields are settings ([Text], [Int], …), [Cond], [Value],
// or plain Go for what must be known at load: string, bool, int, float64,
// [time.Duration], [ota.Pace], [ota.Kind], [Percent], [Bytes], any, and slices,
// maps by name and structs of these.
func Define[C any](spec Spec, defaults C, build func(C) (Node, error)) Factory {
	return Factory{
		Spec:   spec,
		config: reflect.TypeFor[C](),
		value:  func() reflect.Value { return reflect.ValueOf(defaults) },
		build: func(d *decoder) Node {
			c := defaults
			before := d.count()
			d.config(reflect.ValueOf(&c).Elem())
			if d.count() > before {
				return nil
			}
			if v, ok := any(c).(interface{ Validate() error }); ok {
				if err := v.Validate(); err != nil {
					d.invalid(err)
					return nil
				}
			}
			n, err := build(c)
			if err != nil {
				d.invalid(err)
				return nil
			}
			return n
		},
	}
}

// FieldError is what is wrong with one setting; the loader shows it at its key.
type FieldError struct {
	Key string
	Err error
}

// Error prints the key and the cause.
func (e *FieldError) Error() string { return e.Key + " " + e.Err.Error() }

// Unwrap gives the cause.
func (e *FieldError) Unwrap() error { return e.Err }

// Between says that v, the setting named key, must lie from lo to hi.
func Between[T cmp.Ordered](key string, v, lo, hi T) error {
	if v < lo || v > hi {
		return &FieldError{key, fmt.Errorf("is %v, want %v to %v", show(v), show(lo), show(hi))}
	}
	return nil
}

// Within is [Between] for a setting; one that depends on the run passes.
func Within[T cmp.Ordered](key string, s Setting[T], lo, hi T) error {
	if v, ok := s.Literal(); ok && s.Given() {
		return Between(key, v, lo, hi)
	}
	return nil
}

// OneOf says that exactly one of some settings must be written.
func OneOf(given map[string]bool) error {
	n := 0
	for _, g := range given {
		if g {
			n++
		}
	}
	if n != 1 {
		return fmt.Errorf("exactly one of %s is required", list(sortedKeys(given)))
	}
	return nil
}

func (d *decoder) invalid(err error) {
	if all, ok := err.(interface{ Unwrap() []error }); ok { // several at once, and each at its own key
		for _, one := range all.Unwrap() {
			d.invalid(one)
		}
		return
	}
	var fe *FieldError
	at := d.with
	if at == nil {
		at = d.step
	}
	if errors.As(err, &fe) {
		if n := d.keyNode(fe.Key); n != nil {
			at = n
		}
	}
	d.fault(at, ruleBadLiteral, "%s", err)
}

// Keys lists the yaml tags of the node type's config, in the order of its
// fields; none for a node whose settings are free names.
func (f Factory) Keys() []string {
	if f.config == nil {
		return nil
	}
	return keysOf(f.config)
}
