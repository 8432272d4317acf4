package ota

import (
	"context"
	"io"
	"os"
	"time"
)

// Homes keeps each noun with all that hangs on it. Implementations are safe for
// concurrent use and pass storetest.
type Homes interface {
	// Load returns the home as it is, the caller's to change, or a [NotFound] error.
	Load(ctx context.Context, r Ref) (*Home, error)
	// Commit writes what t says, whole or not at all, and then sets Version and
	// LastTurn of its home. If anybody has written the home since it was loaded,
	// what began t is gone, its lease is another's, or the shard's revision is
	// higher, it returns a [Conflict] error and writes nothing. A unique name
	// that is taken is Invalid. The same turn committed twice is committed once.
	Commit(ctx context.Context, t *Turn) error
	// Now is the store's clock, by which everything is due.
	Now() time.Time
}

// Turn is what one run wants written: its home as it shall be, and what follows
// from that. Indexes, counters, due entries and places in line are derived from
// the home by the store.
type Turn struct {
	ID       TurnID
	Home     *Home
	Was      *Home // as loaded; nil where the home is new
	Delete   bool  // the home goes, with all that hangs on it
	Began    *Origin
	Revision int64       // of the facts that a target was decided by; 0: none was
	Also     []*Home     // new nouns of the same slot, or changed ones (with Version as loaded)
	Values   []Value     // attributes and telemetry to set, or to delete
	Out      []Outgoing  // messages to other homes, delivered at least once
	Dead     *DeadLetter // kept for people
	Retried  string      // id of the dead letter of this home that the turn has run again: it goes, and the commit is NotFound where it is gone already
	Raise    bool        // raise the tenant's revision (a target of many devices changed); the new one is put into Also's job
	Final    bool        // nobody changes Home after the commit, so whoever keeps copies may keep it as it is
}

// Outgoing is a message to another home. It is delivered at least once; the
// receiver marks it by Turn and Num.
type Outgoing struct {
	To      Ref
	Message Message
}

// DeadLetter is a run that failed for a reason of ours, kept for people. It lies
// where the home that its message is about lies.
type DeadLetter struct {
	ID       string // stores find a letter by it: it stays the first member
	Tenant   TenantID
	At       time.Time // of the first failure
	Chain    string    // that ran, "" where none could
	Digest   string
	Step     string
	Reason   string // of the last failure
	Message  Message
	For      string    `json:",omitempty"` // the one chain that the message is for, "" for whichever answers
	Attempts int       `json:",omitempty"` // how often it has failed; 0 means once
	Last     time.Time `json:",omitzero"`  // of the last failure, where that is not the first
	Seen     []byte    `json:",omitempty"` // the engine's: the way of the last failed run, and what it read
}

// Tries is how often the message has failed.
func (d *DeadLetter) Tries() int { return max(d.Attempts, 1) }

// Letters reads and drops single dead letters. [Lister] lists them; they are
// written, and retried, by turns.
type Letters interface {
	// Letter returns the one with that id, or a [NotFound] error.
	Letter(ctx context.Context, t TenantID, id string) (DeadLetter, error)
	// DropLetter removes the one with that id, or is [NotFound]: of two callers
	// one drops it.
	DropLetter(ctx context.Context, t TenantID, id string) error
}

// Scope is whose an attribute is, and who may see it.
type Scope string

// The scopes (ThingsBoard's) and telemetry, whose latest values lie beside them.
const (
	ClientScope    Scope = "client"
	SharedScope    Scope = "shared"
	ServerScope    Scope = "server"
	TelemetryScope Scope = "telemetry"
)

// Value is one attribute or the latest value of one telemetry key. JSON is the
// value as it was written, so that 1.10 stays 1.10; nil deletes it.
type Value struct {
	Scope Scope
	Key   string
	JSON  []byte
	TS    time.Time
}

// Facts reads what may be as old as the implementation says: a store itself is
// always fresh, a copy of it in the process is some seconds old at most.
type Facts interface {
	// Get returns a home that others read too and nobody may change, or a
	// [NotFound] error.
	Get(ctx context.Context, r Ref) (*Home, error)
	// Find returns the home with a unique name: a device's or profile's name, a
	// package's "title@version", or a [NotFound] error.
	Find(ctx context.Context, t TenantID, typ RefType, name string) (Ref, error)
	// ByKey returns the device that has a key ([Credentials.Keys], an access
	// token for example), or a [NotFound] error. The time it takes says nothing
	// about how much of a key was right.
	ByKey(ctx context.Context, key string) (Ref, error)
	// Values returns those of a device's values that exist, sorted by key; all
	// of the scope where keys is nil.
	Values(ctx context.Context, d Ref, s Scope, keys []string) ([]Value, error)
	// Revision returns how often the targets of many devices have changed, as
	// the tenant knows it.
	Revision(ctx context.Context, t TenantID) (int64, error)
}

// Query chooses homes of one type. Of the filters at most one is set.
type Query struct {
	Tenant  TenantID
	Type    RefType
	Profile ProfileID // devices of a profile
	Kind    Kind      // with State: devices whose update of this kind is in State
	State   State
	Alarmed bool   // devices with an alarm
	Prefix  string // nouns of a tenant whose unique name begins so
	Cursor  string // "" for the first page, else the last page's Next
	Limit   int    // 1…1000
}

// Page is a part of what a [Query] chooses, in a stable order.
type Page struct {
	Homes []*Home
	Next  string // "" on the last page
}

