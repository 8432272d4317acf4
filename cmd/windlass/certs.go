package main

import (
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"sync"
	"time"
)

// certificate is what the doors with TLS show. It is read again when its files
// have changed, so that one that is renewed needs no restart.
type certificate struct {
	cert, key string // files
	log       *slog.Logger

	mu    sync.Mutex
	shown *tls.Certificate
	of    [2]time.Time // when the files of what is shown were written
	next  time.Time    // when they are looked at again
}

// lookAgain is how long the files of a certificate are taken to be unchanged.
const lookAgain = time.Second

var errNoCertificate = errors.New("a door with TLS needs a certificate: give tls.cert and tls.key their files")

// openCertificate reads it, so that a bad one is known at start.
func openCertificate(cfg *Config, log *slog.Logger) (*certificate, error) {
	if cfg.TLSCert == "" || cfg.TLSKey == "" {
		return nil, errNoCertificate
	}
	c := &certificate{cert: cfg.TLSCert, key: cfg.TLSKey, log: log}
	if err := checkPrivate(c.key); err != nil {
		return nil, err
	}
	var err error
	c.shown, c.of, err = c.read()
	return c, err
}

// checkPrivate refuses a key that everybody on the machine may read.
func checkPrivate(file string) error {
	info, err := os.Stat(file)
	if err != nil {
		return err
	}
	if info.Mode().Perm()&0o007 != 0 {
		return fmt.Errorf("%s: everybody may read this key; chmod o= it", file)
	}
	return nil
}

func (c *certificate) read() (*tls.Certificate, [2]time.Time, error) {
	of, err := c.written()
	if err != nil {
		return nil, of, err
	}
	pair, err := tls.LoadX509KeyPair(c.cert, c.key)
	if err != nil {
		return nil, of, fmt.Errorf("certificate %s: %w", c.cert, err)
	}
	return &pair, of, nil
}

func (c *certificate) written() (of [2]time.Time, err error) {
	for i, file := range []string{c.cert, c.key} {
		info, err := os.Stat(file)
		if err != nil {
			return of, err
		}
		of[i] = info.ModTime()
	}
	return of, nil
}

// get is what is shown now. Files that cannot be read, amid their renewal say,
// change nothing but the log.
func (c *certificate) get(now time.Time) *tls.Certificate {
	c.mu.Lock()
	defer c.mu.Unlock()
	if now.Before(c.next) {
		return c.shown
	}
	c.next = now.Add(lookAgain)
	if of, err := c.written(); err == nil && of == c.of {
		return c.shown
	}
	pair, of, err := c.read()
	if err != nil {
		c.log.Warn("the certificate could not be read again; the one that was read last is shown", "err", err)
		return c.shown
	}
	c.log.Info("the certificate was read again", "file", c.cert)
	c.shown, c.of = pair, of
	return c.shown
}

// tls is how the doors speak TLS, nil where there is no certificate.
func (c *certificate) tls() *tls.Config {
	if c == nil {
		return nil
	}
	return &tls.Config{
		MinVersion:     tls.VersionTLS12,
		GetCertificate: func(*tls.ClientHelloInfo) (*tls.Certificate, error) { return c.get(time.Now()), nil },
	}
}

// shows is what the doors with DTLS show at each handshake, nil where there is no
// certificate.
func (c *certificate) shows() func() *tls.Certificate {
	if c == nil {
		return nil
	}
	return func() *tls.Certificate { return c.get(time.Now()) }
}
