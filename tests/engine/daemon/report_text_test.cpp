#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "engine/daemon/status_report.h"
#include "engine/daemon/verify_report.h"

namespace walferry::daemon {
namespace {

using testing::HasSubstr;

TEST(VerifyReport, NamesPagesAsRanges) {
  EXPECT_EQ(page_ranges({}), "");
  const std::vector<std::uint32_t> pages = {3, 7, 8, 9, 12, 13};
  EXPECT_EQ(page_ranges(pages), "3, 7-9, 12-13");
}

TEST(VerifyReport, SaysEqualOrWhatDiffers) {
  VerifyReport report;
  report.pages = 20;
  EXPECT_THAT(verify_text(report), HasSubstr("equal: 20 pages at position "));
  EXPECT_THAT(verify_json(report), HasSubstr(R"("equal":true)"));
  report.differing_pages = {2, 3};
  EXPECT_THAT(verify_text(report), HasSubstr("different: 2 of 20 pages at position "));
  EXPECT_THAT(verify_json(report), HasSubstr(R"("pages":20,"differing_pages":[2,3]})"));
}

TEST(StatusReport, SaysWhyAReplicaIsStalled) {
  LocalStatus status;
  status.replica.state = ReplicaState::kStalled;
  status.replica.path = "local.db";
  status.replica.url = "http://host/db/app";
  status.replica.lag_frames = 1;
  status.replica.lag_seconds = 75;
  status.replica.last_success_unix = 1000;
  status.replica.last_error = "no route";
  const std::string text = status_text(status, 1003.5);
  EXPECT_THAT(text, HasSubstr("state           " + std::string(to_string(ReplicaState::kStalled))));
  EXPECT_THAT(text, HasSubstr("lag             1 frame, 1 min 15 s\n"));
  EXPECT_THAT(text, HasSubstr("last success    1970-01-01T00:16:40Z (3.5 s ago)\n"));
  EXPECT_THAT(text, HasSubstr("last error      no route\n"));
  EXPECT_THAT(text, HasSubstr("position        none yet\n"));
  const std::string json = status_json(status);
  EXPECT_THAT(json, HasSubstr(R"("position":null)"));
  EXPECT_THAT(json, HasSubstr(R"("lag_frames":1,"lag_seconds":75)"));
  EXPECT_THAT(json, HasSubstr(R"("last_error":"no route")"));
}

TEST(StatusReport, ListsTheDatabasesOfAServer) {
  ServerStatus status;
  status.address = "127.0.0.1";
  status.port = 7070;
  EXPECT_EQ(status_text(status), "no database is published at http://127.0.0.1:7070");
  status.databases.resize(2);
  status.databases[0].name = "a b.db";
  status.databases[0].followers = 3;
  status.databases[0].writer_hold_p99_us = 1'500;
  status.databases[1].name = "c.db";
  status.databases[1].error = "the file is gone";
  const std::string text = status_text(status);
  EXPECT_THAT(text, HasSubstr("url             http://127.0.0.1:7070/db/a%20b.db\n"));
  EXPECT_THAT(text, HasSubstr("followers       3\n"));
  EXPECT_THAT(text, HasSubstr("1.5 ms p99"));
  EXPECT_THAT(text, HasSubstr("state           stalled: the file is gone\n"));
  const std::string json = status_json(status);
  EXPECT_THAT(json, HasSubstr(R"({"kind":"primary","address":"127.0.0.1","port":7070,"databases":[)"
                              R"({"name":"a b.db",)"));
  EXPECT_THAT(json, HasSubstr(R"("state":"stalled","error":"the file is gone")"));
}

}  // namespace
}  // namespace walferry::daemon
