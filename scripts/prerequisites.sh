# shellcheck shell=sh
# Sourced by demo.sh and test.sh: brings in what is missing, says what it does, does nothing when all is there.
# Needs root, Node.js >= 20.19, and the package registries of Debian and npm.

say() { printf '%s\n' "$*" >&2; }
fail() {
    say "$0: $*"
    exit 1
}

# need_packages COMMAND:PACKAGE ...   installs the packages whose command (or file, with a slash) is not there
need_packages() {
    missing=
    for pair in "$@"; do
        case ${pair%%:*} in
            /*) [ -e "${pair%%:*}" ] || missing="$missing ${pair#*:}" ;;
            *) command -v "${pair%%:*}" >/dev/null 2>&1 || missing="$missing ${pair#*:}" ;;
        esac
    done
    [ -n "$missing" ] || return 0
    say "installing Debian packages:$missing"
    # shellcheck disable=SC2086 # a list of words
    { apt-get update && DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends $missing; } \
        >"${TMPDIR:-/tmp}/ovs-port-agent-apt.log" 2>&1 ||
        fail "apt-get could not install$missing; see ${TMPDIR:-/tmp}/ovs-port-agent-apt.log"
}

# need_file PACKAGE PATH   one file of a Debian package into the cache folder; the package, which may have services, is not
# installed
need_file() {
    kept=${XDG_CACHE_HOME:-${HOME:-/root}/.cache}/ovs-port-agent/$(basename "$2")
    [ ! -s "$kept" ] || return 0
    say "fetching $2 of the Debian package $1"
    fetched=$(mktemp -d "${TMPDIR:-/tmp}/ovs-port-agent-file.XXXXXX")
    mkdir -p "$(dirname "$kept")"
    (
        cd "$fetched" && { apt-get update && apt-get download "$1"; } >apt.log 2>&1 &&
            dpkg-deb --fsys-tarfile "$1"_*.deb >files.tar && tar -xf files.tar --to-stdout ".$2" >file &&
            [ -s file ] && mv file "$kept"
    ) || { cat "$fetched/apt.log" >&2; rm -rf "$fetched"; fail "could not get $2 of the Debian package $1"; }
    rm -rf "$fetched"
}

need_root_and_node() {
    [ "$(id -u)" = 0 ] || fail 'needs root: it makes network namespaces and devices'
    PATH=$PATH:/usr/local/sbin:/usr/sbin:/sbin
    command -v node >/dev/null 2>&1 || need_packages node:nodejs npm:npm
    node -e 'const [a, b] = process.versions.node.split(".").map(Number); process.exit(a > 20 || (a === 20 && b >= 19) ? 0 : 1)' ||
        fail "needs Node.js 20.19 or newer, this is $(node --version)"
    command -v npm >/dev/null 2>&1 || need_packages npm:npm
}

# npm ci once for each lock file, and a build whenever a source is newer than the bundle.
need_build() {
    if [ -z "$(find node_modules/.package-lock.json -newer package-lock.json 2>/dev/null)" ]; then
        say 'installing npm packages (npm ci --ignore-scripts)'
        npm ci --ignore-scripts --no-audit --no-fund --loglevel=error >&2 || fail 'npm ci failed'
    fi
    if [ ! -f dist/ovs-port-agentd.mjs ] || [ -n "$(find src scripts/*.mjs package.json -newer dist/ovs-port-agentd.mjs -type f | head -n 1)" ]; then
        say 'building'
        npm run --silent build >&2 || fail 'the build failed'
    fi
}
