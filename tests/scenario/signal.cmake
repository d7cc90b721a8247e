# Signalling: signal/README.md has the language of the files, signal_runner.c runs them.
if(TARGET viaduct_signal_core)
  add_library(viaduct_test_signal_world STATIC ../support/signal_world.c)
  target_link_libraries(viaduct_test_signal_world PUBLIC viaduct_signal_core viaduct_test_support)

  # PeerJS has its unit tests and its fuzz target: what it does is short enough to say there.
  add_library(viaduct_test_peerjs_world STATIC ../support/peerjs_world.c)
  target_link_libraries(viaduct_test_peerjs_world PUBLIC viaduct_peerjs_core viaduct_test_support)

  add_executable(signal_runner signal_runner.c signal_words.c signal_events.c signal_match.c signal_admin.c signal_ask.c)
  set_target_properties(signal_runner PROPERTIES RUNTIME_OUTPUT_DIRECTORY ${CMAKE_BINARY_DIR}/tests)
  target_link_libraries(signal_runner PRIVATE viaduct_test_signal_world)

  file(GLOB signal_scenarios CONFIGURE_DEPENDS ${CMAKE_CURRENT_SOURCE_DIR}/signal/*.scn)
  foreach(scenario ${signal_scenarios})
    get_filename_component(name ${scenario} NAME_WE)
    viaduct_add_test(signal-${name} scenario 60 signal_runner ${scenario})
  endforeach()

  # The runner has to see what is wrong.
  file(GLOB signal_broken CONFIGURE_DEPENDS ${CMAKE_CURRENT_SOURCE_DIR}/signal/broken/*.scn)
  foreach(scenario ${signal_broken})
    get_filename_component(name ${scenario} NAME_WE)
    viaduct_add_test(signal-broken-${name} scenario 60 signal_runner --must-fail ${scenario})
  endforeach()
endif()
