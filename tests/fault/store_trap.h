/// Ends the process before the n-th store to a range of memory: every moment between two stores of
/// a change to shared memory can be visited, even where no system call marks it.
///
/// Works by write-protecting the range and stepping over one instruction at a time, so it needs
/// x86-64 (see kStoreTrapWorks). For forked children only: it takes SIGSEGV and SIGTRAP.
#pragma once

#include <cstddef>

namespace walferry::test {

#if defined(__x86_64__)
inline constexpr bool kStoreTrapWorks = true;
#else
inline constexpr bool kStoreTrapWorks = false;
#endif

inline constexpr int kKilledByTrap = 77;

/// `begin` is at the begin of a page of the system's, `size` at most one. The store number
/// `stores_allowed`, counted from 0, does not happen any more: _exit(kKilledByTrap).
void trap_stores(void* begin, std::size_t size, int stores_allowed);
void release_stores();
/// How many more stores would have been allowed.
int trapped_stores_left();

}  // namespace walferry::test
