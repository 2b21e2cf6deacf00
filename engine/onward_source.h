/// Where followers of a replica read pages: through the injector that follows, as the primary has
/// them. Thread safety: any thread.
#pragma once

#include <algorithm>
#include <cstdint>
#include <mutex>
#include <shared_mutex>
#include <span>

#include "engine/publication.h"
#include "wal/injector.h"

namespace walferry::engine {

class OnwardSource : public PageSource {
 public:
  explicit OnwardSource(wal::Injector* injector) : injector_(injector) {}

  Status read_pages(std::uint32_t first, std::uint32_t count, std::span<std::byte> bytes) override {
    const std::shared_lock lock(mutex_);
    if (injector_ == nullptr)
      return fail(ErrorCode::kBusy, "the replica is being attached anew: try again");
    const std::size_t size = bytes.size() / count;
    for (std::uint32_t i = 0; i < count; ++i) {
      if (Status read = injector_->read_page_for_others(first + i, bytes.subspan(i * size, size));
          !read)
        return read;
    }
    return {};
  }
  std::uint64_t base_frame(const wal::GenerationStart& start) override {
    const std::lock_guard lock(base_mutex_);
    if (base_.generation > start.generation) return kBaseElsewhere;
    return base_.generation == start.generation ? base_.frame : start.frame;
  }
  /// To be said before a commit is published: pages read from then on may show it.
  void set_base(const Position& position) {
    const std::lock_guard lock(base_mutex_);
    base_ = position;
  }
  void disconnect() {
    const std::unique_lock lock(mutex_);
    injector_ = nullptr;
  }

 private:
  std::shared_mutex mutex_;
  wal::Injector* injector_;
  std::mutex base_mutex_;
  Position base_;
};

}  // namespace walferry::engine
