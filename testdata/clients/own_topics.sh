#!/bin/sh
# A device that knows topics of its own alone, made of mosquitto's clients:
# own_topics.sh HOST PORT SERIAL IMAGE. It has a session at the broker, waits for
# an offer, fetches it piece by piece into IMAGE, and says how it goes.
set -eu
host=$1 port=$2 serial=$3 image=$4
base=acme/$serial/ota

say() {
  until mosquitto_pub -h "$host" -p "$port" -V 5 -q 1 -t "$base/state" -m "$1" 2>/dev/null; do sleep 0.2; done
}

offer=
while [ -z "$offer" ]; do
  offer=$(mosquitto_sub -h "$host" -p "$port" -i "$serial" -c -q 1 -t "$base/offer" -C 1 -W 30 2>/dev/null || true)
done
field() { printf %s "$offer" | sed "s/.*\"$1\":\"\{0,1\}\([^,\"}]*\).*/\1/"; }
size=$(field size) version=$(field version) sum=$(field sha256)

say '{"state":"DOWNLOADING"}'
: >"$image"
at=0
while [ "$at" -lt "$size" ]; do
  mosquitto_rr -h "$host" -p "$port" -V 5 -q 1 -W 2 -N -t "$base/get" -e "$base/data/$at" -m "{\"offset\":$at,\"size\":4096}" >"$image.piece" 2>/dev/null || true
  want=$((size - at))
  [ "$want" -le 4096 ] || want=4096
  if [ "$(wc -c <"$image.piece")" -ne "$want" ]; then
    sleep 0.2 # the broker is away, or the word was lost
    continue
  fi
  cat "$image.piece" >>"$image"
  at=$((at + want))
done
say '{"state":"DOWNLOADED"}'
[ "$(sha256sum <"$image" | cut -d' ' -f1)" = "$sum" ] || { say '{"state":"FAILED"}'; exit 1; }
say '{"state":"VERIFIED"}'
say '{"state":"UPDATING"}'
say "{\"state\":\"UPDATED\",\"version\":\"$version\"}"
