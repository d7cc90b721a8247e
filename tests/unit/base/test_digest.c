/* base/digest.c against the vectors of the RFCs and of FIPS 180. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <string.h>

#include <cmocka.h>

#include "base/digest.h"

static void assert_hex(const uint8_t *got, size_t len, const char *want)
{
  char text[2 * SHA256_SIZE + 1];
  struct buf b;
  buf_init(&b, text, sizeof(text));
  buf_put_hex(&b, got, len);
  buf_put_byte(&b, 0);
  assert_false(b.overflow);
  assert_string_equal(text, want);
}

/* RFC 1321, appendix A.5. */
static void md5_rfc1321(void **state)
{
  (void)state;
  static const char *const suite[][2] = {
      {"", "d41d8cd98f00b204e9800998ecf8427e"},
      {"a", "0cc175b9c0f1b6a831c399e269772661"},
      {"abc", "900150983cd24fb0d6963f7d28e17f72"},
      {"message digest", "f96b697d7cb7938d525a2f31aaf161d0"},
      {"abcdefghijklmnopqrstuvwxyz", "c3fcd3d76192e4007dfb496cca67e13b"},
      {"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789",
       "d174ab98d277d9f5a5611c2c9f419d9f"},
      {"12345678901234567890123456789012345678901234567890123456789012345678901234567890",
       "57edf4a22be3c955ac49da2e2107b67a"},
  };
  for (size_t i = 0; i < sizeof(suite) / sizeof(suite[0]); i++) {
    uint8_t out[MD5_SIZE];
    struct bytes text = bytes_of(suite[i][0]);
    digest_md5(&text, 1, out);
    assert_hex(out, sizeof(out), suite[i][1]);
  }
}

/* FIPS 180-2, appendix B, and the empty message. */
static void sha256_fips180(void **state)
{
  (void)state;
  static const char *const suite[][2] = {
      {"", "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"},
      {"abc", "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"},
      {"abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq",
       "248d6a61d20638b8e5c026930c3e6039a33ce45964ff2167f6ecedd419db06c1"},
  };
  uint8_t out[SHA256_SIZE];
  for (size_t i = 0; i < sizeof(suite) / sizeof(suite[0]); i++) {
    struct bytes text = bytes_of(suite[i][0]);
    digest_sha256(&text, 1, out);
    assert_hex(out, sizeof(out), suite[i][1]);
  }
  /* B.3: a million times 'a', here as a thousand pieces. */
  char thousand[1000];
  struct bytes piece[1000];
  memset(thousand, 'a', sizeof(thousand));
  for (size_t i = 0; i < 1000; i++)
    piece[i] = (struct bytes){(const uint8_t *)thousand, sizeof(thousand)};
  digest_sha256(piece, 1000, out);
  assert_hex(out, sizeof(out), "cdc76e5c9914fb9281a1c7e284d73e67f1809a48a497200e046d39ccc7112cd0");
}

/* A key or a text of RFC 2202 and RFC 4231: a text, or one byte repeated. */
struct part {
  const char *text;
  uint8_t byte;
  size_t len;
};

struct hmac_case {
  struct part key, data;
  const char *sha1, *sha256; /* NULL: the RFC has none for it */
};

static const uint8_t counting[25] = {1,  2,  3,  4,  5,  6,  7,  8,  9,  10, 11, 12, 13,
                                     14, 15, 16, 17, 18, 19, 20, 21, 22, 23, 24, 25};

static struct bytes part_bytes(const struct part *p, uint8_t storage[160])
{
  if (p->text)
    return bytes_of(p->text);
  if (p->byte == 0)
    return (struct bytes){counting, sizeof(counting)};
  memset(storage, p->byte, p->len);
  return (struct bytes){storage, p->len};
}

#define LONG_KEY "Test Using Larger Than Block-Size Key - Hash Key First"