// Lister shows what there is.
type Lister interface {
	List(ctx context.Context, q Query) (Page, error)
	// Counts returns how many devices are in each state of kind; with a
	// rollout, how many of those that follow it, by [Track.Stand].
	Counts(ctx context.Context, t TenantID, k Kind, r RolloutID) (map[State]int64, error)
	// Ahead returns how many stand in the line of r up to a mark; see
	// [Rollout.Reaches].
	Ahead(ctx context.Context, t TenantID, r RolloutID, mark float64) (int, error)
	// References says whether an assignment names the package, and which: a
	// device's, or a profile's. It is "" where none does.
	References(ctx context.Context, t TenantID, p PackageID) (string, error)
	// DeadLetters returns the kept ones, newest first.
	DeadLetters(ctx context.Context, t TenantID, limit int) ([]DeadLetter, error)
}

// Task is one thing that is due in a slot whose lease is held.
type Task struct {
	Home   Ref    // whose it is; of a job page the job
	Key    string // what, for [Home.Work]; "" for an offer and for a job page
	Origin Origin
	Kind   Kind     // of an offer
	Page   *JobWork // of a job page

	// Message is one to another home, from the outbox of the slot. It is handed
	// out until [Owner.Delivered] says that it has come.
	Message *Message
}

// JobWork is a page of a job in one shard.
type JobWork struct {
	Job      string
	Tenant   TenantID
	Type     string // of the job
	Kind     Kind
	Cause    string
	Revision int64 // of the tenant: each member must be decided by facts as new
	Shard    int
	Cursor   string
	Members  []Ref
	Next     string // "" when this is the last page
	Failed   int    // of a job that does a branch: members whose branch has failed, for Advance to count
}

// Pace is how fast something may happen. Every 0 is unlimited.
type Pace struct {
	Count int
	Every time.Duration
}

// Owner works what is due: it leases shards and tenants for one process and
// hands out their tasks. Every task's Origin carries the lease, so that a late
// owner's commit is refused.
type Owner interface {
	// Own renews the leases held, takes free ones up to this process's fair
	// share and gives back what is over it. It returns how many are held. Call it every second or so.
	Own(ctx context.Context) (int, error)
	// Due returns tasks that are due by now in the slots held, those in flight
	// left out, and when the next one comes (zero: none is known).
	Due(ctx context.Context, limit int) ([]Task, time.Time, error)
	// Offers returns places at the head of lines whose rollout is open, in the
	// slots held, best places first.
	Offers(ctx context.Context, limit int) ([]Task, error)
	// Delivered removes a message to another home that was taken, or the sign of
	// a rollout's door ([DoorKey]) that was looked at; one that has come anew
	// stays. Call it before Done. A late owner's call removes nothing.
	Delivered(ctx context.Context, t Task) error
	// Done says that a task is not in flight any more, whatever became of it.
	Done(t Task)
	// Draw takes the next moment of a pace and says how long it is until then.
	Draw(ctx context.Context, t TenantID, name string, p Pace) (time.Duration, error)
	// Spread puts the first page of a job into every shard where it has members
	// ([Job.Where]), raising each shard's revision first; doing it twice does it
	// once.
	Spread(ctx context.Context, j *Job) error
	// Advance moves a job's cursor in a shard, or ends it there and counts that
	// in the job's own home, after done members were worked and w.Failed besides
	// have failed. The end of the last shard sends what [Job.Tells] says.
	Advance(ctx context.Context, w JobWork, l Lease, done int) error
	// Hint wakes the caller's loop when something due sooner was committed by
	// this process. The channel is never closed.
	Hint() <-chan struct{}
	// Release gives all leases back, at the end of the process.
	Release(ctx context.Context) error
}

// Rates keeps token buckets that all processes draw from.
type Rates interface {
	// Take takes a token from the bucket of a name, which holds burst of them, at
	// least one, and gets new ones at a pace. It says how long it is until there
	// is one; 0 means that one was taken. An unlimited pace always has one.
	Take(ctx context.Context, t TenantID, name string, p Pace, burst int) (wait time.Duration, err error)
}

// Bus carries words to the process that holds a device's session.
type Bus interface {
	// Process names this process on the bus.
	Process() string
	// Publish hands words to a process; heard is false when nobody listens, so
	// that the device counts as away.
	Publish(ctx context.Context, process string, words []Reply) (heard bool, err error)
	// Listen calls take for words that came for this process, until ctx ends.
	Listen(ctx context.Context, take func([]Reply)) error
}

// Blobs keeps files by what they hold.
type Blobs interface {
	// Put reads r to its end, at most limit bytes (0: no limit), computing the
	// checksum of algorithm on the way. The file is durable when it returns. A
	// file that is there already is kept. Memory stays flat whatever the size.
	Put(ctx context.Context, r io.Reader, a ChecksumAlgorithm, limit int64) (BlobInfo, error)
	// Open returns the file with that digest, or a [NotFound] error. A file
	// whose bytes do not match its digest is never returned. Close it once.
	Open(ctx context.Context, digest string) (Blob, error)
	// Delete lets go of the file; those who read it go on. Twice is once.
	Delete(ctx context.Context, digest string) error
}

// BlobInfo is what was learnt while a file was written.
type BlobInfo struct {
	Digest   string // SHA-256, lower-case hex
	Size     int64
	Checksum string // of the algorithm asked for
}

// Blob is an open file. Where its bytes lie in a local file it is also a
// [LocalBlob].
type Blob interface {
	io.ReaderAt
	io.Closer
	Size() int64
}

// LocalBlob is a [Blob] that lies in a local file, so that a transport can let
// the kernel copy it to a socket. The file is shared: read it by offset, never
// move its position, never close it.
type LocalBlob interface {
	Blob
	File() *os.File
}
