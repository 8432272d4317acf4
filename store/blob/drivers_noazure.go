//go:build !azure

package blob

const hasAzure = false
