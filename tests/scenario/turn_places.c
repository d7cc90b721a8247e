/* CONFIG words about places: other servers, this server's own listeners, and what it serves. */
#include "tests/scenario/turn_script.h"

static void add_addr(struct script *s, struct addr list[WORLD_LISTS], size_t *count,
                     const char *value)
{
  if (*count == WORLD_LISTS)
    script_fail(s, "more than %d addresses", WORLD_LISTS);
  script_addr(s, value, &list[(*count)++]);
}

static bool set_family(struct script *s, const char *value)
{
  struct turn_config *c = &s->world.config;
  const struct word w = {.at = (char *)(uintptr_t)value};
  if (word_is(&w, "ipv4"))
    c->default_family = TURN_DEFAULT_V4;
  else if (word_is(&w, "ipv6"))
    c->default_family = TURN_DEFAULT_V6;
  else if (word_is(&w, "keep"))
    c->default_family = TURN_DEFAULT_AS_CLIENT;
  else
    script_fail(s, "default-family=ipv4|ipv6|keep");
  return true;
}

static bool set_flag(struct script *s, const struct word *w)
{
  struct turn_config *c = &s->world.config;
  if (word_is(w, "stun-only"))
    c->stun_only = true;
  else if (word_is(w, "no-stun"))
    c->no_stun = true;
  else if (word_is(w, "secure-stun"))
    c->secure_stun = true;
  else if (word_is(w, "relay-as-reached"))
    c->relay_as_reached = true;
  else if (word_is(w, "virtual"))
    c->relay_virtual = true;
  else if (word_is(w, "no-alternates"))
    c->alternate[0].count = c->alternate[1].count = 0;
  else
    return false;
  return true;
}

bool script_config_place(struct script *s, const struct word *w)
{
  struct world *world = &s->world;
  struct turn_config *c = &world->config;
  const char *value;
  if ((value = word_value(w, "alternate")) != NULL)
    add_addr(s, world->alternate[0], &c->alternate[0].count, value);
  else if ((value = word_value(w, "tls-alternate")) != NULL)
    add_addr(s, world->alternate[1], &c->alternate[1].count, value);
  else if ((value = word_value(w, "alternate-domain")) != NULL)
    c->alternate_domain = world_text(world, value);
  else if ((value = word_value(w, "listener")) != NULL)
    add_addr(s, world->listener, &c->listener_count, value);
  else if ((value = word_value(w, "local")) != NULL)
    add_addr(s, world->local, &c->local_count, value);
  else if ((value = word_value(w, "neighbour")) != NULL)
    add_addr(s, world->neighbour, &world->neighbour_count, value);
  else if ((value = word_value(w, "default-family")) != NULL)
    return set_family(s, value);
  else
    return set_flag(s, w);
  return true;
}
