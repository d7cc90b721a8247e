/* viaduct-signald: options, certificates, and the one worker. Only this file decides how the
 * process ends: 0 asked to stop, 2 wrong options or certificates, 3 an address cannot be had, 1
 * anything else. */
#include <signal.h>
#include <sys/resource.h>

#include "base/err.h"
#include "net/mem.h"
#include "net/notify.h"
#include "net/program.h"
#include "net/signals.h"
#include "signal/server.h"
#include "signal/tls.h"

enum { OTHER_DESCRIPTORS = 128, DESCRIPTORS_MAX = 1000000 };

static int complain(int status, const char *text)
{
  return net_program_fail("signald", status, text);
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

static int serve(void *arg, struct log *log, int signals)
{
  const struct signald_config *config = arg;
  struct signald s;
  struct net_error e = {0};
  set_descriptors(config, log);
  int err = signald_open(&s, config, log, signals, &e);
  int status = err ? complain(net_program_status(err), e.text) : NET_EXIT_STOPPED;
  if (!err) {
    net_program_ready(log, 1);
    signald_run(&s);
    (void)net_notify(NET_NOTIFY_STOPPING);
  }
  signald_close(&s);
  if (!err)
    log_event(log, LOG_LEVEL_INFO, "stopped", LOG_UINT("status", (uint64_t)status));
  return status;
}

static int run(struct signald_config *config)
{
  const struct net_program d = {.name = "signald",
                                .json = config->json_log,
                                .verbose = config->verbose,
                                .serve = serve,
                                .arg = config};
  return net_program_run(&d);
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
    status = complain(NET_EXIT_USAGE, wrong.text);
  else if ((printed = signald_options_print(&options)) != -ERR_MISSING)
    status = printed == 0 ? NET_EXIT_STOPPED : NET_EXIT_FAILED;
  else if (signald_config_make(&options, &config, &e) != 0 ||
           (config.cert_path && signald_tls_check(config.cert_path, config.pkey_path, &e) != 0))
    status = complain(NET_EXIT_USAGE, e.text);
  else
    status = run(&config);
  signald_options_fini(&options, &mem);
  return status;
}
