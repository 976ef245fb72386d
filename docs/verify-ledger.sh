#!/bin/sh
# Verifies a ledger with a POSIX shell and coreutils alone: verify-ledger.sh FILE
#
# Each line holds the hash of the line before it, and ends with its own: the SHA-256 of everything before its last 75
# bytes (,"hash":"<64 hex digits>"}). Prints VALID (exit 0), INVALID with height, byte offset and reason (exit 1), or
# why it could not check (exit 2). Starts sha256sum once for every block: verify-ledger.py is faster on long ledgers.
set -u
LC_ALL=C
export LC_ALL

if [ $# -ne 1 ] || [ ! -r "$1" ] || [ -d "$1" ]; then
  echo "usage: $0 FILE (a ledger that can be read)" >&2
  exit 2
fi

hash_field='???????????????????????????????????????????????????????????????????????????'
height=0
offset=0
prev=0000000000000000000000000000000000000000000000000000000000000000

bad() {
  echo "INVALID: block $height at byte $offset: $1"
  exit 1
}

# A shell drops NUL bytes; as 0xFF, which no text in UTF-8 holds, they count.
tr '\000' '\377' <"$1" | {
  while IFS= read -r line; do
    [ ${#line} -le 65535 ] || bad 'the line has more than 65535 bytes'
    case $line in
      "{\"height\":$height,\"prev_hash\":\"$prev\",\"timestamp\":\""*) ;;
      *) bad "it is not the block of height $height that follows $prev" ;;
    esac
    # shellcheck disable=SC2295 # the 75 question marks are meant as a pattern
    body=${line%$hash_field}
    hash=$(printf %s "$body" | sha256sum)
    hash=${hash%% *}
    [ "$line" = "$body,\"hash\":\"$hash\"}" ] || bad "the line does not end with its SHA-256, $hash"
    prev=$hash
    height=$((height + 1))
    offset=$((offset + ${#line} + 1))
  done
  [ -z "$line" ] || bad 'the file ends within this line: torn, cut, or still being written'
  echo "VALID: $height blocks, last hash $prev"
}
