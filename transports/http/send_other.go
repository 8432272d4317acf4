//go:build !linux

package http

import "errors"

// Elsewhere the file is read and written.
const canSend = false

func (c *conn) sendFile(*piece) (int64, error) { return 0, errors.ErrUnsupported }
