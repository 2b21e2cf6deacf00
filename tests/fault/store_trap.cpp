#include "tests/fault/store_trap.h"

#include <signal.h>
#include <sys/mman.h>
#include <ucontext.h>
#include <unistd.h>

namespace walferry::test {

namespace {

char* watched_begin = nullptr;
std::size_t watched_size = 0;
std::size_t protected_size = 0;
int stores_left = 0;

#if defined(__x86_64__)

constexpr greg_t kTrapFlag = 0x100;

void on_store(int, siginfo_t* info, void* raw) {
  const char* at = static_cast<char*>(info->si_addr);
  if (at < watched_begin || at >= watched_begin + protected_size) ::_exit(99);
  if (at < watched_begin + watched_size && stores_left-- == 0) ::_exit(kKilledByTrap);
  ::mprotect(watched_begin, protected_size, PROT_READ | PROT_WRITE);
  static_cast<ucontext_t*>(raw)->uc_mcontext.gregs[REG_EFL] |= kTrapFlag;
}

void after_store(int, siginfo_t*, void* raw) {
  static_cast<ucontext_t*>(raw)->uc_mcontext.gregs[REG_EFL] &= ~kTrapFlag;
  if (watched_begin != nullptr) ::mprotect(watched_begin, protected_size, PROT_READ);
}

#endif

}  // namespace

void trap_stores(void* begin, std::size_t size, int stores_allowed) {
#if defined(__x86_64__)
  watched_begin = static_cast<char*>(begin);
  watched_size = size;
  protected_size = static_cast<std::size_t>(::sysconf(_SC_PAGESIZE));
  stores_left = stores_allowed;
  struct sigaction action{};
  action.sa_flags = SA_SIGINFO;
  action.sa_sigaction = on_store;
  ::sigaction(SIGSEGV, &action, nullptr);
  action.sa_sigaction = after_store;
  ::sigaction(SIGTRAP, &action, nullptr);
  ::mprotect(begin, protected_size, PROT_READ);
#else
  (void)begin;
  (void)size;
  (void)stores_allowed;
#endif
}

int trapped_stores_left() { return stores_left; }

void release_stores() {
  if (watched_begin != nullptr) ::mprotect(watched_begin, protected_size, PROT_READ | PROT_WRITE);
  watched_begin = nullptr;
}

}  // namespace walferry::test
