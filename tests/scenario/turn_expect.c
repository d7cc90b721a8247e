/* EXPECT: the next thing that left the relay, looked at closely. Whatever no EXPECT has looked at
 * by the next event is an error. */
#include <ctype.h>
#include <stdio.h>
#include <string.h>

#include "stun/core/frame.h"
#include "tests/scenario/turn_script.h"

const char *script_describe(const struct world_output *o, char out[200])
{
  char a[ADDR_TEXT_SIZE], b[ADDR_TEXT_SIZE];
  struct stun_view v;
  if (o->kind >= WORLD_CONNECT)
    snprintf(out, 200, "%s %s", script_edge_word(o->kind), addr_format(&o->peer, a));
  else if (o->kind == WORLD_TO_PEER)
    snprintf(out, 200, "%zu bytes from %s to peer %s", o->len, addr_format(&o->relay, a),
             addr_format(&o->peer, b));
  else if (stun_decode(o->at, o->len, &v) == 0)
    snprintf(out, 200, "to %s: method %d class %d error %d", addr_format(&o->flow.client, a),
             v.method, v.class, stun_get_error(&v));
  else
    snprintf(out, 200, "to %s: %zu bytes, %02x%02x...", addr_format(&o->flow.client, a), o->len,
             o->len > 1 ? o->at[0] : 0, o->len > 1 ? o->at[1] : 0);
  return out;
}

void script_expect_nothing(struct script *s)
{
  char text[200];
  if (s->world.broken)
    script_fail(s, "the core gave the edge %s", s->world.broken);
  const struct world_output *o = world_next(&s->world);
  if (o && !s->lenient)
    script_fail(s, "unexpected: %s", script_describe(o, text));
  world_clear(&s->world);
}

static bool is_stream(const struct turn_flow *flow)
{
  return flow->transport == TURN_TCP || flow->transport == TURN_TLS;
}

/* "The value of the padding ... MUST be set to zero" (RFC 8489 section 14). */
static bool padding_is_zero(const struct stun_view *v)
{
  for (size_t at = STUN_HEADER_LEN; at + 4 <= v->len;) {
    const size_t len = load_be16(v->at + at + 2), padded = (len + 3) / 4 * 4;
    for (size_t i = len; i < padded; i++)
      if (v->at[at + 4 + i])
        return false;
    at += 4 + padded;
  }
  return true;
}

/* The next output, which has to be for this client. */
static const struct world_output *next_for(struct script *s, const struct actor *a)
{
  char text[200];
  const struct world_output *o = world_next(&s->world);
  struct stun_frame frame;
  if (!o)
    script_fail(s, "%s got nothing", a->name);
  if (o->kind > WORLD_TO_CLIENT || !addr_equal(&o->flow.client, &a->client.flow.client) ||
      o->flow.transport != a->client.flow.transport)
    script_fail(s, "%s got nothing, but: %s", a->name, script_describe(o, text));
  if (is_stream(&o->flow) &&
      (stun_frame_next((struct bytes){o->at, o->len}, true, &frame) || frame.padded != o->len))
    script_fail(s, "a stream would lose its framing after: %s", script_describe(o, text));
  return o;
}

static void decode(struct script *s, const struct world_output *o, struct stun_view *v)
{
  char text[200];
  if (stun_decode(o->at, o->len, v) || v->unknown_count || !stun_check_fingerprint(v))
    script_fail(s, "not well-formed: %s", script_describe(o, text));
  if (!padding_is_zero(v))
    script_fail(s, "padding that is not zero: %s", script_describe(o, text));
}

static void check_bytes(struct script *s, const char *name, const char *value, struct bytes got)
{
  uint8_t want[1024];
  if (is_variable(value)) {
    struct variable *v = script_variable(s, value, true);
    if (v->len == 0 && got.len <= sizeof(v->bytes)) {
      memcpy(v->bytes, got.at, got.len);
      v->len = got.len;
    }
    if (!bytes_equal((struct bytes){v->bytes, v->len}, got))
      script_fail(s, "%s is not that of %s", name, value);
    return;
  }
  const size_t len = script_hex(s, value, want, sizeof(want));
  if (!bytes_equal((struct bytes){want, len}, got))
    script_fail(s, "%s is other than %s", name, value);
}

