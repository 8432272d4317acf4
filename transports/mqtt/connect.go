package mqtt

import (
	"errors"
	"math"
	"strconv"
	"time"

	"github.com/windlass-ota/windlass/internal/mqttwire"
	"github.com/windlass-ota/windlass/ota"
	"github.com/windlass-ota/windlass/transports"
)

// smallestPacket is what a client must be ready to take, in bytes: enough for
// the answer to CONNECT and for every answer without a payload.
const smallestPacket = 256

// connect reads CONNECT, proves the device and opens its session. An error ends
// the connection; the refusal has been written then.
func (c *conn) connect() error {
	c.nc.SetReadDeadline(time.Now().Add(c.t.cfg.ConnectTimeout))
	size, err := c.readConnect()
	if err != nil {
		return c.refuseMalformed(err)
	}
	p := &c.s.connect
	c.version = p.Version
	if p.Props.Has(mqttwire.AuthMethod) {
		return c.refuse(mqttwire.BadAuthenticationMethod)
	}
	if p.Props.Has(mqttwire.MaximumPacketSize) && p.Props.Uint(mqttwire.MaximumPacketSize) < smallestPacket {
		return c.refuse(mqttwire.PacketTooLarge)
	}
	if c.isGuest(p) {
		c.host(p)
		c.drop(size)
		return c.consume()
	}
	c.delegate(jobConnect)
	if err := c.s.err; err != nil {
		if errors.Is(err, transports.ErrTooMany) {
			return c.refuse(mqttwire.ConnectionRateExceeded)
		}
		return c.refuse(refusal(p, ota.CodeOf(err)))
	}
	c.accept(p)
	if err := c.flush(); err != nil {
		return err
	}
	c.t.router.Open(c) // and now it may be spoken to: CONNACK goes first
	c.drop(size)
	return c.consume()
}

// readConnect reads until the first packet is whole. It must be a CONNECT
// (MQTT-3.1.0-1): whoever sends another is not answered at all.
func (c *conn) readConnect() (size int, err error) {
	for {
		if err := c.read(size); err != nil {
			return 0, err
		}
		if c.s.in[0]>>4 != byte(mqttwire.CONNECT) {
			return 0, errNotConnect
		}
		f, size, err := mqttwire.Split(c.s.in, 0, c.limit)
		switch {
		case err != nil:
			return 0, err
		case size > 0 && len(c.s.in) >= size:
			return size, c.s.connect.Decode(f, 0)
		}
	}
}

var errNotConnect = errors.New("mqtt: first packet is not a CONNECT")

// authenticate asks whose connection it is. A certificate that the device came
// with says it alone, as with ThingsBoard: whatever stands in CONNECT beside it
// is not looked at.
func (c *conn) authenticate(p *mqttwire.Connect) (device ota.Ref, err error) {
	if chain := c.chain(); len(chain) > 0 {
		device, err = c.t.auth.Certificate(c.turns, chain, c.addr)
	} else if !p.HasUserName && len(p.ClientID) == 0 {
		return ota.Ref{}, errNobody
	} else {
		device, err = c.t.auth.Basic(c.turns, string(p.ClientID), string(p.UserName), string(p.Password), c.addr)
	}
	if err == nil {
		c.dialect, err = c.t.learn(c.turns, device)
	}
	return device, err
}

var errNobody error = ota.Errorf(ota.NotFound, "mqtt: connect", "neither a user name nor a client id was given")

// refusal picks the reason by what the client has shown, as ThingsBoard does.
func refusal(p *mqttwire.Connect, code ota.Code) mqttwire.Reason {
	switch {
	case code != ota.NotFound && code != ota.Invalid:
		return mqttwire.ServerUnavailable
	case p.Version != mqttwire.V5 && !p.HasUserName && len(p.ClientID) > 0,
		p.Version == mqttwire.V5 && !p.HasUserName && !p.HasPassword && len(p.ClientID) > 0:
		return mqttwire.ClientIDNotValid
	case p.HasUserName != p.HasPassword, p.HasUserName && p.HasPassword && len(p.ClientID) > 0:
		return mqttwire.BadUserNameOrPassword
	}
	return mqttwire.NotAuthorized
}

