/// A database in WAL mode, a client's connection to it, and short ways to run SQL there.
#pragma once

#include <gtest/gtest.h>

#include <memory>
#include <span>
#include <string>
#include <utility>
#include <variant>
#include <vector>

#include "engine/sql_connection.h"
#include "tests/support/stock_database.h"
#include "tests/support/temporary_directory.h"

namespace walferry::tests {

/// A value as it is told from another at a glance: NULL, 1, 1.5, 'text', x'00ff'.
inline std::string shown(const net::SqlValueView& value) {
  if (const auto* number = std::get_if<std::int64_t>(&value)) return std::to_string(*number);
  if (const auto* number = std::get_if<double>(&value)) {
    return std::to_string(*number);
  }
  if (const auto* text = std::get_if<std::string_view>(&value)) {
    return "'" + std::string(*text) + "'";
  }
  if (const auto* blob = std::get_if<std::span<const std::byte>>(&value)) {
    std::string text = "x'";
    for (const std::byte byte : *blob) {
      constexpr std::string_view kDigits = "0123456789abcdef";
      text += kDigits[std::to_integer<std::size_t>(byte >> 4)];
      text += kDigits[std::to_integer<std::size_t>(byte & std::byte{15})];
    }
    return text + "'";
  }
  return "NULL";
}

class SqlFixture : public testing::Test {
 protected:
  using Args = std::vector<net::SqlValue>;
  using NamedArgs = engine::SqlStatement::NamedArgs;

  SqlFixture() {
    stock.run("PRAGMA journal_mode=WAL");
    open();
  }

  void open() {
    connection.reset();
    auto opened = engine::SqlConnection::open(path, limits);
    ASSERT_TRUE(opened) << opened.error().message;
    connection = std::move(*opened);
  }

  /// Rows, their values joined by '|'; or one entry with the error's code.
  std::vector<std::string> rows(std::string_view sql, const Args& args = {},
                                const NamedArgs& named = {}) {
    return rows_of(*connection, sql, args, named);
  }

  std::vector<std::string> rows_of(engine::SqlConnection& on, std::string_view sql,
                                   const Args& args = {}, const NamedArgs& named = {}) {
    auto statement = on.prepare(sql);
    if (!statement) return {noted(statement.error())};
    if (auto bound = statement->bind(args, named); !bound) return {noted(bound.error())};
    std::vector<std::string> out;
    for (;;) {
      auto row = statement->step();
      if (!row) return {noted(row.error())};
      if (!*row) break;
      std::string line;
      for (const auto& value : statement->row()) line += (line.empty() ? "" : "|") + shown(value);
      out.push_back(std::move(line));
    }
    columns.assign(statement->columns().begin(), statement->columns().end());
    end = statement->end();
    return out;
  }

  /// The error's code; "ok" if there is none. The error itself is in `error`.
  std::string code(std::string_view sql) {
    error = {};
    (void)rows(sql);
    return error.code.empty() ? "ok" : error.code;
  }

  /// Runs a sequence to its end; "ok" or the code of what it ended with.
  std::string run_all(const std::string& sql) {
    engine::SqlSequence sequence(sql);
    for (;;) {
      auto statement = connection->prepare_next(sequence);
      if (!statement) return noted(statement.error());
      if (!*statement) return "ok";
      if (auto ran = (*statement)->run(); !ran) return noted(ran.error());
    }
  }

  bool needs_write_lock(std::string_view sql) {
    auto statement = connection->prepare(sql);
    EXPECT_TRUE(statement) << sql << ": " << statement.error().message;
    return statement && statement->needs_write_lock();
  }

  std::string noted(const net::SqlError& what) {
    error = what;
    return what.code;
  }

  TemporaryDirectory directory;
  std::filesystem::path path = directory / "app.db";
  StockDatabase stock{path};
  engine::SqlLimits limits;
  std::unique_ptr<engine::SqlConnection> connection;
  std::vector<net::SqlColumn> columns;
  net::hrana::StatementEnd end;
  net::SqlError error;
};

}  // namespace walferry::tests
