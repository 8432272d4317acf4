package ota

import (
	"context"
	"slices"
	"time"
)

// ChainFile is the text of one file of a chain's revision.
type ChainFile struct {
	Chain string // the chain in it
	Name  string // of the file, as faults show it
	Text  string
}

// ChainRevision is a chain as it was at one time, with all that it calls, so
// that any process can run it: named by the digest of those texts.
type ChainRevision struct {
	Chain   string
	Digest  string
	Summary string
	At      time.Time // when it was published first
	By      string    // who published it: a file, or whoever asked
	Files   []ChainFile

	// What lists say besides, and nobody sets.
	Left   time.Time // when it ceased to be the active one last; zero: never
	Needed int64     // homes that need it: see [Home.Revisions]
}

// ActiveChain says which revision of a chain answers.
type ActiveChain struct {
	Chain  string
	Digest string
	File   string // the revision that a file brought last; another than Digest after a way back
	At     time.Time
	By     string
}

// Revisions keeps what chains were, for the runs that began with it. It keeps
// the last [KeepRevisions] of each chain, and beyond them those that are active,
// that a home needs, or that were active within the last hour.
type Revisions interface {
	// KeepChain keeps a revision. One that is kept already stays as it is.
	KeepChain(ctx context.Context, r ChainRevision) error
	// KeptChain returns a revision with its files, or a [NotFound] error.
	KeptChain(ctx context.Context, digest string) (ChainRevision, error)
	// KeptChains returns those of a chain, newest first, without their files.
	KeptChains(ctx context.Context, chain string) ([]ChainRevision, error)
	// NeededChains counts the homes that need a revision, by digest.
	NeededChains(ctx context.Context) (map[string]int64, error)
}

// KeepRevisions is how many revisions of a chain are kept in any case.
const KeepRevisions = 50

// ActiveChains is what is active at one time. Mark changes whenever that does.
type ActiveChains struct {
	Mark   string
	Chains map[string]ActiveChain // by name
}

// Actives is what all processes on the same state have agreed on.
type Actives interface {
	// ActiveChains returns what is active, or only its mark where that is the
	// mark given: a look that costs little. The mark "" is that of nothing.
	ActiveChains(ctx context.Context, mark string) (ActiveChains, error)
	// ActivateChains makes revisions active that are kept already, all or none,
	// and returns the mark from then on; that of nothing stays as it is. It is a
	// [Conflict] where the mark is another by now, and where one is not kept.
	ActivateChains(ctx context.Context, mark string, to []ActiveChain) (now string, err error)
}

// Revisions lists the revisions of chains that the home needs, each once: those
// that its waiting runs began with, its rollout's conductor until that ends, and
// what its job runs.
func (h *Home) Revisions() []string {
	var out []string
	for i := range h.Parked {
		if d := h.Parked[i].Digest; d != "" && !slices.Contains(out, d) {
			out = append(out, d)
		}
	}
	if r := h.Rollout; r != nil && r.Revision != "" && !r.State.Ended() && !slices.Contains(out, r.Revision) {
		out = append(out, r.Revision)
	}
	if j := h.Job; j != nil && j.Digest != "" && !j.Over() && !slices.Contains(out, j.Digest) {
		out = append(out, j.Digest)
	}
	return out
}
