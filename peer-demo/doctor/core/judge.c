/* See doctor.h. Each way is judged by the step that it did not get beyond; what several ways have
 * in common, as a network that blocks UDP, is said once. */
#include <string.h>

#include "peer-demo/doctor/core/doctor.h"

enum { ENOUGH_PERCENT = 98, SKEW_S = 30 };

static const struct doctor_row rows[DOCTOR_CAUSE_COUNT] = {
#define CAUSE(NAME, name, severity, what, mend)                                                    \
  [DOCTOR_CAUSE_##NAME] = {name, DOCTOR_##severity, what, mend},
#include "peer-demo/doctor/core/cause.def"
#undef CAUSE
};

const struct doctor_row *doctor_row(enum doctor_cause cause)
{
  return &rows[cause];
}

const char *doctor_step_name(enum doctor_step step)
{
  static const char *const name[] = {
      [DOCTOR_RESOLVE] = "resolve", [DOCTOR_CONNECT] = "connect",   [DOCTOR_SECURE] = "secure",
      [DOCTOR_BIND] = "bind",       [DOCTOR_ALLOCATE] = "allocate", [DOCTOR_PERMIT] = "permit",
      [DOCTOR_ECHO] = "echo",       [DOCTOR_DONE] = "done"};
  return name[step];
}

uint64_t doctor_expiry(struct bytes username)
{
  const uint8_t *colon = username.len > 0 ? memchr(username.at, ':', username.len) : NULL;
  struct bytes digits = {username.at, colon ? (size_t)(colon - username.at) : username.len};
  uint64_t value;
  return parse_uint(digits, UINT64_MAX, &value) == 0 ? value : 0;
}

static void add(struct doctor_verdict *v, enum doctor_cause cause, int probe)
{
  if (v->count < DOCTOR_FINDINGS)
    v->finding[v->count++] = (struct doctor_finding){cause, probe};
}

static bool is_udp(const struct doctor_probe *p)
{
  return p->uri.transport == URI_UDP || p->uri.transport == URI_DTLS;
}

/* Whether the server said anything at all on this way. */
static bool answered(const struct doctor_probe *p)
{
  return p->step > DOCTOR_BIND || (p->step == DOCTOR_BIND && p->fault == DOCTOR_ERROR) ||
         p->certificate.seen;
}

static bool passes(const struct doctor_facts *f, bool udp)
{
  for (size_t i = 0; i < f->count; i++) {
    if (is_udp(&f->probe[i]) == udp && answered(&f->probe[i]))
      return true;
  }
  return false;
}

/* Nobody reaches these from another network: RFC 1918, 6598, 3927, 4193, 4291. */
static bool is_private(const struct addr *a)
{
  static const char *const ranges[] = {"10.0.0.0/8",    "172.16.0.0/12",  "192.168.0.0/16",
                                       "100.64.0.0/10", "169.254.0.0/16", "127.0.0.0/8",
                                       "fc00::/7",      "fe80::/10",      "::1"};
  struct addr_range range;
  for (size_t i = 0; i < sizeof ranges / sizeof ranges[0]; i++) {
    if (addr_range_parse(bytes_of(ranges[i]), &range) == 0 && addr_range_has(&range, a))
      return true;
  }
  return false;
}

static enum doctor_cause why_silent(const struct doctor_facts *f, const struct doctor_probe *p)
{
  bool all_udp = is_udp(p) && !passes(f, true) && passes(f, false);
  return all_udp ? DOCTOR_CAUSE_UDP_BLOCKED : DOCTOR_CAUSE_SILENT;
}

static enum doctor_cause why_not_reached(const struct doctor_facts *f, const struct doctor_probe *p)
{
  switch (p->fault) {
  case DOCTOR_NO_ADDRESS:
    return DOCTOR_CAUSE_NO_NAME;
  case DOCTOR_UNREACHABLE:
    return DOCTOR_CAUSE_NO_ROUTE;
  case DOCTOR_REFUSED:
    return DOCTOR_CAUSE_NO_SUCH_PORT;
  case DOCTOR_NO_FAULT:
  case DOCTOR_TIMEOUT:
  case DOCTOR_BROKEN:
  case DOCTOR_ERROR:
    break;
  }
  return why_silent(f, p);
}

/* 401 behind a challenge that was answered. Credentials that were made here and are good by this
 * clock can have expired by the server's alone. */
static enum doctor_cause why_refused_credentials(const struct doctor_facts *f)
{
  if (f->expires_s != 0 && f->expires_s <= f->now_s)
    return DOCTOR_CAUSE_EXPIRED;
  if (f->expires_s != 0 && f->server_s > f->now_s + SKEW_S && f->expires_s <= f->server_s)
    return DOCTOR_CAUSE_CLOCK;
  return f->has_secret ? DOCTOR_CAUSE_WRONG_SECRET : DOCTOR_CAUSE_WRONG_PASSWORD;
}

static enum doctor_cause why_not_allocated(const struct doctor_facts *f,
                                           const struct doctor_probe *p)
{
  if (p->fault != DOCTOR_ERROR)
    return DOCTOR_CAUSE_NO_TURN;
  switch (p->code) {
  case 401:
  case 441: /* RFC 8656: Wrong Credentials */
    return why_refused_credentials(f);
  case 400: /* what a server that knows Binding alone answers */
    return DOCTOR_CAUSE_NO_TURN;
  case 403:
    return DOCTOR_CAUSE_FORBIDDEN;
  case 486:
    return DOCTOR_CAUSE_QUOTA;
  case 508:
    return DOCTOR_CAUSE_CAPACITY;
  default:
    return DOCTOR_CAUSE_REFUSED;
  }
}

static enum doctor_cause why_not_permitted(const struct doctor_probe *p)
{
  if (p->fault != DOCTOR_ERROR)
    return DOCTOR_CAUSE_STOPPED;
  return p->code == 403 ? DOCTOR_CAUSE_PEER_DENIED : DOCTOR_CAUSE_REFUSED;
}

static enum doctor_cause why_no_echo(const struct doctor_probe *p)
{
  /* A private address explains all that is missing, where the server's own is public. */
  if (is_private(&p->relayed) && !is_private(&p->server))
    return DOCTOR_CAUSE_RELAY_PRIVATE;
  return p->outside_tried && !p->outside_came ? DOCTOR_CAUSE_RELAY_BLOCKED
                                              : DOCTOR_CAUSE_RELAY_DEAD;
}

static void judge_certificate(struct doctor_verdict *v, const struct doctor_probe *p, int index)
{
  const struct doctor_certificate *c = &p->certificate;
  if (!c->seen)
    return;
  if (c->left_s < 0)
    add(v, DOCTOR_CAUSE_CERT_EXPIRED, index);
  else if (!c->trusted)
    add(v, DOCTOR_CAUSE_CERT_UNTRUSTED, index);
  else if (!c->named)
    add(v, DOCTOR_CAUSE_CERT_NAME, index);
  else if (c->left_s < DOCTOR_SOON_S)
    add(v, DOCTOR_CAUSE_CERT_SOON, index);
}

/* A client refuses such a server, whatever works behind it. */
static bool is_refused_by_clients(const struct doctor_probe *p)
{
  const struct doctor_certificate *c = &p->certificate;
  return c->seen && (c->left_s < 0 || !c->trusted || !c->named);
}

static void judge_step(const struct doctor_facts *f, struct doctor_verdict *v, int index)
{
  const struct doctor_probe *p = &f->probe[index];
  switch (p->step) {
  case DOCTOR_RESOLVE:
  case DOCTOR_CONNECT:
  case DOCTOR_BIND:
    add(v, why_not_reached(f, p), index);
    break;
  case DOCTOR_SECURE:
    add(v, p->fault == DOCTOR_BROKEN ? DOCTOR_CAUSE_TLS_FAILED : why_not_reached(f, p), index);
    break;
  case DOCTOR_ALLOCATE:
    add(v, why_not_allocated(f, p), index);
    break;
  case DOCTOR_PERMIT:
    add(v, why_not_permitted(p), index);
    break;
  case DOCTOR_ECHO:
    add(v, why_no_echo(p), index);
    break;
  case DOCTOR_DONE:
    if (p->sent > 0 && p->received * 100 < p->sent * ENOUGH_PERCENT)
      add(v, DOCTOR_CAUSE_LOSS, index);
    break;
  }
}

void doctor_judge(const struct doctor_facts *facts, struct doctor_verdict *out)
{
  *out = (struct doctor_verdict){0};
  for (size_t i = 0; i < facts->count; i++) {
    const struct doctor_probe *p = &facts->probe[i];
    judge_certificate(out, p, (int)i);
    judge_step(facts, out, (int)i);
    if (p->step != DOCTOR_DONE || !p->uri.is_turn || is_refused_by_clients(p))
      continue;
    out->works = true;
    out->works_udp = out->works_udp || is_udp(p);
  }
  if (out->works && !out->works_udp)
    add(out, DOCTOR_CAUSE_ONLY_TCP, -1);
}
