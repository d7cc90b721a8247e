/* Who may connect and what they may do: the Origin of a page, and the claims of a token. */
#include <string.h>

#include "signal/core/core.h"

int sig__auth_check(struct sig *s, struct bytes token, uint64_t wall_s, struct sig_claims *out,
                    const char **why)
{
  memset(out, 0, sizeof(*out));
  *why = "the token is not valid here";
  if (s->config->auth == NULL) {
    out->can = SIG_CAN_BY_DEFAULT;
    out->any_room = true;
    return 0;
  }
  if (s->config->auth(s->config->auth_arg, token, out, why) != 0) {
    return -ERR_DENIED;
  }
  /* RFC 7519 section 4.1.4: "The "exp" claim identifies the expiration time on or after which the
   * JWT MUST NOT be accepted for processing." */
  if (out->exp_s != 0 && out->exp_s <= wall_s) {
    *why = "the token has expired; ask the application for a new one";
    return -ERR_DENIED;
  }
  /* Section 4.1.5: "The "nbf" (not before) claim identifies the time before which the JWT MUST NOT
   * be accepted for processing." */
  if (out->nbf_s > wall_s) {
    *why = "the token is not good yet; do the clocks agree?";
    return -ERR_DENIED;
  }
  return 0;
}

int sig_check_token(struct sig *s, struct bytes token, uint64_t now_ms, const char **why)
{
  struct sig_claims claims;
  if (s->config->asks) {
    *why = "iceServers come with the welcome of a session here";
    return -ERR_DENIED;
  }
  return sig__auth_check(s, token, sig__wall_s(s, now_ms), &claims, why);
}

static int take_ice(struct sig *s, const struct sig_verdict *verdict, struct sig_grant *out)
{
  if (verdict->ice.len == 0) {
    return 0;
  }
  out->ice = mem_new(s->mem, verdict->ice.len);
  if (out->ice == NULL) {
    return -ERR_NOMEM;
  }
  memcpy(out->ice, verdict->ice.at, verdict->ice.len);
  out->ice_len = (uint32_t)verdict->ice.len;
  out->ice_ttl_s = verdict->ice_ttl_s;
  return 0;
}

int sig__grant_take(struct sig *s, const struct sig_verdict *verdict, struct sig_grant *out)
{
  const struct sig_claims *claims = &verdict->claims;
  size_t size = 0;
  for (size_t i = 0; i < claims->room_count; i++) {
    size += claims->room[i].len + 1;
  }
  if (size > UINT32_MAX) {
    return -ERR_NOMEM;
  }
  char *rooms = NULL;
  if (size > 0) {
    rooms = mem_new(s->mem, size);
    if (rooms == NULL) {
      return -ERR_NOMEM;
    }
  }
  size_t at = 0;
  for (size_t i = 0; i < claims->room_count; i++) {
    if (claims->room[i].len > 0) {
      memcpy(rooms + at, claims->room[i].at, claims->room[i].len);
    }
    at += claims->room[i].len + 1;
  }
  *out = (struct sig_grant){.can = claims->can,
                            .any_room = claims->any_room,
                            .rooms = rooms,
                            .rooms_size = (uint32_t)size,
                            .message_rate = verdict->message_rate,
                            .byte_rate = verdict->byte_rate,
                            .rooms_per_session = verdict->rooms_per_session};
  return take_ice(s, verdict, out);
}

void sig__grant_fini(struct sig *s, struct sig_grant *grant)
{
  mem_free(s->mem, grant->rooms, grant->rooms_size);
  grant->rooms = NULL;
  mem_free(s->mem, grant->ice, grant->ice_len);
  grant->ice = NULL;
}

/* "name", or "prefix*". */
static bool is_match(struct bytes pattern, struct bytes room)
{
  if (pattern.len > 0 && pattern.at[pattern.len - 1] == '*') {
    size_t prefix = pattern.len - 1;
    return room.len >= prefix && (prefix == 0 || memcmp(room.at, pattern.at, prefix) == 0);
  }
  return bytes_equal(pattern, room);
}

