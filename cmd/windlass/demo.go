package main

import (
	"context"
	"io"
)

func (s *server) demo(ctx context.Context, o serveOptions, token string) error {
	_, _ = ctx, token
	_, _ = io.WriteString(o.Err, "")
	return nil
}
