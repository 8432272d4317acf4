//go:build !gcs

package blob

const hasGCS = false
