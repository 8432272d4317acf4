package main

import (
	"fmt"
	"log/slog"
	"net"
	"net/url"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"github.com/windlass-ota/windlass/ota"
)

// Config is everything that a server can be told. [loadConfig] makes it; the
// table settings says how each member is called and written.
type Config struct {
	HTTP    string // address of the HTTP door, "" when it is off
	HTTPURL string // how devices reach it, without a slash at the end; "": nobody has said
	HTTPS   string // address of the HTTP door with TLS, "" when it is off
	MQTT    string // address of the MQTT door, "" when it is off
	MQTTS   string // address of the MQTT door with TLS, "" when it is off
	CoAP    string // address of the CoAP door, "" when it is off
	CoAPS   string // address of the CoAP door with DTLS, "" when it is off
	LwM2M   string // address of the LwM2M door, "" when it is off
	LwM2MS  string // address of the LwM2M door with DTLS, "" when it is off
	TLSCert string // file of the certificate that the doors with TLS show, with those behind it
	TLSKey  string // file of its key

	Data       string // folder of all that the server keeps
	Redis      string // URL; "": a store of our own in the data folder
	RedisFsync string // "everysec" or "always", of a store of our own
	Blobs      string // URL of the blob store; "": a folder below Data

	Chains      string                       // folder whose files replace or extend the shipped chains, or ""
	ChainEnv    []string                     // names that ${env.NAME} may use
	ChainParams map[string]map[string]string // by chain and name
	Secrets     map[string]Secret            // by name

	Brokers map[string]Broker // external brokers of MQTT, by name

	CallsAllow []string // networks and hosts that chains may call beside the public ones

	OffersPace    ota.Pace // zero: unlimited
	RolloutsChain string   // the conductor of a rollout that names none

	Limits    Limits
	LogLevel  slog.Level
	LogFormat string // "text" or "json"
}

// Limits bound what one peer may ask for.
type Limits struct {
	Upload      int64 // bytes of a package
	Uploads     int   // at the same time
	Body        int64 // bytes of the body of a request of management, other than a package
	MQTTPayload int64 // bytes of a message over MQTT
	CoAPBody    int64 // bytes of a body over CoAP
	MQTTPending int   // messages of one session that are not yet acknowledged
	Sessions    int   // open connections of devices in this process
	Runs        int   // runs that the flight recorder keeps
}

// Secret says where a secret is kept. One member is set.
type Secret struct{ File, Env string }

// BlobsURL is where blobs lie, whether it was said or not.
func (c *Config) BlobsURL() string {
	if c.Blobs != "" {
		return c.Blobs
	}
	return filepath.Join(c.Data, "blobs")
}

// setting is one thing that can be configured. Every value is text until take
// has read it, so a flag, a variable and a file mean the same by it.
type setting struct {
	key   string // in windlass.yaml; "*" stands for a free name
	flag  string // "": the key with dashes; "-": only --set and the file reach it
	def   string
	doc   string
	mask  func(string) string
	many  bool   // its flag may be given more than once
	later string // what this version does not have; only off, or nothing, is taken
	take  func(c *Config, names []string, v string) error
}

// name is the flag of the setting, "" where it has none.
func (s *setting) name() string {
	switch s.flag {
	case "":
		return strings.NewReplacer(".", "-", "_", "-").Replace(s.key)
	case "-":
		return ""
	}
	return s.flag
}

// env is the variable of the setting, "" where it has none.
func (s *setting) env() string {
	if s.name() == "" {
		return ""
	}
	return "WINDLASS_" + strings.ToUpper(strings.ReplaceAll(s.name(), "-", "_"))
}

