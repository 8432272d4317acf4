package main

import "github.com/spf13/cobra"

func completionCommand() *cobra.Command {
	shells := []string{"bash", "zsh", "fish", "powershell"}
	return &cobra.Command{
		Use: "completion bash|zsh|fish|powershell", Short: "Print a script that completes commands in a shell",
		Example: "  source <(windlass completion bash)", ValidArgs: shells, Args: args("the shell"),
		RunE: func(c *cobra.Command, a []string) error {
			w, root := c.OutOrStdout(), c.Root()
			switch a[0] {
			case "bash":
				return root.GenBashCompletionV2(w, true)
			case "zsh":
				return root.GenZshCompletion(w)
			case "fish":
				return root.GenFishCompletion(w, true)
			case "powershell":
				return root.GenPowerShellCompletionWithDesc(w)
			}
			return wrongUsage("%q is no shell that is known here; want bash, zsh, fish or powershell", a[0])
		},
	}
}
