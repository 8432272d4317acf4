package ota_test

import (
	"testing"

	"github.com/windlass-ota/windlass/ota"
)

func TestOfferAttributes(t *testing.T) {
	full := ota.Package{
		Kind: ota.Firmware, Version: ota.Version{Title: "app", Version: "1.0", Tag: "app 1.0"},
		Blob: "digest", Size: 7, Algorithm: ota.SHA256, Checksum: "ab",
	}
	url := ota.Package{Kind: ota.Software, Version: ota.Version{Title: `a"b`, Version: "2"}, URL: "https://example.com/?a=1&b=<2>"}
	known := url
	known.Size, known.Algorithm, known.Checksum = 9, ota.MD5, "cd"
	empty := ota.Package{Kind: ota.Firmware, Version: ota.Version{Title: "app", Version: "1"}, Blob: "digest"}
	tests := []struct {
		name string
		pkg  ota.Package
		want string
	}{
		{"uploaded", full, `{"fw_title":"app","fw_version":"1.0","fw_tag":"app 1.0","fw_size":7,"fw_checksum_algorithm":"SHA256","fw_checksum":"ab"}`},
		{"a URL and nothing else", url, `{"sw_title":"a\"b","sw_version":"2","sw_url":"https://example.com/?a=1&b=<2>"}`},
		{"a URL with all that is known", known, `{"sw_title":"a\"b","sw_version":"2","sw_url":"https://example.com/?a=1&b=<2>","sw_size":9,"sw_checksum_algorithm":"MD5","sw_checksum":"cd"}`},
		{"an empty file", empty, `{"fw_title":"app","fw_version":"1","fw_size":0}`},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if got := string(ota.Object(ota.OfferAttributes(&tt.pkg))); got != tt.want {
				t.Errorf("attributes %s, want %s", got, tt.want)
			}
		})
	}
}

func TestIsOfferName(t *testing.T) {
	for _, k := range ota.Kinds() {
		for _, name := range ota.OfferNames(k) {
			if !ota.IsOfferName(name) {
				t.Errorf("%s is no name of an offer", name)
			}
		}
	}
	for _, name := range []string{"", "fw_", "title", "fw_titles", "target_fw_title", "fwtitle"} {
		if ota.IsOfferName(name) {
			t.Errorf("%q is a name of an offer", name)
		}
	}
}
