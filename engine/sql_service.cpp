#include "engine/sql_service.h"

#include <algorithm>
#include <iterator>
#include <optional>
#include <utility>
#include <vector>

#include "engine/pipeline_run.h"
#include "net/hrana_json.h"
#include "net/hrana_protobuf.h"
#include "net/hrana_writer.h"

namespace walferry::engine {

using net::HttpRequest;
using net::HttpResponse;
namespace hrana = net::hrana;

namespace {

/// How often expired streams and waits are looked for, while there are any.
constexpr std::chrono::milliseconds kTick{100};

enum class Form { kV1Execute, kV1Batch, kV2, kV3, kV3Protobuf };

struct Endpoint {
  std::string_view path;
  Form form;
};
constexpr Endpoint kPipelines[] = {{"v1/execute", Form::kV1Execute},
                                   {"v1/batch", Form::kV1Batch},
                                   {"v2/pipeline", Form::kV2},
                                   {"v3/pipeline", Form::kV3},
                                   {"v3-protobuf/pipeline", Form::kV3Protobuf}};
constexpr std::string_view kProbes[] = {"v2", "v3", "v3-protobuf"};

bool is_v1(Form form) { return form == Form::kV1Execute || form == Form::kV1Batch; }

std::unique_ptr<hrana::Writer> writer_for(Form form) {
  if (form == Form::kV3Protobuf) return hrana::protobuf_writer();
  return hrana::json_writer(is_v1(form) ? 1 : form == Form::kV2 ? 2 : 3);
}

Result<hrana::PipelineRequest> read(Form form, std::string_view body) {
  switch (form) {
    case Form::kV1Execute: {
      auto statement = hrana::read_execute_v1_json(body);
      if (!statement) return fail(statement.error());
      hrana::PipelineRequest request;
      request.requests.emplace_back(hrana::Execute{std::move(*statement)});
      return request;
    }
    case Form::kV1Batch: {
      auto batch = hrana::read_batch_v1_json(body);
      if (!batch) return fail(batch.error());
      hrana::PipelineRequest request;
      request.requests.emplace_back(hrana::RunBatch{std::move(*batch)});
      return request;
    }
    case Form::kV2:
      return hrana::read_pipeline_json(body, 2);
    case Form::kV3:
      return hrana::read_pipeline_json(body, 3);
    case Form::kV3Protobuf:
      return hrana::read_pipeline_protobuf(body);
  }
  return fail(ErrorCode::kInvalidArgument, "no such form");
}

HttpResponse answer_in(Form form, std::string body) {
  HttpResponse response;
  response.content_type = form == Form::kV3Protobuf ? "application/x-protobuf" : "application/json";
  response.headers.emplace_back("cache-control", "no-store");
  response.body = std::move(body);
  return response;
}

HttpResponse refusal(unsigned status, Form form, const net::SqlError& error) {
  HttpResponse response = answer_in(form, writer_for(form)->error(error));
  response.status = status;
  return response;
}

std::string no_such_database(const std::string& name) {
  if (!name.empty()) return "no database \"" + name + "\" is served here";
  return "the URL names no database: clients need http://HOST:PORT/db/NAME/ with the slash at its "
         "end";
}

}  // namespace

/// A pipeline under way, from its request to its answer.
struct SqlService::Call {
  Form form = Form::kV2;
  std::shared_ptr<SqlDatabase> database;
  std::optional<std::string> baton;
  std::vector<hrana::StreamRequest> requests;
  net::HttpResponder respond;

