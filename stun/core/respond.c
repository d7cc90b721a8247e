/* The server's side of Binding: what to answer, from where, and when to be silent. stund hands
 * every datagram in, turnd the Binding requests that it gets. */
#include "stun/core/respond.h"

#include "base/err.h"
#include "stun/core/bare.h"
#include "stun/core/decode.h"
#include "stun/core/encode.h"
#include "stun/core/integrity.h"

/* RFC 5780 7.2: "A: This is the "change IP" flag. [...] B: This is the "change port" flag." */
enum { CHANGE_IP = 4, CHANGE_PORT = 2, ATTR_HEADER_LEN = 4, FINGERPRINT_LEN = 8 };

/* A request on its way to its answer. */
struct exchange {
  const struct stun_path *path;
  const struct stun_view *request;
  const struct stun_quad *quad; /* NULL: `local` is none of the four */
  int ip, port;                 /* where the request came in: indices into the quad */
  int from_ip, from_port;       /* where its answer leaves */
  size_t limit; /* bytes that the answer may have, without FINGERPRINT and an empty PADDING */
  size_t fingerprint_len;
};

static bool locate(const struct stun_quad *q, const struct addr *local, int *ip, int *port)
{
  bool known = false;
  for (int i = 3; i >= 0; i--) {
    if (addr_equal_ip(&q->ip[i / 2], local) && q->port[i % 2] == local->port) {
      *ip = i / 2;
      *port = i % 2;
      known = true;
    }
  }
  return known;
}

bool stun_quad_has(const struct stun_quad *q, const struct addr *local)
{
  int ip, port;
  return locate(q, local, &ip, &port);
}

static struct addr bound(const struct stun_quad *q, int ip, int port)
{
  struct addr a = q->ip[ip];
  a.port = q->port[port];
  return a;
}

static struct addr told(const struct stun_quad *q, int ip, int port)
{
  struct addr a = q->told[ip].family == ADDR_NONE ? q->ip[ip] : q->told[ip];
  a.port = q->port[port];
  return a;
}

static uint32_t change_flags(const struct stun_view *v)
{
  uint32_t flags = 0;
  (void)stun_get_uint(v, STUN_ATTR_CHANGE_REQUEST, &flags);
  return flags & (CHANGE_IP | CHANGE_PORT);
}

/* RFC 5780 6.1: "If the Request contains the CHANGE-REQUEST attribute and the server does not have
 * an alternate address and port [...], the server MUST generate an error response of type 420." Nor
 * can a connection be answered from elsewhere. RFC 3489 clients put a CHANGE-REQUEST into every
 * request; without a flag it asks for nothing (RFC 3489 11.2.4). */
static bool is_change_unsupported(const struct exchange *x)
{
  bool asks_nothing = change_flags(x->request) == 0;
  if (x->quad)
    return x->path->stream && !asks_nothing;
  return !(x->request->classic && asks_nothing);
}

/* Comprehension-required attributes that the table knows but that cannot be honoured here. */
static bool is_unsupported(const struct exchange *x, enum stun_attr a)
{
  if (!stun_has(x->request, a))
    return false;
  switch ((int)a) {
  case STUN_ATTR_CHANGE_REQUEST:
    return is_change_unsupported(x);
  case STUN_ATTR_RESPONSE_PORT:
    return !x->quad || x->path->stream || x->request->classic;
  case STUN_ATTR_PADDING:
    return !x->quad || x->request->classic;
  default: /* RFC 3489's, which stand in responses alone */
    return true;
  }
}

static const enum stun_attr candidates[] = {STUN_ATTR_CHANGE_REQUEST, STUN_ATTR_RESPONSE_PORT,
                                            STUN_ATTR_PADDING, STUN_ATTR_SOURCE_ADDRESS,
                                            STUN_ATTR_CHANGED_ADDRESS};
enum { CANDIDATE_COUNT = sizeof candidates / sizeof candidates[0] };

/* Notes in `v`, a copy of the request, what is not supported beside what the decoder did not know.
 */
static void add_unsupported(const struct exchange *x, struct stun_view *v)
{
  for (size_t i = 0; i < CANDIDATE_COUNT && v->unknown_count < STUN_UNKNOWN_MAX; i++) {
    if (is_unsupported(x, candidates[i]))
      v->unknown[v->unknown_count++] = stun_attr_row(candidates[i])->code;
  }
}

/* RFC 8489 6.3.1: "If the request contains one or more unknown comprehension-required attributes,
 * the server replies with an error response with an error code of 420 (Unknown Attribute) and
 * includes an UNKNOWN-ATTRIBUTES attribute in the response". */
