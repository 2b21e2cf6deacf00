// What each room costs for one frame or page, apart from disk and network.
#include <benchmark/benchmark.h>

#include <cstdint>
#include <random>
#include <vector>

#include "wal/message_codec.h"
#include "wal/page_hash.h"
#include "wal/wal_format.h"

namespace {

using namespace walferry::wal;

std::vector<std::byte> random_bytes(std::size_t size) {
  std::mt19937_64 random(42);
  std::vector<std::byte> bytes(size);
  for (auto& byte : bytes) byte = static_cast<std::byte>(random());
  return bytes;
}

void BM_FrameChecksum(benchmark::State& state) {
  const auto page = random_bytes(static_cast<std::size_t>(state.range(0)));
  Checksum sum;
  for (auto _ : state) benchmark::DoNotOptimize(sum = extend_checksum(sum, page, false));
  state.SetBytesProcessed(state.iterations() * state.range(0));
}
BENCHMARK(BM_FrameChecksum)->Arg(512)->Arg(4096)->Arg(65536);

void BM_PageHash(benchmark::State& state) {
  const auto page = random_bytes(static_cast<std::size_t>(state.range(0)));
  for (auto _ : state) benchmark::DoNotOptimize(hash_page(2, page));
  state.SetBytesProcessed(state.iterations() * state.range(0));
}
BENCHMARK(BM_PageHash)->Arg(512)->Arg(4096)->Arg(65536);

void BM_EncodeMessage(benchmark::State& state) {
  const auto payload = random_bytes(static_cast<std::size_t>(state.range(0)));
  for (auto _ : state)
    benchmark::DoNotOptimize(encode_message(MessageType::kBatch, payload, Compression::kNever));
  state.SetBytesProcessed(state.iterations() * state.range(0));
}
BENCHMARK(BM_EncodeMessage)->Arg(4096)->Arg(1 << 20);

void BM_ParseMessage(benchmark::State& state) {
  const auto payload = random_bytes(static_cast<std::size_t>(state.range(0)));
  const auto message = encode_message(MessageType::kBatch, payload, Compression::kNever);
  MessageParser parser;
  for (auto _ : state) {
    const auto fed =
        parser.feed(message, [](MessageType, std::span<const std::byte> bytes) -> walferry::Status {
          benchmark::DoNotOptimize(bytes.data());
          return {};
        });
    if (!fed) state.SkipWithError("a message of ours was refused");
  }
  state.SetBytesProcessed(state.iterations() * state.range(0));
}
BENCHMARK(BM_ParseMessage)->Arg(4096)->Arg(1 << 20);

}  // namespace
