/* RFC 5780 in turnd: the first two listening-ip of a family, with listening-port and
 * alt-listening-port. settings.c builds them, server.c has the ports chosen, listen.c opens them;
 * what is answered stands in stun/core/respond.c. */
#include "turn/discovery.h"

#include <stdio.h>
#include <unistd.h>

#include "base/err.h"
#include "net/sockaddr.h"

enum { CHOOSE_TRIES = 32 }; /* ports that the system offers, until one is free everywhere */

static bool is_off(const struct turnd_options *o)
{
  return !o->rfc5780 || o->no_rfc5780;
}

static void add_quad(struct turnd_settings *s, enum addr_family family, uint16_t alternate)
{
  struct stun_quad q = {.port = {(uint16_t)s->options.listening_port, alternate}};
  size_t count = 0;
  for (size_t i = 0; i < s->listen_count && count < 2; i++)
    if (s->listen[i].family == family && !addr_is_unspecified(&s->listen[i]))
      q.ip[count++] = s->listen[i];
  if (count == 2)
    s->quad[s->core.quad_count++] = q;
}

int turnd_discovery_build(struct turnd_settings *s, struct option_error *error)
{
  const struct turnd_options *o = &s->options;
  uint64_t port = o->listening_port, alternate = o->alt_listening_port;
  s->core.quad = s->quad;
  s->core.quad_count = 0;
  if (is_off(o))
    return 0;
  if (alternate == 0 && port != 0)
    alternate = port + 1;
  add_quad(s, ADDR_V4, (uint16_t)alternate);
  add_quad(s, ADDR_V6, (uint16_t)alternate);
  bool same = port != 0 && (alternate == port || alternate == o->tls_listening_port);
  if (s->core.quad_count == 0 || (alternate <= UINT16_MAX && !same))
    return 0;
  snprintf(error->text, sizeof(error->text),
           "alt-listening-port has to be another port than listening-port=%u and "
           "tls-listening-port, up to 65535; choose one, or say no-rfc5780",
           (unsigned)port);
  return -ERR_BAD;
}

bool turnd_discovery_tell(struct turnd_settings *s, const struct turnd_external *e)
{
  bool found = false;
  for (size_t i = 0; i < 2 * s->core.quad_count; i++) {
    struct stun_quad *q = &s->quad[i / 2];
    if (e->private.family == ADDR_NONE || !addr_equal_ip(&q->ip[i % 2], &e->private))
      continue;
    q->told[i % 2] = e->public;
    found = true;
  }
  return found;
}

/* Takes the address alone for a moment: 0 with its port in *at, or -ERR_*. */
static int try_at(int type, struct addr *at, struct net_error *e)
{
  const struct net_bind bind = {
      .type = type, .at = at, .program = "viaduct-turnd", .mend = "listening-port"};
  int fd = net_bind(&bind, e);
  if (fd < 0)
    return fd;
  *at = net_sockaddr_local(fd);
  close(fd);
  return 0;
}

/* Whether both transports are free at all four. */
static bool is_free(const struct stun_quad *q)
{
  for (int i = 0; i < 8; i++) {
    struct addr at = q->ip[i & 1];
    at.port = q->port[(i >> 1) & 1];
    if (try_at(i & 4 ? SOCK_STREAM : SOCK_DGRAM, &at, NULL) != 0)
      return false;
  }
  return true;
}

int turnd_discovery_choose(struct turnd_settings *s, struct net_error *e)
{
  uint16_t alternate = (uint16_t)s->options.alt_listening_port;
  if (s->core.quad_count == 0 || s->options.listening_port != 0)
    return 0;
  for (int tries = 0; tries < CHOOSE_TRIES; tries++) {
    struct addr at = s->quad[0].ip[0];
    bool good = true;
    int err = try_at(SOCK_DGRAM, &at, e);
    if (err)
      return err;
    /* All listeners of turnd share one port, so both families share the second one too. */
    for (size_t i = 0; i < s->core.quad_count; i++) {
      struct stun_quad *q = &s->quad[i];
      q->port[0] = at.port;
      q->port[1] = alternate != 0 ? alternate : (uint16_t)(at.port + 1);
      good = good && q->port[1] != 0 && q->port[0] != q->port[1] && is_free(q);
    }
    if (good)
      return 0;
  }
  net_error_set(e, "found no port that is free at both listening-ip; give listening-port one");
  return -ERR_BUSY;
}

void turnd_discovery_log(const struct turnd_settings *s, struct log *log)
{
  for (size_t i = 0; i < s->core.quad_count; i++) {
    const struct stun_quad *q = &s->quad[i];
    struct addr first = q->ip[0], other = q->ip[1];
    first.port = q->port[0];
    other.port = q->port[1];
    log_event(log, LOG_LEVEL_INFO, "rfc5780", LOG_ADDR("address", &first),
              LOG_ADDR("other", &other));
  }
  if (s->core.quad_count == 0)
    log_event(log, LOG_LEVEL_INFO, "rfc5780-off",
              LOG_TEXT("reason", is_off(&s->options) ? "it is switched off by rfc5780 or no-rfc5780"
                                                     : "it needs two listening-ip of one family"));
}
