/* Starts the workers, serves metrics, and waits for signals: SIGTERM and SIGINT end it, SIGHUP
 * reads the configuration and the certificate again (SIGUSR2 too, which is coturn's signal for the
 * certificate), SIGUSR1 lets the sessions run out. */
#include "turn/server.h"

#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#include "base/err.h"
#include "base/wheel.h"
#include "net/clock.h"
#include "net/control.h"
#include "net/daemon.h"
#include "net/loop.h"
#include "net/metrics.h"
#include "net/notify.h"
#include "net/random.h"
#include "net/signals.h"
#include "net/sockaddr.h"
#include "turn/control.h"
#include "turn/database.h"
#include "turn/directory.h"
#include "turn/discovery.h"
#include "turn/ledger.h"
#include "turn/limits.h"
#include "turn/metrics.h"
#include "turn/places.h"
#include "turn/watchdog.h"
#include "turn/worker.h"

struct server {
  const struct turnd_server_setup *setup;
  struct turnd_settings *settings; /* one reference */
  struct log *log;
  struct net_loop loop;
  struct net_watch signals, reports;
  struct net_mailbox report;
  struct turnd_ledger *ledger;
  struct turnd_xdp *xdp;             /* NULL: off */
  struct turnd_directory *directory; /* NULL: there is one worker */
  struct turnd_worker **worker;
  size_t worker_count;
  struct net_metrics *metrics;
  struct turnd_metrics_source source;
  struct turnd_database database;
  struct turnd_watchdog watchdog;
  struct wheel wheel; /* of the control socket's connections, and the watchdog */
  struct net_control control;
  struct turnd_control commands;
  size_t drained_count; /* workers without a session, since SIGUSR1 */
  bool died;            /* a thread */
};

/* ---- reload ---- */

static void log_warning(void *arg, const char *text)
{
  struct log *log = arg;
  log_event(log, LOG_LEVEL_WARN, "configuration", LOG_TEXT("note", text));
}

/* logrotate has moved the file away. */
static void reopen_log(struct server *s)
{
  struct net_error e;
  if (net_log_reopen(s->setup->out, &e) != 0)
    log_event(s->log, LOG_LEVEL_WARN, "log-file-kept", LOG_TEXT("why", e.text),
              LOG_TEXT("now", "lines go to the file that was open"));
}

/* Lays what the database holds, if there is one, over `*settings`, which are left for it. */
static int lay_over(struct turnd_settings **settings, const struct userdb_rows *rows,
                    struct option_error *error)
{
  struct turnd_settings *over;
  if (rows == NULL)
    return 0;
  int r = turnd_settings_lay_over(*settings, rows, &over, error);
  if (r != 0)
    return r;
  turnd_settings_leave(*settings);
  *settings = over;
  return 0;
}

/* Takes `settings`. */
static void hand_out(struct server *s, struct turnd_settings *settings, const char *event)
{
  for (size_t i = 0; i < s->worker_count; i++)
    if (turnd_worker_reload(s->worker[i], settings) != 0)
      log_event(s->log, LOG_LEVEL_ERROR, "reload-lost", LOG_UINT("worker", i),
                LOG_TEXT("mend", "send SIGHUP again"));
  turnd_settings_leave(s->settings);
  s->settings = settings;
  const struct turn_config *c = &settings->core;
  size_t secrets = c->secret_count;
  for (size_t i = 0; i < c->realm_count; i++)
    secrets += c->realm[i].secret_count;
  log_event(s->log, LOG_LEVEL_INFO, event, LOG_UINT("users", c->user_count),
            LOG_UINT("secrets", secrets), LOG_UINT("realms", c->realm_count),
            LOG_UINT("peer_rules", c->peer_rule_count));
}

/* A bad file changes nothing. */
static int reload(struct server *s, struct option_error *error)
{
  const struct turnd_load load = {
      .argc = s->setup->argc,
      .argv = s->setup->argv,
      .nonce_key = s->settings->core.nonce_key,
      .ticket_key = s->settings->ticket_key,
      .before = s->settings,
      .warn = log_warning,
      .warn_arg = s->log,
  };
  struct turnd_settings *settings;
  int r = turnd_settings_load(&load, &settings, error);
  if (r == 0) {
    r = lay_over(&settings, s->database.rows, error);
    if (r != 0)
      turnd_settings_leave(settings);
  }
  if (r != 0) {
    log_event(s->log, LOG_LEVEL_ERROR, "reload-refused", LOG_TEXT("why", error->text),
              LOG_TEXT("user", s->setup->privileges.user),
              LOG_TEXT("now", "the configuration in use stays as it was"));
    return r;
  }
  log_set_level(s->log, turnd_log_level(&settings->options));
  log_set_anonymous(s->log, settings->options.log_anonymize);
  hand_out(s, settings, "reloaded");
  return 0;
}

