/* viaduct-turnd's options as they were written; the table is config.def. settings.h makes of them
 * what the relay works with. */
#ifndef VIADUCT_TURN_OPTIONS_H
#define VIADUCT_TURN_OPTIONS_H

#include "base/option.h"
#include "turn/core/types.h"

struct turnd_options {
#define FLAG(field, ...) bool field;
#define UINT(field, ...) uint64_t field;
#define TEXT(field, ...) char *field;
#define LIST(field, ...) struct option_list field;
#define NOTE(...)
#include "turn/config.def"
#undef FLAG
#undef UINT
#undef TEXT
#undef LIST
#undef NOTE
};

enum { TURND_THREADS_MAX = 64 };

extern const struct option_set turnd_option_set;

/* What verbose and Verbose come to. */
enum log_level turnd_log_level(const struct turnd_options *o);

/* external-ip: PUBLIC or PUBLIC/PRIVATE; private is ADDR_NONE in the first form. -ERR_BAD. */
struct turnd_external {
  struct addr public, private;
};
int turnd_parse_external(struct bytes text, struct turnd_external *out);

/* user: NAME:PASSWORD or NAME:0xKEY. The views point into `text`. -ERR_BAD. */
int turnd_parse_user(struct bytes text, struct turn_user *out);

/* oauth-key: KID:ALGORITHM:KEY. The views point into `text`. -ERR_BAD. */
int turnd_parse_oauth_key(struct bytes text, struct turn_oauth_key *out);

/* allowed-peer-ip and denied-peer-ip: RANGE [realm=NAME] [user=NAME]. The views point into `text`;
 * `allowed` is left to the caller. -ERR_BAD. */
int turnd_parse_rule(struct bytes text, struct turn_peer_rule *out);

#endif
