package mqttwire

import (
	"encoding/binary"
	"math/bits"
)

// MaxUserProperties bounds the user properties of one packet. The standard
// sets no limit; without one a packet of 64 KiB would make us hold ten times
// its size in slice headers.
const MaxUserProperties = 64

// Pair is one user property.
type Pair struct{ Key, Value []byte }

// Properties holds the properties of one packet. The zero value is empty.
type Properties struct {
	set   uint64 // bit n: property n is present
	nums  [16]uint32
	bytes [9][]byte

	// SubscriptionIDs are in the order of the packet: a SUBSCRIBE has one at
	// most, a PUBLISH to a client may have several.
	SubscriptionIDs []int
	User            []Pair
}

// Has says whether a property with one value is present.
func (p *Properties) Has(id Property) bool { return p.set&(1<<id) != 0 }

// Uint returns the value of a property that is a number, 0 if it is absent.
func (p *Properties) Uint(id Property) uint32 {
	if !p.Has(id) {
		return 0
	}
	return p.nums[table[id].slot]
}

// Bytes returns the value of a property that is a text or binary, nil if it is absent.
func (p *Properties) Bytes(id Property) []byte {
	if !p.Has(id) {
		return nil
	}
	return p.bytes[table[id].slot]
}

// SetUint sets a property that is a number. It must be one: naming another
// here is a bug and panics.
func (p *Properties) SetUint(id Property, n uint32) {
	if f := table[id].form; f == formNone || f >= formText {
		panic("mqttwire: not a number")
	}
	p.set |= 1 << id
	p.nums[table[id].slot] = n
}

// SetBytes sets a property that is a text or binary; b is kept, not copied. It
// must be one: naming another here is a bug and panics.
func (p *Properties) SetBytes(id Property, b []byte) {
	if table[id].form < formText {
		panic("mqttwire: not a text")
	}
	p.set |= 1 << id
	p.bytes[table[id].slot] = b
}

// Reset empties p and keeps its memory.
func (p *Properties) Reset() {
	if p.empty() {
		return
	}
	*p = Properties{SubscriptionIDs: p.SubscriptionIDs[:0], User: p.User[:0]}
}

var (
	errPropertyUnknown = malformed("2.2.2.2", "unknown property")
	errPropertyForeign = protocol("2.2.2.2", "property does not belong into this packet")
	errPropertyTwice   = protocol("2.2.2.2", "property given twice")
	errPropertyValue   = protocol("2.2.2.2", "property value not allowed")
	errSubscriptionID  = protocol("MQTT-3.8.2.1.2", "subscription identifier 0 or given twice")
	errTopicAliasZero  = &Error{TopicAliasInvalid, "MQTT-3.3.2-8", "topic alias 0"}
	errResponseTopic   = protocol("MQTT-3.3.2-14", "response topic is empty or holds a wildcard")
	errAuthDataAlone   = protocol("3.1.2.11.10", "authentication data without a method")
	errManyUserProps   = &Error{ImplementationSpecific, "2.2.2.2", "too many user properties"}
)

// decode reads the property block at the cursor (section 2.2.2).
func (p *Properties) decode(c *cursor, where in) {
	p.Reset()
	block := cursor{b: c.take(c.varint()), err: c.err}
	for len(block.b) > 0 {
		id := block.varint() // one byte for all known; the standard calls it a variable byte integer
		if block.err == nil {
			p.decodeOne(&block, id, where)
		}
	}
	if block.err == nil && p.Has(AuthData) && !p.Has(AuthMethod) {
		block.err = errAuthDataAlone
	}
	if block.err != nil {
		c.fail(block.err)
	}
}

func (p *Properties) decodeOne(c *cursor, n int, where in) {
	switch {
	case n == int(UserProperty):
		if len(p.User) == MaxUserProperties {
			c.fail(errManyUserProps)
			return
		}
		p.User = append(p.User, Pair{c.text(), c.text()})
		return
	case n == int(SubscriptionID):
		p.decodeSubscriptionID(c, where)
		return
	case n >= len(table) || table[n].form == formNone:
		c.fail(errPropertyUnknown)
		return
	}
	id, row := Property(n), table[n]
	switch {
	case row.allowed&where == 0:
		c.fail(errPropertyForeign)
	case p.Has(id):
		c.fail(errPropertyTwice)
	case row.form == formText:
		p.SetBytes(id, c.text())
	case row.form == formBinary:
		p.SetBytes(id, c.binary())
	default:
		p.SetUint(id, decodeNumber(c, row.form))
	}
	if c.err == nil {
		if err := p.checkValue(id); err != nil {
			c.fail(err)
		}
	}
}

func decodeNumber(c *cursor, f form) uint32 {
	switch f {
	case formUint32:
		return c.uint32()
	case formUint16:
		return uint32(c.uint16())
	}
	return uint32(c.byte())
}

// checkValue holds a value against what its property allows (sections 3.1.2.11,
// 3.2.2.3 and 3.3.2.3).
func (p *Properties) checkValue(id Property) error {
	row := table[id]
	switch {
	case row.form == formFlag && p.nums[row.slot] > 1:
		return errPropertyValue
	case id == TopicAlias && p.nums[row.slot] == 0:
		return errTopicAliasZero
	case row.nonzero && p.nums[row.slot] == 0:
		return errPropertyValue
	case id == ResponseTopic && (len(p.bytes[row.slot]) == 0 || HasWildcard(p.bytes[row.slot])):
		return errResponseTopic
	}
	return nil
}

func (p *Properties) decodeSubscriptionID(c *cursor, where in) {
	if where&(1<<SUBSCRIBE|1<<PUBLISH) == 0 {
		c.fail(errPropertyForeign)
		return
	}
	n := c.varint()
	if c.err == nil && (n == 0 || where == 1<<SUBSCRIBE && len(p.SubscriptionIDs) > 0) {
		c.fail(errSubscriptionID)
		return
	}
	p.SubscriptionIDs = append(p.SubscriptionIDs, n)
}

// append writes the property block, its length in front.
func (p *Properties) append(dst []byte) ([]byte, error) {
	if p.empty() {
		return append(dst, 0), nil
	}
	dst, at := open(dst)
	var err error
	for rest := p.set; rest != 0 && err == nil; rest &= rest - 1 {
		dst, err = p.appendOne(dst, Property(bits.TrailingZeros64(rest)))
	}
	for _, id := range p.SubscriptionIDs {
		if id < 1 || id > MaxRemaining {
			return dst, errSubscriptionID
		}
		dst = appendVarint(append(dst, byte(SubscriptionID)), id)
	}
	for _, u := range p.User {
		if err == nil {
			dst, err = appendBinary(append(dst, byte(UserProperty)), u.Key)
		}
		if err == nil {
			dst, err = appendBinary(dst, u.Value)
		}
	}
	if err != nil {
		return dst, err
	}
	return shut(dst, at, 0)
}

func (p *Properties) appendOne(dst []byte, id Property) ([]byte, error) {
	row := table[id]
	dst = append(dst, byte(id))
	switch row.form {
	case formUint32:
		return binary.BigEndian.AppendUint32(dst, p.nums[row.slot]), nil
	case formUint16:
		return binary.BigEndian.AppendUint16(dst, uint16(p.nums[row.slot])), nil
	case formFlag:
		return append(dst, byte(p.nums[row.slot])), nil
	}
	return appendBinary(dst, p.bytes[row.slot])
}

func (p *Properties) empty() bool {
	return p.set == 0 && len(p.User) == 0 && len(p.SubscriptionIDs) == 0
}
