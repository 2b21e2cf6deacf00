/// Compares a local file with the primary by page hashes and fetches the pages that differ.
///
/// Local sums and the primary's manifest are compared from the root down, so that only the paths
/// to differing pages are fetched. What is fetched may be newer than the comparison; the frames
/// that follow make it a committed state, and its root proves it.
#pragma once

#include <cstdint>
#include <functional>
#include <vector>

#include "engine/ferry_client.h"
#include "engine/progress_meter.h"
#include "engine/replica_target.h"
#include "wal/page_hash.h"
#include "wal/page_hashes.h"

namespace walferry::engine {

/// Hashes of local pages, level by level as in the manifest.
class LocalTree {
 public:
  /// `sums`: of each 256 pages. `hash_of`: of one page, 0 beyond the end.
  LocalTree(std::vector<wal::Hash128> sums, std::uint32_t page_count,
            std::function<Result<wal::Hash128>(std::uint32_t page)> hash_of);
  Result<wal::Hash128> node(std::uint32_t level, std::uint32_t number) const;

 private:
  std::vector<std::vector<wal::Hash128>> levels_;  ///< [n] is level n+1
  std::uint32_t page_count_;
  std::function<Result<wal::Hash128>(std::uint32_t)> hash_of_;
};

/// The pages (ascending) whose hash in the primary's manifest is not the local one.
Result<std::vector<std::uint32_t>> find_differing_pages(FerryClient& client, const net::Info& info,
                                                        const LocalTree& local,
                                                        const std::function<Status()>& stop);

/// Fetches pages into the target.
Status fetch_pages(FerryClient& client, const net::Info& info,
                   const std::vector<std::uint32_t>& numbers, ReplicaTarget& target,
                   ProgressMeter& progress);

}  // namespace walferry::engine
