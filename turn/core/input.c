/* The door for clients: tells STUN from ChannelData, and walks a request through authentication,
 * unknown attributes, the allocation of its 5-tuple and its handler, to its reply. */
#include <string.h>

#include "base/err.h"
#include "stun/core/bare.h"
#include "stun/core/respond.h"
#include "turn/core/internal.h"

/* Comprehension-required attributes of attr.def that belong to what is not offered here (RFC 5780;
 * RFC 7635 unless it is turned on): unknown as far as a client may tell. */
static const enum stun_attr not_offered[] = {
    STUN_ATTR_CHANGE_REQUEST, STUN_ATTR_PADDING,        STUN_ATTR_RESPONSE_PORT,
    STUN_ATTR_ACCESS_TOKEN,   STUN_ATTR_SOURCE_ADDRESS, STUN_ATTR_CHANGED_ADDRESS,
};

static bool has_unknown(const struct turn_config *c, struct stun_view *v)
{
  for (size_t i = 0; i < sizeof(not_offered) / sizeof(not_offered[0]); i++)
    if (stun_has(v, not_offered[i]) && v->unknown_count < STUN_UNKNOWN_MAX &&
        !(c->oauth && not_offered[i] == STUN_ATTR_ACCESS_TOKEN))
      v->unknown[v->unknown_count++] = stun_attr_row(not_offered[i])->code;
  return v->unknown_count > 0;
}

bool turn__is_owner(const struct turn_request *rq, const struct turn_allocation *a)
{
  if (!rq->t->config->auth_required)
    return true;
  if (!a->domain || !turn__domain_is(a->domain, rq->realm) ||
      (a->key.algorithm == TURN__TOKEN) != (rq->key.algorithm == TURN__TOKEN))
    return false;
  /* Whose token is good: its USERNAME names a key that all clients share, and that changes. */
  if (rq->key.algorithm == TURN__TOKEN && stun_has(rq->view, STUN_ATTR_ACCESS_TOKEN))
    return true;
  return bytes_equal((struct bytes){a->username, a->username_len}, rq->username);
}

static int handle_owned(struct turn_request *rq)
{
  switch (rq->view->method) {
  case STUN_REFRESH:
    return turn__refresh(rq);
  case STUN_CREATE_PERMISSION:
    return turn__create_permission(rq);
  case STUN_CHANNEL_BIND:
    return turn__channel_bind(rq);
  case STUN_CONNECT:
    return turn__connect(rq);
  default:
    return -ERR_DROP;
  }
}

static bool is_signed(const struct stun_view *v)
{
  return stun_has(v, STUN_ATTR_MESSAGE_INTEGRITY) ||
         stun_has(v, STUN_ATTR_MESSAGE_INTEGRITY_SHA256);
}

/* What comes before the allocation of a 5-tuple counts. */
static int admit(struct turn_request *rq)
{
  const bool allocate = rq->view->method == STUN_ALLOCATE;
  /* "The error response message MAY be authenticated; however, there are use cases for
   * ALTERNATE-SERVER where authentication of the response is not possible or practical" (RFC 8489
   * section 10): who signs nothing is sent on at once, as coturn does, so that a server which only
   * redirects needs no users. */
  if (allocate && !is_signed(rq->view) && turn__redirect(rq))
    return 300;
  const int code = turn__auth(rq);
  if (code)
    return code;
  /* "Once the authentication checks are done, the server checks for unknown attributes" (RFC 8489
   * 6.3). */
  if (has_unknown(rq->t->config, rq->view))
    return 420;
  /* "At any point, the server MAY choose to reject the request with a 300 (Try Alternate) error if
   * it wishes to redirect the client to a different server" (RFC 8656 7.2). */
  return allocate ? turn__redirect(rq) : 0;
}

static int handle(struct turn_request *rq)
{
  const int code = admit(rq);
  if (code)
    return code;
  if (rq->view->method == STUN_BINDING) {
    rq->answer.mapped = true;
    return 0;
  }
  if (rq->view->method == STUN_ALLOCATE)
    return turn__allocate(rq);
  if (rq->view->method == STUN_CONNECTION_BIND)
    return turn__connection_bind(rq);
  if (rq->view->method == STUN_REFRESH && !rq->moving && turn__deleted_has(rq)) {
    rq->answer.has_lifetime = true; /* of 0, as the first time */
    return 0;
  }
  /* With a ticket it is not the 5-tuple that tells the allocation (RFC 8016 3.2.2). */
  if (turn__mobility_is_asked(rq))
    return turn__mobility_refresh(rq);
  /* "For all TURN messages (including ChannelData) EXCEPT an Allocate request, if the 5-tuple does
   * not identify an existing allocation, then the message MUST either be rejected with a 437
   * Allocation Mismatch error (if it is a request) or be silently ignored" (RFC 8656 section 5). */
  if (!rq->allocation)
    return 437;
  /* "the request does not use the same username as used to create the allocation, then the request
   * MUST be rejected with a 441 (Wrong Credentials) error"; of one name in two realms too. */
  if (!turn__is_owner(rq, rq->allocation))
    return 441;
  if (rq->authentic)
    turn__mobility_link(rq->allocation, rq->flow);
  return handle_owned(rq);
}

static bool is_known_request(uint16_t method)
{
  return method == STUN_BINDING || method == STUN_ALLOCATE || method == STUN_REFRESH ||
         method == STUN_CREATE_PERMISSION || method == STUN_CHANNEL_BIND ||
         method == STUN_CONNECT || method == STUN_CONNECTION_BIND;
}

static const struct stun_quad *quad_of(const struct turn_config *c, const struct addr *server)
{
  for (size_t i = 0; i < c->quad_count; i++)
    if (stun_quad_has(&c->quad[i], server))
      return &c->quad[i];
  return NULL;
}

