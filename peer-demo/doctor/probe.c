/* See probe.h. Resolve, connect, secure, Binding, Allocate, CreatePermission, and echoes through
 * the relay to a socket of this machine: the "outside", which has to learn its own public address
 * by a Binding of its own. Where UDP does not pass, the echo goes to a second allocation instead.
 */
#include "peer-demo/doctor/probe.h"

#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "base/err.h"
#include "bench/load/client.h"
#include "net/clock.h"
#include "net/random.h"
#include "net/sockaddr.h"
#include "peer-demo/doctor/link.h"
#include "peer-demo/native/resolve.h"

enum {
  OPEN_MS = 4000,
  ANSWER_MS = 3500,   /* for one request, its repetitions included */
  FIRST_RTO_MS = 250, /* RFC 8489 section 6.2.1 begins with 500 and doubles; here somebody waits */
  LONGEST_RTO_MS = 500,
  OUTSIDE_MS = 1500,
  ECHOES = 200,
  ECHO_EVERY_MS = 10,
  ECHO_LAST_MS = 500, /* behind the last one */
  ECHO_SIZE = 1000,
  REQUESTS = 16,          /* for one allocation: a server may call nonce after nonce stale */
  AT_ONCE = 64,           /* messages of one socket before the clock is looked at */
  ECHO_MAGIC = 0x56446563 /* "VDec" */
};

/* One allocation, and the link that it lives on. */
struct end {
  struct link link;
  struct load_client client;
};

struct probe {
  const struct probe_setup *setup;
  struct doctor_probe *p;
  struct net_random random;
  struct end own, other; /* `other`: the second allocation, where it is needed */
  int outside;           /* the socket; -1: UDP does not pass */
  struct addr outside_mapped;
  uint64_t sent_us[ECHOES];
  bool came[ECHOES];
  uint32_t last_rtt_us;
  double jitter_us;
};

static void ended(struct probe *x, enum doctor_step step, enum doctor_fault fault, int code)
{
  x->p->step = step;
  x->p->fault = fault;
  x->p->code = code;
}

static uint64_t random_id(struct probe *x)
{
  return random_u64(&x->random.random);
}

/* ---- up to the server ---- */

static bool open_end(struct probe *x, struct end *end)
{
  struct link_setup setup = {.uri = &x->p->uri,
                             .server = x->p->server,
                             .ca = x->setup->ca,
                             .deadline_ms = net_clock_ms() + OPEN_MS};
  enum doctor_step step;
  enum doctor_fault fault = link_open(&end->link, &setup, &x->p->certificate, &step, x->p->said);
  if (fault == DOCTOR_NO_FAULT)
    return true;
  ended(x, step, fault, 0);
  return false;
}

/* Sends a request, again and again over UDP, until `take` is true of an answer. */
static enum doctor_fault ask(struct link *l, struct bytes request,
                             bool (*take)(void *arg, struct bytes message), void *arg)
{
  bool again = l->transport == URI_UDP || l->transport == URI_DTLS;
  uint8_t message[LINK_MESSAGE_MAX];
  uint64_t end_ms = net_clock_ms() + ANSWER_MS, rto_ms = FIRST_RTO_MS;
  size_t len;
  for (;;) {
    enum doctor_fault fault = link_send(l, request);
    if (fault != DOCTOR_NO_FAULT)
      return fault;
    uint64_t until_ms = again ? net_clock_ms() + rto_ms : end_ms;
    until_ms = until_ms < end_ms ? until_ms : end_ms;
    while ((fault = link_receive(l, message, &len, until_ms)) == DOCTOR_NO_FAULT) {
      if (take(arg, (struct bytes){message, len}))
        return DOCTOR_NO_FAULT;
      if (net_clock_ms() >= until_ms) { /* there may always be more */
        fault = DOCTOR_TIMEOUT;
        break;
      }
    }
    if (fault != DOCTOR_TIMEOUT || net_clock_ms() >= end_ms)
      return fault;
    rto_ms = rto_ms * 2 < LONGEST_RTO_MS ? rto_ms * 2 : LONGEST_RTO_MS;
  }
}

struct binding {
  uint8_t txid[STUN_TXID_LEN];
  struct addr mapped;
  int code;
};

