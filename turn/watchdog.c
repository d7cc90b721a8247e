/* See watchdog.h. */
#include "turn/watchdog.h"

#include <stdlib.h>
#include <unistd.h>

#include "base/bytes.h"
#include "base/err.h"
#include "net/notify.h"

static bool is_number(const char *name, uint64_t most, uint64_t *out)
{
  const char *text = getenv(name);
  return text != NULL && parse_uint(bytes_of(text), most, out) == 0;
}

/* 0: nobody waits for us. Half of what is allowed, so that one that comes late is in time. */
static uint64_t interval_ms(void)
{
  uint64_t us, pid;
  if (!is_number("WATCHDOG_USEC", UINT64_MAX, &us) || us == 0 ||
      (getenv("WATCHDOG_PID") != NULL &&
       (!is_number("WATCHDOG_PID", INT32_MAX, &pid) || (pid_t)pid != getpid())))
    return 0;
  return us < 2000 ? 1 : us / 2000;
}

/* Whether all have been through their loops since the last time. A worker without anything to do
 * has: it was woken up. */
static bool all_went_on(const struct turnd_watchdog *d)
{
  bool all = true;
  for (size_t i = 0; i < d->count; i++) {
    if (turnd_worker_rounds(d->worker[i]) != d->rounds[i])
      continue;
    all = false;
    log_event(d->log, LOG_LEVEL_ERROR, "worker-stuck", LOG_UINT("worker", i),
              LOG_UINT("since_ms", d->every_ms),
              LOG_TEXT("now", "the supervisor's watchdog is not told that all is well"));
  }
  return all;
}

static void ask(struct turnd_watchdog *d)
{
  for (size_t i = 0; i < d->count; i++) {
    d->rounds[i] = turnd_worker_rounds(d->worker[i]);
    turnd_worker_poke(d->worker[i]);
  }
}

static void look(struct timer *t, uint64_t now_ms)
{
  struct turnd_watchdog *d = CONTAINER_OF(t, struct turnd_watchdog, timer);
  if (all_went_on(d)) {
    (void)net_notify(NET_NOTIFY_WATCHDOG);
    ask(d);
  }
  wheel_arm(d->wheel, t, now_ms + d->every_ms);
}

int turnd_watchdog_start(struct turnd_watchdog *d, uint64_t now_ms)
{
  d->every_ms = interval_ms();
  timer_init(&d->timer, look);
  if (d->every_ms == 0)
    return 0;
  d->rounds = calloc(d->count, sizeof(*d->rounds));
  if (d->rounds == NULL)
    return -ERR_NOMEM;
  ask(d);
  wheel_arm(d->wheel, &d->timer, now_ms + d->every_ms);
  return 0;
}

void turnd_watchdog_stop(struct turnd_watchdog *d)
{
  if (d->rounds == NULL)
    return;
  wheel_cancel(d->wheel, &d->timer);
  free(d->rounds);
  d->rounds = NULL;
}
