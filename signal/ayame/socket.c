/* The sockets of Ayame clients. */
#include <string.h>

#include "base/err.h"
#include "signal/ayame/edge.h"
#include "signal/deliver/deliver.h"
#include "signal/frames.h"

struct ayame_socket {
  struct frames frames;
  struct ayame_link *link;
};

static void on_take(struct conn *c, struct bytes text)
{
  struct ayame_socket *p = c->state;
  ayame_input(c->s->ayame, p->link, text, signald_now_ms(c->s));
}

static bool on_next(struct conn *c, struct frames_out *out)
{
  struct ayame_socket *p = c->state;
  out->head = (struct bytes){0};
  return ayame_next(c->s->ayame, p->link, &out->body);
}

static void on_gone(struct conn *c)
{
  struct ayame_socket *p = c->state;
  ayame_gone(c->s->ayame, p->link, signald_now_ms(c->s));
}

static void on_free(struct conn *c)
{
  mem_free(&c->s->mem, c->state, sizeof(struct ayame_socket));
}

static const struct frames_protocol protocol = {
    .take = on_take, .next = on_next, .gone = on_gone, .free = on_free, .takes_binary = true};

bool ayame_is_at(const struct signald_config *config, const char *path)
{
  struct bytes own = config->ayame_path; /* without a slash behind it */
  return own.at && strncmp(path, (const char *)own.at, own.len) == 0 &&
         (path[own.len] == 0 || strcmp(path + own.len, "/") == 0);
}

int ayame_handle(struct conn *c, const struct http_request *r)
{
  return frames_handle(c, r, "this is the WebSocket of Ayame clients\n");
}

int ayame_upgrade(struct conn *c, const struct http_request *r)
{
  const struct signald_config *config = c->s->config;
  if (frames_check_upgrade(c, r) != 0)
    return -1;
  if (frames_check_new(c, r) != 0)
    return -1;
  if (!sig_origin_is_allowed(config->ayame_origin, config->ayame_origin_count, bytes_of(r->origin),
                             bytes_of(r->host)))
    return frames_refuse_upgrade(c, r, SIG_ERROR_FORBIDDEN,
                                 "pages of this origin may not connect here (ayame-origin)", 0);
  struct ayame_socket *p = mem_new(&c->s->mem, sizeof *p);
  int err = p ? ayame_open(c->s->ayame, &c->client, c, signald_now_ms(c->s), &p->link) : -ERR_NOMEM;
  if (err) {
    mem_free(&c->s->mem, p, sizeof *p);
    struct deliver_refusal why = deliver_refusal(err);
    return frames_refuse_upgrade(c, r, why.error, why.message, why.retry_s);
  }
  frames_begin(c, &p->frames, &protocol);
  return 0;
}

int ayame_start(struct signald *s)
{
  const struct ayame_setup setup = {
      .config = &s->config->ayame,
      .effects = &s->effects,
      .mem = &s->mem,
      .random = &s->random.random,
      .log = s->log,
      .sig = s->core,
      .now_ms = signald_now_ms(s),
  };
  return ayame_new(&setup, &s->ayame);
}
