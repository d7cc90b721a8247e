/* What the transports share: a link for a connection or a request, the key and the cursor that a
 * request brings, and texts that are put together on the heap. */
#ifndef VIADUCT_SIGNAL_DELIVER_DELIVER_H
#define VIADUCT_SIGNAL_DELIVER_DELIVER_H

#include "signal/http.h"

/* As sig_link_open, with what the request says; `token` is borrowed. */
int deliver_open_link(struct conn *c, const struct http_request *r, enum sig_transport transport,
                      struct bytes token, struct sig_link **out);
/* The link is gone; *link becomes NULL. NULL is fine. */
void deliver_close_link(struct conn *c, struct sig_link **link);

/* Why deliver_open_link said no, in the protocol's words. */
struct deliver_refusal {
  enum sig_error error;
  const char *message;
  unsigned retry_s;
};
struct deliver_refusal deliver_refusal(int err);

/* What the query has under `name` ("key="), first come: a view into `out`; `at` is NULL where it is
 * absent. false: a part of the query is too long for `out`. */
bool deliver_query(struct lws *wsi, const char *name, char *out, int size, struct bytes *value);
/* The number that the query has under `name`; absent: 0. false: it is none. */
bool deliver_query_uint(struct lws *wsi, const char *name, uint64_t *out);

/* A text that grows; `failed` stays true once there was no memory. */
struct deliver_text {
  struct mem *mem;
  uint8_t *at;
  size_t len, cap;
  bool failed;
};
void deliver_text_fini(struct deliver_text *t);
void deliver_put(struct deliver_text *t, struct bytes piece);
void deliver_put_uint(struct deliver_text *t, uint64_t v);
void deliver_put_message(struct deliver_text *t, const struct sig_out *out);

/* Answers with JSON and, where it is not 0, Retry-After; then http_done. 503 where the text has
 * failed. Frees the text. */
int deliver_answer(struct conn *c, const struct http_request *r, unsigned status,
                   struct deliver_text *t, unsigned retry_s);
/* The same of a text that has not failed, without http_done: 0 or -1. */
int deliver_send(struct conn *c, const struct http_request *r, unsigned status,
                 struct deliver_text *t, unsigned retry_s);
/* The error that the core has ready for this link, which was refused, as the answer. The link is
 * closed. */
int deliver_answer_error(struct conn *c, const struct http_request *r, struct sig_link **link);
/* What a reader is told when the core closes it and has nothing more to say: the error of this
 * close code. */
enum sig_error deliver_error_of_close(uint16_t code, const char **message);

/* poll.c: answers with what the link has to say, and closes it: {"messages":[…],"last":N}. */
int poll_answer(struct conn *c, const struct http_request *r, struct sig_link **link);
/* longpoll.c: takes the link, and answers once it has something, or after so many seconds. */
int longpoll_wait(struct conn *c, const struct http_request *r, struct sig_link *link,
                  uint64_t wait_s);

/* post.c: the answer to a hello that was judged. The link is closed. */
int post_welcome(struct conn *c, const struct http_request *r, struct sig_link **link);
/* asking.c: a POST whose hello waits to be judged. Takes the link. */
int asking_wait(struct conn *c, const struct http_request *r, struct sig_link *link);

#endif
