/* SipHash-1-3 (Aumasson and Bernstein, 2012) and the chained table over it: the 5-tuples, peers,
 * rooms and sessions of every core are found through it. */
#include "base/hash.h"

#include "base/err.h"

enum { FIRST_BUCKETS = 16 };

static uint64_t rotate(uint64_t v, unsigned by)
{
  return (v << by) | (v >> (64 - by));
}

static void sip_round(uint64_t v[4])
{
  v[0] += v[1];
  v[1] = rotate(v[1], 13) ^ v[0];
  v[0] = rotate(v[0], 32);
  v[2] += v[3];
  v[3] = rotate(v[3], 16) ^ v[2];
  v[0] += v[3];
  v[3] = rotate(v[3], 21) ^ v[0];
  v[2] += v[1];
  v[1] = rotate(v[1], 17) ^ v[2];
  v[2] = rotate(v[2], 32);
}

static void sip_word(uint64_t v[4], uint64_t word)
{
  v[3] ^= word;
  sip_round(v);
  v[0] ^= word;
}

/* The algorithm is defined over little-endian words. Written out, since compilers make one load of
 * it, and of a loop they do not: this runs for every datagram. */
static uint64_t load_le64(const uint8_t *p)
{
  return (uint64_t)p[0] | (uint64_t)p[1] << 8 | (uint64_t)p[2] << 16 | (uint64_t)p[3] << 24 |
         (uint64_t)p[4] << 32 | (uint64_t)p[5] << 40 | (uint64_t)p[6] << 48 | (uint64_t)p[7] << 56;
}

uint64_t hash_bytes(const struct hash_key *key, const void *p, size_t len)
{
  const uint8_t *at = p;
  uint64_t v[4] = {
      key->k0 ^ 0x736f6d6570736575,
      key->k1 ^ 0x646f72616e646f6d,
      key->k0 ^ 0x6c7967656e657261,
      key->k1 ^ 0x7465646279746573,
  };
  size_t left = len;
  for (; left >= 8; left -= 8, at += 8)
    sip_word(v, load_le64(at));
  uint64_t last = (uint64_t)len << 56;
  while (left-- > 0)
    last |= (uint64_t)at[left] << (8 * left);
  sip_word(v, last);
  v[2] ^= 0xff;
  for (int i = 0; i < 3; i++)
    sip_round(v);
  return v[0] ^ v[1] ^ v[2] ^ v[3];
}

void hash_table_init(struct hash_table *t, struct mem *mem)
{
  *t = (struct hash_table){.mem = mem};
}

void hash_table_fini(struct hash_table *t)
{
  mem_free(t->mem, t->bucket, t->bucket_count * sizeof(*t->bucket));
  hash_table_init(t, t->mem);
}

/* Doubling adds one bit to the index, so a chain i splits into i and i + old, in its old order. */
static void split_chain(struct hash_table *t, size_t i, size_t old)
{
  struct hash_node *node = t->bucket[i];
  struct hash_node **low = &t->bucket[i], **high = &t->bucket[i + old];
  for (; node; node = node->next) {
    struct hash_node ***tail = node->hash & old ? &high : &low;
    **tail = node;
    *tail = &node->next;
  }
  *low = NULL;
  *high = NULL;
}

static void grow(struct hash_table *t)
{
  size_t old = t->bucket_count;
  if (old > SIZE_MAX / 2 / sizeof(*t->bucket))
    return;
  struct hash_node **bucket =
      mem_resize(t->mem, t->bucket, old * sizeof(*bucket), 2 * old * sizeof(*bucket));
  if (!bucket)
    return;
  t->bucket = bucket;
  t->bucket_count = 2 * old;
  for (size_t i = 0; i < old; i++)
    split_chain(t, i, old);
}

int hash_table_insert(struct hash_table *t, struct hash_node *node, uint64_t hash)
{
  if (!t->bucket) {
    t->bucket = mem_new(t->mem, FIRST_BUCKETS * sizeof(*t->bucket));
    if (!t->bucket)
      return -ERR_NOMEM;
    t->bucket_count = FIRST_BUCKETS;
  }
  if (t->count >= t->bucket_count)
    grow(t);
  struct hash_node **head = &t->bucket[hash & (t->bucket_count - 1)];
  *node = (struct hash_node){.next = *head, .hash = hash};
  *head = node;
  t->count++;
  return 0;
}

void hash_table_remove(struct hash_table *t, struct hash_node *node)
{
  if (!t->bucket)
    return;
  struct hash_node **at = &t->bucket[node->hash & (t->bucket_count - 1)];
  while (*at && *at != node)
    at = &(*at)->next;
  if (!*at)
    return;
  *at = node->next;
  node->next = NULL;
  t->count--;
}

static struct hash_node *find(struct hash_node *node, uint64_t hash)
{
  while (node && node->hash != hash)
    node = node->next;
  return node;
}

struct hash_node *hash_table_first(const struct hash_table *t, uint64_t hash)
{
  return t->bucket ? find(t->bucket[hash & (t->bucket_count - 1)], hash) : NULL;
}

struct hash_node *hash_table_next(const struct hash_node *node)
{
  return find(node->next, node->hash);
}