void script_check_addr(struct script *s, const char *name, const char *value,
                       const struct addr *got)
{
  char a[ADDR_TEXT_SIZE], b[ADDR_TEXT_SIZE];
  const bool is_client =
      strcmp(name, "XOR-MAPPED-ADDRESS") == 0 || strcmp(name, "MAPPED-ADDRESS") == 0;
  struct addr want;
  if (is_variable(value) && !script_variable(s, value, false))
    script_variable(s, value, true)->addr = *got;
  script_addr(s, value, &want);
  if (is_client && !is_variable(value))
    want = script_client_addr(s, &want);
  /* Port 0 in a literal: whatever port. */
  if (want.port ? !addr_equal(&want, got) : !addr_equal_ip(&want, got))
    script_fail(s, "%s is %s, not %s", name, addr_format(got, a), addr_format(&want, b));
}

static void check_value(struct script *s, const struct stun_view *v, enum stun_attr a,
                        const char *value)
{
  const struct stun_attr_row *row = stun_attr_row(a);
  const struct bytes got = stun_get_bytes(v, a);
  uint32_t number = 0;
  struct addr addr;
  if (stun_get_uint(v, a, &number) && is_variable(value)) {
    check_bytes(s, row->name, value, got);
  } else if (stun_get_uint(v, a, &number)) {
    if (number != script_uint(s, value))
      script_fail(s, "%s is %u, not %s", row->name, (unsigned)number, value);
  } else if (row->kind == STUN_KIND_ADDR || row->kind == STUN_KIND_XADDR) {
    size_t cursor = 0;
    const bool mapped = a == STUN_ATTR_XOR_MAPPED_ADDRESS || a == STUN_ATTR_MAPPED_ADDRESS;
    const bool v6 =
        value[0] == '[' || (is_variable(value) && strchr(value, '6')) || (mapped && s->variant->v6);
    while (stun_next_addr(v, a, &cursor, &addr) == 0)
      if ((addr.family == ADDR_V6) == v6) {
        script_check_addr(s, row->name, value, &addr);
        return;
      }
    script_fail(s, "no %s of that family (names with a 6 are IPv6)", row->name);
  } else if (row->kind == STUN_KIND_TEXT) {
    if (!bytes_equal(got, bytes_of(value)))
      script_fail(s, "%s is other than '%s'", row->name, value);
  } else {
    check_bytes(s, row->name, value, got);
  }
}

static void check_word(struct script *s, struct actor *a, const struct world_output *o,
                       const struct stun_view *v, const struct word *w)
{
  const char *name = w->at[0] == '!' ? w->at + 1 : w->at;
  if (word_is(w, "same")) {
    if (!bytes_equal((struct bytes){a->response, a->response_len}, (struct bytes){o->at, o->len}))
      script_fail(s, "this answer differs from the one before");
    return;
  }
  const int attr = script_attr(name);
  if (attr < 0)
    script_fail(s, "unknown word '%s'", w->at);
  const bool has = stun_has(v, (enum stun_attr)attr);
  if (has == (name != w->at))
    script_fail(s, "%s is %s", stun_attr_row((enum stun_attr)attr)->name,
                has ? "there" : "missing");
  const char *equals = strchr(w->at, '=');
  if (equals)
    check_value(s, v, (enum stun_attr)attr, equals + 1);
}

/* Every response answers the last request, and bears a signature where the request was accepted as
 * signed. */
static void check_envelope(struct script *s, struct actor *a, const struct stun_view *v, int code)
{
  struct stun_view request;
  if (stun_decode(a->sent, a->sent_len, &request) < 0 || request.method != v->method ||
      memcmp(stun_txid(&request), stun_txid(v), STUN_TXID_LEN) != 0)
    script_fail(s, "the response is to another request");
  const bool has =
      stun_has(v, STUN_ATTR_MESSAGE_INTEGRITY) || stun_has(v, STUN_ATTR_MESSAGE_INTEGRITY_SHA256);
  const bool refused = code == 400 || code == 401 || code == 438 || code == 500;
  if (has && !client_trusts(&a->client, v))
    script_fail(s, "the response's integrity is wrong");
  if (a->signed_last && !refused && !has && s->world.config.auth_required)
    script_fail(s, "the response to a signed request is not signed");
  if ((code == 401 || code == 438) && has)
    script_fail(s, "a challenge that is signed");
}

