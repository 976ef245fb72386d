#!/bin/sh
# Sets a host up: package, configuration, bridges, and an uplink's address moved to its bridge. See --help.
#
# Everything is shown before anything is done, and undone when a step fails. The move of an uplink is a change of the
# running system alone until somebody confirms it: a reboot, a crash or silence all lead back to the old network.
set -eu

usage() {
    cat <<'TEXT'
Usage: scripts/install.sh [OPTION ...]
       scripts/install.sh --confirm

Builds and installs the Debian package of ovs-port-agent, and sets up what it needs. Shows
every step and the change of /etc/network/interfaces first, and asks.

  --bridge NAME      the bridge of the guests; made when it is missing     [ovsbr0]
  --with-ovsbr1      also a bridge ovsbr1, for the containers of Netmaker
  --uplink DEVICE    makes DEVICE a port of the bridge and moves its addresses and routes
                     to it. Needs systemd and a static configuration. Kept only when it is
                     confirmed in time, otherwise taken back
  --confirm-within S seconds until then                                    [90]
  --confirm          from another login: keep the uplink that waits for it
  --system           enable and start the service, also where it was disabled
  --purge-bridges    first remove the bridges named above; none that has ports
  --force-ovsctl     make bridges in Open vSwitch alone, on a host without ifupdown;
                     with --purge-bridges: also bridges that have ports, but never one of
                     a guest that runs
  --datapath TYPE    system, or netdev where the kernel has no Open vSwitch [system]
  --deb FILE         install this package instead of building one
  --yes              do not ask
  --dry-run          only show
  -h, --help         this text

Examples:
  scripts/install.sh --dry-run --bridge ovsbr0 --uplink enp3s0
  scripts/install.sh --bridge ovsbr0 --with-ovsbr1 --system
  scripts/install.sh --deb dist/ovs-port-agent_0.1.0_all.deb --yes
TEXT
}

interfaces=/etc/network/interfaces
lock=/etc/network/.pve-interfaces.lock
config=/etc/ovs-port-agent/config.toml
# What a confirmation from another login needs.
state=/run/ovs-port-agent-install
kept=/run/ovs-port-agent-install.kept
timer=ovs-port-agent-install-rollback
# What Proxmox VE's own default condones, and the ports that are not named by it.
condone='^(tap|veth|fwln|vi[0-9_])'

main() {
    parse_arguments "$@"
    cd "$(dirname "$0")/.."
    [ "$(id -u)" -eq 0 ] || fail 'must be root'
    if [ "$confirm" = 1 ]; then confirm_uplink; exit 0; fi
    work=$(mktemp -d)
    trap 'rm -rf "$work"' EXIT
    check_host
    plan_interfaces
    preview
    [ "$dry_run" = 0 ] || exit 0
    ask 'Do all this?' || fail 'nothing was done'
    trap 'undo_all; rm -rf "$work"' EXIT
    trap 'exit 1' INT TERM
    trap '' HUP
    install_package
    configure
    purge_bridges
    make_bridges
    [ "$system" = 0 ] || enable_service
    # Last, so that nothing can fail any more that would have to take it back.
    [ "$persistent" = 0 ] || replace_interfaces with_bridges
    # Up to here all is well, whatever becomes of the uplink.
    trap 'rm -rf "$work"' EXIT
    [ -z "$uplink" ] || move_uplink
    finish
}

