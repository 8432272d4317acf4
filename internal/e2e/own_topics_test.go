package e2e

import (
	"bytes"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"
)

// beginMosquitto starts a broker of MQTT that keeps its sessions on disk.
func beginMosquitto(t *testing.T, dir string, port int) *process {
	t.Helper()
	conf := filepath.Join(dir, "mosquitto.conf")
	text := fmt.Sprintf("listener %d 127.0.0.1\nallow_anonymous true\npersistence true\npersistence_location %s/\nautosave_interval 1\nautosave_on_changes true\n", port, dir)
	if os.Geteuid() == 0 {
		text += "user root\n"
	}
	if err := os.WriteFile(conf, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	name, err := exec.LookPath("mosquitto")
	if err != nil {
		name = "/usr/sbin/mosquitto" // where Debian puts it
	}
	p := begin(t, "mosquitto", exec.Command(name, "-c", conf))
	wait(t, 20*time.Second, "mosquitto", func() (bool, string) {
		c, err := net.DialTimeout("tcp", fmt.Sprintf("127.0.0.1:%d", port), time.Second)
		if err != nil {
			return false, p.log.tail(300)
		}
		return c.Close() == nil, ""
	})
	return p
}

// A device that speaks topics of its own on a broker of somebody else is updated
// by a chain alone. The broker is started again in the middle.
func TestOwnTopics(t *testing.T) {
	t.Parallel()
	dir, port := t.TempDir(), freePort(t)
	broker := beginMosquitto(t, dir, port)
	chains := t.TempDir()
	text, err := os.ReadFile(filepath.Join("..", "..", "chains", "examples", "own_topics.yaml"))
	if err == nil {
		err = os.WriteFile(filepath.Join(chains, "own_topics.yaml"), text, 0o600)
	}
	if err != nil {
		t.Fatal(err)
	}
	s := run(t, "", "--chains", chains, "--mqtt-broker", fmt.Sprintf("plant=mqtt://127.0.0.1:%d", port))
	s.do(t, "profile", "create", "acme")
	s.do(t, "device", "create", "s-1", "--profile", "acme")
	file, data := randomFile(t, randomFor(t), 150_001)
	s.upload(t, file, "app", "2.0", "acme")

	at := []string{"-h", "127.0.0.1", "-p", fmt.Sprint(port)}
	session := exec.Command("mosquitto_sub", append(at, "-i", "s-1", "-c", "-q", "1", "-t", "acme/s-1/ota/offer", "-E")...)
	if out, err := session.CombinedOutput(); err != nil {
		t.Fatalf("open the device's session: %v\n%s", err, out)
	}
	image := filepath.Join(t.TempDir(), "image")
	device := begin(t, "own_topics.sh", exec.Command("sh", testdata(t, "clients", "own_topics.sh"), "127.0.0.1", fmt.Sprint(port), "s-1", image))
	s.do(t, "assign", "app@2.0", "--profile", "acme")

	wait(t, time.Minute, "half of the image", func() (bool, string) {
		info, err := os.Stat(image)
		return err == nil && info.Size() > int64(len(data)/2), s.log.tail(300)
	})
	broker.kill()
	broker = beginMosquitto(t, dir, port)
	wait(t, 2*time.Minute, "the device", func() (bool, string) {
		select {
		case <-device.done:
			return true, ""
		default:
			return false, s.log.tail(500)
		}
	})
	if device.err != nil {
		t.Fatalf("the device: %v\n%s", device.err, device.log)
	}
	got, err := os.ReadFile(image)
	if err != nil || !bytes.Equal(got, data) {
		t.Errorf("the image differs: %d bytes, want %d, %v", len(got), len(data), err)
	}
	var d struct {
		Firmware struct {
			State string `json:"state"`
		} `json:"firmware"`
	}
	wait(t, 30*time.Second, "UPDATED", func() (bool, string) {
		s.ask(t, &d, "device", "show", "s-1")
		return d.Firmware.State == "UPDATED", d.Firmware.State
	})
	broker.kill()
}
