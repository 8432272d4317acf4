#!/usr/bin/env bash
# A device that knows MQTT 3.1.1 by the mosquitto clients alone. Every question is
# a connection of its own, so its download must survive as many reconnects as it
# has chunks. See README.md.
set -euo pipefail
# shellcheck source=device.sh
. "$(dirname "$0")/device.sh"
[ $# = 6 ] || die "want HOST:PORT TOKEN CHUNK TITLE VERSION IMAGE"
server=(-h "${1%:*}" -p "${1##*:}" -u "$2" -V mqttv311)

ask_attributes() {
  mosquitto_rr "${server[@]}" -W 30 -t v1/devices/me/attributes/request/1 -e v1/devices/me/attributes/response/1 -m "{\"sharedKeys\":\"$keys\"}"
}

# Until something changes, or for a second: it may have changed before.
wait_for_push() { mosquitto_sub "${server[@]}" -C 1 -W 1 -t v1/devices/me/attributes >/dev/null || [ $? = 27 ] || die "waiting for attributes failed"; }

# QoS 1: it returns when the server has acknowledged.
report() { mosquitto_pub "${server[@]}" -q 1 -t v1/devices/me/telemetry -m "$1"; }

fetch() {
  local n size=(-m "$1")
  [ "$1" != 0 ] || size=(-n) # an empty payload asks for everything
  for ((n = 0; n < $2; n++)); do
    mosquitto_rr "${server[@]}" -N -W 60 -t "v2/fw/request/1/chunk/$n" -e "v2/fw/response/1/chunk/$n" "${size[@]}" ||
      die "chunk $n: mosquitto_rr ended with $?"
  done >"$3"
}

play "$4" "$5" "$3" "$6"
