# The warnings of every target, and the sanitizers of the presets.
add_compile_options(
  -Wall -Wextra -Wshadow -Wconversion -Wvla -Wstrict-prototypes -Wmissing-prototypes -Wcast-align -Wundef
  -Wswitch-enum -Wformat=2 -Wpointer-arith -Wwrite-strings)
add_compile_definitions(_GNU_SOURCE)
if(VIADUCT_WERROR)
  add_compile_options(-Werror)
endif()
if(VIADUCT_SANITIZE)
  add_compile_options(-fsanitize=${VIADUCT_SANITIZE} -fno-omit-frame-pointer -fno-sanitize-recover=all)
  add_link_options(-fsanitize=${VIADUCT_SANITIZE})
endif()
if(VIADUCT_FUZZ)
  add_compile_options(-fsanitize=fuzzer-no-link)
endif()