static const struct hmac_case hmac_cases[] = {
    {{NULL, 0x0b, 20},
     {"Hi There", 0, 0},
     "b617318655057264e28bc0b6fb378c8ef146be00",
     "b0344c61d8db38535ca8afceaf0bf12b881dc200c9833da726e9376c2e32cff7"},
    {{"Jefe", 0, 0},
     {"what do ya want for nothing?", 0, 0},
     "effcdf6ae5eb2fa2d27416d5f184df9c259a7c79",
     "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843"},
    {{NULL, 0xaa, 20},
     {NULL, 0xdd, 50},
     "125d7342b9ac11cd91a39af48aa17b4f63f175d3",
     "773ea91e36800e46854db8ebd09181a72959098b3ef8c122d9635514ced565fe"},
    {{NULL, 0, 25},
     {NULL, 0xcd, 50},
     "4c9007f4026250c6bc8414f9bf50c86c2d7235da",
     "82558a389a443c0ea4cc819899f2083a85f0faa3e578f8077a2e3ff46729665b"},
    {{NULL, 0xaa, 80}, {LONG_KEY, 0, 0}, "aa4ae5e15272d00e95705637ce8a3b55ed402112", NULL},
    {{NULL, 0xaa, 80},
     {"Test Using Larger Than Block-Size Key and Larger Than One Block-Size Data", 0, 0},
     "e8e99d0f45237d786d6bbaa7965c7808bbff1a91",
     NULL},
    {{NULL, 0xaa, 131},
     {LONG_KEY, 0, 0},
     NULL,
     "60e431591ee0b67f0d8a26aacbf5b77f8e0bc6213728c5140546040f0ee37f54"},
    {{NULL, 0xaa, 131},
     {"This is a test using a larger than block-size key and a larger than block-size data. The "
      "key "
      "needs to be hashed before being used by the HMAC algorithm.",
      0, 0},
     NULL,
     "9b09ffa71b942fcb27635fbcd5b0e944bfdc63644f0713938a7f51535c3a35e2"},
};

static void hmac_rfc2202_rfc4231(void **state)
{
  (void)state;
  for (size_t i = 0; i < sizeof(hmac_cases) / sizeof(hmac_cases[0]); i++) {
    const struct hmac_case *c = &hmac_cases[i];
    uint8_t key_storage[160], data_storage[160], out[SHA256_SIZE];
    struct bytes key = part_bytes(&c->key, key_storage), data = part_bytes(&c->data, data_storage);
    if (c->sha1) {
      hmac_sha1(key, &data, 1, out);
      assert_hex(out, SHA1_SIZE, c->sha1);
    }
    if (c->sha256) {
      hmac_sha256(key, &data, 1, out);
      assert_hex(out, SHA256_SIZE, c->sha256);
    }
  }
}

static void hmac_of_nothing(void **state)
{
  (void)state;
  uint8_t out[SHA256_SIZE];
  struct bytes none = {NULL, 0};
  hmac_sha1(none, NULL, 0, out);
  assert_hex(out, SHA1_SIZE, "fbdb1d1b18aa6c08324b7d64b71fb76370690e1d");
  hmac_sha256(none, &none, 1, out);
  assert_hex(out, SHA256_SIZE, "b613679a0814d9ec772f95d778c35fc5ff1697c493715653c6c712144292c5ad");
}

static void crc32_check_value(void **state)
{
  (void)state;
  struct bytes digits = bytes_of("123456789"), none = {NULL, 0};
  assert_int_equal(digest_crc32(&digits, 1), 0xcbf43926);
  assert_int_equal(digest_crc32(&none, 1), 0);
  assert_int_equal(digest_crc32(NULL, 0), 0);
  /* An empty piece in the middle changes nothing. */
  struct bytes piece[] = {bytes_of("1234"), none, bytes_of("56789")};
  assert_int_equal(digest_crc32(piece, 3), 0xcbf43926);
}

/* Where the pieces are cut must not matter. */
static void pieces_are_one_row(void **state)
{
  (void)state;
  static const char text[] =
      "the quick brown fox jumps over the lazy dog, twice around the block..";
  struct bytes whole = bytes_of(text), key = bytes_of("key");
  uint8_t want[4][SHA256_SIZE] = {{0}}, got[4][SHA256_SIZE] = {{0}};
  digest_md5(&whole, 1, want[0]);
  digest_sha256(&whole, 1, want[1]);
  hmac_sha1(key, &whole, 1, want[2]);
  hmac_sha256(key, &whole, 1, want[3]);
  for (size_t cut = 0; cut <= whole.len; cut++) {
    struct bytes piece[] = {{whole.at, cut}, {NULL, 0}, {whole.at + cut, whole.len - cut}};
    digest_md5(piece, 3, got[0]);
    digest_sha256(piece, 3, got[1]);
    hmac_sha1(key, piece, 3, got[2]);
    hmac_sha256(key, piece, 3, got[3]);
    assert_memory_equal(got, want, sizeof(want));
    assert_int_equal(digest_crc32(piece, 3), digest_crc32(&whole, 1));
  }
}

int main(void)
{
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(md5_rfc1321),          cmocka_unit_test(sha256_fips180),
      cmocka_unit_test(hmac_rfc2202_rfc4231), cmocka_unit_test(hmac_of_nothing),
      cmocka_unit_test(crc32_check_value),    cmocka_unit_test(pieces_are_one_row),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
