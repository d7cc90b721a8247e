/* Access tokens in scenarios: LOGIN c user=KID token=KEY,LIFETIME,AGE,MAC-KEY[,SERVER], and the
 * keys of the configuration. */
#include <stdlib.h>
#include <string.h>

#include "tests/scenario/turn_script.h"
#include "tests/support/turn_aead.h"

enum { FIELDS = 5 };

/* Views into `text`. */
static size_t split(const char *text, struct bytes field[FIELDS])
{
  size_t count = 0;
  for (const char *from = text; from && count < FIELDS; count++) {
    const char *comma = strchr(from, ',');
    field[count] =
        (struct bytes){(const uint8_t *)from, comma ? (size_t)(comma - from) : strlen(from)};
    from = comma ? comma + 1 : NULL;
  }
  return count;
}

void script_token(struct script *s, struct turn_client *c, const char *value)
{
  struct bytes field[FIELDS];
  const size_t count = split(value, field);
  if (count < 4 || field[3].len > STUN_KEY_MAX)
    script_fail(s, "token=KEY,LIFETIME,AGE,MAC-KEY[,SERVER]");
  const struct fake_token token = {
      .key = field[0],
      .lifetime_s = (uint32_t)strtoul((const char *)field[1].at, NULL, 10),
      .made_s = world_wall_s(&s->world) - (uint64_t)strtoll((const char *)field[2].at, NULL, 10),
      .mac_key = field[3],
      .server_name = count > 4 ? field[4] : s->world.config.server_name,
  };
  c->token.len = fake_token_make(&token, c->token.at, sizeof(c->token.at));
  client_text_set(&c->mac_key, field[3].at, field[3].len);
}

/* KID,KEY[,REALM] */
void script_oauth_key(struct script *s, const char *value)
{
  struct turn_config *c = &s->world.config;
  struct bytes field[FIELDS];
  const char *text = (const char *)world_text(&s->world, value).at;
  const size_t count = split(value, field);
  if (count < 2 || c->oauth_key_count == WORLD_LISTS || field[1].len > 32)
    script_fail(s, "oauth-key=KID,KEY[,REALM]");
  struct turn_oauth_key *key = &s->world.oauth_key[c->oauth_key_count++];
  *key = (struct turn_oauth_key){.key_len = (uint8_t)field[1].len};
  key->kid = (struct bytes){(const uint8_t *)text, field[0].len};
  memcpy(key->key, field[1].at, field[1].len);
  if (count > 2)
    key->realm = (struct bytes){(const uint8_t *)text + (field[2].at - (const uint8_t *)value),
                                field[2].len};
}
