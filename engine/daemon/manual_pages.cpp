#include "engine/daemon/manual_pages.h"

#include <array>
#include <utility>

namespace walferry::daemon {
namespace {

constexpr ManualPage kProgram = {
    .synopsis = R"(  walferry COMMAND [OPTION]... [ARGUMENT]...
)",
    .description = R"(  walferry keeps ordinary SQLite files equal to a SQLite database that lives
  elsewhere. "serve" publishes a database that any program goes on writing to
  with the stock SQLite library; "replicate" follows it into a local file that
  any stock SQLite program may read at any moment. A reader of that file sees
  committed states of the primary only, and never an older one than before.

  "walferry COMMAND --help" is the manual page of one command.
)",
    .examples = R"(  On the host that has the database:
      walferry serve app.db
  On another (through a tunnel or a proxy), or beside it:
      walferry replicate http://127.0.0.1:7070/db/app.db local.db
  Is the copy up to date, and is it really equal?
      walferry status local.db
      walferry verify local.db http://127.0.0.1:7070/db/app.db
)",
    .files = "",
};

constexpr ManualPage kServe = {
    .synopsis = R"(  walferry serve PATH... [--listen ADDRESS:PORT] [OPTION]...
)",
    .description = R"(  Publishes each PATH: a database file, or a directory whose databases are
  published under their file names. Other programs go on using the databases
  through the stock SQLite library, in any number of processes, with nothing
  to install in them. A database in rollback-journal mode is switched to WAL
  mode, with a line in the log that says so.

  While it runs, walferry alone writes the WAL back into the database
  (checkpoints): it holds SQLite's checkpoint lock, and other programs'
  checkpoints do nothing. Stop it with SIGTERM, SIGINT or SIGHUP; a second
  signal ends it at once. It may also be killed: followers go on from where
  they are when it is started again.

  SQL is answered, too, for libSQL's clients over HTTP (Hrana 2 and 3):
      createClient({url: "http://127.0.0.1:7070"})
  for the only database, "http://127.0.0.1:7070/db/app.db/" for one of several.

  Until walferry knows access tokens it listens on loopback addresses only.
)",
    .examples = R"(  Publish one database as http://127.0.0.1:7070/db/app.db:
      walferry serve app.db
  Publish all databases of a directory on another port:
      walferry serve /srv/databases --listen 127.0.0.1:8080
  Publish only what a power cut cannot take back:
      walferry serve app.db --sync-before-publish
)",
    .files = R"(  Beside each database walferry keeps small files of its own (its position and
  retained history). They may be deleted while it does not run: followers then
  compare page hashes and fetch what differs.
)",
};

constexpr ManualPage kReplicate = {
    .synopsis = R"(  walferry replicate URL LOCAL [OPTION]...
  walferry replicate URL LOCAL --once [OPTION]...
)",
    .description = R"(  Keeps the file LOCAL equal to the database published at URL, live, until it
  is stopped. URL is what "walferry serve" prints, for example
  http://127.0.0.1:7070/db/app.db; the root http://127.0.0.1:7070 will do
  when one database only is served there.

  The first time the whole database is fetched (a bar on a terminal, otherwise
  a log line each five seconds, shows how far it has come); LOCAL appears under
  its name once it is complete. A fetch that was cut goes on where it stopped.
  After that only what changes is fetched. Where LOCAL is a copy of the
  database already (a backup, an old replica), it is adopted: only the pages
  that differ are fetched. A file that is not a copy of it is refused and left
  as it is.

  Any stock SQLite program may read LOCAL at any moment. Its writes are refused
  (SQLITE_READONLY), also while walferry does not run, until the file is
  detached; "walferry copy" makes a writable copy meanwhile.

  Without --once a peer that cannot be reached is no error: walferry goes on
  trying, and "walferry status LOCAL" says so. Stop it with SIGTERM, SIGINT or
  SIGHUP; a second signal ends it at once. With --once a signal that comes
  before everything was applied makes the command fail.
)",
    .examples = R"(  Follow a database live:
      walferry replicate http://127.0.0.1:7070/db/app.db local.db
  Bring the file up to date and exit, from cron:
      walferry replicate http://127.0.0.1:7070/db/app.db local.db --once
  Follow at no more than 2 MiB/s, and serve to followers of our own:
      walferry replicate http://127.0.0.1:7070/db/app.db local.db \
          --limit-rate 2M --listen 127.0.0.1:7071
  Let the programs of a group read it:
      walferry replicate http://127.0.0.1:7070/db/app.db local.db \
          --owner walferry:apps --mode 0660
)",
    .files = R"(  LOCAL            the replica, an ordinary SQLite database
  LOCAL-wal, -shm  SQLite's own companions of it
  Beside them walferry keeps small files of its own (the proven position, and
  during the first fetch what has arrived so far). Without them the replica
  proves itself by page hashes again.
)",
};

