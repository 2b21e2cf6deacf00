/// The requests of one pipeline on a stream, run one after another; the answer is written on the
/// way.
///
/// A state machine: where a statement has to wait for its turn among the writers, advance() says so
/// and goes on when it is called again. So a waiting writer costs no thread. A request that fails
/// does not end the pipeline: each has its own result.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "engine/sql_stream.h"
#include "net/hrana_request.h"
#include "net/hrana_writer.h"

namespace walferry::engine {

class PipelineRun {
 public:
  enum class Progress { kDone, kNeedsTurn };

  /// `answer_bytes`: above it further results are refused with RESPONSE_TOO_LARGE.
  PipelineRun(SqlStream& stream, std::vector<net::hrana::StreamRequest> requests,
              net::hrana::Writer& writer, std::size_t answer_bytes);

  /// kNeedsTurn: to be called again once the stream has the turn, or after refuse_turn().
  Progress advance();
  /// The turn did not come: the statement that waits for it ends with this error.
  void refuse_turn(net::SqlError error) { refusal_ = std::move(error); }

  /// StreamResults, one for each request; once, when all is done.
  std::vector<net::hrana::Encoded> take_results() noexcept { return std::move(results_); }
  /// Of the last request, if it was to execute a statement or a batch: its StmtResult or
  /// BatchResult, with nothing around it.
  [[nodiscard]] const SqlResult<net::hrana::Encoded>& last_result() const noexcept {
    return last_result_;
  }

 private:
  using Encoded = net::hrana::Encoded;
  /// None: the statement waits for its turn.
  template <class T>
  using Outcome = std::optional<SqlResult<T>>;

  struct BatchState {
    std::size_t next = 0;
    std::vector<std::optional<Encoded>> results;
    std::vector<std::optional<Encoded>> errors;
  };

  Outcome<Encoded> run(const net::hrana::Close& request);
  Outcome<Encoded> run(const net::hrana::Execute& request);
  Outcome<Encoded> run(const net::hrana::RunBatch& request);
  Outcome<Encoded> run(const net::hrana::Sequence& request);
  Outcome<Encoded> run(const net::hrana::Describe& request);
  Outcome<Encoded> run(const net::hrana::StoreSql& request);
  Outcome<Encoded> run(const net::hrana::CloseSql& request);
  Outcome<Encoded> run(const net::hrana::GetAutocommit& request);

  Outcome<Encoded> run_statement(const net::hrana::Statement& statement);
  SqlResult<SqlStatement> prepare(const net::hrana::Statement& statement);
  SqlResult<Encoded> collect(SqlStatement& statement, bool want_rows);
  bool holds(const net::hrana::Condition& condition) const;
  std::optional<SqlStatus> may_start(const SqlStatement& statement);
  void finish_request(const SqlResult<Encoded>& response);

  SqlStream& stream_;
  std::vector<net::hrana::StreamRequest> requests_;
  net::hrana::Writer& writer_;
  const std::size_t answer_bytes_;
  std::size_t written_bytes_ = 0;
  std::vector<Encoded> results_;
  SqlResult<Encoded> last_result_;

  // Of the request under way.
  std::optional<SqlStatement> waiting_;
  std::optional<net::SqlError> refusal_;
  std::optional<BatchState> batch_;
  std::optional<SqlSequence> sequence_;
};

}  // namespace walferry::engine
