#!/bin/sh
# Installs what is missing, builds, and runs the whole default suite. What CTest says last is the
# last thing printed; the exit code is its own.
set -eu
cd "$(dirname "$0")"
cmake/install_debian_packages.sh
exec make test
