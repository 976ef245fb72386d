#!/bin/sh
# The main job, shown on real components: a private Open vSwitch, a private bus, the service, the hookscript. All of it
# lives in network namespaces and a temporary folder of its own and is gone afterwards.
set -eu

usage() {
    cat <<'HELP'
Usage: scripts/demo.sh [--keep]

Starts a private Open vSwitch and the service, starts three containers' network
cards the way Proxmox VE does, and shows what comes of it. Leaves nothing behind.

  --keep   wait for Enter at the end, so that you can look around

Examples:
  scripts/demo.sh
  scripts/demo.sh --keep    # then, in another terminal, the commands it prints
HELP
}
keep=false
case ${1-} in
    '') ;;
    --keep) keep=true ;;
    -h | --help) usage; exit 0 ;;
    *) usage >&2; exit 64 ;;
esac

cd "$(dirname "$0")/.."
. scripts/prerequisites.sh
need_root_and_node
need_packages ovs-vswitchd:openvswitch-switch dbus-daemon:dbus busctl:systemd ip:iproute2 ping:iputils-ping flock:util-linux ethtool:ethtool python3:python3
need_build

run=$(mktemp -d "${TMPDIR:-/tmp}/ovs-port-agent-demo.XXXXXX")
ns=opa-demo-$$
pids=
spaces=
export OVS_RUNDIR="$run" OVS_LOGDIR="$run" OVS_DBDIR="$run" OVS_SYSCONFDIR="$run"
export DBUS_SYSTEM_BUS_ADDRESS="unix:path=$run/bus"
export OVS_PORT_AGENT_RUN="$run/run" OVS_PORT_AGENT_SPOOL="$run/state/spool" OVS_PORT_AGENT_OVSDB="unix:$run/db.sock"
started=$(date +%s%N)

cleanup() {
    trap - EXIT INT TERM
    for pid in $pids; do kill "$pid" 2>/dev/null || true; done
    for pid in $pids; do
        tries=100
        while kill -0 "$pid" 2>/dev/null && [ $tries -gt 0 ]; do sleep 0.02; tries=$((tries - 1)); done
        kill -9 "$pid" 2>/dev/null || true
    done
    for space in $spaces; do ip netns delete "$space" 2>/dev/null || true; done
    rm -rf "$run"
}
trap cleanup EXIT
trap 'exit 130' INT
trap 'exit 143' TERM

bold='' dim='' plain=''
if [ -t 1 ] && [ -z "${NO_COLOR-}" ]; then bold=$(printf '\033[1m') dim=$(printf '\033[2m') plain=$(printf '\033[0m'); fi
step() { printf '\n%s%s%s\n' "$bold" "$*" "$plain"; }
show() {
    case $1 in
        agent) shift; printf '%s  $ ovs-port-agent %s%s\n' "$dim" "$*" "$plain"; set -- agent "$@" ;;
        inside) shift; printf '%s  $ %s%s\n' "$dim" "$*" "$plain"; set -- inside "$@" ;;
        *) printf '%s  $ %s%s\n' "$dim" "$*" "$plain" ;;
    esac
    "$@" >"$run/shown" 2>&1 || { sed 's/^/  /' "$run/shown"; broken "the last command ended with status $?"; }
    sed 's/^/  /' "$run/shown"
}
broken() {
    printf '\nThe demo failed: %s\n' "$*" >&2
    [ ! -s "$run/service.log" ] || { echo 'The service said:' >&2; sed 's/^/  /' "$run/service.log" >&2; }
    exit 1
}
# wait_for TEXT COMMAND ...   until the command succeeds, 10 s at most
wait_for() {
    text=$1; shift
    tries=500
    until "$@" >/dev/null 2>&1; do
        tries=$((tries - 1))
        [ $tries -gt 0 ] || broken "$text did not come within 10 s"
        sleep 0.02
    done
}
inside() { ip netns exec "$ns" "$@"; }
agent() { inside node dist/ovs-port-agent.mjs "$@"; }
vsctl() { ovs-vsctl --db="unix:$run/db.sock" --timeout=10 "$@"; }

