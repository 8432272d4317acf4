package ota

// Call is a request to a server of somebody else, over HTTP, or to a device,
// over CoAP.
type Call struct {
	Device  Ref // the device that is asked; unset for a server
	Method  string
	URL     string // may be a secret; a device's: the path, with a query
	Headers map[string]string
	Body    []byte
}

// Called is what was answered.
type Called struct {
	Status int // of CoAP: 205 for 2.05
	Body   []byte
}
