// Package api is the management of a server over HTTP: profiles, devices,
// packages and what is wished of them, with an OpenAPI 3.1 document of it all at
// /openapi.json and errors in the form of RFC 9457.
//
// It shows everything and writes wishes; it moves no update. What follows from
// a wish is said in chains, and this package knows neither them nor any key of
// a store: it reads and writes through the interfaces of ota. It also carries
// no policy about who may do what beyond "bears the token".
//
// Paths are nouns under /api/, names in them are URL-encoded; what stands below
// /api/v1/ belongs to devices and is another package's.
package api
