package ota

import "time"

// Event says what a message is about; the words are those that a chain's
// trigger uses.
type Event string

// The events of devices, operators and the clock.
const (
	Telemetry           Event = "telemetry"
	AttributesReported  Event = "attributes"
	AttributesRequested Event = "attributes_requested"
	ChunkRequested      Event = "chunk_requested"
	RPCRequested        Event = "rpc_requested"
	RPCAnswered         Event = "rpc_answered"
	Connected           Event = "connected"
	Disconnected        Event = "disconnected"
	Assigned            Event = "assigned"
	Unassigned          Event = "unassigned"
	OfferDue            Event = "offer_due"
	StateTimeout        Event = "state_timeout"
	UpdateFinished      Event = "update_finished"
	RolloutStarted      Event = "rollout"
	RolloutFinished     Event = "rollout_finished"
	PackageAdded        Event = "package_added"
	Scheduled           Event = "scheduled"

	// Arrived: something came in by a door that a chain opened for itself, see
	// [Inlet]; Message.Door says by which.
	Arrived Event = "arrived"

	// Say: a word for a broker of MQTT, on its way there from an outbox.
	Say Event = "say"

	// Due is a tick: something stored is due, named by Message.Key. The engine
	// finds in the home what it is.
	Due Event = "due"
	// Decide is what follows a change of assignment, profile or group: the
	// engine compares what the device followed with what is in force, and makes
	// of it assigned, unassigned or nothing.
	Decide Event = "decide"
	// Tell is what a device's turn tells the door of its rollout, which counts it
	// without a turn of its own.
	Tell Event = "tell"
	// Born brings the rollout of a device's own assignment into being, in its own
	// slot; Over ends it when the assignment is gone.
	Born Event = "born"
	Over Event = "over"
	// Wished says that the record of a rollout holds something that its conductor
	// shall look at: a wish of an operator, an answer to an approval.
	Wished Event = "wished"
	// JobBegun brings a job that does a branch for every device of a target into
	// being, JobMember does it for one of them, and JobEnded tells the run that
	// waits for the job.
	JobBegun  Event = "job_begun"
	JobMember Event = "job_member"
	JobEnded  Event = "job_ended"
	// Touch keeps what the process noticed of a device without a chain: that it
	// was heard, and how many bytes it was served.
	Touch Event = "touch"
)

// Unheard is the cause of an rpc_answered of ours: nobody heard the call.
const Unheard = "unheard"

// Message is one thing that happened, decoded once at the edge. Which members
// are set depends on the event; the rest stay zero. It is a value: whoever
// hands it over keeps nothing of it, and the byte slices in it are not changed
// afterwards.
type Message struct {
	Event  Event    `json:",omitzero"`
	Tenant TenantID `json:",omitzero"`
	Device DeviceID `json:",omitzero"` // whom it is about; "" where it is not about a device
	Home   Ref      `json:",omitzero"` // the home it is about, where that is not the device's
	Kind   Kind     `json:",omitzero"`

	// What a device said.
	TS         time.Time `json:",omitzero"` // when it says that it happened; zero: now
	Values     []byte    `json:",omitzero"` // telemetry, attributes: one JSON object
	ClientKeys []string  `json:",omitzero"` // attributes_requested; both nil: everything
	SharedKeys []string  `json:",omitzero"`
	Want       Version   `json:",omitzero"` // chunk_requested: what the device names, or nothing
	Bound      PackageID `json:",omitzero"` // chunk_requested: what its session is bound to, or ""
	Size       int64     `json:",omitzero"` // chunk_requested: bytes of a piece, 0 for everything
	Chunk      int64     `json:",omitzero"` // chunk_requested: number of the piece, from 0
	Range      *Range    `json:",omitzero"` // chunk_requested: set instead of Size and Chunk
	Method     string    `json:",omitzero"` // rpc_requested, rpc_answered, scheduled
	Call       int64     `json:",omitzero"` // rpc_answered: the number of the call, 0 where it has none
	Params     []byte    `json:",omitzero"` // JSON
	Result     []byte    `json:",omitzero"` // JSON
	Limits     []byte    `json:",omitzero"` // rpc_requested: what the transport's session may do, JSON

	// arrived: what came in by a chain's own door.
	Door    string            `json:",omitempty"` // the door's name
	Topic   string            `json:",omitempty"` // or path
	Body    []byte            `json:",omitempty"`
	Headers map[string]string `json:",omitempty"` // by name, in small letters
	Capture map[string]string `json:",omitempty"` // from the topic or path, by name

	// say, with Topic and Body.
	Broker string `json:",omitempty"`
	Retain bool   `json:",omitempty"`

	// Where it came from.
	Transport string    `json:",omitzero"` // mqtt, http, …; "" for what we began ourselves
	Address   string    `json:",omitzero"` // the remote address
	Session   SessionID `json:",omitzero"`

	// What we began ourselves.
	Cause    string    `json:",omitzero"`
	Rollout  RolloutID `json:",omitzero"`
	Revision int64     `json:",omitzero"` // decide: facts must be at least as new
	State    State     `json:",omitzero"` // update_finished
	Key      string    `json:",omitzero"`
	Told     *Told     `json:",omitempty"` // tell
	Born     *Rollout  `json:",omitempty"` // born
	Job      *Job      `json:",omitempty"` // job_begun: the job; job_ended: what came of it
	Plan     *Planned  `json:",omitempty"` // scheduled
	Began    *Origin   `json:",omitzero"`
}

// Planned is what an operator has scheduled, besides the members of its
// [Message] that others have too: Values, Method, Params, and TS for when it was
// due.
type Planned struct {
	Name    string
	Type    string            `json:",omitempty"` // firmware, software, attributes or rpc; a word of the operator's where Chain is set
	Target  string            `json:",omitempty"` // device:NAME or profile:NAME
	Package string            `json:",omitempty"` // title@version
	Scope   Scope             `json:",omitempty"` // of attributes
	Chain   string            `json:",omitempty"` // the chain that carries it out, of a custom event; "" for the one that hears scheduled
	Args    map[string]string `json:",omitempty"` // that chain's params
}

// PlannedTypes are the types of scheduled events that are not custom ones.
func PlannedTypes() []string { return []string{"firmware", "software", "attributes", "rpc"} }

// Piece is the range that a chunk_requested message asks for.
func (m *Message) Piece() Range {
	if m.Range != nil {
		return *m.Range
	}
	return ChunkRange(m.Size, m.Chunk)
}

// SessionID names one open connection: the process that holds it and its number there.
type SessionID struct {
	Process string
	Num     uint64
}

// Origin is what began a turn and goes with it: the commit removes it, and is a
// Conflict when it is gone already, so that what is due is done once.
type Origin struct {
	Key   string // the entry's name among what is due in the home's slot, or "" for a place in a waiting set
	Due   int64  // the score it was claimed with
	Place *Place // the place in a rollout's waiting set
	Lease Lease  // under which it was claimed
}

// Place is where a device stands in the waiting set of a rollout.
type Place struct {
	Rollout RolloutID // "" for devices with an assignment of their own
	Kind    Kind
	Device  DeviceID
	At      float64 // 0…1 within a priority, smaller first
}

// Lease is the right of one process to work what is due in one slot. Token
// rises with every new owner, so that a late write of the old one is refused.
type Lease struct {
	Shard  int      // 0…255, or -1 for a tenant's slot
	Tenant TenantID // set where Shard is -1
	Owner  string   // the process
	Token  int64    // 0: no lease is needed
}
