/* The server's side of Binding: what to answer, and when to be silent. stund hands every datagram
 * in, turnd the Binding requests that it gets. */
#include "stun/core/respond.h"

#include "base/err.h"
#include "stun/core/decode.h"
#include "stun/core/encode.h"
#include "stun/core/integrity.h"

/* Comprehension-required attributes that the table knows but that this responder cannot honour:
 * they ask for an answer from or to somewhere else. RFC 5780 6.1: "If the Request contains
 * CHANGE-REQUEST attribute and the server does not have an alternate address and port [...], the
 * server MUST generate an error response of type 420." */
static const enum stun_attr unsupported[] = {STUN_ATTR_CHANGE_REQUEST, STUN_ATTR_RESPONSE_PORT,
                                             STUN_ATTR_PADDING};
enum { UNSUPPORTED_COUNT = sizeof unsupported / sizeof unsupported[0] };

static bool is_unsupported(const struct stun_view *v, enum stun_attr a)
{
  if (!stun_has(v, a))
    return false;
  /* RFC 3489 clients put a CHANGE-REQUEST into every request; without a flag it asks for nothing
   * (RFC 3489 11.2.4). */
  uint32_t flags;
  bool asks_nothing = a == STUN_ATTR_CHANGE_REQUEST && v->classic && stun_get_uint(v, a, &flags) &&
                      (flags & 6) == 0;
  return !asks_nothing;
}

/* Notes in `v` what this responder does not support beside what the decoder did not know. */
static void add_unsupported(struct stun_view *v)
{
  for (size_t i = 0; i < UNSUPPORTED_COUNT && v->unknown_count < STUN_UNKNOWN_MAX; i++) {
    if (is_unsupported(v, unsupported[i]))
      v->unknown[v->unknown_count++] = stun_attr_row(unsupported[i])->code;
  }
}

/* RFC 8489 6.3.1: "If the request contains one or more unknown comprehension-required attributes,
 * the server replies with an error response with an error code of 420 (Unknown Attribute) and
 * includes an UNKNOWN-ATTRIBUTES attribute in the response". */
static int judge(int decoded, const struct stun_view *request)
{
  if (decoded)
    return decoded;
  if (request->unknown_count)
    return 420;
  for (size_t i = 0; i < UNSUPPORTED_COUNT; i++) {
    if (is_unsupported(request, unsupported[i]))
      return 420;
  }
  return 0;
}

static void put_mapped(struct stun_encoder *e, const struct stun_view *request,
                       const struct addr *source)
{
  /* A dual-stack socket shows IPv4 clients as ::ffff:a.b.c.d; they asked for their IPv4 address. */
  struct addr mapped = addr_unmap(*source);
  /* RFC 5389 12.2: "insert a MAPPED-ADDRESS attribute instead of an XOR-MAPPED-ADDRESS attribute"
   * for an RFC 3489 client. */
  stun_put_addr(e, request->classic ? STUN_ATTR_MAPPED_ADDRESS : STUN_ATTR_XOR_MAPPED_ADDRESS,
                &mapped);
}

int stun_respond(const struct stun_respond_config *c, const struct stun_path *path, int decoded,
                 const struct stun_view *request, void *out, size_t cap)
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

  int code = judge(decoded, request);
  struct stun_encoder e;
  stun_begin_response(&e, out, cap, code ? STUN_ERROR : STUN_SUCCESS, request);
  if (code)
    stun_put_error(&e, code);
  else
    put_mapped(&e, request, &path->source);
  if (code == 420) {
    struct stun_view all = *request;
    add_unsupported(&all);
    stun_put_unknown(&e, &all);
  }
  /* RFC 3489 clients know no padding, so they are spared a text of any length. */
  if (c->software && !request->classic)
    stun_put_text(&e, STUN_ATTR_SOFTWARE, c->software);
  if (c->fingerprint || (!decoded && stun_has(request, STUN_ATTR_FINGERPRINT)))
    stun_put_fingerprint(&e);
  return stun_end(&e);
}

int stun_respond_bytes(const struct stun_respond_config *c, const struct stun_path *path,
                       const uint8_t *p, size_t len, void *out, size_t cap)
{
  struct stun_view view;
  int decoded = stun_decode(p, len, &view);
  if (decoded < 0)
    return -ERR_DROP;
  return stun_respond(c, path, decoded, &view, out, cap);
}
