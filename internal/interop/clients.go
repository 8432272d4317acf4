package main

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
)

// How a device proves itself. Drivers are told in one word: the token, or
// psk:IDENTITY:KEY, or x509:CERTIFICATE:KEY:SERVER'S, the last three being files.
const (
	byToken = iota
	byEndpoint
	byPSK
	byCertificate
)

// client is a row: a driver on a client that others wrote.
type client struct {
	name     string
	protocol string
	kit      kit
	driver   string   // from the root of the module
	more     []string // arguments behind those that every driver has
	version  []string // a command that prints the client's version, or a package.json below the kit
	door     string
	secret   int
	chunk    int64  // that it asks for; 0: everything at once
	lwm2m    bool   // it is updated, and goes on; it proves itself as an LwM2M client does
	names    bool   // it calls the image by the package's title, in the folder it is started in
	needed   string // beyond what ThingsBoard documents
}

const (
	shared = "testdata/clients/" // drivers that the tests have too
	own    = "internal/interop/"
)

var clients = []client{
	{name: "curl", protocol: "HTTP, chunks", kit: system, driver: shared + "curl.sh", version: []string{"curl", "--version"}, door: "http", chunk: 16 << 10,
		needed: "the empty chunk past the end, with 200"},
	{name: "curl", protocol: "HTTP, ranges", kit: system, driver: own + "shell/curl_ranges.sh", version: []string{"curl", "--version"}, door: "http", chunk: 16 << 10,
		needed: "Range and ETag, which ThingsBoard has not"},
	{name: "mosquitto_pub, _sub, _rr", protocol: "MQTT 3.1.1", kit: system, driver: shared + "mosquitto.sh", version: []string{"mosquitto_rr", "--version"}, door: "mqtt", chunk: 16 << 10,
		needed: "a reconnect for each chunk"},
	{name: "paho-mqtt", protocol: "MQTT 3.1.1", kit: pahoKit, driver: shared + "device_paho.py", more: []string{"4"}, version: pythonVersion("paho-mqtt"), door: "mqtt", chunk: 4 << 10,
		needed: "chunks without a subscription that matches"},
	{name: "paho-mqtt", protocol: "MQTT 5.0", kit: pahoKit, driver: shared + "device_paho.py", more: []string{"5"}, version: pythonVersion("paho-mqtt"), door: "mqtt", chunk: 4 << 10,
		needed: "chunks without a subscription that matches"},
	{name: "mqtt (npm)", protocol: "MQTT 3.1.1", kit: nodeKit, driver: own + "node/device_mqtt.js", more: []string{"4"}, version: []string{"node_modules/mqtt/package.json"}, door: "mqtt", chunk: 4 << 10,
		needed: "each of its filters granted, or none counts"},
	{name: "mqtt (npm)", protocol: "MQTT 5.0", kit: nodeKit, driver: own + "node/device_mqtt.js", more: []string{"5"}, version: []string{"node_modules/mqtt/package.json"}, door: "mqtt", chunk: 4 << 10,
		needed: "each of its filters granted, or none counts"},
	{name: "tb-mqtt-client, TBDeviceMqttClient", protocol: "MQTT 5.0", kit: sdkKit, driver: own + "python/sdk_mqtt.py", version: pythonVersion("tb-mqtt-client"), door: "mqtt", chunk: 4 << 10, names: true,
		needed: "getSessionLimits, the state IDLE, all keys in one push, v2/fw/response/+ granted"},
	{name: "tb-mqtt-client, TBHTTPDevice", protocol: "HTTP", kit: sdkKit, driver: own + "python/sdk_http.py", version: pythonVersion("tb-mqtt-client"), door: "http", chunk: 4 << 10, names: true,
		needed: "sharedKeys repeated, the empty chunk past the end, reports in order whatever their time"},
	{name: "aiocoap", protocol: "CoAP, chunks", kit: aioKit, driver: own + "python/device_aiocoap.py", version: pythonVersion("aiocoap"), door: "coap", chunk: 1000},
	{name: "aiocoap", protocol: "CoAP, Block2", kit: aioKit, driver: own + "python/device_aiocoap.py", version: pythonVersion("aiocoap"), door: "coap"},
	{name: "aiocoap", protocol: "CoAP, DTLS PSK", kit: aioKit, driver: own + "python/device_aiocoap.py", version: pythonVersion("aiocoap"), door: "coaps", secret: byPSK, chunk: 4 << 10,
		needed: "TLS_PSK_WITH_AES_128_CCM_8; /fw without a token"},
	libcoap("notls", "CoAP, chunks", byToken, 16<<10),
	libcoap("notls", "CoAP, Block2", byToken, 0),
	libcoap("openssl", "CoAP, DTLS PSK", byPSK, 0),
	libcoap("openssl", "CoAP, DTLS X.509", byCertificate, 0),
	libcoap("gnutls", "CoAP, DTLS PSK", byPSK, 0),
	libcoap("gnutls", "CoAP, DTLS X.509", byCertificate, 0),
	{name: "coap (npm)", protocol: "CoAP, chunks", kit: nodeKit, driver: own + "node/device_coap.js", version: []string{"node_modules/coap/package.json"}, door: "coap", chunk: 1000},
	{name: "coap (npm)", protocol: "CoAP, Block2", kit: nodeKit, driver: own + "node/device_coap.js", version: []string{"node_modules/coap/package.json"}, door: "coap"},
	leshan("push", "LwM2M, push", byEndpoint),
	leshan("pull", "LwM2M, pull", byEndpoint),
	leshan("push", "LwM2M, push, DTLS PSK", byPSK),
	leshan("pull", "LwM2M, pull, DTLS PSK", byPSK),
	leshan("push", "LwM2M, push, DTLS X.509", byCertificate),
	leshan("pull", "LwM2M, pull, DTLS X.509", byCertificate),
}

