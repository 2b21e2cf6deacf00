#include "tests/fault/stock_access.h"

#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <stdexcept>

namespace walferry::test {

namespace {

int exit_code_of(int status) {
  return WIFEXITED(status) ? WEXITSTATUS(status) : 1000 + WTERMSIG(status);
}

std::string quoted(const std::string& text) {
  std::string out = "'";
  for (const char c : text) out += c == '\'' ? std::string("'\\''") : std::string(1, c);
  return out + "'";
}

}  // namespace

TempDirectory::TempDirectory() {
  std::string pattern = (std::filesystem::temp_directory_path() / "walferry-test-XXXXXX").string();
  if (::mkdtemp(pattern.data()) == nullptr) throw std::runtime_error("no temporary directory");
  path_ = pattern;
}

TempDirectory::~TempDirectory() {
  std::error_code ignored;
  std::filesystem::remove_all(path_, ignored);
}

StockDatabase::StockDatabase(const std::filesystem::path& path, int flags, const char* vfs) {
  const int rc = sqlite3_open_v2(path.c_str(), &db_, flags | SQLITE_OPEN_URI, vfs);
  if (rc != SQLITE_OK) throw std::runtime_error("opening " + path.string());
  sqlite3_busy_timeout(db_, 5'000);
}

StockDatabase::~StockDatabase() { sqlite3_close_v2(db_); }

int StockDatabase::run(const std::string& sql) {
  return sqlite3_exec(db_, sql.c_str(), nullptr, nullptr, nullptr);
}

std::string StockDatabase::query(const std::string& sql) {
  std::string out;
  const auto take_row = [](void* to, int columns, char** values, char**) {
    auto& text = *static_cast<std::string*>(to);
    if (!text.empty()) text += ';';
    for (int i = 0; i < columns; ++i) {
      if (i > 0) text += '|';
      text += values[i] != nullptr ? values[i] : "NULL";
    }
    return 0;
  };
  const int rc = sqlite3_exec(db_, sql.c_str(), take_row, &out, nullptr);
  if (rc == SQLITE_OK) return out;
  return "error " + std::to_string(rc) + ": " + sqlite3_errmsg(db_);
}

Image StockDatabase::image() {
  sqlite3_int64 size = 0;
  unsigned char* bytes = sqlite3_serialize(db_, "main", &size, 0);
  if (bytes == nullptr) throw std::runtime_error("the database cannot be serialised");
  const auto* begin = reinterpret_cast<const std::byte*>(bytes);
  Image image(begin, begin + size);
  sqlite3_free(bytes);
  image[18] = image[19] = std::byte{2};
  return image;
}

sqlite3_file* StockDatabase::file() noexcept {
  sqlite3_file* file = nullptr;
  sqlite3_file_control(db_, "main", SQLITE_FCNTL_FILE_POINTER, &file);
  return file;
}

std::string ask(const std::filesystem::path& path, const std::string& sql) {
  return StockDatabase(path).query(sql);
}

std::string shell(const std::string& command) {
  std::string out;
  std::FILE* pipe = ::popen(("{ " + command + "\n} 2>&1").c_str(), "r");
  if (pipe == nullptr) return "no shell";
  std::array<char, 4096> buffer{};
  while (const std::size_t n = std::fread(buffer.data(), 1, buffer.size(), pipe)) {
    out.append(buffer.data(), n);
  }
  ::pclose(pipe);
  while (!out.empty() && out.back() == '\n') out.pop_back();
  return out;
}

std::string sqlite_program(const std::filesystem::path& path, const std::string& sql) {
  return shell("sqlite3 -cmd '.timeout 5000' " + quoted(path.string()) + " " + quoted(sql));
}

void copy_database(const std::filesystem::path& from, const std::filesystem::path& to) {
  const std::string source = from.string();
  const std::string target = to.string();
  shell("rm -f " + quoted(target) + " " + quoted(target + "-wal") + " " + quoted(target + "-shm") +
        "; cp " + quoted(source) + " " + quoted(target) + "; if [ -e " + quoted(source + "-wal") +
        " ]; then cp " + quoted(source + "-wal") + " " + quoted(target + "-wal") + "; fi");
}

void write_file(const std::filesystem::path& path, const Image& bytes) {
  std::ofstream out(path, std::ios::binary | std::ios::trunc);
  out.write(reinterpret_cast<const char*>(bytes.data()),
            static_cast<std::streamsize>(bytes.size()));
  if (!out.flush()) throw std::runtime_error("writing " + path.string());
}

Image read_file(const std::filesystem::path& path) {
  Image bytes;
  std::FILE* pipe = ::popen(("cat " + quoted(path.string()) + " 2>/dev/null").c_str(), "r");
  if (pipe == nullptr) return bytes;
  std::vector<std::byte> buffer(1u << 16);
  while (const std::size_t n = std::fread(buffer.data(), 1, buffer.size(), pipe)) {
    bytes.insert(bytes.end(), buffer.begin(), buffer.begin() + static_cast<std::ptrdiff_t>(n));
  }
  ::pclose(pipe);
  return bytes;
}

int run_in_child(const std::function<int()>& body) {
  std::fflush(nullptr);
  const pid_t pid = ::fork();
  if (pid == 0) ::_exit(body());
  int status = 0;
  ::waitpid(pid, &status, 0);
  return exit_code_of(status);
}

bool ChildProcess::Parent::wait() {
  char byte = 0;
  return ::read(in_, &byte, 1) == 1;
}

void ChildProcess::Parent::tell(char what) { (void)!::write(out_, &what, 1); }

ChildProcess::ChildProcess(const std::function<int(Parent&)>& body) {
  std::array<int, 2> to_child{};
  std::array<int, 2> to_parent{};
  if (::pipe(to_child.data()) != 0 || ::pipe(to_parent.data()) != 0) {
    throw std::runtime_error("no pipe");
  }
  std::fflush(nullptr);
  pid_ = ::fork();
  if (pid_ == 0) {
    ::close(to_child[1]);
    ::close(to_parent[0]);
    Parent parent(to_child[0], to_parent[1]);
    ::_exit(body(parent));
  }
  ::close(to_child[0]);
  ::close(to_parent[1]);
  out_ = to_child[1];
  in_ = to_parent[0];
}

ChildProcess::~ChildProcess() {
  if (result_ < 0) {
    ::kill(pid_, SIGKILL);
    join();
  }
  ::close(in_);
  ::close(out_);
}

void ChildProcess::go_on() {
  const char byte = 'g';
  (void)!::write(out_, &byte, 1);
}

char ChildProcess::hear() {
  char byte = 0;
  return ::read(in_, &byte, 1) == 1 ? byte : '\0';
}

void ChildProcess::send_signal(int number) { ::kill(pid_, number); }

int ChildProcess::join() {
  if (result_ < 0) {
    int status = 0;
    ::waitpid(pid_, &status, 0);
    result_ = exit_code_of(status);
  }
  return result_;
}

std::unique_ptr<ChildProcess> hold_open(const std::filesystem::path& path) {
  auto child = std::make_unique<ChildProcess>([&](ChildProcess::Parent& parent) {
    StockDatabase database(path);
    database.query("SELECT count(*) FROM sqlite_schema");
    parent.tell('o');
    while (parent.wait()) {
    }
    return 0;
  });
  child->hear();
  return child;
}

}  // namespace walferry::test
