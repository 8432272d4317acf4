# shellcheck shell=bash disable=SC2034
# What the shell devices have in common; they source it.
#
# A device gives ask_attributes (prints the answer), wait_for_push, report (takes
# JSON) and fetch (CHUNK, COUNT, FILE); play does the rest.

here=$(dirname "${BASH_SOURCE[0]}")
python=${PYTHON:-python3}
keys=fw_title,fw_version,fw_size,fw_checksum,fw_checksum_algorithm

die() {
  echo "$0: $*" >&2
  exit 1
}

# text NAME JSON prints the member NAME, a string, of JSON, or nothing. Titles
# with escaped quotes are beyond it.
text() { sed -n 's/.*"'"$1"'" *: *"\([^"]*\)".*/\1/p' <<<"$2"; }

# number NAME JSON prints the member NAME, a whole number, of JSON, or nothing.
number() { sed -n 's/.*"'"$1"'" *: *\([0-9][0-9]*\).*/\1/p' <<<"$2"; }

# pieces SIZE CHUNK prints how many chunks a file has.
pieces() {
  if [ "$2" = 0 ]; then echo 1; else echo $((($1 + $2 - 1) / $2)); fi
}

say() {
  report "$2"
  echo "$1"
}

state() { say "$1" "{\"current_fw_title\":\"$title\",\"current_fw_version\":\"$version\",\"fw_state\":\"$1\"}"; }

# offered waits until the attributes name another version than the one that runs.
offered() {
  while :; do
    attributes=$(ask_attributes) || die "asking for attributes failed"
    new_title=$(text fw_title "$attributes")
    new_version=$(text fw_version "$attributes")
    if [ -n "$new_title" ] && [ "$new_title $new_version" != "$title $version" ]; then
      return
    fi
    wait_for_push
  done
}

# play TITLE VERSION CHUNK IMAGE does one update.
play() {
  title=$1 version=$2
  local chunk=$3 image=$4 size algorithm
  report "{\"current_fw_title\":\"$title\",\"current_fw_version\":\"$version\"}"
  offered
  size=$(number fw_size "$attributes")
  algorithm=$(text fw_checksum_algorithm "$attributes")
  [ -n "$size" ] || die "no fw_size in $attributes"

  state DOWNLOADING
  fetch "$chunk" "$(pieces "$size" "$chunk")" "$image"
  state DOWNLOADED
  if [ "$(stat -c %s "$image")" != "$size" ] ||
    [ "$("$python" "$here/checksum.py" "$algorithm" "$image")" != "$(text fw_checksum "$attributes")" ]; then
    say FAILED '{"fw_state":"FAILED","fw_error":"checksum mismatch"}'
    die "the image of $(stat -c %s "$image") bytes is not what $attributes tell"
  fi
  state VERIFIED
  state UPDATING
  title=$new_title version=$new_version
  state UPDATED
}
