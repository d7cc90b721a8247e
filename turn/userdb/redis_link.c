/* hiredis, with its errors in sentences. */
#include "turn/userdb/redis_link.h"

#include <string.h>

#include "base/err.h"

void userdb_redis_disconnect(struct userdb_redis_link *l)
{
  if (l->context)
    redisFree(l->context);
  l->context = NULL;
}

static int fail(struct userdb_redis_link *l, const char *why, const char *mend, struct net_error *e)
{
  net_error_set(e, "%s: Redis at %s port %u: %s; %s", l->what, l->address.host,
                (unsigned)l->address.port, why, mend);
  userdb_redis_disconnect(l);
  return -ERR_IO;
}

static const char reach[] = "check that it runs, and ip= and port=";

static int refused(struct userdb_redis_link *l, const redisReply *reply, const char *mend,
                   struct net_error *e)
{
  return fail(l, reply->len > 0 ? reply->str : "an error without a text", mend, e);
}

static void spread(const struct bytes *argument, size_t count, const char **at, size_t *len)
{
  for (size_t i = 0; i < count; i++) {
    at[i] = argument[i].len ? (const char *)argument[i].at : "";
    len[i] = argument[i].len;
  }
}

static redisReply *exchange(struct userdb_redis_link *l, const struct bytes *argument, size_t count,
                            const char *mend, struct net_error *e)
{
  const char *at[USERDB_REDIS_ARGUMENTS];
  size_t len[USERDB_REDIS_ARGUMENTS];
  spread(argument, count, at, len);
  redisReply *reply = redisCommandArgv(l->context, (int)count, at, len);
  if (!reply) {
    (void)fail(l, l->context->errstr, reach, e);
    return NULL;
  }
  /* A key that holds something else than coturn puts there is no fault of the database's: whoever
   * asks finds that the answer is not of his kind. */
  if (reply->type == REDIS_REPLY_ERROR && strncmp(reply->str, "WRONGTYPE", 9) != 0) {
    (void)refused(l, reply, mend, e);
    freeReplyObject(reply);
    return NULL;
  }
  return reply;
}

static int order(struct userdb_redis_link *l, const struct bytes *argument, size_t count,
                 const char *mend, struct net_error *e)
{
  redisReply *reply = exchange(l, argument, count, mend, e);
  if (!reply)
    return -ERR_IO;
  freeReplyObject(reply);
  return 0;
}

static int log_in(struct userdb_redis_link *l, struct net_error *e)
{
  const struct userdb_address *a = &l->address;
  uint8_t digits[20];
  struct buf number;
  buf_init(&number, digits, sizeof(digits));
  buf_put_uint(&number, a->database);
  struct bytes auth[3] = {bytes_of("AUTH"), bytes_of(a->user), bytes_of(a->password)};
  size_t count = 3;
  if (a->user[0] == 0)
    auth[1] = auth[--count];
  if (a->password[0] != 0 && order(l, auth, count, "check password=", e) != 0)
    return -ERR_IO;
  const struct bytes select[] = {bytes_of("SELECT"), {digits, number.len}};
  return order(l, select, 2, "check password= and dbname=", e);
}

int userdb_redis_connect(struct userdb_redis_link *l, struct net_error *e)
{
  const struct userdb_address *a = &l->address;
  const struct timeval connect = {.tv_sec = (time_t)a->connect_s};
  const struct timeval answer = {.tv_sec = USERDB_REDIS_ANSWER_S};
  if (l->context)
    return 0;
  l->context = a->host[0] == '/' ? redisConnectUnixWithTimeout(a->host, connect)
                                 : redisConnectWithTimeout(a->host, a->port, connect);
  if (!l->context)
    return fail(l, err_text(-ERR_NOMEM), "give this machine more memory", e);
  if (l->context->err)
    return fail(l, l->context->errstr, reach, e);
  if (redisSetTimeout(l->context, answer) != REDIS_OK)
    return fail(l, l->context->errstr, reach, e);
  return log_in(l, e);
}

redisReply *userdb_redis_ask(struct userdb_redis_link *l, const struct bytes *argument,
                             size_t count, struct net_error *e)
{
  if (userdb_redis_connect(l, e) != 0)
    return NULL;
  return exchange(l, argument, count, "check what is stored at that key", e);
}

int userdb_redis_queue(struct userdb_redis_link *l, const struct bytes *argument, size_t count,
                       struct net_error *e)
{
  const char *at[USERDB_REDIS_ARGUMENTS];
  size_t len[USERDB_REDIS_ARGUMENTS];
  if (userdb_redis_connect(l, e) != 0)
    return -ERR_IO;
  spread(argument, count, at, len);
  if (redisAppendCommandArgv(l->context, (int)count, at, len) != REDIS_OK)
    return fail(l, l->context->errstr, reach, e);
  return 0;
}

int userdb_redis_finish(struct userdb_redis_link *l, size_t count, struct net_error *e)
{
  for (size_t i = 0; i < count; i++) {
    void *reply = NULL;
    if (!l->context)
      return -ERR_IO;
    if (redisGetReply(l->context, &reply) != REDIS_OK)
      return fail(l, l->context->errstr, reach, e);
    const redisReply *r = reply;
    const int rc =
        r->type == REDIS_REPLY_ERROR ? refused(l, r, "check that it may be written to", e) : 0;
    freeReplyObject(reply);
    if (rc != 0)
      return rc;
  }
  return 0;
}
