/* The fake edge's database of users: it answers when the test says so. */
#include <stdlib.h>

#include "base/err.h"
#include "tests/support/turn_world.h"

static struct world_user *row_of(struct world *w, struct bytes name)
{
  for (size_t i = 0; i < w->database_count; i++)
    if (bytes_equal(w->database[i].user.name, name))
      return &w->database[i];
  return NULL;
}

int world_find_user(void *arg, const struct turn_flow *flow, struct bytes realm, struct bytes name,
                    struct turn_user *out)
{
  (void)flow;
  struct world *w = arg;
  const struct world_user *row = row_of(w, name);
  w->asked++;
  if (!w->snapshot[w->snapshot_now].users_elsewhere)
    w->broken = "a question for a user where there are none to be found";
  const struct turn_config *c = &w->snapshot[w->snapshot_now];
  size_t i = 0;
  while (i < c->realm_count && !bytes_equal(realm, c->realm[i].name))
    i++;
  if (i == c->realm_count)
    w->broken = "a question for a user of another realm";
  w->pending = w->pending || !row;
  if (!row)
    return -ERR_AGAIN;
  if (row->verdict == 0)
    *out = row->user;
  return row->verdict;
}

void world_answer(struct world *w, const struct turn_user *user, int verdict)
{
  struct world_user *row = row_of(w, user->name);
  if (!row && w->database_count == WORLD_LISTS)
    abort();
  if (!row)
    row = &w->database[w->database_count++];
  *row = (struct world_user){*user, verdict};
}

void world_unpark(struct world *w)
{
  struct world_parked parked[WORLD_PARKED];
  const size_t count = w->parked_count;
  for (size_t i = 0; i < count; i++)
    parked[i] = w->parked[i];
  w->parked_count = 0;
  for (size_t i = 0; i < count; i++) {
    world_client_input(w, &parked[i].flow, parked[i].at, parked[i].len);
    free(parked[i].at);
  }
}

void world_forget_parked(struct world *w)
{
  for (size_t i = 0; i < w->parked_count; i++)
    free(w->parked[i].at);
  w->parked_count = 0;
}
