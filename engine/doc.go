// Package engine runs chains: YAML-defined lists of nodes through which every
// message of a device, an operator or the clock flows.
//
// It has two halves. The loader reads chain files, proves what can be proved
// about them and compiles them to flat arrays of nodes; it refuses a chain
// whole, with every fault at its line and column. The runner takes a message,
// finds the one chain that answers it, runs it to completion on the caller's
// goroutine, commits what the run wants in one piece and only then lets words
// go out.
//
// It knows no wire form, no key of any store and no node by name, save the few
// flow words (call, return) that are part of the language itself.
package engine