static void expect_response(struct script *s, struct actor *a, int code, const struct word *w,
                            size_t count)
{
  char text[200];
  struct stun_view v;
  const struct world_output *o = next_for(s, a);
  decode(s, o, &v);
  if (o->kind != WORLD_REPLY || v.class != (code ? STUN_ERROR : STUN_SUCCESS) ||
      stun_get_error(&v) != code)
    script_fail(s, "not %s %d, but %s", code ? "ERROR" : "OK", code, script_describe(o, text));
  check_envelope(s, a, &v, code);
  for (size_t i = 0; i < count; i++)
    check_word(s, a, o, &v, &w[i]);
  client_learn(&a->client, &v);
  a->response_len = o->len <= sizeof(a->response) ? o->len : 0;
  memcpy(a->response, o->at, a->response_len);
}

static void check_payload(struct script *s, const struct word *w, struct bytes got)
{
  uint8_t want[SCRIPT_MESSAGE];
  size_t len;
  if (!script_payload(s, w, want, &len))
    script_fail(s, "a payload should stand where '%s' does", w->at);
  if (!bytes_equal((struct bytes){want, len}, got))
    script_fail(s, "another payload (%zu bytes)", got.len);
}

/* EXPECT c DATA ADDRESS "payload" */
static void expect_data(struct script *s, struct actor *a, const struct word *w, size_t count)
{
  char text[200];
  struct stun_view v;
  struct addr peer;
  const struct world_output *o = next_for(s, a);
  decode(s, o, &v);
  if (o->kind != WORLD_TO_CLIENT || v.class != STUN_INDICATION || v.method != STUN_DATA)
    script_fail(s, "no Data indication, but %s", script_describe(o, text));
  if (count != 2)
    script_fail(s, "EXPECT c DATA ADDRESS \"payload\"");
  if (stun_get_addr(&v, STUN_ATTR_XOR_PEER_ADDRESS, &peer) || !stun_has(&v, STUN_ATTR_DATA))
    script_fail(s, "XOR-PEER-ADDRESS or DATA is missing");
  script_check_addr(s, "XOR-PEER-ADDRESS", w[0].at, &peer);
  check_payload(s, &w[1], stun_get_bytes(&v, STUN_ATTR_DATA));
}

/* EXPECT c CONNECTION-ATTEMPT ADDRESS words: a ConnectionAttempt indication. */
static void expect_attempt(struct script *s, struct actor *a, const struct word *w, size_t count)
{
  char text[200];
  struct stun_view v;
  struct addr peer;
  const struct world_output *o = next_for(s, a);
  decode(s, o, &v);
  if (v.class != STUN_INDICATION || v.method != STUN_CONNECTION_ATTEMPT)
    script_fail(s, "no ConnectionAttempt, but %s", script_describe(o, text));
  if (count < 1 || stun_get_addr(&v, STUN_ATTR_XOR_PEER_ADDRESS, &peer) ||
      !stun_has(&v, STUN_ATTR_CONNECTION_ID))
    script_fail(s, "XOR-PEER-ADDRESS or CONNECTION-ID is missing");
  script_check_addr(s, "XOR-PEER-ADDRESS", w[0].at, &peer);
  for (size_t i = 1; i < count; i++)
    check_word(s, a, o, &v, &w[i]);
}

/* EXPECT c ICMP ADDRESS HEX: the value of the attribute; no DATA stands beside it. */
static void expect_icmp(struct script *s, struct actor *a, const struct word *w, size_t count)
{
  char text[200];
  struct stun_view v;
  struct addr peer;
  const struct world_output *o = next_for(s, a);
  decode(s, o, &v);
  if (count != 2)
    script_fail(s, "EXPECT c ICMP ADDRESS HEX");
  if (o->kind != WORLD_TO_CLIENT || v.class != STUN_INDICATION || v.method != STUN_DATA ||
      stun_get_addr(&v, STUN_ATTR_XOR_PEER_ADDRESS, &peer) || !stun_has(&v, STUN_ATTR_ICMP) ||
      stun_has(&v, STUN_ATTR_DATA))
    script_fail(s, "no Data indication with ICMP, but %s", script_describe(o, text));
  script_check_addr(s, "XOR-PEER-ADDRESS", w[0].at, &peer);
  check_bytes(s, "ICMP", w[1].at, stun_get_bytes(&v, STUN_ATTR_ICMP));
}

