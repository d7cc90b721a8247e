/* Rows of names, in one of three lists each: asked, found, others. A row that has run out stays
 * until it is asked for again or pushed out, so that a database which is away takes no user with
 * it. */
#include "turn/userdb/cache.h"

#include <string.h>

#include "base/err.h"

struct row {
  struct hash_node node;
  struct list link;
  uint64_t due_ms;   /* until then it holds, or the answer is waited for */
  uint64_t question; /* not 0: asked */
  uint64_t asker;
  int verdict;  /* 0, -ERR_MISSING, -ERR_IO */
  bool has_key; /* of the last time that the user was found */
  uint8_t key[USERDB_KEY];
  uint16_t realm_len, name_len;
  uint8_t text[]; /* realm, name */
};

static size_t row_size(const struct row *r)
{
  return sizeof(*r) + r->realm_len + r->name_len;
}

static uint64_t hash_of(const struct userdb_cache *c, struct bytes realm, struct bytes name)
{
  return hash_bytes(&c->hash_key, name.at, name.len) ^
         hash_bytes(&c->hash_key, realm.at, realm.len) * 3;
}

static struct row *row_of(const struct userdb_cache *c, struct bytes realm, struct bytes name)
{
  const uint64_t hash = hash_of(c, realm, name);
  for (struct hash_node *n = hash_table_first(&c->by_name, hash); n; n = hash_table_next(n)) {
    struct row *r = CONTAINER_OF(n, struct row, node);
    if (bytes_equal((struct bytes){r->text, r->realm_len}, realm) &&
        bytes_equal((struct bytes){r->text + r->realm_len, r->name_len}, name))
      return r;
  }
  return NULL;
}

static size_t *count_of(struct userdb_cache *c, const struct row *r)
{
  if (r->question != 0)
    return &c->asked_count;
  return r->verdict == 0 ? &c->found_count : &c->others_count;
}

static void leave(struct userdb_cache *c, struct row *r)
{
  --*count_of(c, r);
  list_remove(&r->link);
}

static void row_free(struct userdb_cache *c, struct row *r)
{
  const size_t size = row_size(r);
  leave(c, r);
  hash_table_remove(&c->by_name, &r->node);
  bytes_wipe(r, size);
  mem_free(c->mem, r, size);
}

/* Into its list, which pushes out the oldest where it is full. */
static void join(struct userdb_cache *c, struct row *r)
{
  struct list *head = r->question != 0 ? &c->asked : r->verdict == 0 ? &c->found : &c->others;
  const size_t most = r->question != 0  ? USERDB_ASKED_MAX
                      : r->verdict == 0 ? USERDB_FOUND_MAX
                                        : USERDB_OTHERS_MAX;
  if (*count_of(c, r) >= most)
    row_free(c, CONTAINER_OF(head->next, struct row, link));
  list_push_back(head, &r->link);
  ++*count_of(c, r);
}

void userdb_cache_init(struct userdb_cache *c, struct mem *mem, struct hash_key hash_key)
{
  *c = (struct userdb_cache){.mem = mem, .hash_key = hash_key};
  hash_table_init(&c->by_name, mem);
  list_init(&c->asked);
  list_init(&c->found);
  list_init(&c->others);
}

void userdb_cache_fini(struct userdb_cache *c)
{
  struct list *lists[] = {&c->asked, &c->found, &c->others};
  for (size_t i = 0; i < 3; i++)
    while (!list_is_empty(lists[i]))
      row_free(c, CONTAINER_OF(lists[i]->next, struct row, link));
  hash_table_fini(&c->by_name);
}

int userdb_cache_find(struct userdb_cache *c, struct bytes realm, struct bytes name,
                      uint64_t now_ms, uint8_t key[USERDB_KEY], uint64_t *question)
{
  const struct row *r = row_of(c, realm, name);
  if (!r || now_ms >= r->due_ms)
    return -ERR_DROP;
  if (r->question != 0) {
    *question = r->question;
    return -ERR_AGAIN;
  }
  if (r->verdict == 0)
    memcpy(key, r->key, USERDB_KEY);
  return r->verdict;
}

static struct row *row_new(struct userdb_cache *c, struct bytes realm, struct bytes name)
{
  struct row *r = mem_new(c->mem, sizeof(*r) + realm.len + name.len);
  if (!r)
    return NULL;
  r->realm_len = (uint16_t)realm.len;
  r->name_len = (uint16_t)name.len;
  if (realm.len)
    memcpy(r->text, realm.at, realm.len);
  if (name.len)
    memcpy(r->text + realm.len, name.at, name.len);
  if (hash_table_insert(&c->by_name, &r->node, hash_of(c, realm, name)) != 0) {
    mem_free(c->mem, r, row_size(r));
    return NULL;
  }
  return r;
}

/* The oldest question that is not waited for any more makes room. */
static bool has_room(struct userdb_cache *c, uint64_t asker, uint64_t now_ms)
{
  size_t count = 0;
  for (struct list *l = c->asked.next; l != &c->asked; l = l->next) {
    const struct row *r = CONTAINER_OF(l, struct row, link);
    count += r->asker == asker && r->due_ms > now_ms;
  }
  if (count >= USERDB_ASKED_ADDRESS)
    return false;
  if (c->asked_count < USERDB_ASKED_MAX)
    return true;
  return CONTAINER_OF(c->asked.next, struct row, link)->due_ms <= now_ms;
}

int userdb_cache_ask(struct userdb_cache *c, const struct userdb_asked *a, uint64_t now_ms,
                     uint64_t *question)
{
  if (a->realm.len > USERDB_REALM_MAX || a->name.len > USERDB_NAME_MAX)
    return -ERR_RANGE;
  struct row *r = row_of(c, a->realm, a->name);
  if ((!r || r->question == 0) && !has_room(c, a->asker, now_ms))
    return -ERR_FULL;
  if (r)
    leave(c, r);
  else
    r = row_new(c, a->realm, a->name);
  if (!r)
    return -ERR_NOMEM;
  r->question = ++c->questions;
  r->asker = a->asker;
  r->due_ms = now_ms + USERDB_ASKED_MS;
  join(c, r);
  *question = r->question;
  return 0;
}

uint64_t userdb_cache_answer(struct userdb_cache *c, struct bytes realm, struct bytes name,
                             int verdict, const uint8_t key[USERDB_KEY], uint64_t now_ms)
{
  struct row *r = row_of(c, realm, name);
  if (!r || r->question == 0)
    return 0;
  const uint64_t question = r->question;
  leave(c, r);
  r->question = 0;
  r->due_ms = now_ms + (verdict == 0 ? USERDB_FOUND_MS : USERDB_OTHERS_MS);
  if (verdict == 0) {
    memcpy(r->key, key, USERDB_KEY);
    r->has_key = true;
  } else if (verdict == -ERR_MISSING) {
    bytes_wipe(r->key, USERDB_KEY);
    r->has_key = false;
  }
  r->verdict = r->has_key ? 0 : verdict == -ERR_MISSING ? -ERR_MISSING : -ERR_IO;
  join(c, r);
  return question;
}
