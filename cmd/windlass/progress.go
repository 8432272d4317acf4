package main

import (
	"io"
	"sync"
	"time"

	"github.com/spf13/cobra"
	"github.com/vbauerster/mpb/v8"
	"github.com/vbauerster/mpb/v8/decor"
)

// progress is a bar on a terminal, and nothing anywhere else.
type progress struct {
	p    *mpb.Progress
	bar  *mpb.Bar
	show func() // lets it be seen; calling it again does nothing
}

// barDelay is how long something must take to have a bar.
const barDelay = 500 * time.Millisecond

// newProgress makes a bar of total, below 0 when unknown. bytes says that it
// counts bytes.
func newProgress(c *cobra.Command, what string, total int64, bytes bool) *progress {
	if !terminal(c.ErrOrStderr()) {
		return &progress{}
	}
	delay := make(chan any)
	show := sync.OnceFunc(func() { close(delay) })
	time.AfterFunc(barDelay, show)
	p := mpb.New(mpb.WithRenderDelay(delay), mpb.WithOutput(c.ErrOrStderr()), mpb.WithWidth(48), mpb.WithRefreshRate(120*time.Millisecond))
	counts, speed := decor.CountersNoUnit(" %d / %d"), decor.Name("")
	if bytes {
		counts, speed = decor.CountersKibiByte(" % .1f / % .1f"), decor.AverageSpeed(decor.SizeB1024(0), " % .1f")
	}
	return &progress{p: p, show: show, bar: p.AddBar(max(total, 0), mpb.PrependDecorators(decor.Name(what+" ")), mpb.AppendDecorators(decor.Percentage(), counts, speed))}
}

func (p *progress) add(n int64) {
	if p.bar != nil {
		p.bar.IncrInt64(n)
	}
}

// end takes the bar off, finished or not.
func (p *progress) end() {
	if p.p != nil {
		p.bar.Abort(false)
		p.show()
		p.p.Wait()
	}
}

// reader counts what is read through it.
func (p *progress) reader(r io.Reader) io.Reader {
	if p.bar == nil {
		return r
	}
	return &counting{r, p}
}

type counting struct {
	r io.Reader
	p *progress
}

func (c *counting) Read(b []byte) (int, error) {
	n, err := c.r.Read(b)
	c.p.add(int64(n))
	return n, err
}
