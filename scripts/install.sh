#!/bin/sh
# Installs ovs-port-agent from a built checkout. See --help.
set -eu

usage() {
    cat <<'TEXT'
Usage: scripts/install.sh [--destdir DIR]

Installs the built service, command, hookscript, unit and D-Bus files. The configuration
/etc/ovs-port-agent/config.toml is installed only where there is none. Running it again
replaces every other file; each file is replaced in one step.

  --destdir DIR   install below DIR instead of / and do not talk to systemd or the bus
  -h, --help      this text

Examples:
  npm run build && scripts/install.sh
  scripts/install.sh --destdir /tmp/package-root

Afterwards:
  systemctl enable --now ovs-port-agent
  pct set 100 --hookscript local:snippets/ovs-port-agent     (on Proxmox VE, as root)
TEXT
}

main() {
    destdir=
    while [ $# -gt 0 ]; do
        case $1 in
            --destdir)
                [ -n "${2-}" ] || fail "--destdir needs a folder"
                destdir=${2%/}
                shift 2 ;;
            -h | --help) usage; exit 0 ;;
            *) fail "unknown argument \"$1\"; see --help" ;;
        esac
    done
    cd "$(dirname "$0")/.."
    for bundle in ovs-port-agent.mjs ovs-port-agentd.mjs; do
        [ -f "dist/$bundle" ] || fail "dist/$bundle is missing: run \`npm run build\` first"
    done
    [ -n "$destdir" ] || [ "$(id -u)" -eq 0 ] || fail "must be root to install into /; use --destdir for a trial"

    lib=/usr/lib/ovs-port-agent
    put 0755 dist/ovs-port-agent.mjs "$lib/ovs-port-agent.mjs"
    put 0644 dist/ovs-port-agentd.mjs "$lib/ovs-port-agentd.mjs"
    put 0755 hooks/ovs-port-agent "$lib/hook/ovs-port-agent"
    link ../lib/ovs-port-agent/ovs-port-agent.mjs /usr/bin/ovs-port-agent
    put 0644 systemd/ovs-port-agent.service /usr/lib/systemd/system/ovs-port-agent.service
    put 0644 systemd/dev.ovs.PortAgent1.service /usr/share/dbus-1/system-services/dev.ovs.PortAgent1.service
    put 0644 systemd/dev.ovs.PortAgent1.conf /usr/share/dbus-1/system.d/dev.ovs.PortAgent1.conf
    [ -e "$destdir/etc/ovs-port-agent/config.toml" ] || put 0644 proxmox/config.toml /etc/ovs-port-agent/config.toml
    # A storage `local` at its usual place means Proxmox VE; elsewhere nobody would call the snippet.
    [ ! -d "$destdir/var/lib/vz" ] || put 0755 proxmox/snippet /var/lib/vz/snippets/ovs-port-agent

    if [ -z "$destdir" ]; then reload; fi
    echo "ovs-port-agent is installed below ${destdir:-/}"
}

fail() {
    echo "install.sh: $1" >&2
    exit 1
}

# put MODE SOURCE TARGET: written beside the target, then renamed over it, so that a reader sees the old or the new.
put() {
    target=$destdir$3
    mkdir -p "${target%/*}"
    install -m "$1" "$2" "$target.new$$"
    mv -f "$target.new$$" "$target"
}

link() {
    target=$destdir$2
    mkdir -p "${target%/*}"
    ln -sf "$1" "$target.new$$"
    mv -fT "$target.new$$" "$target"
}

# The bus daemon and systemd read the new files. A machine without them running (a chroot) is none of our business.
reload() {
    [ -d /run/systemd/system ] || return 0
    systemctl daemon-reload
    busctl --system --timeout=5 call org.freedesktop.DBus /org/freedesktop/DBus org.freedesktop.DBus ReloadConfig || :
}

main "$@"
