package ota

import (
	"errors"
	"fmt"
)

// Code says what a caller can do about a failure. Each transport turns codes
// into its own answers in one table.
type Code string

// The codes, from "change the request" to "our fault".
const (
	Invalid  Code = "invalid"   // the request is wrong: change it
	NotFound Code = "not_found" // what was asked for does not exist
	Conflict Code = "conflict"  // somebody was faster: read again
	Busy     Code = "busy"      // a part is away or full: try later
	Internal Code = "internal"  // a defect of ours
)

// Codes lists every code.
func Codes() []Code { return []Code{Invalid, NotFound, Conflict, Busy, Internal} }

// Error is a failure with a code. An error without one counts as Internal, so
// that an unknown failure is never blamed on the device.
type Error struct {
	Code Code
	Op   string // the step, in the caller's words: "send chunk"
	Err  error
}

// Error prints the step and the cause.
func (e *Error) Error() string {
	switch {
	case e.Err == nil:
		return e.Op + ": " + string(e.Code)
	case e.Op == "":
		return e.Err.Error()
	}
	return e.Op + ": " + e.Err.Error()
}

// Unwrap gives the cause to errors.Is and errors.As.
func (e *Error) Unwrap() error { return e.Err }

// Errorf makes an Error of code with op and a formatted cause.
func Errorf(code Code, op, format string, args ...any) *Error {
	return &Error{Code: code, Op: op, Err: fmt.Errorf(format, args...)}
}

// CodeOf returns the code of the outermost [Error] in err's chain, Internal
// where there is none, and "" for nil.
func CodeOf(err error) Code {
	if err == nil {
		return ""
	}
	var e *Error
	if errors.As(err, &e) {
		return e.Code
	}
	return Internal
}
