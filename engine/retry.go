package engine

import (
	"context"
	"errors"
	"math"
	"math/rand/v2"
	"time"

	"github.com/windlass-ota/windlass/internal/yamlx"
	"github.com/windlass-ota/windlass/ota"
)

// retry is a step's "retry" and "timeout": it tries the step again after an
// error of code busy. A wait of up to shortWait is spent in the turn; a longer
// one parks the run.
type retry struct {
	attempts   int
	backoff    time.Duration
	factor     float64
	maxBackoff time.Duration
	jitter     float64
	timeout    time.Duration // of one attempt; 0: the node's own
}

const shortWait = 2 * time.Second

type retryConfig struct {
	Attempts   int           `yaml:"attempts"`
	Backoff    time.Duration `yaml:"backoff"`
	Factor     float64       `yaml:"factor"`
	MaxBackoff time.Duration `yaml:"max_backoff"`
	Jitter     Percent       `yaml:"jitter"`
}

// Validate holds the settings in their bounds.
func (c retryConfig) Validate() error {
	return errors.Join(Between("attempts", c.Attempts, 1, 100), Between("backoff", c.Backoff, time.Millisecond, 24*time.Hour),
		Between("factor", c.Factor, 1, 100), Between("max_backoff", c.MaxBackoff, time.Millisecond, 24*time.Hour))
}

// readRetry reads the two keys of a step; nil where it has neither.
func (d *decoder) readRetry(s *stepDoc) *retry {
	if s.retry == nil && s.timeout == nil {
		return nil
	}
	c := retryConfig{Attempts: 3, Backoff: time.Second, Factor: 2, MaxBackoff: time.Minute, Jitter: 0.2}
	switch {
	case s.retry == nil:
		c.Attempts = 1
	case s.retry.Kind != yamlx.Map && !s.retry.Null():
		d.fault(s.retry, ruleWrongType, "retry is %s, want a map of settings", describeNode(s.retry))
	default:
		own := *d
		own.spec, own.with = &Spec{Name: "retry"}, s.retry
		before := d.count()
		own.config(valueOf(&c))
		if err := c.Validate(); err != nil && d.count() == before {
			own.invalid(err)
		}
	}
	out := &retry{attempts: c.Attempts, backoff: c.Backoff, factor: c.Factor, maxBackoff: c.MaxBackoff, jitter: float64(c.Jitter)}
	if s.timeout != nil {
		t, err := parseDuration(s.timeout.Text)
		if err != nil || s.timeout.Kind != yamlx.Scalar || t <= 0 {
			d.fault(s.timeout, ruleBadLiteral, "timeout is %s, want a duration above 0", describeNode(s.timeout))
		}
		out.timeout = t
	}
	return out
}

// wait is how long to wait before attempt number n (from 2), without jitter.
func (x *retry) wait(n int) time.Duration {
	d := float64(x.backoff) * math.Pow(x.factor, float64(n-2))
	return time.Duration(min(d, float64(x.maxBackoff)))
}

// mayPark says whether a wait can be too long for a turn.
func (x *retry) mayPark() bool {
	return x != nil && x.attempts > 1 && time.Duration(float64(x.wait(x.attempts))*(1+x.jitter)) > shortWait
}

// tried runs a step with its retry and timeout.
func (r *Run) tried(ctx context.Context, s *step) (string, error) {
	if r.came != nil {
		return r.awake(ctx, s)
	}
	for {
		r.attempt++
		outlet, err := s.once(ctx, r)
		if err == nil || codeOf(err) != ota.Busy || r.attempt >= s.retry.attempts || ctx.Err() != nil {
			return outlet, err
		}
		r.wants.reset(r.mark)
		wait := s.retry.wait(r.attempt + 1)
		wait += time.Duration(s.retry.jitter * rand.Float64() * float64(wait))
		if wait > shortWait {
			if r.chain.asks {
				return outlet, err
			}
			r.park = &Wait{At: r.Now.Add(wait)}
			return "", nil
		}
		t := time.NewTimer(wait)
		select {
		case <-t.C:
		case <-ctx.Done():
			t.Stop()
			return "", err
		}
	}
}

func (s *step) once(ctx context.Context, r *Run) (string, error) {
	if s.retry.timeout <= 0 {
		return s.node.Process(ctx, r)
	}
	ctx, cancel := context.WithTimeout(ctx, s.retry.timeout)
	defer cancel()
	outlet, err := s.node.Process(ctx, r)
	if err != nil && ctx.Err() != nil {
		return "", &ota.Error{Code: ota.Busy, Op: "timeout", Err: err}
	}
	return outlet, err
}
