package ota

// Word is what a reply says; there are few of them and none knows a protocol.
type Word string

// The words to devices. Each transport says them in its own way.
const (
	SayChunk      Word = "chunk"      // Section: bytes of a package
	SayAttributes Word = "attributes" // Client, Shared: the answer to a request, or a push where Push is set
	SayOffer      Word = "offer"      // Shared, Package: a package is on offer
	SayApply      Word = "apply"      // install what was downloaded
	SayCancel     Word = "cancel"     // Deleted: the offer is withdrawn
	SayRPC        Word = "rpc"        // Method, Body
	SayTopic      Word = "topic"      // Topic, Body: what a chain says to its device on a topic of its own
	SayBody       Word = "body"       // Body, Status: what a chain says in its own form
	SayError      Word = "error"      // Code, Text
)

// Reply is one word to one device. What its transport cannot say, it drops and
// counts.
type Reply struct {
	Word    Word
	Tenant  TenantID
	Device  DeviceID
	Kind    Kind
	Push    bool // unasked: to every session that wants it, not to the asker
	Section Section
	Client  []byte   // JSON object, nil when there are none
	Shared  []byte   // JSON object, nil when there are none
	Deleted []string // names of shared attributes
	Method  string
	Call    int64 // rpc: its number, which the answer brings back
	Body    []byte
	Status  int
	Code    Code
	Text    string
	Topic   string
	QoS     int
}

// Chunk answers with a section.
func Chunk(s Section) Reply { return Reply{Word: SayChunk, Kind: s.Package.Kind, Section: s} }

// Refusal answers with a code, and a text for people.
func Refusal(c Code, text string) Reply { return Reply{Word: SayError, Code: c, Text: text} }
