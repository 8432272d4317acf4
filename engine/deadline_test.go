package engine

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"
)

func TestDeadline(t *testing.T) {
	type key struct{}
	synctest.Test(t, func(t *testing.T) {
		parent, cancel := context.WithCancel(context.WithValue(context.Background(), key{}, "v"))
		defer cancel()

		d := withDeadline(parent, time.Now(), time.Second)
		if at, ok := d.Deadline(); !ok || time.Until(at) != time.Second || d.Err() != nil || d.Value(key{}) != "v" {
			t.Errorf("deadline %s, error %v, value %v", at, d.Err(), d.Value(key{}))
		}
		time.Sleep(time.Second) //nolint:forbidigo // of a moved clock
		if !errors.Is(d.Err(), context.DeadlineExceeded) {
			t.Errorf("error %v when the time is over", d.Err())
		}
		<-d.Done()
		d.stop()

		d = withDeadline(parent, time.Now(), time.Second)
		child, stop := context.WithCancel(d)
		defer stop()
		<-child.Done()
		if !errors.Is(context.Cause(child), context.DeadlineExceeded) || d.Value(key{}) != "v" {
			t.Errorf("the child ends by %v", context.Cause(child))
		}
		d.stop()

		d = withDeadline(parent, time.Now(), time.Hour)
		done := d.Done()
		d.stop()
		<-done
		if !errors.Is(d.Err(), context.Canceled) {
			t.Errorf("error %v when it was stopped", d.Err())
		}

		d = withDeadline(parent, time.Now(), time.Hour)
		d.stop()
		<-d.Done()
		if !errors.Is(d.Err(), context.Canceled) {
			t.Errorf("error %v of one that was stopped before anybody waited", d.Err())
		}

		short, end := context.WithTimeout(parent, time.Second)
		defer end()
		if at, _ := withDeadline(short, time.Now(), time.Hour).Deadline(); time.Until(at) != time.Second {
			t.Errorf("its end is %s away, that of the parent is a second", time.Until(at))
		}

		d = withDeadline(parent, time.Now(), time.Hour)
		cancel()
		if !errors.Is(d.Err(), context.Canceled) {
			t.Errorf("error %v when the parent was cancelled", d.Err())
		}
	})
}
