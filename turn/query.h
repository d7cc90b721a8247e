/* A question to all workers at once, which each answers in its own thread: the sessions that it
 * has, or the end of some. control.c asks and waits. */
#ifndef VIADUCT_TURN_QUERY_H
#define VIADUCT_TURN_QUERY_H

#include <semaphore.h>
#include <stdatomic.h>

#include "turn/core/turn.h"

enum { TURND_QUERY_USER_MAX = 1024 };

enum turnd_query_kind { TURND_QUERY_SHOW, TURND_QUERY_END };

/* One worker's answer. */
struct turnd_query_part {
  struct buf lines; /* SHOW: of JSON, each with its newline; `shown` of them */
  size_t shown;
  size_t ended; /* END: how many sessions */
};

struct turnd_query {
  enum turnd_query_kind kind;
  size_t most; /* SHOW: lines of each worker */
  uint64_t id; /* END: of a session; 0: those of `user` */
  size_t user_len;
  uint8_t user[TURND_QUERY_USER_MAX];
  atomic_uint references; /* whoever asks, and each worker that has not answered */
  atomic_size_t done;     /* how many have; a part is whole before it counts */
  sem_t answered;         /* posted by each */
  size_t part_count;
  struct turnd_query_part part[];
};

/* With one reference; parts that hold `room` bytes each. NULL without memory. */
struct turnd_query *turnd_query_new(enum turnd_query_kind kind, size_t workers, size_t room);
/* The last one frees it. */
void turnd_query_leave(struct turnd_query *q);
/* In the thread of worker `index`: answers, and leaves. */
void turnd_query_answer(struct turnd_query *q, size_t index, struct turn *t, uint64_t now_ms);
/* Until `asked` workers have answered; false when they take too long, and then no part may be
 * looked at. */
bool turnd_query_wait(struct turnd_query *q, size_t asked);

#endif
