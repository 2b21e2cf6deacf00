#include "engine/sql_text.h"

#include <gtest/gtest.h>

#include <string>

namespace walferry::engine {
namespace {

TEST(SqlText, SkipsWhatIsNoStatement) {
  EXPECT_EQ(skip_blank_sql(" \t\r\n;; -- note\n/* more */ SELECT 1"), "SELECT 1");
  EXPECT_EQ(skip_blank_sql("\xef\xbb\xbfSELECT 1"), "SELECT 1");
  EXPECT_EQ(skip_blank_sql("-- to the end"), "");
  EXPECT_EQ(skip_blank_sql("/* never closed"), "");
  EXPECT_EQ(skip_blank_sql("/*"), "/*");
  EXPECT_EQ(skip_blank_sql("/*/ SELECT 1 */x"), "x");
  EXPECT_EQ(skip_blank_sql("- 1"), "- 1");
}

TEST(SqlText, KnowsStatementsThatChangeRows) {
  EXPECT_EQ(kind_of_sql("insert into t values (1)"), SqlKind::kInsert);
  EXPECT_EQ(kind_of_sql("/**/ REPLACE INTO t VALUES (1)"), SqlKind::kInsert);
  EXPECT_EQ(kind_of_sql("Update t SET a=1"), SqlKind::kUpdate);
  EXPECT_EQ(kind_of_sql("DELETE FROM t"), SqlKind::kDelete);
  EXPECT_EQ(kind_of_sql("SELECT 'INSERT'"), SqlKind::kOther);
  EXPECT_EQ(kind_of_sql("EXPLAIN DELETE FROM t"), SqlKind::kExplain);
  EXPECT_EQ(kind_of_sql(""), SqlKind::kOther);
}

TEST(SqlText, LooksThroughWith) {
  EXPECT_EQ(kind_of_sql("WITH a AS (SELECT 1) INSERT INTO t SELECT * FROM a"), SqlKind::kInsert);
  EXPECT_EQ(kind_of_sql("WITH a AS (VALUES(')')), b(x) AS (SELECT ((1))) DELETE FROM t"),
            SqlKind::kDelete);
  EXPECT_EQ(kind_of_sql("WITH replace AS (SELECT 1) SELECT * FROM replace"), SqlKind::kOther);
  EXPECT_EQ(kind_of_sql("WITH replace AS (SELECT 1) REPLACE INTO t SELECT 1"), SqlKind::kInsert);
  EXPECT_EQ(kind_of_sql("WITH a AS (SELECT 1) SELECT 'x' UNION SELECT 1; DELETE FROM t"),
            SqlKind::kOther);
}

TEST(SqlText, TellsVacuumFromVacuumInto) {
  EXPECT_EQ(kind_of_sql("VACUUM"), SqlKind::kVacuum);
  EXPECT_EQ(kind_of_sql("VACUUM main; SELECT 1 INTO"), SqlKind::kVacuum);
  EXPECT_EQ(kind_of_sql("vacuum/**/main into 'x'"), SqlKind::kVacuumInto);
  EXPECT_EQ(kind_of_sql("VACUUM \"into\""), SqlKind::kVacuum);
}

TEST(SqlText, FindsPragmasThatActWhileCompiled) {
  EXPECT_TRUE(is_pragma_or_its_explain("PRAGMA x"));
  EXPECT_TRUE(is_pragma_or_its_explain("explain pragma x"));
  EXPECT_TRUE(is_pragma_or_its_explain("explain query plan pragma x"));
  EXPECT_FALSE(is_pragma_or_its_explain("EXPLAIN SELECT 1"));
  EXPECT_EQ(end_of_simple_statement("PRAGMA a=';' ; b"), 14u);
  EXPECT_EQ(end_of_simple_statement("PRAGMA a"), 8u);
}

TEST(SqlText, FindsReadonlyTransactionsInEachSpelling) {
  for (const std::string sql :
       {"BEGIN TRANSACTION READONLY", "begin readonly", "BEGIN READONLY TRANSACTION",
        "BEGIN DEFERRED TRANSACTION readonly", "BEGIN IMMEDIATE TRANSACTION READONLY",
        "BEGIN/**/TRANSACTION\n--x\nREADONLY", "BEGIN TRANSACTION \"READONLY\"",
        "BEGIN TRANSACTION [readonly]", "BEGIN TRANSACTION 'ReadOnly'",
        "BEGIN TRANSACTION `readonly`", ";BEGIN \vTRANSACTION \vREADONLY",
        "\xef\xbb\xbf BEGIN \xef\xbb\xbf READONLY"}) {
    EXPECT_EQ(end_of_readonly_begin(sql), sql.size()) << sql;
    EXPECT_EQ(end_of_readonly_begin(sql + "; INSERT"), sql.size() + 1) << sql;
  }
}

TEST(SqlText, LeavesOtherTransactionsAlone) {
  for (const char* sql :
       {"BEGIN", "BEGIN TRANSACTION", "BEGIN TRANSACTION name", "BEGIN TRANSACTION readonly2",
        "BEGIN; SELECT readonly", "SELECT readonly", "BEGIN READONLY name", "SAVEPOINT readonly",
        "EXPLAIN BEGIN TRANSACTION READONLY", ""}) {
    EXPECT_EQ(end_of_readonly_begin(sql), std::nullopt) << sql;
  }
}

}  // namespace
}  // namespace walferry::engine
