package lwm2m

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"log/slog"
	"time"

	"github.com/windlass-ota/windlass/ota"
	"github.com/windlass-ota/windlass/transports"
)

// Name is what messages that came over LwM2M carry as their transport.
const Name = "lwm2m"

// Config is what an operator may set. A zero member means its default.
type Config struct {
	Listen string // address of the plain door, ":5685"; "": there is none
	Secure string // address of the door with DTLS, ":5686"; "": there is none

	AckTimeout  time.Duration // to a first retransmission, until a client's round trips are known: 2 s
	Awake       time.Duration // for which a client in queue mode listens after a word of its own: 93 s
	MaxLifetime time.Duration // of a registration, whatever the client asks for: 30 days
	LinkFor     time.Duration // for which a link holds by which a client fetches a package: 24 h
	Stall       time.Duration // the least silence by which a transfer counts as stalled: 1 minute
	Settle      time.Duration // after which a client that says that it is updated is asked once more what it runs: 30 s
	MaxClients  int           // registrations: 100000; more are refused
	MaxPeers    int           // addresses that are spoken with over UDP: 200000
}

func (c Config) filled() Config {
	def := func(v *time.Duration, d time.Duration) {
		if *v <= 0 {
			*v = d
		}
	}
	def(&c.AckTimeout, 2*time.Second)
	def(&c.Awake, 93*time.Second) // MAX_TRANSMIT_WAIT (RFC 7252, section 4.8.2)
	def(&c.MaxLifetime, 30*24*time.Hour)
	def(&c.LinkFor, 24*time.Hour)
	def(&c.Stall, time.Minute)
	def(&c.Settle, 30*time.Second)
	if c.MaxClients <= 0 {
		c.MaxClients = 100_000
	}
	if c.MaxPeers <= 0 {
		c.MaxPeers = 200_000
	}
	return c
}

// Authenticator proves clients; [transports.Authenticator] is one. All are
// NotFound where there is no such device, Busy where that cannot be told now.
type Authenticator interface {
	// Endpoint returns the device with an endpoint name, and how it proves itself.
	Endpoint(ctx context.Context, endpoint, address string) (ota.Ref, ota.Credentials, error)
	// PSK returns the device with an identity of DTLS, and its key.
	PSK(ctx context.Context, identity, address string) (ota.Ref, []byte, error)
	// Certificate returns the device that a certificate belongs to.
	Certificate(ctx context.Context, chain []*x509.Certificate, address string) (ota.Ref, error)
}

// Files opens the files whose bytes are sent; [ota.Blobs] does.
type Files interface {
	Open(ctx context.Context, digest string) (ota.Blob, error)
}

// Deps is what the server needs of the house. Certificate and Log may be left
// out.
type Deps struct {
	Auth        Authenticator
	Router      *transports.Router
	Facts       ota.Facts
	Files       Files
	Key         []byte                  // signs links: the same in all processes, and kept
	Certificate func() *tls.Certificate // what we show now; nil: pre-shared keys alone
	Log         *slog.Logger
}

func (d Deps) check() error {
	if d.Auth == nil || d.Router == nil || d.Facts == nil || d.Files == nil || len(d.Key) < 16 {
		return errors.New("lwm2m: authenticator, router, facts, files and a key of 16 bytes are required")
	}
	return nil
}

// Stats are counters since the start, and how many clients are registered now.
type Stats struct {
	Registered int
	Peers      int
	Refused    uint64 // registrations that were refused
	Dropped    uint64 // words that cannot be said over LwM2M, or to that client
	Pushes     uint64 // packages that were written, or begun to be
	Pulls      uint64 // URIs that were written
	Blocks     uint64 // that clients fetched
	Stalled    uint64 // transfers that were given up
}
