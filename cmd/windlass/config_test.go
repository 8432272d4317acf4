package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/spf13/cobra"

	"github.com/windlass-ota/windlass/ota"
)

// load reads a configuration as `windlass run` would with these flags.
func load(t *testing.T, flags ...string) (*loaded, error) {
	t.Helper()
	c := &cobra.Command{Use: "run"}
	configFlags(c, nil)
	if err := c.ParseFlags(flags); err != nil {
		t.Fatal(err)
	}
	return loadConfig(c, nil)
}

func write(t *testing.T, name, text string) string {
	t.Helper()
	file := filepath.Join(t.TempDir(), name)
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return file
}

func TestDefaults(t *testing.T) {
	l, err := load(t)
	if err != nil {
		t.Fatal(err)
	}
	want := Config{
		HTTP: ":8080", MQTT: ":1883", CoAP: ":5683", Data: "windlass-data", RedisFsync: "everysec", OffersPace: ota.Pace{Count: 100, Every: time.Minute},
		RolloutsChain: "rollout", LogFormat: "text",
		Limits:      Limits{Upload: 16 << 30, Uploads: 16, Body: 1 << 20, MQTTPayload: 65536, CoAPBody: 65536, MQTTPending: 100, Sessions: 200000, Runs: 4096},
		ChainParams: map[string]map[string]string{}, Secrets: map[string]Secret{}, Brokers: map[string]Broker{},
	}
	if diff := cmp.Diff(want, l.Config); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
	if got := l.BlobsURL(); got != filepath.Join("windlass-data", "blobs") {
		t.Errorf("blobs lie in %s", got)
	}
}

func TestEveryFormOfASetting(t *testing.T) {
	file := write(t, "windlass.yaml", `
mqtt: off
redis_fsync: always
offers: {pace: 10/1h}
chains:
  params:
    canary: {soak: 6h, share: 5%}
    rollout: {version: 1.10}
secrets:
  key: {file: /run/key}
  hook: {env: HOOK}
brokers:
  plant: {url: mqtts://plant:8883, username: us, password: key}
  lake: mqtt://lake
limits: {mqtt_payload: 1MB}
`)
	t.Setenv("WINDLASS_OFFERS_PACE", "unlimited")
	t.Setenv("WINDLASS_LIMITS_UPLOAD", "5GB")
	t.Setenv("WINDLASS_CHAINS_ENV", "A, B,")
	l, err := load(t, "-c", file, "--limits-upload", "6GB", "--mqtt-broker", "lake=mqtt://lake:1884", "--mqtt-broker", "yard=mqtt://yard", "--set", "chains=my", "--set", "chains.params.canary.soak=1h")
	if err != nil {
		t.Fatal(err)
	}
	want := Config{
		HTTP: ":8080", CoAP: ":5683", Data: "windlass-data", RedisFsync: "always", RolloutsChain: "rollout", LogFormat: "text", Chains: "my", ChainEnv: []string{"A", "B"},
		Limits:      Limits{Upload: 6e9, Uploads: 16, Body: 1 << 20, MQTTPayload: 1e6, CoAPBody: 65536, MQTTPending: 100, Sessions: 200000, Runs: 4096},
		ChainParams: map[string]map[string]string{"canary": {"soak": "1h", "share": "5%"}, "rollout": {"version": "1.10"}},
		Secrets:     map[string]Secret{"key": {File: "/run/key"}, "hook": {Env: "HOOK"}},
		Brokers: map[string]Broker{
			"plant": {URL: "mqtts://plant:8883", Username: "us", Password: "key"}, "lake": {URL: "mqtt://lake"}, "yard": {URL: "mqtt://yard"},
		},
	}
	if diff := cmp.Diff(want, l.Config); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
	for key, from := range map[string]string{
		"offers.pace": "WINDLASS_OFFERS_PACE", "limits.upload": "--limits-upload", "chains.dir": "--set", "http": "default",
		"chains.params.canary.soak": "--set", "redis_fsync": file + ":3:14",
	} {
		if l.from[key] != from {
			t.Errorf("%s comes from %q, want %q", key, l.from[key], from)
		}
	}
}

// Flags, variables and keys come from one table; none may be there twice, and
// each must say what it is.
func TestTheTableIsSound(t *testing.T) {
	seen := map[string]bool{}
	for _, s := range settings {
		for _, n := range []string{s.key, "--" + s.name(), s.env()} {
			if n != "" && n != "--" && seen[n] {
				t.Errorf("%s is there twice", n)
			}
			seen[n] = true
		}
		if s.doc == "" || (s.take == nil) == (s.later == "") {
			t.Errorf("%s: doc %q, later %q", s.key, s.doc, s.later)
		}
		if s.take != nil && !strings.Contains(s.key, "*") {
			if err := s.take(&Config{}, nil, s.def); err != nil {
				t.Errorf("%s: its default %q is not taken: %v", s.key, s.def, err)
			}
		}
	}
}

func TestSettingsRefuse(t *testing.T) {
	for _, kv := range []string{
		"http=8080", "http=:port", "http=:65536", "mqtt=localhost", "data=", "redis=localhost:6379", "redis=ftp://x", "redis=redis://u:p w@%zz",
		"redis_fsync=no", "offers.pace=0/1m", "offers.pace=100", "offers.pace=1/0s", "rollouts.chain=", "limits.upload=0", "limits.uploads=-1",
		"limits.body=1.5", "log_level=loud", "log_format=xml", "coap=5683", "coaps=x", "lwm2m=x", "plugins=x", "mqtt_broker=a=b",
	} {
		if _, err := load(t, "--set", kv); err == nil {
			t.Errorf("%s is taken", kv)
		} else if strings.Contains(err.Error(), "u:p") {
			t.Errorf("%s: the error shows a password: %v", kv, err)
		}
	}
	for _, kv := range []string{"http=off", "http=[::1]:0", "mqtt=127.0.0.1:0", "redis=off", "redis=rediss://u:p@h:1/2", "coap=off", "coap=:5683", "coaps=[::1]:0", "lwm2m=:5685", "lwm2ms=off"} {
		if _, err := load(t, "--set", kv); err != nil {
			t.Errorf("%s: %v", kv, err)
		}
	}
}

func TestMaskURL(t *testing.T) {
	for in, want := range map[string]string{
		"redis://h:1":                        "redis://h:1",
		"redis://user:pw@h:1/0":              "redis://user:****@h:1/0",
		"redis://:pw@h:1":                    "redis://:****@h:1",
		"s3://b?secretAccessKey=x&region=eu": "s3://b?region=eu&secretAccessKey=****",
		"redis://h?sentinel_password=x&db=1": "redis://h?db=1&sentinel_password=****",
		"redis://user:pw@h:1/%zz":            "****",
		"":                                   "",
	} {
		if got := maskURL(in); got != want {
			t.Errorf("%q is shown as %q, want %q", in, got, want)
		}
	}
}

// Whatever a file holds, it is read or refused with a place, and nothing else.
func FuzzConfigFile(f *testing.F) {
	for _, s := range []string{"http: :8080\n", "chains: {params: {a: {b: c}}}\n", "chains: x\nchains:\n dir: y\n", "- a\n", "a: *b\n", "secrets: {x: {file: y}}\n", "mqtt: [a, {b: c}]\n"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, text string) {
		file := filepath.Join(t.TempDir(), "w.yaml")
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		l := &loaded{from: map[string]string{}}
		_, err := l.readFile(file)
		if err == nil {
			return
		}
		if !strings.Contains(err.Error(), file+":") {
			t.Errorf("an error without its place: %v", err)
		}
	})
}
