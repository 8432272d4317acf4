package redis

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"math/big"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/windlass-ota/windlass/ota"
	"github.com/windlass-ota/windlass/store/redis/redistest"
)

// stores says whether the Redis at a URL keeps a device.
func stores(t *testing.T, o Options) redis.UniversalClient {
	t.Helper()
	c, err := Open(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	s, _ := newOwner(t, emptied(t, c), "a")
	dueDevices(t, s, 1, "p")
	if _, err := s.Find(t.Context(), "main", ota.DeviceRef, "d0"); err != nil {
		t.Error(err)
	}
	return c
}

func TestOpenFindsClusters(t *testing.T) {
	c, ok := redistest.Cluster(t).(*redis.ClusterClient)
	if !ok {
		t.Fatal("no cluster")
	}
	one := c.Options().Addrs[0]
	if _, ok := stores(t, Options{URL: "redis://" + one}).(*redis.ClusterClient); !ok {
		t.Error("one member's address does not lead to the cluster")
	}
	_, err := Open(t.Context(), Options{URL: "redis://" + one + "/3"})
	if ota.CodeOf(err) != ota.Invalid {
		t.Errorf("a database of a cluster gives %v", err)
	}
}

func TestOpenRefusesWhatEvicts(t *testing.T) {
	server := redistest.StartServer(t, true, "--maxmemory", "100mb", "--maxmemory-policy", "allkeys-lru")
	_, err := Open(t.Context(), Options{URL: "redis://" + server.Addr})
	if ota.CodeOf(err) != ota.Invalid || !strings.Contains(err.Error(), "noeviction") {
		t.Errorf("a Redis that evicts gives %v", err)
	}
	_, err = Open(t.Context(), Options{URL: "redis://127.0.0.1:1"})
	if ota.CodeOf(err) != ota.Busy {
		t.Errorf("nobody there gives %v", err)
	}
}

func TestOpenWithUserAndTLS(t *testing.T) {
	cert, pool := selfSigned(t)
	plain := redistest.StartServer(t, true)
	admin := plain.Client(t)
	_, port, _ := net.SplitHostPort(plain.Addr)
	secure := freeAddr(t)
	_, tlsPort, _ := net.SplitHostPort(secure)
	for _, set := range [][2]string{{"tls-cert-file", cert + ".crt"}, {"tls-key-file", cert + ".key"}, {"tls-auth-clients", "no"}, {"tls-port", tlsPort}} {
		if err := admin.ConfigSet(t.Context(), set[0], set[1]).Err(); err != nil {
			t.Fatal(set, err)
		}
	}
	if err := admin.Do(t.Context(), "acl", "setuser", "windlass", "on", ">p@ss", "~*", "&*", "+@all", "-config").Err(); err != nil {
		t.Fatal(err)
	}
	if err := admin.Do(t.Context(), "acl", "setuser", "default", "off").Err(); err != nil {
		t.Fatal(err)
	}
	stores(t, Options{URL: "redis://windlass:p%40ss@127.0.0.1:" + port})
	stores(t, Options{URL: "rediss://windlass:p%40ss@localhost:" + tlsPort + "/0", TLS: &tls.Config{RootCAs: pool, MinVersion: tls.VersionTLS12}})
	for _, url := range []string{"redis://127.0.0.1:" + port, "redis://windlass:wrong@127.0.0.1:" + port, "rediss://windlass:p%40ss@localhost:" + tlsPort} {
		if _, err := Open(t.Context(), Options{URL: url}); ota.CodeOf(err) != ota.Invalid || strings.Contains(err.Error(), "p@ss") {
			t.Errorf("%s gives %v", url, err)
		}
	}
}

func TestOpenBySentinel(t *testing.T) {
	master := redistest.StartServer(t, true)
	addr := freeAddr(t)
	host, port, _ := net.SplitHostPort(addr)
	mhost, mport, _ := net.SplitHostPort(master.Addr)
	conf := filepath.Join(t.TempDir(), "sentinel.conf")
	text := fmt.Sprintf("port %s\nbind %s\nsentinel monitor fleet %s %s 1\nlogfile %s\n", port, host, mhost, mport, conf+".log")
	if err := os.WriteFile(conf, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command("redis-server", conf, "--sentinel")
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	defer func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
	}()
	eventually(t, "the Sentinel is there", func() bool {
		conn, err := net.Dial("tcp", addr)
		if err == nil {
			conn.Close()
		}
		return err == nil
	})
	stores(t, Options{URL: "redis+sentinel://" + addr + "/fleet"})
	_, err := Open(t.Context(), Options{URL: "redis+sentinel://" + addr + "/nobody"})
	if ota.CodeOf(err) != ota.Busy {
		t.Errorf("a master that no Sentinel knows gives %v", err)
	}
}

func freeAddr(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().String()
}

// selfSigned writes PATH.crt and PATH.key of localhost, and returns PATH.
func selfSigned(t *testing.T) (path string, pool *x509.CertPool) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	c := &x509.Certificate{SerialNumber: big.NewInt(1), DNSNames: []string{"localhost"}, NotAfter: time.Now().Add(time.Hour), IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign | x509.KeyUsageDigitalSignature}
	der, err := x509.CreateCertificate(rand.Reader, c, c, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	secret, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	path = filepath.Join(t.TempDir(), "redis")
	crt := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})
	for suffix, text := range map[string][]byte{".crt": crt, ".key": pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: secret})} {
		if err := os.WriteFile(path+suffix, text, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	pool = x509.NewCertPool()
	pool.AppendCertsFromPEM(crt)
	return path, pool
}
