/* See check.h: one function for each thing that goes wrong in practice. */
#include "turn/check.h"

#include <net/if.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "net/privileges.h"
#include "net/sockaddr.h"
#include "turn/core/turn.h"
#include "turn/limits.h"
#include "turn/settings.h"

enum {
  SECRET_LEAST = 16,   /* characters; 'openssl rand -hex 32' makes 64 */
  PASSWORD_LEAST = 10, /* a time-limited credential has no such limit: nobody types it */
  DAY_S = 86400,
  WARN_DAYS = 14
};

struct search {
  const struct turnd_settings *s;
  const char *path;
  const struct net_check_lines *lines;
  struct net_report *r;
};

static size_t line_of(const struct search *x, const char *name)
{
  const struct option *row = option_find(&turnd_option_set, bytes_of(name));
  return row != NULL ? x->lines->of[row - turnd_option_set.row] : 0;
}

#define FIND(kind, option, ...)                                                                    \
  net_report_find(x->r, NET_FINDING_##kind, line_of(x, option), __VA_ARGS__)

/* ---- who may use it ---- */

/* What guides, examples and containers have in this place, and people leave there. */
static bool is_from_a_guide(const char *secret)
{
  static const char *const known[] = {"north",
                                      "logen",
                                      "secret",
                                      "mysecret",
                                      "changeme",
                                      "change_me",
                                      "change-me",
                                      "password",
                                      "123456",
                                      "coturn",
                                      "turnserver",
                                      "turn",
                                      "your_secret",
                                      "yoursecret",
                                      "your-secret",
                                      "supersecret",
                                      "qwerty",
                                      "test",
                                      "guest",
                                      "somepassword",
                                      "ninefingers",
                                      "yourpassword",
                                      "mypassword",
                                      "example",
                                      "static-auth-secret",
                                      "replace-this-secret"};
  for (size_t i = 0; i < sizeof(known) / sizeof(known[0]); i++)
    if (strcasecmp(secret, known[i]) == 0)
      return true;
  return false;
}

static void look_at_secrets(const struct search *x)
{
  const struct option_list *list = &x->s->options.static_auth_secret;
  for (size_t i = 0; i < list->count; i++)
    if (is_from_a_guide(list->item[i]))
      FIND(DANGER, "static-auth-secret",
           "this secret stands in guides, so anybody can make credentials; take the output of "
           "'openssl rand -hex 32' here and in the application that makes them");
    else if (strlen(list->item[i]) < SECRET_LEAST)
      FIND(DANGER, "static-auth-secret",
           "a secret of %zu characters can be guessed from one credential; take the output of "
           "'openssl rand -hex 32'",
           strlen(list->item[i]));
}

static void look_at_users(const struct search *x)
{
  const struct option_list *list = &x->s->options.user;
  for (size_t i = 0; i < list->count; i++) {
    const char *password = strchr(list->item[i], ':') + 1; /* the table's check saw the colon */
    const size_t name_len = (size_t)(password - 1 - list->item[i]);
    const bool same =
        strlen(password) == name_len && strncmp(list->item[i], password, name_len) == 0;
    if (strncmp(password, "0x", 2) == 0)
      continue;
    if (same || is_from_a_guide(password))
      FIND(DANGER, "user", "the password of '%.*s' is the first that anybody tries; change it",
           (int)name_len, list->item[i]);
    else if (strlen(password) < PASSWORD_LEAST)
      FIND(DANGER, "user", "the password of '%.*s' has only %zu characters; take a longer one",
           (int)name_len, list->item[i], strlen(password));
  }
}

static void look_at_access(const struct search *x)
{
  const struct turnd_options *o = &x->s->options;
  if (o->no_auth)
    FIND(DANGER, "no-auth",
         "an open relay: anybody can send traffic in this server's name; set use-auth-secret and "
         "static-auth-secret instead");
  if (o->stale_nonce == 0)
    FIND(NOTE, "stale-nonce",
         "a nonce is good for ever, so a recorded request can be sent again; 600 is usual");
  if (o->realm == NULL && !o->no_auth)
    FIND(NOTE, "realm",
         "there is no realm, so it is '%s'; users with 0x keys need the one that "
         "their keys were made with",
         x->s->realm);
}

/* ---- whom they may reach ---- */

/* With relay-mode=virtual no rule opens what has no way to it. */
static void look_at_opened_in_vain(const struct search *x)
{
  const struct turnd_options *o = &x->s->options;
  static const char in_vain[] =
      "with relay-mode=virtual clients reach each other and nobody else, so this opens nothing; "
      "leave it out";
  if (o->allowed_peer_ip.count > 0)
    FIND(NOTE, "allowed-peer-ip", in_vain);
  if (o->allow_loopback_peers)
    FIND(NOTE, "allow-loopback-peers", in_vain);
}

static void look_at_opened(const struct search *x)
{
  const struct turnd_options *o = &x->s->options;
  if (x->s->core.relay_virtual) {
    look_at_opened_in_vain(x);
    return;
  }
  for (size_t i = 0; i < o->allowed_peer_ip.count; i++) {
    struct turn_peer_rule rule;
    if (turnd_parse_rule(bytes_of(o->allowed_peer_ip.item[i]), &rule) != 0)
      continue;
    const char *name = turn_special_purpose_in(&rule.range);
    if (name != NULL)
      FIND(DANGER, "allowed-peer-ip",
           "%s may reach %s (%s) from this machine's place in the network; open single "
           "addresses only",
           rule.realm.len + rule.user.len > 0 ? "these users" : "every user",
           o->allowed_peer_ip.item[i], name);
  }
  if (o->allow_loopback_peers)
    FIND(DANGER, "allow-loopback-peers",
         "every user may reach what listens on this machine's loopback: databases, metrics, "
         "administration; for tests only");
}

/* ---- where ---- */

static void look_at_virtual(const struct search *x)
{
  const struct turn_config *c = &x->s->core;
  FIND(NOTE, "relay-mode",
       "only calls whose both ends are relayed by this server get through it; ports %u to %u are "
       "names inside of it, which no firewall has to let through and no container has to publish",
       (unsigned)c->min_port, (unsigned)c->max_port);
}

static void look_at_relays(const struct search *x)
{
  if (x->s->core.relay_virtual) {
    look_at_virtual(x);
    return;
  }
  for (size_t i = 0; i < x->s->core.relay_count; i++) {
    const struct turn_relay_address *relay = &x->s->core.relay[i];
    const bool mapped = relay->external.family != ADDR_NONE;
    const struct addr *told = mapped ? &relay->external : &relay->local;
    const char *name = turn_special_purpose(told);
    char ip[ADDR_TEXT_SIZE];
    if (name == NULL)
      continue;
    addr_format_ip(told, ip);
    if (mapped)
      FIND(DANGER, "external-ip", "clients elsewhere cannot reach %s (%s); name the public address",
           ip, name);
    else
      FIND(DANGER, "relay-ip",
           "clients are told to use %s (%s), which is reached from this network alone; behind a "
           "NAT, set external-ip=PUBLIC/%s",
           ip, name, ip);
  }
}

static void look_at_listeners(const struct search *x)
{
  for (size_t i = 0; i < x->s->listen_count; i++) {
    const struct addr *at = &x->s->listen[i];
    char ip[ADDR_TEXT_SIZE];
    if (addr_is_unspecified(at))
      continue;
    const struct net_bind bind = {.type = SOCK_DGRAM, .at = at};
    const int fd = net_bind(&bind, NULL);
    if (fd >= 0)
      close(fd);
    else
      FIND(DANGER, "listening-ip", "%s is no address of this machine, where it would not start",
           addr_format_ip(at, ip));
  }
}

static void look_at_metrics(const struct search *x)
{
  const struct turnd_options *o = &x->s->options;
  struct addr at;
  if (o->prometheus && addr_parse(bytes_of(o->prometheus_address), &at) == 0 &&
      !addr_is_loopback(&at))
    FIND(NOTE, "prometheus-address",
         "whoever reaches port %u of %s reads the metrics; a firewall has to keep others out",
         (unsigned)o->prometheus_port, o->prometheus_address);
}

/* ---- how much ---- */

static void look_at_ports(const struct search *x)
{
  const struct turnd_options *o = &x->s->options;
  const uint64_t ports = o->max_port - o->min_port + 1;
  if (o->total_quota > ports)
    FIND(DANGER, "total-quota",
         "%llu allocations are allowed and there are %llu ports for them: the rest is refused with "
         "508; widen min-port to max-port or lower total-quota",
         (unsigned long long)o->total_quota, (unsigned long long)ports);
  if (o->user_quota > ports)
    FIND(DANGER, "user-quota",
         "one user may hold %llu allocations, and there are %llu ports in all; lower it",
         (unsigned long long)o->user_quota, (unsigned long long)ports);
  if (o->user_quota == 0 && !o->no_auth)
    FIND(NOTE, "user-quota",
         "one user may take all %llu ports; a user-quota of about 12 keeps "
         "some for the others",
         (unsigned long long)ports);
}

static void look_at_bandwidth(const struct search *x)
{
  const struct turnd_options *o = &x->s->options;
  if (o->bps_capacity > 0 && o->max_bps == 0)
    FIND(DANGER, "bps-capacity",
         "without max-bps no allocation reserves anything, so this limits nothing; set max-bps");
  else if (o->bps_capacity > 0)
    FIND(NOTE, "bps-capacity",
         "each allocation reserves max-bps, so %llu allocations at most, however little they send",
         (unsigned long long)((o->bps_capacity + o->max_bps - 1) / o->max_bps));
}

static void look_at_descriptors(const struct search *x)
{
  const uint64_t most = turnd_descriptors_most(), wanted = turnd_descriptors_wanted(x->s);
  if (most < wanted)
    FIND(DANGER, x->s->options.total_quota > 0 ? "total-quota" : "max-port",
         "this user may have %llu descriptors, and relay sockets with their clients' connections "
         "can take %llu; raise the limit to that (LimitNOFILE=, ulimit -n, docker run --ulimit "
         "nofile=), or lower total-quota",
         (unsigned long long)most, (unsigned long long)wanted);
}

/* ---- TLS ---- */

static void look_at_tls(const struct search *x)
{
  const struct turnd_options *o = &x->s->options;
  if (x->s->tls == NULL) {
    if (!o->no_tls || !o->no_dtls)
      FIND(NOTE, "cert",
           "there is no certificate, so there is no TLS: clients in networks that let nothing else "
           "through stay outside; set cert and pkey");
    return;
  }
  /* One that has run out stops the start. */
  const int64_t left_s = net_tls_context_left_s(x->s->tls);
  if (left_s / DAY_S < WARN_DAYS)
    FIND(DANGER, "cert", "the certificate runs out in %d days; renew it", (int)(left_s / DAY_S));
}

/* ---- files ---- */

static bool others_read(const char *path)
{
  struct stat st;
  return path != NULL && stat(path, &st) == 0 && (st.st_mode & S_IROTH) != 0;
}

static void look_at_files(const struct search *x)
{
  const struct turnd_options *o = &x->s->options;
  const bool secrets = o->static_auth_secret.count > 0 || o->user.count > 0 || o->pkey_pwd != NULL;
  if (secrets && others_read(x->path))
    FIND(DANGER, "", "every user of this machine can read the secrets in %s; chmod 640 it",
         x->path);
  if (others_read(o->pkey))
    FIND(DANGER, "pkey", "every user of this machine can read the private key; chmod 640 it");
}

/* ---- who runs it ---- */

static void look_at_privileges(const struct search *x)
{
  const struct turnd_options *o = &x->s->options;
  struct net_privileges p;
  struct net_error e = {{0}};
  struct stat st;
  if (net_privileges_find(o->proc_user, NULL, &p, &e) != 0) {
    FIND(ERROR, "proc-user", "%s", e.text);
    return;
  }
  if (net_privileges_find(NULL, o->proc_group, &p, &e) != 0)
    FIND(ERROR, "proc-group", "%s", e.text);
  (void)net_privileges_find(o->proc_user, NULL, &p, &e);
  if (o->proc_user != NULL && o->pkey != NULL && stat(o->pkey, &st) == 0 && st.st_uid != p.uid &&
      (st.st_mode & (S_IRGRP | S_IROTH)) == 0)
    FIND(NOTE, "pkey",
         "%s cannot read the private key: it is read at the start, and a renewed one only after a "
         "restart; give it to a group of that user with chmod 640",
         o->proc_user);
}

static void look_at_proxy(const struct search *x)
{
  if (x->s->options.tcp_proxy_port != 0)
    FIND(NOTE, "tcp-proxy-port",
         "whoever reaches port %u can claim any client address; a firewall has to keep it to the "
         "load balancer",
         (unsigned)x->s->options.tcp_proxy_port);
}

static void look_at_xdp(const struct search *x)
{
  const char *at = x->s->options.xdp;
  if (strcmp(at, "off") == 0)
    return;
  FIND(NOTE, "xdp",
       "what the kernel carries so passes by the packet filter (nftables), NAT and IPsec policies "
       "of "
       "this machine; filter it in front of the machine");
  while (strcmp(x->s->options.xdp, "auto") != 0 && *at != 0) {
    char name[IF_NAMESIZE] = {0};
    const size_t len = strcspn(at, ",");
    memcpy(name, at, len < sizeof(name) ? len : sizeof(name) - 1);
    if (len > 0 && if_nametoindex(name) == 0)
      FIND(NOTE, "xdp", "there is no interface %s here: everything would be relayed in user space",
           name);
    at += len + (at[len] != 0 ? 1 : 0);
  }
}

static void look_at_all(const struct search *x)
{
  look_at_access(x);
  look_at_secrets(x);
  look_at_users(x);
  look_at_opened(x);
  look_at_relays(x);
  look_at_listeners(x);
  look_at_ports(x);
  look_at_bandwidth(x);
  look_at_descriptors(x);
  look_at_tls(x);
  look_at_files(x);
  look_at_metrics(x);
  look_at_privileges(x);
  look_at_xdp(x);
  look_at_proxy(x);
}

static void look(int argc, char **argv, const struct net_check_lines *lines, struct net_report *r)
{
  static const uint8_t no_key[NET_TLS_TICKET_KEY];
  const struct turnd_load load = {.argc = argc,
                                  .argv = argv,
                                  .nonce_key = no_key,
                                  .ticket_key = no_key,
                                  .warn = net_check_warn,
                                  .warn_arg = r};
  struct turnd_settings *settings;
  struct option_error error;
  if (turnd_settings_load(&load, &settings, &error) != 0) {
    net_report_find(r, NET_FINDING_ERROR, 0, "%s", error.text);
    return;
  }
  const struct search x = {settings, settings->file, lines, r};
  look_at_all(&x);
  turnd_settings_leave(settings);
}

int turnd_check(int argc, char *const *argv)
{
  const struct net_check what = {
      .set = &turnd_option_set, .config_size = sizeof(struct turnd_options), .whole = look};
  return net_check_asked(&what, argc, argv);
}