static bool take_binding(void *arg, struct bytes message)
{
  struct binding *b = arg;
  struct stun_view v;
  if (stun_decode(message.at, message.len, &v) != 0 || v.method != STUN_BINDING ||
      memcmp(stun_txid(&v), b->txid, sizeof b->txid) != 0)
    return false;
  if (v.class == STUN_ERROR)
    b->code = stun_get_error(&v);
  return v.class == STUN_ERROR ||
         (v.class == STUN_SUCCESS &&
          stun_get_addr(&v, STUN_ATTR_XOR_MAPPED_ADDRESS, &b->mapped) == 0);
}

static struct bytes make_binding(struct probe *x, struct binding *b, uint8_t out[STUN_HEADER_LEN])
{
  struct stun_encoder e;
  struct random *random = &x->random.random;
  random->fill(random->arg, b->txid, sizeof b->txid);
  stun_begin(&e, out, STUN_HEADER_LEN, STUN_REQUEST, STUN_BINDING, b->txid);
  return (struct bytes){out, STUN_HEADER_LEN};
}

static bool bind_step(struct probe *x)
{
  uint8_t request[STUN_HEADER_LEN];
  struct binding b = {.code = 0};
  uint64_t begun = net_clock_ms();
  enum doctor_fault fault = ask(&x->own.link, make_binding(x, &b, request), take_binding, &b);
  x->p->took_ms = (uint32_t)(net_clock_ms() - begun);
  x->p->mapped = b.mapped;
  if (fault == DOCTOR_NO_FAULT && b.code == 0)
    return true;
  ended(x, DOCTOR_BIND, b.code ? DOCTOR_ERROR : fault, b.code);
  return false;
}

/* ---- the outside ---- */

static void learn_outside(struct probe *x)
{
  struct addr from = net_sockaddr_toward(&x->p->server);
  const struct net_bind bind = {.type = SOCK_DGRAM, .at = &from};
  struct sockaddr_storage to;
  uint8_t request[STUN_HEADER_LEN], data[512];
  struct binding b = {.code = 0};
  socklen_t len = net_sockaddr_put(&to, &x->p->server);
  x->outside = from.family == ADDR_NONE ? -1 : net_bind(&bind, NULL);
  if (x->outside < 0)
    return;
  struct bytes message = make_binding(x, &b, request);
  uint64_t end_ms = net_clock_ms() + OUTSIDE_MS;
  while (b.mapped.family == ADDR_NONE && net_clock_ms() < end_ms) {
    struct pollfd p = {.fd = x->outside, .events = POLLIN};
    (void)sendto(x->outside, message.at, message.len, MSG_NOSIGNAL, (struct sockaddr *)&to, len);
    if (poll(&p, 1, FIRST_RTO_MS) <= 0)
      continue;
    ssize_t n = recv(x->outside, data, sizeof data, MSG_DONTWAIT);
    if (n > 0)
      (void)take_binding(&b, (struct bytes){data, (size_t)n});
  }
  x->outside_mapped = b.mapped;
  if (b.mapped.family != ADDR_NONE)
    return;
  close(x->outside);
  x->outside = -1;
}

/* ---- the allocation ---- */

static bool take_step(void *arg, struct bytes message)
{
  return load_client_take(arg, message);
}

/* Up to `until`; `peer` has to be known for what comes behind the allocation. */
static bool go_to(struct probe *x, struct end *end, enum load_step until)
{
  for (int i = 0; end->client.step < until; i++) {
    uint8_t request[LOAD_REQUEST_MAX];
    const struct bytes message = {request, load_client_request(&end->client, request)};
    enum doctor_step step = end->client.step < LOAD_PERMIT ? DOCTOR_ALLOCATE : DOCTOR_PERMIT;
    enum doctor_fault fault = ask(&end->link, message, take_step, &end->client);
    if (fault != DOCTOR_NO_FAULT) {
      ended(x, step, fault, 0);
      return false;
    }
    if (end->client.step == LOAD_FAILED || i == REQUESTS) {
      ended(x, step, DOCTOR_ERROR, end->client.code);
      return false;
    }
  }
  return true;
}

static void begin(struct probe *x, struct end *end)
{
  load_client_init(&end->client, x->setup->username, x->setup->password, random_id(x));
  end->client.ipv6 = x->p->family == ADDR_V6;
}

