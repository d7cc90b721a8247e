/* peer-demo/core/behaviour.c against a NAT of each kind and stun/core's responder, without a
 * network. The NAT here knows RFC 4787's words alone; the ones of nftables are measured by
 * tests/process/test_lab.py. */
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

#include "peer-demo/core/behaviour.h"
#include "stun/core/decode.h"
#include "stun/core/respond.h"

enum { MAPPINGS = 64, STEPS = 2000 };

struct mapping {
  unsigned socket;
  struct addr to; /* whom it was made for */
  uint16_t port;
};

/* One NAT, the three sockets inside it, and the server outside. */
static struct world {
  enum behaviour mapping, filtering;
  bool hairpins, deaf, lossy, forgets_other;
  struct mapping table[MAPPINGS];
  size_t count;
  struct addr local[BEHAVIOUR_SOCKETS], public;
  struct stun_quad quad;
  struct random_seed seed;
  struct random random;
  struct behaviour_run run;
  uint64_t now_ms;
  size_t sent;
} w;

static int setup(void **state)
{
  (void)state;
  w = (struct world){.mapping = BEHAVIOUR_ENDPOINT_INDEPENDENT,
                     .filtering = BEHAVIOUR_ENDPOINT_INDEPENDENT,
                     .public = addr_v4(203, 0, 113, 9, 0)};
  w.quad = (struct stun_quad){.ip = {addr_v4(192, 0, 2, 1, 0), addr_v4(192, 0, 2, 2, 0)},
                              .port = {3478, 3479}};
  for (uint16_t i = 0; i < BEHAVIOUR_SOCKETS; i++)
    w.local[i] = addr_v4(10, 0, 0, 5, (uint16_t)(4000 + i));
  w.random = random_seeded(&w.seed, 7);
  return 0;
}

static bool is_same_flow(enum behaviour kind, const struct addr *a, const struct addr *b)
{
  if (kind == BEHAVIOUR_ENDPOINT_INDEPENDENT)
    return true;
  return kind == BEHAVIOUR_ADDRESS_DEPENDENT ? addr_equal_ip(a, b) : addr_equal(a, b);
}

/* The public address of what socket sends to `to`. */
static struct addr translate(unsigned socket, const struct addr *to)
{
  struct addr out = w.public;
  if (w.mapping == BEHAVIOUR_NONE)
    return w.local[socket];
  out.port = 0;
  for (size_t i = 0; i < w.count && out.port == 0; i++) {
    const struct mapping *m = &w.table[i];
    if (m->socket == socket && is_same_flow(w.mapping, &m->to, to))
      out.port = m->port;
  }
  if (out.port == 0)
    out.port = (uint16_t)(50000 + w.count);
  assert_true(w.count < MAPPINGS);
  w.table[w.count++] = (struct mapping){socket, *to, out.port};
  return out;
}

/* The socket behind that public port, if the filter lets `from` in; -1. */
static int inward(const struct addr *to, const struct addr *from)
{
  for (size_t i = 0; i < w.count; i++) {
    const struct mapping *m = &w.table[i];
    if (m->port == to->port && is_same_flow(w.filtering, &m->to, from))
      return (int)m->socket;
  }
  return -1;
}

static void serve(struct bytes request, struct addr source, struct addr local)
{
  static const struct stun_respond_config config = {0};
  uint8_t out[STUN_RESPOND_MAX];
  struct stun_answer answer = {.at = out, .cap = sizeof out};
  const struct stun_path path = {
      .source = source, .local = local, .quad = w.forgets_other ? NULL : &w.quad};
  int len = stun_respond_bytes(&config, &path, request.at, request.len, &answer);
  if (len <= 0 || w.deaf)
    return;
  int socket = inward(&answer.to, &answer.from);
  for (unsigned i = 0; w.mapping == BEHAVIOUR_NONE && i < BEHAVIOUR_SOCKETS; i++) {
    if (answer.to.port == w.local[i].port)
      socket = (int)i;
  }
  if (socket >= 0)
    behaviour_input(&w.run, (unsigned)socket, &answer.from, (struct bytes){out, (size_t)len},
                    w.now_ms);
}

static void carry(const struct behaviour_datagram *d)
{
  const struct bytes bytes = {d->at, d->len};
  struct addr source = translate(d->socket, &d->to);
  w.sent++;
  if (w.lossy && w.sent % 2 == 1)
    return;
  if (!addr_equal_ip(&d->to, &source)) {
    serve(bytes, source, d->to);
  } else if (w.hairpins) {
    int socket = inward(&d->to, &source);
    if (socket >= 0)
      behaviour_input(&w.run, (unsigned)socket, &source, bytes, w.now_ms);
  }
}

static const struct behaviour_found *discover(void)
{
  struct behaviour_setup setup = {.server = w.quad.ip[0], .random = &w.random};
  struct behaviour_datagram d;
  setup.server.port = w.quad.port[0];
  memcpy(setup.local, w.local, sizeof w.local);
  behaviour_begin(&w.run, &setup, w.now_ms);
  for (int i = 0; !behaviour_is_done(&w.run); i++) {
    assert_true(i < STEPS);
    while (behaviour_next(&w.run, w.now_ms, &d))
      carry(&d);
    if (!behaviour_is_done(&w.run))
      w.now_ms = behaviour_next_ms(&w.run);
  }
  assert_true(behaviour_next_ms(&w.run) == UINT64_MAX);
  return &w.run.found;
}

