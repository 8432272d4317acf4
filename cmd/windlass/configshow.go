package main

import "github.com/spf13/cobra"

// shownSetting is one line of `windlass config`.
type shownSetting struct {
	Key   string `json:"key"`
	Value string `json:"value"`
	From  string `json:"from"`
}

func configCommand() *cobra.Command {
	c := &cobra.Command{
		Use: "config", Short: "Print the effective configuration, with where each value came from", Args: args(),
		Long: "Prints every setting as a server would have it: the defaults of `windlass run`, over them the file named by -c, then the\n" +
			"environment, then flags, then --set. Secrets are masked.",
	}
	format := outputFlag(c)
	configFlags(c, nil)
	c.RunE = func(c *cobra.Command, _ []string) error {
		l, err := loadConfig(c, nil)
		if err != nil {
			return err
		}
		var out []shownSetting
		for _, key := range l.keys() {
			s, _ := findSetting(key)
			v := l.values.String(key)
			if s.mask != nil && v != "" {
				v = s.mask(v)
			}
			out = append(out, shownSetting{key, v, l.from[key]})
		}
		l.warn(c)
		return show(c, *format, out, func() *table {
			t := &table{head: []string{"KEY", "VALUE", "FROM"}}
			for _, s := range out {
				t.add(s.Key, orDash(s.Value), s.From)
			}
			return t
		})
	}
	return c
}

// warn tells what was found on the way and stops nothing.
func (l *loaded) warn(c *cobra.Command) {
	for _, w := range l.warnings {
		c.PrintErrf("windlass: warning: %s\n", w)
	}
}
