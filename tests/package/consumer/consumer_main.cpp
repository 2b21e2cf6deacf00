// A program of somebody else that uses the installed library.
#include <walferry/replica.hpp>
#include <walferry/tools.hpp>

#include <iostream>

int main() {
  // Something that needs all of the library to be linked, and nothing to run.
  const auto replica = walferry::Replica::open({});
  std::cout << "walferry " << walferry::version() << ": "
            << (replica ? "opened" : replica.error().message) << '\n';
  return replica ? 1 : 0;
}
