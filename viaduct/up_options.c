/* The table of `viaduct up`, and the check of the one value that the parser does not know. */
#include "viaduct/up_options.h"

#include "base/addr.h"

static const char *up_check_address(struct bytes value)
{
  struct addr a;
  if (addr_parse(value, &a) != 0 || a.port != 0 || a.scope != 0 || addr_is_unspecified(&a) ||
      addr_is_multicast(&a))
    return "must be one address that others can reach, like 192.0.2.1 or 2001:db8::1";
  return NULL;
}

#define ROW(option_kind, field, ...)                                                               \
  {.kind = (option_kind),                                                                          \
   .offset = offsetof(struct up_options, field),                                                   \
   .group = GROUP,                                                                                 \
   __VA_ARGS__},
#define FLAG(field, ...) ROW(OPTION_FLAG, field, __VA_ARGS__)
#define UINT(field, ...) ROW(OPTION_UINT, field, __VA_ARGS__)
#define TEXT(field, ...) ROW(OPTION_TEXT, field, __VA_ARGS__)

static const struct option rows[] = {
#include "viaduct/up.def"
};

const struct option_set up_option_set = {
    .program = "viaduct up",
    .summary = "signalling, STUN and TURN on this machine, started, supervised and stopped as one",
    .row = rows,
    .count = sizeof(rows) / sizeof(rows[0]),
};
