package engine

import (
	"sync"
	"sync/atomic"
	"time"

	"github.com/windlass-ota/windlass/ota"
)

// Chain is a chain that was loaded: proved, and compiled to a flat array of
// nodes with integer edges, every chain that it calls in its place. It is
// never changed, so that any number of runs may use it at once.
type Chain struct {
	Name     string
	Summary  string
	File     string
	Digest   string // of the file and of all that it calls: its revision
	Triggers []Trigger
	Limits   Limits

	files []ota.ChainFile // its own and those of all that it calls, each once

	steps []step
	asks  bool  // no step writes: runs from facts, without lock, load and commit
	frame frame // start values of params and vars, numbers of slots; see eval.go

	mask   *masker              // of what people may read of its runs
	params map[string]paramSlot // of the chain itself, for args
	alone  *alone               // of a chain that others call; nil: of any other
	pool   sync.Pool            // of *Run
	runs   atomic.Uint64
}

// Limits bound one turn.
type Limits struct {
	Steps int           // hops
	Time  time.Duration // of the whole turn
}

// Files returns the chain's file and, behind it, those of all that it calls,
// each once: all that [CompileRevision] needs to make the chain again. They are
// shared and nobody may change them.
func (c *Chain) Files() []ota.ChainFile { return c.files }

// Asks says whether the chain only reads.
func (c *Chain) Asks() bool { return c.asks }

// Trigger is one thing that starts a chain.
type Trigger struct {
	Event    ota.Event
	Profiles []string   // names; none: every profile
	Kind     ota.Kind   // "": both
	If       *Cond      // nil: always
	Observe  bool       // listens beside the chain that answers
	Start    int32      // index of the first step, or end
	Door     *ota.Inlet // of the event arrived: by which way; nil: of any other event

	door *doorway
}

// end is the edge that leads nowhere: the run is over.
const end int32 = -1

// step is one node in its place.
type step struct {
	node    Node
	waker   Waker // the node, where it looks at events itself
	spec    *Spec
	name    string   // as paths show it: "branch.node", behind a call "call/branch.node"
	outlets []string // main first
	next    []int32  // by outlet
	onError int32    // nowhere: handled by its code
	when    *Cond    // nil: always
	skip    int32    // where to go when "when" is false
	pos     string   // file:line:column
	stats   *Stats

	ownError bool               // onError was wired at the step, and is not the chain's
	quiet    bool               // call and return: the steps around them show the way
	calls    []string           // of a call: the outlets of the chain it calls
	leaves   [][]*atomic.Uint64 // by outlet: what counts the calls that the edge leads out of; nil: it leads out of none
	skips    []*atomic.Uint64   // the same of the edge of a step that is skipped
	fails    []*atomic.Uint64   // the same of the edge of an error
	retry    *retry             // nil: one attempt, as long as the turn
	changes  bool               // may change nouns that expressions look at
	loose    []string           // outlets that nobody has wired
	stage    Planner            // nil: the step opens no stage of a rollout
	first    []int32            // of the branches that it runs as jobs do: their first steps
	branches []string           // and their names
	outs     []int32            // slots of the spec's outputs; below 0: nobody names it
}