bool sig__grant_has_room(const struct sig_grant *grant, struct bytes room)
{
  if (grant->any_room) {
    return true;
  }
  for (size_t at = 0; at < grant->rooms_size;) {
    struct bytes pattern = bytes_of(grant->rooms + at);
    if (is_match(pattern, room)) {
      return true;
    }
    at += pattern.len + 1;
  }
  return false;
}

struct origin {
  struct bytes scheme, host, port; /* port is empty where it is the scheme's own */
};

static uint8_t lower(uint8_t c)
{
  return c >= 'A' && c <= 'Z' ? (uint8_t)(c + 0x20) : c;
}

/* Schemes and host names ignore the case (RFC 3986 section 6.2.2.1). */
static bool equal_nocase(struct bytes a, struct bytes b)
{
  if (a.len != b.len) {
    return false;
  }
  for (size_t i = 0; i < a.len; i++) {
    if (lower(a.at[i]) != lower(b.at[i])) {
      return false;
    }
  }
  return true;
}

static struct bytes cut(struct bytes b, size_t from, size_t to)
{
  return (struct bytes){b.at + from, to - from};
}

/* "host", "host:port", "[v6]", "[v6]:port". */
static void split_host(struct bytes authority, struct origin *out)
{
  size_t colon = authority.len;
  for (size_t i = authority.len; i > 0 && authority.at[i - 1] != ']'; i--) {
    if (authority.at[i - 1] == ':') {
      colon = i - 1;
      break;
    }
  }
  out->host = cut(authority, 0, colon);
  out->port = colon < authority.len ? cut(authority, colon + 1, authority.len) : SIG_LIT("");
}

static void drop_own_port(struct origin *o)
{
  bool own = (equal_nocase(o->scheme, SIG_LIT("https")) && bytes_equal(o->port, SIG_LIT("443"))) ||
             (equal_nocase(o->scheme, SIG_LIT("http")) && bytes_equal(o->port, SIG_LIT("80")));
  if (own) {
    o->port = SIG_LIT("");
  }
}

/* RFC 6454 section 6.2: scheme "://" host [ ":" port ]. */
static bool split_origin(struct bytes text, struct origin *out)
{
  for (size_t i = 0; i + 3 <= text.len; i++) {
    if (memcmp(text.at + i, "://", 3) == 0) {
      out->scheme = cut(text, 0, i);
      split_host(cut(text, i + 3, text.len), out);
      drop_own_port(out);
      return out->scheme.len > 0 && out->host.len > 0;
    }
  }
  return false;
}

static bool is_host_match(struct bytes pattern, struct bytes host)
{
  if (pattern.len < 2 || pattern.at[0] != '*' || pattern.at[1] != '.') {
    return equal_nocase(pattern, host);
  }
  /* "*.example.org" is any name below, never example.org itself. */
  struct bytes suffix = cut(pattern, 1, pattern.len);
  return host.len > suffix.len && equal_nocase(suffix, cut(host, host.len - suffix.len, host.len));
}

bool sig_origin_is_allowed(const struct bytes *entry, size_t count, struct bytes origin,
                           struct bytes host)
{
  if (origin.len == 0) {
    return true;
  }
  struct origin page, allowed = {0};
  bool known = split_origin(origin, &page);
  for (size_t i = 0; i < count; i++) {
    if (bytes_equal(entry[i], SIG_LIT("*"))) {
      return true;
    }
    if (known && split_origin(entry[i], &allowed) && equal_nocase(allowed.scheme, page.scheme) &&
        is_host_match(allowed.host, page.host) && bytes_equal(allowed.port, page.port)) {
      return true;
    }
  }
  if (count > 0 || !known || host.len == 0) {
    return false;
  }
  allowed.scheme = page.scheme;
  split_host(host, &allowed);
  drop_own_port(&allowed);
  return equal_nocase(allowed.host, page.host) && bytes_equal(allowed.port, page.port);
}
