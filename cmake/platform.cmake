# walferry reads SQLite's shared-memory wal-index and its POSIX locks. Both are tried on Linux, on
# the two little-endian 64-bit processors below, and nowhere else: refusing here is kinder than a
# replica that is subtly wrong.
if(NOT CMAKE_SYSTEM_NAME STREQUAL "Linux")
  message(
    FATAL_ERROR
      "walferry runs on Linux only (this is ${CMAKE_SYSTEM_NAME}): it depends on the locks and the "
      "shared memory that SQLite uses there.")
endif()
if(NOT CMAKE_SYSTEM_PROCESSOR MATCHES "^(x86_64|amd64|AMD64|aarch64|arm64)$" OR NOT CMAKE_SIZEOF_VOID_P
                                                                                  EQUAL 8)
  message(
    FATAL_ERROR
      "walferry supports 64-bit x86-64 and arm64 processors only (this is a "
      "${CMAKE_SYSTEM_PROCESSOR} build): its shared-memory protocol was tried on no other.")
endif()
