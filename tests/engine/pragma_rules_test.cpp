#include "engine/pragma_rules.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <map>
#include <set>
#include <sstream>
#include <string>

#include "tests/engine/sql_fixture.h"

namespace walferry::engine {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using tests::SqlFixture;

using PragmaRules = SqlFixture;

std::string word_of(PragmaRule rule) {
  switch (rule) {
    case PragmaRule::kQuestion:
      return "question";
    case PragmaRule::kReading:
      return "reading";
    case PragmaRule::kConnection:
      return "connection";
    case PragmaRule::kDatabase:
      return "database";
    case PragmaRule::kDenied:
      return "denied";
  }
  return "";
}

/// The decisions of docs/sql.md: lines like "| `name` | decision | why |".
std::map<std::string, std::string> documented_decisions() {
  std::map<std::string, std::string> decisions;
  std::istringstream text(
      tests::content_of(std::filesystem::path(WALFERRY_SOURCE_DIR) / "docs" / "sql.md"));
  bool is_in_table = false;
  for (std::string line; std::getline(text, line);) {
    if (line.starts_with("| pragma |")) is_in_table = true;
    if (!is_in_table || !line.starts_with("| `")) continue;
    const std::size_t end = line.find('`', 3);
    const std::size_t bar = line.find(" |", end + 4);
    decisions[line.substr(3, end - 3)] = line.substr(end + 4, bar - end - 4);
  }
  return decisions;
}

/// A value that a setting takes, and that differs from what a new connection has.
std::string value_for(std::string_view name) {
  if (name == "synchronous") return "NORMAL";
  if (name == "secure_delete") return "fast";
  if (name == "busy_timeout") return "77";
  if (name == "cache_size") return "-3000";
  if (name == "foreign_keys" || name == "automatic_index") return "0";
  return "1";
}

TEST_F(PragmaRules, AreThoseOfTheDocumentation) {
  std::map<std::string, std::string> rules;
  for (const Pragma& pragma : pragma_rules()) {
    rules[std::string(pragma.name)] = word_of(pragma.rule);
  }
  EXPECT_EQ(rules, documented_decisions());
}

TEST_F(PragmaRules, CoverEachPragmaThatSqliteKnows) {
  std::set<std::string> decided;
  for (const Pragma& pragma : pragma_rules()) decided.emplace(pragma.name);
  const auto known = rows("PRAGMA pragma_list");
  ASSERT_GT(known.size(), 50u);
  for (const std::string& name : known) {
    EXPECT_TRUE(decided.contains(name.substr(1, name.size() - 2))) << name;
  }
}

TEST_F(PragmaRules, HoldInEachForm) {
  stock.run("CREATE TABLE t(a)");
  for (const Pragma& pragma : pragma_rules()) {
    const std::string name(pragma.name);
    const std::string value = value_for(pragma.name);
    const bool may_read = pragma.rule != PragmaRule::kDenied;
    const bool may_set = may_read && pragma.rule != PragmaRule::kReading;
    std::string upper = name;
    std::ranges::transform(upper, upper.begin(), [](char c) {
      return c >= 'a' && c <= 'z' ? static_cast<char>(c - 'a' + 'A') : c;
    });
    for (const std::string& sql :
         {"PRAGMA " + name, "pragma main." + upper, "PRAGMA \"" + name + "\";"}) {
      EXPECT_EQ(code(sql) == "SQLITE_AUTH", !may_read) << sql << ": " << error.message;
    }
    for (const std::string& sql :
         {"PRAGMA " + name + "=" + value, "PRAGMA " + upper + "(" + value + ")",
          "PRAGMA main." + name + " = '" + value + "'", "/**/pragma[" + name + "]=" + value}) {
      EXPECT_EQ(code(sql) == "SQLITE_AUTH", !may_set) << sql << ": " << error.message;
    }
    open();
  }
}

TEST_F(PragmaRules, SettingsOfAConnectionHold) {
  for (const Pragma& pragma : pragma_rules()) {
    if (pragma.rule != PragmaRule::kConnection) continue;
    const std::string name(pragma.name);
    if (name == "case_sensitive_like") continue;  // has no answer
    const auto before = rows("PRAGMA " + name);
    EXPECT_EQ(code("PRAGMA " + name + "=" + value_for(name)), "ok") << name;
    EXPECT_NE(rows("PRAGMA " + name), before) << name;
    open();
    EXPECT_EQ(rows("PRAGMA " + name), before) << name;
  }
}

TEST_F(PragmaRules, ReadingChangesNothing) {
  stock.run("CREATE TABLE t(a)");
  for (const Pragma& pragma : pragma_rules()) {
    if (pragma.rule != PragmaRule::kReading) continue;
    const std::string name(pragma.name);
    const auto before = rows("PRAGMA " + name);
    EXPECT_NE(code("PRAGMA " + name + "=2"), "ok") << name;
    EXPECT_EQ(rows("PRAGMA " + name), before) << name;
  }
}

TEST_F(PragmaRules, BoundSomeValues) {
  for (const char* sql :
       {"PRAGMA cache_size=-65537", "PRAGMA cache_size=16385", "PRAGMA cache_size='12x'",
        "PRAGMA busy_timeout=30001", "PRAGMA busy_timeout=-1", "PRAGMA synchronous=0",
        "PRAGMA synchronous=256", "PRAGMA synchronous=no", "PRAGMA journal_mode=walx"}) {
    EXPECT_EQ(code(sql), "SQLITE_AUTH") << sql;
  }
  EXPECT_EQ(code("PRAGMA cache_size=16384"), "ok");
  EXPECT_EQ(code("PRAGMA main.journal_mode='WAL'"), "ok");
  EXPECT_EQ(code("PRAGMA synchronous=Extra"), "ok");
}

TEST_F(PragmaRules, AnswerThroughTables) {
  stock.run("CREATE TABLE t(a, b); PRAGMA user_version=3");
  EXPECT_THAT(rows("SELECT name FROM pragma_table_info('t')"), ElementsAre("'a'", "'b'"));
  EXPECT_THAT(rows("SELECT user_version FROM pragma_user_version"), ElementsAre("3"));
  EXPECT_THAT(rows("SELECT m.name, i.name FROM sqlite_schema m, pragma_table_xinfo(m.name) i"),
              ElementsAre("'t'|'a'", "'t'|'b'"));
}

}  // namespace
}  // namespace walferry::engine