  std::unique_ptr<hrana::Writer> writer;
  std::shared_ptr<SqlStream> stream;
  std::optional<PipelineRun> run;  // behind the stream: it ends first
};

SqlService::SqlService(const SqlServiceOptions& options)
    : options_(options), pool_(options.threads), keeper_([this] { keep_time(); }) {}

SqlService::~SqlService() { stop(); }

void SqlService::add(const std::string& name, const std::filesystem::path& path) {
  const std::lock_guard lock(mutex_);
  databases_[name] = std::make_shared<SqlDatabase>(path, options_.limits);
}

void SqlService::stop() {
  {
    const std::lock_guard lock(mutex_);
    if (std::exchange(stopped_, true)) return;
  }
  changed_.notify_all();
  keeper_.join();
  for (const auto& [name, database] : databases_) database->writers().close();
  pool_.stop();
  streams_.take_all();
  databases_.clear();
}

bool SqlService::serves(std::string_view endpoint) {
  return std::ranges::find(kProbes, endpoint) != std::end(kProbes) ||
         std::ranges::find(kPipelines, endpoint, &Endpoint::path) != std::end(kPipelines);
}

HttpResponse SqlService::handle(const std::string& database, std::string_view endpoint,
                                const HttpRequest& request) {
  for (const std::string_view probe : kProbes) {
    if (endpoint != probe) continue;
    HttpResponse response;
    response.content_type = "text/plain";
    response.body = "Hrana is spoken here\n";
    return response;
  }
  Form form = Form::kV2;
  for (const Endpoint& known : kPipelines) {
    if (endpoint == known.path) form = known.form;
  }
  // Without tokens a page from anywhere could have the browser on this machine write.
  if (request.header("origin")) {
    return refusal(403, form,
                   {"requests from web pages are refused while the server has no access tokens",
                    "ORIGIN_REFUSED"});
  }
  if (request.method != "POST") {
    HttpResponse response = refusal(405, form, {"POST is served here", "METHOD_NOT_ALLOWED"});
    response.headers.emplace_back("allow", "POST");
    return response;
  }
  auto read_request = read(form, request.body);
  if (!read_request)
    return refusal(400, form, {read_request.error().message, "HRANA_REQUEST_INVALID"});
  if (read_request->requests.size() > options_.max_requests) {
    return refusal(400, form,
                   {"a pipeline may have " + std::to_string(options_.max_requests) + " requests",
                    "TOO_MANY_REQUESTS"});
  }
  auto call = std::make_shared<Call>();
  call->form = form;
  call->baton = std::move(read_request->baton);
  call->requests = std::move(read_request->requests);
  {
    const std::lock_guard lock(mutex_);
    const auto found = databases_.find(database);
    if (stopped_ || found == databases_.end())
      return refusal(404, form, {no_such_database(database), "NOT_FOUND"});
    call->database = found->second;
  }
  HttpResponse response;
  response.later = [this, call](net::HttpResponder respond) {
    call->respond = std::move(respond);
    pool_.post([this, call] { begin(call); });
  };
  return response;
}

SqlResult<std::shared_ptr<SqlStream>> SqlService::stream_for(const Call& call) {
  if (call.baton) {
    auto kept = streams_.take(*call.baton);
    // A baton is worth nothing at another database.
    if (kept && &(*kept)->database() != call.database.get())
      return fail_sql("BATON_INVALID", "The baton belongs to a stream of another database");
    return kept;
  }
  if (streams_.size() >= options_.max_streams) {
    return fail_sql("TOO_MANY_STREAMS", "the server keeps " + std::to_string(options_.max_streams) +
                                            " streams already: close some, or try again later");
  }
  auto stream = SqlStream::open(call.database);
  if (!stream) return fail_sql("SQLITE_CANTOPEN", stream.error().message);
  return *stream;
}

void SqlService::begin(const std::shared_ptr<Call>& call) {
  auto stream = stream_for(*call);
  if (!stream) {
    const bool bad_baton = call->baton.has_value();
    return call->respond(refusal(bad_baton ? 400 : 503, call->form, stream.error()));
  }
  call->stream = std::move(*stream);
  call->writer = writer_for(call->form);
  call->run.emplace(*call->stream, std::move(call->requests), *call->writer, options_.answer_bytes);
  advance(call);
}

void SqlService::advance(const std::shared_ptr<Call>& call) {
  if (call->run->advance() == PipelineRun::Progress::kDone) return finish(call);
  wait_for_turn(call);
}

void SqlService::wait_for_turn(const std::shared_ptr<Call>& call) {
  // Given on a thread that lets its own turn go: the work is for another.
  const auto turn_came = [this, call](SqlResult<WriteTicket> ticket) {
    if (ticket) {
      call->stream->take_turn(std::move(*ticket));
    } else {
      call->run->refuse_turn(ticket.error());
    }
    pool_.post([this, call] { advance(call); });
  };
  call->database->writers().acquire(turn_came, WriteQueue::Clock::now() + options_.turn_timeout);
  changed_.notify_all();
}

void SqlService::finish(const std::shared_ptr<Call>& call) {
  if (is_v1(call->form)) return finish_v1(call);
  const std::vector<hrana::Encoded> results = call->run->take_results();
  call->run.reset();
  std::optional<std::string> baton;
  if (!call->stream->is_closed()) {
    const bool in_transaction = !call->stream->connection().is_autocommit();
    baton = streams_.put(std::move(call->stream),
                         SqlStreams::Clock::now() +
                             (in_transaction ? options_.transaction_idle : options_.stream_idle));
    changed_.notify_all();
  }
  call->respond(answer_in(call->form, call->writer->pipeline_body(baton, {}, results)));
}

/// The oldest form has neither streams nor results around its one result: an error is an HTTP
/// error.
void SqlService::finish_v1(const std::shared_ptr<Call>& call) {
  const SqlResult<hrana::Encoded> result = call->run->last_result();
  call->run.reset();
  call->stream->close();
  if (!result) return call->respond(refusal(400, call->form, result.error()));
  call->respond(answer_in(call->form, hrana::json_v1_body(*result)));
}

/// Sleeps as long as nothing waits for its time.
void SqlService::keep_time() {
  std::unique_lock lock(mutex_);
  while (!stopped_) {
    bool idle = streams_.size() == 0;
    for (const auto& [name, database] : databases_)
      idle = idle && database->writers().waiting() == 0;
    if (idle) {
      changed_.wait(lock);
    } else {
      changed_.wait_for(lock, kTick, [this] { return stopped_; });
    }
    std::vector<std::shared_ptr<SqlDatabase>> databases;
    databases.reserve(databases_.size());
    for (const auto& [name, database] : databases_) databases.push_back(database);
    lock.unlock();
    const auto now = SqlStreams::Clock::now();
    // Rolling back waits on disk at most; nobody waits for this thread.
    streams_.take_expired(now).clear();
    for (const auto& database : databases) database->writers().expire(now);
    lock.lock();
  }
}

}  // namespace walferry::engine
