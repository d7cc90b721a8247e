/* A compact token into its parts, and what its header and its claims say. Everything here is from
 * the network; a refusal is a static sentence, so that nothing of a token gets anywhere. Called by
 * auth.c. */
#include <string.h>

#include "base/err.h"
#include "base/json.h"
#include "signal/auth/private.h"

enum { HEADER_SIZE = 1024, CLAIM_SIZE = 256 };

static const char *const alg_names[AUTH_ALG_COUNT] = {
    [AUTH_HS256] = "HS256", [AUTH_RS256] = "RS256", [AUTH_ES256] = "ES256", [AUTH_EDDSA] = "EdDSA"};

/* Also what keeps libcjose's decoder from an assertion, which ends the process: it must never see a
 * length that no bytes have. */
bool auth__is_base64url(struct bytes text)
{
  for (size_t i = 0; i < text.len; i++) {
    uint8_t c = text.at[i];
    if (!((c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-' ||
          c == '_'))
      return false;
  }
  return text.len > 0 && text.len % 4 != 1;
}

/* RFC 7515 section 7.1: BASE64URL(UTF8(JWS Protected Header)) || '.' || BASE64URL(JWS Payload) ||
 * '.' || BASE64URL(JWS Signature). */
static bool cut(struct bytes text, struct bytes part[3])
{
  size_t from = 0, count = 0;
  for (size_t i = 0; i <= text.len; i++) {
    if (i < text.len && text.at[i] != '.')
      continue;
    if (count == 3)
      return false;
    part[count] = (struct bytes){text.at + from, i - from};
    if (!auth__is_base64url(part[count++]))
      return false;
    from = i + 1;
  }
  return count == 3;
}

static struct bytes text_of(const json_t *v)
{
  return (struct bytes){(const uint8_t *)json_string_value(v), json_string_length(v)};
}

static const char *read_alg(const json_t *header, enum auth_alg *out)
{
  const json_t *alg = json_object_get(header, "alg");
  if (!json_is_string(alg))
    return "the token's header has no 'alg'";
  for (unsigned i = 0; i < AUTH_ALG_COUNT; i++) {
    if (bytes_equal(text_of(alg), bytes_of(alg_names[i]))) {
      *out = (enum auth_alg)i;
      return NULL;
    }
  }
  return "the token's 'alg' is not taken here: HS256, RS256, ES256 or EdDSA";
}

static const char *read_header(const json_t *header, struct auth_token *out)
{
  if (!json_is_object(header))
    return "the token's header is no JSON object";
  /* RFC 7515 section 4.1.11: "If any of the listed extension Header Parameters are not understood
   * and supported by the recipient, then the JWS is invalid." None is. */
  if (json_object_get(header, "crit"))
    return "the token's header has 'crit', and no extension is understood here";
  const json_t *kid = json_object_get(header, "kid"), *typ = json_object_get(header, "typ");
  if (typ && !json_is_string(typ))
    return "the token's 'typ' is no text";
  if (kid && (!json_is_string(kid) || json_string_length(kid) > AUTH_KID_SIZE))
    return "the token's 'kid' is no text of up to 128 bytes";
  out->kid_len = json_string_length(kid);
  if (out->kid_len > 0)
    memcpy(out->kid, json_string_value(kid), out->kid_len);
  return read_alg(header, &out->alg);
}

const char *auth__token_read(struct bytes text, struct auth_token *out)
{
  struct bytes part[3];
  uint8_t raw[HEADER_SIZE];
  json_t *header = NULL;
  if (text.len == 0)
    return "a token is needed: hello.token, or Authorization: Bearer";
  if (text.len > SIG_TOKEN_SIZE)
    return "the token is longer than 8192 bytes";
  if (!cut(text, part))
    return "the token is no signed JWT: three parts of base64url with dots between them";
  *out = (struct auth_token){.text = text,
                             .signed_by = {text.at, part[0].len + 1 + part[1].len},
                             .payload = part[1],
                             .signature = part[2]};
  int len = base64_decode(part[0], raw, sizeof raw);
  if (len < 0)
    return "the token's header is no base64url, or longer than 1024 bytes";
  if (json_read((struct bytes){raw, (size_t)len}, AUTH_DEPTH, &header) != 0)
    return "the token's header is no JSON object, or has a member twice";
  const char *why = read_header(header, out);
  json_decref(header);
  return why;
}

/* RFC 7519 section 2, NumericDate: seconds since 1970, and non-integer values can be represented.
 * At least 1, since 0 stands for a claim that is not there. */
static bool read_date(const json_t *v, uint64_t *out)
{
  if (!json_is_number(v))
    return false;
  double d = json_number_value(v);
  *out = d < 1 ? 1 : d > 9e15 ? (uint64_t)9e15 : (uint64_t)d;
  return true;
}

static const char *read_dates(const json_t *claims, uint32_t leeway_s, struct sig_claims *out)
{
  const json_t *exp = json_object_get(claims, "exp"), *nbf = json_object_get(claims, "nbf"),
               *iat = json_object_get(claims, "iat");
  if (exp && !read_date(exp, &out->exp_s))
    return "the token's 'exp' is no number";
  if (nbf && !read_date(nbf, &out->nbf_s))
    return "the token's 'nbf' is no number";
  if (iat && !json_is_number(iat))
    return "the token's 'iat' is no number";
  if (exp)
    out->exp_s += leeway_s;
  out->nbf_s = out->nbf_s > leeway_s ? out->nbf_s - leeway_s : 0;
  return NULL;
}

/* A room's name has no control characters, so these would never match; and the core's list of them
 * is a row of C strings. */
static bool is_room(const json_t *v)
{
  struct bytes name = text_of(v);
  if (!json_is_string(v) || name.len == 0 || name.len > CLAIM_SIZE)
    return false;
  for (size_t i = 0; i < name.len; i++) {
    if (name.at[i] < ' ')
      return false;
  }
  return true;
}

static const char *read_rooms(const json_t *claims, struct sig_claims *out)
{
  const json_t *rooms = json_object_get(claims, "rooms"), *room;
  size_t i;
  out->any_room = !rooms;
  if (!rooms)
    return NULL;
  if (!json_is_array(rooms))
    return "the token's 'rooms' is no array";
  if (json_array_size(rooms) > SIG_CLAIM_ROOMS)
    return "the token's 'rooms' has more than 32 names; use prefixes (\"team-*\")";
  json_array_foreach(rooms, i, room)
  {
    if (!is_room(room))
      return "the token's 'rooms' has something that is no name of a room";
    out->room[out->room_count++] = text_of(room);
  }
  return NULL;
}

/* A verb that we do not know is one of a later version, and allows nothing here. */
static const char *read_can(const json_t *claims, struct sig_claims *out)
{
  static const struct {
    const char *name;
    uint32_t bit;
  } verbs[] = {{"join", SIG_CAN_JOIN},
               {"signal", SIG_CAN_SIGNAL},
               {"broadcast", SIG_CAN_BROADCAST},
               {"kick", SIG_CAN_KICK}};
  const json_t *can = json_object_get(claims, "can"), *verb;
  size_t i;
  out->can = can ? 0 : SIG_CAN_BY_DEFAULT;
  if (can && !json_is_array(can))
    return "the token's 'can' is no array";
  json_array_foreach(can, i, verb)
  {
    if (!json_is_string(verb))
      return "the token's 'can' has something that is no text";
    for (size_t k = 0; k < sizeof verbs / sizeof verbs[0]; k++) {
      if (bytes_equal(text_of(verb), bytes_of(verbs[k].name)))
        out->can |= verbs[k].bit;
    }
  }
  return NULL;
}

/* RFC 7519 section 4.1.3: "If the principal processing the claim does not identify itself with a
 * value in the "aud" claim when this claim is present, then the JWT MUST be rejected." So a token
 * for an audience is none for a server without. */
static const char *check_audience(const json_t *claims, const char *audience)
{
  const json_t *aud = json_object_get(claims, "aud"), *one;
  size_t i;
  if (!aud)
    return audience ? "the token has no 'aud', and this server takes only tokens for itself" : NULL;
  if (!audience)
    return "the token is for some audience, and this server has no auth-audience";
  if (json_is_string(aud) && bytes_equal(text_of(aud), bytes_of(audience)))
    return NULL;
  json_array_foreach(aud, i, one)
  {
    if (json_is_string(one) && bytes_equal(text_of(one), bytes_of(audience)))
      return NULL;
  }
  return "the token is for another audience";
}

static const char *check_issuer(const json_t *claims, const char *issuer)
{
  const json_t *iss = json_object_get(claims, "iss");
  if (iss && !json_is_string(iss))
    return "the token's 'iss' is no text";
  if (issuer && (!iss || !bytes_equal(text_of(iss), bytes_of(issuer))))
    return "the token is of another issuer";
  return NULL;
}

const char *auth__claims_read(const json_t *json, const struct auth_rules *rules,
                              struct sig_claims *out)
{
  if (!json_is_object(json))
    return "the token's claims are no JSON object";
  const json_t *sub = json_object_get(json, "sub");
  if (sub && (!json_is_string(sub) || json_string_length(sub) > CLAIM_SIZE))
    return "the token's 'sub' is no text of up to 256 bytes";
  out->sub = sub ? text_of(sub) : (struct bytes){0};
  const char *why = check_issuer(json, rules->issuer);
  if (!why)
    why = check_audience(json, rules->audience);
  if (!why)
    why = read_dates(json, rules->leeway_s, out);
  if (!why)
    why = read_rooms(json, out);
  return why ? why : read_can(json, out);
}
