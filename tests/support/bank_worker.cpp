// A stock SQLite application of the bank test, in a process of its own.
//
//   bank_worker create DB PAGE_SIZE      the schema and the accounts
//   bank_worker write DB SEED            transfers until SIGTERM; VACUUM and checkpoints among them
//   bank_worker read DB SEED             checks each state it sees until SIGTERM
//
// Exit 0: all well. Exit 1: an error of SQLite that is not SQLITE_BUSY. Exit 3: a reader saw what
// it must never see. The last line on stdout counts what was done.
#include <signal.h>
#include <sqlite3.h>
#include <unistd.h>

#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <random>
#include <string>
#include <thread>

namespace {

constexpr int kAccounts = 200;
constexpr long long kSum = kAccounts * 1000LL;

volatile sig_atomic_t stop_requested = 0;

[[noreturn]] void give_up(sqlite3* database, const std::string& what, int exit_code = 1) {
  std::printf("%s: %s (%d)\n", what.c_str(), database != nullptr ? sqlite3_errmsg(database) : "",
              database != nullptr ? sqlite3_extended_errcode(database) : 0);
  std::fflush(stdout);
  std::_Exit(exit_code);
}

bool is_busy(int code) { return (code & 0xff) == SQLITE_BUSY; }

class Connection {
 public:
  Connection(const char* path, int flags) {
    if (sqlite3_open_v2(path, &database_, flags, nullptr) != SQLITE_OK) give_up(database_, "open");
    sqlite3_busy_timeout(database_, 20'000);
  }
  ~Connection() { sqlite3_close(database_); }
  Connection(const Connection&) = delete;
  Connection& operator=(const Connection&) = delete;

  /// False when busy; any other error ends the program.
  bool run(const std::string& sql) {
    const int code = sqlite3_exec(database_, sql.c_str(), nullptr, nullptr, nullptr);
    if (code == SQLITE_OK) return true;
    if (is_busy(code)) return false;
    give_up(database_, sql);
  }
  /// The first column of the first row; false when busy.
  bool query(const char* sql, std::string& value) {
    sqlite3_stmt* statement = nullptr;
    int code = sqlite3_prepare_v2(database_, sql, -1, &statement, nullptr);
    if (code == SQLITE_OK) code = sqlite3_step(statement);
    if (code == SQLITE_ROW) {
      value = reinterpret_cast<const char*>(sqlite3_column_text(statement, 0));
    }
    if (code != SQLITE_ROW && !is_busy(code)) give_up(database_, sql);
    sqlite3_finalize(statement);
    return code == SQLITE_ROW;
  }

 private:
  sqlite3* database_ = nullptr;
};

int create(const char* path, const char* page_size) {
  Connection bank(path, SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE);
  const std::string sql = std::string("PRAGMA page_size=") + page_size +
                          ";PRAGMA journal_mode=WAL;"
                          "CREATE TABLE accounts(id INTEGER PRIMARY KEY, balance INTEGER NOT NULL);"
                          "CREATE TABLE moves(id INTEGER PRIMARY KEY, count INTEGER NOT NULL);"
                          "CREATE TABLE journal(id INTEGER PRIMARY KEY, text TEXT);"
                          "CREATE INDEX by_balance ON accounts(balance);"
                          "INSERT INTO moves VALUES(1, 0);"
                          "WITH RECURSIVE n(i) AS (VALUES(1) UNION ALL SELECT i+1 FROM n WHERE i<" +
                          std::to_string(kAccounts) +
                          ") INSERT INTO accounts SELECT i, 1000 FROM n;";
  return bank.run(sql) ? 0 : 1;
}

std::string transfer(std::minstd_rand& random) {
  std::string sql = "BEGIN IMMEDIATE; UPDATE moves SET count = count + 1;";
  for (auto i = 1 + random() % 5; i > 0; --i) {
    const std::string amount = std::to_string(random() % 50);
    const std::string from = std::to_string(1 + random() % kAccounts);
    const std::string to = std::to_string(1 + random() % kAccounts);
    sql += "UPDATE accounts SET balance = balance - " + amount + " WHERE id = " + from + ";";
    sql += "UPDATE accounts SET balance = balance + " + amount + " WHERE id = " + to + ";";
  }
  // The journal grows and shrinks, so that pages come and go.
  sql +=
      "INSERT INTO journal(text) VALUES(hex(randomblob(" + std::to_string(random() % 600) + ")));";
  if (random() % 40 == 0) sql += "DELETE FROM journal WHERE id % 3 <> 0 OR random() % 2;";
  return sql + "COMMIT";
}

int write(const char* path, unsigned seed) {
  std::minstd_rand random(seed);
  long long transfers = 0;
  long long busy = 0;
  long long vacuums = 0;
  long long checkpoints = 0;
  while (stop_requested == 0) {
    Connection bank(path, SQLITE_OPEN_READWRITE);
    for (auto i = 50 + random() % 300; i > 0 && stop_requested == 0; --i) {
      const auto dice = random() % 1000;
      if (dice < 4) {
        bank.run("VACUUM") ? ++vacuums : ++busy;
      } else if (dice < 20) {
        std::string answer;
        bank.query(dice < 12 ? "PRAGMA wal_checkpoint(TRUNCATE)" : "PRAGMA wal_checkpoint(PASSIVE)",
                   answer)
            ? ++checkpoints
            : ++busy;
      } else if (bank.run(transfer(random))) {
        ++transfers;
      } else {
        ++busy;
        (void)bank.run("ROLLBACK");
      }
      if (random() % 8 == 0) std::this_thread::sleep_for(std::chrono::milliseconds(1));
    }
  }
  std::printf("transfers=%lld busy=%lld vacuums=%lld checkpoints=%lld\n", transfers, busy, vacuums,
              checkpoints);
  return 0;
}

class Reader {
 public:
  explicit Reader(unsigned seed) : random_(seed) {}

