package chaintest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"reflect"
	"runtime"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/windlass-ota/windlass/engine"
	"github.com/windlass-ota/windlass/internal/yamlx"
)

// Options say with what tests are played.
type Options struct {
	Shipped   []engine.Source                    // the chains of this version
	Factories func(engine.Deps) []engine.Factory // the nodes that chains may use
}

// Folder is the chains and the tests of one folder.
type Folder struct {
	Chains []engine.Source
	Tests  []engine.Source
}

// Report is what came of the tests of a folder.
type Report struct {
	Files []FileReport
	Cover []ChainCover // of the chains that were tested, and of the folder's that are not just as they are shipped
}

// FileReport is what came of one test file.
type FileReport struct {
	Name  string
	Chain string
	Took  time.Duration
	Err   error    // why it could not be played; faults of the file or of its chain are engine.Faults
	Notes []string // what was left out
	Cases []CaseReport
}

// Failed says whether the file, or any case of it, failed.
func (f FileReport) Failed() bool {
	return f.Err != nil || slices.ContainsFunc(f.Cases, func(c CaseReport) bool { return len(c.Failures) > 0 })
}

// CaseReport is what came of one case.
type CaseReport struct {
	Name     string
	Line     int
	Took     time.Duration
	Failures []Failure
}

// Failure is one thing that was otherwise than expected.
type Failure struct {
	File      string
	Line, Col int
	Text      string
	Ran       string // the last run of the chain under test
	Trouble   []string
}

// String is "file:line:column: text".
func (f Failure) String() string { return fmt.Sprintf("%s:%d:%d: %s", f.File, f.Line, f.Col, f.Text) }

// Play plays all tests of a folder, cases side by side.
func Play(ctx context.Context, f Folder, o Options) *Report {
	r := &Report{Files: make([]FileReport, len(f.Tests))}
	seen := newCoverage()
	graphs := map[string]*engine.Graph{}
	tested := map[string]engine.Source{}
	for _, s := range f.Chains {
		tested[s.ChainName()] = s
	}
	own := map[string]bool{} // chains that have a test
	for i, t := range f.Tests {
		l := play(ctx, &r.Files[i], t, f.Chains, o, seen)
		if l == nil {
			continue
		}
		for name, g := range l.graphs {
			graphs[name] = g
		}
		own[l.chain] = true
		if _, ok := tested[l.chain]; !ok {
			tested[l.chain] = l.sources[0]
		}
	}
	for name, s := range tested {
		if !own[name] && shipped(s, o) {
			continue // as it was exported
		}
		if g := graphs[name]; g != nil {
			r.Cover = append(r.Cover, seen.of(g, s))
		}
	}
	slices.SortFunc(r.Cover, func(a, b ChainCover) int { return strings.Compare(a.File, b.File) })
	return r
}

// shipped says whether a chain is one of this version, unchanged.
func shipped(s engine.Source, o Options) bool {
	return slices.ContainsFunc(o.Shipped, func(x engine.Source) bool { return bytes.Equal(x.Data, s.Data) })
}

// play plays one file.
func play(ctx context.Context, r *FileReport, t engine.Source, folder []engine.Source, o Options, seen *Coverage) *loads {
	began := time.Now()
	defer func() { r.Took = time.Since(began) }()
	r.Name = t.Name
	f, faults := Read(t.Name, t.Data)
	if len(faults) > 0 {
		r.Err = faults
		return nil
	}
	r.Chain = f.Chain
	l, err := newLoads(f, folder, o)
	if err != nil {
		if engine.FaultsOf(err) == nil {
			f.rd.fault(f.at, ruleUnknown, "%s", err)
			err = f.rd.faults
		}
		r.Err = err
		return nil
	}
	r.Notes = l.left
	r.Cases = make([]CaseReport, len(f.Cases))
	turns := make(chan int)
	var all sync.WaitGroup
	for range min(runtime.GOMAXPROCS(0), len(f.Cases)) {
		all.Go(func() {
			for i := range turns {
				r.Cases[i] = playCase(ctx, f, f.Cases[i], l, seen)
			}
		})
	}
	for i := range f.Cases {
		turns <- i
	}
	close(turns)
	all.Wait()
	return l
}

// player plays one case.
type player struct {
	f   *File
	w   *world
	out CaseReport
}

// errGiveUp ends a case whose failure is noted.
var errGiveUp = errors.New("the case has failed")

func playCase(ctx context.Context, f *File, c *Case, l *loads, seen *Coverage) CaseReport {
	began := time.Now()
	p := &player{f: f, out: CaseReport{Name: c.Name, Line: c.Line}}
	p.play(ctx, c, l, seen)
	p.out.Took = time.Since(began)
	return p.out
}

func (p *player) play(ctx context.Context, c *Case, l *loads, seen *Coverage) {
	w, err := newWorld(ctx, p.f, c, l, seen)
	p.w = w
	if w != nil {
		defer w.end()
	}
	if err != nil {
		p.fail(&yamlx.Node{Line: c.Line, Col: 1}, "given: "+err.Error())
		return
	}
	for _, a := range c.acts {
		err := a.do.do(p, a.at)
		if err != nil {
			if !errors.Is(err, errGiveUp) {
				p.fail(a.at, a.verb+": "+err.Error())
			}
			break
		}
		if a.verb == "expect" && a.arg.Get("pushes") != nil {
			w.said = nil
		}
		if a.verb == "expect" && a.arg.Get("published") != nil {
			w.words = nil
		}
	}
}

// fail notes a failure at a node.
func (p *player) fail(at *yamlx.Node, text string) {
	f := Failure{File: p.f.Name, Line: at.Line, Col: at.Col, Text: text}
	if p.w != nil {
		f.Ran, f.Trouble = p.w.ran(), p.w.trouble
	}
	p.out.Failures = append(p.out.Failures, f)
}

// ran tells the last run of the chain under test.
func (w *world) ran() string {
	r, ok := w.runs[w.last]
	if !ok {
		return "chain " + w.last.chain + " has not run"
	}
	var steps []string
	for _, h := range r.Steps {
		step := h.Step
		if h.Outlet != "" {
			step += " (" + h.Outlet + ")"
		}
		steps = append(steps, step)
	}
	text := "chain " + w.last.chain + " ran: " + strings.Join(steps, ", ")
	if r.Err != nil {
		text += ": " + r.Err.Error()
	}
	return text
}

// end lets go of the devices of a world.
func (w *world) end() {
	for _, a := range w.actors {
		a.halt()
	}
}

// valueOf is what a pointer points at.
func valueOf(p any) reflect.Value { return reflect.ValueOf(p).Elem() }

// hasOutlet says whether a chain has a step that can leave by an outlet.
func (l *loads) hasOutlet(chain, step, outlet string) error {
	g := l.graphs[chain]
	if g == nil {
		return fmt.Errorf("there is no chain %s", chain)
	}
	var names, outlets []string
	for _, s := range g.Steps {
		names = append(names, s.Name)
	}
	if !slices.Contains(names, step) {
		return fmt.Errorf("chain %s has no step %s%s", chain, step, engine.DidYouMean(step, names))
	}
	for _, r := range g.Roads {
		if r.From == step && r.Kind != engine.RoadSkip && r.Kind != engine.RoadRun {
			outlets = append(outlets, r.Outlet)
		}
	}
	if outlet != "" && !slices.Contains(outlets, outlet) {
		return fmt.Errorf("step %s has no outlet %s%s", step, outlet, engine.DidYouMean(outlet, outlets))
	}
	return nil
}
