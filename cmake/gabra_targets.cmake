# SPDX-License-Identifier: MIT
# Dependencies and the helpers that every room's CMakeLists.txt uses.
set(CMAKE_RUNTIME_OUTPUT_DIRECTORY "${CMAKE_BINARY_DIR}/bin")
set(CMAKE_POSITION_INDEPENDENT_CODE ON)
set(CMAKE_CXX_STANDARD 20)
set(CMAKE_CXX_STANDARD_REQUIRED ON)
set(CMAKE_CXX_EXTENSIONS OFF)

find_package(fmt REQUIRED)
find_package(nlohmann_json REQUIRED)

find_program(GABRA_CCACHE ccache)
mark_as_advanced(GABRA_CCACHE)
if(GABRA_CCACHE AND PROJECT_IS_TOP_LEVEL)
  set(CMAKE_CXX_COMPILER_LAUNCHER "${GABRA_CCACHE}")
endif()

# Linked privately everywhere: our own sources compile without a warning.
add_library(gabra_warnings INTERFACE)
target_compile_options(gabra_warnings INTERFACE
  -Wall -Wextra -Wshadow -Wconversion -Wold-style-cast -Wnon-virtual-dtor -Wdouble-promotion -Wpedantic)
if(CMAKE_CXX_COMPILER_ID STREQUAL "GNU" AND CMAKE_CXX_COMPILER_VERSION VERSION_LESS 13)
  # GCC 12 sees overlapping copies in "text" + std::string at -O3 (its bug 105651).
  target_compile_options(gabra_warnings INTERFACE -Wno-restrict)
endif()
if(GABRA_WERROR)
  target_compile_options(gabra_warnings INTERFACE -Werror)
endif()

# gabra_add_library(NAME [NOT_INSTALLED] SOURCES ... HEADERS ...): one room or part of a room, with its public headers
# under include/. NOT_INSTALLED: for our own programs only; its headers, which include LibTorch, are not built alone.
function(gabra_add_library name)
  cmake_parse_arguments(PARSE_ARGV 1 arg "NOT_INSTALLED" "" "SOURCES;HEADERS")
  add_library(gabra_${name} STATIC ${arg_SOURCES})
  add_library(gabra::${name} ALIAS gabra_${name})
  set_target_properties(gabra_${name} PROPERTIES EXPORT_NAME ${name})
  target_compile_features(gabra_${name} PUBLIC cxx_std_20)
  set_target_properties(gabra_${name} PROPERTIES CXX_EXTENSIONS OFF)
  target_sources(gabra_${name} PUBLIC FILE_SET HEADERS BASE_DIRS include FILES ${arg_HEADERS})
  target_include_directories(gabra_${name} PRIVATE src)
  target_link_libraries(gabra_${name} PRIVATE $<BUILD_INTERFACE:gabra_warnings>)
  if(NOT arg_NOT_INSTALLED)
    set_target_properties(gabra_${name} PROPERTIES VERIFY_INTERFACE_HEADER_SETS ON)
    set_property(GLOBAL APPEND PROPERTY GABRA_LIBRARIES gabra_${name})
  endif()
endfunction()