parse_arguments() {
    bridge=ovsbr0 second='' uplink='' within=90 confirm=0 system=0 purge=0 force=0 datapath=system deb='' yes=0 dry_run=0
    while [ $# -gt 0 ]; do
        case $1 in
            --bridge | --uplink | --confirm-within | --datapath | --deb)
                [ -n "${2-}" ] || fail_usage "$1 needs a value" ;;
        esac
        case $1 in
            --bridge) bridge=$2; shift ;;
            --uplink) uplink=$2; shift ;;
            --confirm-within) within=$2; shift ;;
            --datapath) datapath=$2; shift ;;
            --deb) deb=$(realpath "$2"); shift ;;
            --with-ovsbr1) second=ovsbr1 ;;
            --confirm) confirm=1 ;;
            --system) system=1 ;;
            --purge-bridges) purge=1 ;;
            --force-ovsctl) force=1 ;;
            --yes) yes=1 ;;
            --dry-run) dry_run=1 ;;
            -h | --help) usage; exit 0 ;;
            *) fail_usage "unknown argument \"$1\"; see --help" ;;
        esac
        shift
    done
    for name in "$bridge" ${uplink:+"$uplink"}; do
        case $name in
            *[!A-Za-z0-9_.-]* | [!A-Za-z]* | ????????????????*) fail_usage "\"$name\" is no name of a network device" ;;
        esac
    done
    [ "$bridge" != "$uplink" ] || fail_usage "$bridge cannot be its own uplink"
    case $within in '' | *[!0-9]* | ????* | 0*) fail_usage '--confirm-within: expected 1 to 999 seconds' ;; esac
    case $datapath in system | netdev) ;; *) fail_usage '--datapath: expected system or netdev' ;; esac
    [ "$second" != "$bridge" ] || second=''
    bridges=$bridge${second:+ $second}
}

say() { printf '%s\n' "$*"; }
fail() { printf 'install.sh: %s\n' "$*" >&2; exit 1; }
fail_usage() { printf 'install.sh: %s\n' "$*" >&2; exit 64; }

ask() {
    [ "$yes" = 0 ] || return 0
    [ -t 0 ] || fail 'standard input is no terminal: say --yes, or --dry-run'
    printf '%s [y/N] ' "$1"
    read -r answer || return 1
    case $answer in y | Y | yes) ;; *) return 1 ;; esac
}

# ---- What is there, and what it shall become

check_host() {
    command -v ovs-vsctl >/dev/null || fail 'Open vSwitch is missing: apt-get install openvswitch-switch'
    [ -z "$deb" ] || [ -f "$deb" ] || fail "$deb does not exist"
    [ -n "$deb" ] || command -v npm >/dev/null || fail 'npm is missing: apt-get install npm, or name a package with --deb'
    [ ! -e "$interfaces.new" ] || fail "$interfaces.new has changes that wait: apply or revert them in the GUI first"
    [ ! -d "$state" ] || fail 'an earlier move of an uplink waits: scripts/install.sh --confirm, or wait'
    persistent=1
    if [ ! -f "$interfaces" ] || ! command -v ifup >/dev/null; then
        [ "$force" = 1 ] || fail "without $interfaces and ifup a bridge does not last: --force-ovsctl makes it all the same"
        [ -z "$uplink" ] || fail "--uplink needs $interfaces and ifup: the move would not outlive a reboot"
        persistent=0
    fi
    [ -z "$uplink" ] || check_uplink
    [ "$purge" = 0 ] || for name in $bridges; do check_purge "$name"; done
}

check_uplink() {
    [ -d /run/systemd/system ] || fail '--uplink needs systemd: it takes the move back when nobody confirms it'
    [ -e "/sys/class/net/$uplink" ] || fail "there is no device $uplink"
    [ ! -e "/sys/class/net/$uplink/bridge" ] || fail "$uplink is a Linux bridge: name the card that is its port, and take it out first"
    [ ! -e "/sys/class/net/$uplink/master" ] || fail "$uplink belongs to $(basename "$(readlink "/sys/class/net/$uplink/master")"): take it out first"
    on=$(ovs-vsctl --timeout=5 iface-to-br "$uplink" 2>/dev/null) || on=''
    [ -z "$on" ] || fail "$uplink is on $on already"
}

check_purge() {
    ovs-vsctl --timeout=5 br-exists "$1" || return 0
    for port in $(ovs-vsctl --timeout=5 list-ports "$1"); do
        case $port in
            veth[0-9]*i[0-9]* | tap[0-9]*i[0-9]* | fwln[0-9]*o[0-9]*) fail "$1 has the port $port of a guest: stop the guest first" ;;
        esac
        [ "$force" = 1 ] || fail "$1 has the port $port: take it off first, or say --force-ovsctl"
    done
}

