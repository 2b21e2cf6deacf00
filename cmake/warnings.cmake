# The same warnings for every room. They are directory options, so that no target can forget them.
add_compile_options(-Wall -Wextra -Wpedantic -Wshadow -Wconversion -Wsign-conversion)
add_compile_options("$<$<COMPILE_LANGUAGE:CXX>:-Wold-style-cast;-Wnon-virtual-dtor>")
if(WALFERRY_WERROR)
  add_compile_options(-Werror)
endif()
