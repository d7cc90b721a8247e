/* The application's backend: its requests (docs/server-api.md) on a listener of their own, with
 * keys. http.c knows the paths and asks backend_is_allowed before anything else. */
#ifndef VIADUCT_SIGNAL_BACKEND_BACKEND_H
#define VIADUCT_SIGNAL_BACKEND_BACKEND_H

#include <jansson.h>

#include "signal/http.h"

/* Whether the request brought one of the keys: "Authorization: Bearer KEY". */
bool backend_is_allowed(struct conn *c);
/* 401, as RFC 6750 section 3 has it. */
int backend_challenge(struct conn *c, const struct http_request *r);

/* A body as an object; NULL: it was answered, with *result. Returns owned. */
json_t *backend_read_object(struct conn *c, const struct http_request *r, struct bytes body,
                            int *result);

/* Handlers, as those of http.h. */
int backend_rooms(struct conn *c, const struct http_request *r);
int backend_members(struct conn *c, const struct http_request *r);
int backend_post_message(struct conn *c, const struct http_request *r, struct bytes bearer,
                         struct bytes body);
int backend_post_turn(struct conn *c, const struct http_request *r, struct bytes bearer,
                      struct bytes body);
int backend_post_token(struct conn *c, const struct http_request *r, struct bytes bearer,
                       struct bytes body);

#endif
