/* The TURN client of one allocation, as far as viaduct-load needs one: challenge, Allocate, a
 * permission, a channel; then it is ready. Pure: bytes and answers in, requests out. */
#ifndef VIADUCT_BENCH_LOAD_CLIENT_H
#define VIADUCT_BENCH_LOAD_CLIENT_H

#include "stun/core/decode.h"
#include "stun/core/integrity.h"

enum { LOAD_CHANNEL = 0x4000, LOAD_REQUEST_MAX = 1024 };

enum load_step {
  LOAD_CHALLENGE, /* an Allocate without credentials, whose 401 says realm and nonce */
  LOAD_ALLOCATE,
  LOAD_PERMIT, /* CreatePermission for the peer */
  LOAD_BIND,   /* ChannelBind to it */
  LOAD_READY,
  LOAD_FAILED /* `code` and `step_failed` say how */
};

struct load_client {
  const char *username, *password; /* borrowed; empty names: no authentication */
  enum load_step step, step_failed;
  int code;
  bool channel; /* wanted: else it sends indications */
  bool ipv6;    /* asks for an IPv6 relay */
  struct addr relayed, peer;
  struct stun_key key;
  uint8_t txid[STUN_TXID_LEN];
  uint8_t realm[STUN_NONCE_MAX], nonce[STUN_NONCE_MAX];
  uint8_t realm_len, nonce_len;
  unsigned tries; /* of the request that is under way */
};

/* `id` makes the transaction ids differ from those of other clients. */
void load_client_init(struct load_client *c, const char *username, const char *password,
                      uint64_t id);
/* The request of the present step into `out` (LOAD_REQUEST_MAX bytes); its length. `peer` has to be
 * set before LOAD_PERMIT. A request that is sent again has the same transaction id. */
size_t load_client_request(const struct load_client *c, uint8_t *out);
/* A Refresh that ends the allocation. */
size_t load_client_farewell(struct load_client *c, uint8_t *out);
/* A datagram of the server. True: the step has changed. */
bool load_client_take(struct load_client *c, struct bytes datagram);

#endif