static bool allocate(struct probe *x)
{
  begin(x, &x->own);
  if (!go_to(x, &x->own, LOAD_PERMIT))
    return false;
  x->p->relayed = x->own.client.relayed;
  learn_outside(x);
  if (x->outside >= 0) {
    x->own.client.peer = x->outside_mapped;
    return go_to(x, &x->own, LOAD_READY);
  }
  begin(x, &x->other);
  if (!open_end(x, &x->other) || !go_to(x, &x->other, LOAD_PERMIT))
    return false;
  x->own.client.peer = x->other.client.relayed;
  x->other.client.peer = x->own.client.relayed;
  return go_to(x, &x->own, LOAD_READY) && go_to(x, &x->other, LOAD_READY);
}

/* ---- through the relay and back ---- */

static void send_to_peer(struct end *end, struct bytes data)
{
  uint8_t message[ECHO_SIZE + 128];
  struct stun_encoder e;
  stun_begin(&e, message, sizeof message, STUN_INDICATION, STUN_SEND, end->client.txid);
  stun_put_addr(&e, STUN_ATTR_XOR_PEER_ADDRESS, &end->client.peer);
  stun_put_bytes(&e, STUN_ATTR_DATA, data.at, data.len);
  int len = stun_end(&e);
  if (len > 0)
    (void)link_send(&end->link, (struct bytes){message, (size_t)len});
}

/* What a Data indication carries, and from whom; empty: it is none. */
static struct bytes data_of(struct bytes message, struct addr *peer)
{
  struct stun_view v;
  if (stun_decode(message.at, message.len, &v) != 0 || v.method != STUN_DATA ||
      v.class != STUN_INDICATION || stun_get_addr(&v, STUN_ATTR_XOR_PEER_ADDRESS, peer) != 0)
    return (struct bytes){NULL, 0};
  return stun_get_bytes(&v, STUN_ATTR_DATA);
}

static uint64_t now_us(void)
{
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return (uint64_t)t.tv_sec * 1000000 + (uint64_t)t.tv_nsec / 1000;
}

/* RFC 3550 section 6.4.1: the mean deviation of the difference in transit, here of round trips. */
static void note_echo(struct probe *x, uint32_t number)
{
  struct doctor_probe *p = x->p;
  uint32_t rtt_us = (uint32_t)(now_us() - x->sent_us[number]);
  double d = (double)rtt_us - (double)x->last_rtt_us;
  x->came[number] = true;
  if (p->received > 0)
    x->jitter_us += ((d < 0 ? -d : d) - x->jitter_us) / 16;
  x->last_rtt_us = rtt_us;
  p->rtt_us = p->received == 0 || rtt_us < p->rtt_us ? rtt_us : p->rtt_us;
  p->jitter_us = (uint32_t)x->jitter_us;
  p->received++;
}

/* Behind a symmetric NAT the outside has another port for the relay than for the server: the knock
 * tells which. */
static void take_own(struct probe *x, const struct addr *peer, struct bytes data)
{
  if (data.len < 8 || load_be32(data.at) != ECHO_MAGIC)
    return;
  uint32_t number = load_be32(data.at + 4);
  if (number == UINT32_MAX) {
    x->p->outside_came = true;
    x->own.client.peer = *peer;
  } else if (number < ECHOES && number < x->p->sent && !x->came[number]) {
    note_echo(x, number);
  }
}

static void relayed_name(const struct probe *x, struct sockaddr_storage *to, socklen_t *len)
{
  *len = net_sockaddr_put(to, &x->p->relayed);
}

static void knock(struct probe *x)
{
  uint8_t data[8];
  struct sockaddr_storage to;
  socklen_t len;
  store_be32(data, ECHO_MAGIC);
  store_be32(data + 4, UINT32_MAX);
  relayed_name(x, &to, &len);
  (void)sendto(x->outside, data, sizeof data, MSG_NOSIGNAL, (struct sockaddr *)&to, len);
}

/* The other side sends back what it gets. */
static void echo_outside(struct probe *x)
{
  uint8_t data[2048];
  struct sockaddr_storage to;
  socklen_t len;
  relayed_name(x, &to, &len);
  for (int i = 0; i < AT_ONCE; i++) {
    ssize_t n = recv(x->outside, data, sizeof data, MSG_DONTWAIT);
    if (n <= 0)
      return;
    (void)sendto(x->outside, data, (size_t)n, MSG_NOSIGNAL, (struct sockaddr *)&to, len);
  }
}

typedef void (*take_fn)(struct probe *x, const struct addr *peer, struct bytes data);

