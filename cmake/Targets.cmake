# How every target of this project is made: the warnings, hardening and sanitizers stand here and nowhere else.

add_library(ts_options INTERFACE)
target_compile_options(ts_options INTERFACE
  -Wall -Wextra -Wpedantic -Wshadow -Wconversion -Wno-sign-conversion -Wnon-virtual-dtor -Woverloaded-virtual
  -Wcast-align -Wformat=2 -Werror -fstack-protector-strong
  # GCC 12's false alarms: every moved std::variant (bug 105593 and its kin), "literal" + std::string (bug 105651).
  -Wno-maybe-uninitialized -Wno-restrict)
target_compile_definitions(ts_options INTERFACE _GLIBCXX_ASSERTIONS)
if(CMAKE_BUILD_TYPE STREQUAL "Release" AND NOT TS_SANITIZE)
  target_compile_options(ts_options INTERFACE -U_FORTIFY_SOURCE -D_FORTIFY_SOURCE=2)
endif()
target_include_directories(ts_options INTERFACE ${PROJECT_SOURCE_DIR})
target_link_libraries(ts_options INTERFACE Threads::Threads)
if(TS_SANITIZE)
  target_compile_options(ts_options INTERFACE -fsanitize=${TS_SANITIZE} -fno-sanitize-recover=all -fno-omit-frame-pointer)
  target_link_options(ts_options INTERFACE -fsanitize=${TS_SANITIZE})
  if(TS_SANITIZE MATCHES "thread")
    # GCC warns that TSan does not model stand-alone fences; Asio then uses none.
    target_compile_definitions(ts_options INTERFACE BOOST_ASIO_DISABLE_FENCED_BLOCK)
    target_compile_options(ts_options INTERFACE -Wno-tsan)
  endif()
endif()

# ts_library(NAME SOURCES ... LINK ...): a static library. Every source is listed by name.
function(ts_library name)
  cmake_parse_arguments(ARG "" "" "SOURCES;LINK" ${ARGN})
  add_library(${name} STATIC ${ARG_SOURCES})
  target_link_libraries(${name} PUBLIC ts_options ${ARG_LINK})
endfunction()

# ts_program(NAME SOURCES ... LINK ...): a program in build/<preset>/bin/.
function(ts_program name)
  cmake_parse_arguments(ARG "" "" "SOURCES;LINK" ${ARGN})
  add_executable(${name} ${ARG_SOURCES})
  target_link_libraries(${name} PRIVATE ts_options ${ARG_LINK})
endfunction()

# ts_test(NAME LABEL unit|integration|faults|system SOURCES ... LINK ...): a GoogleTest program whose cases ctest sees one by one.
function(ts_test name)
  cmake_parse_arguments(ARG "" "LABEL;TIMEOUT" "SOURCES;LINK" ${ARGN})
  if(NOT ARG_TIMEOUT)
    set(ARG_TIMEOUT 60)
  endif()
  add_executable(${name} ${ARG_SOURCES})
  target_link_libraries(${name} PRIVATE ts_options ${ARG_LINK} GTest::gtest GTest::gtest_main)
  # Some tests let a forked child of a threaded test run threads of its own, which ThreadSanitizer refuses by default.
  gtest_discover_tests(${name} DISCOVERY_TIMEOUT 60
    PROPERTIES LABELS ${ARG_LABEL} TIMEOUT ${ARG_TIMEOUT} ENVIRONMENT "TSAN_OPTIONS=die_after_fork=0")
endfunction()
