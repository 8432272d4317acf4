package main

import (
	"github.com/spf13/cobra"

	"github.com/windlass-ota/windlass/engine"
)

func schemaCommand() *cobra.Command {
	return &cobra.Command{
		Use: "schema", Short: "Print the JSON Schema of a chain file, for editors", Args: args(),
		Long: "Prints the JSON Schema (2020-12) of a chain file. An editor with yaml-language-server completes chains by it, shows help and\n" +
			"marks what does not fit; `windlass validate` proves the rest. Say in the first line of a chain where the schema lies:\n\n" +
			"  # yaml-language-server: $schema=chain.schema.json",
		Example: "  windlass schema > chain.schema.json",
		RunE: func(c *cobra.Command, _ []string) error {
			schema, err := chainSchema()
			if err != nil {
				return err
			}
			_, err = c.OutOrStdout().Write(schema)
			return err
		},
	}
}

// chainSchema is the JSON Schema of chains over the nodes of this binary.
func chainSchema() ([]byte, error) {
	reg, err := newRegistry(engine.Deps{})
	if err != nil {
		return nil, err
	}
	return engine.Schema(reg)
}
