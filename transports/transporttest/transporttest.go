// Package transporttest is what every transport to devices owes, whatever its
// wire: it acknowledges after the effect, keeps the order of what a device says,
// lets nobody hear another's words, hands over nothing that it could not read,
// and ends what it has begun.
//
// A transport's test brings a [Wire]; [Run] speaks to it as devices do. What
// only one wire has (status codes, topics) is for that transport's own tests.
package transporttest

import (
	"context"
	"io"
	"os"
	"path/filepath"
	"testing"

	"github.com/windlass-ota/windlass/ota"
	"github.com/windlass-ota/windlass/transports"
)

// World is what a transport under test works with.
type World struct {
	Handler transports.Handler
	Auth    *transports.Authenticator
	Router  *transports.Router
	Blobs   ota.Blobs
}

// Wire starts the transport under test in a world, on a port of its own.
type Wire func(t *testing.T, w World) Server

// Server is a transport that serves.
type Server struct {
	// Name is what its messages carry as their transport.
	Name string
	// Dial returns a device that shows token, or an error where the server
	// refuses it at once. The device hangs up when the test ends.
	Dial func(t *testing.T, token string) (Device, error)
	// Stop ends the context of Serve, waits for it and returns its error. The
	// suite calls it once; it must end by itself with the test, too.
	Stop func() error
}

// Device speaks as a device does. Each method waits for its answer, 10 seconds
// at most.
type Device interface {
	// Telemetry sends bodies, without waiting in between where the wire allows
	// it, and says how many were acknowledged.
	Telemetry(bodies ...string) (acked int)
	// Attributes sends one body.
	Attributes(body string) (acked bool)
	// Request asks for attributes, keys with commas between.
	Request(clientKeys, sharedKeys string) (body string, err error)
	// Chunk asks for a piece; an empty one is no error.
	Chunk(k ota.Kind, v ota.Version, size, chunk int64) ([]byte, error)
	// Listen begins to listen for pushes of attributes; each comes as its body.
	// It returns when the server knows.
	Listen() <-chan string
	// Hangup ends all connections at once.
	Hangup()
}

// Tokens are the facts of the suite: token "T1" is device d1 of tenant main,
// and so on to 9; token "A1" is device d1 of tenant acme.
type Tokens struct{ ota.Facts }

// ByKey implements [ota.Facts].
func (Tokens) ByKey(_ context.Context, token string) (ota.Ref, error) {
	if len(token) == 2 && token[1] >= '1' && token[1] <= '9' {
		switch id := ota.DeviceID("d" + token[1:]); token[0] {
		case 'T':
			return ota.RefOf("main", id), nil
		case 'A':
			return ota.RefOf("acme", id), nil
		}
	}
	return ota.Ref{}, ota.Errorf(ota.NotFound, "token", "no such token")
}

// Get implements [ota.Facts]: the devices have their tokens, no profile, and
// are connected nowhere else.
func (Tokens) Get(_ context.Context, r ota.Ref) (*ota.Home, error) {
	if r.Type != ota.DeviceRef || len(r.ID) != 2 {
		return nil, ota.Errorf(ota.NotFound, "get", "no such home")
	}
	token := "T" + r.ID[1:]
	if r.Tenant == "acme" {
		token = "A" + r.ID[1:]
	}
	return &ota.Home{Ref: r, Device: &ota.Device{ID: ota.DeviceID(r.ID), Tenant: r.Tenant, Credentials: ota.Credentials{Token: token}}}, nil
}

// Files are blobs in a folder, under names instead of digests.
type Files struct {
	dir    string
	remote bool
}

// NewFiles returns an empty store. The blobs of a remote one are no local files.
func NewFiles(t testing.TB, remote bool) *Files { return &Files{t.TempDir(), remote} }

// Add keeps data under a name.
func (f *Files) Add(t testing.TB, name string, data []byte) {
	t.Helper()
	if err := os.WriteFile(filepath.Join(f.dir, name), data, 0o600); err != nil {
		t.Fatal(err)
	}
}

// Open implements [ota.Blobs].
func (f *Files) Open(_ context.Context, digest string) (ota.Blob, error) {
	file, err := os.Open(filepath.Join(f.dir, filepath.Base(digest)))
	if err != nil {
		return nil, &ota.Error{Code: ota.NotFound, Op: "open blob", Err: err}
	}
	info, err := file.Stat()
	if err != nil {
		return nil, err
	}
	b := blob{file, info.Size()}
	if f.remote {
		return b, nil
	}
	return local{b}, nil
}

// Put implements [ota.Blobs]; no transport writes.
func (*Files) Put(context.Context, io.Reader, ota.ChecksumAlgorithm, int64) (ota.BlobInfo, error) {
	return ota.BlobInfo{}, ota.Errorf(ota.Internal, "put blob", "a transport writes no blobs")
}

// Delete implements [ota.Blobs]; no transport deletes.
func (*Files) Delete(context.Context, string) error {
	return ota.Errorf(ota.Internal, "delete blob", "a transport deletes no blobs")
}

type blob struct {
	f    *os.File
	size int64
}

func (b blob) ReadAt(p []byte, off int64) (int, error) { return b.f.ReadAt(p, off) }
func (b blob) Size() int64                             { return b.size }
func (b blob) Close() error                            { return b.f.Close() }

type local struct{ blob }

func (b local) File() *os.File { return b.f }

var (
	_ ota.Blobs     = (*Files)(nil)
	_ ota.LocalBlob = local{}
)
