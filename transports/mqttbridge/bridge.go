// Package mqttbridge is our side of MQTT brokers that belong to others: it
// listens there to the topics for which chains have opened doors, and says what
// chains want said.
//
// All processes share one subscription, so each message comes to one of them; it
// is acknowledged when what it led to is stored. It decodes nothing of what is
// said: a chain knows that.
package mqttbridge

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net/url"
	"sync"
	"time"

	"github.com/windlass-ota/windlass/ota"
	"github.com/windlass-ota/windlass/transports"
)

// Name is what messages that came from a broker carry as their transport.
const Name = "mqtt"

// Broker is one of those that the configuration names.
type Broker struct {
	Name     string
	URL      string // mqtt://HOST:1883, or mqtts://
	Username string
	Password string
	TLS      *tls.Config // of mqtts; nil: what this machine trusts
}

// Config is what an operator may set. A zero member means its default.
type Config struct {
	Brokers  []Broker
	ClientID string        // of this process, the same after it was started again: 1 to 48 letters and digits
	InFlight int           // messages of one broker that are worked at a time: 256
	Session  time.Duration // for which a broker keeps what comes while we are away: 1 h
	Queue    int           // words to one broker that wait to be said: 1024
	Again    time.Duration // between two attempts to reach a broker: 1 s at first, 30 s at most
}

func (c Config) filled() Config {
	if c.InFlight <= 0 {
		c.InFlight = 256
	}
	if c.Session <= 0 {
		c.Session = time.Hour
	}
	if c.Queue <= 0 {
		c.Queue = 1024
	}
	if c.Again <= 0 {
		c.Again = time.Second
	}
	return c
}

// Deps is what the bridge works with. All are required.
type Deps struct {
	Doors *transports.Doors
	Log   *slog.Logger
}

// Bridge speaks with brokers. It is made once and served once.
type Bridge struct {
	links map[string]*link
}

var _ transports.Source = (*Bridge)(nil)

// New returns a bridge that has connected to nobody yet.
func New(c Config, d Deps) (*Bridge, error) {
	c = c.filled()
	if d.Doors == nil || d.Log == nil {
		return nil, errors.New("mqtt brokers: doors and log are required")
	}
	b := &Bridge{links: map[string]*link{}}
	for _, x := range c.Brokers {
		u, err := url.Parse(x.URL)
		if err != nil || u.Host == "" {
			return nil, fmt.Errorf("broker %s: want mqtt://HOST:1883 or mqtts://HOST:8883", x.Name)
		}
		switch u.Scheme {
		case "mqtt", "tcp":
			u.Scheme = "mqtt"
		case "mqtts", "ssl", "tls":
			u.Scheme = "tls"
			if x.TLS == nil {
				x.TLS = &tls.Config{MinVersion: tls.VersionTLS12}
			}
		default:
			return nil, fmt.Errorf("broker %s: its URL begins with %q, want mqtt or mqtts", x.Name, u.Scheme)
		}
		if u.User != nil && x.Username == "" {
			x.Username = u.User.Username()
		}
		u.User = nil
		if u.Port() == "" {
			u.Host += map[string]string{"mqtt": ":1883", "tls": ":8883"}[u.Scheme]
		}
		b.links[x.Name] = newLink(c, d, x, u)
	}
	return b, nil
}

// Serve implements [transports.Source]: it keeps a connection to each broker,
// for as long as ctx goes on.
func (b *Bridge) Serve(ctx context.Context, h transports.Handler) error {
	var wg sync.WaitGroup
	for _, l := range b.links {
		wg.Go(func() { l.serve(ctx, h) })
	}
	wg.Wait()
	return nil
}

// Publish leaves a word to be said, and does not wait for that. Where too many
// wait already, or the broker cannot be reached, it is lost and counted.
func (b *Bridge) Publish(w ota.BrokerWord) {
	if l := b.links[w.Broker]; l != nil {
		l.leave(w)
	}
}

// Deliver says a word and returns when the broker has taken it. An error is
// [ota.Busy]: say it again later.
func (b *Bridge) Deliver(ctx context.Context, w ota.BrokerWord) error {
	l := b.links[w.Broker]
	if l == nil {
		return ota.Errorf(ota.Busy, "deliver to broker "+w.Broker, "the configuration has no such broker")
	}
	w.QoS = 1
	return l.say(ctx, w)
}

// State is how things stand with a broker.
type State struct {
	Name      string
	Connected bool
	Trouble   string // why not
	Said      uint64 // words
	Lost      uint64 // words that were not said
	Heard     uint64 // messages
	Unheard   uint64 // messages that no chain took, or that came too fast to be promised
}

// States tells how things stand with each broker.
func (b *Bridge) States() []State {
	var out []State
	for _, l := range b.links {
		out = append(out, l.state())
	}
	return out
}
