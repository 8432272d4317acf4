#!/usr/bin/env bash
# A device that knows CoAP by libcoap's coap-client alone, plain, with a pre-shared
# key or with a certificate. It always ends well, so what it prints is judged.
set -euo pipefail
# shellcheck source=../../../testdata/clients/device.sh
. "$(dirname "$0")/../../../testdata/clients/device.sh"
[ $# = 7 ] || die "want URL SECRET CHUNK TITLE VERSION IMAGE BUILD"
url=$1 client=(coap-client-"$7" -B 60)
case $2 in
  psk:*)
    IFS=: read -r _ identity key <<<"$2"
    client+=(-u "$identity" -k "$key")
    api=$url/api/v1 firmware=$url/fw
    ;;
  x509:*)
    IFS=: read -r _ cert key ca <<<"$2"
    client+=(-c "$cert" -j "$key" -C "$ca")
    api=$url/api/v1 firmware=$url/fw
    ;;
  *) api=$url/api/v1/$2 firmware=$url/fw/$2 ;;
esac

# An answer that is no success is printed by its code, and 4.04 is what a device
# without any of the keys is told.
ask_attributes() { "${client[@]}" -m get "$api/attributes?sharedKeys=$keys" 2>&1; }

# Observes for a second. What comes is not read: the attributes are asked again.
wait_for_push() { "${client[@]}" -s 1 -m get "$api/attributes" >/dev/null 2>&1; }

report() {
  local said
  said=$("${client[@]}" -m post -t json -e "$(percent "$1")" "$api/telemetry" 2>&1)
  [ -z "$said" ] || die "report $1: $said"
}

# percent hides from -e what it would decode.
percent() { printf %s "${1//%/%25}"; }

fetch() {
  local n at="$firmware?title=$new_title&version=$new_version"
  if [ "$1" = 0 ]; then
    "${client[@]}" -m get -o "$3" "$at"
    return
  fi
  for ((n = 0; n < $2; n++)); do
    rm -f "$3.part"
    "${client[@]}" -m get -o "$3.part" "$at&size=$1&chunk=$n"
    cat "$3.part"
  done >"$3"
  rm -f "$3.part"
}

play "$4" "$5" "$3" "$6"
