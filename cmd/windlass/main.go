// Command windlass is an over-the-air update server whose logic is chains, and
// every tool for it. A verb has a file of its own. `run` and `dev` are the
// server; most other verbs are clients of its management API, and some need no
// server at all.
//
// It decides nothing about updates: what happens is said in chains, and what is
// stored in the stores. Here is configuration, wiring and what people see.
package main

import (
	"context"
	"os"
	"os/signal"
	"syscall"
	_ "time/tzdata" // zones on machines that have none

	"github.com/spf13/cobra"
)

// version is set by the linker.
var version = "dev"

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	code := execute(ctx, newRoot(), os.Args[1:])
	stop()
	os.Exit(code)
}

// execute runs the verb that args name and returns the exit code: 0 done, 1 it
// failed, 2 wrong usage.
func execute(ctx context.Context, root *cobra.Command, args []string) int {
	root.SetArgs(args)
	cmd, err := root.ExecuteContextC(ctx)
	if err == nil {
		return 0
	}
	return report(cmd, err)
}
