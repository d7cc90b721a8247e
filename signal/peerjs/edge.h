/* PeerServer's protocol at the edge: its paths, its answers over HTTP, its sockets. */
#ifndef VIADUCT_SIGNAL_PEERJS_EDGE_H
#define VIADUCT_SIGNAL_PEERJS_EDGE_H

#include "signal/http.h"
#include "signal/peerjs/core/peerjs.h"

/* What is at a path; P is peerjs-path with a slash behind it. */
enum peerjs_place {
  PEERJS_NOWHERE,
  PEERJS_ABOUT,  /* P */
  PEERJS_ID,     /* P{key}/id */
  PEERJS_PEERS,  /* P{key}/peers */
  PEERJS_SOCKET, /* P"peerjs" */
  PEERJS_PLACES
};

enum peerjs_place peerjs_place(const struct signald_config *config, const char *path);
/* Whether pages of this origin may use it: all, unless peerjs-origin names some. */
bool peerjs_origin_is_allowed(const struct signald_config *config, const char *origin,
                              const char *host);

/* For http.c's table. */
int peerjs_about(struct conn *c, const struct http_request *r);
int peerjs_id(struct conn *c, const struct http_request *r);
int peerjs_peers(struct conn *c, const struct http_request *r);
int peerjs_socket(struct conn *c, const struct http_request *r);
int peerjs_upgrade(struct conn *c, const struct http_request *r);

/* Opens s->peerjs, also with peerjs-path=none, which a reload may change. -ERR_NOMEM. */
int peerjs_start(struct signald *s);
void peerjs_put_metrics(const struct signald *s, struct buf *out);

#endif
