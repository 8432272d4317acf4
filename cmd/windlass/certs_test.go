package main

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"log/slog"
	"math/big"
	"os"
	"path/filepath"
	"testing"
	"time"
)

// writeCertificate writes a certificate with a serial number, and its key.
func writeCertificate(t *testing.T, dir string, serial int64, at time.Time) *Config {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	about := &x509.Certificate{SerialNumber: big.NewInt(serial), NotBefore: at, NotAfter: at.Add(time.Hour)}
	der, err := x509.CreateCertificate(rand.Reader, about, about, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	secret, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	c := &Config{TLSCert: filepath.Join(dir, "server.pem"), TLSKey: filepath.Join(dir, "server.key")}
	for file, b := range map[string]*pem.Block{c.TLSCert: {Type: "CERTIFICATE", Bytes: der}, c.TLSKey: {Type: "PRIVATE KEY", Bytes: secret}} {
		if err := os.WriteFile(file, pem.EncodeToMemory(b), 0o600); err != nil {
			t.Fatal(err)
		}
		if err := os.Chtimes(file, at, at); err != nil {
			t.Fatal(err)
		}
	}
	return c
}

func serial(t *testing.T, c *tls.Certificate) int64 {
	t.Helper()
	x, err := x509.ParseCertificate(c.Certificate[0])
	if err != nil {
		t.Fatal(err)
	}
	return x.SerialNumber.Int64()
}

func TestCertificateIsReadAgain(t *testing.T) {
	dir, now := t.TempDir(), time.Now()
	cfg := writeCertificate(t, dir, 1, now.Add(-time.Hour))
	c, err := openCertificate(cfg, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	want := func(at time.Duration, n int64) {
		t.Helper()
		if got := serial(t, c.get(now.Add(at))); got != n {
			t.Errorf("after %v number %d is shown, want %d", at, got, n)
		}
	}
	want(0, 1)
	writeCertificate(t, dir, 2, now)
	want(time.Second/2, 1) // it was looked at just now
	want(time.Second, 2)
	if err := os.WriteFile(cfg.TLSCert, []byte("half of one"), 0o600); err != nil {
		t.Fatal(err)
	}
	want(3*time.Second, 2)
	writeCertificate(t, dir, 3, now.Add(time.Minute))
	want(5*time.Second, 3)
}

func TestCertificateIsRefused(t *testing.T) {
	dir := t.TempDir()
	cfg := writeCertificate(t, dir, 1, time.Now())
	log := slog.New(slog.DiscardHandler)
	if err := os.Chmod(cfg.TLSKey, 0o644); err != nil {
		t.Fatal(err)
	}
	if _, err := openCertificate(cfg, log); err == nil {
		t.Error("a key that everybody may read was taken")
	}
	for _, c := range []*Config{{}, {TLSCert: cfg.TLSCert}, {TLSCert: cfg.TLSCert, TLSKey: filepath.Join(dir, "none")}} {
		if _, err := openCertificate(c, log); err == nil {
			t.Errorf("%+v was taken", c)
		}
	}
}
