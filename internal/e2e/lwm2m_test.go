package e2e

import (
	"bytes"
	"context"
	"fmt"
	"net"
	"net/http"
	"regexp"
	"sync/atomic"
	"testing"
	"time"

	"github.com/pion/dtls/v3"

	"github.com/windlass-ota/windlass/ota"
	"github.com/windlass-ota/windlass/sim"
)

// listensAt is the address of one of the server's doors, as the ready line has it.
func (s *server) listensAt(t *testing.T, name string) string {
	t.Helper()
	m := regexp.MustCompile(`(?m)^windlass ready.* ` + name + `=(\S+)`).FindStringSubmatch(s.log.String())
	if m == nil {
		t.Fatalf("the server has no door %s", name)
	}
	return m[1]
}

// Clients of LwM2M end UPDATED with equal bytes: pushed and pulled, plainly and by
// a pre-shared key, firmware and software, with loss, with a restart in between.
func TestLwM2M(t *testing.T) {
	t.Parallel()
	s := run(t, "", "--lwm2m", "127.0.0.1:0", "--lwm2ms", "127.0.0.1:0", "--set", "offers.pace=unlimited")
	plain, secure := s.listensAt(t, "lwm2m"), s.listensAt(t, "lwm2ms")
	for _, kind := range []string{"firmware", "software"} {
		s.do(t, "profile", "create", "push-"+kind)
		s.do(t, "profile", "create", "pull-"+kind)
		s.manage(t, http.MethodPatch, "/api/profiles/pull-"+kind, map[string]any{"lwm2m": map[string]any{"fwUpdateStrategy": 2, "swUpdateStrategy": 2}}, nil)
	}
	file, data := randomFile(t, randomFor(t), 120_001)
	for _, p := range []string{"push-firmware", "pull-firmware", "push-software", "pull-software"} {
		s.upload(t, file, p, "1.1.10", p, "--type", p[5:])
		s.do(t, "assign", p+"@1.1.10", "--profile", p)
	}
	for _, tt := range []struct {
		name, profile string
		psk           bool
		loss          float64
		restart       int64
	}{
		{"push", "push-firmware", false, 0, 0}, {"pull", "pull-firmware", false, 0, 0},
		{"push-psk", "push-firmware", true, 0, 0}, {"pull-psk", "pull-firmware", true, 0, 0},
		{"push-sw", "push-software", false, 0, 0}, {"pull-sw", "pull-software", true, 0, 0},
		{"push-loss", "push-firmware", false, 0.05, 0}, {"pull-loss", "pull-firmware", false, 0.2, 0},
		{"push-restart", "push-firmware", false, 0, 60_000}, {"pull-restart", "pull-firmware", false, 0, 60_000},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			cred := map[string]any{"type": "LWM2M_CREDENTIALS", "endpoint": "urn:" + tt.name}
			if tt.psk {
				cred["identity"], cred["key"] = "id-"+tt.name, "000102030405060708090a0b0c0d0e0f"
			}
			s.manage(t, http.MethodPost, "/api/devices", map[string]any{"name": tt.name, "profile": tt.profile, "credentials": cred}, nil)
			var known atomic.Bool // the server knows how it went, whatever got lost
			c := &sim.LwM2M{
				Until: known.Load,
				Name:  tt.name, Endpoint: "urn:" + tt.name, Kind: ota.Kind(tt.profile[5:]), Delivery: 2, Keep: true,
				Runs: ota.Version{Title: tt.profile, Version: "1.1.1"}, Target: ota.Version{Title: tt.profile, Version: "1.1.10"},
				AckTimeout: 100 * time.Millisecond, Loss: tt.loss, RestartAt: tt.restart, Install: 50 * time.Millisecond,
				Dial: func(ctx context.Context) (net.Conn, error) {
					if tt.psk {
						return dialPSK(ctx, secure, "id-"+tt.name)
					}
					return (&net.Dialer{}).DialContext(ctx, "udp", plain)
				},
				Notice: func(e sim.Event) {
					if e.Err != nil {
						t.Logf("client: %v", e.Err)
					}
				},
			}
			ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
			defer cancel()
			ended := make(chan struct{})
			go func() {
				defer close(ended)
				r, err := c.Run(ctx)
				if err != nil || r.State != ota.Updated || !bytes.Equal(c.Received, data) {
					t.Errorf("%+v, %v; %d bytes came", r, err, len(c.Received))
				}
			}()
			defer func() { <-ended }()
			defer known.Store(true)
			wait(t, 90*time.Second, "UPDATED", func() (bool, string) {
				d := s.device(t, tt.name)
				u := d.Firmware
				if c.Kind == ota.Software {
					u = d.Software
				}
				return u.State == "UPDATED", fmt.Sprintf("%s %s %v", u.State, u.Error, u.states())
			})
		})
	}
}

// dialPSK shakes hands with the key that all devices of the test have.
func dialPSK(ctx context.Context, address, identity string) (net.Conn, error) {
	at, err := net.ResolveUDPAddr("udp", address)
	if err != nil {
		return nil, err
	}
	conn, err := dtls.DialWithOptions("udp", at,
		dtls.WithPSK(func([]byte) ([]byte, error) { return []byte{0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15}, nil }),
		dtls.WithPSKIdentityHint([]byte(identity)), dtls.WithCipherSuites(dtls.TLS_PSK_WITH_AES_128_CCM_8))
	if err != nil {
		return nil, err
	}
	if err := conn.HandshakeContext(ctx); err != nil {
		conn.Close()
		return nil, err
	}
	return conn, nil
}

// A fleet is played by the verb, with loss and with failures.
func TestSimulateLwM2M(t *testing.T) {
	t.Parallel()
	n := sized(100, 30)
	s := run(t, "", "--lwm2m", "127.0.0.1:0", "--set", "offers.pace=unlimited")
	file, _ := randomFile(t, randomFor(t), 20_000)
	s.do(t, "profile", "create", "meter")
	s.upload(t, file, "meter", "1", "meter")
	s.do(t, "assign", "meter@1", "--profile", "meter")
	var told struct {
		Devices, Unplanned int
		States             map[string]int
	}
	s.ask(t, &told, "simulate", "--devices", fmt.Sprint(n), "--profile", "meter", "--transport", "lwm2m", "--loss", "1%", "--fail", "10%", "--timeout", "3m")
	if told.Devices != n || told.Unplanned != 0 || told.States["UPDATED"] != n-n/10 || told.States["FAILED"] != n/10 {
		t.Errorf("%+v", told)
	}
}