  int run(const char* path) {
    while (stop_requested == 0) {
      Connection bank(path, SQLITE_OPEN_READONLY);
      for (auto i = 20 + random_() % 200; i > 0 && stop_requested == 0; --i) look(bank);
    }
    std::printf("reads=%lld busy=%lld last=%lld\n", reads_, busy_, last_);
    return 0;
  }

 private:
  struct State {
    long long sum = 0;
    long long moves = 0;
    friend bool operator==(const State&, const State&) = default;
  };

  bool state(Connection& bank, State& state) {
    std::string sum;
    std::string moves;
    std::string count;
    if (!bank.query("SELECT sum(balance) FROM accounts", sum) ||
        !bank.query("SELECT count FROM moves", moves) ||
        !bank.query("SELECT count(*) FROM accounts", count)) {
      return false;
    }
    state = {std::atoll(sum.c_str()), std::atoll(moves.c_str())};
    if (state.sum != kSum || std::atoi(count.c_str()) != kAccounts) {
      give_up(nullptr, "sum " + sum + " of " + count + " accounts at move " + moves, 3);
    }
    return true;
  }

  void look(Connection& bank) {
    State first;
    State second;
    // One statement alone, in a read transaction of its own: what most programs do.
    bool well = state(bank, first);
    if (well) check_order(first.moves);
    well = well && bank.run("BEGIN") && state(bank, first);
    if (well && random_() % 50 == 0) {
      std::this_thread::sleep_for(std::chrono::milliseconds(random_() % 60));
    }
    well = well && state(bank, second);
    if (well && random_() % 40 == 0) {
      std::string integrity;
      well = bank.query("PRAGMA integrity_check", integrity);
      if (well && integrity != "ok") give_up(nullptr, "integrity_check: " + integrity, 3);
    }
    (void)bank.run("COMMIT");
    if (!well) {
      ++busy_;
      return;
    }
    if (!(first == second)) give_up(nullptr, "a transaction saw two states", 3);
    check_order(first.moves);
    ++reads_;
    // The gap between reads that lets a log be restarted.
    std::this_thread::sleep_for(std::chrono::microseconds(200 + random_() % 2000));
  }

  void check_order(long long moves) {
    if (moves < last_) {
      give_up(nullptr,
              "went back from move " + std::to_string(last_) + " to " + std::to_string(moves), 3);
    }
    last_ = moves;
  }

  std::minstd_rand random_;
  long long reads_ = 0;
  long long busy_ = 0;
  long long last_ = 0;
};

}  // namespace

int main(int argc, char** argv) {
  signal(SIGTERM, [](int) { stop_requested = 1; });
  if (argc == 4 && std::strcmp(argv[1], "create") == 0) return create(argv[2], argv[3]);
  if (argc == 4 && std::strcmp(argv[1], "write") == 0) {
    return write(argv[2], static_cast<unsigned>(std::atoi(argv[3])));
  }
  if (argc == 4 && std::strcmp(argv[1], "read") == 0) {
    return Reader(static_cast<unsigned>(std::atoi(argv[3]))).run(argv[2]);
  }
  std::fputs("usage: bank_worker create|write|read DB PAGE_SIZE|SEED\n", stderr);
  return 2;
}
