#!/bin/sh
# The tests with the real packages from npm, against a built walferry:
#
#   tests/interop/run.sh [TEST_FILE]...
#
# WALFERRY_PROGRAM is the program to test; build/release/engine/daemon/walferry if it is not set.
# The packages are installed in build/interop, once for each package-lock.json.
set -eu
[ -z "${WALFERRY_PROGRAM:-}" ] || WALFERRY_PROGRAM=$(realpath "$WALFERRY_PROGRAM")
cd "$(dirname "$0")/../.."
WALFERRY_PROGRAM=${WALFERRY_PROGRAM:-$PWD/build/release/engine/daemon/walferry}
export WALFERRY_PROGRAM
if [ ! -x "$WALFERRY_PROGRAM" ]; then
    echo "interop: there is no program at $WALFERRY_PROGRAM; build it first" >&2
    exit 1
fi

place=build/interop
mkdir -p "$place"
find "$place" -mindepth 1 -maxdepth 1 ! -name node_modules ! -name installed-lock.json \
    -exec rm -rf {} +
cp -R tests/interop/. "$place/"
cd "$place"

if ! cmp -s package-lock.json installed-lock.json; then
    npm ci --ignore-scripts --no-audit --no-fund --no-update-notifier
    cp package-lock.json installed-lock.json
fi

node compile_programs.js
[ $# -gt 0 ] || set -- ./*.test.js
# Far above what they take: a test that hangs fails the run instead of holding it up.
exec timeout --kill-after=10 600 node --test --test-reporter=spec "$@"
