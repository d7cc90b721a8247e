/* The thread that waits for the database, so that no worker does. Workers ask for users, and get
 * their questions back with the answer; what else the database holds is read every few seconds, and
 * goes to whoever set it up when it has changed. */
#ifndef VIADUCT_TURN_USERDB_USERDB_H
#define VIADUCT_TURN_USERDB_USERDB_H

#include "base/log.h"
#include "net/mailbox.h"
#include "turn/userdb/database.h"

struct userdb;

/* From a worker to the thread and back; whoever has it owns it. */
struct userdb_question {
  struct userdb_question *next; /* private to the thread */
  struct net_mailbox *back;     /* where it goes when it is answered, as mail of this kind */
  int kind;
  int verdict; /* 0 with the key, -ERR_MISSING, or -ERR_IO */
  uint8_t key[USERDB_KEY];
  uint16_t realm_len, name_len;
  uint8_t text[]; /* realm, name */
};

struct userdb_setup {
  struct userdb_database *database; /* taken */
  struct bytes realm;               /* copied */
  struct log *log;                  /* borrowed until free */
  struct net_mailbox *changed;      /* borrowed: gets a struct userdb_rows, to be freed with
                                       userdb_rows_delete, as mail of this kind */
  int changed_kind;
};

/* Returns owned, without a thread. -ERR_NOMEM, and then the database is not taken. */
int userdb_new(const struct userdb_setup *s, struct userdb **out);
/* Before the thread runs: what there is now. Returns owned. -ERR_NOMEM; -ERR_IO with a sentence,
 * after which the thread goes on trying. */
int userdb_read(struct userdb *u, struct userdb_rows **out, struct net_error *e);
/* -ERR_IO: there is no thread to be had. */
int userdb_start(struct userdb *u);
/* Ends the thread, within seconds: nothing is answered any more, and asking does no harm. */
void userdb_stop(struct userdb *u);
/* The same, and frees. NULL is fine. */
void userdb_free(struct userdb *u);
void userdb_rows_delete(struct userdb_rows *rows);

/* Returns owned; NULL without memory. */
struct userdb_question *userdb_question_new(struct bytes realm, struct bytes name);
struct bytes userdb_question_realm(const struct userdb_question *q);
struct bytes userdb_question_name(const struct userdb_question *q);
void userdb_question_free(struct userdb_question *q); /* wipes it */
/* From any thread: takes `q`. -ERR_FULL, and then it does not. */
int userdb_ask(struct userdb *u, struct userdb_question *q);

#endif