/* No SOFTWARE: anybody may ask, and the answer shall not outgrow the question. */
static int answer_binding(const struct turn_config *config, const struct turn_flow *flow,
                          int decoded, const struct stun_view *v, struct stun_answer *answer)
{
  const struct stun_respond_config c = {.fingerprint = config->fingerprint,
                                        .classic = config->classic};
  const struct stun_path path = {.source = flow->client,
                                 .local = flow->server,
                                 .stream = flow->transport != TURN_UDP,
                                 .quad = quad_of(config, &flow->server)};
  return stun_respond(&c, &path, decoded, v, answer);
}

int turn_binding(const struct turn_config *config, const struct turn_flow *flow,
                 struct bytes message, struct stun_answer *answer)
{
  struct stun_view v;
  const int decoded = stun_decode(message.at, message.len, &v);
  if (config->no_stun || config->secure_stun || decoded < 0 || v.method != STUN_BINDING)
    return -ERR_DROP;
  return answer_binding(config, flow, decoded, &v, answer);
}

static void binding(struct turn *t, const struct turn_flow *flow, int decoded,
                    const struct stun_view *v)
{
  uint8_t out[STUN_RESPOND_MAX];
  struct stun_answer answer = {.at = out, .cap = sizeof(out)};
  const int len = answer_binding(t->config, flow, decoded, v, &answer);
  if (len <= 0)
    return;
  struct turn_flow back = *flow;
  back.server = answer.from;
  back.client = answer.to;
  t->counters.bindings++;
  t->effects->reply(t->effects->arg, &back, (struct bytes){out, (size_t)len});
}

/* What asks for an address and nothing else is most of what a public server is asked. False: it is
 * something else, or there is more to answer. Nothing that expires has a part in it. */
static bool bare_binding(struct turn *t, const struct turn_flow *flow, const struct dgram *d)
{
  const struct turn_config *c = t->config;
  uint8_t out[STUN_BARE_MAX];
  if (!stun_bare_is(d->at, d->len) || c->no_stun || c->secure_stun || c->fingerprint ||
      c->quad_count > 0)
    return false;
  const size_t len = stun_bare_answer(d->at, &flow->client, out);
  if (len == 0)
    return false;
  t->counters.bindings++;
  t->effects->reply(t->effects->arg, flow, (struct bytes){out, len});
  return true;
}

/* Indications and responses are never answered (RFC 8489 6.3.2 and 6.3.3): a Send is relayed or
 * dropped, all others are dropped. */
static void indication(struct turn *t, const struct turn_flow *flow, struct stun_view *v,
                       struct dgram *d, uint64_t now_ms)
{
  if (v->class != STUN_INDICATION || v->method != STUN_SEND || has_unknown(t->config, v)) {
    t->counters.dropped_malformed++;
    return;
  }
  struct turn_allocation *a = turn__find(t, flow);
  if (!a)
    a = turn__mobility_confirm(t, flow);
  if (a)
    turn__send(t, a, v, d, now_ms);
  else
    t->counters.dropped_no_allocation++;
}

static void stun_input(struct turn *t, const struct turn_flow *flow, struct dgram *d,
                       uint64_t now_ms, uint64_t wall_s)
{
  struct stun_view v;
  const int decoded = stun_decode(d->at, d->len, &v);
  const bool is_binding = decoded >= 0 && v.method == STUN_BINDING;
  if (decoded >= 0 && (is_binding ? t->config->no_stun : t->config->stun_only)) {
    t->counters.not_served++;
    return;
  }
  if (is_binding && !t->config->secure_stun) {
    binding(t, flow, decoded, &v);
    return;
  }
  /* TURN has no RFC 3489 past, and a FINGERPRINT that is wrong means that it is not STUN at all
   * (RFC 8489 section 7). */
  if (decoded < 0 || v.classic || (decoded == 0 && !stun_check_fingerprint(&v))) {
    t->counters.dropped_malformed++;
    return;
  }
  if (decoded == 0 && v.class != STUN_REQUEST) {
    indication(t, flow, &v, d, now_ms);
    return;
  }
  if (v.class != STUN_REQUEST || !is_known_request(v.method)) {
    t->counters.dropped_malformed++;
    return;
  }
  if (decoded == 0 && turn__connection_is_elsewhere(t, flow, &v))
    return;
  struct turn_request rq = {.t = t, .flow = flow, .view = &v, .now_ms = now_ms, .wall_s = wall_s};
  rq.realm = &t->config->realm[0];
  rq.allocation = turn__find(t, flow);
  if (!rq.allocation)
    rq.allocation = turn__mobility_find(t, flow);
  turn__mobility_read(&rq);
  if (turn__mobility_is_elsewhere(&rq, d) || turn__reservation_is_elsewhere(&rq, d))
    return;
  rq.connection = decoded ? NULL : turn__connection_named(t, &v);
  turn__reply(&rq, decoded ? decoded : handle(&rq));
  bytes_wipe(&rq.key, sizeof(rq.key));
}

void turn_client_input(struct turn *t, const struct turn_flow *flow, struct dgram *d,
                       uint64_t now_ms, uint64_t wall_s)
{
  const unsigned first = d->len ? d->at[0] : UINT8_MAX;
  if (first >= 64 && first <= 79) { /* RFC 7983 */
    turn__channel_data(t, flow, d, now_ms);
  } else if (bare_binding(t, flow, d)) {
    return;
  } else if (first <= 3) {
    wheel_run(&t->wheel, now_ms); /* a request never meets what should have expired */
    stun_input(t, flow, d, now_ms, wall_s);
  } else {
    t->counters.dropped_malformed++;
  }
}