// settings is the one definition of flags, variables, keys and their defaults.
var settings = []*setting{
	{key: "http", def: ":8080", doc: "address of the HTTP door, for devices and for management", take: address(func(c *Config) *string { return &c.HTTP })},
	{key: "http_url", def: "", doc: "how devices reach the HTTP door, for links to packages: https://ota.example.com", take: publicURL},
	{key: "mqtt", def: ":1883", doc: "address of the MQTT door", take: address(func(c *Config) *string { return &c.MQTT })},
	{key: "mqtts", def: "off", doc: "address of the MQTT door with TLS, where devices may come with a certificate", take: address(func(c *Config) *string { return &c.MQTTS })},
	{key: "https", def: "off", doc: "address of the HTTP door with TLS", take: address(func(c *Config) *string { return &c.HTTPS })},
	{key: "tls.cert", def: "", doc: "file of the certificate that doors with TLS show, in PEM, with those behind it; read again when it changes", take: text(func(c *Config) *string { return &c.TLSCert })},
	{key: "tls.key", def: "", doc: "file of that certificate's key, which not everybody may read", take: text(func(c *Config) *string { return &c.TLSKey })},
	{key: "coap", def: ":5683", doc: "address of the CoAP door", take: address(func(c *Config) *string { return &c.CoAP })},
	{key: "coaps", def: "off", doc: "address of the CoAP door with DTLS, where devices come with a pre-shared key or a certificate", take: address(func(c *Config) *string { return &c.CoAPS })},
	{key: "lwm2m", def: "off", doc: "address of the LwM2M door, :5685, for clients that prove nothing but their endpoint name", take: address(func(c *Config) *string { return &c.LwM2M })},
	{key: "lwm2ms", def: "off", doc: "address of the LwM2M door with DTLS, :5686, where clients come with a pre-shared key or a certificate", take: address(func(c *Config) *string { return &c.LwM2MS })},
	{key: "mqtt_broker", def: "", doc: "a broker of MQTT that chains may use, NAME=URL; may be given more than once", many: true, mask: maskBrokers, take: brokerList},
	{key: "brokers.*.url", flag: "-", doc: "where the broker of this name is: mqtt://HOST:1883 or mqtts://HOST:8883", mask: maskURL, take: ofBroker(func(b *Broker, v string) { b.URL = v })},
	{key: "brokers.*.username", flag: "-", doc: "as whom we speak to it", take: ofBroker(func(b *Broker, v string) { b.Username = v })},
	{key: "brokers.*.password", flag: "-", doc: "the name of the secret that is the password", take: ofBroker(func(b *Broker, v string) { b.Password = v })},
	{key: "brokers.*.ca", flag: "-", doc: "file of the certificates that it is known by; left out: those of this machine", take: ofBroker(func(b *Broker, v string) { b.CA = v })},
	{key: "brokers.*.cert", flag: "-", doc: "file of the certificate that we show it", take: ofBroker(func(b *Broker, v string) { b.Cert = v })},
	{key: "brokers.*.key", flag: "-", doc: "file of that certificate's key", take: ofBroker(func(b *Broker, v string) { b.Key = v })},
	{key: "plugins", def: "", doc: "folder of plugins", later: "plugins"},

	{key: "data", def: defaultData, doc: "folder of all that the server keeps", take: func(c *Config, _ []string, v string) error {
		if v == "" {
			return fmt.Errorf("is empty; name a folder")
		}
		c.Data = v
		return nil
	}},
	{key: "redis", def: "", doc: "URL of a Redis 7; left out: a redis-server of our own in the data folder", mask: maskURL, take: redisURL},
	{key: "redis_fsync", def: "everysec", doc: "how our own Redis writes to disk: everysec or always",
		take: oneOf(func(c *Config) *string { return &c.RedisFsync }, "everysec", "always")},
	{key: "blobs", def: "", doc: "folder or URL of the packages' bytes; left out: a folder in the data folder", mask: maskURL,
		take: text(func(c *Config) *string { return &c.Blobs })},

	{key: "chains.dir", flag: "chains", def: "", doc: "folder whose chains replace or extend the shipped ones",
		take: text(func(c *Config) *string { return &c.Chains })},
	{key: "chains.env", def: "", doc: "environment variables that chains may read, comma-separated", take: chainEnv},
	{key: "chains.params.*.*", flag: "-", doc: "a param of a chain: chains.params.CHAIN.NAME", take: func(c *Config, n []string, v string) error {
		if c.ChainParams[n[0]] == nil {
			c.ChainParams[n[0]] = map[string]string{}
		}
		c.ChainParams[n[0]][n[1]] = v
		return nil
	}},
	{key: "secrets.*.file", flag: "-", doc: "file that holds the secret of this name", take: func(c *Config, n []string, v string) error {
		c.Secrets[n[0]] = Secret{File: v, Env: c.Secrets[n[0]].Env}
		return nil
	}},
	{key: "secrets.*.env", flag: "-", doc: "environment variable that holds the secret of this name", take: func(c *Config, n []string, v string) error {
		c.Secrets[n[0]] = Secret{File: c.Secrets[n[0]].File, Env: v}
		return nil
	}},

	{key: "calls.allow", def: "", doc: "networks and hosts that http_request may reach beside public ones: 10.0.0.0/8, hooks.internal", take: func(c *Config, _ []string, v string) error {
		c.CallsAllow = nil
		for _, a := range strings.Split(v, ",") {
			if a = strings.TrimSpace(a); a != "" {
				c.CallsAllow = append(c.CallsAllow, a)
			}
		}
		return nil
	}},
	{key: "offers.pace", def: "100/1m", doc: "how fast updates are offered: 100/1m, 10/1h or unlimited", take: func(c *Config, _ []string, v string) (err error) {
		c.OffersPace, err = parsePace(v)
		return err
	}},
	{key: "rollouts.chain", def: "rollout", doc: "the conductor of an assignment that names none", take: func(c *Config, _ []string, v string) error {
		if v == "" {
			return fmt.Errorf("is empty; name a chain")
		}
		c.RolloutsChain = v
		return nil
	}},

	{key: "limits.upload", def: "16GiB", doc: "largest package", take: size(func(c *Config) *int64 { return &c.Limits.Upload })},
	{key: "limits.uploads", def: "16", doc: "uploads at the same time", take: number(func(c *Config) *int { return &c.Limits.Uploads })},
	{key: "limits.body", def: "1MiB", doc: "largest body of any other request of management", take: size(func(c *Config) *int64 { return &c.Limits.Body })},
	{key: "limits.mqtt_payload", def: "64KiB", doc: "largest message over MQTT", take: size(func(c *Config) *int64 { return &c.Limits.MQTTPayload })},
	{key: "limits.mqtt_pending", def: "100", doc: "messages of one session that may wait for their acknowledgement",
		take: number(func(c *Config) *int { return &c.Limits.MQTTPending })},
	{key: "limits.coap_body", def: "64KiB", doc: "largest body over CoAP, which comes in blocks", take: size(func(c *Config) *int64 { return &c.Limits.CoAPBody })},
	{key: "limits.sessions", def: "200000", doc: "open connections of devices", take: number(func(c *Config) *int { return &c.Limits.Sessions })},
	{key: "limits.runs", def: "4096", doc: "runs that the flight recorder keeps in memory, about a kilobyte each", take: number(func(c *Config) *int { return &c.Limits.Runs })},

	{key: "log_level", def: "info", doc: "debug, info, warn or error", take: func(c *Config, _ []string, v string) error {
		levels := []string{"debug", "info", "warn", "error"}
		i := slices.Index(levels, v)
		if i < 0 {
			return fmt.Errorf("is %q, want %s", v, strings.Join(levels, ", "))
		}
		c.LogLevel = []slog.Level{slog.LevelDebug, slog.LevelInfo, slog.LevelWarn, slog.LevelError}[i]
		return nil
	}},
	{key: "log_format", def: "text", doc: "text or json", take: oneOf(func(c *Config) *string { return &c.LogFormat }, "text", "json")},
}

