"""Judges the reconnect machine: reads rounds of commands as JSON, answers what Open vSwitch's own library does."""
import json
import sys

import ovs.reconnect
import ovs.vlog

ovs.vlog.Vlog.init()
ovs.vlog.Vlog.set_levels_from_string("off")


def play(commands):
    now = 1000
    fsm = ovs.reconnect.Reconnect(now)
    seen = []
    for name, argument in commands:
        action = None
        if name == "tick":
            action = fsm.run(now)
        elif name == "advance":
            now += argument
        elif name == "max-tries":
            fsm.set_max_tries(argument)
        elif name == "free-tries":
            fsm.set_backoff_free_tries(argument)
        elif name in ("disconnected", "connect-failed"):
            getattr(fsm, name.replace("-", "_"))(now, 0)
        else:
            getattr(fsm, name.replace("-", "_"))(now)
        stats = fsm.get_stats(now)
        seen.append([
            action or "none", stats.state, stats.state_elapsed, stats.backoff, stats.last_activity,
            stats.last_connected, stats.last_disconnected, stats.n_attempted_connections,
            stats.n_successful_connections, stats.total_connected_duration, stats.seqno, fsm.get_max_tries(),
            fsm.timeout(now)])
    return seen


for line in sys.stdin:
    print(json.dumps(play(json.loads(line))), flush=True)
