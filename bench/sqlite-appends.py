"""Durable appends to SQLite, for bench/ledger-appends.ts: sqlite-appends.py DATABASE

WAL mode, synchronous=FULL, one transaction for each line, as each must be durable before its writer goes on. All writers
share one connection under a lock: as SQLite has one writer at a time, that is the fastest way to let many write. For every
request "WRITERS APPENDS BYTES" on standard input it prints the milliseconds that took.
"""

import sqlite3
import sys
import threading
import time

database = sqlite3.connect(sys.argv[1], isolation_level=None, check_same_thread=False)
database.execute("PRAGMA journal_mode=WAL").fetchone()
database.execute("PRAGMA synchronous=FULL")
database.execute("CREATE TABLE ledger (height INTEGER PRIMARY KEY, line BLOB NOT NULL)")
lock = threading.Lock()


def write(appends, line):
    for _ in range(appends):
        with lock:
            database.execute("INSERT INTO ledger (line) VALUES (?)", (line,))


print("ready", flush=True)
for request in sys.stdin:
    writers, appends, size = map(int, request.split())
    threads = [threading.Thread(target=write, args=(appends, b"x" * size)) for _ in range(writers)]
    started = time.perf_counter()
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    print((time.perf_counter() - started) * 1000, flush=True)
