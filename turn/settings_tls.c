/* The certificate of a snapshot: loaded, kept from the one before, or left out. */
#include "turn/settings_tls.h"

#include <stdio.h>
#include <string.h>

#include "base/err.h"
#include "net/options.h"

/* Within this time of a certificate's end, the log says so at each start and reload. */
enum { TLS_WARN_DAYS = 14 };

static void warn_end(const struct turnd_load *l, const struct turnd_settings *s)
{
  int64_t days = net_tls_context_left_s(s->tls) / 86400;
  if (days >= TLS_WARN_DAYS)
    return;
  char text[512];
  snprintf(text, sizeof(text), "the certificate %s runs out in %d days; renew it and send SIGHUP",
           s->options.cert, (int)days);
  turnd_load_warn(l, text);
}

/* A key that only root can read, and a process that is root no more: all the rest of a reload still
 * counts. */
static int keep_unreadable(const struct turnd_load *l, struct turnd_settings *s, const char *why,
                           struct option_error *error)
{
  if (l->before == NULL || l->before->tls == NULL)
    return net_options_fail(error, "%s", why);
  char text[768];
  snprintf(text, sizeof(text),
           "%s; the certificate in use stays: let %s read the new one, or restart", why,
           s->options.proc_user != NULL ? s->options.proc_user : "this user");
  turnd_load_warn(l, text);
  s->tls = l->before->tls;
  net_tls_context_share(s->tls);
  return 0;
}

/* Listeners cannot come and go: a certificate that a reload finds for the first time, or no more,
 * waits for the next start. */
static void keep_tls(const struct turnd_load *l, struct turnd_settings *s)
{
  if (l->before == NULL || (l->before->tls != NULL) == (s->tls != NULL))
    return;
  turnd_load_warn(l, s->tls != NULL ? "TLS and DTLS are turned on at the next start"
                                    : "TLS and DTLS are turned off at the next start");
  net_tls_context_leave(s->tls);
  s->tls = l->before->tls;
  net_tls_context_share(s->tls);
}

int turnd__build_tls(const struct turnd_load *l, struct turnd_settings *s,
                     struct option_error *error)
{
  const struct turnd_options *o = &s->options;
  memcpy(s->ticket_key, l->ticket_key, sizeof(s->ticket_key));
  bool wanted = !(o->no_tls && o->no_dtls);
  if (wanted && (o->cert == NULL) != (o->pkey == NULL))
    return net_options_fail(
        error, "%s is set and %s is not; set both, or take it out to go on without TLS",
        o->cert != NULL ? "cert" : "pkey", o->cert != NULL ? "pkey" : "cert");
  if (wanted && o->cert != NULL) {
    const struct net_tls_setup setup = {
        .cert = o->cert,
        .pkey = o->pkey,
        .pkey_password = o->pkey_pwd,
        .ca_file = o->ca_file,
        .cipher_list = o->cipher_list,
        .tls13_only = o->no_tlsv1_2,
        .ticket_key = s->ticket_key,
    };
    struct net_error e = {{0}};
    int r = net_tls_context_new(&setup, &s->tls, &e);
    if (r == -ERR_DENIED)
      r = keep_unreadable(l, s, e.text, error);
    else if (r != 0)
      r = net_options_fail(error, "%s", e.text);
    if (r != 0)
      return r;
    warn_end(l, s);
  }
  keep_tls(l, s);
  return 0;
}
