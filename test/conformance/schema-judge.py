"""Judges OVSDB schemas: reads [command, value] as JSON, answers what Open vSwitch's library makes of it, or null."""
import json
import sys

import ovs.db.error
import ovs.db.schema
import ovs.db.types

READERS = {
    "parse-base-type": ovs.db.types.BaseType.from_json,
    "parse-type": ovs.db.types.Type.from_json,
    "parse-column": lambda column: ovs.db.schema.ColumnSchema.from_json(column, "c"),
    "parse-table": lambda table: ovs.db.schema.TableSchema.from_json(table, "t"),
    "parse-schema": ovs.db.schema.DbSchema.from_json,
}

for line in sys.stdin:
    command, value = json.loads(line)
    try:
        print(json.dumps([READERS[command](value).to_json()]), flush=True)
    except ovs.db.error.Error:
        print("null", flush=True)
