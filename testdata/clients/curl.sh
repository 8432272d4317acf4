#!/usr/bin/env bash
# A device that knows HTTP by curl alone. See README.md.
set -euo pipefail
# shellcheck source=device.sh
. "$(dirname "$0")/device.sh"
[ $# = 6 ] || die "want URL TOKEN CHUNK TITLE VERSION IMAGE"
url=$1/api/v1/$2

# Every curl in here fails on any status but 200.
http() { curl --silent --show-error --fail --max-time 120 "$@"; }

ask_attributes() { http "$url/attributes?sharedKeys=$keys"; }

# Until something changes, or for a second: it may have changed before.
wait_for_push() { curl --silent --output /dev/null --max-time 20 "$url/attributes/updates?timeout=1000" || die "waiting for attributes failed"; }

report() { http --header 'Content-Type: application/json' --data "$1" "$url/telemetry"; }

# One curl fetches all chunks over one connection, the one past the end as well,
# and writes them one behind the other.
fetch() {
  http --fail-early --get --data-urlencode "title=$new_title" --data-urlencode "version=$new_version" --data "size=$1" \
    "$url/firmware?chunk=[0-$((${1} ? ${2} : 0))]" >"$3"
}

play "$4" "$5" "$3" "$6"
