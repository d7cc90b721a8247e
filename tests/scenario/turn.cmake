# The relay: turn/README.md has the language of the files, turn_runner.c runs them.
add_library(viaduct_test_turn_world STATIC ../support/turn_world.c ../support/turn_aead.c ../support/turn_lookup.c ../support/turn_fast.c ../support/turn_inside.c ../support/turn_client.c)
target_link_libraries(viaduct_test_turn_world PUBLIC viaduct_turn_core viaduct_test_support)

add_executable(turn_runner turn_runner.c turn_variant.c turn_words.c turn_config.c turn_send.c turn_expect.c turn_peers.c turn_inside.c turn_places.c turn_token.c)
set_target_properties(turn_runner PROPERTIES RUNTIME_OUTPUT_DIRECTORY ${CMAKE_BINARY_DIR}/tests)
target_link_libraries(turn_runner PRIVATE viaduct_test_turn_world)

file(GLOB turn_scenarios CONFIGURE_DEPENDS ${CMAKE_CURRENT_SOURCE_DIR}/turn/*.scn)
foreach(scenario ${turn_scenarios})
  get_filename_component(name ${scenario} NAME_WE)
  viaduct_add_test(turn-${name} scenario 60 turn_runner ${scenario})
endforeach()

# The runner has to see what is wrong, and to say it as the first line of the file does.
file(GLOB turn_broken CONFIGURE_DEPENDS ${CMAKE_CURRENT_SOURCE_DIR}/turn/broken/*.scn)
foreach(scenario ${turn_broken})
  get_filename_component(name ${scenario} NAME_WE)
  file(STRINGS ${scenario} message LIMIT_COUNT 1)
  string(REGEX REPLACE "^# " "" message "${message}")
  viaduct_add_test(turn-broken-${name} scenario 60 turn_runner ${scenario})
  set_tests_properties(${VIADUCT_TEST_PREFIX}scenario/turn-broken-${name} PROPERTIES PASS_REGULAR_EXPRESSION "${message}")
endforeach()
