/// What SQL may do: an allow-list that SQLite asks about each action while it compiles a statement.
///
/// Also what it learns by being asked: what a statement writes to, and whether the connection is
/// changed for good. One per connection; used by the thread that uses the connection.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <utility>

struct sqlite3;

namespace walferry::engine {

class SqlAuthorizer {
 public:
  enum class Mode {
    kCompiling,   ///< a client's statement
    kDescribing,  ///< the same, but it will not run: pragmas that act while compiled are left out
    kRunning,     ///< what virtual tables compile while a client's statement runs
    kVacuuming,   ///< what VACUUM compiles: it attaches its temporary copy
    kOwn,         ///< a statement of ours
  };

  /// What the statements compiled since forget_findings() were found to do.
  struct Findings {
    bool has_pragma = false;
    bool pragma_writes = false;  ///< to the database
    bool writes_temp = false;
    bool writes_main = false;
    std::string refusal;  ///< what was refused; empty: nothing
  };

  /// Registers itself with the connection.
  void watch(sqlite3* db);

  Mode set_mode(Mode mode) noexcept;
  [[nodiscard]] Mode mode() const noexcept { return mode_; }
  [[nodiscard]] const Findings& findings() const noexcept { return findings_; }
  void forget_findings() { findings_ = {}; }

  /// A setting of the connection (other than those of foreign keys) or a temporary object was
  /// touched.
  [[nodiscard]] bool changes_connection() const noexcept { return changes_connection_; }
  /// Whether foreign_keys or defer_foreign_keys were since this was last asked: many clients set
  /// them, and they can be set back.
  bool take_foreign_keys_touched() noexcept { return std::exchange(touches_foreign_keys_, false); }

 private:
  static int on_action(void* self, int action, const char* first, const char* second,
                       const char* database, const char* trigger);
  int judge(int action, const char* first, const char* second, const char* database);
  int judge_pragma(std::string_view name, const char* value, std::string_view database);
  int judge_table(std::string_view name);
  int note_write(std::string_view database);
  int refuse(std::string_view what);

  Mode mode_ = Mode::kOwn;
  Findings findings_;
  bool changes_connection_ = false;
  bool touches_foreign_keys_ = false;
};

}  // namespace walferry::engine