start_ovs() {
    # Not through `inside`: the process started here must be the one whose number is kept.
    ip netns exec "$ns" ovsdb-server "$run/conf.db" --remote="punix:$run/db.sock" --unixctl="$run/server.ctl" -vconsole:off >>"$run/ovs.log" 2>&1 &
    ovsdb_pid=$!
    pids="$pids $ovsdb_pid"
    wait_for 'ovsdb-server' test -S "$run/db.sock"
    ip netns exec "$ns" ovs-vswitchd "unix:$run/db.sock" --disable-system --unixctl="$run/vswitchd.ctl" -vconsole:off >>"$run/ovs.log" 2>&1 &
    vswitchd_pid=$!
    pids="$pids $vswitchd_pid"
    vsctl --no-wait -- init -- set Open_vSwitch . ovs-version="$(ovs-vswitchd --version | sed -n '1s/.* //p')"
}
start_service() {
    ip netns exec "$ns" node dist/ovs-port-agent.mjs serve --config "$run/config.toml" >>"$run/service.log" 2>&1 &
    service_pid=$!
    pids="$pids $service_pid"
    wait_for 'the service' busctl --system --timeout=1 call dev.ovs.PortAgent1 /dev/ovs/PortAgent1 dev.ovs.PortAgent1 ping
}
# What `pct start` makes: a veth pair, one end in the container's own namespace.
make_container() {
    vmid=$1 address=$2
    space=opa-ct$vmid-$$
    ip netns add "$space"
    spaces="$spaces $space"
    inside ip link add "veth${vmid}i0" type veth peer name "ct$vmid" netns "$space"
    inside ip link set "veth${vmid}i0" up
    ip -n "$space" link set "ct$vmid" name eth0
    ip -n "$space" link set eth0 up
    ip -n "$space" address add "$address/24" dev eth0
    # The userspace datapath forwards packets as they are: checksums must not be left to a card that is not there.
    ip netns exec "$space" ethtool -K eth0 tx off >/dev/null 2>&1 || true
}
# What Proxmox VE's own plug does.
plug() { vsctl -- add-port "$@"; }
hook() { printf '%s  $ hooks/ovs-port-agent %s%s\n' "$dim" "$*" "$plain"; inside hooks/ovs-port-agent "$@" | sed 's/^/  /'; }

step '1. A private Open vSwitch with two bridges, a private bus, the service'
ip netns add "$ns"
spaces=$ns
ip -n "$ns" link set lo up
mkdir -p "$run/pve/lxc" "$run/pve/qemu-server" "$run/network" "$run/state"
ovsdb-tool create "$run/conf.db" /usr/share/openvswitch/vswitch.ovsschema
start_ovs
vsctl add-br ovsbr0 -- set bridge ovsbr0 datapath_type=netdev -- add-br ovsbr1 -- set bridge ovsbr1 datapath_type=netdev
cat >"$run/bus.conf" <<CONF
<!DOCTYPE busconfig PUBLIC "-//freedesktop//DTD D-Bus Bus Configuration 1.0//EN" "http://www.freedesktop.org/standards/dbus/1.0/busconfig.dtd">
<busconfig>
  <type>system</type><listen>unix:path=$run/bus</listen><auth>EXTERNAL</auth>
  <policy context="default"><allow user="*"/><allow own="*"/><allow send_destination="*"/><allow receive_sender="*"/></policy>
</busconfig>
CONF
dbus-daemon --config-file="$run/bus.conf" --nofork --nopidfile --nosyslog >"$run/bus.log" 2>&1 &
pids="$pids $!"
wait_for 'the bus' test -S "$run/bus"
cat >"$run/config.toml" <<CONF
ovsdb = "unix:$run/db.sock"
interfaces_path = "$run/network/interfaces"
pve_dir = "$run/pve"
state_dir = "$run/state"
debounce_ms = 50
CONF
cat >"$run/network/interfaces" <<'CONF'
auto lo
iface lo inet loopback

auto ovsbr0
iface ovsbr0 inet manual
	ovs_type OVSBridge
CONF
start_service
show agent status

