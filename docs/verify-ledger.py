#!/usr/bin/env python3
"""Verifies a ledger with Python's standard library alone: verify-ledger.py FILE

Each line holds the hash of the line before it, and ends with its own: the SHA-256 of everything before its last 75
bytes (,"hash":"<64 hex digits>"}). Prints VALID (exit 0), INVALID with height, byte offset and reason (exit 1), or why
it could not check (exit 2). Streams: memory does not grow with the file.
"""

import hashlib
import sys

LINE_BYTES_MAX = 65535
HASH_FIELD_BYTES = 75


def verify(ledger):
    """Returns (height, offset, last hash, reason); the reason is None for a valid ledger."""
    height, offset, prev = 0, 0, "0" * 64
    while line := ledger.readline(LINE_BYTES_MAX + 2):
        if len(line) > LINE_BYTES_MAX + 1 or (len(line) > LINE_BYTES_MAX and line[-1:] != b"\n"):
            return height, offset, prev, f"the line has more than {LINE_BYTES_MAX} bytes"
        if line[-1:] != b"\n":
            return height, offset, prev, "the file ends within this line: torn, cut, or still being written"
        opening = f'{{"height":{height},"prev_hash":"{prev}","timestamp":"'
        if not line.startswith(opening.encode()):
            return height, offset, prev, f"it is not the block of height {height} that follows {prev}"
        body = line[: -HASH_FIELD_BYTES - 1]
        digest = hashlib.sha256(body).hexdigest()
        if line != body + f',"hash":"{digest}"}}\n'.encode():
            return height, offset, prev, f"the line does not end with its SHA-256, {digest}"
        height, offset, prev = height + 1, offset + len(line), digest
    return height, offset, prev, None


def main(arguments):
    if len(arguments) != 1:
        print("usage: verify-ledger.py FILE", file=sys.stderr)
        return 2
    try:
        with open(arguments[0], "rb") as ledger:
            height, offset, last, reason = verify(ledger)
    except OSError as error:
        print(f"cannot check: {error}", file=sys.stderr)
        return 2
    if reason is None:
        print(f"VALID: {height} blocks, last hash {last}")
        return 0
    print(f"INVALID: block {height} at byte {offset}: {reason}")
    return 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
