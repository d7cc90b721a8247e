/* The body of a request, put together piece by piece and handed on when it is whole: never more
 * than the head said, and never more of all requests together than SIGNALD_BODIES_SIZE. Called by
 * http.c and gateway.c. */
#include <string.h>

#include "base/err.h"
#include "signal/http.h"

struct upload {
  struct http_request request;
  http_take_fn take;
  uint64_t expected; /* taken from the address's budget */
  uint8_t *at;
  size_t len, cap;
  char *bearer; /* owned, NUL-terminated; NULL: none. libwebsockets may let go of the head */
  size_t bearer_size;
};

static void upload_free(struct conn *c, struct upload *u)
{
  struct mem *mem = &c->s->mem;
  c->s->bodies_len -= u->cap;
  budget_give(c, u->expected);
  mem_free(mem, u->at, u->cap);
  if (u->bearer)
    bytes_wipe(u->bearer, u->bearer_size);
  mem_free(mem, u->bearer, u->bearer_size);
  mem_free(mem, u, sizeof *u);
}

static void on_end(struct conn *c)
{
  upload_free(c, c->state);
}

static int on_writable(struct conn *c)
{
  (void)c;
  return 0;
}

static const struct conn_task task = {.writable = on_writable, .end = on_end};

static bool keep_bearer(struct conn *c, struct upload *u)
{
  char text[SIG_TOKEN_SIZE];
  struct bytes bearer = http_bearer(c->wsi, text, sizeof text);
  if (bearer.len > 0) {
    u->bearer_size = bearer.len + 1;
    u->bearer = mem_new(&c->s->mem, u->bearer_size);
    if (u->bearer)
      memcpy(u->bearer, bearer.at, u->bearer_size);
  }
  bytes_wipe(text, sizeof text);
  return bearer.len == 0 || u->bearer;
}

static int refuse(struct conn *c, const struct http_request *r, const char *why)
{
  c->close_after = true;
  return http_send_error(c, r, SIG_ERROR_SERVER_FULL, why, 1);
}

int body_begin(struct conn *c, const struct http_request *r, uint64_t length, http_take_fn take)
{
  int err = budget_take(c, length);
  if (err == -ERR_FULL) {
    c->s->counters.bodies_refused_address++;
    return refuse(
        c, r, "more bodies of your address are on their way than it may have; one after the other");
  }
  struct upload *u = err ? NULL : mem_new(&c->s->mem, sizeof *u);
  if (u)
    *u = (struct upload){.request = *r, .take = take, .expected = length};
  if (!u || !keep_bearer(c, u)) {
    mem_free(&c->s->mem, u, sizeof *u);
    if (!err)
      budget_give(c, length);
    return refuse(c, r, "the server is out of memory");
  }
  u->request.has_body = false; /* it is read */
  c->close_after = false;
  c->state = u;
  c->task = &task;
  if (length == 0)
    return body_end(c);
  conn_deadline(c, c->s->config->body_ms);
  signald_settle(c->s);
  return 0;
}

static bool make_room(struct conn *c, struct upload *u, size_t need)
{
  size_t cap = need * 2 < u->expected ? need * 2 : (size_t)u->expected;
  if (need <= u->cap)
    return true;
  if (c->s->bodies_len - u->cap + cap > SIGNALD_BODIES_SIZE)
    return false;
  uint8_t *at = mem_resize(&c->s->mem, u->at, u->cap, cap);
  if (!at)
    return false;
  c->s->bodies_len += cap - u->cap;
  u->at = at;
  u->cap = cap;
  return true;
}

int body_piece(struct conn *c, struct bytes piece)
{
  struct upload *u = c->task == &task ? c->state : NULL;
  if (!u || piece.len > u->expected - u->len)
    return -1; /* http.c lets libwebsockets discard what nobody reads */
  if (piece.len == 0)
    return 0;
  if (!make_room(c, u, u->len + piece.len)) {
    struct http_request r = u->request;
    c->s->counters.bodies_refused++;
    conn_end_task(c);
    return refuse(c, &r, "the server has no room for more bodies at the moment");
  }
  memcpy(u->at + u->len, piece.at, piece.len);
  u->len += piece.len;
  return 0;
}

int body_end(struct conn *c)
{
  struct upload *u = c->task == &task ? c->state : NULL;
  if (!u)
    return 0;
  if (u->len != u->expected)
    return -1;
  c->task = NULL;
  c->state = NULL;
  conn_deadline(c, SIGNALD_IDLE_MS);
  struct bytes bearer = {(uint8_t *)u->bearer, u->bearer ? u->bearer_size - 1 : 0};
  int result = u->take(c, &u->request, bearer, (struct bytes){u->at, u->len});
  upload_free(c, u);
  return result;
}
