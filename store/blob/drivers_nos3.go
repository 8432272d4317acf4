//go:build !s3

package blob

const hasS3 = false
