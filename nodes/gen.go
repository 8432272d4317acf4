package nodes

// The page of the nodes follows from their specs.
//
//go:generate go run ../internal/refdoc -o README.md