const defaultData = "windlass-data"

// off is what an address, or anything that this version lacks, may say.
func off(v string) bool { return v == "" || v == "off" }

func text(at func(*Config) *string) func(*Config, []string, string) error {
	return func(c *Config, _ []string, v string) error {
		*at(c) = v
		return nil
	}
}

func oneOf(at func(*Config) *string, words ...string) func(*Config, []string, string) error {
	return func(c *Config, _ []string, v string) error {
		if !slices.Contains(words, v) {
			return fmt.Errorf("is %q, want %s", v, strings.Join(words, " or "))
		}
		*at(c) = v
		return nil
	}
}

func address(at func(*Config) *string) func(*Config, []string, string) error {
	return func(c *Config, _ []string, v string) error {
		if off(v) {
			*at(c) = ""
			return nil
		}
		_, port, err := net.SplitHostPort(v)
		if err != nil {
			return fmt.Errorf("%q is no address; write :8080, 127.0.0.1:8080, or off", v)
		}
		if n, err := strconv.Atoi(port); err != nil || n < 0 || n > 65535 {
			return fmt.Errorf("%q is no address: its port is no number from 0 to 65535", v)
		}
		*at(c) = v
		return nil
	}
}

func size(at func(*Config) *int64) func(*Config, []string, string) error {
	return func(c *Config, _ []string, v string) error {
		n, err := parseSize(v)
		if err == nil && n < 1 {
			err = fmt.Errorf("is %s; it must be above 0", v)
		}
		*at(c) = n
		return err
	}
}

