# What is installed: the headers of include/walferry, libwalferry, the program, and the two ways to
# find the library (find_package(walferry) and pkg-config).
include(CMakePackageConfigHelpers)

add_library(walferry::walferry ALIAS walferry)
target_include_directories(
  walferry PUBLIC $<BUILD_INTERFACE:${PROJECT_SOURCE_DIR}/include>
                  $<INSTALL_INTERFACE:${CMAKE_INSTALL_INCLUDEDIR}>)
target_compile_features(walferry PUBLIC cxx_std_23)
set_target_properties(walferry PROPERTIES VERSION ${PROJECT_VERSION} SOVERSION
                                          ${PROJECT_VERSION_MAJOR}.${PROJECT_VERSION_MINOR})

if(BUILD_SHARED_LIBS)
  # The program finds its library wherever the two were installed to.
  set_target_properties(walferry_daemon PROPERTIES INSTALL_RPATH
                                                   "$ORIGIN/../${CMAKE_INSTALL_LIBDIR}")
endif()

# A static libwalferry refers to the rooms beneath it. Those that are object libraries are inside it
# already; of them only what they link is exported.
set(walferry_installed_libraries walferry)
set(walferry_pc_requires "")
set(walferry_pc_libraries "")
if(NOT BUILD_SHARED_LIBS)
  foreach(room walferry_net walferry_wal)
    list(APPEND walferry_installed_libraries ${room})
    get_target_property(room_type ${room} TYPE)
    if(room_type STREQUAL "STATIC_LIBRARY")
      string(APPEND walferry_pc_libraries "-l${room} ")
    endif()
  endforeach()
  # Not as Requires.private: `pkg-config --static` would want static forms of all that libcurl uses,
  # where a static libwalferry with shared libraries beneath it is what people link.
  string(APPEND walferry_pc_libraries "-lboost_json -lboost_url -lpthread")
  set(walferry_pc_requires "sqlite3 libcurl libzstd libxxhash openssl")
endif()

install(
  TARGETS ${walferry_installed_libraries}
  EXPORT walferryTargets
  ARCHIVE DESTINATION ${CMAKE_INSTALL_LIBDIR}
  LIBRARY DESTINATION ${CMAKE_INSTALL_LIBDIR})
install(TARGETS walferry_daemon RUNTIME DESTINATION ${CMAKE_INSTALL_BINDIR})
install(DIRECTORY ${PROJECT_SOURCE_DIR}/include/walferry
        DESTINATION ${CMAKE_INSTALL_INCLUDEDIR})

set(walferry_package_dir ${CMAKE_INSTALL_LIBDIR}/cmake/walferry)
install(
  EXPORT walferryTargets
  NAMESPACE walferry::
  DESTINATION ${walferry_package_dir})
configure_package_config_file(
  ${CMAKE_CURRENT_LIST_DIR}/walferryConfig.cmake.in ${PROJECT_BINARY_DIR}/walferryConfig.cmake
  INSTALL_DESTINATION ${walferry_package_dir})
write_basic_package_version_file(${PROJECT_BINARY_DIR}/walferryConfigVersion.cmake
                                 COMPATIBILITY SameMinorVersion)
install(FILES ${PROJECT_BINARY_DIR}/walferryConfig.cmake
              ${PROJECT_BINARY_DIR}/walferryConfigVersion.cmake DESTINATION ${walferry_package_dir})

configure_file(${CMAKE_CURRENT_LIST_DIR}/walferry.pc.in ${PROJECT_BINARY_DIR}/walferry.pc @ONLY)
install(FILES ${PROJECT_BINARY_DIR}/walferry.pc DESTINATION ${CMAKE_INSTALL_LIBDIR}/pkgconfig)
