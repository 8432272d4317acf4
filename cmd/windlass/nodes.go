package main

import "github.com/spf13/cobra"

func nodesCommand() *cobra.Command    { return &cobra.Command{Use: "nodes [NAME]"} }
func validateCommand() *cobra.Command { return &cobra.Command{Use: "validate PATH..."} }
