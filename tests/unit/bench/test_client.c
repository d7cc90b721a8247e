/* bench/load/client.c against answers made by hand. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "bench/load/client.h"

static const struct addr relayed = {.ip = {9, 9, 9, 9}, .port = 50000, .family = ADDR_V4};
static const struct addr peer = {.ip = {8, 8, 4, 4}, .port = 9, .family = ADDR_V4};

struct play {
  struct load_client c;
  uint8_t request[LOAD_REQUEST_MAX], answer[LOAD_REQUEST_MAX];
  struct stun_view v; /* of the request */
  struct stun_encoder e;
};

static void begin(struct play *p, bool channel)
{
  *p = (struct play){0};
  load_client_init(&p->c, "bob", "secret", 1);
  p->c.channel = channel;
  p->c.peer = peer;
}

static void request(struct play *p, uint16_t method)
{
  const size_t len = load_client_request(&p->c, p->request);
  assert_int_equal(stun_decode(p->request, len, &p->v), 0);
  assert_int_equal(p->v.class, STUN_REQUEST);
  assert_int_equal(p->v.method, method);
  const struct stun_key key = stun_key_md5(bytes_of("bob"), bytes_of("realm"), bytes_of("secret"));
  const bool is_signed = stun_has(&p->v, STUN_ATTR_MESSAGE_INTEGRITY);
  assert_int_equal(is_signed, p->c.step != LOAD_CHALLENGE);
  if (is_signed)
    assert_true(stun_check_integrity(&p->v, STUN_INTEGRITY_SHA1, &key));
}

static void answer(struct play *p, enum stun_class class, int code)
{
  stun_begin_response(&p->e, p->answer, sizeof(p->answer), class, &p->v);
  if (code)
    stun_put_error(&p->e, code);
  if (code == 401 || code == 438) {
    stun_put_text(&p->e, STUN_ATTR_REALM, "realm");
    stun_put_text(&p->e, STUN_ATTR_NONCE, code == 401 ? "nonce" : "another");
  }
  if (class == STUN_SUCCESS && p->v.method == STUN_ALLOCATE)
    stun_put_addr(&p->e, STUN_ATTR_XOR_RELAYED_ADDRESS, &relayed);
}

static bool deliver(struct play *p)
{
  const int len = stun_end(&p->e);
  assert_true(len > 0);
  return load_client_take(&p->c, (struct bytes){p->answer, (size_t)len});
}

static void to_permission(struct play *p)
{
  request(p, STUN_ALLOCATE);
  answer(p, STUN_ERROR, 401);
  assert_true(deliver(p));
  request(p, STUN_ALLOCATE);
  answer(p, STUN_SUCCESS, 0);
  assert_true(deliver(p));
  assert_true(addr_equal(&p->c.relayed, &relayed));
  request(p, STUN_CREATE_PERMISSION);
}

static void test_the_whole_way(void **state)
{
  (void)state;
  struct play p;
  begin(&p, true);
  to_permission(&p);
  answer(&p, STUN_SUCCESS, 0);
  assert_true(deliver(&p));
  request(&p, STUN_CHANNEL_BIND);
  struct addr at;
  assert_int_equal(stun_get_addr(&p.v, STUN_ATTR_XOR_PEER_ADDRESS, &at), 0);
  assert_true(addr_equal(&at, &peer));
  answer(&p, STUN_SUCCESS, 0);
  assert_true(deliver(&p));
  assert_int_equal(p.c.step, LOAD_READY);
  assert_int_equal(load_client_request(&p.c, p.request), 0);
}

static void test_without_a_channel(void **state)
{
  (void)state;
  struct play p;
  begin(&p, false);
  to_permission(&p);
  answer(&p, STUN_SUCCESS, 0);
  assert_true(deliver(&p));
  assert_int_equal(p.c.step, LOAD_READY);
}

static void test_a_stale_nonce(void **state)
{
  (void)state;
  struct play p;
  begin(&p, true);
  to_permission(&p);
  answer(&p, STUN_ERROR, 438);
  assert_true(deliver(&p));
  request(&p, STUN_CREATE_PERMISSION);
  assert_true(bytes_equal(stun_get_bytes(&p.v, STUN_ATTR_NONCE), bytes_of("another")));
}

static void test_a_refusal(void **state)
{
  (void)state;
  struct play p;
  begin(&p, true);
  to_permission(&p);
  answer(&p, STUN_ERROR, 403);
  assert_true(deliver(&p));
  assert_int_equal(p.c.step, LOAD_FAILED);
  assert_int_equal(p.c.step_failed, LOAD_PERMIT);
  assert_int_equal(p.c.code, 403);
}

/* A password that does not fit: the second 401 is an end and no circle. */
static void test_a_second_challenge(void **state)
{
  (void)state;
  struct play p;
  begin(&p, true);
  request(&p, STUN_ALLOCATE);
  answer(&p, STUN_ERROR, 401);
  assert_true(deliver(&p));
  request(&p, STUN_ALLOCATE);
  answer(&p, STUN_ERROR, 401);
  assert_true(deliver(&p));
  assert_int_equal(p.c.step, LOAD_FAILED);
}

static void test_answers_to_something_else(void **state)
{
  (void)state;
  struct play p;
  begin(&p, true);
  request(&p, STUN_ALLOCATE);
  answer(&p, STUN_ERROR, 401);
  p.answer[8] ^= 1; /* the transaction id */
  assert_false(deliver(&p));
  assert_false(load_client_take(&p.c, (struct bytes){p.answer, 3}));
  assert_false(load_client_take(&p.c, (struct bytes){NULL, 0}));
  assert_int_equal(p.c.step, LOAD_CHALLENGE);
  /* An allocation without its address is none. */
  stun_begin_response(&p.e, p.answer, sizeof(p.answer), STUN_SUCCESS, &p.v);
  assert_true(deliver(&p));
  assert_int_equal(p.c.step, LOAD_FAILED);
}

int main(void)
{
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_the_whole_way),      cmocka_unit_test(test_without_a_channel),
      cmocka_unit_test(test_a_stale_nonce),      cmocka_unit_test(test_a_refusal),
      cmocka_unit_test(test_a_second_challenge), cmocka_unit_test(test_answers_to_something_else),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
