/* Alternate servers, auxiliary listeners, and the list of what this server listens at. */
#include "turn/places.h"

#include <stdio.h>
#include <string.h>

#include "base/err.h"
#include "net/interfaces.h"

enum { PLAIN_PORT = 3478, TLS_PORT = 5349 }; /* RFC 8656 section 3: stun and stuns */

static int read_list(const struct option_list *list, uint16_t port, struct addr *out, size_t *count,
                     struct option_error *error)
{
  *count = 0;
  for (size_t i = 0; i < list->count; i++) {
    if (*count == TURND_PLACES_MAX) {
      snprintf(error->text, sizeof(error->text), "there are more than %d of one kind of servers",
               TURND_PLACES_MAX);
      return -ERR_BAD;
    }
    struct addr *a = &out[*count];
    if (addr_parse(bytes_of(list->item[i]), a) != 0)
      return -ERR_BAD; /* cannot be: the table's check let it pass */
    if (a->port == 0)
      a->port = port;
    ++*count;
  }
  return 0;
}

static int read_family(struct turnd_settings *s)
{
  const char *family = s->options.allocation_default_address_family;
  s->core.default_family = strcmp(family, "ipv6") == 0   ? TURN_DEFAULT_V6
                           : strcmp(family, "keep") == 0 ? TURN_DEFAULT_AS_CLIENT
                                                         : TURN_DEFAULT_V4;
  if (s->options.keep_address_family)
    s->core.default_family = TURN_DEFAULT_AS_CLIENT;
  return 0;
}

int turnd_places_build(struct turnd_settings *s, struct option_error *error)
{
  const struct turnd_options *o = &s->options;
  struct turn_config *c = &s->core;
  if (o->stun_only && o->no_stun) {
    snprintf(error->text, sizeof(error->text),
             "stun-only and no-stun together leave nothing to serve; leave one out");
    return -ERR_BAD;
  }
  c->stun_only = o->stun_only;
  c->no_stun = o->no_stun;
  c->secure_stun = o->secure_stun;
  int r =
      read_list(&o->alternate_server, PLAIN_PORT, s->alternate[0], &c->alternate[0].count, error);
  if (r == 0)
    r = read_list(&o->tls_alternate_server, TLS_PORT, s->alternate[1], &c->alternate[1].count,
                  error);
  if (r == 0)
    r = read_list(&o->aux_server, PLAIN_PORT, s->aux, &c->aux_count, error);
  if (r != 0)
    return r;
  c->alternate[0].row = s->alternate[0];
  c->alternate[1].row = s->alternate[1];
  c->aux = s->aux;
  if (o->alternate_domain != NULL)
    c->alternate_domain = bytes_of(o->alternate_domain);
  turnd_places_look(s);
  return read_family(s);
}

void turnd_places_look(struct turnd_settings *s)
{
  s->core.local = s->local;
  s->core.local_count = net_interfaces(NULL, s->local, TURND_LOCAL_MAX);
  s->core.listener = s->listener;
}

void turnd_places_add(struct turnd_settings *s, const struct addr *listener)
{
  for (size_t i = 0; i < s->core.listener_count; i++)
    if (addr_equal(&s->listener[i], listener))
      return;
  if (s->core.listener_count < TURND_LISTENERS_MAX)
    s->listener[s->core.listener_count++] = *listener;
}

static bool is_here(const struct turn_config *c, const struct addr *a)
{
  for (size_t i = 0; i < c->listener_count; i++) {
    const struct addr *l = &c->listener[i];
    if (addr_equal(l, a))
      return true;
    for (size_t k = 0; addr_is_unspecified(l) && l->port == a->port && k < c->local_count; k++)
      if (addr_equal_ip(&c->local[k], a))
        return true;
  }
  return false;
}

void turnd_places_log(const struct turnd_settings *s, struct log *log)
{
  for (size_t kind = 0; kind < 2; kind++)
    for (size_t i = 0; i < s->core.alternate[kind].count; i++) {
      const struct addr *a = &s->core.alternate[kind].row[i];
      if (is_here(&s->core, a))
        log_event(log, LOG_LEVEL_WARN, "alternate-is-here", LOG_ADDR("address", a),
                  LOG_TEXT("why", "clients that come to this address are served, and not sent on"));
    }
}

void turnd_places_keep(struct turnd_settings *s, const struct turnd_settings *before)
{
  memcpy(s->listener, before->listener, sizeof(s->listener));
  s->core.listener_count = before->core.listener_count;
  memcpy(s->aux, before->aux, sizeof(s->aux));
  s->core.aux_count = before->core.aux_count;
}
