/* Commands to a worker thread: a bounded ring and an eventfd that its loop watches. Several threads
 * may post, one takes. For what is rare (stop, another configuration), never on a datagram's way.
 */
#ifndef VIADUCT_NET_MAILBOX_H
#define VIADUCT_NET_MAILBOX_H

#include <pthread.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { NET_MAILBOX_SIZE = 64 };

struct net_mail {
  int kind;   /* the owner's enum */
  void *load; /* passes to whoever takes it; may be NULL */
};

struct net_mailbox {
  int fd; /* an eventfd, readable while there is mail */
  pthread_mutex_t lock;
  struct net_mail ring[NET_MAILBOX_SIZE];
  size_t at, count;
};

/* -ERR_IO. */
int net_mailbox_open(struct net_mailbox *m);
/* What nobody took is lost: take it first where loads are owned. */
void net_mailbox_close(struct net_mailbox *m);
/* From any thread. -ERR_FULL: the load stays the caller's. */
int net_mailbox_post(struct net_mailbox *m, struct net_mail mail);
/* Oldest first; false when there is none. */
bool net_mailbox_take(struct net_mailbox *m, struct net_mail *out);

#endif