# The file as it shall be: the bridges at once, the uplink when it is confirmed.
plan_interfaces() {
    [ "$persistent" = 1 ] || return 0
    ! grep -q -e '\\$' -e "$(printf '\r')" "$interfaces" ||
        fail "$interfaces has continued lines or carriage returns: make the bridges in the GUI, then run this again"
    with_bridges <"$interfaces" >"$work/bridges" || fail "$interfaces: $(tail -n 1 "$work/bridges")"
    [ -z "$uplink" ] || with_uplink "$bridge" "$uplink" <"$work/bridges" >"$work/uplink" ||
        fail "$interfaces: $(tail -n 1 "$work/uplink")"
}

# What begins a stanza of interfaces(5), for awk.
begins='^[ \t]*(iface|auto|allow-[a-z]+|mapping|source|source-directory|rename|vlan|no-auto-down|no-scripts)[ \t]'

# with_bridges <FILE: a stanza for each bridge that has none, as Proxmox VE writes it; with --purge-bridges, a new one.
with_bridges() {
    awk -v begins="$begins" -v bridges="$bridges" -v purge="$purge" -v condone="$condone" -v datapath="$datapath" '
        BEGIN { count = split(bridges, wanted, " "); for (i = 1; i <= count; i++) is_wanted[wanted[i]] = 1 }
        { lines[NR] = $0 }
        $0 ~ begins { open = "" }
        $1 == "iface" && ($2 in is_wanted) { open = $2; present[$2] = 1 }
        open != "" && ($1 == "iface" || /^[ \t]+[^ \t#]/) { of[NR] = open }
        ($1 == "auto" || $1 ~ /^allow-/) && NF == 2 && ($2 in is_wanted) { of[NR] = $2 }
        open != "" && $1 == "ovs_type" && $2 == "OVSBridge" { is_bridge[open] = 1 }
        END {
            for (name in present) if (!(name in is_bridge)) { print name " is there, and is no OVSBridge"; exit 1 }
            for (n = 1; n <= NR; n++) if (!purge || !(n in of)) { print lines[n]; last = lines[n] }
            for (i = 1; i <= count; i++) {
                if ((wanted[i] in present) && !purge) continue
                if (last != "") print ""
                print "auto " wanted[i]
                print "iface " wanted[i] " inet manual"
                if (datapath != "system") print "\tovs_extra set bridge " wanted[i] " datapath_type=" datapath
                print "\tovs_type OVSBridge"
                print "\tovs-ports-condone-regex " condone
                last = "stanza"
            }
        }'
}

# with_uplink BRIDGE DEVICE <FILE: the device as a port of the bridge, its address and gateway on the bridge.
with_uplink() {
    awk -v begins="$begins" -v bridge="$1" -v uplink="$2" '
        { lines[NR] = $0 }
        $1 == "iface" { name = $2; family = $3; method = $4 }
        $0 ~ begins && $1 != "iface" { name = "" }
        $1 ~ /^(bridge[-_]ports|slaves|bond-slaves|ovs_bonds|ovs_ports)$/ && name != bridge {
            for (i = 2; i <= NF; i++) if ($i == uplink) wrong = uplink " belongs to " name
        }
        name == uplink && $1 == "iface" {
            found = 1
            if (family == "inet6" && method != "manual") wrong = uplink " has inet6 " method ": move it to " bridge " by hand"
            else if (method == "dhcp") wrong = uplink " is dhcp: make it static first"
            else if (method != "manual" && method != "static") wrong = uplink " is " method
            else uplink_method = method
            next
        }
        name == uplink && /^[ \t]+[^ \t#]/ {
            if ($1 ~ /^(address|netmask|gateway|broadcast|dns-nameservers|dns-search)$/) { moved[++count] = $0; gone[NR] = 1 }
            else wrong = uplink " has \"" $1 "\": move that to " bridge " by hand"
        }
        name == bridge && $1 == "iface" && family == "inet" {
            at = NR
            if (method != "manual" && uplink_method == "static") wrong = bridge " has an address already"
        }
        name == bridge && $1 == "ovs_ports" { ports_at = NR }
        END {
            if (wrong == "" && at == 0) wrong = "no stanza of " bridge
            if (wrong != "") { print wrong; exit 1 }
            for (n = 1; n <= NR; n++) {
                split(lines[n], word, /[ \t]+/)
                if (n in gone) continue
                if (word[1] == "iface" && word[2] == uplink && word[3] == "inet") {
                    print "iface " uplink " inet manual"
                    print "\tovs_bridge " bridge
                    print "\tovs_type OVSPort"
                } else if (n == at) {
                    print "iface " bridge " inet " (count > 0 && uplink_method == "static" ? "static" : word[4])
                    for (i = 1; i <= count; i++) print moved[i]
                    if (!ports_at) print "\tovs_ports " uplink
                } else if (n == ports_at) print lines[n] " " uplink
                else print lines[n]
            }
            if (!found) print "\nauto " uplink "\niface " uplink " inet manual\n\tovs_bridge " bridge "\n\tovs_type OVSPort"
        }'
}

preview() {
    say 'This will be done:'
    if [ -n "$deb" ]; then say "  - install $deb"; else say '  - build the Debian package and install it'; fi
    grep -qsE "^bridge_name = \"$bridge\"" "$config" || say "  - set bridge_name = \"$bridge\" in $config"
    for name in $bridges; do
        if ovs-vsctl --timeout=5 br-exists "$name"; then
            if [ "$purge" = 0 ]; then
                say "  - keep the bridge $name"
            else
                say "  - remove the bridge $name, ports: $(ovs-vsctl --timeout=5 list-ports "$name" | tr '\n' ' ')"
                say "  - make the bridge $name anew"
            fi
        else
            say "  - make the bridge $name"
        fi
    done
    [ "$system" = 0 ] || say '  - enable and start the service'
    say '  - then ovs-port-agent setup, which shows its own steps'
    if [ -n "$uplink" ]; then
        say "  - make $uplink a port of $bridge and move its addresses to it:"
        uplink_addresses | sed 's/^/      /'
        say "    taken back after $within s unless it is confirmed; until then a reboot takes it back as well"
    fi
    [ "$persistent" = 1 ] || { say "  - $interfaces stays as it is: there is none, or no ifup"; return 0; }
    newest=$work/bridges
    [ -z "$uplink" ] || newest=$work/uplink
    if cmp -s "$interfaces" "$newest"; then say "  - $interfaces stays as it is"; return 0; fi
    say "  - change $interfaces:"
    diff -u --label=now --label=then "$interfaces" "$newest" | sed 's/^/      /' || :
}

# ---- Steps. Each writes how it is undone first; newest first is the order.

on_undo() {
    printf '%s\n' "$1" | cat - "$work/undo" >"$work/undo.new" 2>/dev/null || printf '%s\n' "$1" >"$work/undo.new"
    mv "$work/undo.new" "$work/undo"
}

undo_all() {
    [ -s "$work/undo" ] || return 0
    printf 'install.sh: failed; taking back what was done\n' >&2
    # Each line by itself: one that fails must not keep the others from being tried.
    while IFS= read -r line; do sh -c "$line" >&2 || printf 'install.sh: could not: %s\n' "$line" >&2; done <"$work/undo"
}

install_package() {
    if [ -z "$deb" ]; then
        . scripts/prerequisites.sh
        need_build
        deb=$(npm run --silent deb)
    fi
    # Before: a version to go back to is not at hand, so that an upgrade stays; a first installation goes again.
    dpkg-query --show --showformat='${db:Status-Status}' ovs-port-agent 2>/dev/null | grep -q '^installed' ||
        on_undo 'dpkg --remove ovs-port-agent'
    dpkg --install "$deb" || fail "dpkg could not install $deb; apt-get --fix-broken install brings in what it needs"
}

configure() {
    grep -q "^bridge_name = \"$bridge\"" "$config" && return 0
    cp -p "$config" "$work/config.toml"
    on_undo "cp -p '$work/config.toml' '$config'"
    if grep -q '^bridge_name *=' "$config"; then
        sed -i "s/^bridge_name *=.*/bridge_name = \"$bridge\"/" "$config"
    else
        sed -i "1i bridge_name = \"$bridge\"" "$config"
    fi
    [ ! -d /run/systemd/system ] || deb-systemd-invoke restart ovs-port-agent.service || fail 'the service does not start'
}

purge_bridges() {
    [ "$purge" = 1 ] || return 0
    # Not undone: what was on them is gone. Making them again is the next step.
    for name in $bridges; do
        check_purge "$name"
        ovs-vsctl --timeout=10 --if-exists del-br "$name"
    done
}

make_bridges() {
    for name in $bridges; do
        ovs-vsctl --timeout=5 br-exists "$name" && continue
        on_undo "ovs-vsctl --timeout=10 --if-exists del-br $name"
        ovs-vsctl --timeout=10 add-br "$name" -- set Bridge "$name" "datapath_type=$datapath"
        wait_for_device "$name" || fail "Open vSwitch made no device $name: $(ovs-vsctl --timeout=5 get Interface "$name" error)"
        ip link set dev "$name" up
    done
}

wait_for_device() {
    tries=50
    while [ ! -e "/sys/class/net/$1" ]; do
        [ $((tries -= 1)) -gt 0 ] || return 1
        sleep 0.1
    done
}

# replace_interfaces COMMAND ...: the file through the command, under Proxmox VE's own lock and in one step.
replace_interfaces() {
    new=$interfaces.ovs-port-agent-install
    (
        flock -w 10 9 || fail "$interfaces stayed locked by another process"
        [ ! -e "$interfaces.new" ] || fail "$interfaces.new came up meanwhile: apply or revert it in the GUI"
        "$@" <"$interfaces" >"$new" || fail "$interfaces was changed meanwhile: $(tail -n 1 "$new")"
        if cmp -s "$interfaces" "$new"; then exit 0; fi
        chmod --reference="$interfaces" "$new" && chown --reference="$interfaces" "$new" &&
            cp -p "$interfaces" /var/backups/interfaces.before-ovs-port-agent && sync "$new" && mv -f "$new" "$interfaces" ||
            fail "$interfaces could not be replaced"
    ) 9>"$lock" && status=0 || status=1
    rm -f "$new"
    return "$status"
}

enable_service() {
    systemctl unmask ovs-port-agent.service
    systemctl enable --now ovs-port-agent.service
}

# ---- The uplink

move_uplink() {
    addresses=$(uplink_addresses)
    # The route to an address's own network comes and goes with the address. (ifupdown2 marks all of its routes `kernel`.)
    routes=$(ip -4 route show dev "$uplink" | grep -v ' proto kernel scope link' | sed 's/ linkdown//') || routes=''
    gateway=$(printf '%s\n' "$routes" | awk '$1 == "default" && $2 == "via" { print $3; exit }')
    # A gateway that never answers pings says nothing.
    [ -z "$gateway" ] || ping -c 1 -W 2 "$gateway" >/dev/null 2>&1 || gateway=''
    rm -f "$kept"
    (umask 077 && mkdir -p "$state")
    printf '%s %s\n' "$bridge" "$uplink" >"$state/uplink"
    write_uplink_undo >"$state/undo"
    # First the way back, then the change: from here on nothing that happens to this process or its terminal matters.
    systemctl reset-failed "$timer.service" 2>/dev/null || :
    systemd-run --quiet --unit="$timer" --on-active="$within" --timer-property=AccuracySec=100ms /bin/sh "$state/undo" || {
        rm -rf "$state"
        fail 'systemd takes no timer for the way back: the uplink was left alone'
    }
    if ! change_uplink || ! gateway_answers; then
        take_uplink_back
        fail "$uplink did not work on $bridge and was taken back; everything else is done"
    fi
    await_confirmation
}

# Without those that a router's advertisement gave: they come by themselves.
uplink_addresses() {
    ip -oneline address show dev "$uplink" scope global permanent | awk '{ print $4 }'
}

change_uplink() {
    ovs-vsctl --timeout=10 -- --may-exist add-port "$bridge" "$uplink" || return 1
    ip link set dev "$bridge" up || return 1
    for address in $addresses; do
        ip address del "$address" dev "$uplink" && ip address add "$address" dev "$bridge" || return 1
    done
    printf '%s\n' "$routes" | while read -r route; do
        # shellcheck disable=SC2086 # words of a route
        [ -z "$route" ] || ip route replace $route dev "$bridge" || exit 1
    done
}

# Every line is tried, whatever became of the others: the change may have stopped anywhere.
write_uplink_undo() {
    echo 'PATH=/usr/sbin:/usr/bin:/sbin:/bin'
    # Whoever moves the mark decides: this, or a confirmation.
    echo "mv '$state/uplink' '$state/undone' || exit 0"
    echo "ovs-vsctl --timeout=5 --if-exists del-port $bridge $uplink"
    for address in $addresses; do
        echo "ip address del $address dev $bridge"
        echo "ip address replace $address dev $uplink"
    done
    echo "ip link set dev $uplink up"
    printf '%s\n' "$routes" | while read -r route; do [ -z "$route" ] || echo "ip route replace $route dev $uplink"; done
    echo "rm -rf '$state'"
}

gateway_answers() {
    [ -n "$gateway" ] || return 0
    # A switch port may take its time to learn or to forward.
    for _ in 1 2 3 4 5 6 7 8 9 10; do
        if ping -c 1 -W 1 "$gateway" >/dev/null 2>&1; then return 0; fi
    done
    printf 'install.sh: the gateway %s does not answer\n' "$gateway" >&2
    return 1
}

take_uplink_back() {
    systemctl stop "$timer.timer" 2>/dev/null || :
    sh "$state/undo" 2>/dev/null || :
}

# At a terminal by a word; from another login by --confirm, which proves that one can log in. Silence is a no.
await_confirmation() {
    say "$uplink is on $bridge. Log in anew, and run there: scripts/install.sh --confirm"
    if [ -t 0 ] && [ "$yes" = 0 ]; then say 'Or type "keep" here.'; fi
    while [ -d "$state" ]; do
        if [ -t 0 ] && [ "$yes" = 0 ]; then
            # Gives up by itself when the timer has taken the move back.
            if answer=$(timeout --foreground 2 head -n 1) && [ "$answer" = keep ]; then confirm_uplink; return 0; fi
        else
            sleep 0.5
        fi
    done
    [ -e "$kept" ] || fail "nobody confirmed in $within s: $uplink has its addresses again; everything else is done"
    rm -f "$kept"
}

# What the package cannot do at its installation: condone lines of bridges that were there, the snippet where it may lie, what the
# older tool left. It shows its own steps and asks; what it does is taken back by `ovs-port-agent setup --undo`.
finish() {
    if [ "$yes" = 1 ]; then set -- --yes; else set --; fi
    ovs-port-agent setup "$@" || printf 'install.sh: the setup is not complete; ovs-port-agent doctor says what is missing\n' >&2
    say 'done; ovs-port-agent doctor says how it is'
}

confirm_uplink() {
    mv "$state/uplink" "$state/kept" 2>/dev/null || fail 'no uplink waits to be confirmed'
    systemctl stop "$timer.timer" "$timer.service" 2>/dev/null || :
    read -r bridge uplink <"$state/kept"
    if ! replace_interfaces with_uplink "$bridge" "$uplink"; then
        mv "$state/kept" "$state/uplink"
        sh "$state/undo" 2>/dev/null || :
        fail "$uplink was taken back"
    fi
    : >"$kept"
    rm -rf "$state"
    say "$uplink stays on $bridge"
}

main "$@"
