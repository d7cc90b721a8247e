/* Payloads between the allocations of two workers of one server. */
#include "tests/scenario/turn_script.h"

/* INSIDE RELAYED -> RELAYED "payload": the first address is of another worker's allocation. */
void script_inside(struct script *s, const struct word *w, size_t count)
{
  struct addr from, relayed;
  uint8_t payload[SCRIPT_MESSAGE];
  size_t len;
  if (count != 4 || !word_is(&w[1], "->") || !script_payload(s, &w[3], payload, &len))
    script_fail(s, "INSIDE ADDRESS -> ADDRESS \"payload\"");
  if (script_addr(s, w[0].at, &from) && script_addr(s, w[2].at, &relayed))
    world_inside_input(&s->world, &relayed, &from, payload, len);
}

/* EXPECT worker SHARE RELAYED from RELAYED "payload" */
void script_expect_worker(struct script *s, const struct word *w, size_t count)
{
  char text[200];
  uint8_t payload[SCRIPT_MESSAGE];
  size_t len;
  const struct world_output *o = world_next(&s->world);
  if (count != 5 || !word_is(&w[2], "from") || !script_payload(s, &w[4], payload, &len))
    script_fail(s, "EXPECT worker SHARE ADDRESS from ADDRESS \"payload\"");
  if (!o || o->kind != WORLD_INSIDE)
    script_fail(s, "no worker got anything, but %s", o ? script_describe(o, text) : "nothing");
  if (o->share != script_uint(s, w[0].at))
    script_fail(s, "another worker: %u", (unsigned)o->share);
  script_check_addr(s, "the relayed address", w[1].at, &o->peer);
  script_check_addr(s, "where it comes from", w[3].at, &o->relay);
  if (!bytes_equal((struct bytes){o->at, o->len}, (struct bytes){payload, len}))
    script_fail(s, "another payload, of %zu bytes", o->len);
}
