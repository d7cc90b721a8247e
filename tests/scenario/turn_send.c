/* SEND: a message from words, well-formed or broken in the way that the words say. */
#include <stdlib.h>
#include <string.h>

#include "stun/core/frame.h"
#include "tests/scenario/turn_script.h"

/* A message in the making. */
struct draft {
  struct script *s;
  struct actor *actor;
  struct stun_encoder e;
  uint8_t bytes[SCRIPT_MESSAGE + 64];
  bool sign, fingerprint, transport, skip;
  enum stun_attr without; /* STUN_ATTR_COUNT: all there */
  bool flip_integrity, flip_fingerprint;
  const char *tail; /* as raw=, behind the integrity */
  size_t cut, grow;
  long length; /* of the header's field; negative: as it is */
};

static const struct method {
  const char *name;
  uint16_t method;
  enum stun_class class;
} methods[] = {
    {"BINDING", STUN_BINDING, STUN_REQUEST},
    {"BINDING-INDICATION", STUN_BINDING, STUN_INDICATION},
    {"ALLOCATE", STUN_ALLOCATE, STUN_REQUEST},
    {"ALLOCATE-INDICATION", STUN_ALLOCATE, STUN_INDICATION},
    {"ALLOCATE-RESPONSE", STUN_ALLOCATE, STUN_SUCCESS},
    {"ALLOCATE-ERROR", STUN_ALLOCATE, STUN_ERROR},
    {"REFRESH", STUN_REFRESH, STUN_REQUEST},
    {"CREATE-PERMISSION", STUN_CREATE_PERMISSION, STUN_REQUEST},
    {"CHANNEL-BIND", STUN_CHANNEL_BIND, STUN_REQUEST},
    {"SEND-INDICATION", STUN_SEND, STUN_INDICATION},
    {"SEND-REQUEST", STUN_SEND, STUN_REQUEST},
    {"DATA-INDICATION", STUN_DATA, STUN_INDICATION},
    {"CONNECT", STUN_CONNECT, STUN_REQUEST},
    {"CONNECTION-BIND", STUN_CONNECTION_BIND, STUN_REQUEST},
    {"CONNECTION-ATTEMPT", STUN_CONNECTION_ATTEMPT, STUN_INDICATION},
    {"UNKNOWN-METHOD", 0x0FF, STUN_REQUEST},
};

/* An attribute that the encoder would refuse: raw=0x0019:11. The length that it claims may be
 * another: raw=0x0019:11:400. */
static void put_raw(struct draft *d, const char *text)
{
  char code[16] = {0}, hex[2048] = {0};
  const char *colon = strchr(text, ':');
  const char *claim = colon ? strchr(colon + 1, ':') : NULL;
  const size_t hex_len = !colon ? 0 : claim ? (size_t)(claim - colon - 1) : strlen(colon + 1);
  if (!colon || (size_t)(colon - text) >= sizeof(code) || hex_len >= sizeof(hex))
    script_fail(d->s, "raw=CODE:HEX or raw=CODE:HEX:LENGTH, not '%s'", text);
  memcpy(code, text, (size_t)(colon - text));
  memcpy(hex, colon + 1, hex_len);
  uint8_t *p = d->e.at + d->e.len;
  const size_t len = script_hex(d->s, hex, p + 4, 1024);
  store_be16(p, (uint16_t)script_uint(d->s, code));
  store_be16(p + 2, (uint16_t)(claim ? script_uint(d->s, claim + 1) : len));
  const size_t padded = (len + 3) / 4 * 4;
  memset(p + 4 + len, 0, padded - len);
  d->e.len += 4 + padded;
}

/* A number, or the name of one that was expected before. */
static void put_number(struct draft *d, enum stun_attr a, const char *value)
{
  if (!is_variable(value)) {
    stun_put_uint(&d->e, a, (uint32_t)script_uint(d->s, value));
    return;
  }
  const struct variable *v = script_variable(d->s, value, false);
  if (v && v->len == 4)
    stun_put_uint(&d->e, a, load_be32(v->bytes));
  else if (d->s->lenient)
    d->skip = true;
  else
    script_fail(d->s, "nothing was expected as '%s' before", value);
}