static void test_every_mapping_with_every_filter(void **state)
{
  (void)state;
  for (int m = BEHAVIOUR_ENDPOINT_INDEPENDENT; m < BEHAVIOUR_COUNT; m++) {
    for (int f = BEHAVIOUR_ENDPOINT_INDEPENDENT; f < BEHAVIOUR_COUNT; f++) {
      setup(NULL);
      w.mapping = (enum behaviour)m;
      w.filtering = (enum behaviour)f;
      const struct behaviour_found *found = discover();
      assert_int_equal(found->mapping, m);
      assert_int_equal(found->filtering, f);
      assert_int_equal(found->hairpin, BEHAVIOUR_HAIRPIN_NO);
      assert_true(addr_equal_ip(&found->mapped, &w.public));
    }
  }
}

static void test_no_nat(void **state)
{
  (void)state;
  w.mapping = BEHAVIOUR_NONE;
  const struct behaviour_found *found = discover();
  assert_int_equal(found->mapping, BEHAVIOUR_NONE);
  assert_int_equal(found->filtering, BEHAVIOUR_ENDPOINT_INDEPENDENT);
  assert_true(addr_equal(&found->mapped, &w.local[0]));
}

static void test_hairpin(void **state)
{
  (void)state;
  w.hairpins = true;
  assert_int_equal(discover()->hairpin, BEHAVIOUR_HAIRPIN_YES);
}

static void test_lost_packets_change_nothing(void **state)
{
  (void)state;
  w.lossy = true;
  w.filtering = BEHAVIOUR_ADDRESS_DEPENDENT;
  const struct behaviour_found *found = discover();
  assert_int_equal(found->mapping, BEHAVIOUR_ENDPOINT_INDEPENDENT);
  assert_int_equal(found->filtering, BEHAVIOUR_ADDRESS_DEPENDENT);
}

static void test_server_without_a_second_address(void **state)
{
  (void)state;
  w.forgets_other = true;
  const struct behaviour_found *found = discover();
  assert_true(found->answers);
  assert_int_equal(found->mapping, BEHAVIOUR_UNKNOWN);
  assert_int_equal(found->filtering, BEHAVIOUR_UNKNOWN);
}

static void test_silent_server(void **state)
{
  (void)state;
  w.deaf = true;
  const struct behaviour_found *found = discover();
  assert_false(found->answers);
  assert_int_equal(found->mapping, BEHAVIOUR_UNKNOWN);
  assert_int_equal(found->filtering, BEHAVIOUR_UNKNOWN);
  assert_int_equal(found->hairpin, BEHAVIOUR_HAIRPIN_UNKNOWN);
  /* Three sockets, each as often as it may. */
  assert_int_equal(w.sent, 3 * BEHAVIOUR_TRIES);
}

static void test_answers_of_strangers_are_ignored(void **state)
{
  (void)state;
  struct behaviour_setup setup = {.server = w.quad.ip[0], .random = &w.random};
  struct behaviour_datagram d;
  struct stun_view v;
  static const struct stun_respond_config config = {0};
  uint8_t out[STUN_RESPOND_MAX];
  const struct addr stranger = addr_v4(198, 51, 100, 66, 3478);
  struct stun_answer answer = {.at = out, .cap = sizeof out};
  setup.server.port = w.quad.port[0];
  memcpy(setup.local, w.local, sizeof w.local);
  behaviour_begin(&w.run, &setup, 0);
  assert_true(behaviour_next(&w.run, 0, &d));
  const struct stun_path path = {.source = w.local[0], .local = d.to};
  int len = stun_respond_bytes(&config, &path, d.at, d.len, &answer);
  assert_true(len > 0);
  const struct bytes good = {out, (size_t)len};
  behaviour_input(&w.run, d.socket, &stranger, good, 0);
  behaviour_input(&w.run, d.socket + 1, &d.to, good, 0);
  behaviour_input(&w.run, d.socket, &d.to, (struct bytes){out, good.len - 1}, 0);
  assert_false(w.run.found.answers);
  out[8] ^= 1;
  behaviour_input(&w.run, d.socket, &d.to, good, 0);
  assert_false(w.run.found.answers);
  out[8] ^= 1;
  behaviour_input(&w.run, d.socket, &d.to, good, 0);
  assert_true(w.run.found.answers);
  assert_int_equal(stun_decode(d.at, d.len, &v), 0);
}

int main(void)
{
  const struct CMUnitTest tests[] = {
      cmocka_unit_test_setup(test_every_mapping_with_every_filter, setup),
      cmocka_unit_test_setup(test_no_nat, setup),
      cmocka_unit_test_setup(test_hairpin, setup),
      cmocka_unit_test_setup(test_lost_packets_change_nothing, setup),
      cmocka_unit_test_setup(test_server_without_a_second_address, setup),
      cmocka_unit_test_setup(test_silent_server, setup),
      cmocka_unit_test_setup(test_answers_of_strangers_are_ignored, setup),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
