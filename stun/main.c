/* viaduct-stund: options, listeners, workers, and the wait for a signal. Only this file decides
 * how the process ends: 0 asked to stop, 2 wrong options, 3 an address cannot be had, 1 anything
 * else. */
#include <poll.h>
#include <signal.h>
#include <sys/resource.h>

#include "base/err.h"
#include "net/mem.h"
#include "net/notify.h"
#include "net/privileges.h"
#include "net/program.h"
#include "net/signals.h"
#include "stun/server.h"

enum { OTHER_DESCRIPTORS = 256 }; /* sockets of the workers, metrics, the log */

static int complain(int status, const char *text)
{
  return net_program_fail("stund", status, text);
}

/* As many descriptors as max-connections needs, if the system lets us. */
static void raise_descriptors(const struct stund_config *c, struct log *log)
{
  struct rlimit limit;
  rlim_t wanted = (rlim_t)c->max_connections + OTHER_DESCRIPTORS;
  if (getrlimit(RLIMIT_NOFILE, &limit) != 0 || limit.rlim_cur >= wanted)
    return;
  limit.rlim_cur = limit.rlim_max < wanted ? limit.rlim_max : wanted;
  if (setrlimit(RLIMIT_NOFILE, &limit) != 0 || limit.rlim_cur < wanted)
    log_event(
        log, LOG_LEVEL_WARN, "few-descriptors", LOG_UINT("wanted", wanted),
        LOG_UINT("available", limit.rlim_cur),
        LOG_TEXT("mend", "raise the limit (ulimit -n, LimitNOFILE=) or lower max-connections"));
}

/* Until a signal asks to stop (NET_EXIT_STOPPED) or a worker fails (NET_EXIT_FAILED). */
static int wait_for_end(int signals, struct stund_server *s)
{
  struct pollfd fds[] = {{.fd = signals, .events = POLLIN}, {.fd = s->mail.fd, .events = POLLIN}};
  for (;;) {
    if (poll(fds, 2, -1) < 0)
      continue; /* EINTR: every signal that matters is read from the descriptor */
    if (fds[1].revents) {
      log_event(s->log, LOG_LEVEL_ERROR, "worker-failed", LOG_TEXT("reason", "epoll refused"));
      return NET_EXIT_FAILED;
    }
    for (int number = net_signals_next(signals); number; number = net_signals_next(signals)) {
      if (number != SIGHUP)
        return NET_EXIT_STOPPED;
      log_event(s->log, LOG_LEVEL_WARN, "not-reloaded",
                LOG_TEXT("mend", "no option changes while it runs; restart it"));
    }
  }
}

/* Everything is open: nothing that needs root comes behind it. */
static int drop_privileges(const struct stund_config *c, struct log *log, struct net_error *e)
{
  const struct net_privileges *p = &c->privileges;
  int err = net_privileges_drop(p, e);
  if (!err && (p->user || p->group))
    log_event(log, LOG_LEVEL_INFO, "privileges-dropped", LOG_TEXT("user", p->user),
              LOG_TEXT("group", p->group), LOG_UINT("uid", p->uid), LOG_UINT("gid", p->gid));
  return err;
}

static int serve(void *arg, struct log *log, int signals)
{
  const struct stund_config *config = arg;
  struct stund_server server;
  struct net_error e = {0};
  net_privileges_seal();
  raise_descriptors(config, log);
  int err = stund_server_open(&server, config, log, &e);
  if (!err)
    err = drop_privileges(config, log, &e);
  if (!err)
    err = stund_server_start(&server, &e);
  int status = err ? complain(net_program_status(err), e.text) : NET_EXIT_STOPPED;
  if (!err) {
    net_program_ready(log, config->workers);
    status = wait_for_end(signals, &server);
    (void)net_notify(NET_NOTIFY_STOPPING);
  }
  stund_server_close(&server);
  if (!err)
    log_event(log, LOG_LEVEL_INFO, "stopped", LOG_UINT("status", (uint64_t)status));
  return status;
}

static int run(struct stund_config *config)
{
  const struct net_program d = {.name = "stund",
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
  struct stund_options options;
  struct stund_config config;
  int status = stund_options_check(argc, argv), printed;
  if (status != -ERR_MISSING)
    return status;
  if (stund_options_read(&options, &mem, argc, argv, &wrong) != 0)
    status = complain(NET_EXIT_USAGE, wrong.text);
  else if ((printed = stund_options_print(&options)) != -ERR_MISSING)
    status = printed == 0 ? NET_EXIT_STOPPED : NET_EXIT_FAILED;
  else if (stund_config_make(&options, &config, &e) != 0)
    status = complain(NET_EXIT_USAGE, e.text);
  else
    status = run(&config);
  stund_options_fini(&options, &mem);
  return status;
}
