# viaduct_bpf(target source skeleton)
# A program for the kernel: clang makes the object, bpftool the header SKELETON.skel.h with the object in it, which whoever links
# TARGET includes. VIADUCT_XDP says whether the tools are there; without them the daemons are built without such programs.
set(VIADUCT_XDP AUTO CACHE STRING "The relay's fast path in the kernel: AUTO (where clang, bpftool and libbpf are), ON, OFF")

set(VIADUCT_HAS_BPF OFF)
if(NOT VIADUCT_XDP STREQUAL OFF)
  find_program(VIADUCT_BPF_CLANG clang)
  find_program(VIADUCT_BPFTOOL bpftool PATHS /usr/sbin /sbin)
  pkg_check_modules(BPF IMPORTED_TARGET libbpf>=1.0)
  set(missing "")
  foreach(part IN ITEMS "VIADUCT_BPF_CLANG clang" "VIADUCT_BPFTOOL bpftool" "BPF_FOUND libbpf-dev")
    string(REPLACE " " ";" part ${part})
    list(GET part 0 found)
    list(GET part 1 package)
    if(NOT ${found})
      list(APPEND missing ${package})
    endif()
  endforeach()
  # Debian's bpftool may be a script that wants the running kernel's, and a clang may come without the target.
  if(VIADUCT_BPFTOOL)
    execute_process(COMMAND ${VIADUCT_BPFTOOL} version RESULT_VARIABLE failed OUTPUT_QUIET ERROR_QUIET)
    if(NOT failed EQUAL 0)
      list(APPEND missing "a bpftool that runs (${VIADUCT_BPFTOOL} does not)")
    endif()
  endif()
  if(VIADUCT_BPF_CLANG)
    execute_process(COMMAND ${VIADUCT_BPF_CLANG} -target bpf -mcpu=v3 -x c -c /dev/null -o ${CMAKE_BINARY_DIR}/bpf-probe.o
                    RESULT_VARIABLE failed OUTPUT_QUIET ERROR_QUIET)
    if(NOT failed EQUAL 0)
      list(APPEND missing "a clang with the target bpf (${VIADUCT_BPF_CLANG} has none)")
    endif()
  endif()
  list(JOIN missing ", " missing)
  if(NOT missing)
    set(VIADUCT_HAS_BPF ON)
    message(STATUS "XDP: built in (${VIADUCT_BPF_CLANG}, ${VIADUCT_BPFTOOL}, libbpf ${BPF_VERSION})")
  elseif(VIADUCT_XDP STREQUAL AUTO)
    message(STATUS "XDP: left out, --xdp will not be there; missing: ${missing} (scripts/setup --xdp installs them)")
  else()
    message(FATAL_ERROR "VIADUCT_XDP=ON, but these are missing: ${missing} (scripts/setup --xdp installs them)")
  endif()
else()
  message(STATUS "XDP: left out (VIADUCT_XDP=OFF)")
endif()

function(viaduct_bpf target source skeleton)
  set(dir ${CMAKE_CURRENT_BINARY_DIR}/bpf)
  file(MAKE_DIRECTORY ${dir})
  set(object ${dir}/${skeleton})
  # Version 3 of the instructions has compare-and-exchange: Linux 5.12 (and the relay's program wants 5.18 for bpf_xdp_load_bytes).
  # -g is for the types (BTF); the linker that bpftool is throws the rest of it away. The include folder is where Debian keeps the
  # headers of one architecture.
  add_custom_command(OUTPUT ${object}.skel.h ${object}.bpf.o
    COMMAND ${VIADUCT_BPF_CLANG} -target bpf -mcpu=v3 -O2 -g -std=gnu17 -Wall -Wextra -Wshadow $<$<BOOL:${VIADUCT_WERROR}>:-Werror>
            -I${CMAKE_SOURCE_DIR} -isystem /usr/include/${CMAKE_LIBRARY_ARCHITECTURE}
            -MD -MF ${object}.d -MT ${object}.skel.h -c ${CMAKE_CURRENT_SOURCE_DIR}/${source} -o ${object}.o
    COMMAND ${VIADUCT_BPFTOOL} gen object ${object}.bpf.o ${object}.o
    COMMAND ${VIADUCT_BPFTOOL} gen skeleton ${object}.bpf.o name ${skeleton} > ${object}.skel.h
    DEPENDS ${source}
    DEPFILE ${object}.d
    COMMENT "Building the kernel program ${skeleton}"
    VERBATIM COMMAND_EXPAND_LISTS)
  add_custom_target(${target}_skeleton DEPENDS ${object}.skel.h)
  add_library(${target} INTERFACE)
  add_dependencies(${target} ${target}_skeleton)
  target_include_directories(${target} SYSTEM INTERFACE ${dir})
  target_link_libraries(${target} INTERFACE PkgConfig::BPF)
endfunction()