/* EXPECT c CHANNEL NUMBER "payload" */
static void expect_channel(struct script *s, struct actor *a, const struct word *w, size_t count)
{
  char text[200];
  const struct world_output *o = next_for(s, a);
  const bool stream = is_stream(&o->flow);
  if (count != 2)
    script_fail(s, "EXPECT c CHANNEL NUMBER \"payload\"");
  if (o->kind != WORLD_TO_CLIENT || o->len < 4 || load_be16(o->at) != script_uint(s, w[0].at))
    script_fail(s, "no ChannelData on %s, but %s", w[0].at, script_describe(o, text));
  const size_t len = load_be16(o->at + 2);
  const size_t whole = 4 + (stream ? (len + 3) / 4 * 4 : len);
  if (o->len != whole)
    script_fail(s, "%zu bytes of ChannelData, not %zu", o->len, whole);
  for (size_t i = 4 + len; i < o->len; i++)
    if (o->at[i])
      script_fail(s, "padding that is not zero");
  check_payload(s, &w[1], (struct bytes){o->at + 4, len});
}

/* EXPECT peer ADDRESS from ADDRESS "payload" [dont-fragment] */
static void expect_peer(struct script *s, const struct word *w, size_t count)
{
  char text[200];
  const struct world_output *o = world_next(&s->world);
  if (count < 4 || !word_is(&w[1], "from"))
    script_fail(s, "EXPECT peer ADDRESS from ADDRESS \"payload\"");
  if (!o)
    script_fail(s, "the peer got nothing");
  if (o->kind != WORLD_TO_PEER)
    script_fail(s, "the peer got nothing, but %s", script_describe(o, text));
  script_check_addr(s, "the peer", w[0].at, &o->peer);
  script_check_addr(s, "the relayed address", w[2].at, &o->relay);
  check_payload(s, &w[3], (struct bytes){o->at, o->len});
  const bool df = count == 5 && word_is(&w[4], "dont-fragment");
  if (count > 4 && !df)
    script_fail(s, "unknown word '%s'", w[4].at);
  if (df != o->dont_fragment)
    script_fail(s, "dont-fragment is %s", df ? "missing" : "there");
}

/* In a lenient run nothing is demanded, but what came teaches the client what it needs to go on:
 * its challenge, its relayed address, its token. */
static void observe(struct script *s, const struct word *w, size_t count)
{
  struct stun_view v;
  const struct world_output *o = world_next(&s->world);
  if (!o || o->kind != WORLD_REPLY || script_is_edge_word(&w[0]) || word_is(&w[0], "worker") ||
      stun_decode(o->at, o->len, &v) || count < 2)
    return;
  client_learn(&script_actor(s, &w[0])->client, &v);
  for (size_t i = 2; i < count; i++) {
    const char *equals = strchr(w[i].at, '=');
    const int a = script_attr(w[i].at);
    if (!equals || a < 0 || !is_variable(equals + 1) || !stun_has(&v, (enum stun_attr)a))
      continue;
    struct variable *var = script_variable(s, equals + 1, true);
    const struct bytes value = stun_get_bytes(&v, (enum stun_attr)a);
    if (stun_get_addr(&v, (enum stun_attr)a, &var->addr) && value.len <= sizeof(var->bytes)) {
      memcpy(var->bytes, value.at, value.len);
      var->len = value.len;
    }
  }
}

void script_expect(struct script *s, const struct word *w, size_t count)
{
  if (s->lenient) {
    observe(s, w, count);
    return;
  }
  if (count == 1 && word_is(&w[0], "nothing")) {
    script_expect_nothing(s);
    return;
  }
  if (count >= 1 && word_is(&w[0], "peer")) {
    expect_peer(s, w + 1, count - 1);
    return;
  }
  if (count >= 1 && script_is_edge_word(&w[0])) {
    script_expect_edge(s, w, count);
    return;
  }
  if (count >= 1 && word_is(&w[0], "worker")) {
    script_expect_worker(s, w + 1, count - 1);
    return;
  }
  if (count < 2)
    script_fail(s, "EXPECT what?");
  struct actor *a = script_actor(s, &w[0]);
  if (word_is(&w[1], "OK"))
    expect_response(s, a, 0, w + 2, count - 2);
  else if (word_is(&w[1], "ERROR") && count > 2)
    expect_response(s, a, (int)script_uint(s, w[2].at), w + 3, count - 3);
  else if (word_is(&w[1], "CONNECTION-ATTEMPT"))
    expect_attempt(s, a, w + 2, count - 2);
  else if (word_is(&w[1], "DATA"))
    expect_data(s, a, w + 2, count - 2);
  else if (word_is(&w[1], "ICMP"))
    expect_icmp(s, a, w + 2, count - 2);
  else if (word_is(&w[1], "CHANNEL"))
    expect_channel(s, a, w + 2, count - 2);
  else
    script_fail(s, "unknown word '%s'", w[1].at);
}
