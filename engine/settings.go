package engine

import (
	"time"

	"github.com/windlass-ota/windlass/ota"
)

// Setting is one setting of a step: a literal, or text that is exactly one
// ${expression} of the same type, or (for text) text with expressions within.
// The zero value is not given and yields T's zero value.
type Setting[T any] struct {
	lit   T
	given bool
	eval  *evaluator // nil for a literal
}

// Lit makes a setting that is a literal: the default in a Config.
func Lit[T any](v T) Setting[T] { return Setting[T]{lit: v, given: true} }

// Given says whether the setting, or its default, was written.
func (s Setting[T]) Given() bool { return s.given }

// Literal returns the value where it is known at load; ok is false where it
// depends on the run.
func (s Setting[T]) Literal() (v T, ok bool) { return s.lit, s.eval == nil }

// Percent is a share: 0.02 is 2 %.
type Percent float64

// Bytes is a size in bytes.
type Bytes int64

// The types of settings are named like the literals of the language.
type (
	// Text is a setting of text, the one type with expressions within.
	Text = Setting[string]
	// Bool is a setting of true or false.
	Bool = Setting[bool]
	// Int is a setting of a whole number.
	Int = Setting[int]
	// Number is a setting of any number.
	Number = Setting[float64]
	// Duration is a setting such as 90s or 3d.
	Duration = Setting[time.Duration]
	// Size is a setting such as 4KiB.
	Size = Setting[Bytes]
	// Share is a setting such as 2%.
	Share = Setting[Percent]
	// Rate is a setting such as 100/1m.
	Rate = Setting[ota.Pace]
	// Time is a setting such as 2026-12-01T02:00:00Z.
	Time = Setting[time.Time]
	// Kind is a setting of firmware or software.
	Kind = Setting[ota.Kind]
	// Texts is a list of texts, each with expressions within.
	Texts = Setting[[]string]
	// Map holds text by name, each with expressions within.
	Map = Setting[map[string]string]
	// Data is any YAML, each text in it with expressions within; JSON-shaped.
	Data = Setting[any]
)
