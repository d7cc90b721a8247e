/* viaduct-signald: options, certificates, and the one worker. Only this file decides how the
 * process ends: 0 asked to stop, 2 wrong options or certificates, 3 an address cannot be had, 1
 * anything else. */
#include <signal.h>
#include <stdio.h>
#include <sys/resource.h>

#include "base/err.h"
#include "net/log_out.h"
#include "net/mem.h"
#include "net/notify.h"
#include "net/signals.h"
#include "signal/server.h"
#include "signal/tls.h"

enum { EXIT_STOPPED = 0, EXIT_FAILED = 1, EXIT_USAGE = 2, EXIT_ADDRESS = 3 };
enum { OTHER_DESCRIPTORS = 128, DESCRIPTORS_MAX = 1000000 };

static int complain(int status, const char *text)
{
  fprintf(stderr, "viaduct-signald: %s\n", text);
  return status;
}

static int exit_status(int err)
{
  if (err == -ERR_BAD)
    return EXIT_USAGE;
  bool address =
      err == -ERR_BUSY || err == -ERR_DENIED || err == -ERR_UNREACHABLE || err == -ERR_UNSUPPORTED;
  return address ? EXIT_ADDRESS : EXIT_FAILED;
}

/* As many descriptors as max-connections needs, if the system lets us. No more either:
 * libwebsockets keeps a table with an entry for each that is possible. */
static void set_descriptors(const struct signald_config *c, struct log *log)
{
  struct rlimit limit;
  rlim_t wanted = c->max_connections ? c->max_connections + OTHER_DESCRIPTORS : DESCRIPTORS_MAX;
  if (getrlimit(RLIMIT_NOFILE, &limit) != 0)
    return;
  limit.rlim_cur = limit.rlim_max < wanted ? limit.rlim_max : wanted;
  bool set = setrlimit(RLIMIT_NOFILE, &limit) == 0;
  if (c->max_connections && (!set || limit.rlim_cur < wanted))
    log_event(
        log, LOG_LEVEL_WARN, "few-descriptors", LOG_UINT("wanted", wanted),
        LOG_UINT("available", limit.rlim_cur),
        LOG_TEXT("mend", "raise the limit (ulimit -n, LimitNOFILE=) or lower max-connections"));
}

static int serve(const struct signald_config *config, struct log *log, int signals)
{
  struct signald s;
  struct net_error e = {0};
  set_descriptors(config, log);
  int err = signald_open(&s, config, log, signals, &e);
  int status = err ? complain(exit_status(err), e.text) : EXIT_STOPPED;
  if (!err) {
    log_event(log, LOG_LEVEL_INFO, "ready", LOG_UINT("workers", 1));
    if (net_notify(NET_NOTIFY_READY) != 0)
      log_event(log, LOG_LEVEL_WARN, "notify-failed",
                LOG_TEXT("mend", "NOTIFY_SOCKET must name a datagram socket of the supervisor"));
    signald_run(&s);
    (void)net_notify(NET_NOTIFY_STOPPING);
  }
  signald_close(&s);
  if (!err)
    log_event(log, LOG_LEVEL_INFO, "stopped", LOG_UINT("status", (uint64_t)status));
  return status;
}

static int run(const struct signald_config *config)
{
  static const int wanted[] = {SIGTERM, SIGINT, SIGHUP};
  const struct net_log_setup setup = {.program = "signald",
                                      .json = config->json_log,
                                      .level = config->verbose ? LOG_LEVEL_DEBUG : LOG_LEVEL_INFO};
  struct net_error e = {0};
  struct net_log log;
  int signals = net_signals_open(wanted, sizeof wanted / sizeof wanted[0]);
  if (signals < 0) {
    net_error_set(&e, "cannot watch for signals: %s", err_text(signals));
    return complain(EXIT_FAILED, e.text);
  }
  int status = net_log_open(&log, &setup, &e) != 0 ? complain(EXIT_FAILED, e.text)
                                                   : serve(config, &log.log, signals);
  net_signals_close(signals);
  return status;
}

int main(int argc, char **argv)
{
  struct mem mem = net_mem();
  struct net_error e = {0};
  struct option_error wrong = {{0}};
  struct signald_options options;
  struct signald_config config;
  int status = signald_options_check(argc, argv), printed;
  if (status != -ERR_MISSING)
    return status;
  if (signald_options_read(&options, &mem, argc, argv, &wrong) != 0)
    status = complain(EXIT_USAGE, wrong.text);
  else if ((printed = signald_options_print(&options)) != -ERR_MISSING)
    status = printed == 0 ? EXIT_STOPPED : EXIT_FAILED;
  else if (signald_config_make(&options, &config, &e) != 0 ||
           (config.cert_path && signald_tls_check(config.cert_path, config.pkey_path, &e) != 0))
    status = complain(EXIT_USAGE, e.text);
  else
    status = run(&config);
  signald_options_fini(&options, &mem);
  return status;
}
