/* What the application's backend said about a hello, read with suspicion: its mistake must not let
 * anybody in, nor do more than it says. Called by auth/asker.c. */
#include <string.h>

#include "base/err.h"
#include "base/json.h"
#include "signal/auth/private.h"

enum { ICE_SIZE = 16 * 1024 };

/* Whether it is a number that is there or not; *out stays where it is not. */
static bool read_number(const json_t *object, const char *name, uint32_t *out)
{
  const json_t *v = json_object_get(object, name);
  if (!v)
    return true;
  if (!json_is_integer(v) || json_integer_value(v) < 0 ||
      json_integer_value(v) >= SIG_AS_CONFIGURED)
    return false;
  *out = (uint32_t)json_integer_value(v);
  return true;
}

static const char *read_ice(const json_t *object, struct sig_verdict *out, char **text)
{
  const json_t *ice = json_object_get(object, "iceServers");
  out->ice_ttl_s = 86400;
  if (!read_number(object, "iceTtl", &out->ice_ttl_s))
    return "its 'iceTtl' is no number of seconds";
  if (!ice)
    return NULL;
  if (!json_is_array(ice))
    return "its 'iceServers' is no array";
  *text = json_dumps(ice, JSON_COMPACT);
  if (!*text || strlen(*text) > ICE_SIZE)
    return "its 'iceServers' is longer than 16 KB";
  out->ice = bytes_of(*text);
  return NULL;
}

static const char *read_limits(const json_t *object, struct sig_verdict *out)
{
  const json_t *limits = json_object_get(object, "limits");
  if (!limits)
    return NULL;
  if (!json_is_object(limits) || !read_number(limits, "messageRate", &out->message_rate) ||
      !read_number(limits, "byteRate", &out->byte_rate) ||
      !read_number(limits, "roomsPerSession", &out->rooms_per_session))
    return "its 'limits' is no object of whole numbers";
  return NULL;
}

const char *auth_verdict_read(struct bytes body, struct sig_verdict *out, json_t **json, char **ice)
{
  static const struct auth_rules rules = {0};
  *json = NULL;
  *ice = NULL;
  *out = (struct sig_verdict){.message_rate = SIG_AS_CONFIGURED,
                              .byte_rate = SIG_AS_CONFIGURED,
                              .rooms_per_session = SIG_AS_CONFIGURED};
  if (json_read(body, AUTH_DEPTH, json) != 0 || !json_is_object(*json))
    return "it is no JSON object, or has a member twice";
  const json_t *allow = json_object_get(*json, "allow");
  if (!json_is_boolean(allow))
    return "its 'allow' is neither true nor false";
  if (json_is_false(allow)) {
    out->err = -ERR_DENIED;
    out->why = "the application does not let you in";
    return NULL;
  }
  const char *why = auth__claims_read(*json, &rules, &out->claims);
  if (!why)
    why = read_ice(*json, out, ice);
  return why ? why : read_limits(*json, out);
}
