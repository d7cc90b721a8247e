/* What the files of the TURN scenario runner share. turn/README.md has the language. */
#ifndef VIADUCT_TESTS_TURN_SCRIPT_H
#define VIADUCT_TESTS_TURN_SCRIPT_H

#include "tests/support/turn_client.h"
#include "tests/support/turn_world.h"

enum {
  SCRIPT_WORDS = 64,  /* on a line */
  SCRIPT_LINE = 4096, /* bytes of a line */
  SCRIPT_CLIENTS = 8,
  SCRIPT_NAMES = 32, /* of variables */
  SCRIPT_MESSAGE = 65600
};

/* A word of a line; `at` ends with a NUL, which `len` does not count. */
struct word {
  char *at;
  size_t len;
  bool quoted; /* began with a quote: a payload, never a keyword */
};

struct actor {
  char name[32];
  struct turn_client client;
  uint8_t sent[SCRIPT_MESSAGE]; /* the last message, for RESEND */
  size_t sent_len;
  bool signed_last;
  uint8_t response[STUN_MESSAGE_MAX]; /* the last, for `same` */
  size_t response_len;
};

/* An address or a token, bound by its first use in an EXPECT. */
struct variable {
  char name[32];
  struct addr addr;
  uint8_t bytes[32];
  size_t len;
};

/* How a file is run: as it is written, or with all its clients moved to a transport and IPv6. */
struct variant {
  const char *name;
  bool moved; /* to `transport` */
  enum turn_transport transport;
  bool v6;
};

struct script {
  const char *path;
  int line;
  const struct variant *variant;
  uint32_t only; /* the variants that the file is bound to, by ONLY; see turn_variant.c */
  bool started;  /* the relay runs: the first event after CONFIG */
  bool quoted;   /* a QUOTE or CITE was there */
  bool lenient;  /* an allocation fails in this run: only crashes, leaks and broken words count */
  struct world world;
  struct actor actor[SCRIPT_CLIENTS];
  size_t actor_count;
  struct variable variable[SCRIPT_NAMES];
  size_t variable_count;
};

/* Says "file:line: what" on stderr and ends the process with 1. */
_Noreturn void script_fail(const struct script *s, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

bool word_is(const struct word *w, const char *text);
/* The text behind "key=", or NULL. */
const char *word_value(const struct word *w, const char *key);
uint64_t script_uint(const struct script *s, const char *text);
/* Milliseconds of "10ms" or "5s". */
uint64_t script_time(const struct script *s, const char *text);
size_t script_hex(const struct script *s, const char *text, uint8_t *out, size_t cap);
/* A literal or a variable; false in a lenient run where the variable was never bound. */
bool script_addr(const struct script *s, const char *text, struct addr *out);
/* A payload: "text" or fill=N. False when the word is none. */
bool script_payload(const struct script *s, const struct word *w, uint8_t *out, size_t *len);
struct actor *script_actor(struct script *s, const struct word *w);
bool is_variable(const char *text);
struct variable *script_variable(struct script *s, const char *name, bool make);
/* The row whose name on paper this is, in lower case, up to '=' or the end; -1. */
int script_attr(const char *name);

/* turn_variant.c */
const struct variant *script_variants(size_t *count);
/* ONLY WORD... "reason" */
void script_only(struct script *s, const struct word *w, size_t count);
/* Whether an ONLY keeps the file from being run like this. */
bool script_excludes(const struct script *s, const struct variant *v);
/* A client's address as this variant has it. */
struct addr script_client_addr(const struct script *s, const struct addr *written);

/* LOGIN's token=KEY,LIFETIME,AGE,MAC-KEY[,SERVER], and CONFIG's oauth-key=KID,KEY[,REALM]. */
void script_token(struct script *s, struct turn_client *c, const char *value);
void script_oauth_key(struct script *s, const char *value);

void script_config(struct script *s, const struct word *w, size_t count);
/* ANSWER NAME:PASSWORD | NAME:0xKEY | NAME missing | NAME broken: what a database says of a user,
 * and who waited for it goes on. */
void script_answer(struct script *s, const struct word *w, size_t count);
void script_send(struct script *s, const struct word *w, size_t count);
void script_expect(struct script *s, const struct word *w, size_t count);
/* What an output was, for people. */
const char *script_describe(const struct world_output *o, char out[200]);
/* `value` is an address, or the name of one, which is bound at its first use. */
void script_check_addr(struct script *s, const char *name, const char *value,
                       const struct addr *got);

/* turn_peers.c: TCP connections with peers. */
void script_attempt(struct script *s, const struct word *w, size_t count);
void script_connected(struct script *s, const struct word *w, size_t count);
void script_unreachable(struct script *s, const struct word *w, size_t count);
void script_hangup(struct script *s, const struct word *w, size_t count);
/* connect, closed, joined, elsewhere */
bool script_is_edge_word(const struct word *w);
const char *script_edge_word(enum world_kind kind);
void script_expect_edge(struct script *s, const struct word *w, size_t count);

/* turn_inside.c: what goes from one worker's allocation to another's. */
void script_inside(struct script *s, const struct word *w, size_t count);
void script_expect_worker(struct script *s, const struct word *w, size_t count);

/* Nothing may be left that no EXPECT has looked at. */
void script_expect_nothing(struct script *s);

/* turn_places.c: a word of CONFIG; false when it is none of those. */
bool script_config_place(struct script *s, const struct word *w);

#endif
