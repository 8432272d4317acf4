package coapwire

// Block is the value of Block1 and Block2: one block of a body.
type Block struct {
	Num  uint32 // from 0, up to 2^20-1
	More bool   // others follow
	SZX  uint8  // its size is 16<<SZX bytes; 7 is not a size over datagrams
}

// MaxSZX is the largest size of a block over datagrams, 1024 bytes.
const MaxSZX = 6

// MaxBlock is the highest number of a block.
const MaxBlock = 1<<20 - 1

// Size is the size of the block in bytes; the last of a body may be shorter.
func (b Block) Size() int64 { return 16 << b.SZX }

// Offset is where in the body the block begins.
func (b Block) Offset() int64 { return int64(b.Num) << (4 + b.SZX) }

// Uint is the block as the number that its option holds.
func (b Block) Uint() uint32 {
	v := b.Num<<4 | uint32(b.SZX)
	if b.More {
		v |= 8
	}
	return v
}

// BlockOf reads the number that the option holds; ok is false where it is none
// that may come over datagrams (RFC 7959, section 2.2).
func BlockOf(v uint32) (b Block, ok bool) {
	b = Block{Num: v >> 4, More: v&8 != 0, SZX: uint8(v & 7)}
	return b, b.SZX <= MaxSZX && b.Num <= MaxBlock
}

// Block returns the option Block1 or Block2. There is none where set is false;
// one of a form that must be refused where ok is.
func (m *Message) Block(num uint16) (b Block, set, ok bool) {
	v, set := m.Get(num)
	if !set {
		return b, false, true
	}
	if len(v) > 3 {
		return b, true, false
	}
	b, ok = BlockOf(readUint(v))
	return b, true, ok
}
