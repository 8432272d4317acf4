package main

import (
	"fmt"
	"strings"

	"github.com/spf13/cobra"
)

// newRoot is the command with all its verbs.
func newRoot() *cobra.Command {
	root := &cobra.Command{
		Use:           "windlass",
		Short:         "An over-the-air update server whose logic is chains",
		Version:       version,
		SilenceErrors: true,
		SilenceUsage:  true,
		Args:          unknownVerb,
		RunE:          helpOnly,
	}
	root.CompletionOptions.DisableDefaultCmd = true
	root.SetVersionTemplate("windlass {{.Version}}\n")
	root.SetFlagErrorFunc(func(_ *cobra.Command, err error) error { return wrongUsage("%s", err) })
	root.AddGroup(&cobra.Group{ID: "server", Title: "Server:"}, &cobra.Group{ID: "client", Title: "Clients of a server:"},
		&cobra.Group{ID: "tool", Title: "Without a server:"})
	root.SetHelpCommandGroupID("tool")
	add := func(group string, cmds ...*cobra.Command) {
		for _, c := range cmds {
			c.GroupID = group
			root.AddCommand(c)
		}
	}
	add("server", runCommand(), devCommand())
	add("client", profileCommand(), deviceCommand(), packageCommand(), assignCommand(), unassignCommand(), statusCommand(), explainCommand(),
		deadLetterCommand(), rolloutCommand(), approvalCommand(), runsCommand(), replayCommand(), chainsCommand(), simulateCommand())
	add("tool", validateCommand(), testCommand(), graphCommand(), nodesCommand(), schemaCommand(), configCommand(), completionCommand(), versionCommand())
	for verb, what := range later {
		root.AddCommand(laterCommand(verb, what))
	}
	return root
}

// later are the verbs that this version does not have, and what they are about.
var later = map[string]string{
	"group":    "device groups",
	"schedule": "schedules",
	"job":      "a list of jobs",
	"audit":    "an audit log",
	"user":     "users",
	"plugin":   "plugins",
	"import":   "imports",
}

func laterCommand(verb, what string) *cobra.Command {
	return &cobra.Command{
		Use: verb, Hidden: true, DisableFlagParsing: true,
		RunE: func(*cobra.Command, []string) error { return fmt.Errorf("this version does not have %s yet", what) },
	}
}

// group is a command that only holds others.
func group(use, short string, verbs ...*cobra.Command) *cobra.Command {
	c := &cobra.Command{Use: use, Short: short, Args: unknownVerb, RunE: helpOnly}
	c.AddCommand(verbs...)
	return c
}

// helpOnly answers a command that was given without its verb.
func helpOnly(c *cobra.Command, _ []string) error {
	c.SetOut(c.ErrOrStderr())
	if err := c.Help(); err != nil {
		return err
	}
	return silentUsage
}

func unknownVerb(c *cobra.Command, args []string) error {
	if len(args) == 0 {
		return nil
	}
	err := wrongUsage("there is no verb %q", args[0])
	if s := c.SuggestionsFor(args[0]); len(s) > 0 {
		err.hint = "did you mean " + strings.Join(s, " or ") + "?"
	}
	return err
}

// args wants exactly the arguments named.
func args(names ...string) cobra.PositionalArgs {
	return func(c *cobra.Command, given []string) error {
		switch {
		case len(given) < len(names):
			return wrongUsage("%s is missing", names[len(given)])
		case len(given) > len(names):
			return wrongUsage("%q is one argument too many", given[len(names)])
		}
		return nil
	}
}

// required marks flags that a verb cannot do without.
func required(c *cobra.Command, flags ...string) {
	was := c.PreRunE
	c.PreRunE = func(c *cobra.Command, a []string) error {
		for _, f := range flags {
			if !c.Flags().Changed(f) {
				return wrongUsage("--%s is missing", f)
			}
		}
		if was != nil {
			return was(c, a)
		}
		return nil
	}
}
