#include "engine/reconciler.h"

#include <algorithm>

#include "wal/wal_format.h"

namespace walferry::engine {

using wal::Hash128;

namespace {

constexpr std::size_t kNodesAtOnce = 512;                    // of one manifest request
constexpr std::size_t kPagesAtOnce = std::size_t{64} << 10;  // of one pages request

}  // namespace

LocalTree::LocalTree(std::vector<Hash128> sums, std::uint32_t page_count,
                     std::function<Result<Hash128>(std::uint32_t)> hash_of)
    : page_count_(page_count), hash_of_(std::move(hash_of)) {
  levels_.push_back(std::move(sums));
  while (levels_.back().size() > 1) {
    const auto& below = levels_.back();
    std::vector<Hash128> above((below.size() + wal::kTreeFanout - 1) / wal::kTreeFanout);
    for (std::size_t i = 0; i < below.size(); ++i) above[i / wal::kTreeFanout] += below[i];
    levels_.push_back(std::move(above));
  }
}

Result<Hash128> LocalTree::node(std::uint32_t level, std::uint32_t number) const {
  if (level == 0) return number < page_count_ ? hash_of_(number + 1) : Hash128{};
  if (level > levels_.size()) {
    // Above the local root there is only the local root, as the first node.
    return number == 0 && !levels_.back().empty() ? levels_.back()[0] : Hash128{};
  }
  const auto& sums = levels_[level - 1];
  return number < sums.size() ? sums[number] : Hash128{};
}

Result<std::vector<std::uint32_t>> find_differing_pages(FerryClient& client, const net::Info& info,
                                                        const LocalTree& local,
                                                        const std::function<Status()>& stop) {
  std::vector<std::uint32_t> nodes{0};
  for (std::uint32_t level = info.manifest_height; level > 0 && !nodes.empty(); --level) {
    std::vector<std::uint32_t> differing;
    for (std::size_t at = 0; at < nodes.size(); at += kNodesAtOnce) {
      if (Status go_on = stop(); !go_on) return fail(go_on.error());
      const auto begin = nodes.begin() + static_cast<std::ptrdiff_t>(at);
      const std::vector<std::uint32_t> some(
          begin, begin + static_cast<std::ptrdiff_t>(std::min(kNodesAtOnce, nodes.size() - at)));
      std::size_t answered = 0;
      const Status fetched = client.manifest(
          info.position.log, level, some,
          [&](wal::MessageType type, std::span<const std::byte> payload) -> Status {
            const auto header = type == wal::MessageType::kHashes
                                    ? wal::HashesHeader::decode(payload)
                                    : std::nullopt;
            if (!header || header->level != level - 1 || answered >= some.size() ||
                header->count > wal::kTreeFanout ||
                std::uint64_t{some[answered]} * wal::kTreeFanout + header->count >
                    wal::kMaxPageCount ||
                (header->count > 0 && header->first != some[answered] * wal::kTreeFanout)) {
              return fail(ErrorCode::kCorrupt, "a manifest answer that was not asked for");
            }
            ++answered;
            for (std::uint32_t i = 0; i < header->count; ++i) {
              const Hash128 theirs = Hash128::load(payload.data() + wal::HashesHeader::kSize +
                                                   std::size_t{i} * Hash128::kSize);
              auto ours = local.node(level - 1, header->first + i);
              if (!ours) return fail(ours.error());
              if (*ours != theirs) differing.push_back(header->first + i);
            }
            return {};
          });
      if (!fetched) return fail(fetched.error());
      if (answered != some.size())
        return fail(ErrorCode::kCorrupt, "a manifest answer that is too short");
    }
    nodes = std::move(differing);
  }
  for (std::uint32_t& page : nodes) ++page;
  return nodes;
}

Status fetch_pages(FerryClient& client, const net::Info& info,
                   const std::vector<std::uint32_t>& numbers, ReplicaTarget& target,
                   ProgressMeter& progress) {
  const std::uint64_t page_size = info.page_size;
  std::uint64_t done = 0;
  progress.begin(0, numbers.size() * page_size);
  for (std::size_t at = 0; at < numbers.size(); at += kPagesAtOnce) {
    const auto begin = numbers.begin() + static_cast<std::ptrdiff_t>(at);
    const std::vector<std::uint32_t> some(
        begin, begin + static_cast<std::ptrdiff_t>(std::min(kPagesAtOnce, numbers.size() - at)));
    std::size_t next = 0;
    const Status fetched = client.pages(
        info.position.log, some,
        [&](wal::MessageType type, std::span<const std::byte> payload) -> Status {
          const auto header =
              type == wal::MessageType::kPages ? wal::PagesHeader::decode(payload) : std::nullopt;
          if (!header || header->page_size != info.page_size)
            return fail(ErrorCode::kCorrupt, "pages of another size");
          const wal::PagesView pages(*header, payload);
          for (std::uint32_t i = 0; i < pages.count(); ++i) {
            // Pages that the primary no longer has are left out, the order stays.
            while (next < some.size() && some[next] < pages.number(i)) ++next;
            if (next == some.size() || some[next] != pages.number(i))
              return fail(ErrorCode::kCorrupt, "a page that was not asked for");
            ++next;
            if (Status added = target.add_page(pages.number(i), pages.page(i)); !added)
              return added;
          }
          done += pages.count() * page_size;
          progress.update(done);
          return {};
        });
    if (!fetched) return fetched;
  }
  return {};
}

}  // namespace walferry::engine
