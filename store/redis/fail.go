package redis

import (
	"context"
	"errors"
	"io"
	"net"
	"strings"

	"github.com/redis/go-redis/v9"

	"github.com/windlass-ota/windlass/ota"
)

// busyWords begin the answers of a Redis that cannot serve now and may later.
var busyWords = []string{
	"LOADING", "READONLY", "CLUSTERDOWN", "MASTERDOWN", "TRYAGAIN", "MOVED", "ASK", "BUSY", "MISCONF", "NOREPLICAS",
	"OOM", "UNBLOCKED", "ERR max number of clients",
}

// fail gives err, from Redis or the way to it, a code: Busy for all that may
// pass, Internal for the rest. nil stays nil.
func fail(op string, err error) error {
	if err == nil {
		return nil
	}
	var coded *ota.Error
	if errors.As(err, &coded) {
		return err
	}
	code := ota.Internal
	if passes(err) {
		code = ota.Busy
	}
	return &ota.Error{Code: code, Op: op, Err: err}
}

func passes(err error) bool {
	var answer redis.Error
	if errors.As(err, &answer) {
		for _, w := range busyWords { // Redis 7 keeps the word in front also when a script met it
			if strings.HasPrefix(answer.Error(), w) {
				return true
			}
		}
		return false
	}
	var wire net.Error
	return errors.As(err, &wire) || errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) ||
		errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded) ||
		errors.Is(err, errClosed) || errors.Is(err, redis.ErrClosed) || errors.Is(err, redis.ErrPoolTimeout) || errors.Is(err, redis.ErrPoolExhausted) ||
		strings.HasPrefix(err.Error(), "redis: ") // all nodes are down, and the like
}