static void put_value(struct draft *d, enum stun_attr a, const char *value)
{
  struct addr addr;
  uint8_t bytes[1024];
  const struct variable *v;
  switch (stun_attr_row(a)->kind) {
  case STUN_KIND_U32:
  case STUN_KIND_U8X:
  case STUN_KIND_U16X:
    put_number(d, a, value);
    return;
  case STUN_KIND_ADDR:
  case STUN_KIND_XADDR:
    if (script_addr(d->s, value, &addr))
      stun_put_addr(&d->e, a, &addr);
    return;
  case STUN_KIND_TEXT:
    stun_put_bytes(&d->e, a, value, strlen(value));
    return;
  case STUN_KIND_BYTES:
    v = is_variable(value) ? script_variable(d->s, value, false) : NULL;
    if (v)
      stun_put_bytes(&d->e, a, v->bytes, v->len);
    else if (!is_variable(value))
      stun_put_bytes(&d->e, a, bytes, script_hex(d->s, value, bytes, sizeof(bytes)));
    else if (d->s->lenient)
      d->skip = true;
    else
      script_fail(d->s, "nothing was expected as '%s' before", value);
    return;
  case STUN_KIND_FLAG:
  case STUN_KIND_ERROR:
  case STUN_KIND_LIST16:
  case STUN_KIND_MAC:
  default:
    script_fail(d->s, "%s takes no value here", stun_attr_row(a)->name);
  }
}

static bool put_attr(struct draft *d, const struct word *w)
{
  const char *family = word_value(w, "family");
  const int a = script_attr(w->at);
  if (family) {
    stun_put_uint(&d->e, STUN_ATTR_REQUESTED_ADDRESS_FAMILY, (uint32_t)script_uint(d->s, family));
    return true;
  }
  if (a < 0)
    return false;
  if (a == STUN_ATTR_REQUESTED_TRANSPORT)
    d->transport = true;
  const char *equals = strchr(w->at, '=');
  if (equals)
    put_value(d, (enum stun_attr)a, equals + 1);
  else
    stun_put_bytes(&d->e, (enum stun_attr)a, NULL, 0);
  return true;
}

static bool take_option(struct draft *d, const struct word *w)
{
  const char *value;
  if (word_is(w, "auth"))
    d->sign = true;
  else if (word_is(w, "no-transport"))
    d->transport = true;
  else if (word_is(w, "fingerprint"))
    d->fingerprint = true;
  else if (word_is(w, "wrong-fingerprint"))
    d->fingerprint = d->flip_fingerprint = true;
  else if (word_is(w, "wrong-integrity"))
    d->sign = d->flip_integrity = true;
  else if ((value = word_value(w, "without")) != NULL)
    d->without = (enum stun_attr)script_attr(value);
  else if ((value = word_value(w, "raw")) != NULL)
    put_raw(d, value);
  else if ((value = word_value(w, "tail")) != NULL)
    d->tail = value;
  else if ((value = word_value(w, "cut")) != NULL)
    d->cut = script_uint(d->s, value);
  else if ((value = word_value(w, "grow")) != NULL)
    d->grow = script_uint(d->s, value);
  else if ((value = word_value(w, "length")) != NULL)
    d->length = (long)script_uint(d->s, value);
  else
    return false;
  return true;
}

/* Signs as the client would, or leaves one attribute out. */
static void sign(struct draft *d)
{
  const struct turn_client *c = &d->actor->client;
  if (d->without == STUN_ATTR_COUNT) {
    client_sign(c, &d->e);
  } else {
    const struct stun_key key = client_key(c);
    const struct client_text *text[] = {&c->user, &c->realm, &c->nonce};
    const enum stun_attr attr[] = {STUN_ATTR_USERNAME, STUN_ATTR_REALM, STUN_ATTR_NONCE};
    for (size_t i = 0; i < 3; i++)
      if (attr[i] != d->without)
        stun_put_bytes(&d->e, attr[i], text[i]->at, text[i]->len);
    stun_put_integrity(&d->e, c->integrity, &key);
  }
  if (d->flip_integrity)
    d->e.at[d->e.len - 1] ^= 1;
}

