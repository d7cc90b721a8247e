/* What the small daemons' mains have in common. */
#include "net/program.h"

#include <signal.h>
#include <stdio.h>

#include "base/err.h"
#include "net/log_out.h"
#include "net/notify.h"
#include "net/signals.h"

int net_program_fail(const char *name, int status, const char *text)
{
  fprintf(stderr, "viaduct-%s: %s\n", name, text);
  return status;
}

int net_program_status(int err)
{
  bool address =
      err == -ERR_BUSY || err == -ERR_DENIED || err == -ERR_UNREACHABLE || err == -ERR_UNSUPPORTED;
  if (err == -ERR_BAD)
    return NET_EXIT_USAGE;
  return address ? NET_EXIT_ADDRESS : NET_EXIT_FAILED;
}

void net_program_ready(struct log *log, uint64_t workers)
{
  log_event(log, LOG_LEVEL_INFO, "ready", LOG_UINT("workers", workers));
  if (net_notify(NET_NOTIFY_READY) != 0)
    log_event(log, LOG_LEVEL_WARN, "notify-failed",
              LOG_TEXT("mend", "NOTIFY_SOCKET must name a datagram socket of the supervisor"));
}

int net_program_run(const struct net_program *d)
{
  static const int wanted[] = {SIGTERM, SIGINT, SIGHUP};
  const struct net_log_setup setup = {
      .program = d->name, .json = d->json, .level = d->verbose ? LOG_LEVEL_DEBUG : LOG_LEVEL_INFO};
  struct net_error e = {{0}};
  struct net_log log;
  int signals = net_signals_open(wanted, sizeof(wanted) / sizeof(wanted[0]));
  if (signals < 0) {
    net_error_set(&e, "cannot watch for signals: %s", err_text(signals));
    return net_program_fail(d->name, NET_EXIT_FAILED, e.text);
  }
  int status = NET_EXIT_FAILED;
  if (net_log_open(&log, &setup, &e) != 0) {
    status = net_program_fail(d->name, status, e.text);
  } else {
    status = d->serve(d->arg, &log.log, signals);
    net_log_close(&log);
  }
  net_signals_close(signals);
  return status;
}
