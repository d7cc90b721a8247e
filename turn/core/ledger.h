/* Who has how much of what is limited: allocations for each user and in all, bandwidth in all. The
 * limits hold over every worker of a server, so the core asks a ledger that is handed in; struct
 * turn_book is one, for whoever is alone or brings his own lock. */
#ifndef VIADUCT_TURN_CORE_LEDGER_H
#define VIADUCT_TURN_CORE_LEDGER_H

#include "base/bytes.h"
#include "base/hash.h"
#include "base/list.h"
#include "base/random.h"

/* A user in the eyes of the quota: the name behind the expiry of a time-limited username, in his
 * realm; and the realm, which is an account of the same kind. It is there as long as something is
 * entered for it, and its names never change. */
struct turn_account {
  struct hash_node by_name;
  struct turn_account *realm; /* NULL: this is one */
  uint32_t count;             /* allocations and reserved ports */
  uint16_t name_len;
  uint8_t name[];
};

/* What is to be entered, and the limits as the configuration of who asks has them; 0: no limit. */
struct turn_claim {
  bool named; /* false: without authentication there is no user to count */
  struct bytes realm, name;
  uint32_t count; /* 0: of an account that has something already */
  uint64_t bps;   /* bytes per second, each way; 0: no limit, which takes nothing of the capacity */
  uint32_t user_quota, realm_quota, total_quota;
  uint64_t bps_capacity;
};

/* What was entered, to be left once. Parts of it may be left apart, if `count` and `bps` add up. */
struct turn_share {
  struct turn_account *account; /* NULL: not named */
  uint64_t bps;                 /* may be less than was claimed: what the capacity had left */
  uint32_t count;
};

/* Functions that any worker may call at any time. */
struct turn_ledger {
  void *arg;
  /* 0 with *out; -ERR_FULL: a quota is reached; -ERR_BUSY: no bandwidth is left; -ERR_NOMEM. */
  int (*enter)(void *arg, const struct turn_claim *claim, struct turn_share *out);
  void (*leave)(void *arg, const struct turn_share *share);
};

/* The counts themselves, for one thread at a time. */
struct turn_book {
  struct mem *mem;
  struct hash_key key;
  struct hash_table accounts;
  uint64_t count, bps;
};

bool turn_account_is(const struct turn_account *a, struct bytes realm, struct bytes name);

void turn_book_init(struct turn_book *b, struct mem *mem, struct random *random);
/* Everything has been left. */
void turn_book_fini(struct turn_book *b);
/* As in struct turn_ledger. */
int turn_book_enter(struct turn_book *b, const struct turn_claim *claim, struct turn_share *out);
void turn_book_leave(struct turn_book *b, const struct turn_share *share);
/* The book as a ledger without a lock. */
struct turn_ledger turn_book_ledger(struct turn_book *b);

#endif
