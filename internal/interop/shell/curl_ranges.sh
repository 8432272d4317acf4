#!/usr/bin/env bash
# A device that fetches by ranges of bytes, as download managers do: each range is
# a request of its own, on the condition that the file is the one of the first.
set -euo pipefail
# shellcheck source=../../../testdata/clients/device.sh
. "$(dirname "$0")/../../../testdata/clients/device.sh"
[ $# = 6 ] || die "want URL TOKEN CHUNK TITLE VERSION IMAGE"
url=$1/api/v1/$2

# Every curl in here fails on any status of 400 and above.
http() { curl --silent --show-error --fail --max-time 120 "$@"; }

ask_attributes() { http "$url/attributes?sharedKeys=$keys"; }

# Until something changes, or for a second: it may have changed before.
wait_for_push() { curl --silent --output /dev/null --max-time 20 "$url/attributes/updates?timeout=1000" || die "waiting for attributes failed"; }

report() { http --header 'Content-Type: application/json' --data "$1" "$url/telemetry"; }

# range FROM TO MORE… fetches bytes FROM to TO, and fails unless it gets a part.
range() {
  local status
  status=$(http --get --data-urlencode "title=$new_title" --data-urlencode "version=$new_version" --range "$1-$2" \
    --output "$image.part" --write-out '%{http_code}' "${@:3}" "$url/firmware")
  [ "$status" = 206 ] || die "bytes $1 to $2: status $status, want 206"
  cat "$image.part"
}

fetch() {
  local n chunk=$1 etag
  range 0 $((chunk - 1)) --dump-header "$image.head" >"$3"
  etag=$(sed -n 's/^etag: *\("[^"]*"\).*/\1/Ip' "$image.head")
  [ -n "$etag" ] || die "no ETag"
  for ((n = 1; n < $2; n++)); do
    range $((n * chunk)) $(((n + 1) * chunk - 1)) --header "If-Range: $etag"
  done >>"$3"
  rm -f "$image.part" "$image.head"
}

play "$4" "$5" "$3" "$6"
