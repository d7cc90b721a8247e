/* Each worker writes into its own part, and nobody reads one before all have said so. */
#include "turn/query.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/json.h"

enum { WAIT_S = 5 };

struct turnd_query *turnd_query_new(enum turnd_query_kind kind, size_t workers, size_t room)
{
  struct turnd_query *q = calloc(1, sizeof(*q) + workers * sizeof(q->part[0]));
  if (q == NULL)
    return NULL;
  q->kind = kind;
  atomic_init(&q->references, 1);
  if (sem_init(&q->answered, 0, 0) != 0) {
    free(q);
    return NULL;
  }
  for (; q->part_count < workers; q->part_count++) {
    uint8_t *storage = room > 0 ? malloc(room) : NULL;
    if (room > 0 && storage == NULL) {
      turnd_query_leave(q);
      return NULL;
    }
    buf_init(&q->part[q->part_count].lines, storage, room);
  }
  return q;
}

void turnd_query_leave(struct turnd_query *q)
{
  if (atomic_fetch_sub(&q->references, 1) != 1)
    return;
  for (size_t i = 0; i < q->part_count; i++)
    free(q->part[i].lines.at);
  sem_destroy(&q->answered);
  free(q);
}

/* ---- a session as a line ---- */

static void put_key(struct buf *out, const char *name)
{
  buf_put_text(out, out->len > 0 && out->at[out->len - 1] == '{' ? "\"" : ",\"");
  buf_put_text(out, name);
  buf_put_text(out, "\":");
}

static void put_number(struct buf *out, const char *name, uint64_t value)
{
  put_key(out, name);
  buf_put_uint(out, value);
}

static void put_addr(struct buf *out, const struct addr *a)
{
  char text[ADDR_TEXT_SIZE];
  json_put_string(out, bytes_of(addr_format(a, text)));
}

static void put_session(struct buf *out, const struct turn_session *s)
{
  static const char *const transport[TURN_TRANSPORT_COUNT] = {"udp", "tcp", "tls", "dtls"};
  bool second = false;
  buf_put_byte(out, '{');
  put_number(out, "id", s->id);
  put_key(out, "user");
  json_put_string(out, s->username);
  put_key(out, "client");
  put_addr(out, &s->flow->client);
  put_key(out, "server");
  put_addr(out, &s->flow->server);
  put_key(out, "transport");
  json_put_string(out, bytes_of(transport[s->flow->transport]));
  put_key(out, "relayed");
  buf_put_byte(out, '[');
  for (size_t i = 0; i < 2; i++) {
    if (s->relayed[i] == NULL)
      continue;
    if (second)
      buf_put_byte(out, ',');
    put_addr(out, s->relayed[i]);
    second = true;
  }
  buf_put_byte(out, ']');
  put_number(out, "age_s", s->age_ms / 1000);
  put_number(out, "left_s", s->left_ms / 1000);
  put_number(out, "from_client_packets", s->from_client_packets);
  put_number(out, "from_client_bytes", s->from_client_bytes);
  put_number(out, "from_peer_packets", s->from_peer_packets);
  put_number(out, "from_peer_bytes", s->from_peer_bytes);
  put_number(out, "permissions", s->permissions);
  put_number(out, "channels", s->channels);
  buf_put_text(out, "}\n");
}

struct showing {
  struct turnd_query_part *part;
  size_t most;
};

/* A line that finds no room is not begun. */
static bool show(void *arg, const struct turn_session *s)
{
  const struct showing *showing = arg;
  struct buf *out = &showing->part->lines;
  size_t before = out->len;
  if (showing->part->shown == showing->most)
    return false;
  put_session(out, s);
  if (out->overflow) {
    out->len = before;
    out->overflow = false;
    return false;
  }
  showing->part->shown++;
  return true;
}

/* ---- in a worker, and for whoever waits ---- */

void turnd_query_answer(struct turnd_query *q, size_t index, struct turn *t, uint64_t now_ms)
{
  struct showing showing = {&q->part[index], q->most};
  if (q->kind == TURND_QUERY_SHOW)
    turn_show_sessions(t, now_ms, show, &showing);
  else
    q->part[index].ended = turn_end_sessions(t, q->id, (struct bytes){q->user, q->user_len});
  atomic_fetch_add_explicit(&q->done, 1, memory_order_release);
  (void)sem_post(&q->answered);
  turnd_query_leave(q);
}

bool turnd_query_wait(struct turnd_query *q, size_t asked)
{
  struct timespec until;
  clock_gettime(CLOCK_MONOTONIC, &until);
  until.tv_sec += WAIT_S;
  for (size_t i = 0; i < asked; i++)
    while (sem_clockwait(&q->answered, CLOCK_MONOTONIC, &until) != 0)
      if (errno != EINTR)
        return false;
  return atomic_load_explicit(&q->done, memory_order_acquire) >= asked;
}
