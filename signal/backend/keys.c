/* Who the backend is: the keys that its requests bring. */
#include "base/digest.h"
#include "base/json.h"
#include "signal/backend/backend.h"

/* Each key is compared, by digests of one length, so that neither which one it was nor how long
 * the right ones are shows in the time. */
static const struct signald_api_key *find_key(const struct signald_config *config,
                                              struct bytes bearer)
{
  const struct signald_api_key *found = NULL;
  uint8_t digest[SHA256_SIZE];
  digest_sha256(&bearer, 1, digest);
  for (size_t i = 0; i < config->api_key_count; i++) {
    if (bytes_equal_ct(digest, config->api_key[i].digest, sizeof digest))
      found = &config->api_key[i];
  }
  return found;
}

bool backend_is_allowed(struct conn *c)
{
  char text[SIG_TOKEN_SIZE];
  struct bytes bearer = http_bearer(c->wsi, text, sizeof text);
  const struct signald_api_key *key = bearer.len > 0 ? find_key(c->s->config, bearer) : NULL;
  bytes_wipe(text, sizeof text);
  if (key)
    log_event(c->s->log, LOG_LEVEL_DEBUG, "backend-request", LOG_TEXT("key", key->name),
              LOG_ADDR("client", &c->client));
  else
    log_event(c->s->log, LOG_LEVEL_WARN, "backend-refused", LOG_ADDR("client", &c->client),
              LOG_TEXT("why", bearer.len > 0 ? "a key that is none of api-key" : "no key"));
  return key != NULL;
}

int backend_challenge(struct conn *c, const struct http_request *r)
{
  static const char text[] =
      "{\"type\":\"error\",\"code\":\"unauthorized\",\"message\":\"send a key of the server API: "
      "Authorization: Bearer KEY\"}";
  const struct http_answer a = {.status = HTTP_STATUS_UNAUTHORIZED,
                                .type = "application/json",
                                .name = "www-authenticate:",
                                .value = "Bearer realm=\"viaduct\"",
                                .body = {(const uint8_t *)text, sizeof text - 1}};
  return http_send(c, r, &a) ? -1 : http_done(c);
}
