package mqtt

import (
	"context"
	"errors"
	"os"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/windlass-ota/windlass/internal/mqttwire"
	"github.com/windlass-ota/windlass/ota"
)

func TestConnect(t *testing.T) {
	s := start(t, Config{}, nil)
	tests := []struct {
		name               string
		user, pass, client string // "-": absent
		v3                 byte
		v5                 mqttwire.Reason
	}{
		{"token, empty client id", "T1", "-", "", 0, 0},
		{"token with password and client id", "T1", "x", "c", 0, 0},
		{"wrong token", "X", "-", "", 5, 0x86},
		{"wrong token and client id", "X", "-", "c", 5, 0x86},
		{"wrong token, password", "X", "p", "", 5, 0x87},
		{"wrong token, password, client id", "X", "p", "c", 5, 0x86},
		{"user name and password", "user", "right", "", 0, 0},
		{"wrong password", "user", "wrong", "", 5, 0x87},
		{"wrong password, client id", "user", "wrong", "c", 5, 0x86},
		{"user name without its password", "user", "-", "c", 5, 0x86},
		{"known client id alone", "-", "-", "lone", 0, 0},
		{"empty token", "", "-", "", 5, 0x86},
		{"client id alone", "-", "-", "c", 2, 0x85},
		{"nothing", "-", "-", "", 5, 0x87},
		{"provisioning is not here yet", "provision", "-", "", 5, 0x86},
		{"store away", "busy", "-", "", 3, 0x88},
		{"too many wrong tokens", "often", "-", "", 3, 0x9f},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			eachVersion(t, func(t *testing.T, v mqttwire.Version) {
				c := s.dial(t, v)
				p := &mqttwire.Connect{Version: v, CleanStart: true, ClientID: []byte(tt.client)}
				if tt.user != "-" {
					p.HasUserName, p.UserName = true, []byte(tt.user)
				}
				if tt.pass != "-" {
					p.HasPassword, p.Password = true, []byte(tt.pass)
				}
				c.send(p)
				want := tt.v3
				if v == mqttwire.V5 {
					want = byte(tt.v5)
				}
				ack, ok := c.next().(*mqttwire.Connack)
				if !ok || ack.Code != want || ack.SessionPresent {
					t.Fatalf("got %+v, want code %#x", ack, want)
				}
				if want == 0 {
					c.wantAlive()
				} else {
					c.wantClosed(mqttwire.Success)
				}
			})
		})
	}
}

func TestConnack5(t *testing.T) {
	s := start(t, Config{}, nil)
	c := s.dial(t, mqttwire.V5)
	p := &mqttwire.Connect{Version: mqttwire.V5, HasUserName: true, UserName: []byte("T1")}
	p.Props.SetUint(mqttwire.SessionExpiry, 7200)
	c.send(p)
	ack, ok := c.next().(*mqttwire.Connack)
	if !ok || ack.Code != 0 {
		t.Fatalf("refused: %+v", ack)
	}
	if ack.Props.Uint(mqttwire.ReceiveMaximum) != 100 || ack.Props.Uint(mqttwire.MaximumPacketSize) < 65536 ||
		!ack.Props.Has(mqttwire.SessionExpiry) || ack.Props.Uint(mqttwire.SessionExpiry) != 3600 || ack.Props.Uint(mqttwire.TopicAliasMaximum) != 16 || len(ack.Props.Bytes(mqttwire.AssignedClientID)) == 0 {
		t.Errorf("properties: %+v", ack.Props)
	}
}

