package mqttwire

// Reason is a reason code of MQTT 5.0 (section 2.4). Codes from 0x80 on are
// failures. The return codes of a CONNACK before 5.0 are another set; see
// [Reason.ReturnCode].
type Reason byte

// The reason codes of section 2.4. Success is also "normal disconnection" and
// "granted QoS 0", as the standard gives all three the same number.
const (
	Success                    Reason = 0x00
	GrantedQoS1                Reason = 0x01
	GrantedQoS2                Reason = 0x02
	DisconnectWithWill         Reason = 0x04
	NoMatchingSubscribers      Reason = 0x10
	NoSubscriptionExisted      Reason = 0x11
	ContinueAuthentication     Reason = 0x18
	ReAuthenticate             Reason = 0x19
	UnspecifiedError           Reason = 0x80
	MalformedPacket            Reason = 0x81
	ProtocolError              Reason = 0x82
	ImplementationSpecific     Reason = 0x83
	UnsupportedProtocolVersion Reason = 0x84
	ClientIDNotValid           Reason = 0x85
	BadUserNameOrPassword      Reason = 0x86
	NotAuthorized              Reason = 0x87
	ServerUnavailable          Reason = 0x88
	ServerBusy                 Reason = 0x89
	Banned                     Reason = 0x8A
	ServerShuttingDown         Reason = 0x8B
	BadAuthenticationMethod    Reason = 0x8C
	KeepAliveTimeout           Reason = 0x8D
	SessionTakenOver           Reason = 0x8E
	TopicFilterInvalid         Reason = 0x8F
	TopicNameInvalid           Reason = 0x90
	PacketIDInUse              Reason = 0x91
	PacketIDNotFound           Reason = 0x92
	ReceiveMaximumExceeded     Reason = 0x93
	TopicAliasInvalid          Reason = 0x94
	PacketTooLarge             Reason = 0x95
	MessageRateTooHigh         Reason = 0x96
	QuotaExceeded              Reason = 0x97
	AdministrativeAction       Reason = 0x98
	PayloadFormatInvalid       Reason = 0x99
	RetainNotSupported         Reason = 0x9A
	QoSNotSupported            Reason = 0x9B
	UseAnotherServer           Reason = 0x9C
	ServerMoved                Reason = 0x9D
	SharedNotSupported         Reason = 0x9E
	ConnectionRateExceeded     Reason = 0x9F
	MaximumConnectTime         Reason = 0xA0
	SubscriptionIDsUnsupported Reason = 0xA1
	WildcardsUnsupported       Reason = 0xA2
)

// The return codes of a CONNACK before 5.0 (3.1.1, section 3.2.2.3), and the
// one failure code of their SUBACK (3.1.1, section 3.9.3).
const (
	Accepted             byte = 0
	RefusedVersion       byte = 1
	RefusedIdentifier    byte = 2
	RefusedUnavailable   byte = 3
	RefusedCredentials   byte = 4
	RefusedNotAuthorized byte = 5
	SubscriptionRefused  byte = 0x80
)

// ReturnCode says a reason in the words of a CONNACK before 5.0.
func (r Reason) ReturnCode() byte {
	switch r {
	case Success:
		return Accepted
	case UnsupportedProtocolVersion:
		return RefusedVersion
	case ClientIDNotValid:
		return RefusedIdentifier
	case BadUserNameOrPassword, NotAuthorized, Banned, BadAuthenticationMethod:
		return RefusedNotAuthorized
	}
	return RefusedUnavailable
}

// Error is a packet that breaks a rule. The reason is what a 5.0 peer is told
// before the connection is closed; an older peer is just cut off.
//
// All errors of the decoders are of this type and made once, so that hostile
// input costs no memory.
type Error struct {
	Reason Reason
	Rule   string // the statement broken, as the standard numbers it
	Text   string
}

func (e *Error) Error() string { return "mqtt: " + e.Text + " (" + e.Rule + ")" }

func malformed(rule, text string) *Error { return &Error{MalformedPacket, rule, text} }

func protocol(rule, text string) *Error { return &Error{ProtocolError, rule, text} }
