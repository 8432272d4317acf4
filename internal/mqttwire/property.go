package mqttwire

// Property is the identifier of a property of MQTT 5.0 (section 2.2.2.2).
type Property byte

// The properties of section 2.2.2.2, with the type of their value.
const (
	PayloadFormat            Property = 1  // byte
	MessageExpiry            Property = 2  // seconds
	ContentType              Property = 3  // text
	ResponseTopic            Property = 8  // text
	CorrelationData          Property = 9  // binary
	SubscriptionID           Property = 11 // variable byte integer; see Properties.SubscriptionIDs
	SessionExpiry            Property = 17 // seconds
	AssignedClientID         Property = 18 // text
	ServerKeepAlive          Property = 19 // seconds
	AuthMethod               Property = 21 // text
	AuthData                 Property = 22 // binary
	RequestProblemInfo       Property = 23 // byte
	WillDelay                Property = 24 // seconds
	RequestResponseInfo      Property = 25 // byte
	ResponseInfo             Property = 26 // text
	ServerReference          Property = 28 // text
	ReasonString             Property = 31 // text
	ReceiveMaximum           Property = 33 // count
	TopicAliasMaximum        Property = 34 // count
	TopicAlias               Property = 35 // count
	MaximumQoS               Property = 36 // byte
	RetainAvailable          Property = 37 // byte
	UserProperty             Property = 38 // pair of texts; see Properties.User
	MaximumPacketSize        Property = 39 // bytes
	WildcardAvailable        Property = 40 // byte
	SubscriptionIDsAvailable Property = 41 // byte
	SharedAvailable          Property = 42 // byte
)

// form is how a property's value is written.
type form byte

const (
	formNone form = iota
	formFlag      // a byte that is 0 or 1
	formUint16
	formUint32
	formText
	formBinary
)

// in is the set of places where a property may stand: bit n for packet type n,
// bit 0 for the properties of a will.
type in uint16

const (
	inWill  in = 1
	inAcks     = in(1<<PUBACK | 1<<PUBREC | 1<<PUBREL | 1<<PUBCOMP | 1<<SUBACK | 1<<UNSUBACK)
	inClose    = in(1 << DISCONNECT)
)

// table says of each property how it is written, in which slot it is kept,
// where it may stand, and whether a value of zero is an error.
var table = [43]struct {
	form    form
	slot    byte
	allowed in
	nonzero bool
}{
	PayloadFormat:            {formFlag, 0, 1<<PUBLISH | inWill, false},
	MessageExpiry:            {formUint32, 1, 1<<PUBLISH | inWill, false},
	ContentType:              {formText, 0, 1<<PUBLISH | inWill, false},
	ResponseTopic:            {formText, 1, 1<<PUBLISH | inWill, false},
	CorrelationData:          {formBinary, 2, 1<<PUBLISH | inWill, false},
	SessionExpiry:            {formUint32, 2, 1<<CONNECT | 1<<CONNACK | inClose, false},
	AssignedClientID:         {formText, 3, 1 << CONNACK, false},
	ServerKeepAlive:          {formUint16, 3, 1 << CONNACK, false},
	AuthMethod:               {formText, 4, 1<<CONNECT | 1<<CONNACK | 1<<AUTH, false},
	AuthData:                 {formBinary, 5, 1<<CONNECT | 1<<CONNACK | 1<<AUTH, false},
	RequestProblemInfo:       {formFlag, 4, 1 << CONNECT, false},
	WillDelay:                {formUint32, 5, inWill, false},
	RequestResponseInfo:      {formFlag, 6, 1 << CONNECT, false},
	ResponseInfo:             {formText, 6, 1 << CONNACK, false},
	ServerReference:          {formText, 7, 1<<CONNACK | inClose, false},
	ReasonString:             {formText, 8, 1<<CONNACK | inAcks | inClose | 1<<AUTH, false},
	ReceiveMaximum:           {formUint16, 7, 1<<CONNECT | 1<<CONNACK, true},
	TopicAliasMaximum:        {formUint16, 8, 1<<CONNECT | 1<<CONNACK, false},
	TopicAlias:               {formUint16, 9, 1 << PUBLISH, true},
	MaximumQoS:               {formFlag, 10, 1 << CONNACK, false},
	RetainAvailable:          {formFlag, 11, 1 << CONNACK, false},
	MaximumPacketSize:        {formUint32, 12, 1<<CONNECT | 1<<CONNACK, true},
	WildcardAvailable:        {formFlag, 13, 1 << CONNACK, false},
	SubscriptionIDsAvailable: {formFlag, 14, 1 << CONNACK, false},
	SharedAvailable:          {formFlag, 15, 1 << CONNACK, false},
}
