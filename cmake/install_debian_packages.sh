#!/bin/sh
# Installs what walferry is built and tested with, on Debian 12 (bookworm).
#
#   cmake/install_debian_packages.sh [--demo | --interop | --developer]
#
# --demo leaves out nginx, which only tests use and which Debian starts when it installs it;
# --interop adds Node.js and npm, where there is no Node.js of version 18 or later; --developer adds
# these, clang-format, clang-tidy, shellcheck and what bench/ needs. Root or sudo is needed only when
# something is missing; when nothing is, nothing is done. Plain sh: a bare machine has little else.
set -eu

say() {
    echo "install_debian_packages: $*" >&2
}

packages="
    ca-certificates ccache cmake curl g++ git make ninja-build pkg-config procps python3 sqlite3
    libboost-json1.81-dev libboost-url1.81-dev libboost1.81-dev libcli11-dev libcurl4-openssl-dev
    libgmock-dev libgtest-dev libprotozero-dev libspdlog-dev libsqlite3-dev libssl-dev
    libtomlplusplus-dev libxxhash-dev libzstd-dev
"
# Node.js may also come from elsewhere than Debian.
node_packages="nodejs npm"
if command -v npm >/dev/null &&
    node -e 'process.exit(parseInt(process.versions.node) < 18 ? 1 : 0)' 2>/dev/null; then
    node_packages=""
fi
case "${1:-}" in
    --demo) ;;
    "") packages="$packages nginx-light" ;;
    --interop) packages="$packages nginx-light $node_packages" ;;
    --developer)
        packages="$packages nginx-light clang-format-19 clang-tidy-19 shellcheck libbenchmark-dev time
            $node_packages"
        ;;
    *)
        say "unknown argument '$1'; usage: $0 [--demo | --interop | --developer]"
        exit 2
        ;;
esac
# One word each from here on.
# shellcheck disable=SC2086
set -- $packages

if ! command -v dpkg-query >/dev/null || ! command -v apt-get >/dev/null; then
    say "this is not a Debian machine: install what corresponds to these packages yourself: $*"
    exit 1
fi

# Rotates through the list and keeps what is missing.
for package in "$@"; do
    shift
    # "ii ": installed and configured; a package whose settings alone are left is "rc ".
    case "$(dpkg-query -W -f '${db:Status-Abbrev}' "$package" 2>/dev/null || true)" in
        ii*) ;;
        *) set -- "$@" "$package" ;;
    esac
done
[ $# -gt 0 ] || exit 0

as_root=""
if [ "$(id -u)" -ne 0 ]; then
    as_root="sudo"
    if ! command -v sudo >/dev/null; then
        say "packages are missing, and installing them takes root (there is no sudo here)."
        say "Run as root: apt-get install --no-install-recommends $*"
        exit 1
    fi
fi

say "installing: $*"
$as_root apt-get update -q
$as_root env DEBIAN_FRONTEND=noninteractive apt-get install -q -y --no-install-recommends "$@"