constexpr ManualPage kStatus = {
    .synopsis = R"(  walferry status FILE [--json]
  walferry status URL [--json]
)",
    .description = R"(  Says how a replica (FILE) or a server (URL) is doing. For a replica: its
  state, its position, how far it lags behind the primary in frames and in
  seconds, when it last had everything, and what went wrong last. It works
  whether or not walferry runs on the file. For a server: the same of each
  database that it publishes, with the number of followers, the size of the
  WAL and how long writers were held.

  States of a replica: opening, bootstrapping, reconciling, catching up, live,
  stalled (the last error says why; it is retried), stopped. A stalled replica
  is an answer, not a failure of this command: the exit code is 0.
)",
    .examples = R"(  walferry status local.db
  walferry status http://127.0.0.1:7070
  walferry status local.db --json | python3 -m json.tool
)",
    .files = "",
};

constexpr ManualPage kVerify = {
    .synopsis = R"(  walferry verify LOCAL URL [--json]
)",
    .description = R"(  Compares the replica LOCAL with the database published at URL, page for page
  at one position, while both go on. Prints how many pages were compared; if
  any differ, their numbers, and the exit code is 3.
)",
    .examples = R"(  walferry verify local.db http://127.0.0.1:7070/db/app.db
)",
    .files = "",
};

constexpr ManualPage kDetach = {
    .synopsis = R"(  walferry detach FILE
)",
    .description = R"(  Makes the replica FILE an ordinary, writable database that follows nothing
  any more. Refused while a "walferry replicate" runs on it: stop that first.
  It cannot be undone, but "walferry replicate" adopts the file again, which
  takes back what was written to it in between.
)",
    .examples = R"(  walferry detach local.db
)",
    .files = "",
};

constexpr ManualPage kCopy = {
    .synopsis = R"(  walferry copy FILE OUT
)",
    .description =
        R"(  Writes a compact, writable copy of the replica FILE (or of any database) as of
  one moment to OUT, while all goes on. OUT must not exist.
)",
    .examples = R"(  walferry copy local.db snapshot.db
)",
    .files = "",
};

constexpr ManualPage kVersion = {
    .synopsis = R"(  walferry version [--json]
)",
    .description = R"(  Prints the version of walferry and of the SQLite library that it uses.
)",
    .examples = R"(  walferry version
)",
    .files = "",
};

constexpr std::array kPages = {
    std::pair<std::string_view, const ManualPage*>{"serve", &kServe},
    std::pair<std::string_view, const ManualPage*>{"replicate", &kReplicate},
    std::pair<std::string_view, const ManualPage*>{"status", &kStatus},
    std::pair<std::string_view, const ManualPage*>{"verify", &kVerify},
    std::pair<std::string_view, const ManualPage*>{"detach", &kDetach},
    std::pair<std::string_view, const ManualPage*>{"copy", &kCopy},
    std::pair<std::string_view, const ManualPage*>{"version", &kVersion},
};

}  // namespace

const ManualPage& manual_page(std::string_view command) {
  for (const auto& [name, page] : kPages) {
    if (name == command) return *page;
  }
  return kProgram;
}

std::string_view exit_status_text() {
  return R"(  0  success; also a clean end after a signal
  1  failed, for a reason that the message gives; or ended before it was done
  2  usage: the command line, the environment or the TOML file makes no sense
  3  verify found differences
  4  refused for safety: a file that is not ours, the write guard, an address
     that is not loopback
  5  the peer cannot be reached or a deadline passed (replicate --once, status,
     verify)
)";
}

std::string_view settings_text() {
  return R"(  Every option can also be given as an environment variable or in a TOML file.
  What is nearer to the command wins:

      option  >  environment variable  >  TOML file  >  default

  The variable of --wal-limit is WALFERRY_WAL_LIMIT, and so on; a flag takes
  true or false. An argument has one too where this page says so. An empty
  variable counts as not set.

  The file is named by --config or WALFERRY_CONFIG. Its top level holds the
  options of all commands, a table named after a command those of that command
  (tables of other commands do no harm; a name that no option has is an error):

      log-level = "info"

      [serve]
      path = ["/srv/app.db", "/srv/more"]
      listen = "127.0.0.1:7070"
      wal-limit = "16M"

      [replicate]
      url = "http://127.0.0.1:7070/db/app.db"
      local = "/srv/local.db"
      interval = "60s"

  Sizes: a number with K, M, G, T (or KiB, MiB, ..) in powers of 1024, or with
  KB, MB, .. in powers of 1000; a bare number is in bytes. Durations: a number
  with ms, s, m, h or d; a bare number is in seconds.
)";
}

}  // namespace walferry::daemon
