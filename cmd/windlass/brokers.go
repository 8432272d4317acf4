package main

import (
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io/fs"
	"net/url"
	"os"
	"path/filepath"
	"strings"

	"github.com/windlass-ota/windlass/ota"
	"github.com/windlass-ota/windlass/transports/mqttbridge"
)

// Broker is an external broker of MQTT.
type Broker struct {
	URL           string
	Username      string
	Password      string // the name of a secret
	CA, Cert, Key string // files
}

func ofBroker(set func(b *Broker, v string)) func(*Config, []string, string) error {
	return func(c *Config, names []string, v string) error {
		b := c.Brokers[names[0]]
		set(&b, v)
		c.Brokers[names[0]] = b
		return nil
	}
}

// brokerList reads NAME=URL,NAME=URL.
func brokerList(c *Config, _ []string, v string) error {
	for _, x := range strings.Split(v, ",") {
		if x = strings.TrimSpace(x); off(x) {
			continue
		}
		name, at, ok := strings.Cut(x, "=")
		if !ok || at == "" {
			return fmt.Errorf("want NAME=URL, such as plant=mqtt://HOST:1883")
		}
		b := c.Brokers[name]
		b.URL = at
		c.Brokers[name] = b
	}
	return nil
}

func maskBrokers(v string) string {
	var out []string
	for _, x := range strings.Split(v, ",") {
		name, at, ok := strings.Cut(x, "=")
		if ok {
			x = name + "=" + maskURL(at)
		}
		out = append(out, x)
	}
	return strings.Join(out, ",")
}

// check says what is wrong with a broker. A password is never part of a URL,
// which is shown in too many places.
func (b Broker) check(name string, secrets map[string]Secret) error {
	u, err := url.Parse(b.URL)
	_, password := u.User.Password()
	_, known := secrets[b.Password]
	switch {
	case !chainName.MatchString(name) || name == ota.DevicesBroker:
		return fmt.Errorf("brokers.%s: a broker's name is small letters, digits and _, and not %s", name, ota.DevicesBroker)
	case b.URL == "":
		return fmt.Errorf("brokers.%s: url is missing", name)
	case err != nil || u.Host == "" || u.Scheme != "mqtt" && u.Scheme != "mqtts":
		return fmt.Errorf("brokers.%s: want mqtt://HOST:1883 or mqtts://HOST:8883", name)
	case password:
		return fmt.Errorf("brokers.%s: its URL holds a password; keep it as a secret, and name that by brokers.%s.password", name, name)
	case b.Password != "" && !known:
		return fmt.Errorf("brokers.%s.password: there is no secret %s", name, b.Password)
	case (b.Cert == "") != (b.Key == ""):
		return fmt.Errorf("brokers.%s: cert and key belong together", name)
	}
	return nil
}

func (c *Config) brokerNames() map[string]bool {
	out := map[string]bool{}
	for name := range c.Brokers {
		out[name] = true
	}
	return out
}

// tls is how the broker is known, and how we are to it; nil where nothing is said
// of that.
func (b Broker) tls() (*tls.Config, error) {
	if b.CA == "" && b.Cert == "" {
		return nil, nil
	}
	out := &tls.Config{MinVersion: tls.VersionTLS12}
	if b.CA != "" {
		data, err := os.ReadFile(b.CA)
		if err != nil {
			return nil, err
		}
		out.RootCAs = x509.NewCertPool()
		if !out.RootCAs.AppendCertsFromPEM(data) {
			return nil, fmt.Errorf("%s holds no certificate", b.CA)
		}
	}
	if b.Cert != "" {
		pair, err := tls.LoadX509KeyPair(b.Cert, b.Key)
		if err != nil {
			return nil, err
		}
		out.Certificates = []tls.Certificate{pair}
	}
	return out, nil
}

// newBridge makes what speaks with the brokers.
func (s *server) newBridge(secrets map[string]string) (*mqttbridge.Bridge, error) {
	c := mqttbridge.Config{}
	for _, name := range sortedKeys(s.cfg.Brokers) {
		b := s.cfg.Brokers[name]
		t, err := b.tls()
		if err != nil {
			return nil, fmt.Errorf("brokers.%s: %w", name, err)
		}
		c.Brokers = append(c.Brokers, mqttbridge.Broker{Name: name, URL: b.URL, Username: b.Username, Password: secrets[b.Password], TLS: t})
	}
	if len(c.Brokers) > 0 {
		var err error
		if c.ClientID, err = clientID(s.cfg.Data); err != nil {
			return nil, err
		}
	}
	return mqttbridge.New(c, mqttbridge.Deps{Doors: &s.ways, Log: s.log})
}

const clientFile = "mqtt.client"

// clientID is by what brokers know the server again after it was started anew.
func clientID(data string) (string, error) {
	file := filepath.Join(data, clientFile)
	b, err := os.ReadFile(file)
	if err == nil && len(strings.TrimSpace(string(b))) >= 8 {
		return strings.TrimSpace(string(b)), nil
	}
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return "", err
	}
	id := strings.ToLower(rand.Text()[:16])
	return id, os.WriteFile(file, []byte(id+"\n"), 0o600)
}
