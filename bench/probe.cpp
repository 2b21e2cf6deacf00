// Measures with stock SQLite, as an application would: knows nothing of walferry.
//
//   walferry_probe lag PRIMARY REPLICA SECONDS      commit on one, visible on the other
//   walferry_probe commits DATABASE SECONDS [PAUSE_US]   small transactions per second
//   walferry_probe reads DATABASE SECONDS           point reads per second
//   walferry_probe fill DATABASE MEBIBYTES          a table of random rows
#include <sqlite3.h>

#include <algorithm>
#include <chrono>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <string>
#include <thread>
#include <vector>

namespace {

using Clock = std::chrono::steady_clock;

double seconds_since(Clock::time_point begun) {
  return std::chrono::duration<double>(Clock::now() - begun).count();
}

void check(sqlite3* db, int rc) {
  if (rc == SQLITE_OK || rc == SQLITE_ROW || rc == SQLITE_DONE) return;
  std::fprintf(stderr, "walferry_probe: %s\n", sqlite3_errmsg(db));
  std::exit(1);
}

sqlite3* open_database(const char* path) {
  sqlite3* db = nullptr;
  check(db, sqlite3_open(path, &db));
  sqlite3_busy_timeout(db, 10'000);
  check(db, sqlite3_exec(db, "PRAGMA synchronous=NORMAL", nullptr, nullptr, nullptr));
  return db;
}

void run(sqlite3* db, const char* sql) {
  check(db, sqlite3_exec(db, sql, nullptr, nullptr, nullptr));
}

sqlite3_stmt* prepare(sqlite3* db, const char* sql) {
  sqlite3_stmt* statement = nullptr;
  check(db, sqlite3_prepare_v2(db, sql, -1, &statement, nullptr));
  return statement;
}

std::int64_t integer(sqlite3* db, sqlite3_stmt* statement) {
  check(db, sqlite3_step(statement));
  const std::int64_t value = sqlite3_column_int64(statement, 0);
  check(db, sqlite3_reset(statement));
  return value;
}

double percentile(const std::vector<double>& sorted, double part) {
  return sorted[std::min(sorted.size() - 1,
                         static_cast<std::size_t>(part * static_cast<double>(sorted.size())))];
}

int lag(const char* primary, const char* replica, double seconds) {
  sqlite3* writer = open_database(primary);
  sqlite3* reader = open_database(replica);
  run(writer, "CREATE TABLE IF NOT EXISTS lag_probe(n INTEGER)");
  run(writer, "DELETE FROM lag_probe");
  run(writer, "INSERT INTO lag_probe VALUES(0)");
  sqlite3_stmt* bump = prepare(writer, "UPDATE lag_probe SET n=n+1");
  for (;;) {
    sqlite3_stmt* exists =
        prepare(reader, "SELECT count(*) FROM sqlite_schema WHERE name='lag_probe'");
    const bool there = integer(reader, exists) == 1;
    sqlite3_finalize(exists);
    if (there) break;
    std::this_thread::sleep_for(std::chrono::milliseconds(1));
  }
  sqlite3_stmt* look = prepare(reader, "SELECT n FROM lag_probe");
  while (integer(reader, look) != 0) std::this_thread::sleep_for(std::chrono::milliseconds(1));
  std::vector<double> lags;
  const auto begun = Clock::now();
  for (std::int64_t n = 1; seconds_since(begun) < seconds; ++n) {
    check(writer, sqlite3_step(bump));
    check(writer, sqlite3_reset(bump));
    const auto committed = Clock::now();
    // Looks, and yields in between, so that the engines find a core.
    while (integer(reader, look) < n) std::this_thread::sleep_for(std::chrono::microseconds(20));
    lags.push_back(seconds_since(committed) * 1e3);
    std::this_thread::sleep_for(std::chrono::milliseconds(2));
  }
  std::sort(lags.begin(), lags.end());
  std::printf("lag_ms n=%zu p50=%.3f p90=%.3f p99=%.3f max=%.3f\n", lags.size(),
              percentile(lags, 0.5), percentile(lags, 0.9), percentile(lags, 0.99), lags.back());
  return 0;
}

int commits(const char* path, double seconds, long pause_us) {
  sqlite3* db = open_database(path);
  run(db, "CREATE TABLE IF NOT EXISTS commit_probe(id INTEGER PRIMARY KEY, text)");
  sqlite3_stmt* put = prepare(
      db, "INSERT OR REPLACE INTO commit_probe VALUES(abs(random())%10000, hex(randomblob(100)))");
  std::uint64_t count = 0;
  std::vector<double> times;
  const auto begun = Clock::now();
  while (seconds_since(begun) < seconds) {
    const auto before = Clock::now();
    check(db, sqlite3_step(put));
    check(db, sqlite3_reset(put));
    times.push_back(seconds_since(before) * 1e3);
    ++count;
    if (pause_us > 0) std::this_thread::sleep_for(std::chrono::microseconds(pause_us));
  }
  const double elapsed = seconds_since(begun);
  std::sort(times.begin(), times.end());
  std::printf("commits_per_s=%.0f p50_ms=%.3f p99_ms=%.3f max_ms=%.3f\n",
              static_cast<double>(count) / elapsed, percentile(times, 0.5), percentile(times, 0.99),
              times.back());
  return 0;
}

int reads(const char* path, double seconds) {
  sqlite3* db = open_database(path);
  sqlite3_stmt* get = prepare(db, "SELECT text FROM fill WHERE id=?1");
  const std::int64_t rows = integer(db, prepare(db, "SELECT max(id) FROM fill"));
  std::uint64_t count = 0;
  std::uint64_t at = 1;
  const auto begun = Clock::now();
  while (seconds_since(begun) < seconds) {
    for (int i = 0; i < 64; ++i) {
      at = at * 6364136223846793005u + 1442695040888963407u;
      sqlite3_bind_int64(
          get, 1, static_cast<std::int64_t>((at >> 33) % static_cast<std::uint64_t>(rows)) + 1);
      check(db, sqlite3_step(get));
      check(db, sqlite3_reset(get));
      ++count;
    }
  }
  std::printf("reads_per_s=%.0f\n", static_cast<double>(count) / seconds_since(begun));
  return 0;
}

int fill(const char* path, long mebibytes) {
  sqlite3* db = open_database(path);
  run(db, "PRAGMA journal_mode=WAL");
  run(db, "CREATE TABLE IF NOT EXISTS fill(id INTEGER PRIMARY KEY, text BLOB)");
  sqlite3_stmt* put = prepare(db, "INSERT INTO fill(text) VALUES(randomblob(1000))");
  for (long done = 0; done < mebibytes; ++done) {
    run(db, "BEGIN");
    for (int i = 0; i < 1000; ++i) {
      check(db, sqlite3_step(put));
      check(db, sqlite3_reset(put));
    }
    run(db, "COMMIT");
  }
  sqlite3_finalize(put);
  run(db, "PRAGMA wal_checkpoint(TRUNCATE)");
  sqlite3_close(db);
  return 0;
}

}  // namespace

int main(int argc, char** argv) {
  const std::string what = argc > 1 ? argv[1] : "";
  if (what == "lag" && argc == 5) return lag(argv[2], argv[3], std::atof(argv[4]));
  if (what == "commits" && argc >= 4)
    return commits(argv[2], std::atof(argv[3]), argc > 4 ? std::atol(argv[4]) : 0);
  if (what == "reads" && argc == 4) return reads(argv[2], std::atof(argv[3]));
  if (what == "fill" && argc == 4) return fill(argv[2], std::atol(argv[3]));
  std::fprintf(stderr, "usage: see the head of bench/probe.cpp\n");
  return 2;
}
