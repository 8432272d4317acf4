package main

import (
	"fmt"
	"net"
	"slices"
	"time"

	"github.com/spf13/cobra"

	"github.com/windlass-ota/windlass/ota"
)

func simulateCommand() *cobra.Command {
	c := &cobra.Command{
		Use: "simulate", Short: "Play devices against a server, to the end of their update", Args: args(),
		Long: "Makes what is missing of so many devices of a profile, connects them and plays each until its update has ended: it downloads what it\n" +
			"is offered, verifies the checksum, installs and reports. Assign a package to the profile before or meanwhile. At the end the server's\n" +
			"states are compared with what was planned; exit code 1 when one differs.",
	}
	var s simulation
	f := c.Flags()
	f.IntVar(&s.devices, "devices", 10, "how many devices")
	f.StringVar(&s.profile, "profile", "", "their profile")
	f.StringVar(&s.transport, "transport", "mqtt", "mqtt, http, coap or lwm2m")
	complete(c, "transport", "mqtt", "http", "coap", "lwm2m")
	chunk := f.String("chunk", "16KiB", "bytes asked for at a time; 0: the whole file at once")
	fail := f.String("fail", "0%", "share of devices that report FAILED instead of installing")
	loss := f.String("loss", "0%", "share of datagrams lost; for transports over UDP")
	f.DurationVar(&s.timeout, "timeout", 5*time.Minute, "how long in all")
	f.DurationVar(&s.install, "install", 0, "how long an installation takes")
	f.StringVar(&s.address, "address", "", "HOST:PORT of the server's door for devices; found by the server when left out")
	kind := kindFlag(c, "firmware", "of which type")
	format := outputFlag(c)
	required(c, "profile")
	return clientVerb(c, func(c *cobra.Command, cl *client, _ []string) (err error) {
		s.kind = ota.Kind(*kind)
		if s.chunk, err = parseSize(*chunk); err != nil {
			return wrongUsage("--chunk: %s", err)
		}
		if s.fail, err = parsePercent(*fail); err != nil {
			return wrongUsage("--fail: %s", err)
		}
		s.loss, err = parsePercent(*loss)
		if err != nil {
			return wrongUsage("--loss: %s", err)
		}
		if err := s.check(s.loss); err != nil {
			return err
		}
		out, err := s.run(c.Context(), c, cl)
		if err != nil {
			return err
		}
		if err := show(c, *format, out, func() *table { return simulationTable(out) }); err != nil {
			return err
		}
		if n := out.Unplanned; n > 0 {
			return fmt.Errorf("%d of %d devices ended otherwise than planned; the first: %s", n, out.Devices, out.First)
		}
		return nil
	})
}

// check refuses what cannot be played.
func (s *simulation) check(lost float64) error {
	switch {
	case s.devices < 1 || s.devices > 1000000:
		return wrongUsage("--devices is %d, want 1 to 1000000", s.devices)
	case s.timeout <= 0:
		return wrongUsage("--timeout is %s, want more than 0", s.timeout)
	case !slices.Contains([]string{"mqtt", "http", "coap", "lwm2m"}, s.transport):
		return wrongUsage("--transport is %q, want mqtt, http, coap or lwm2m", s.transport)
	case lost >= 0.9:
		return wrongUsage("--loss is %g %%, want less than 90 %%", lost*100)
	case lost > 0 && s.transport != "lwm2m" && s.transport != "coap":
		return fmt.Errorf("--loss is for transports over UDP; over %s TCP would mend it", s.transport)
	}
	if s.address != "" {
		if _, _, err := net.SplitHostPort(s.address); err != nil {
			return wrongUsage("--address is %q, want HOST:PORT", s.address)
		}
	}
	return nil
}

// simulated is what came of a simulation.
type simulated struct {
	Devices   int            `json:"devices"`
	States    map[string]int `json:"states"`
	Unplanned int            `json:"unplanned"`
	First     string         `json:"first,omitempty"`
	Created   int            `json:"created"`
	Took      string         `json:"took"`
	Updates   spread         `json:"updates"`
	Bytes     int64          `json:"bytes"`
	Speed     float64        `json:"bytesPerSecond"`

	errors map[string]int
}

// spread is how long the devices' updates took.
type spread struct {
	Shortest string `json:"shortest"`
	Median   string `json:"median"`
	P95      string `json:"p95"`
	Longest  string `json:"longest"`
}

func simulationTable(s simulated) *table {
	t := &table{}
	t.add("devices", fmt.Sprintf("%d (%d of them made now)", s.Devices, s.Created))
	for _, state := range append(ota.States(), "") {
		if n := s.States[stateName(string(state))]; n > 0 {
			t.add("  "+stateName(string(state)), fmt.Sprint(n))
		}
	}
	for _, text := range sortedKeys(s.errors) {
		t.add("  error", fmt.Sprintf("%d × %s", s.errors[text], text))
	}
	t.add("took", s.Took)
	if s.Updates.Longest != "" {
		t.add("an update", fmt.Sprintf("%s shortest, %s median, %s p95, %s longest", s.Updates.Shortest, s.Updates.Median, s.Updates.P95, s.Updates.Longest))
	}
	t.add("bytes", fmt.Sprintf("%s, %s/s", printSize(s.Bytes), printSize(int64(s.Speed))))
	return t
}

func stateName(s string) string {
	if s == "" {
		return "NONE"
	}
	return s
}
