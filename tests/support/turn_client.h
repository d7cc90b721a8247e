/* A TURN client for tests: it builds messages, signs them with what the last challenge taught it,
 * and checks the server's signature. */
#ifndef VIADUCT_TESTS_TURN_CLIENT_H
#define VIADUCT_TESTS_TURN_CLIENT_H

#include "stun/core/decode.h"
#include "stun/core/encode.h"
#include "stun/core/integrity.h"
#include "turn/core/types.h"

enum { CLIENT_TEXT = 600 };

struct world; /* tests/support/turn_world.h */

struct client_text {
  uint8_t at[CLIENT_TEXT];
  size_t len;
};

struct turn_client {
  struct turn_flow flow;
  struct client_text user, password, realm, nonce, algorithms;
  struct client_text token, mac_key; /* RFC 7635: ACCESS-TOKEN, and what signs; empty: a password */
  enum stun_integrity integrity;     /* as it signs */
  bool sha256_key, userhash;         /* the name as USERHASH */
  uint64_t transactions;             /* so far: their ids */
};

void client_init(struct turn_client *c, const struct addr *from, const struct addr *to,
                 enum turn_transport transport);
void client_text_set(struct client_text *t, const void *p, size_t len);

/* A request or indication with a fresh transaction id. */
void client_begin(struct turn_client *c, struct stun_encoder *e, void *out, size_t cap,
                  enum stun_class class, uint16_t method);
/* USERNAME, REALM, NONCE (and the password algorithm), then integrity. */
void client_sign(const struct turn_client *c, struct stun_encoder *e);
struct stun_key client_key(const struct turn_client *c);

/* Takes realm, nonce and algorithms from a 401 or 438. */
void client_learn(struct turn_client *c, const struct stun_view *response);
/* Sends what is begun, signed or not, and learns from the answer. False: it does not fit, or there
 * is none. */
bool client_exchange(struct turn_client *c, struct stun_encoder *e, bool sign, struct world *w);
/* Whether the response's integrity attributes (there has to be one) fit this client's key. */
bool client_trusts(const struct turn_client *c, const struct stun_view *response);

#endif
