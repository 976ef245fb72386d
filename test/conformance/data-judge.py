"""Judges OVSDB values: reads [type, value] as JSON, answers the normal form in which Open vSwitch writes it, or null. Of [type,
value, difference] that of the value with the difference of a `modify` applied."""
import json
import sys

import ovs.db.data
import ovs.db.error
import ovs.db.types

for line in sys.stdin:
    type_json, value, *differences = json.loads(line)
    try:
        column_type = ovs.db.types.Type.from_json(type_json)
        datum = ovs.db.data.Datum.from_json(column_type, value)
        for difference in differences:
            # A difference may be empty, or longer than a value may be.
            free = ovs.db.types.Type(column_type.key, column_type.value, 0, sys.maxsize)
            datum = datum.diff(ovs.db.data.Datum.from_json(free, difference))
        print(json.dumps([datum.to_json()]), flush=True)
    except ovs.db.error.Error:
        print("null", flush=True)
