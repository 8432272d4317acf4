// Package chaintest plays test files of chains, NAME_test.yaml beside NAME.yaml:
// a world of devices and packages, a clock that the test moves, what is done and
// what is expected of it.
//
// A world is a whole server without wires: an engine with the chains under test
// over a store in memory, driven by hand through the same doors as the real one.
// Nothing in it reads the machine's clock or rolls dice, so a case goes the same
// way each time. The package knows no node and no chain by name, save that it
// begins with those that are shipped.
package chaintest
