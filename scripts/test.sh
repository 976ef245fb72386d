#!/bin/sh
# Every tier of tests, or those named. Installs what is missing, builds, checks, runs; the last line counts.
set -u

usage() {
    cat <<'HELP'
Usage: scripts/test.sh [TIER ...]

Runs the tiers named, or check unit sim switch bus netns node.

  check    types, lint, layers, unused code, shell scripts
  unit     codecs, parsers and planners; nothing outside this process
  sim      thousands of histories of a host in memory, and faults that they have to find;
           SIMULATOR_HISTORIES and SIMULATOR_SEED say how many and from which on
  switch   a private ovsdb-server and ovs-vswitchd
  bus      a private dbus-daemon with busctl, gdbus, dbus-send and python-dbus
  netns    network namespaces and the userspace datapath: packets flow
  node     a whole Debian 13 with systemd, Open vSwitch and LXC in a container
  deep     only when named, about an hour: mutation scores, faults at every system call, 20,000 histories, the events
           of a day; writes docs/deep-run.md. MUTATION_SEED and SIMULATOR_SEED draw others than those of the last run

Installs missing Debian packages and npm packages; for the tier switch it takes OVN's schema out of the package
ovn-central, into the cache folder, and installs nothing of that. Needs root.
The last line is `N passed, N failed, N skipped`.

Examples:
  scripts/test.sh
  scripts/test.sh unit
  scripts/test.sh check bus
  MUTATION_SEED=2 scripts/test.sh deep
HELP
}

case ${1-} in -h | --help) usage; exit 0 ;; esac
for tier in "$@"; do
    case $tier in check | unit | sim | switch | bus | netns | node | deep) ;; *) usage >&2; exit 64 ;; esac
done
[ $# -gt 0 ] || set -- check unit sim switch bus netns node

cd "$(dirname "$0")/.." || exit 1
. scripts/prerequisites.sh
need_root_and_node
need_packages ovs-vswitchd:openvswitch-switch dbus-daemon:dbus-daemon dbus-send:dbus-bin busctl:systemd gdbus:libglib2.0-bin \
    ip:iproute2 ping:iputils-ping flock:util-linux strace:strace shellcheck:shellcheck python3:python3 setpriv:util-linux \
    /usr/lib/python3/dist-packages/dbus/__init__.py:python3-dbus \
    /usr/lib/python3/dist-packages/ovs/__init__.py:python3-openvswitch openssl:openssl unshare:util-linux ethtool:ethtool \
    zsh:zsh fish:fish mandoc:mandoc
case " $* " in *' switch '*) need_file ovn-central /usr/share/ovn/ovn-nb.ovsschema ;; esac
case " $* " in *' node '*) need_packages debootstrap:debootstrap systemd-nspawn:systemd-container lintian:lintian ;; esac
need_build

passed=0 failed=0 skipped=0
results=$(mktemp -d "${TMPDIR:-/tmp}/ovs-port-agent-test.XXXXXX")
trap 'rm -rf "$results"' EXIT

# count NAME COMMAND ...   one check that passes or fails as a whole
count() {
    name=$1; shift
    if "$@" >"$results/check.log" 2>&1; then
        passed=$((passed + 1)); printf '  ok    %s\n' "$name"
    else
        failed=$((failed + 1)); printf '  FAIL  %s\n' "$name"; sed 's/^/        /' "$results/check.log"
    fi
}

check_tier() {
    count 'types' npm run --silent typecheck
    count 'eslint' npx --no-install eslint .
    count 'prettier' npx --no-install prettier --check --log-level warn .
    count 'layers' npm run --silent layers
    count 'unused code' npx --no-install knip
    # shellcheck disable=SC2046 # a list of paths without spaces
    count 'shell scripts' shellcheck -x $(grep -lE '^#!/bin/sh|^# shellcheck shell=sh' -r --exclude='*.md' --exclude='*.ts' scripts hooks proxmox packaging docs test)
}

# mocha_tier NAME   every file of test/NAME; counts come from mocha's own JSON
mocha_tier() {
    json=$results/$1.json
    # shellcheck disable=SC2086 # options
    npx --no-install mocha --reporter scripts/reporter.cjs --reporter-option "output=$json" ${2-} "test/$1/**/*.test.ts"
    status=$?
    counts=$(node -e '
        const { passes, failures, pending } = JSON.parse(require("fs").readFileSync(process.argv[1], "utf8")).stats;
        console.log(passes, failures, pending)' "$json" 2>/dev/null) || counts=
    if [ -z "$counts" ]; then
        echo "  FAIL  the tier $1 ended before its tests did (status $status)"
        failed=$((failed + 1))
        return
    fi
    # A runner that fails without a failing test has found something as well: an unhandled rejection, an empty tier.
    case $counts in
        '0 0 0') failed=$((failed + 1)); echo "  FAIL  the tier $1 has no tests" ;;
        *' 0 '*) [ $status -eq 0 ] || { failed=$((failed + 1)); echo "  FAIL  the tier $1 ended with status $status"; } ;;
    esac
    passed=$((passed + ${counts%% *})); counts=${counts#* }
    failed=$((failed + ${counts%% *})); skipped=$((skipped + ${counts#* }))
}

for tier in "$@"; do
    printf '\n== %s\n' "$tier"
    started=$(date +%s)
    case $tier in
        check) check_tier ;;
        deep) DEEP_REPORT=all mocha_tier deep ;;
        *) mocha_tier "$tier" ;;
    esac
    printf '== %s took %s s\n' "$tier" $(($(date +%s) - started))
done

printf '\n%s passed, %s failed, %s skipped\n' "$passed" "$failed" "$skipped"
[ "$failed" -eq 0 ] && { [ "$skipped" -eq 0 ] || [ -z "${CI-}" ]; }
