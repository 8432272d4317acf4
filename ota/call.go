package ota

// Call is a request to a server of somebody else, over HTTP.
type Call struct {
	Method  string
	URL     string // may be a secret
	Headers map[string]string
	Body    []byte
}

// Called is what was answered.
type Called struct {
	Status int
	Body   []byte
}
