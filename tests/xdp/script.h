/* Vectors for the kernel program and the core, as text:
 *
 *   # A sentence about what follows.
 *   the client's ChannelData over IPv4       a line that begins at its first column: the name
 *     from a4 to s4                          places.c says who is where
 *     payload 40 00 00 04 61*4               bytes, or one byte many times
 *     with options trailer=6                 what else is about the frame (optional)
 *     limit full                             the bucket of both is (optional)
 *     kernel pass up_length                  tx, redirect, drop, or pass and the reason that counts
 *     core peer                              peer, client, reply, nothing; unseen: its datagram
 * does not get that far
 */
#ifndef VIADUCT_TESTS_XDP_SCRIPT_H
#define VIADUCT_TESTS_XDP_SCRIPT_H

#include <stdio.h>

#include "tests/xdp/rig.h"

enum script_core { CORE_PEER, CORE_CLIENT, CORE_REPLY, CORE_NOTHING, CORE_UNSEEN };

enum { SCRIPT_PAYLOAD = 2000, SCRIPT_NAME = 160 };

struct script_vector {
  char name[SCRIPT_NAME];
  int line;
  struct frame_plan plan;
  uint8_t payload[SCRIPT_PAYLOAD];
  bool limit_full;
  uint32_t kernel;    /* enum xdp_action */
  enum xdp_stat stat; /* XDP_STAT_COUNT: none */
  enum script_core core;
};

/* 1: a vector; 0: the end; -1: a line that is none, and stderr names it. `*line` is 0 at first. */
int script_next(FILE *f, const struct rig *r, const char *path, int *line,
                struct script_vector *out);

#endif
