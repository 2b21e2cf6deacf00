#include "engine/pipeline_run.h"

#include <algorithm>
#include <utility>
#include <variant>

namespace walferry::engine {

using net::hrana::Condition;
using net::hrana::Encoded;

PipelineRun::PipelineRun(SqlStream& stream, std::vector<net::hrana::StreamRequest> requests,
                         net::hrana::Writer& writer, std::size_t answer_bytes)
    : stream_(stream),
      requests_(std::move(requests)),
      writer_(writer),
      answer_bytes_(answer_bytes) {}

PipelineRun::Progress PipelineRun::advance() {
  while (results_.size() < requests_.size()) {
    Outcome<Encoded> response = SqlResult<Encoded>(
        fail_sql("STREAM_CLOSED", "the stream was closed by an earlier request of the pipeline"));
    if (!stream_.is_closed()) {
      response = std::visit([this](const auto& request) { return run(request); },
                            requests_[results_.size()]);
    }
    if (!response) return Progress::kNeedsTurn;
    finish_request(*response);
  }
  return Progress::kDone;
}

void PipelineRun::finish_request(const SqlResult<Encoded>& response) {
  results_.push_back(response ? writer_.result_ok(*response)
                              : writer_.result_error(writer_.error(response.error())));
  written_bytes_ += results_.back().size();
  batch_.reset();
  sequence_.reset();
}

/// None: it has to wait for its turn first. Asked again, it has it, or was refused it.
std::optional<SqlStatus> PipelineRun::may_start(const SqlStatement& statement) {
  if (auto refused = std::exchange(refusal_, std::nullopt))
    return SqlStatus(fail_sql(std::move(*refused)));
  if (stream_.needs_turn(statement)) return std::nullopt;
  return SqlStatus{};
}

SqlResult<SqlStatement> PipelineRun::prepare(const net::hrana::Statement& statement) {
  auto text = stream_.text_of(statement.source);
  if (!text) return fail_sql(text.error());
  auto prepared = stream_.connection().prepare(*text);
  if (!prepared) return prepared;
  if (SqlStatus bound = prepared->bind(statement.args, statement.named_args); !bound)
    return fail_sql(bound.error());
  return prepared;
}

PipelineRun::Outcome<Encoded> PipelineRun::run_statement(const net::hrana::Statement& statement) {
  if (!waiting_) {
    auto prepared = prepare(statement);
    if (!prepared) return SqlResult<Encoded>(fail_sql(prepared.error()));
    waiting_.emplace(std::move(*prepared));
  }
  const auto start = may_start(*waiting_);
  if (!start) return std::nullopt;
  SqlResult<Encoded> result =
      *start ? collect(*waiting_, statement.want_rows) : fail_sql(start->error());
  waiting_.reset();
  stream_.end_statement();
  return result;
}

SqlResult<Encoded> PipelineRun::collect(SqlStatement& statement, bool want_rows) {
  bool begun = false;
  for (;;) {
    auto row = statement.step();
    if (!row) {
      if (begun) writer_.drop_result();
      return fail_sql(row.error());
    }
    if (!std::exchange(begun, true)) writer_.begin_result(statement.columns());
    if (!*row) return writer_.end_result(statement.end());
    if (!want_rows) continue;
    writer_.add_row(statement.row());
    if (written_bytes_ + writer_.result_size() > answer_bytes_) {
      writer_.drop_result();
      return fail_sql("RESPONSE_TOO_LARGE", "the answer is larger than " +
                                                std::to_string(answer_bytes_) +
                                                " bytes: ask for fewer rows at once");
    }
  }
}

PipelineRun::Outcome<Encoded> PipelineRun::run(const net::hrana::Close&) {
  stream_.close();
  return SqlResult<Encoded>(writer_.close_response());
}

PipelineRun::Outcome<Encoded> PipelineRun::run(const net::hrana::Execute& request) {
  auto result = run_statement(request.statement);
  if (!result) return result;
  last_result_ = std::move(*result);
  if (!last_result_) return last_result_;
  return SqlResult<Encoded>(writer_.execute_response(*last_result_));
}

PipelineRun::Outcome<Encoded> PipelineRun::run(const net::hrana::RunBatch& request) {
  const auto& steps = request.batch.steps;
  if (!batch_) {
    batch_ = BatchState{};
    batch_->results.resize(steps.size());
    batch_->errors.resize(steps.size());
  }
  for (; batch_->next < steps.size(); ++batch_->next) {
    const auto& step = steps[batch_->next];
    // A condition is asked once: a step that waited was let in before.
    if (!waiting_ && step.condition && !holds(*step.condition)) continue;
    auto result = run_statement(step.statement);
    if (!result) return std::nullopt;
    if (*result) {
      written_bytes_ += (*result)->size();
      batch_->results[batch_->next] = std::move(**result);
    } else {
      batch_->errors[batch_->next] = writer_.error(result->error());
    }
  }
  for (const auto& result : batch_->results) written_bytes_ -= result ? result->size() : 0;
  last_result_ = writer_.batch_result(batch_->results, batch_->errors);
  return SqlResult<Encoded>(writer_.batch_response(*last_result_));
}

bool PipelineRun::holds(const Condition& condition) const {
  const auto part_holds = [this](const Condition& part) { return holds(part); };
  switch (condition.kind) {
    case Condition::Kind::kOk:
      return condition.step < batch_->results.size() && batch_->results[condition.step].has_value();
    case Condition::Kind::kError:
      return condition.step < batch_->errors.size() && batch_->errors[condition.step].has_value();
    case Condition::Kind::kNot:
      return !holds(condition.conditions.front());
    case Condition::Kind::kAnd:
      return std::ranges::all_of(condition.conditions, part_holds);
    case Condition::Kind::kOr:
      return std::ranges::any_of(condition.conditions, part_holds);
    case Condition::Kind::kIsAutocommit:
      return stream_.connection().is_autocommit();
  }
  return false;
}

PipelineRun::Outcome<Encoded> PipelineRun::run(const net::hrana::Sequence& request) {
  if (!sequence_) {
    auto text = stream_.text_of(request.source);
    if (!text) return SqlResult<Encoded>(fail_sql(text.error()));
    sequence_.emplace(std::move(*text));
  }
  for (;;) {
    if (!waiting_) {
      auto next = stream_.connection().prepare_next(*sequence_);
      if (!next) return SqlResult<Encoded>(fail_sql(next.error()));
      if (!*next) return SqlResult<Encoded>(writer_.sequence_response());
      waiting_.emplace(std::move(**next));
    }
    const auto start = may_start(*waiting_);
    if (!start) return std::nullopt;
    const SqlStatus done = *start ? waiting_->run() : *start;
    waiting_.reset();
    stream_.end_statement();
    if (!done) return SqlResult<Encoded>(fail_sql(done.error()));
  }
}

PipelineRun::Outcome<Encoded> PipelineRun::run(const net::hrana::Describe& request) {
  auto text = stream_.text_of(request.source);
  if (!text) return SqlResult<Encoded>(fail_sql(text.error()));
  auto description = stream_.connection().describe(*text);
  if (!description) return SqlResult<Encoded>(fail_sql(description.error()));
  return SqlResult<Encoded>(writer_.describe_response(writer_.describe_result(*description)));
}

PipelineRun::Outcome<Encoded> PipelineRun::run(const net::hrana::StoreSql& request) {
  if (SqlStatus stored = stream_.store(request.sql_id, request.sql); !stored)
    return SqlResult<Encoded>(fail_sql(stored.error()));
  return SqlResult<Encoded>(writer_.store_sql_response());
}

PipelineRun::Outcome<Encoded> PipelineRun::run(const net::hrana::CloseSql& request) {
  stream_.forget(request.sql_id);
  return SqlResult<Encoded>(writer_.close_sql_response());
}

PipelineRun::Outcome<Encoded> PipelineRun::run(const net::hrana::GetAutocommit&) {
  return SqlResult<Encoded>(writer_.get_autocommit_response(stream_.connection().is_autocommit()));
}

}  // namespace walferry::engine
