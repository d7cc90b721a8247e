/* A book and its lock. */
#include "turn/ledger.h"

#include <pthread.h>
#include <stdlib.h>

#include "base/err.h"
#include "net/mem.h"
#include "net/random.h"

struct turnd_ledger {
  pthread_mutex_t lock;
  struct mem mem;
  struct turn_book book;
  struct turn_ledger functions;
};

static int enter(void *arg, const struct turn_claim *claim, struct turn_share *out)
{
  struct turnd_ledger *l = arg;
  pthread_mutex_lock(&l->lock);
  int r = turn_book_enter(&l->book, claim, out);
  pthread_mutex_unlock(&l->lock);
  return r;
}

static void leave(void *arg, const struct turn_share *share)
{
  struct turnd_ledger *l = arg;
  pthread_mutex_lock(&l->lock);
  turn_book_leave(&l->book, share);
  pthread_mutex_unlock(&l->lock);
}

int turnd_ledger_new(struct turnd_ledger **out)
{
  struct net_random random;
  int r = net_random_init(&random);
  if (r != 0)
    return r;
  struct turnd_ledger *l = calloc(1, sizeof(*l));
  if (l == NULL) {
    net_random_fini(&random);
    return -ERR_NOMEM;
  }
  pthread_mutex_init(&l->lock, NULL);
  l->mem = net_mem();
  turn_book_init(&l->book, &l->mem, &random.random);
  net_random_fini(&random);
  l->functions = (struct turn_ledger){.arg = l, .enter = enter, .leave = leave};
  *out = l;
  return 0;
}

void turnd_ledger_free(struct turnd_ledger *l)
{
  if (l == NULL)
    return;
  turn_book_fini(&l->book);
  pthread_mutex_destroy(&l->lock);
  free(l);
}

const struct turn_ledger *turnd_ledger_of(const struct turnd_ledger *l)
{
  return &l->functions;
}