/* A row that cannot be understood changes nothing either. */
static bool database_changed(struct turnd_database *d, const struct userdb_rows *rows)
{
  struct server *s = CONTAINER_OF(d, struct server, database);
  struct turnd_settings *settings;
  struct option_error error;
  if (turnd_settings_lay_over(s->settings, rows, &settings, &error) != 0) {
    log_event(s->log, LOG_LEVEL_ERROR, "userdb-refused", LOG_TEXT("why", error.text),
              LOG_TEXT("now", "what it held before stays in use"));
    return false;
  }
  hand_out(s, settings, "userdb-changed");
  return true;
}

/* ---- drain ---- */

static uint64_t session_count(const struct server *s)
{
  struct turnd_counters sum = {0};
  for (size_t i = 0; i < s->worker_count; i++)
    turnd_worker_add_counters(s->worker[i], &sum);
  return sum.turn.allocations;
}

/* No new sessions; the process ends with the last one. Asked again, it says how many are left. Not
 * STOPPING=1: systemd would give it TimeoutStopSec= from there, and then kill it. */
static void drain(struct server *s)
{
  const uint64_t sessions = session_count(s);
  bool again = atomic_exchange(&s->source.draining, true);
  char state[64];
  snprintf(state, sizeof(state), "STATUS=draining: %" PRIu64 " sessions are left", sessions);
  (void)net_notify(state);
  log_event(s->log, LOG_LEVEL_INFO, "draining", LOG_UINT("sessions", sessions),
            LOG_TEXT("now", "no new session is taken; it ends with the last one"));
  for (size_t i = 0; i < s->worker_count && !again; i++)
    if (turnd_worker_drain(s->worker[i]) != 0) {
      atomic_store(&s->source.draining, false);
      log_event(s->log, LOG_LEVEL_ERROR, "drain-lost", LOG_UINT("worker", i),
                LOG_TEXT("mend", "send SIGUSR1 again"));
    }
}

static void worker_drained(struct server *s)
{
  if (++s->drained_count < s->worker_count)
    return;
  log_event(s->log, LOG_LEVEL_INFO, "stopping", LOG_TEXT("reason", "drained"));
  (void)net_notify(NET_NOTIFY_STOPPING);
  net_loop_stop(&s->loop);
}

/* ---- the control socket ---- */

static int reload_asked(void *arg, struct option_error *e)
{
  reopen_log(arg);
  return reload(arg, e);
}

static void drain_asked(void *arg)
{
  drain(arg);
}

static int open_control(struct server *s, struct net_error *e)
{
  const struct turnd_options *o = &s->settings->options;
  struct net_random random;
  if (o->control_socket == NULL)
    return 0;
  if (net_random_init(&random) != 0) {
    net_error_set(e, "the kernel gives no randomness");
    return -ERR_IO;
  }
  s->commands = (struct turnd_control){
      .source = &s->source,
      .log = s->log,
      .version = VIADUCT_VERSION,
      .started_ms = net_clock_wall_ms(),
      .reload = reload_asked,
      .drain = drain_asked,
      .arg = s,
  };
  const struct net_control_setup setup = {
      .loop = &s->loop,
      .wheel = &s->wheel,
      .hash_key = {random_u64(&random.random), random_u64(&random.random)},
      .path = o->control_socket,
      .uid = s->setup->privileges.uid,
      .gid = s->setup->privileges.gid,
      .command = turnd_control_command,
      .arg = &s->commands,
  };
  net_random_fini(&random);
  return net_control_open(&s->control, &setup, e);
}

/* ---- signals and reports ---- */

static void signal_ready(struct net_watch *w, uint32_t events, uint64_t now_ms)
{
  (void)events;
  (void)now_ms;
  struct server *s = CONTAINER_OF(w, struct server, signals);
  int number;
  while ((number = net_signals_next(w->fd)) != 0) {
    if (number == SIGHUP || number == SIGUSR2) {
      if (number == SIGHUP)
        reopen_log(s);
      struct option_error error;
      (void)reload(s, &error);
      continue;
    }
    if (number == SIGUSR1) {
      drain(s);
      continue;
    }
    log_event(s->log, LOG_LEVEL_INFO, "stopping",
              LOG_TEXT("signal", number == SIGINT ? "SIGINT" : "SIGTERM"));
    (void)net_notify(NET_NOTIFY_STOPPING); /* whoever waits sees the exit too */
    net_loop_stop(&s->loop);
  }
}

