// Package storetest says what the store interfaces of ota mean: one suite for
// each, which every implementation passes over every kind of server that it may
// run on. A suite reads as a list of facts.
//
// It knows no implementation; what the interfaces do not reach, such as setting
// a lease, comes in as functions.
package storetest
