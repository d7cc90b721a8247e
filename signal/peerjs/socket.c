/* The sockets of PeerJS clients: what their URL says goes into the core, then messages. */
#include "base/err.h"
#include "signal/deliver/deliver.h"
#include "signal/frames.h"
#include "signal/peerjs/edge.h"

enum { QUERY_SIZE = 512 };

struct peer_socket {
  struct frames frames;
  struct peerjs_link *link;
};

static void on_take(struct conn *c, struct bytes text)
{
  struct peer_socket *p = c->state;
  peerjs_input(c->s->peerjs, p->link, text, signald_now_ms(c->s));
}

static bool on_next(struct conn *c, struct frames_out *out)
{
  struct peer_socket *p = c->state;
  out->head = (struct bytes){0};
  return peerjs_next(c->s->peerjs, p->link, &out->body);
}

static void on_gone(struct conn *c)
{
  struct peer_socket *p = c->state;
  peerjs_gone(c->s->peerjs, p->link, signald_now_ms(c->s));
}

static void on_free(struct conn *c)
{
  mem_free(&c->s->mem, c->state, sizeof(struct peer_socket));
}

static const struct frames_protocol protocol = {
    .take = on_take, .next = on_next, .gone = on_gone, .free = on_free, .takes_binary = true};

int peerjs_socket(struct conn *c, const struct http_request *r)
{
  return frames_handle(c, r, "this is the WebSocket of PeerJS clients\n");
}

static int open_link(struct conn *c, struct peerjs_link **out)
{
  char id[QUERY_SIZE], token[QUERY_SIZE], key[QUERY_SIZE];
  struct peerjs_hello hello = {.client = c->client, .edge = c};
  hello.is_too_long = !deliver_query(c->wsi, "id=", id, sizeof id, &hello.id) ||
                      !deliver_query(c->wsi, "token=", token, sizeof token, &hello.token) ||
                      !deliver_query(c->wsi, "key=", key, sizeof key, &hello.key);
  int err = peerjs_open(c->s->peerjs, &hello, signald_now_ms(c->s), out);
  bytes_wipe(token, sizeof token);
  return err;
}

int peerjs_upgrade(struct conn *c, const struct http_request *r)
{
  if (frames_check_upgrade(c, r) != 0)
    return -1;
  if (frames_check_new(c, r) != 0)
    return -1;
  if (!peerjs_origin_is_allowed(c->s->config, r->origin, r->host))
    return frames_refuse_upgrade(c, r, SIG_ERROR_FORBIDDEN,
                                 "pages of this origin may not connect here", 0);
  struct peer_socket *p = mem_new(&c->s->mem, sizeof *p);
  int err = p ? open_link(c, &p->link) : -ERR_NOMEM;
  if (err) {
    mem_free(&c->s->mem, p, sizeof *p);
    struct deliver_refusal why = deliver_refusal(err);
    return frames_refuse_upgrade(c, r, why.error, why.message, why.retry_s);
  }
  frames_begin(c, &p->frames, &protocol);
  return 0;
}

int peerjs_start(struct signald *s)
{
  const struct peerjs_setup setup = {
      .config = &s->config->peerjs,
      .effects = &s->effects,
      .mem = &s->mem,
      .random = &s->random.random,
      .log = s->log,
      .sig = s->core,
      .now_ms = signald_now_ms(s),
  };
  return peerjs_new(&setup, &s->peerjs);
}