static void report_ready(struct net_watch *w, uint32_t events, uint64_t now_ms)
{
  (void)events;
  (void)now_ms;
  struct server *s = CONTAINER_OF(w, struct server, reports);
  struct net_mail mail;
  while (net_mailbox_take(&s->report, &mail)) {
    if (mail.kind == TURND_REPORT_DRAINED)
      worker_drained(s);
    else
      s->died = true;
  }
  /* Half a service, silently, is worse than a restart. */
  if (s->died)
    net_loop_stop(&s->loop);
}

/* ---- start ---- */

/* Nothing is bound at a virtual one, so it may be anybody's. Else a relay-ip that is none of this
 * machine's would show only at the first Allocate. */
static int check_relay(const struct turnd_settings *settings, struct net_error *e)
{
  for (size_t i = 0; i < settings->core.relay_count && !settings->core.relay_virtual; i++) {
    const struct net_bind bind = {
        .type = SOCK_DGRAM, .at = &settings->relay[i].local, .program = "viaduct-turnd"};
    int fd = net_bind(&bind, NULL);
    if (fd < 0) {
      char ip[ADDR_TEXT_SIZE];
      net_error_set(e,
                    "viaduct-turnd cannot relay at %s: %s; set relay-ip to an address of this "
                    "machine",
                    addr_format_ip(bind.at, ip), err_text(fd));
      return fd;
    }
    close(fd);
  }
  return 0;
}

static int open_workers(struct server *s, struct net_error *e)
{
  const size_t count = turnd_threads(s->settings);
  struct turnd_ports ports = {(uint16_t)s->settings->options.listening_port,
                              (uint16_t)s->settings->options.tls_listening_port};
  int chosen = turnd_discovery_choose(s->settings, e);
  if (chosen != 0)
    return chosen;
  if (s->settings->core.quad_count > 0)
    ports.plain = s->settings->core.quad[0].port[0];
  s->worker = calloc(count, sizeof(struct turnd_worker *));
  if (s->worker == NULL)
    return -ERR_NOMEM;
  int made = turnd_ledger_new(&s->ledger);
  if (made == 0 && count > 1)
    made = turnd_directory_new(&s->settings->core, &s->directory);
  if (made != 0)
    return made;
  for (size_t i = 0; i < count; i++) {
    const struct turnd_worker_setup setup = {
        .settings = s->settings,
        .log = s->log,
        .report = &s->report,
        .userdb = s->database.userdb,
        .stats = s->database.stats,
        .ledger = turnd_ledger_of(s->ledger),
        .directory = s->directory,
        .all = s->worker,
        .index = (uint32_t)i,
        .count = (uint32_t)count,
    };
    int r = turnd_worker_new(&setup, ports, &s->worker[i], e);
    if (r != 0)
      return r;
    s->worker_count = i + 1;
    ports = turnd_worker_ports(s->worker[i]);
  }
  return 0;
}

/* What clients must not reach through us, known when all is open and no thread runs yet. */
static void note_listeners(struct server *s)
{
  struct addr at[TURND_LISTENERS_MAX];
  const size_t count = turnd_worker_listeners(s->worker[0], at, TURND_LISTENERS_MAX);
  for (size_t i = 0; i < count; i++)
    turnd_places_add(s->settings, &at[i]);
  if (s->metrics == NULL)
    return;
  at[0] = net_metrics_address(s->metrics);
  turnd_places_add(s->settings, &at[0]);
}

static int start_workers(struct server *s, struct net_error *e)
{
  note_listeners(s);
  for (size_t i = 0; i < s->worker_count; i++)
    if (turnd_worker_start(s->worker[i]) != 0) {
      net_error_set(e, "no thread could be started; raise the limit of processes (ulimit -u)");
      return -ERR_IO;
    }
  return 0;
}

static void metrics_died(void *arg)
{
  struct turnd_metrics_source *source = arg;
  struct server *s = CONTAINER_OF(source, struct server, source);
  log_event(s->log, LOG_LEVEL_ERROR, "metrics-died", LOG_TEXT("now", "the server gives up"));
  const struct net_mail mail = {.kind = TURND_REPORT_DIED};
  const struct timespec moment = {.tv_nsec = 10 * 1000 * 1000};
  /* The main thread empties it, unless it is about to end anyway. */
  for (int tries = 0; tries < 100 && net_mailbox_post(&s->report, mail) != 0; tries++)
    (void)nanosleep(&moment, NULL);
}

