#!/bin/sh
# Verifies a ledger with a POSIX shell and coreutils alone: verify-ledger.sh FILE...
#
# Each line holds the hash of the line before it, and ends with its own: the SHA-256 of everything before its last 75
# bytes (,"hash":"<64 hex digits>"}). Segments are given in their order; the first block of each may follow blocks that
# are not there, and that is said. Prints VALID (exit 0), INVALID with height, byte offset (over all files) and reason
# (exit 1), or why it could not check (exit 2). Starts sha256sum once for every block: verify-ledger.py is faster on
# long ledgers.
set -u
LC_ALL=C
export LC_ALL

for file in "${@-}"; do
  if [ ! -r "$file" ] || [ -d "$file" ]; then
    echo "usage: $0 FILE... (a ledger that can be read)" >&2
    exit 2
  fi
done

hash_field='???????????????????????????????????????????????????????????????????????????'
height=0
offset=0
prev=0000000000000000000000000000000000000000000000000000000000000000
unseen=

bad() {
  echo "INVALID: block $height at byte $offset: $1"
  exit 1
}

# Goes on with the first line of a later segment when blocks before it are not there.
pass_over() {
  case $1 in
    '{"height":'[1-9]*',"prev_hash":"'*'","category":"storage","action":"segment","metadata":{"plugin":"ledger"'*) ;;
    *) return ;;
  esac
  found=${1#'{"height":'}
  found=${found%%,*}
  case $found in
    *[!0-9]* | ?????????????????*) return ;;
  esac
  [ "$found" -gt "$height" ] || return
  unseen="${unseen:+$unseen
}blocks $height to $((found - 1)) are in segments that are not there"
  height=$found
  prev=${1#*'"prev_hash":"'}
  prev=${prev%%'"'*}
}

verify() {
  is_first=1
  while IFS= read -r line; do
    [ ${#line} -le 65535 ] || bad 'the line has more than 65535 bytes'
    [ -z "$is_first" ] || pass_over "$line"
    is_first=
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
}

for file in "$@"; do
  # A shell drops NUL bytes; as 0xFF, which no text in UTF-8 holds, they count. What a pipe's end knows is read back.
  state=$(tr '\000' '\377' <"$file" | {
    verify
    printf '%s\n' "$height" "$offset" "$prev" "$unseen"
  }) || {
    echo "$state"
    exit 1
  }
  {
    read -r height
    read -r offset
    read -r prev
    unseen=$(cat)
  } <<EOF
$state
EOF
done
echo "VALID: $height blocks, last hash $prev"
[ -z "$unseen" ] || echo "$unseen"
