package main

import (
	"fmt"
	"net"

	"github.com/spf13/cobra"
)

func runCommand() *cobra.Command {
	c := &cobra.Command{
		Use: "run", Short: "Run the server", Args: args(),
		Long: "Runs the server until it is told to stop (SIGTERM, SIGINT). It is ready when it prints \"windlass ready\" with its addresses.\n" +
			"Every flag is also a variable, WINDLASS_ and its name in capitals, and a key of the configuration file; see `windlass config`.",
	}
	configFlags(c, nil)
	c.RunE = func(c *cobra.Command, _ []string) error {
		l, err := loadConfig(c, nil)
		if err != nil {
			return err
		}
		l.warn(c)
		return serve(c.Context(), &l.Config, serveOptions{Err: c.ErrOrStderr()})
	}
	return c
}

// devDefaults are what `dev` has other than `run`: nothing opens outside of
// this machine.
var devDefaults = map[string]string{"http": "127.0.0.1:8080", "mqtt": "127.0.0.1:1883", "coap": "127.0.0.1:5683", "log_level": "warn"}

func devCommand() *cobra.Command {
	c := &cobra.Command{
		Use: "dev", Short: "Run a server with a demo fleet that updates itself", Args: args(),
		Long: "Runs a whole server with nothing else needed: a store of its own, files on disk, doors on 127.0.0.1 alone, and a demo fleet of\n" +
			"simulated devices that is updated at once.",
	}
	devices := c.Flags().Int("devices", 50, "how many simulated devices")
	configFlags(c, devDefaults)
	c.RunE = func(c *cobra.Command, _ []string) error {
		if *devices < 0 || *devices > 100000 {
			return wrongUsage("--devices is %d, want 0 to 100000", *devices)
		}
		l, err := loadConfig(c, devDefaults)
		if err != nil {
			return err
		}
		for _, a := range []string{l.HTTP, l.HTTPS, l.MQTT, l.MQTTS, l.CoAP, l.CoAPS, l.LwM2M, l.LwM2MS} {
			if a != "" && !loopback(a) {
				return wrongUsage("%s is open to others; `windlass dev` opens nothing outside of 127.0.0.1, `windlass run` does", a)
			}
		}
		l.warn(c)
		return serve(c.Context(), &l.Config, serveOptions{Err: c.ErrOrStderr(), Dev: true, Devices: *devices})
	}
	return c
}

// loopback says whether an address is reached from this machine alone.
func loopback(address string) bool {
	host, _, err := net.SplitHostPort(address)
	if err != nil {
		return false
	}
	ip := net.ParseIP(host)
	return host == "localhost" || ip != nil && ip.IsLoopback()
}

var errNoDoor = fmt.Errorf("every door is off; give --http, --mqtt or --coap an address")
