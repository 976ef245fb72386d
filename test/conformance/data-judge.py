"""Judges OVSDB values: reads [type, value] as JSON, answers the normal form in which Open vSwitch writes it, or null."""
import json
import sys

import ovs.db.data
import ovs.db.error
import ovs.db.types

for line in sys.stdin:
    type_json, value = json.loads(line)
    try:
        datum = ovs.db.data.Datum.from_json(ovs.db.types.Type.from_json(type_json), value)
        print(json.dumps([datum.to_json()]), flush=True)
    except ovs.db.error.Error:
        print("null", flush=True)
