package lwm2m

import (
	"context"
	"time"
)

// do puts a job in line; false where there is no room for it.
func (s *session) do(job func(context.Context)) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.ended || len(s.jobs) >= maxJobs {
		return false
	}
	s.jobs = append(s.jobs, job)
	s.work()
	return true
}

// work sees to it that the jobs are done. The lock is held.
func (s *session) work() {
	if s.busy || !s.started || s.ended || len(s.jobs) == 0 {
		return
	}
	s.busy = true
	s.t.running.Go(func() {
		for {
			s.mu.Lock()
			if len(s.jobs) == 0 || s.ended {
				s.busy = false
				s.mu.Unlock()
				return
			}
			job := s.jobs[0]
			s.jobs = s.jobs[1:]
			s.mu.Unlock()
			job(s.ctx)
		}
	})
}

// later puts a job in line after a time, unless the session has ended.
func (s *session) later(d time.Duration, job func(context.Context)) {
	s.t.running.Go(func() {
		timer := time.NewTimer(d)
		defer timer.Stop()
		select {
		case <-timer.C:
			s.do(job)
		case <-s.ctx.Done():
		}
	})
}
