//go:build gcs

package blob

import _ "gocloud.dev/blob/gcsblob" // makes gs:// known to gocloud.dev/blob

const hasGCS = true