// refuse answers CONNECT with a failure; the connection ends with it.
func (c *conn) refuse(r mqttwire.Reason) error {
	ack := mqttwire.Connack{Code: byte(r)}
	if c.version != mqttwire.V5 {
		ack.Code = r.ReturnCode()
	}
	c.s.out = c.append(c.s.out, &ack)
	if err := c.flush(); err != nil {
		return err
	}
	c.linger()
	return &ending{r, "connect refused"}
}

// refuseMalformed answers a CONNECT that cannot be read, if at least its version
// could. One of an unknown version is answered in the words of 3.1.1
// (MQTT-3.1.2-2), everything else with silence, as it may not even be MQTT.
func (c *conn) refuseMalformed(err error) error {
	var broken *mqttwire.Error
	if !errors.As(err, &broken) || c.s == nil {
		return err
	}
	c.version = c.s.connect.Version
	switch {
	case broken.Reason == mqttwire.UnsupportedProtocolVersion:
		c.version = mqttwire.V311
	case c.version != mqttwire.V5:
		return err
	}
	return c.refuse(broken.Reason)
}

// accept opens the session and answers CONNECT.
func (c *conn) accept(p *mqttwire.Connect) {
	c.id, c.client, c.open = c.t.router.NewID(), string(p.ClientID), true
	c.limit = c.t.cfg.MaxPayload + slack
	c.settleFor(p)
	c.agree(p)
	c.bequeath(p)
	c.say.init(p, c.expiry > 0)
	c.t.counts.accepted.Add(1)
	ack := mqttwire.Connack{SessionPresent: c.t.claim(c, p.CleanStart)}
	if c.version == mqttwire.V5 {
		c.describe(p, &ack.Props)
	}
	c.s.out = c.append(c.s.out, &ack)
	if ack.SessionPresent {
		c.s.out = c.again(c.s.out)
	}
}

// settleFor notes how long the client may be silent, and what it takes.
func (c *conn) settleFor(p *mqttwire.Connect) {
	if c.keepAlive = c.t.cfg.IdleTimeout; p.KeepAlive > 0 {
		c.keepAlive = time.Duration(p.KeepAlive) * time.Second * 3 / 2
	}
	if p.Props.Has(mqttwire.MaximumPacketSize) {
		c.maxOut = int(min(p.Props.Uint(mqttwire.MaximumPacketSize), mqttwire.MaxRemaining))
	}
}

// agree settles for how long the session outlives its connection. Before 5.0 a
// client says only whether, by the clean session flag.
func (c *conn) agree(p *mqttwire.Connect) {
	switch {
	case c.version == mqttwire.V5:
		c.expiry = c.keepFor(p.Props.Uint(mqttwire.SessionExpiry))
		if c.expiry > 0 && c.client == "" {
			c.client = c.assigned()
		}
	case !p.CleanStart && c.client != "":
		c.expiry = c.keepFor(math.MaxUint32)
	}
}

// keepFor is how long a session is kept for a client that wants it for that many
// seconds.
func (c *conn) keepFor(seconds uint32) time.Duration {
	return max(0, min(time.Duration(seconds)*time.Second, c.t.cfg.SessionExpiry))
}

// assigned is the name of a client that came without one (MQTT-3.1.3-6).
func (c *conn) assigned() string {
	return "windlass-" + c.id.Process + "-" + strconv.FormatUint(c.id.Num, 10)
}

// describe tells a 5.0 client what it may expect here (section 3.2.2.3). Retain
// and wildcards are not mentioned: client libraries refuse to set the one or to
// subscribe with the other when they are said to be missing, and devices that
// share code with a broker do both without harm.
func (c *conn) describe(p *mqttwire.Connect, out *mqttwire.Properties) {
	out.SetUint(mqttwire.ReceiveMaximum, uint32(c.t.cfg.MaxInflight))
	out.SetUint(mqttwire.MaximumPacketSize, uint32(c.limit))
	out.SetUint(mqttwire.SharedAvailable, 0)
	out.SetUint(mqttwire.TopicAliasMaximum, maxAliases)
	if kept := uint32(c.expiry / time.Second); kept != p.Props.Uint(mqttwire.SessionExpiry) { // MQTT-3.2.2-21
		out.SetUint(mqttwire.SessionExpiry, kept)
	}
	if len(p.ClientID) == 0 { // MQTT-3.2.2-16
		out.SetBytes(mqttwire.AssignedClientID, []byte(c.assigned()))
	}
}
