#!/usr/bin/env python3
"""Verifies a ledger with Python's standard library alone: verify-ledger.py FILE...

Each line holds the hash of the line before it, and ends with its own: the SHA-256 of everything before its last 75
bytes (,"hash":"<64 hex digits>"}). Segments are given in their order; the first block of each may follow blocks that are
not there, and that is said. Prints VALID (exit 0), INVALID with height, byte offset (over all files) and reason (exit 1),
or why it could not check (exit 2). Streams: memory does not grow with the files.
"""

import hashlib
import re
import sys

LINE_BYTES_MAX = 65535
HASH_FIELD_BYTES = 75
SEGMENT = re.compile(
    rb'\{"height":([1-9][0-9]{0,15}),"prev_hash":"([0-9a-f]{64})","timestamp":"[^"]*",'
    rb'"category":"storage","action":"segment","metadata":\{"plugin":"ledger"[,}]'
)


class Ledger:
    def __init__(self):
        self.height, self.offset, self.prev, self.unseen = 0, 0, "0" * 64, []

    def why_bad(self, file):
        """Reads one file; the reason why its next line is bad, None when all are good."""
        segment = True
        while line := file.readline(LINE_BYTES_MAX + 2):
            if len(line) > LINE_BYTES_MAX + 1 or (len(line) > LINE_BYTES_MAX and line[-1:] != b"\n"):
                return f"the line has more than {LINE_BYTES_MAX} bytes"
            if line[-1:] != b"\n":
                return "the file ends within this line: torn, cut, or still being written"
            if segment:
                self.pass_over(line)
            segment = False
            opening = f'{{"height":{self.height},"prev_hash":"{self.prev}","timestamp":"'
            if not line.startswith(opening.encode()):
                return f"it is not the block of height {self.height} that follows {self.prev}"
            body = line[: -HASH_FIELD_BYTES - 1]
            digest = hashlib.sha256(body).hexdigest()
            if line != body + f',"hash":"{digest}"}}\n'.encode():
                return f"the line does not end with its SHA-256, {digest}"
            self.height, self.offset, self.prev = self.height + 1, self.offset + len(line), digest
        return None

    def pass_over(self, line):
        """Goes on with the first line of a later segment when blocks before it are not there."""
        found = SEGMENT.match(line)
        if found and int(found[1]) > self.height:
            self.unseen.append((self.height, int(found[1]) - 1))
            self.height, self.prev = int(found[1]), found[2].decode()


def main(paths):
    if not paths:
        print("usage: verify-ledger.py FILE...", file=sys.stderr)
        return 2
    ledger = Ledger()
    for path in paths:
        try:
            with open(path, "rb") as file:
                reason = ledger.why_bad(file)
        except OSError as error:
            print(f"cannot check: {error}", file=sys.stderr)
            return 2
        if reason is not None:
            print(f"INVALID: block {ledger.height} at byte {ledger.offset}: {reason}")
            return 1
    print(f"VALID: {ledger.height} blocks, last hash {ledger.prev}")
    for first, last in ledger.unseen:
        print(f"blocks {first} to {last} are in segments that are not there")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
