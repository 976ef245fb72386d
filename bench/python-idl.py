"""Plugs ports with Open vSwitch's own Python library, as a long-lived service would: one connection, one replica of the
columns it needs, partial updates of the bridge. A line of JSON in, `done` out when ovs-vswitchd has applied it.

Arguments: the database's remote, the bridge, the VLAN tag.
Line: {"netdevs": ["veth100i0", ...], "together": true}; together is one transaction for all, otherwise one for each.
"""

import json
import os
import select
import sys

import ovs.db.idl
import ovs.poller

SCHEMA = "/usr/share/openvswitch/vswitch.ovsschema"
TABLES = {
    "Open_vSwitch": ["cur_cfg", "next_cfg"],
    "Bridge": ["name", "ports"],
    "Port": ["name", "interfaces", "tag"],
    "Interface": ["name", "mtu_request"],
}


def main(remote, bridge_name, tag):
    helper = ovs.db.idl.SchemaHelper(location=SCHEMA)
    for table, columns in TABLES.items():
        helper.register_columns(table, columns)
    idl = ovs.db.idl.Idl(remote, helper, leader_only=False)
    wait_until(idl, lambda: any(bridge_of(idl, bridge_name)))
    print("ready", flush=True)
    for line in lines_beside(idl):
        request = json.loads(line)
        netdevs = request["netdevs"]
        wanted = 0
        for group in [netdevs] if request["together"] else [[netdev] for netdev in netdevs]:
            wanted = plug(idl, bridge_name, int(tag), group)
        wait_until(idl, lambda: switch_of(idl).cur_cfg >= wanted)
        print("done", flush=True)


def plug(idl, bridge_name, tag, netdevs):
    """One transaction; answers what cur_cfg has to reach."""
    transaction = ovs.db.idl.Transaction(idl)
    (bridge,) = bridge_of(idl, bridge_name)
    for netdev in netdevs:
        interface = transaction.insert(idl.tables["Interface"])
        interface.name = netdev
        interface.mtu_request = 1500
        port = transaction.insert(idl.tables["Port"])
        port.name = netdev
        port.interfaces = [interface]
        port.tag = tag
        bridge.addvalue("ports", port)
    switch_of(idl).increment("next_cfg")
    status = transaction.commit_block()
    if status != ovs.db.idl.Transaction.SUCCESS:
        raise RuntimeError(f"{netdevs}: {status} {transaction.get_error()}")
    return transaction.get_increment_new_value()


def bridge_of(idl, name):
    return [row for row in idl.tables["Bridge"].rows.values() if row.name == name]


def switch_of(idl):
    return next(iter(idl.tables["Open_vSwitch"].rows.values()))


def wait_until(idl, condition):
    while True:
        idl.run()
        if condition():
            return
        poller = ovs.poller.Poller()
        idl.wait(poller)
        poller.block()


def lines_beside(idl):
    """Lines of standard input; the replica follows the database meanwhile."""
    text = b""
    while True:
        idl.run()
        if select.select([0], [], [], 0)[0]:
            chunk = os.read(0, 65536)
            if chunk == b"":
                return
            *lines, text = (text + chunk).split(b"\n")
            yield from lines
            continue
        poller = ovs.poller.Poller()
        idl.wait(poller)
        poller.fd_wait(0, ovs.poller.POLLIN)
        poller.block()


main(*sys.argv[1:])
