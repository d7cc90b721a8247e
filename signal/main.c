/* viaduct-signald: options, certificates, and the one worker. Only this file decides how the
 * process ends: 0 asked to stop, 2 wrong options or certificates, 3 an address cannot be had, 1
 * anything else. */
#include <signal.h>
#include <sys/resource.h>

#include "base/err.h"
#include "net/notify.h"
#include "net/program.h"
#include "net/signals.h"
#include "signal/server.h"

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
  struct signald_settings **taken = arg, *settings = *taken;
  struct signald s;
  struct net_error e = {0};
  *taken = NULL;
  set_descriptors(&settings->config, log);
  int err = signald_open(&s, settings, log, signals, &e);
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

/* Takes *settings, and leaves NULL, once there is a log. */
static int run(struct signald_settings **settings)
{
  const struct net_program d = {.name = "signald",
                                .json = (*settings)->config.json_log,
                                .verbose = (*settings)->config.verbose,
                                .serve = serve,
                                .arg = settings};
  return net_program_run(&d);
}

int main(int argc, char **argv)
{
  struct option_error wrong = {{0}};
  struct signald_settings *settings;
  int status = signald_options_check(argc, argv), printed;
  if (status != -ERR_MISSING)
    return status;
  if (signald_settings_read(argc, argv, &settings, &wrong) != 0)
    return complain(NET_EXIT_USAGE, wrong.text);
  if ((printed = signald_options_print(&settings->options)) != -ERR_MISSING)
    status = printed == 0 ? NET_EXIT_STOPPED : NET_EXIT_FAILED;
  else if (signald_settings_make(settings, &wrong) != 0)
    status = complain(NET_EXIT_USAGE, wrong.text);
  else
    status = run(&settings);
  signald_settings_free(settings);
  return status;
}