/* Its thread comes later. */
static int open_metrics(struct server *s, struct net_error *e)
{
  const struct turnd_options *o = &s->settings->options;
  if (!o->prometheus)
    return 0;
  struct net_metrics_setup setup = {
      .render = turnd_metrics_render,
      .healthy = turnd_metrics_healthy,
      .died = metrics_died,
      .arg = &s->source,
      .program = "viaduct-turnd",
      .mend = "prometheus-port",
      .path = o->prometheus_path,
  };
  (void)addr_parse(bytes_of(o->prometheus_address), &setup.at); /* checked by the table */
  setup.at.port = (uint16_t)o->prometheus_port;
  int r = net_metrics_open(&setup, &s->metrics, e);
  if (r != 0)
    return r;
  struct addr at = net_metrics_address(s->metrics);
  log_event(s->log, LOG_LEVEL_INFO, "listening", LOG_TEXT("transport", "http"),
            LOG_ADDR("address", &at), LOG_TEXT("serves", o->prometheus_path));
  return 0;
}

/* Nothing that needs root comes behind it, and no thread starts before it: capabilities are those
 * of each thread. */
static int drop_privileges(struct server *s, struct net_error *e)
{
  const struct net_privileges *p = &s->setup->privileges;
  int r = net_privileges_drop(p, e);
  if (r != 0 || (p->user == NULL && p->group == NULL))
    return r;
  log_event(s->log, LOG_LEVEL_INFO, "privileges-dropped", LOG_TEXT("user", p->user),
            LOG_TEXT("group", p->group), LOG_UINT("uid", p->uid), LOG_UINT("gid", p->gid));
  if (p->uid == 0)
    log_event(s->log, LOG_LEVEL_WARN, "still-root",
              LOG_TEXT("mend", "set proc-user too, or start it as another user"));
  return 0;
}

static int open_main(struct server *s)
{
  static const int signals[] = {SIGTERM, SIGINT, SIGHUP, SIGUSR1, SIGUSR2};
  int fd = net_signals_open(signals, sizeof(signals) / sizeof(signals[0]));
  if (fd < 0)
    return fd;
  s->signals = (struct net_watch){.fd = fd, .events = EPOLLIN, .ready = signal_ready};
  int r = net_loop_open(&s->loop);
  if (r == 0)
    r = net_mailbox_open(&s->report);
  if (r != 0)
    return r;
  s->reports = (struct net_watch){.fd = s->report.fd, .events = EPOLLIN, .ready = report_ready};
  r = net_loop_attach(&s->loop, &s->signals);
  return r != 0 ? r : net_loop_attach(&s->loop, &s->reports);
}

static void log_tls(const struct server *s)
{
  const struct turnd_options *o = &s->settings->options;
  if (s->settings->tls == NULL && !(o->no_tls && o->no_dtls))
    log_event(s->log, LOG_LEVEL_INFO, "tls-off", LOG_TEXT("why", "there is no certificate"),
              LOG_TEXT("mend", "set cert=FILE and pkey=FILE to serve TLS and DTLS too"));
}

static void log_ready(const struct server *s)
{
  if (s->settings->file != NULL)
    log_event(s->log, LOG_LEVEL_INFO, "configured", LOG_TEXT("file", s->settings->file));
  log_tls(s);
  turnd_discovery_log(s->settings, s->log);
  turnd_places_log(s->settings, s->log);
  const struct turn_config *c = &s->settings->core;
  for (size_t i = 0; i < c->relay_count; i++)
    log_event(s->log, LOG_LEVEL_INFO, "relaying", LOG_ADDR("address", &c->relay[i].local),
              LOG_ADDR("told", c->relay[i].external.family != ADDR_NONE ? &c->relay[i].external
                                                                        : &c->relay[i].local),
              LOG_UINT("min_port", c->min_port), LOG_UINT("max_port", c->max_port),
              LOG_TEXT("reached_by", c->relay_virtual
                                         ? "clients of this server alone: no port is opened"
                                         : "anybody"));
  log_event(s->log, LOG_LEVEL_INFO, "ready", LOG_UINT("workers", s->worker_count),
            LOG_TEXT("realm", s->settings->realm));
}

static uint64_t next_ms(void *arg)
{
  const struct server *s = arg;
  return wheel_next_ms(&s->wheel);
}

