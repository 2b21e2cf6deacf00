# Every third-party package, found once. Which room may use which is in docs/architecture.md and
# kept by tests/include. cmake/install_debian_packages.sh installs all of them on Debian 12.
find_package(Threads REQUIRED)
find_package(PkgConfig REQUIRED)

find_package(SQLite3 3.37 REQUIRED) # SQLite::SQLite3
find_package(CURL REQUIRED) # CURL::libcurl
find_package(OpenSSL 3.0 REQUIRED) # OpenSSL::SSL, OpenSSL::Crypto
pkg_check_modules(zstd REQUIRED IMPORTED_TARGET libzstd) # PkgConfig::zstd
pkg_check_modules(xxhash REQUIRED IMPORTED_TARGET libxxhash) # PkgConfig::xxhash
find_package(Boost 1.81 REQUIRED COMPONENTS json url) # Boost::headers, Boost::json, Boost::url
# Headers alone, and no file that CMake or pkg-config would know.
find_path(WALFERRY_PROTOZERO_INCLUDE_DIR protozero/pbf_reader.hpp REQUIRED)
add_library(walferry_protozero INTERFACE)
target_include_directories(walferry_protozero SYSTEM INTERFACE ${WALFERRY_PROTOZERO_INCLUDE_DIR})
add_library(walferry::protozero ALIAS walferry_protozero)

find_package(CLI11 REQUIRED) # CLI11::CLI11
find_package(spdlog REQUIRED) # spdlog::spdlog
find_package(tomlplusplus REQUIRED) # tomlplusplus::tomlplusplus

if(WALFERRY_TESTS)
  find_package(GTest REQUIRED) # GTest::gtest, GTest::gtest_main, GTest::gmock
endif()
if(WALFERRY_BENCH)
  find_package(benchmark REQUIRED) # benchmark::benchmark, benchmark::benchmark_main
endif()
