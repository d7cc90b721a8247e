/* One message of a client, decoded: views into its text, nothing allocated. Private to this
 * folder and its tests, but for the scanner at its end. */
#ifndef VIADUCT_SIGNAL_CORE_MESSAGE_H
#define VIADUCT_SIGNAL_CORE_MESSAGE_H

#include "signal/core/types.h"

enum sig_type {
  SIG_HELLO,
  SIG_JOIN,
  SIG_LEAVE,
  SIG_SIGNAL,
  SIG_BROADCAST,
  SIG_KICK,
  SIG_ACK,
  SIG_PING,
  SIG_ICE,
  SIG_BYE,
  SIG_TYPE_COUNT
};

/* The longest value with escapes in it that is still unfolded. */
enum { SIG_SCRATCH = 4096, SIG_DEPTH = 64, SIG_ID_SIZE = 128, SIG_T_SIZE = 128 };

/* Texts are unfolded (no escapes), the others are JSON as it was sent. `at` is NULL for what is
 * absent or null; an empty text has a pointer. */
struct sig_message {
  enum sig_type type;
  struct bytes room, to, name, token;
  struct bytes meta, data, id, t;
  uint64_t seq;
  struct bytes resume; /* the object; its three members are below */
  struct bytes session, key;
  uint64_t after;
  uint8_t scratch[SIG_SCRATCH];
  size_t scratch_len;
};

/* Why a message was refused. */
struct sig_refusal {
  enum sig_error error;
  struct bytes id; /* of the message, where it has one */
  char prose[256]; /* for people: what is wrong, and what would be right */
};

/* 0, or -ERR_BAD with `refusal` filled. */
int sig__message_read(struct bytes text, const struct sig_limits *limits, struct sig_message *out,
                      struct sig_refusal *refusal);

/* scan.c, which signal/peerjs and signal/ayame use too: one walk over JSON, checking all of it (RFC
 * 8259) and allocating nothing. Not jansson, though the house prefers a library: `data` and `meta`
 * are a client's own and go through byte for byte, and jansson refuses what is good JSON there
 * (integers beyond 64 bits, 1e400, the escape of half a surrogate pair). It would also build a tree
 * of every offer only for it to be thrown away, from malloc. The unit tests and the fuzzer hold the
 * two against each other: whatever jansson takes as an object, this takes. */

enum sig_kind {
  SIG_KIND_OBJECT,
  SIG_KIND_ARRAY,
  SIG_KIND_STRING,
  SIG_KIND_NUMBER,
  SIG_KIND_BOOL,
  SIG_KIND_NULL
};

/* One member of the object: its name between the quotes, as sent, and its value. */
struct sig_found {
  struct bytes name, value;
  bool name_has_escapes;
  enum sig_kind kind;
};

struct sig_scan {
  void *arg;
  /* For each member of the outermost object, in order. The text behind may still prove bad. */
  void (*member)(void *arg, const struct sig_found *found);
  size_t stop; /* where the scan stopped, for the message of an error */
};

/* One object and nothing behind it, at most `depth` (<= 64) levels. 0; -ERR_BAD: no JSON;
 * -ERR_RANGE: too deep; -ERR_MISSING: JSON, but no object. */
int sig__scan(struct sig_scan *scan, struct bytes text, unsigned depth);
/* The text between the quotes of a string that sig__scan accepted, with its escapes resolved.
 * -ERR_FULL; -ERR_BAD: half a surrogate pair. */
int sig__unescape(struct bytes between, struct buf *out);

#endif