// leshan is a row of Leshan's client library with an object 5 of ours.
func leshan(delivery, protocol string, secret int) client {
	c := client{
		name: "Leshan, leshan-client-cf", protocol: protocol, kit: leshanKit, driver: own + "java/Device.java", more: []string{delivery},
		version: []string{"sh", "-c", "ls lib/leshan-client-cf-*"}, door: "lwm2m", secret: secret, chunk: 1024, lwm2m: true,
		needed: "an object 5; Californium's MAX_RESOURCE_BODY_SIZE above the image's",
	}
	if secret != byEndpoint {
		c.door = "lwm2ms"
	}
	return c
}

// libcoap is a row of one of the builds of libcoap's client.
func libcoap(build, protocol string, secret int, chunk int64) client {
	c := client{
		name: "libcoap, coap-client-" + build, protocol: protocol, kit: libc, driver: own + "shell/libcoap.sh", more: []string{build},
		version: []string{"coap-client-" + build}, door: "coap", secret: secret, chunk: chunk,
	}
	if secret != byToken {
		c.door, c.needed = "coaps", "/fw without a token"
	}
	return c
}

func pythonVersion(of string) []string {
	return []string{"venv/bin/python", "-c", "import importlib.metadata as m; print(m.version('" + of + "'))"}
}

// program is what starts the driver.
func (c *client) program(h *house, kit string) []string {
	at := filepath.Join(h.root, c.driver)
	switch filepath.Ext(c.driver) {
	case ".py":
		return []string{filepath.Join(kit, "venv/bin/python"), at}
	case ".js":
		return []string{"node", at}
	case ".java":
		return []string{"java", "-Dorg.slf4j.simpleLogger.defaultLogLevel=warn", "-cp", filepath.Join(kit, "lib", "*"), at}
	}
	return []string{"bash", at}
}

// env is what the driver finds its client by.
func (c *client) env(h *house, kit string) []string {
	return []string{
		"PYTHONDONTWRITEBYTECODE=1", "PYTHONUNBUFFERED=1", "PYTHONPATH=" + filepath.Join(h.root, shared), "NODE_PATH=" + filepath.Join(kit, "node_modules"),
		"PATH=" + os.Getenv("PATH") + ":/usr/local/sbin:/usr/sbin", // where Debian puts mosquitto
	}
}

// address is where the client finds the server, in the words of its door.
func (h *house) address(c client) string {
	if c.door == "mqtt" {
		return h.doors["mqtt"]
	}
	scheme := strings.Replace(c.door, "lwm2m", "coap", 1)
	return scheme + "://" + h.doors[c.door]
}

var versionNumber = regexp.MustCompile(`\d+(?:\.\d+)+(?:-M\d+)?`)

// versionOf asks the client which version it is.
func (h *house) versionOf(ctx context.Context, c client, kit string) (string, error) {
	var said bytes.Buffer
	if strings.HasSuffix(c.version[0], ".json") {
		b, err := os.ReadFile(filepath.Join(kit, c.version[0]))
		if err != nil {
			return "", err
		}
		_, rest, _ := strings.Cut(string(b), `"version"`)
		said.WriteString(rest)
	} else {
		name := c.version[0]
		if strings.Contains(name, "/") {
			name = filepath.Join(kit, name)
		}
		cmd := exec.CommandContext(ctx, name, c.version[1:]...) //nolint:gosec // the commands are ours
		cmd.Dir, cmd.Stdout, cmd.Stderr = kit, &said, &said
		_ = cmd.Run() // some end badly when they are asked
	}
	v := versionNumber.FindString(said.String())
	if v == "" {
		return "", &errAway{fmt.Sprintf("%s does not run: %s", c.name, firstLine(said.String()))}
	}
	return v, nil
}