func TestConnectMalformed(t *testing.T) {
	s := start(t, Config{}, nil)
	tests := []struct {
		name, raw string
		v         mqttwire.Version
		code      int // of a CONNACK; -1: silence
	}{
		{"publish first", "\x30\x03\x00\x01t", mqttwire.V311, -1},
		{"HTTP", "GET / HTTP/1.1\r\n\r\n", mqttwire.V311, -1},
		{"version 6", "\x10\x0c\x00\x04MQTT\x06\x02\x00\x00\x00\x00", mqttwire.V311, 1},
		{"reserved flag 3.1.1", "\x10\x0c\x00\x04MQTT\x04\x03\x00\x00\x00\x00", mqttwire.V311, -1},
		{"reserved flag 5.0", "\x10\x0d\x00\x04MQTT\x05\x03\x00\x00\x00\x00\x00", mqttwire.V5, 0x81},
		{"receive maximum 0", "\x10\x10\x00\x04MQTT\x05\x02\x00\x00\x03\x21\x00\x00\x00\x00", mqttwire.V5, 0x82},
		{"authentication method", "\x10\x11\x00\x04MQTT\x05\x02\x00\x00\x04\x15\x00\x01m\x00\x00", mqttwire.V5, 0x8c},
		{"over 16 KiB", "\x10\x81\x80\x01", mqttwire.V311, -1},
		{"reserved type", "\x00\x00", mqttwire.V311, -1},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			c := s.dial(t, tt.v)
			c.raw([]byte(tt.raw))
			if tt.code >= 0 {
				if ack, ok := c.next().(*mqttwire.Connack); !ok || ack.Code != byte(tt.code) {
					t.Fatalf("got %+v, want code %#x", ack, tt.code)
				}
			}
			c.wantClosed(mqttwire.Success)
		})
	}
}

// Who does not say CONNECT in time goes, also one who says it byte by byte.
func TestConnectDeadline(t *testing.T) {
	s := start(t, Config{ConnectTimeout: 30 * time.Millisecond}, nil)
	silent, slow := s.dial(t, mqttwire.V311), s.dial(t, mqttwire.V311)
	slow.raw([]byte{0x10})
	silent.wantClosed(mqttwire.Success)
	slow.wantClosed(mqttwire.Success)
	until(t, "both are counted as refused", func() bool { return s.mqtt.Stats().Refused == 2 })
}

func TestKeepAlive(t *testing.T) {
	eachVersion(t, func(t *testing.T, v mqttwire.Version) {
		t.Parallel()
		s := start(t, Config{}, nil)
		c := s.dial(t, v)
		c.send(&mqttwire.Connect{Version: v, CleanStart: true, KeepAlive: 1, HasUserName: true, UserName: []byte("T1")})
		c.next()
		c.raw([]byte{0xc0}) // half a PINGREQ is no packet
		began := time.Now()
		c.wantClosed(mqttwire.KeepAliveTimeout)
		if took := time.Since(began); took < 1400*time.Millisecond {
			t.Errorf("closed after %v, want 1.5 s", took)
		}
	})
}

func TestTooManyConnections(t *testing.T) {
	s := start(t, Config{MaxConnections: 1}, nil)
	first := s.login(t, mqttwire.V311)
	s.dial(t, mqttwire.V311).wantClosed(mqttwire.Success)
	first.wantAlive()
}

// A client id is taken over within its device only, and an empty one never.
func TestTakeOver(t *testing.T) {
	eachVersion(t, func(t *testing.T, v mqttwire.Version) {
		s := start(t, Config{}, nil)
		connect := func(token, client string) *client {
			c := s.dial(t, v)
			c.send(&mqttwire.Connect{Version: v, CleanStart: true, ClientID: []byte(client), HasUserName: true, UserName: []byte(token)})
			if ack, ok := c.next().(*mqttwire.Connack); !ok || ack.Code != 0 {
				t.Fatalf("refused: %+v", ack)
			}
			return c
		}
		nobody1, nobody2 := connect("T1", ""), connect("T1", "")
		old, other, foreign := connect("T1", "a"), connect("T1", "b"), connect("T2", "a")
		renewed := connect("T1", "a")
		old.wantClosed(mqttwire.SessionTakenOver)
		for _, c := range []*client{nobody1, nobody2, other, foreign, renewed} {
			c.wantAlive()
		}
		if n := s.router.Sessions(); n > 6 {
			t.Errorf("%d sessions", n)
		}
	})
}

