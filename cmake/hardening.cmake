# Hardening for builds that are run in earnest, sanitizers for those that look for mistakes. The two
# exclude each other: fortified calls hide accesses from AddressSanitizer.
include(CheckPIESupported)
check_pie_supported(LANGUAGES C CXX)

if(WALFERRY_SANITIZE)
  add_compile_options(-fsanitize=${WALFERRY_SANITIZE} -fno-sanitize-recover=all
                      -fno-omit-frame-pointer)
  add_link_options(-fsanitize=${WALFERRY_SANITIZE})
else()
  # _FORTIFY_SOURCE needs an optimising build; a distribution may have set it already.
  add_compile_options("$<$<NOT:$<CONFIG:Debug>>:-U_FORTIFY_SOURCE;-D_FORTIFY_SOURCE=2>")
  add_compile_options(-fstack-protector-strong)
  add_link_options(-Wl,-z,relro -Wl,-z,now)
endif()
# Bounds of containers are checked in every build: the cost is small, the class of mistake is not.
add_compile_definitions($<$<COMPILE_LANGUAGE:CXX>:_GLIBCXX_ASSERTIONS>)
