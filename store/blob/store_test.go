package blob_test

import (
	"testing"

	"go.uber.org/goleak"
	"gocloud.dev/blob/fileblob"

	"github.com/windlass-ota/windlass/ota"
	"github.com/windlass-ota/windlass/store/blob"
	"github.com/windlass-ota/windlass/store/storetest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func closed(t *testing.T, s blob.Store, err error) blob.Store {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	return s
}

func TestSuite(t *testing.T) {
	t.Run("folder", func(t *testing.T) {
		storetest.Blobs(t, func(t *testing.T) ota.Blobs {
			s, err := blob.Open(t.Context(), t.TempDir(), blob.Options{})
			return closed(t, s, err)
		})
	})
	t.Run("folder by URL, every check in the background", func(t *testing.T) {
		storetest.Blobs(t, func(t *testing.T) ota.Blobs {
			s, err := blob.Open(t.Context(), "file://"+t.TempDir(), blob.Options{Background: 1})
			return closed(t, s, err)
		})
	})
	t.Run("mem", func(t *testing.T) {
		storetest.Blobs(t, func(t *testing.T) ota.Blobs {
			s, err := blob.Open(t.Context(), "mem://", blob.Options{Spool: t.TempDir()})
			return closed(t, s, err)
		})
	})
	t.Run("bucket of files", func(t *testing.T) {
		storetest.Blobs(t, func(t *testing.T) ota.Blobs {
			// Beside each file the driver would write one of attributes, cut short
			// and filled again by a second upload of the same bytes while others
			// read it. No bucket in a cloud does that, so it is left out.
			b, err := fileblob.OpenBucket(t.TempDir(), &fileblob.Options{NoTempDir: true, Metadata: fileblob.MetadataDontWrite})
			if err != nil {
				t.Fatal(err)
			}
			return closed(t, blob.NewBucket(b, blob.Options{Spool: t.TempDir()}), nil)
		})
	})
}

func TestOpenRefuses(t *testing.T) {
	for _, address := range []string{"", "ftp://x/y", "file://elsewhere/folder", "s3://bucket", "gs://bucket", "azblob://bucket"} {
		s, err := blob.Open(t.Context(), address, blob.Options{})
		if ota.CodeOf(err) != ota.Invalid {
			t.Errorf("open %q: %v, want invalid", address, err)
		}
		if err == nil {
			s.Close()
		}
	}
}
