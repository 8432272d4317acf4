//go:build s3

package blob

import _ "gocloud.dev/blob/s3blob" // makes s3:// known to gocloud.dev/blob

const hasS3 = true
