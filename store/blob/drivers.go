package blob

// The drivers of the clouds bring large SDKs with them; each is compiled in by
// a build tag of its own.
import _ "gocloud.dev/blob/memblob" // makes mem:// known to gocloud.dev/blob
