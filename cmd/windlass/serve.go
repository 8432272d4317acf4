package main

import (
	"context"
	"errors"
	"io"
)

// serveOptions is what the verbs add to a configuration.
type serveOptions struct {
	Err     io.Writer // what people see: the ready line, warnings
	Dev     bool      // a demo fleet of Devices, and its package
	Devices int
}

// serve runs a server until ctx ends.
func serve(context.Context, *Config, serveOptions) error {
	return errors.New("this build holds no server")
}