/* What has come. False: the link broke. */
static bool receive_all(struct end *end, take_fn take, struct probe *x)
{
  struct addr peer;
  uint8_t message[LINK_MESSAGE_MAX];
  size_t len;
  for (int i = 0; i < AT_ONCE; i++) {
    const enum doctor_fault fault = link_receive(&end->link, message, &len, 0);
    if (fault != DOCTOR_NO_FAULT)
      return fault == DOCTOR_TIMEOUT;
    const struct bytes data = data_of((struct bytes){message, len}, &peer);
    if (data.len > 0)
      take(x, &peer, data);
  }
  return true;
}

static void take_other(struct probe *x, const struct addr *peer, struct bytes data)
{
  (void)peer;
  if (data.len <= ECHO_SIZE)
    send_to_peer(&x->other, data);
}

/* Until then, all that comes is taken. False: the link to the server broke. */
static bool serve(struct probe *x, uint64_t until_ms)
{
  struct pollfd p[] = {{.fd = x->own.link.fd, .events = POLLIN},
                       {.fd = x->outside >= 0 ? x->outside : x->other.link.fd, .events = POLLIN}};
  for (;;) {
    uint64_t now = net_clock_ms();
    bool more = link_has_more(&x->own.link) || (x->outside < 0 && link_has_more(&x->other.link));
    if (!more && poll(p, 2, until_ms > now ? (int)(until_ms - now) : 0) <= 0)
      return true;
    if (!receive_all(&x->own, take_own, x))
      return false;
    if (x->outside >= 0)
      echo_outside(x);
    else if (!receive_all(&x->other, take_other, x))
      return false;
    if (now >= until_ms)
      return true;
  }
}

static void echo(struct probe *x)
{
  uint8_t data[ECHO_SIZE] = {0};
  bool alive = true;
  x->p->outside_tried = x->outside >= 0;
  for (int i = 0; i < 3 && x->outside >= 0 && !x->p->outside_came && alive; i++) {
    knock(x);
    alive = serve(x, net_clock_ms() + FIRST_RTO_MS);
  }
  for (uint32_t i = 0; i < ECHOES && alive; i++) {
    store_be32(data, ECHO_MAGIC);
    store_be32(data + 4, i);
    x->sent_us[i] = now_us();
    x->p->sent++;
    send_to_peer(&x->own, (struct bytes){data, sizeof data});
    alive = serve(x, net_clock_ms() + ECHO_EVERY_MS);
  }
  if (alive)
    alive = serve(x, net_clock_ms() + ECHO_LAST_MS);
  bool works = x->p->received > 0 && (!x->p->outside_tried || x->p->outside_came);
  if (works)
    ended(x, DOCTOR_DONE, DOCTOR_NO_FAULT, 0);
  else
    ended(x, DOCTOR_ECHO, alive ? DOCTOR_TIMEOUT : DOCTOR_BROKEN, 0);
}

static void farewell(struct end *end)
{
  uint8_t message[LOAD_REQUEST_MAX];
  if (end->link.fd >= 0 && end->client.relayed.family != ADDR_NONE)
    (void)link_send(&end->link,
                    (struct bytes){message, load_client_farewell(&end->client, message)});
  link_close(&end->link);
}

static void run(struct probe *x)
{
  struct net_error e = {{0}};
  if (resolve_uri(&x->p->uri, x->p->family, &x->p->server, &e) != 0) {
    snprintf(x->p->said, sizeof x->p->said, "%.150s", e.text);
    ended(x, DOCTOR_RESOLVE, DOCTOR_NO_ADDRESS, 0);
    return;
  }
  if (!open_end(x, &x->own) || !bind_step(x))
    return;
  if (!x->p->uri.is_turn)
    ended(x, DOCTOR_DONE, DOCTOR_NO_FAULT, 0);
  else if (allocate(x))
    echo(x);
}

void probe_run(const struct probe_setup *setup, struct doctor_probe *p)
{
  struct probe x = {.setup = setup, .p = p, .outside = -1};
  x.own.link.fd = x.other.link.fd = -1;
  if (net_random_init(&x.random) != 0) {
    ended(&x, DOCTOR_RESOLVE, DOCTOR_BROKEN, 0);
    return;
  }
  run(&x);
  farewell(&x.own);
  farewell(&x.other);
  if (x.outside >= 0)
    close(x.outside);
  net_random_fini(&x.random);
}
