// Package yamlx reads the subset of YAML that we accept, with the place of every
// node. It is the one import of the YAML library.
//
// The subset: UTF-8, one document, no tags, no merge keys, no key twice, bounds on
// size, depth and aliases. It knows nothing of chains or of configuration, and it
// never turns text into another type by its look unless it is asked to
// ([Node.Value]).
package yamlx
