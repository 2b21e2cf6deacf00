#!/usr/bin/env bash
# Shows walferry at work on a bare Debian 12 machine: installs what is missing, builds, publishes a
# database made of the machine's own package lists, follows it into a second file while writers and
# readers work, kills and restarts each side, and ends with figures and a page-for-page comparison.
# Everything it makes lives in one scratch folder (and in build/); the folder and every process are
# gone when it ends. For the lists it may have to run `apt-get update`.
set -euo pipefail
cd "$(dirname "$0")"

calm_seconds=8       # lag and throughput are measured in this time
turbulent_seconds=12 # then both sides are killed again and again

say() {
    printf '\n== %s\n' "$*"
}

die() {
    echo "demo: $*" >&2
    exit 1
}

# ---------------------------------------------------------------------------------------- processes

scratch=""
declare -A running=() # name -> pid

cleanup() {
    trap - EXIT INT TERM
    local name
    for name in "${!running[@]}"; do
        kill -KILL "${running[$name]}" 2>/dev/null || true
        wait "${running[$name]}" 2>/dev/null || true
    done
    [ -z "$scratch" ] || rm -rf "$scratch"
}
trap cleanup EXIT
trap 'exit 1' INT TERM

# start NAME COMMAND...: in the background, its output in a file of that name.
start() {
    local name=$1
    shift
    "$@" >>"$scratch/$name.out" 2>>"$scratch/$name.err" &
    running[$name]=$!
}

# crash NAME: as a power cut would end it.
crash() {
    kill -KILL "${running[$1]}" || die "$1 had ended: $(tail -n 5 "$scratch/$1.err")"
    wait "${running[$1]}" 2>/dev/null || true
    unset "running[$1]"
}

# finish NAME: waits for its own end, which has to be a good one.
finish() {
    local code=0
    wait "${running[$1]}" || code=$?
    unset "running[$1]"
    [ "$code" -eq 0 ] || die "$1 ended with $code: $(tail -n 5 "$scratch/$1.err")"
}

# ------------------------------------------------------------------------------------------ walferry

start_primary() {
    start primary "$walferry" serve "$scratch/app.db" --listen "127.0.0.1:$port"
}

start_replica() {
    start replica "$walferry" replicate "$url" "$scratch/local.db"
}

# replica_status FIELD
replica_status() {
    "$walferry" status "$scratch/local.db" --json 2>/dev/null |
        python3 -c 'import json, sys; print(json.load(sys.stdin)[sys.argv[1]])' "$1" 2>/dev/null
}

wait_until_live() {
    local tries
    for tries in {1..600}; do
        if [ "$(replica_status state)" = live ] && [ "$(replica_status engine_running)" = True ]; then
            return 0
        fi
        sleep 0.1
    done
    die "the replica is not live after $((tries / 10)) s: $(replica_status last_error)"
}

# ------------------------------------------------------------------------------------------- helpers

# Debian's list of all packages, as text with one paragraph a package.
package_lists() {
    if [ "$(apt-cache dumpavail 2>/dev/null | grep -c '^Package:')" -lt 10000 ]; then
        local as_root=""
        [ "$(id -u)" -eq 0 ] || as_root=sudo
        $as_root apt-get update -q >&2 || true
    fi
    if [ "$(apt-cache dumpavail 2>/dev/null | grep -c '^Package:')" -ge 10000 ]; then
        apt-cache dumpavail
    else
        echo "demo: no package lists to be had; the list of installed packages has to do" >&2
        cat /var/lib/dpkg/status
    fi
}

write_helpers() {
    # Reads package lists from stdin into the database named by its argument.
    cat >"$scratch/make_database.py" <<'PYTHON'
import sqlite3
import sys

FIELDS = ("Package", "Version", "Section", "Maintainer", "Installed-Size", "Description")


def paragraphs(lines):
    fields = {}
    for line in lines:
        if line == "\n":
            if "Package" in fields:
                yield tuple(fields.get(name) for name in FIELDS)
            fields = {}
        elif not line.startswith(" "):
            name, _, value = line.partition(":")
            fields[name] = value.strip()
    if "Package" in fields:
        yield tuple(fields.get(name) for name in FIELDS)


database = sqlite3.connect(sys.argv[1], isolation_level=None)
database.execute("PRAGMA journal_mode=WAL")
database.executescript(
    """
    CREATE TABLE packages (
        id INTEGER PRIMARY KEY, name TEXT, version TEXT, section TEXT, maintainer TEXT,
        installed_size INTEGER, description TEXT, points INTEGER NOT NULL DEFAULT 100);
    CREATE TABLE moves (id INTEGER PRIMARY KEY, writer INTEGER, at REAL);
    """
)
database.execute("BEGIN")
sys.stdin.reconfigure(encoding="utf-8", errors="replace")
database.executemany(
    "INSERT INTO packages (name, version, section, maintainer, installed_size, description)"
    " VALUES (?, ?, ?, ?, ?, ?)",
    paragraphs(sys.stdin),
)
database.execute("CREATE INDEX packages_by_name ON packages (name)")
database.execute("COMMIT")
print(database.execute("SELECT count(*) FROM packages").fetchone()[0])
PYTHON

    # Moves points between packages, one transaction at a time: their sum never changes.
    cat >"$scratch/writer.py" <<'PYTHON'
import random
import sqlite3
import sys
import time

path, number, seconds = sys.argv[1], int(sys.argv[2]), float(sys.argv[3])
database = sqlite3.connect(path, timeout=30, isolation_level=None)
database.execute("PRAGMA synchronous=NORMAL")
(rows,) = database.execute("SELECT max(id) FROM packages").fetchone()
end = time.time() + seconds
while time.time() < end:
    giver, taker = random.randint(1, rows), random.randint(1, rows)
    database.execute("BEGIN IMMEDIATE")
    database.execute("UPDATE packages SET points = points - 1 WHERE id = ?", (giver,))
    database.execute("UPDATE packages SET points = points + 1 WHERE id = ?", (taker,))
    database.execute("INSERT INTO moves (writer, at) VALUES (?, ?)", (number, time.time()))
    database.execute("COMMIT")
    time.sleep(0.002)
PYTHON

    # Watches the replica and says how old each commit was when it could be read there.
    cat >"$scratch/watcher.py" <<'PYTHON'
import sqlite3
import sys
import time

path, seconds = sys.argv[1], float(sys.argv[2])
database = sqlite3.connect(path, timeout=30, isolation_level=None)
(seen,) = database.execute("SELECT coalesce(max(id), 0) FROM moves").fetchone()
first, begin, ages = seen, time.time(), []
while time.time() < begin + seconds:
    rows = database.execute("SELECT id, at FROM moves WHERE id > ? ORDER BY id", (seen,)).fetchall()
    now = time.time()
    for seen, at in rows:
        ages.append((now - at) * 1000)
    time.sleep(0.0002)
if not ages:
    sys.exit("no commit arrived at the replica")
ages.sort()
print(f"commits followed   {(seen - first) / seconds:.0f} per second")
print(
    "lag                "
    f"p50 {ages[len(ages) // 2]:.1f} ms, p99 {ages[int(len(ages) * 0.99)]:.1f} ms"
    " (from the writer's clock before COMMIT to a reader of the replica)"
)
PYTHON
}