static int judge(const struct exchange *x, int decoded)
{
  const struct stun_view *v = x->request;
  uint32_t port;
  if (decoded)
    return decoded;
  if (v->unknown_count)
    return 420;
  for (size_t i = 0; i < CANDIDATE_COUNT; i++) {
    if (is_unsupported(x, candidates[i]))
      return 420;
  }
  if (!stun_get_uint(v, STUN_ATTR_RESPONSE_PORT, &port))
    return 0;
  /* RFC 5780 6.1 on PADDING: "If the Request also contains the RESPONSE-PORT attribute the server
   * MUST return an error response of type 400." And nothing can be sent to port 0. */
  return stun_has(v, STUN_ATTR_PADDING) || port == 0 ? 400 : 0;
}

static bool has_room(const struct exchange *x, const struct stun_encoder *e, size_t value_len)
{
  return e->len + ATTR_HEADER_LEN + ((value_len + 3) & ~(size_t)3) <= x->limit;
}

static void put_addr_if_room(const struct exchange *x, struct stun_encoder *e, enum stun_attr a,
                             struct addr addr)
{
  if (has_room(x, e, 4 + addr_ip_len(&addr)))
    stun_put_addr(e, a, &addr);
}

/* RFC 5780 6.1: "The server MUST add a RESPONSE-ORIGIN attribute to the Binding Response,
 * containing the source address and port used to send the Binding Response. If the server supports
 * an alternate address and port, the server MUST add an OTHER-ADDRESS attribute [...]. This
 * contains the source IP address and port that would be used if the client had set the "change IP"
 * and "change port" flags": the other two, whatever the flags. "The server MUST include both
 * MAPPED-ADDRESS and XOR-MAPPED-ADDRESS in its Response." All of them in a response of 68 bytes to
 * a request of 20 would be more than STUN_GAIN_MAX allows, so OTHER-ADDRESS, without which nothing
 * can be tested, comes first, and MAPPED-ADDRESS, which says nothing new, last.
 * For RFC 3489 clients the first two are called CHANGED-ADDRESS and SOURCE-ADDRESS (8.1 there). */
static void put_four(const struct exchange *x, struct stun_encoder *e, const struct addr *mapped)
{
  bool classic = x->request->classic;
  if (!x->quad)
    return;
  put_addr_if_room(x, e, classic ? STUN_ATTR_CHANGED_ADDRESS : STUN_ATTR_OTHER_ADDRESS,
                   told(x->quad, !x->ip, !x->port));
  put_addr_if_room(x, e, classic ? STUN_ATTR_SOURCE_ADDRESS : STUN_ATTR_RESPONSE_ORIGIN,
                   told(x->quad, x->from_ip, x->from_port));
  if (!classic)
    put_addr_if_room(x, e, STUN_ATTR_MAPPED_ADDRESS, *mapped);
}

/* RFC 5780 6.1: "If the Request contained a PADDING attribute, PADDING MUST be included in the
 * Binding Response. The server SHOULD use a length of PADDING equal to the MTU on the outgoing
 * interface, rounded up to an even multiple of four bytes." But never so much that the answer
 * outgrows the request: who wants a long answer sends a long request. */
static void put_padding(const struct exchange *x, struct stun_encoder *e)
{
  static const uint8_t zeroes[STUN_PADDING_MAX];
  size_t room = x->limit < x->request->len ? x->limit : x->request->len;
  size_t used = e->len + ATTR_HEADER_LEN + x->fingerprint_len;
  size_t len = room > used ? (room - used) & ~(size_t)3 : 0;
  stun_put_bytes(e, STUN_ATTR_PADDING, zeroes, len < STUN_PADDING_MAX ? len : STUN_PADDING_MAX);
}

/* The least is an XOR-MAPPED-ADDRESS, an empty PADDING if it is asked for (4 bytes, as in the
 * request) and a FINGERPRINT: 20 + 24 + 8 = 52 bytes for IPv6, where 20 bytes allow 60. */
static void put_success(const struct exchange *x, struct stun_encoder *e)
{
  /* A dual-stack socket shows IPv4 clients as ::ffff:a.b.c.d; they asked for their IPv4 address. */
  struct addr mapped = addr_unmap(x->path->source);
  /* RFC 5389 12.2: "insert a MAPPED-ADDRESS attribute instead of an XOR-MAPPED-ADDRESS attribute"
   * for an RFC 3489 client. */
  stun_put_addr(e, x->request->classic ? STUN_ATTR_MAPPED_ADDRESS : STUN_ATTR_XOR_MAPPED_ADDRESS,
                &mapped);
  put_four(x, e, &mapped);
}

