package engine

import (
	"context"
	"errors"
	"sync"

	"github.com/windlass-ota/windlass/ota"
)

// CompileRevision makes one chain, the first of files, out of its own file and
// of those that it calls. Nothing else answers beside it, so that it claims
// nothing; warnings stop nothing, as it has run before. The error is [Faults].
func CompileRevision(files []ota.ChainFile, reg *Registry, opts Options) (*Chain, error) {
	faults := &faultList{}
	docs, order := readDocs(sourcesOf(files), faults)
	var c *Chain
	if len(order) > 0 {
		b := &builder{docs: docs, reg: reg, opts: &opts, faults: faults, doc: order[0]}
		c = b.build()
	}
	if all := faults.all.sorted(); all.Fatal(false) {
		return nil, all
	}
	if c == nil || c.Name == "" {
		return nil, ota.Errorf(ota.Invalid, "load a revision", "it holds no chain")
	}
	return c, nil
}

func sourcesOf(files []ota.ChainFile) []Source {
	out := make([]Source, len(files))
	for i, f := range files {
		out[i] = Source{f.Name, []byte(f.Text)}
	}
	return out
}

// Library finds chains that do not answer any more, for the runs that began
// with them. It is safe for concurrent use.
type Library struct {
	kept ota.Revisions
	reg  *Registry
	opts Options

	mu     sync.Mutex
	byName map[string]*shelved // by digest
	order  []string            // the one used last at the end
}

// libraryChains bounds the chains that a library holds: runs that wait began
// with few revisions, and each costs some kilobytes.
const libraryChains = 64

// shelved is a revision that was looked for, once for all who asked meanwhile.
type shelved struct {
	ready chan struct{} // closed when the rest is set
	chain *Chain
	err   error
}

// NewLibrary returns a library over the revisions that a store keeps.
func NewLibrary(kept ota.Revisions, reg *Registry, opts Options) *Library {
	return &Library{kept: kept, reg: reg, opts: opts, byName: map[string]*shelved{}}
}

// Chain returns the chain with that digest: a Busy error where the store is
// away, NotFound where it keeps no such revision, Invalid where the revision
// cannot be loaded by this program as it is configured.
func (l *Library) Chain(ctx context.Context, digest string) (*Chain, error) {
	l.mu.Lock()
	s, there := l.byName[digest]
	if !there {
		s = &shelved{ready: make(chan struct{})}
		l.byName[digest] = s
	}
	l.used(digest)
	l.mu.Unlock()
	if there {
		select {
		case <-s.ready:
			return s.chain, s.err
		case <-ctx.Done():
			return nil, &ota.Error{Code: ota.Busy, Op: "load revision " + digest, Err: ctx.Err()}
		}
	}
	s.chain, s.err = l.load(ctx, digest)
	close(s.ready)
	if s.err != nil && ota.CodeOf(s.err) != ota.Invalid { // it may come, or come back
		l.forget(digest, s)
	}
	return s.chain, s.err
}

func (l *Library) load(ctx context.Context, digest string) (*Chain, error) {
	op := "load revision " + digest
	r, err := l.kept.KeptChain(ctx, digest)
	if err != nil {
		return nil, err
	}
	c, err := CompileRevision(r.Files, l.reg, l.opts)
	var coded *ota.Error
	switch {
	case err != nil && !errors.As(err, &coded):
		return nil, &ota.Error{Code: ota.Invalid, Op: op + " of chain " + r.Chain, Err: err}
	case err != nil:
		return nil, err
	case c.Digest != digest:
		return nil, ota.Errorf(ota.Invalid, op, "its files make revision %s of chain %s", c.Digest, c.Name)
	}
	return c, nil
}

// used puts a digest at the end of the order and lets go of the first beyond
// the bound; l.mu is held.
func (l *Library) used(digest string) {
	for i, d := range l.order {
		if d == digest {
			l.order = append(append(l.order[:i:i], l.order[i+1:]...), digest)
			return
		}
	}
	if l.order = append(l.order, digest); len(l.order) > libraryChains {
		delete(l.byName, l.order[0])
		l.order = l.order[1:]
	}
}

func (l *Library) forget(digest string, s *shelved) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.byName[digest] == s {
		delete(l.byName, digest)
	}
}

// revision finds the chain with which a run began: among those that answer now,
// else in the library. An error says why a run of it cannot go on; Busy ones
// pass.
func (e *Engine) revision(ctx context.Context, chain, digest string) (*Chain, error) {
	if c := e.Set().Revision(digest); c != nil {
		return c, nil
	}
	err := error(ota.Errorf(ota.NotFound, "", "older revisions are not kept"))
	if e.Library != nil {
		var c *Chain
		if c, err = e.Library.Chain(ctx, digest); err == nil {
			return c, nil
		}
	}
	op := "go on with revision " + digest + " of chain " + chain
	switch ota.CodeOf(err) {
	case ota.NotFound, ota.Invalid:
		return nil, &ota.Error{Code: ota.Internal, Op: op, Err: err}
	}
	return nil, &ota.Error{Code: ota.Busy, Op: op, Err: err}
}
