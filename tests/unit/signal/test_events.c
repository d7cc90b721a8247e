/* The queue of events for the backend: its bounds, and that a gap is told of in its place. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "base/json.h"
#include "signal/backend/events.h"
#include "tests/support/failing_mem.h"

enum { AT_MS = 1234 };

static void add(struct events *e, const char *room)
{
  const struct sig_event event = {
      .type = SIG_EVENT_ROOM_CREATED, .room = bytes_of(room), .members = 1};
  events_add(e, AT_MS, bytes_of("shop"), &event);
}

/* The types of what waits and their seqs, as "room-created 1 events-dropped(2) 4". */
static const char *shown(const struct events *e)
{
  static char text[512];
  size_t size, len, at = 0;
  json_t *tree;
  uint8_t *body = events_body(e, e->count, &size, &len);
  if (!body)
    return "no memory";
  assert_true(len <= size);
  assert_int_equal(json_read((struct bytes){body, len}, 8, &tree), 0);
  for (size_t i = 0; i < json_array_size(tree); i++) {
    const json_t *event = json_array_get(tree, i), *count = json_object_get(event, "count");
    assert_int_equal(json_integer_value(json_object_get(event, "at")), AT_MS);
    at += (size_t)snprintf(text + at, sizeof text - at, "%s%s", i ? " " : "",
                           json_string_value(json_object_get(event, "type")));
    const char *app = json_string_value(json_object_get(event, "app"));
    assert_true(json_object_get(event, "room") == NULL || (app && strcmp(app, "shop") == 0));
    if (count)
      at += (size_t)snprintf(text + at, sizeof text - at, "(%d)", (int)json_integer_value(count));
    at += (size_t)snprintf(text + at, sizeof text - at, " %d",
                           (int)json_integer_value(json_object_get(event, "seq")));
  }
  json_decref(tree);
  mem_free(e->mem, body, size);
  text[at] = 0;
  return text;
}

static void in_order(void **state)
{
  struct failing_mem memory;
  struct events e;
  uint64_t seq = 0;
  (void)state;
  failing_mem_init(&memory);
  events_init(&e, &memory.mem, 10, 1 << 16);
  assert_int_equal(events_batch(&e, 10, 1000, &seq), 0);
  events_add_own(&e, AT_MS, "server-started", bytes_of("n\"\n"));
  add(&e, "\"a\"");
  add(&e, "\"b\"");
  assert_string_equal(shown(&e), "server-started 1 room-created 2 room-created 3");
  assert_int_equal(events_batch(&e, 2, 1000, &seq), 2);
  assert_int_equal(seq, 1);
  /* One at least, however long. */
  assert_int_equal(events_batch(&e, 10, 1, &seq), 1);
  events_take(&e, 2, AT_MS, false);
  assert_int_equal(events_batch(&e, 10, 1000, &seq), 1);
  assert_int_equal(seq, 3);
  events_fini(&e);
  assert_int_equal(memory.blocks, 0);
}

static void a_gap(void **state)
{
  struct failing_mem memory;
  struct events e;
  (void)state;
  failing_mem_init(&memory);
  events_init(&e, &memory.mem, 3, 1 << 16);
  for (int i = 0; i < 5; i++)
    add(&e, "\"a\"");
  assert_int_equal(e.dropped, 2);
  events_take(&e, 1, AT_MS, false);
  assert_string_equal(shown(&e), "room-created 2 room-created 3 events-dropped(2) 6");
  add(&e, "\"b\"");
  assert_int_equal(e.dropped, 3);
  events_take(&e, 2, AT_MS, false);
  add(&e, "\"c\"");
  assert_string_equal(shown(&e), "events-dropped(2) 6 events-dropped(1) 8 room-created 9");
  events_fini(&e);
  assert_int_equal(memory.blocks, 0);
}

static void what_is_given_up_is_a_gap(void **state)
{
  struct failing_mem memory;
  struct events e;
  (void)state;
  failing_mem_init(&memory);
  events_init(&e, &memory.mem, 10, 1 << 16);
  for (int i = 0; i < 3; i++)
    add(&e, "\"a\"");
  events_take(&e, 2, AT_MS, true);
  assert_string_equal(shown(&e), "room-created 3 events-dropped(2) 4");
  assert_int_equal(e.dropped, 2);
  events_take(&e, 100, AT_MS, false);
  assert_int_equal(e.count, 0);
  assert_int_equal(e.bytes, 0);
  events_fini(&e);
  assert_int_equal(memory.blocks, 0);
}

static void bytes_are_bounded(void **state)
{
  struct failing_mem memory;
  struct events e;
  (void)state;
  failing_mem_init(&memory);
  events_init(&e, &memory.mem, 1000, 1000);
  for (int i = 0; i < 100; i++)
    add(&e, "\"a\"");
  assert_true(e.bytes <= 1000 && e.count < 10 && e.dropped > 90);
  assert_true(e.count + e.dropped == 100);
  events_fini(&e);
  assert_int_equal(memory.blocks, 0);
}

int main(void)
{
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(in_order),
      cmocka_unit_test(a_gap),
      cmocka_unit_test(what_is_given_up_is_a_gap),
      cmocka_unit_test(bytes_are_bounded),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