static void finish(struct draft *d)
{
  if (d->sign)
    sign(d);
  d->actor->signed_last = d->sign;
  if (d->tail)
    put_raw(d, d->tail);
  if (d->fingerprint)
    stun_put_fingerprint(&d->e);
  if (d->flip_fingerprint)
    d->e.at[d->e.len - 1] ^= 1;
  if (stun_end(&d->e) < 0)
    script_fail(d->s, "this message cannot be encoded; use raw=");
  if (d->length >= 0)
    store_be16(d->e.at + 2, (uint16_t)d->length);
}

/* A stream hands on whole messages without their padding, and is closed at what is none. */
static size_t framed(struct script *s, struct actor *a)
{
  struct stun_frame frame;
  const bool channel = a->sent_len && a->sent[0] >> 6 == 1;
  const size_t padded = channel ? (a->sent_len + 3) / 4 * 4 : a->sent_len;
  if (padded > sizeof(a->sent))
    script_fail(s, "too long a message");
  memset(a->sent + a->sent_len, 0, padded - a->sent_len);
  if (stun_frame_next((struct bytes){a->sent, padded}, true, &frame) || frame.padded != padded)
    script_fail(s, "a stream hands on no such message: ONLY udp dtls \"why\"");
  return frame.len;
}

static void deliver(struct script *s, struct actor *a)
{
  const enum turn_transport t = a->client.flow.transport;
  const size_t len = t == TURN_TCP || t == TURN_TLS ? framed(s, a) : a->sent_len;
  world_client_input(&s->world, &a->client.flow, a->sent, len);
}

static void send_stun(struct script *s, struct actor *a, const struct method *m,
                      const struct word *w, size_t count)
{
  static struct draft d; /* large, and one at a time */
  d = (struct draft){.s = s, .actor = a, .without = STUN_ATTR_COUNT, .length = -1};
  uint8_t payload[SCRIPT_MESSAGE];
  size_t len;
  client_begin(&a->client, &d.e, d.bytes, SCRIPT_MESSAGE, m->class, m->method);
  for (size_t i = 0; i < count; i++) {
    if (script_payload(s, &w[i], payload, &len))
      stun_put_bytes(&d.e, STUN_ATTR_DATA, payload, len);
    else if (!take_option(&d, &w[i]) && !put_attr(&d, &w[i]))
      script_fail(s, "unknown word '%s'", w[i].at);
  }
  if (m->method == STUN_ALLOCATE && m->class == STUN_REQUEST && !d.transport)
    stun_put_uint(&d.e, STUN_ATTR_REQUESTED_TRANSPORT, 17);
  if (d.skip)
    return;
  finish(&d);
  a->sent_len = d.e.len - d.cut;
  memcpy(a->sent, d.e.at, a->sent_len);
  memset(a->sent + a->sent_len, 0, d.grow);
  a->sent_len += d.grow;
  deliver(s, a);
}

/* CHANNEL 0x4000 "payload" [length=N]: over a stream with its padding, as the framing hands it on.
 */
static void send_channel(struct script *s, struct actor *a, const struct word *w, size_t count)
{
  size_t len = 0;
  if (count < 2 || !script_payload(s, &w[1], a->sent + 4, &len))
    script_fail(s, "SEND c CHANNEL NUMBER \"payload\"");
  const char *claim = count > 2 ? word_value(&w[2], "length") : NULL;
  store_be16(a->sent, (uint16_t)script_uint(s, w[0].at));
  store_be16(a->sent + 2, (uint16_t)(claim ? script_uint(s, claim) : len));
  a->sent_len = 4 + len;
  deliver(s, a);
}

void script_send(struct script *s, const struct word *w, size_t count)
{
  if (count < 2)
    script_fail(s, "SEND CLIENT MESSAGE ...");
  struct actor *a = script_actor(s, &w[0]);
  if (word_is(&w[1], "AGAIN")) {
    deliver(s, a);
    return;
  }
  if (word_is(&w[1], "CHANNEL")) {
    send_channel(s, a, w + 2, count - 2);
    return;
  }
  if (word_is(&w[1], "BYTES") && count == 3) {
    a->sent_len = script_hex(s, w[2].at, a->sent, sizeof(a->sent));
    deliver(s, a);
    return;
  }
  for (size_t i = 0; i < sizeof(methods) / sizeof(methods[0]); i++)
    if (word_is(&w[1], methods[i].name)) {
      send_stun(s, a, &methods[i], w + 2, count - 2);
      return;
    }
  script_fail(s, "unknown message '%s'", w[1].at);
}
