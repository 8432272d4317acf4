package engine

import (
	"context"
	"log/slog"
	"reflect"
	"time"

	"github.com/windlass-ota/windlass/ota"
)

// Node is one step of a chain. One Node serves all runs at once, so it keeps
// nothing about a run in itself; what a later step needs goes into the [Run].
type Node interface {
	// Process does the step and names the outlet to leave by, one of those in
	// the node's [Spec]. "This device has no update" is an outlet; an error
	// means that the step could not be done.
	Process(ctx context.Context, r *Run) (outlet string, err error)
}

// Closer is a Node that holds something to be let go of when no chain uses it
// any more. Close is called once.
type Closer interface{ Close() error }

// Waker is a Node that parks runs until an event comes (see [Wait].Event).
type Waker interface {
	// Wake looks at the event that came ([Run.Came]) for a run that waits at the
	// step, as if by Process. Without an outlet and without an error it is not
	// the one that the run waits for.
	Wake(ctx context.Context, r *Run) (outlet string, err error)
}

// Outleter is a Node whose outlets depend on its settings (switch): they take
// the place of those in its [Spec].
type Outleter interface{ Outlets() []Outlet }

// Subject says what a node is about; a chain's trigger must provide it.
type Subject int

// The subjects. UpdateSubject is a device with an open update.
const (
	Any Subject = iota
	Device
	UpdateSubject
	RolloutSubject
	PackageSubject
)

// Root names a root of expressions, or a proof, that a node needs or sets.
type Root string

// The roots that nodes set, and the proofs.
const (
	RootPackage     Root = "package"
	RootUpdate      Root = "update"
	RootDevice      Root = "device"
	RootRollout     Root = "rollout"
	ProofCompatible Root = "compatible"
	ProofPermit     Root = "permit"

	// ProofOffered holds where the update was offered to its device.
	ProofOffered Root = "offered"
	// ProofSettled holds where the update has a next time-out or is over, so
	// that no road from a time-out may leave it without.
	ProofSettled Root = "settled"
	// ProofReplied holds where the asker was answered; the main outlet of a node
	// that replies has it, and those that may end the run.
	ProofReplied Root = "replied"
)

// Outlet is a way out of a node.
type Outlet struct {
	Name   string
	MayEnd bool   // may be left unwired, and then ends the run
	Sets   []Root // roots and proofs that hold behind it, besides the Spec's
	Owes   bool   // the update has no next time-out behind it: the road must retry, hold, fail or cancel it
	Doc    string
}

// Field documents one setting of a node's "with".
type Field struct {
	Key      string
	Doc      string
	Required bool
	Enum     []string
	Secret   bool
	Broker   bool // names a broker of MQTT: our own endpoint, or one of the configuration
	// Of says that the setting is an expression whose msg is the message of
	// another event: of the one that the setting called so names.
	Of string
	// Each says that the setting is an expression about each of the devices that
	// a rollout reaches, whatever the run is about: see [Run.Band].
	Each bool
	// Among says that what the setting names, the keys of a map or the items of
	// a list, are values of the device, so that a chain which declares its
	// fields is held to them: of the scope that the setting called so has, or of
	// the scope called so.
	Among string
	// Runs says that the setting names a branch, or branches, that the step runs
	// as runs of their own.
	Runs bool
}

// Output is a field that a step sets, to be read as steps.NAME.field.
type Output struct {
	Name string
	Type Type
	Doc  string
}

// Spec describes a node type: the one source of its documentation, of the JSON
// Schema, of the catalogue and of what the loader checks.
type Spec struct {
	Name    string
	Summary string
	Doc     string // more than the summary, Markdown; may be ""
	Subject Subject
	Needs   []Root   // that every road to the step must have set
	Sets    []Root   // behind every outlet, the error one excepted
	Outlets []Outlet // main first; none: the node ends the run
	NoMain  bool     // equal choices: every outlet must be wired
	Fields  []Field
	Outputs []Output
	Guard   bool // bounds a loop that goes through its first outlet
	Writes  bool // changes its home, so that a chain with it is a move
	Waits   bool // may park the run
	Ends    bool // ends the run, where it names none of its outlets; EndSets holds then
	EndSets []Root
	Replies bool   // answers the asker on its main outlet
	Source  bool   // stands in a trigger, never in a list of steps
	Flow    bool   // part of the language: compiled by the loader, never processed
	Each    bool   // runs its branch for each of many, in the same turn: item and index hold there, and no step of it may wait
	Members bool   // runs its branch for each of many devices, in the home of each ([Run.ForEachDevice])
	Open    bool   // its "with" holds free names (set)
	Example string // a chain, or its steps alone, that loads
}

