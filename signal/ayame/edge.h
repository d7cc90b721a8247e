/* Ayame's protocol at the edge: one path, and its WebSockets. */
#ifndef VIADUCT_SIGNAL_AYAME_EDGE_H
#define VIADUCT_SIGNAL_AYAME_EDGE_H

#include "signal/ayame/core/ayame.h"
#include "signal/http.h"

/* Whether ayame-path is this one, with a slash behind it or without. */
bool ayame_is_at(const struct signald_config *config, const char *path);

/* For http.c's table. */
int ayame_handle(struct conn *c, const struct http_request *r);
int ayame_upgrade(struct conn *c, const struct http_request *r);

/* Opens s->ayame, also with ayame-path=none, which a reload may change. -ERR_NOMEM. */
int ayame_start(struct signald *s);
void ayame_put_metrics(const struct signald *s, struct buf *out);

#endif
