# viaduct_test(NAME name LABEL label SOURCES file... LIBS target... [TIMEOUT seconds] [ARGS argument...] [NO_ALLOCATIONS])
# One test program of cmocka, and its ctest entry: "label/name", or "asan/label/name" in a sanitizer build.
# A unit test is run again with each allocation failing in turn, under AddressSanitizer; not with NO_ALLOCATIONS, which says
# that it asks tests/support/failing_mem.h for nothing.
set(VIADUCT_TEST_PREFIX "" CACHE STRING "Stands before the names of tests, so that two builds can be run as one")

function(viaduct_add_test name label timeout)
  add_test(NAME ${VIADUCT_TEST_PREFIX}${label}/${name} COMMAND ${ARGN})
  set_tests_properties(${VIADUCT_TEST_PREFIX}${label}/${name} PROPERTIES LABELS ${label} TIMEOUT ${timeout})
endfunction()

function(viaduct_test)
  cmake_parse_arguments(T "NO_ALLOCATIONS" "NAME;LABEL;TIMEOUT" "SOURCES;LIBS;ARGS" ${ARGN})
  if(NOT T_TIMEOUT)
    set(T_TIMEOUT 60)
  endif()
  set(target test_${T_LABEL}_${T_NAME})
  add_executable(${target} ${T_SOURCES})
  set_target_properties(${target} PROPERTIES RUNTIME_OUTPUT_DIRECTORY ${CMAKE_BINARY_DIR}/tests)
  target_link_libraries(${target} PRIVATE ${T_LIBS} PkgConfig::CMOCKA)
  viaduct_add_test(${T_NAME} ${T_LABEL} ${T_TIMEOUT} ${target} ${T_ARGS})
  if(T_LABEL STREQUAL unit AND NOT T_NO_ALLOCATIONS AND VIADUCT_SANITIZE MATCHES address)
    viaduct_add_test(${T_NAME}-failing-allocations ${T_LABEL} 300
      ${CMAKE_SOURCE_DIR}/tests/support/each-allocation $<TARGET_FILE:${target}> ${T_ARGS})
  endif()
endfunction()
