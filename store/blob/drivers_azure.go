//go:build azure

package blob

import _ "gocloud.dev/blob/azureblob" // makes azblob:// known to gocloud.dev/blob

const hasAzure = true
