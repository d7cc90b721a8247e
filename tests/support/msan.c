/* MemorySanitizer follows initialised bytes through code that it compiled, and libcrypto, zlib and
 * jansson are Debian's. So in its builds (CMakeLists.txt, the linker's --wrap) each call into them
 * stands here: what goes in has to be initialised, which is checked, and what comes out is. */
#include <jansson.h>
#include <openssl/md5.h>
#include <openssl/sha.h>
#include <sanitizer/msan_interface.h>
#include <stddef.h>
#include <stdlib.h>
#include <zlib.h>

#define WRAP_HASH(name, ctx_type, size)                                                            \
  int __real_##name##_Init(ctx_type *ctx);                                                         \
  int __wrap_##name##_Init(ctx_type *ctx);                                                         \
  int __wrap_##name##_Init(ctx_type *ctx)                                                          \
  {                                                                                                \
    const int rc = __real_##name##_Init(ctx);                                                      \
    __msan_unpoison(ctx, sizeof(*ctx));                                                            \
    return rc;                                                                                     \
  }                                                                                                \
  int __real_##name##_Update(ctx_type *ctx, const void *p, size_t len);                            \
  int __wrap_##name##_Update(ctx_type *ctx, const void *p, size_t len);                            \
  int __wrap_##name##_Update(ctx_type *ctx, const void *p, size_t len)                             \
  {                                                                                                \
    __msan_check_mem_is_initialized(p, len);                                                       \
    return __real_##name##_Update(ctx, p, len);                                                    \
  }                                                                                                \
  int __real_##name##_Final(unsigned char *out, ctx_type *ctx);                                    \
  int __wrap_##name##_Final(unsigned char *out, ctx_type *ctx);                                    \
  int __wrap_##name##_Final(unsigned char *out, ctx_type *ctx)                                     \
  {                                                                                                \
    const int rc = __real_##name##_Final(out, ctx);                                                \
    __msan_unpoison(out, size);                                                                    \
    return rc;                                                                                     \
  }

WRAP_HASH(MD5, MD5_CTX, MD5_DIGEST_LENGTH)
WRAP_HASH(SHA1, SHA_CTX, SHA_DIGEST_LENGTH)
WRAP_HASH(SHA256, SHA256_CTX, SHA256_DIGEST_LENGTH)

uLong __real_crc32_z(uLong crc, const Bytef *p, z_size_t len);
uLong __wrap_crc32_z(uLong crc, const Bytef *p, z_size_t len);
uLong __wrap_crc32_z(uLong crc, const Bytef *p, z_size_t len)
{
  if (p)
    __msan_check_mem_is_initialized(p, len);
  return __real_crc32_z(crc, p, len);
}

/* jansson's macros look into its objects, and it copies through stack frames that count as
 * poisoned. So its blocks are known here, and all of them are initialised once it has made
 * something. */
struct block {
  struct block *next, **link;
  size_t size;
  max_align_t start[];
};

static struct block *blocks;

static void *block_malloc(size_t size)
{
  struct block *b = calloc(1, sizeof(*b) + size);
  if (!b)
    return NULL;
  b->size = size;
  b->next = blocks;
  b->link = &blocks;
  if (b->next)
    b->next->link = &b->next;
  blocks = b;
  return b->start;
}

static void block_free(void *p)
{
  struct block *b = p ? (struct block *)p - 1 : NULL;
  if (!b)
    return;
  *b->link = b->next;
  if (b->next)
    b->next->link = b->link;
  free(b);
}

json_t *__real_json_loadb(const char *p, size_t len, size_t flags, json_error_t *error);
json_t *__wrap_json_loadb(const char *p, size_t len, size_t flags, json_error_t *error);
json_t *__wrap_json_loadb(const char *p, size_t len, size_t flags, json_error_t *error)
{
  __msan_check_mem_is_initialized(p, len);
  __msan_scoped_disable_interceptor_checks();
  json_t *value = __real_json_loadb(p, len, flags, error);
  __msan_scoped_enable_interceptor_checks();
  __msan_unpoison(error, sizeof(*error));
  for (struct block *b = blocks; b; b = b->next)
    __msan_unpoison(b->start, b->size);
  return value;
}

/* The linker is asked for this name, so that this file is in every program. */
void viaduct_msan_start(void);
__attribute__((constructor)) void viaduct_msan_start(void)
{
  json_set_alloc_funcs(block_malloc, block_free);
}
