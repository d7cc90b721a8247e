/* A queue with bounds; see events.h. */
#include "signal/backend/events.h"

#include <string.h>

#include "base/json.h"
#include "signal/core/admin.h"

enum { HEAD_SIZE = 96 /* of an entry: braces, seq, at */ };

struct entry {
  struct list link;
  uint64_t seq;
  size_t len, cap; /* of text */
  uint8_t text[];
};

void events_init(struct events *e, struct mem *mem, size_t max_count, size_t max_bytes)
{
  *e = (struct events){.mem = mem, .max_count = max_count, .max_bytes = max_bytes};
  list_init(&e->list);
}

static void entry_free(struct events *e, struct entry *entry)
{
  list_remove(&entry->link);
  e->count--;
  e->bytes -= entry->cap;
  mem_free(e->mem, entry, sizeof *entry + entry->cap);
}

static struct entry *first(const struct events *e)
{
  return list_is_empty(&e->list) ? NULL : CONTAINER_OF(e->list.next, struct entry, link);
}

void events_fini(struct events *e)
{
  for (struct entry *entry = first(e); entry; entry = first(e))
    entry_free(e, entry);
}

/* Room for an event with `len` bytes of its own, behind its seq and time; NULL: none. */
static struct entry *entry_new(struct events *e, uint64_t at_ms, size_t len, struct buf *b)
{
  size_t cap = HEAD_SIZE + len;
  if (e->count >= e->max_count || e->bytes + cap > e->max_bytes)
    return NULL;
  struct entry *entry = mem_new(e->mem, sizeof *entry + cap);
  if (!entry)
    return NULL;
  entry->cap = cap;
  entry->seq = ++e->seq;
  buf_init(b, entry->text, cap);
  buf_put_text(b, "{\"seq\":");
  buf_put_uint(b, entry->seq);
  buf_put_text(b, ",\"at\":");
  buf_put_uint(b, at_ms);
  buf_put_text(b, ",");
  return entry;
}

static void entry_attach(struct events *e, struct entry *entry, struct buf *b)
{
  buf_put_text(b, "}");
  entry->len = b->len;
  list_push_back(&e->list, &entry->link);
  e->count++;
  e->bytes += entry->cap;
}

/* Before anything else that comes after the gap. Whether there is none any more. */
static bool tell_of_gap(struct events *e, uint64_t at_ms)
{
  struct buf b;
  if (e->untold == 0)
    return true;
  struct entry *entry = entry_new(e, at_ms, HEAD_SIZE, &b);
  if (!entry)
    return false;
  buf_put_text(&b, "\"type\":\"events-dropped\",\"count\":");
  buf_put_uint(&b, e->untold);
  e->untold = 0;
  entry_attach(e, entry, &b);
  return true;
}

static void drop(struct events *e)
{
  e->seq++;
  e->untold++;
  e->dropped++;
}

void events_add(struct events *e, uint64_t at_ms, struct bytes app, const struct sig_event *event)
{
  struct buf b;
  size_t size = sig_event_size(event) + HEAD_SIZE + 6 * app.len;
  struct entry *entry = tell_of_gap(e, at_ms) ? entry_new(e, at_ms, size, &b) : NULL;
  if (!entry) {
    drop(e);
    return;
  }
  if (app.len > 0) {
    buf_put_text(&b, "\"app\":");
    json_put_string(&b, app);
    buf_put_text(&b, ",");
  }
  sig_event_put(event, &b);
  entry_attach(e, entry, &b);
}

void events_add_own(struct events *e, uint64_t at_ms, const char *type, struct bytes node)
{
  struct buf b;
  struct entry *entry = tell_of_gap(e, at_ms)
                            ? entry_new(e, at_ms, HEAD_SIZE + strlen(type) + 6 * node.len, &b)
                            : NULL;
  if (!entry) {
    drop(e);
    return;
  }
  buf_put_text(&b, "\"type\":\"");
  buf_put_text(&b, type);
  buf_put_text(&b, "\",\"node\":");
  json_put_string(&b, node);
  entry_attach(e, entry, &b);
}

size_t events_batch(const struct events *e, size_t max_count, size_t max_bytes, uint64_t *seq)
{
  size_t count = 0, bytes = 0;
  for (const struct list *l = e->list.next; l != &e->list && count < max_count; l = l->next) {
    const struct entry *entry = CONTAINER_OF(l, struct entry, link);
    bytes += entry->len + 1;
    if (count > 0 && bytes > max_bytes)
      break;
    if (count++ == 0)
      *seq = entry->seq;
  }
  return count;
}

uint8_t *events_body(const struct events *e, size_t count, size_t *size, size_t *len)
{
  const struct list *l = e->list.next;
  *size = 2;
  for (size_t i = 0; i < count; i++, l = l->next)
    *size += CONTAINER_OF(l, struct entry, link)->len + 1;
  uint8_t *body = mem_new(e->mem, *size);
  struct buf b;
  if (!body)
    return NULL;
  buf_init(&b, body, *size);
  l = e->list.next;
  for (size_t i = 0; i < count; i++, l = l->next) {
    const struct entry *entry = CONTAINER_OF(l, struct entry, link);
    buf_put_byte(&b, i == 0 ? '[' : ',');
    buf_put(&b, entry->text, entry->len);
  }
  buf_put_byte(&b, ']');
  *len = b.len;
  return body;
}

void events_take(struct events *e, size_t count, uint64_t at_ms, bool is_lost)
{
  for (size_t i = 0; i < count && e->count > 0; i++) {
    e->untold += is_lost;
    e->dropped += is_lost;
    entry_free(e, first(e));
  }
  (void)tell_of_gap(e, at_ms);
}
