// Package facts keeps copies of what a store holds, so that most questions are
// answered without asking it. Copies are a few seconds old at most; what this
// process commits is seen by it at once, and what others commit as soon as they
// tell.
//
// It wraps any store and decides nothing: which package a device shall run is
// computed each time, from copies of the nouns alone.
package facts