step '2. Three containers start. 100 and 102 are plugged by Proxmox VE; 101 was left unplugged'
printf 'hostname: web01\nnet0: name=eth0,bridge=ovsbr0,hwaddr=BC:24:11:00:01:00,tag=10\n' >"$run/pve/lxc/100.conf"
printf 'hostname: db01\nnet0: name=eth0,bridge=ovsbr1,hwaddr=BC:24:11:00:01:01\n' >"$run/pve/lxc/101.conf"
printf 'hostname: web02\nnet0: name=eth0,bridge=ovsbr0,hwaddr=BC:24:11:00:01:02,tag=10\n' >"$run/pve/lxc/102.conf"
for vmid in 100 101 102; do hook "$vmid" pre-start; done
make_container 100 192.0.2.100
make_container 101 192.0.2.101
make_container 102 192.0.2.102
plug ovsbr0 veth100i0 tag=10
plug ovsbr0 veth102i0 tag=10
for vmid in 100 101 102; do hook "$vmid" post-start; done
show agent get /ports

step '3. The device answers to its port name'
show inside ip -brief link show vi100

step '4. A packet crosses the switch; another VLAN and bridge stay apart'
show ip netns exec "opa-ct100-$$" ping -c 1 -W 2 192.0.2.102
if ip netns exec "opa-ct100-$$" ping -c 1 -W 1 192.0.2.101 >/dev/null 2>&1; then broken '100 reached 101 across bridges'; fi
echo '  192.0.2.101 on ovsbr1 cannot be reached from 100, as it should be'

step '5. What the Proxmox GUI reads'
block_lists() { grep -q "^iface $1 inet manual" "$run/network/interfaces"; }
wait_for 'the managed block' block_lists vi102
show tail -n +7 "$run/network/interfaces"

step '6. Every change is in the ledger'
show agent ledger list --category port
show agent ledger verify
show python3 docs/verify-ledger.py "$run/state/ledger.jsonl"

step '7. Open vSwitch is killed and started again; then its database is wiped'
kill -9 "$vswitchd_pid" "$ovsdb_pid"
wait "$vswitchd_pid" "$ovsdb_pid" 2>/dev/null || true
rm -f "$run/db.sock"
start_ovs
ports_are_back() { [ "$(agent list | tr '\n' ' ')" = 'vi100 vi101 vi102 ' ] && vsctl get interface veth101i0 ofport | grep -q '^[1-9]'; }
wait_for 'the ports after a restart of Open vSwitch' ports_are_back
echo '  the same ports after the restart'
kill -9 "$vswitchd_pid" "$ovsdb_pid"
wait "$vswitchd_pid" "$ovsdb_pid" 2>/dev/null || true
rm -f "$run/db.sock" "$run/conf.db"
ovsdb-tool create "$run/conf.db" /usr/share/openvswitch/vswitch.ovsschema
start_ovs
vsctl add-br ovsbr0 -- set bridge ovsbr0 datapath_type=netdev -- add-br ovsbr1 -- set bridge ovsbr1 datapath_type=netdev
wait_for 'the ports after a wiped database' ports_are_back
show agent get /ports

step '8. The service is killed and started again; a container stops'
kill -9 "$service_pid"
wait "$service_pid" 2>/dev/null || true
start_service
wait_for 'the ports after a restart of the service' ports_are_back
echo '  the same ports after the restart of the service'
hook 100 pre-stop
ip netns delete "opa-ct100-$$"
hook 100 post-stop
block_forgot() { ! block_lists "$1"; }
wait_for 'the managed block without vi100' block_forgot vi100
show agent list
show agent ledger verify

if $keep; then
    step 'Look around, then press Enter'
    printf '  export DBUS_SYSTEM_BUS_ADDRESS=%s\n  node dist/ovs-port-agent.mjs status\n' "$DBUS_SYSTEM_BUS_ADDRESS"
    read -r _ || true
fi
seconds=$(( ($(date +%s%N) - started) / 100000000 ))
step "Done in $((seconds / 10)).$((seconds % 10)) s. Nothing is left behind."