# Stock sqlite3 processes, one a read: the sum has to be right, the number of moves never smaller.
read_replica() {
    local end=$((SECONDS + $1)) expected=$2 reads=0 last=0 sum moves
    while [ "$SECONDS" -lt "$end" ]; do
        IFS='|' read -r sum moves < <(sqlite3 -cmd '.timeout 30000' "$scratch/local.db" \
            'SELECT sum(points), (SELECT count(*) FROM moves) FROM packages') ||
            die "sqlite3 could not read the replica"
        [ "$sum" = "$expected" ] || die "a reader saw a sum of $sum instead of $expected"
        [ "$moves" -ge "$last" ] || die "a reader went back from $last to $moves moves"
        last=$moves
        reads=$((reads + 1))
    done
    echo "$reads"
}

# --------------------------------------------------------------------------------------- the demo

say "installing what is missing, and building"
cmake/install_debian_packages.sh --demo
[ -f build/release/build.ninja ] || cmake --preset release
cmake --build --preset release --target walferry_daemon --parallel "$(nproc)"
walferry=$PWD/build/release/engine/daemon/walferry
"$walferry" version

begin=$SECONDS
scratch=$(mktemp -d)
write_helpers
port=$(python3 -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])')
url=http://127.0.0.1:$port/db/app.db

say "a database of this machine's package lists"
package_lists | python3 "$scratch/make_database.py" "$scratch/app.db" >"$scratch/rows"
rows=$(cat "$scratch/rows")
echo "$rows rows, $(($(stat -c %s "$scratch/app.db") >> 20)) MiB"

say "walferry serve app.db, and walferry replicate $url local.db"
start_primary
start_replica
wait_until_live
grep serving "$scratch/primary.err"
echo "local.db: $(sqlite3 "$scratch/local.db" 'SELECT count(*) FROM packages') rows"

say "two writers on app.db, sqlite3 readers on local.db, for $calm_seconds s"
seconds=$((calm_seconds + turbulent_seconds))
before=$(replica_status bytes_received)
start writer_1 python3 "$scratch/writer.py" "$scratch/app.db" 1 "$seconds"
start writer_2 python3 "$scratch/writer.py" "$scratch/app.db" 2 "$seconds"
start reader read_replica "$seconds" $((rows * 100))
start watcher python3 "$scratch/watcher.py" "$scratch/local.db" "$calm_seconds"
finish watcher
received=$(($(replica_status bytes_received) - before))
cat "$scratch/watcher.out"
echo "received           $((received / calm_seconds / 1024)) KiB per second"

say "the same, with kill -9 on each side, for $turbulent_seconds s"
kills=0
until=$((SECONDS + turbulent_seconds - 3))
while [ "$SECONDS" -lt "$until" ]; do
    crash replica
    start_replica
    sleep 0.7
    crash primary
    start_primary
    sleep 0.7
    kills=$((kills + 2))
done
finish writer_1
finish writer_2
finish reader
echo "$kills kills; $(cat "$scratch/reader.out") reads by sqlite3: no wrong sum, none went back"

say "both sides at the end"
wait_until_live
"$walferry" status "$scratch/local.db"
"$walferry" verify "$scratch/local.db" "$url"
sum=$(sqlite3 "$scratch/local.db" 'SELECT sum(points) FROM packages')
[ "$sum" = $((rows * 100)) ] || die "the sum is $sum"
if sqlite3 "$scratch/local.db" 'DELETE FROM moves' 2>"$scratch/refusal"; then
    die "a write to the replica was not refused"
fi
echo "a write to the replica: $(cat "$scratch/refusal")"

for side in replica primary; do
    kill -TERM "${running[$side]}"
    finish "$side"
done
say "done in $((SECONDS - begin)) s after the build"