/* A 400 answers 24 bytes and more (an attribute at the least) with 20 + 20 + 8 = 48, the 420 of n
 * attributes 20 + 4n bytes with 20 + 28 + 4 + 2n + 2 + 8 = 62 + 2n at most; three times the request
 * are 60 + 12n. */
static void put_failure(const struct exchange *x, struct stun_encoder *e, int code)
{
  stun_put_error(e, code);
  if (code != 420)
    return;
  struct stun_view all = *x->request;
  add_unsupported(x, &all);
  stun_put_unknown(e, &all);
}

/* Where the answer leaves from and goes to: RFC 5780 6.1, table 1. An error answers as if nothing
 * had been asked for, since the request was not processed. */
static void choose_ends(struct exchange *x, struct stun_answer *out)
{
  uint32_t flags = out->code ? 0 : change_flags(x->request), port;
  out->from = x->path->local;
  out->to = x->path->source;
  if (!x->quad || out->code)
    return;
  if (flags & CHANGE_IP)
    x->from_ip = !x->ip;
  if (flags & CHANGE_PORT)
    x->from_port = !x->port;
  if (flags)
    out->from = bound(x->quad, x->from_ip, x->from_port);
  /* 7.5: "the Binding Response MUST be transmitted to the source IP address of the Binding Request
   * and the port contained in RESPONSE-PORT." Never to another address: RFC 3489's RESPONSE-ADDRESS
   * allowed that, and is refused. */
  if (stun_get_uint(x->request, STUN_ATTR_RESPONSE_PORT, &port))
    out->to.port = (uint16_t)port;
}

int stun_respond(const struct stun_respond_config *c, const struct stun_path *path, int decoded,
                 const struct stun_view *request, struct stun_answer *out)
{
  if (decoded < 0 || request->class != STUN_REQUEST || request->method != STUN_BINDING)
    return -ERR_DROP;
  if (request->classic && !c->classic)
    return -ERR_DROP;
  /* RFC 8489 6.3: "If the FINGERPRINT extension is being used, the agent checks that the
   * FINGERPRINT attribute is present and contains the correct value. If any errors are detected,
   * the message is silently discarded." A message that did not decode has no fingerprint to speak
   * of. */
  if (!decoded && !stun_check_fingerprint(request))
    return -ERR_DROP;

  struct exchange x = {.path = path, .request = request};
  if (path->quad && locate(path->quad, &path->local, &x.ip, &x.port))
    x.quad = path->quad;
  x.from_ip = x.ip;
  x.from_port = x.port;
  bool fingerprint = c->fingerprint || (!decoded && stun_has(request, STUN_ATTR_FINGERPRINT));
  out->code = judge(&x, decoded);
  bool padding = !out->code && stun_has(request, STUN_ATTR_PADDING);
  x.fingerprint_len = fingerprint ? FINGERPRINT_LEN : 0;
  size_t held = x.fingerprint_len + (padding ? ATTR_HEADER_LEN : 0);
  x.limit = STUN_GAIN_MAX * request->len < out->cap ? STUN_GAIN_MAX * request->len : out->cap;
  x.limit -= held < x.limit ? held : x.limit;

  struct stun_encoder e;
  choose_ends(&x, out);
  stun_begin_response(&e, out->at, out->cap, out->code ? STUN_ERROR : STUN_SUCCESS, request);
  if (out->code)
    put_failure(&x, &e, out->code);
  else
    put_success(&x, &e);
  /* RFC 3489 clients know no padding, so they are spared a text of any length. */
  if (c->software && !request->classic && has_room(&x, &e, bytes_of(c->software).len))
    stun_put_text(&e, STUN_ATTR_SOFTWARE, c->software);
  if (padding)
    put_padding(&x, &e);
  if (fingerprint)
    stun_put_fingerprint(&e);
  return stun_end(&e);
}

int stun_respond_bytes(const struct stun_respond_config *c, const struct stun_path *path,
                       const uint8_t *p, size_t len, struct stun_answer *out)
{
  if (stun_bare_is(p, len) && !c->fingerprint && !c->software && !path->quad &&
      out->cap >= STUN_BARE_MAX && path->source.family != ADDR_NONE) {
    out->from = path->local;
    out->to = path->source;
    out->code = 0;
    return (int)stun_bare_answer(p, &path->source, out->at);
  }
  struct stun_view view;
  int decoded = stun_decode(p, len, &view);
  if (decoded < 0)
    return -ERR_DROP;
  return stun_respond(c, path, decoded, &view, out);
}
