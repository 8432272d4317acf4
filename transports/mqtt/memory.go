package mqtt

import (
	"slices"
	"sync"
	"sync/atomic"

	"github.com/windlass-ota/windlass/internal/mqttwire"
	"github.com/windlass-ota/windlass/ota"
)

const (
	readSize  = 4 << 10   // first size of a read buffer; it grows to what one packet needs
	keepSize  = 128 << 10 // buffers that grew beyond this are left to the collector
	flushSize = 32 << 10  // replies are written when there are this many bytes of them
	pieceSize = 68 << 10  // what is read of a file at a time: a chunk of 64 KiB and what goes before it
)

// scratch is what a connection needs while it is at work and gives back before
// it waits for its device again.
type scratch struct {
	task task
	conn *conn // whose it is now
	job  job

	counted int64 // bytes of in that memory knows of

	in  []byte // what was read and not yet used up
	out []byte // what is to be written

	// Of the running task: the frames to work through, how much of them is done,
	// and what ended it before their end.
	todo    []byte
	used    int
	err     error
	section ota.Section // to be written behind out, from file; none where file is nil
	file    ota.Blob
	splicer splicer

	connect mqttwire.Connect
	publish mqttwire.Publish
	sub     mqttwire.Subscribe
	unsub   mqttwire.Unsubscribe
	ack     mqttwire.Ack
	close   mqttwire.Close
	reply   mqttwire.Publish
	topic   []byte
}

// job says what a worker does with a scratch.
type job byte

const (
	jobPublishes job = iota
	jobConnect
	jobConnected
	jobDisconnected
	jobWill
)

// memory lends scratches and pieces. Its zero value is ready, and has no limit.
type memory struct {
	limit     int64        // bytes that all read buffers in use may have grown to; 0: any number
	grown     atomic.Int64 // bytes that they have beyond their first size
	scratches sync.Pool
	pieces    sync.Pool
}

func (m *memory) scratch(c *conn) *scratch {
	s, _ := m.scratches.Get().(*scratch)
	if s == nil {
		s = &scratch{in: make([]byte, 0, readSize)}
		s.task = task{do: s.run, done: make(chan struct{}, 1)}
	}
	s.conn = c
	m.count(s)
	return s
}

// count notes how large the read buffer of s is; false says that all together
// are larger than they may be.
func (m *memory) count(s *scratch) bool {
	now := int64(max(0, cap(s.in)-readSize))
	total := m.grown.Add(now - s.counted)
	s.counted = now
	return m.limit == 0 || total <= m.limit
}

func (m *memory) giveBack(s *scratch) {
	s.closeFile()
	m.grown.Add(-s.counted)
	s.counted = 0
	if cap(s.in) > keepSize || cap(s.out) > keepSize {
		return
	}
	s.conn, s.in, s.out, s.todo, s.err = nil, s.in[:0], s.out[:0], nil, nil
	m.scratches.Put(s)
}

func (s *scratch) closeFile() {
	if s.file != nil {
		_ = s.file.Close() // it was only read
		s.file, s.section = nil, ota.Section{}
	}
}

func (s *scratch) run() { s.conn.work(s) }

// room returns where the next read goes. need is how long the packet at the
// front is known to be, 0 if unknown.
func (s *scratch) room(need int) []byte {
	switch free := cap(s.in) - len(s.in); {
	case need > cap(s.in):
		// In steps, as the bytes come: a length is easily claimed.
		s.in = slices.Grow(s.in, min(need-len(s.in), max(len(s.in), readSize)))
	case free == 0:
		s.in = slices.Grow(s.in, readSize)
	}
	return s.in[len(s.in):cap(s.in)]
}

// piece lends a buffer for a part of a file.
func (m *memory) piece() *[]byte {
	if b, _ := m.pieces.Get().(*[]byte); b != nil {
		return b
	}
	b := make([]byte, pieceSize)
	return &b
}
