#include "engine/daemon/status_report.h"

#include <algorithm>
#include <string_view>

#include "engine/daemon/json_output.h"
#include "engine/daemon/quantity_text.h"

namespace walferry::daemon {
namespace {

void append_row(std::string& text, std::string_view name, const std::string& value) {
  std::string row(name);
  row.resize(std::max<std::size_t>(row.size() + 2, 16), ' ');
  text += row + value + "\n";
}

std::string or_none(const std::string& text) { return text.empty() ? "none" : text; }

std::string counted(std::uint64_t count, const std::string& noun, const std::string& ending = "s") {
  return std::to_string(count) + " " + noun + (count == 1 ? "" : ending);
}

std::string milliseconds_text(std::uint64_t microseconds) {
  return format_decimal(static_cast<double>(microseconds) / 1000) + " ms";
}

// Rows end with a line end each; the whole is printed as a line.
std::string without_last_line_end(std::string text) {
  if (text.ends_with('\n')) text.pop_back();
  return text;
}

void append_database(std::string& text, const DatabaseStatus& database, const std::string& root) {
  append_row(text, "database", database.name);
  append_row(text, "url", root + "/db/" + percent_encode(database.name));
  append_row(text, "file", database.path.string());
  append_row(text, "state", database.error.empty() ? "published" : "stalled: " + database.error);
  append_row(text, "position", database.position.to_text());
  append_row(text, "size",
             counted(database.page_count, "page") + " of " + format_bytes(database.page_size) +
                 ", WAL " + format_bytes(database.wal_bytes));
  append_row(text, "followers", std::to_string(database.followers));
  append_row(text, "captured",
             counted(database.commits, "commit") + ", " + counted(database.frames, "frame") + ", " +
                 counted(database.generations_ended, "generation") + " ended");
  append_row(text, "writers held",
             milliseconds_text(database.writer_hold_last_us) + " last, " +
                 milliseconds_text(database.writer_hold_p99_us) + " p99, " +
                 milliseconds_text(database.writer_hold_max_us) + " at most");
  if (database.oldest_reader_seconds > 0) {
    append_row(
        text, "oldest reader",
        "keeps the WAL from shrinking for " + format_seconds(database.oldest_reader_seconds));
  }
  if (database.bridges + database.header_repairs > 0) {
    append_row(text, "repairs",
               counted(database.bridges, "bridge") + ", " +
                   counted(database.header_repairs, "wal-index header"));
  }
}

void write_database(JsonWriter& json, const DatabaseStatus& database) {
  json.begin_object()
      .field("name", database.name)
      .field("path", database.path.string())
      .field("state", database.error.empty() ? "published" : "stalled")
      .field("error", database.error)
      .field("position", database.position.to_text())
      .field("page_size", database.page_size)
      .field("page_count", database.page_count)
      .field("wal_bytes", database.wal_bytes)
      .field("generations_ended", database.generations_ended)
      .field("commits", database.commits)
      .field("frames", database.frames)
      .field("bridges", database.bridges)
      .field("header_repairs", database.header_repairs)
      .field("writer_hold_last_us", database.writer_hold_last_us)
      .field("writer_hold_max_us", database.writer_hold_max_us)
      .field("writer_hold_p99_us", database.writer_hold_p99_us)
      .field("oldest_reader_seconds", database.oldest_reader_seconds)
      .field("followers", database.followers)
      .end_object();
}

}  // namespace

std::string status_text(const LocalStatus& status, double now_unix) {
  const ReplicaStatus& replica = status.replica;
  std::string text;
  append_row(text, "file", replica.path.string());
  append_row(text, "follows", or_none(replica.url));
  append_row(text, "engine", status.engine_running ? "running" : "not running");
  append_row(text, "state", std::string(to_string(replica.state)));
  append_row(text, "position", replica.position ? replica.position->to_text() : "none yet");
  append_row(text, "lag",
             counted(replica.lag_frames, "frame") + ", " + format_seconds(replica.lag_seconds));
  append_row(text, "last success",
             replica.last_success_unix <= 0
                 ? "never"
                 : format_unix_time(replica.last_success_unix) + " (" +
                       format_seconds(std::max(0.0, now_unix - replica.last_success_unix)) +
                       " ago)");
  append_row(text, "last error", or_none(replica.last_error));
  append_row(text, "received",
             format_bytes(replica.bytes_received) + ", thereof first copy " +
                 format_bytes(replica.snapshot_bytes_received));
  append_row(text, "applied",
             counted(replica.pages_applied, "page") + " in " +
                 counted(replica.batches_applied, "batch", "es") + ", " +
                 counted(replica.reconciles, "reconcile"));
  append_row(text, "WAL", format_bytes(replica.wal_bytes));
  if (replica.oldest_reader_seconds > 0) {
    append_row(text, "oldest reader",
               "keeps the WAL from shrinking for " + format_seconds(replica.oldest_reader_seconds));
  }
  return without_last_line_end(text);
}

std::string status_json(const LocalStatus& status) {
  const ReplicaStatus& replica = status.replica;
  JsonWriter json;
  json.begin_object()
      .field("kind", "replica")
      .field("path", replica.path.string())
      .field("url", replica.url)
      .field("engine_running", status.engine_running)
      .field("state", to_string(replica.state));
  json.key("position");
  if (replica.position) {
    json.value(replica.position->to_text());
  } else {
    json.null();
  }
  json.field("lag_frames", replica.lag_frames)
      .field("lag_seconds", replica.lag_seconds)
      .field("apply_lag_seconds", replica.apply_lag_seconds)
      .field("last_success_unix", replica.last_success_unix)
      .field("last_error", replica.last_error)
      .field("bytes_received", replica.bytes_received)
      .field("snapshot_bytes_received", replica.snapshot_bytes_received)
      .field("batches_applied", replica.batches_applied)
      .field("pages_applied", replica.pages_applied)
      .field("reconciles", replica.reconciles)
      .field("wal_bytes", replica.wal_bytes)
      .field("oldest_reader_seconds", replica.oldest_reader_seconds)
      .end_object();
  return json.text();
}

std::string status_text(const ServerStatus& status) {
  const std::string root = http_root(status.address, status.port);
  std::string text;
  for (const DatabaseStatus& database : status.databases) {
    if (!text.empty()) text += "\n";
    append_database(text, database, root);
  }
  if (text.empty()) text = "no database is published at " + root;
  return without_last_line_end(text);
}

std::string status_json(const ServerStatus& status) {
  JsonWriter json;
  json.begin_object()
      .field("kind", "primary")
      .field("address", status.address)
      .field("port", status.port)
      .key("databases")
      .begin_array();
  for (const DatabaseStatus& database : status.databases) write_database(json, database);
  json.end_array().end_object();
  return json.text();
}

}  // namespace walferry::daemon