static void tick(void *arg, uint64_t now_ms)
{
  struct server *s = arg;
  wheel_run(&s->wheel, now_ms);
}

static int open_database(struct server *s, struct net_error *e)
{
  struct option_error error;
  int r = turnd_database_open(&s->database, s->settings, s->log, e);
  if (r != 0)
    return r;
  r = lay_over(&s->settings, s->database.rows, &error);
  if (r != 0)
    net_error_set(e, "%s", error.text);
  return r;
}

static int start_watchdog(struct server *s, struct net_error *e)
{
  s->watchdog = (struct turnd_watchdog){
      .wheel = &s->wheel, .log = s->log, .worker = s->worker, .count = s->worker_count};
  int r = turnd_watchdog_start(&s->watchdog, s->loop.now_ms);
  if (r != 0)
    net_error_set(e, "viaduct-turnd cannot start: %s", err_text(r));
  return r;
}

/* Runs until somebody ends it, or a thread ends by itself. */
static int run_main(struct server *s, struct net_error *e)
{
  const struct net_loop_hooks hooks = {.arg = s, .next_ms = next_ms, .tick = tick};
  int r = net_loop_run(&s->loop, &hooks);
  if (r == 0 && !s->died)
    return 0;
  net_error_set(e, "viaduct-turnd gives up: %s",
                s->died ? "a thread ended by itself" : "the event loop of the main thread failed");
  /* In the background stderr is /dev/null. */
  log_event(s->log, LOG_LEVEL_ERROR, "gives-up", LOG_TEXT("why", e->text));
  return -ERR_IO;
}

static int serve(struct server *s, struct net_error *e)
{
  net_privileges_seal();
  int r = open_main(s);
  if (r != 0) {
    net_error_set(e, "viaduct-turnd cannot start: %s", err_text(r));
    return r;
  }
  turnd_descriptors_raise(s->settings, s->log);
  wheel_init(&s->wheel, s->loop.now_ms);
  r = check_relay(s->settings, e);
  if (r == 0)
    r = open_database(s, e);
  if (r == 0)
    r = open_workers(s, e);
  s->source.worker = s->worker;
  s->source.count = s->worker_count;
  if (r == 0)
    r = open_control(s, e);
  if (r == 0)
    r = open_metrics(s, e);
  if (r == 0)
    s->source.xdp = s->xdp = turnd_carry_open(s->settings, s->worker, s->worker_count, s->log);
  if (r == 0)
    r = drop_privileges(s, e);
  if (r == 0)
    r = start_workers(s, e);
  if (r == 0 && s->metrics != NULL)
    r = net_metrics_start(s->metrics, e);
  if (r == 0)
    r = turnd_database_start(&s->database, &s->loop, e);
  if (r == 0)
    r = start_watchdog(s, e);
  if (r != 0)
    return r;
  log_ready(s);
  if (net_notify(NET_NOTIFY_READY) != 0)
    log_event(s->log, LOG_LEVEL_WARN, "notify-failed",
              LOG_TEXT("mend", "check the socket that NOTIFY_SOCKET names"));
  net_daemon_ready(s->setup->background);
  return run_main(s, e);
}

int turnd_server_run(const struct turnd_server_setup *setup, struct net_error *e)
{
  struct server s = {
      .setup = setup,
      .settings = setup->settings,
      .log = &setup->out->log,
      .loop = {.epoll_fd = -1},
      .signals = {.fd = -1},
      .report = {.fd = -1},
      .database = {.mailbox = {.fd = -1}, .changed = database_changed},
  };
  turnd_settings_share(s.settings);
  int r = serve(&s, e);
  turnd_watchdog_stop(&s.watchdog);
  turnd_database_stop(&s.database);
  net_control_close(&s.control);
  net_metrics_stop(s.metrics); /* before the workers that they ask */
  for (size_t i = 0; i < s.worker_count; i++)
    turnd_worker_stop(s.worker[i]);
  for (size_t i = 0; i < s.worker_count; i++)
    turnd_worker_free(s.worker[i]);
  free(s.worker);
  turnd_database_close(&s.database);
  turnd_directory_free(s.directory);
  turnd_ledger_free(s.ledger);
  turnd_xdp_close(s.xdp);
  net_signals_close(s.signals.fd);
  if (s.report.fd >= 0)
    net_mailbox_close(&s.report);
  net_loop_close(&s.loop);
  turnd_settings_leave(s.settings);
  return r;
}