// The house hears of a session when it is likely to hear the answer, and of its
// end when it had heard of it.
func TestConnectedAndDisconnected(t *testing.T) {
	tests := []struct {
		name string
		cfg  Config
		do   func(c *client)
	}{
		{"after the subscription", Config{Settle: time.Minute}, func(c *client) { c.subscribed(subscribe(1, 1, "v1/devices/me/attributes"), 1) }},
		{"before the first publish", Config{Settle: time.Minute}, func(c *client) {
			c.send(publish1(1, "v1/devices/me/telemetry", "{}"))
			c.wantAck(mqttwire.PUBACK, 1, 0)
		}},
		{"in silence", Config{Settle: time.Millisecond}, func(*client) {}},
		{"amid a packet", Config{Settle: time.Millisecond}, func(c *client) { c.raw([]byte{0xc0}) }},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			s := start(t, tt.cfg, nil)
			c := s.login(t, mqttwire.V311)
			tt.do(c)
			until(t, "connected", func() bool { return len(s.events(ota.Connected)) == 1 })
			c.nc.Close()
			until(t, "disconnected", func() bool { return len(s.events(ota.Disconnected)) == 1 })
			var got []ota.Event
			for _, m := range s.events(ota.Connected, ota.Disconnected, ota.Telemetry) {
				if m.Device != "d1" || m.Tenant != ota.DefaultTenant || m.Transport != "mqtt" || m.Address != c.nc.LocalAddr().String() || m.Session.Num != 1 {
					t.Errorf("message %+v", m)
				}
				if m.Event != ota.Telemetry {
					got = append(got, m.Event)
				}
			}
			if diff := cmp.Diff([]ota.Event{ota.Connected, ota.Disconnected}, got); diff != "" {
				t.Error(diff)
			}
			if first := s.events(ota.Connected, ota.Telemetry)[0]; first.Event != ota.Connected {
				t.Errorf("first came %s", first.Event)
			}
		})
	}
}

// Devices write these where the client id is empty, but the session kept.
func TestSessionIsNeverPresent(t *testing.T) {
	s := start(t, Config{}, nil)
	c := s.dial(t, mqttwire.V311)
	c.send(&mqttwire.Connect{Version: mqttwire.V311, HasUserName: true, UserName: []byte("T1")})
	if ack, ok := c.next().(*mqttwire.Connack); !ok || ack.Code != 0 || ack.SessionPresent {
		t.Errorf("got %+v", ack)
	}
}

// A session that has settled has its keep-alive, also amid a packet.
func TestSlowPacket(t *testing.T) {
	for _, settle := range []time.Duration{time.Millisecond, 50 * time.Millisecond} {
		s := start(t, Config{Settle: settle}, nil)
		c := s.login(t, mqttwire.V311)
		first, second := encode(t, c.v, publish1(1, "v2/t", "{}")), encode(t, c.v, publish1(2, "v2/t", "{}"))
		c.raw(append(first, second[:3]...))
		c.wantAck(mqttwire.PUBACK, 1, 0)
		c.nc.SetReadDeadline(time.Now().Add(2 * settle))
		if p, err := c.read(); !errors.Is(err, os.ErrDeadlineExceeded) {
			t.Fatalf("got %+v, %v amid a packet", p, err)
		}
		c.nc.SetReadDeadline(time.Now().Add(patience))
		c.raw(second[3:])
		c.wantAck(mqttwire.PUBACK, 2, 0)
	}
}

// A device is not silent while we are slow.
func TestKeepAliveDoesNotCountOurTime(t *testing.T) {
	t.Parallel()
	gate := make(chan struct{})
	s := start(t, Config{}, func(_ context.Context, m ota.Message) ([]ota.Reply, error) {
		if string(m.Values) == "{}" {
			<-gate
		}
		return nil, nil
	})
	c := s.dial(t, mqttwire.V311)
	c.send(&mqttwire.Connect{Version: mqttwire.V311, CleanStart: true, KeepAlive: 1, HasUserName: true, UserName: []byte("T1")})
	c.next()
	second := encode(t, c.v, publish1(2, "v2/t", `{"a":1}`))
	c.raw(append(encode(t, c.v, publish1(1, "v2/t", "{}")), second[:3]...))
	time.AfterFunc(1900*time.Millisecond, func() { close(gate) })
	c.wantAck(mqttwire.PUBACK, 1, 0)
	c.raw(second[3:])
	c.wantAck(mqttwire.PUBACK, 2, 0)
}
