package mqttbridge

import (
	"context"
	"fmt"
	"hash/maphash"
	"log/slog"
	"net/url"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/eclipse/paho.golang/autopaho"
	"github.com/eclipse/paho.golang/paho"

	"github.com/windlass-ota/windlass/ota"
	"github.com/windlass-ota/windlass/transports"
)

// link is the connection to one broker, through all its reconnects.
type link struct {
	c      Config
	broker Broker
	url    *url.URL
	doors  *transports.Doors
	log    *slog.Logger
	seed   maphash.Seed

	words chan ota.BrokerWord
	up    chan struct{} // a connection was made: subscribe

	mu      sync.Mutex
	conn    *autopaho.ConnectionManager // nil while not served
	trouble string
	has     []string // filters subscribed to on this connection

	connected                  atomic.Bool
	said, lost, heard, unheard atomic.Uint64
}

func newLink(c Config, d Deps, b Broker, u *url.URL) *link {
	return &link{
		c: c, broker: b, url: u, doors: d.Doors, log: d.Log.With("broker", b.Name), seed: maphash.MakeSeed(),
		words: make(chan ota.BrokerWord, c.Queue), up: make(chan struct{}, 1), trouble: "not reached yet",
	}
}

// lanes is how many messages of one broker are worked side by side: those whose
// topics capture the same go one after the other.
const lanes = 64

// serve keeps the connection until ctx ends, then works what has come, leaves
// the session to the broker and returns.
func (l *link) serve(ctx context.Context, h transports.Handler) {
	var work sync.WaitGroup
	queues := make([]chan arrival, lanes)
	for i := range queues {
		queues[i] = make(chan arrival, l.c.InFlight)
		work.Go(func() {
			for a := range queues[i] {
				l.work(ctx, h, a)
			}
		})
	}
	life, end := context.WithCancel(context.WithoutCancel(ctx))
	defer end()
	conn, err := autopaho.NewConnection(life, l.config(ctx, queues))
	if err != nil { // of a wrong configuration alone
		l.note(err.Error())
		l.log.Error("a broker cannot be used", "err", err)
		return
	}
	l.mu.Lock()
	l.conn = conn
	l.mu.Unlock()
	var both sync.WaitGroup
	both.Go(func() { l.subscriptions(ctx, conn) })
	both.Go(func() { l.speak(ctx, conn) })
	both.Wait()
	l.stop(conn, end)
	for _, q := range queues {
		close(q)
	}
	work.Wait()
}

// stop ends the connection, after the words that were left.
func (l *link) stop(conn *autopaho.ConnectionManager, end func()) {
	bye, cancel := context.WithTimeout(context.Background(), 2*time.Second)
	defer cancel()
	if err := conn.Disconnect(bye); err != nil {
		l.log.Debug("the connection to a broker did not end well", "err", err)
	}
	end()
	<-conn.Done()
	l.connected.Store(false)
}

func (l *link) config(ctx context.Context, queues []chan arrival) autopaho.ClientConfig {
	return autopaho.ClientConfig{
		ServerUrls: []*url.URL{l.url}, TlsCfg: l.broker.TLS, KeepAlive: 20, ConnectTimeout: 10 * time.Second,
		SessionExpiryInterval: uint32(l.c.Session / time.Second), ConnectUsername: l.broker.Username, ConnectPassword: []byte(l.broker.Password),
		ReconnectBackoff: func(n int) time.Duration { return min(l.c.Again<<min(max(n-1, 0), 8), 30*time.Second) },
		OnConnectionUp: func(_ *autopaho.ConnectionManager, ack *paho.Connack) {
			l.mu.Lock()
			l.trouble = ""
			l.has = nil // a broker may have lost what it says that it has kept
			l.mu.Unlock()
			if !l.connected.Swap(true) {
				l.log.Info("connected to a broker", "session", ack.SessionPresent)
			}
			wake(l.up)
		},
		OnConnectionDown: func() bool {
			l.connected.Store(false)
			l.note("the connection was lost")
			if ctx.Err() == nil {
				l.log.Warn("the connection to a broker was lost")
			}
			return true
		},
		OnConnectError: func(err error) { l.note(err.Error()) },
		ConnectPacketBuilder: func(p *paho.Connect, _ *url.URL) (*paho.Connect, error) {
			if p.Properties == nil {
				p.Properties = &paho.ConnectProperties{}
			}
			most := uint16(min(l.c.InFlight, 65535))
			p.Properties.ReceiveMaximum = &most
			return p, nil
		},
		ClientConfig: paho.ClientConfig{
			ClientID: "windlass-" + l.c.ClientID, EnableManualAcknowledgment: true,
			OnPublishReceived: []func(paho.PublishReceived) (bool, error){func(p paho.PublishReceived) (bool, error) {
				return true, l.receive(p, queues)
			}},
		},
	}
}

// note keeps why a broker is not reached, and tells it when that is new.
func (l *link) note(trouble string) {
	l.mu.Lock()
	was := l.trouble
	l.trouble = trouble
	l.mu.Unlock()
	if was != trouble {
		l.log.Debug("a broker is not reached", "err", trouble)
	}
}

func (l *link) state() State {
	l.mu.Lock()
	defer l.mu.Unlock()
	return State{l.broker.Name, l.connected.Load(), l.trouble, l.said.Load(), l.lost.Load(), l.heard.Load(), l.unheard.Load()}
}

// usualGroup is the shared subscription of all processes where a door names none.
const usualGroup = "windlass"

// subscriptions keeps what we listen to at the broker equal to the doors there.
func (l *link) subscriptions(ctx context.Context, conn *autopaho.ConnectionManager) {
	var again <-chan time.Time
	for {
		changed := l.doors.Changed()
		if l.connected.Load() {
			again = nil
			if err := l.subscribe(ctx, conn); err != nil && ctx.Err() == nil {
				l.log.Warn("what chains listen to at a broker cannot be subscribed to", "err", err)
				again = time.After(5 * time.Second)
			}
		}
		select {
		case <-ctx.Done():
			return
		case <-changed:
		case <-again:
		case <-l.up:
		}
	}
}

func (l *link) subscribe(ctx context.Context, conn *autopaho.ConnectionManager) error {
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	l.mu.Lock()
	had := l.has
	l.mu.Unlock()
	var want []string
	var subs []paho.SubscribeOptions
	for _, d := range l.doors.Of(l.broker.Name) {
		group := d.Group
		if group == "" {
			group = usualGroup
		}
		f := "$share/" + group + "/" + d.Pattern.Filter()
		want = append(want, f)
		if !slices.Contains(had, f) {
			subs = append(subs, paho.SubscribeOptions{Topic: f, QoS: byte(d.QoS)})
		}
	}
	var gone []string
	for _, f := range had {
		if !slices.Contains(want, f) {
			gone = append(gone, f)
		}
	}
	if len(gone) > 0 {
		if _, err := conn.Unsubscribe(ctx, &paho.Unsubscribe{Topics: gone}); err != nil {
			return err
		}
	}
	if len(subs) > 0 {
		ack, err := conn.Subscribe(ctx, &paho.Subscribe{Subscriptions: subs})
		if err != nil {
			return err
		}
		for i, r := range ack.Reasons {
			if r >= 0x80 {
				return fmt.Errorf("%s is refused with reason 0x%02x", subs[i].Topic, r)
			}
		}
	}
	l.mu.Lock()
	l.has = want
	l.mu.Unlock()
	return nil
}

func wake(c chan struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}