func number(at func(*Config) *int) func(*Config, []string, string) error {
	return func(c *Config, _ []string, v string) error {
		n, err := strconv.Atoi(v)
		if err != nil || n < 1 {
			return fmt.Errorf("is %q, want a whole number above 0", v)
		}
		*at(c) = n
		return nil
	}
}

func chainEnv(c *Config, _ []string, v string) error {
	c.ChainEnv = nil
	for _, name := range strings.Split(v, ",") {
		if name = strings.TrimSpace(name); name != "" {
			c.ChainEnv = append(c.ChainEnv, name)
		}
	}
	return nil
}

// publicURL reads how devices reach the HTTP door; a proxy may put it below a
// path.
func publicURL(c *Config, _ []string, v string) error {
	if v != "" {
		u, err := url.Parse(v)
		if err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Host == "" || u.User != nil || u.RawQuery != "" || u.Fragment != "" {
			return fmt.Errorf("is %q; write https://HOST, or https://HOST/PATH", v)
		}
	}
	c.HTTPURL = strings.TrimRight(v, "/")
	return nil
}

func redisURL(c *Config, _ []string, v string) error {
	if off(v) {
		c.Redis = ""
		return nil
	}
	u, err := url.Parse(v)
	if err != nil { // its text would show the password
		return fmt.Errorf("is no URL; write redis://user:password@host:6379/0")
	}
	switch u.Scheme {
	case "redis", "rediss", "unix", "redis+sentinel", "redis+cluster":
	default:
		return fmt.Errorf("begins with %q; write redis://, rediss:// or unix://", u.Scheme)
	}
	c.Redis = v
	return nil
}

// maskURL hides the password of a URL, and the values of its query that look
// like one.
func maskURL(v string) string {
	u, err := url.Parse(v)
	if err != nil {
		return "****"
	}
	if _, has := u.User.Password(); has {
		u.User = url.UserPassword(u.User.Username(), "****")
	}
	q := u.Query()
	for k := range q {
		low := strings.ToLower(k)
		if strings.Contains(low, "pass") || strings.Contains(low, "secret") || strings.Contains(low, "key") || strings.Contains(low, "token") {
			q.Set(k, "****")
		}
	}
	u.RawQuery = q.Encode()
	return strings.ReplaceAll(u.String(), "%2A%2A%2A%2A", "****")
}
