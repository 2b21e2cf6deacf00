#!/usr/bin/env bash
# The figures of walferry as a whole, each beside its yardstick in the same run. Rounds alternate, so
# that a noisy neighbour hits both alike; read the ratios.
#
#   bench/figures.sh [MEBIBYTES] [SECONDS]      (default: 1024 5)
#
# Needs nginx, curl and the built programs (WALFERRY_BUILD, default build/release).
set -euo pipefail
cd "$(dirname "$0")/.."
size=${1:-1024}
seconds=${2:-5}
build=${WALFERRY_BUILD:-build/release}
walferry=$PWD/$build/engine/daemon/walferry
probe=$PWD/$build/bench/walferry_probe
work=$(mktemp -d)
pids=()
cleanup() {
  for pid in "${pids[@]}"; do kill "$pid" 2>/dev/null || true; done
  wait 2>/dev/null || true
  rm -rf "$work"
}
trap cleanup EXIT
cd "$work"

free_port() { python3 -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])'; }
now() { date +%s.%N; }
rate() { awk -v a="$1" -v b="$2" -v bytes="$3" 'BEGIN { printf "%.0f", bytes / 1048576 / (b - a) }'; }
ratio() { awk -v a="$1" -v b="$2" 'BEGIN { printf "%.2f", a / b }'; }

port=$(free_port)
web=$(free_port)
mkdir -p www logs
cat > nginx.conf <<EOF
daemon off; error_log logs/error.log; pid nginx.pid; worker_processes 1;
events {}
http { access_log off; sendfile on; client_body_temp_path logs; proxy_temp_path logs; fastcgi_temp_path logs;
       uwsgi_temp_path logs; scgi_temp_path logs;
       server { listen 127.0.0.1:$web; root $work/www; } }
EOF
chmod 755 "$work"
nginx -p "$work" -c nginx.conf & pids+=($!)

echo "== commits per second, alone and with the primary attached (and a follower)"
"$probe" fill app.db 8
for round in 1 2 3; do
  echo "alone     $("$probe" commits app.db "$seconds" 100)"
  "$walferry" serve app.db --listen "127.0.0.1:$port" --log-level error & serve=$!; pids+=("$serve"); sleep 0.5
  echo "attached  $("$probe" commits app.db "$seconds" 100)"
  kill "$serve"; wait "$serve" || true
done

echo "== lag on loopback"
"$walferry" serve app.db --listen "127.0.0.1:$port" --log-level error & serve=$!; pids+=("$serve"); sleep 0.5
"$walferry" replicate "http://127.0.0.1:$port" small.db --log-level error & follow=$!; pids+=("$follow")
until [ -e small.db ]; do sleep 0.05; done
"$probe" lag app.db small.db "$seconds"
kill "$follow" "$serve"; wait "$follow" "$serve" || true

echo "== bootstrap of $size MiB beside curl from nginx"
"$probe" fill big.db "$size"
bytes=$(stat -c %s big.db)
ln big.db www/big.db
"$walferry" serve big.db --listen "127.0.0.1:$port" --log-level error & serve=$!; pids+=("$serve")
until curl -fs "http://127.0.0.1:$port/ferry/info" >/dev/null; do sleep 0.1; done
for round in 1 2 3; do
  rm -f copy.db; sync
  a=$(now); curl -fs -o copy.db "http://127.0.0.1:$web/big.db"; sync copy.db; b=$(now)
  curl_rate=$(rate "$a" "$b" "$bytes")
  rm -f copy.db local.db*; sync
  a=$(now); /usr/bin/time -f %M -o rss "$walferry" replicate "http://127.0.0.1:$port" local.db --once --log-level error; b=$(now)
  ferry_rate=$(rate "$a" "$b" "$bytes")
  echo "curl ${curl_rate} MiB/s, walferry ${ferry_rate} MiB/s, ratio $(ratio "$ferry_rate" "$curl_rate"), peak $(($(cat rss) / 1024)) MiB"
done

echo "== catch-up: half of the database rewritten while the follower was away, beside curl of as many bytes"
# The time until the replica is live, as its log says; moving the WAL into the file comes after.
for round in 1 2 3; do
  sqlite3 -cmd '.timeout 20000' big.db "UPDATE fill SET text=randomblob(1000) WHERE id % 6 = $round"
  sleep 2
  a=$(now); "$walferry" replicate "http://127.0.0.1:$port" local.db 2> catch-up.log & follow=$!; pids+=("$follow")
  until grep -q 'local.db: live' catch-up.log; do sleep 0.01; done; b=$(now)
  sleep 1.2
  received=$("$walferry" status local.db --json | python3 -c 'import json,sys; s=json.load(sys.stdin); print(s.get("replica", s)["bytes_received"])')
  kill "$follow"; wait "$follow" || true
  ferry_rate=$(rate "$a" "$b" "$received")
  head -c "$received" big.db > www/part; rm -f copy.db; sync
  a=$(now); curl -fs -o copy.db "http://127.0.0.1:$web/part"; b=$(now)
  curl_rate=$(rate "$a" "$b" "$received")
  echo "$((received >> 20)) MiB: curl ${curl_rate} MiB/s, walferry ${ferry_rate} MiB/s, ratio $(ratio "$ferry_rate" "$curl_rate")"
done

# Each commit makes a reader drop its page cache, whoever wrote it. So besides the idle file there is
# a plain copy that a local program writes to as often, with no walferry near.
echo "== point reads on a replica during sync (100 commits per second), beside the same file idle, and beside a plain file written as often"
"$walferry" replicate "http://127.0.0.1:$port" local.db --log-level error & follow=$!; pids+=("$follow"); sleep 1
rm -f copy.db; "$walferry" copy local.db plain.db
reads_beside() {
  "$probe" commits "$2" "$((seconds + 1))" 10000 >/dev/null & writer=$!; pids+=("$writer"); sleep 0.5
  local rate; rate=$("$probe" reads "$1" "$seconds"); wait "$writer"; echo "${rate#*=}"
}
for round in 1 2 3; do
  idle=$("$probe" reads local.db "$seconds"); idle=${idle#*=}
  busy=$(reads_beside local.db big.db)
  plain=$(reads_beside plain.db plain.db)
  echo "idle $idle/s, during sync $busy/s, ratio $(ratio "$busy" "$idle"); plain file beside a writer $plain/s, ratio of sync to it $(ratio "$busy" "$plain")"
done
"$walferry" verify local.db "http://127.0.0.1:$port"
