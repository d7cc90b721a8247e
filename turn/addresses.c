/* Where it relays: relay-ip, relay-device, the listening addresses, or what the route to the
 * internet takes; and what clients are told in place of each. */
#include "turn/addresses.h"

#include <stdio.h>
#include <string.h>

#include "base/err.h"
#include "net/interfaces.h"
#include "net/options.h"
#include "net/sockaddr.h"
#include "turn/discovery.h"

static int add_relay(struct turnd_settings *s, const struct addr *a)
{
  for (size_t i = 0; i < s->core.relay_count; i++)
    if (addr_equal_ip(&s->relay[i].local, a))
      return 0;
  if (s->core.relay_count == TURND_PLACES_MAX)
    return -ERR_FULL;
  s->relay[s->core.relay_count++] = (struct turn_relay_address){.local = *a};
  return 0;
}

/* Those of `list` that are of this family and name one address. */
static int add_relays(struct turnd_settings *s, const struct option_list *list,
                      enum addr_family family)
{
  for (size_t i = 0; i < list->count; i++) {
    struct addr a;
    if (addr_parse(bytes_of(list->item[i]), &a) != 0 || a.family != family ||
        addr_is_unspecified(&a))
      continue;
    const int r = add_relay(s, &a);
    if (r != 0)
      return r;
  }
  return 0;
}

/* What this machine would use towards the internet: documentation addresses (RFC 5737, RFC 3849)
 * take the default route, and nothing is sent. */
static struct addr default_relay(enum addr_family family)
{
  struct addr far = addr_v4(198, 51, 100, 1, 9);
  if (family == ADDR_V6)
    far = addr_from_ip((const uint8_t[16]){0x20, 1, 0x0d, 0xb8, [15] = 1}, 16, 9);
  return net_sockaddr_toward(&far);
}

static int find_relays(struct turnd_settings *s, enum addr_family family)
{
  const struct turnd_options *o = &s->options;
  const size_t before = s->core.relay_count;
  struct addr device[TURND_PLACES_MAX];
  const size_t count =
      o->relay_device != NULL ? net_interfaces(o->relay_device, device, TURND_PLACES_MAX) : 0;
  if (o->relay_ip.count > 0)
    return add_relays(s, &o->relay_ip, family);
  for (size_t i = 0; i < count; i++)
    if (device[i].family == family && device[i].scope == 0 && add_relay(s, &device[i]) != 0)
      return -ERR_FULL;
  if (o->relay_device != NULL)
    return 0;
  s->core.relay_as_reached = true;
  int r = add_relays(s, &o->listening_ip, family);
  for (size_t i = 0; r == 0 && s->core.relay_count == before && i < s->listen_count; i++)
    if (s->listen[i].family == family && addr_is_unspecified(&s->listen[i])) {
      const struct addr a = default_relay(family);
      if (a.family != ADDR_NONE)
        r = add_relay(s, &a);
    }
  return r;
}

static int apply_external(struct turnd_settings *s, const char *text, struct option_error *error)
{
  struct turnd_external e;
  if (turnd_parse_external(bytes_of(text), &e) != 0)
    return -ERR_BAD;
  bool found = turnd_discovery_tell(s, &e);
  for (size_t i = 0; i < s->core.relay_count; i++) {
    struct turn_relay_address *relay = &s->relay[i];
    bool meant = e.private.family == ADDR_NONE ? relay->local.family == e.public.family
                                               : addr_equal_ip(&relay->local, &e.private);
    if (meant)
      relay->external = e.public;
    found = found || meant;
  }
  if (found)
    return 0;
  if (e.private.family == ADDR_NONE)
    return net_options_fail(
        error, "external-ip=%s has no relay address of its family; set relay-ip", text);
  return net_options_fail(
      error, "external-ip=%s: the private address is no relay address; set relay-ip to it", text);
}

int turnd_addresses_build(struct turnd_settings *s, struct option_error *error)
{
  const struct turnd_options *o = &s->options;
  static const enum addr_family families[] = {ADDR_V4, ADDR_V6};
  for (size_t i = 0; i < 2; i++)
    if (find_relays(s, families[i]) != 0)
      return net_options_fail(error, "there are more than %d relay-ip; leave some out",
                              TURND_PLACES_MAX);
  if (s->core.relay_count == 0)
    return net_options_fail(error,
                            "no address for relayed traffic could be found; set relay-ip=ADDRESS");
  s->core.relay = s->relay;
  for (size_t i = 0; i < o->external_ip.count; i++) {
    int r = apply_external(s, o->external_ip.item[i], error);
    if (r != 0)
      return r;
  }
  if (o->min_port > o->max_port)
    return net_options_fail(error, "min-port %u is above max-port %u; swap them",
                            (unsigned)o->min_port, (unsigned)o->max_port);
  s->core.min_port = (uint16_t)o->min_port;
  s->core.max_port = (uint16_t)o->max_port;
  s->core.relay_virtual = strcmp(o->relay_mode, "virtual") == 0;
  return 0;
}
