/* A Unix socket for whoever runs the server: a connection sends one line and gets one answer. Who
 * may is what the file's permissions say: its owner alone. */
#ifndef VIADUCT_NET_CONTROL_H
#define VIADUCT_NET_CONTROL_H

#include <sys/types.h>

#include "base/bytes.h"
#include "net/tcp.h"

enum {
  NET_CONTROL_LINE_MAX = 1024,          /* bytes, its end included */
  NET_CONTROL_ANSWER_MAX = 1024 * 1024, /* bytes */
  NET_CONTROL_CONNECTIONS = 16          /* more are closed at once */
};

struct net_control_setup {
  struct net_loop *loop; /* whose thread serves it; both are borrowed until close */
  struct wheel *wheel;
  struct hash_key hash_key;
  const char *path; /* borrowed until close */
  uid_t uid;        /* the owner, where root starts it */
  gid_t gid;
  /* One line without its end; the answer into `out`, which holds NET_CONTROL_ANSWER_MAX bytes. */
  void (*command)(void *arg, struct bytes line, struct buf *out);
  void *arg;
};

struct net_control {
  struct net_control_setup setup;
  struct net_tcp *tcp; /* NULL: closed */
  struct net_listener listener;
};

/* `c` must not move until close. A socket that nobody listens at any more is replaced. -ERR_BUSY,
 * -ERR_DENIED and the like with a sentence. */
int net_control_open(struct net_control *c, const struct net_control_setup *s, struct net_error *e);
/* Ends its connections and removes the file, if it may. Harmless when zeroed. */
void net_control_close(struct net_control *c);

#endif