// Factory makes nodes of one type. [Define] builds one.
type Factory struct {
	Spec  Spec
	build func(d *decoder) Node // nil when the decoder has recorded faults

	config reflect.Type         // of its settings
	value  func() reflect.Value // the defaults
}

// Deps is what nodes may look down at. A node reads through it and writes
// nothing; what a run changes goes through the [Run].
type Deps struct {
	Facts   ota.Facts
	Fresh   ota.Facts // the store itself; nil: the run's own facts
	Lister  Lister
	Blobs   ota.Blobs
	Links   Linker
	Rates   ota.Rates // nil: throttle is busy
	Wishes  Wisher
	Doors   ota.Doors    // of rollouts; nil: none takes permits
	Calls   Caller       // nil: nobody can be called
	Devices Caller       // asks devices over CoAP; nil: none can be asked
	Brokers Publisher    // nil: what is said to brokers goes nowhere
	Slots   ota.Slots    // nil: there are none
	Metrics Metrics      // nil: what chains count goes nowhere
	Logger  *slog.Logger // for the node log; nil: its lines go nowhere
}

// Lister shows the nouns that there are; [ota.Lister] is one.
type Lister interface {
	List(ctx context.Context, q ota.Query) (ota.Page, error)
}

// Counter counts the members of rollouts; [ota.Lister] is one.
type Counter interface {
	Counts(ctx context.Context, t ota.TenantID, k ota.Kind, r ota.RolloutID) (map[ota.State]int64, error)
	Ahead(ctx context.Context, t ota.TenantID, r ota.RolloutID, mark float64) (int, error)
}

// Planner is a Node that opens a stage of a rollout. Stage says how its settings
// stand for the params of a run, before anything has happened.
type Planner interface {
	Stage(r *Run) (ota.Stage, error)
}

// Linker makes links by which whoever has one may download a package's bytes
// until a time.
type Linker interface {
	Link(t ota.TenantID, p ota.PackageID, until time.Time) (string, error)
	// Answer makes a link by which whoever has it may answer an approval.
	Answer(t ota.TenantID, approval string, approve bool) (string, error)
}

// Metrics keeps what chains count. Add never waits; what is over its bounds is
// dropped, and counted.
type Metrics interface {
	// Add adds value to a counter, or sets a gauge to it. kind is counter or
	// gauge; the caller keeps nothing of labels.
	Add(chain, name, kind string, labels map[string]string, value float64)
}

// Caller asks servers of others over HTTP, or devices over CoAP.
type Caller interface {
	// Call makes the request. An answer with any status is no error; an error is
	// Busy, or Invalid where no second try would help.
	Call(ctx context.Context, c ota.Call) (ota.Called, error)
}

// Publisher says words to brokers of MQTT.
type Publisher interface {
	// Publish hands a word over, once and without waiting: what cannot be said
	// now is lost and counted. To [ota.DevicesBroker] it is said to the sessions
	// of the device.
	Publish(w ota.BrokerWord)
}

// Wisher does what an operator would. A call of it happens before the run's
// commit and may be made again with the same key.
type Wisher interface {
	Assign(ctx context.Context, w ota.Wish) (ota.WishDone, error)
	Unassign(ctx context.Context, w ota.Wish) (ota.WishDone, error)
	CreateDevice(ctx context.Context, t ota.TenantID, name, profile string) (device ota.Ref, made bool, err error)
	Rollback(ctx context.Context, r ota.Ref, chain, by, reason string, own ota.RolloutID) (ota.WishDone, error)
}
