package chains

// A page of the docs for each example follows from its file.
//
//go:generate go run ../internal/refdoc -examples examples -o ../docs/examples
