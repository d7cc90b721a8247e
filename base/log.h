/* Log records: one event is a level, a name and fields; whoever takes the record decides where it
 * goes. Never put a secret, a token, a key or an SDP into a field. Formatting is pure; net/log_out
 * writes. */
#ifndef VIADUCT_BASE_LOG_H
#define VIADUCT_BASE_LOG_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/addr.h"
#include "base/bytes.h"

enum log_level { LOG_LEVEL_ERROR, LOG_LEVEL_WARN, LOG_LEVEL_INFO, LOG_LEVEL_DEBUG };

enum log_kind { LOG_KIND_TEXT, LOG_KIND_BYTES, LOG_KIND_UINT, LOG_KIND_ADDR };

struct log_field {
  const char *key;
  enum log_kind kind;
  union {
    const char *text; /* may be NULL: left out */
    struct bytes bytes;
    uint64_t uint;
    const struct addr *addr;
  } as;
};

#define LOG_TEXT(k, v) ((struct log_field){.key = (k), .kind = LOG_KIND_TEXT, .as.text = (v)})
#define LOG_BYTES(k, v) ((struct log_field){.key = (k), .kind = LOG_KIND_BYTES, .as.bytes = (v)})
#define LOG_UINT(k, v) ((struct log_field){.key = (k), .kind = LOG_KIND_UINT, .as.uint = (v)})
#define LOG_ADDR(k, v) ((struct log_field){.key = (k), .kind = LOG_KIND_ADDR, .as.addr = (v)})

struct log_record {
  enum log_level level;
  const char *event; /* a stable name: "allocation-created" */
  const struct log_field *field;
  size_t field_count;
  bool anonymous; /* addresses are shown as their networks: addr_anonymize */
};

struct log {
  /* What is finer is not made. These two may change while other threads log: log_set_level and
   * log_set_anonymous. */
  enum log_level level;
  bool anonymous;
  void (*take)(void *arg, const struct log_record *record);
  void *arg;
};

static inline bool log_is_on(const struct log *l, enum log_level level)
{
  return level <= __atomic_load_n(&l->level, __ATOMIC_RELAXED);
}

static inline void log_set_level(struct log *l, enum log_level level)
{
  __atomic_store_n(&l->level, level, __ATOMIC_RELAXED);
}

static inline void log_set_anonymous(struct log *l, bool anonymous)
{
  __atomic_store_n(&l->anonymous, anonymous, __ATOMIC_RELAXED);
}

/* log_event(log, LOG_LEVEL_INFO, "listening", LOG_ADDR("address", &a), LOG_TEXT("transport",
 * "udp")): at least one field. A field's value is not evaluated when the level is off. */
#define log_event(l, lv, name, ...)                                                                \
  do {                                                                                             \
    if (log_is_on((l), (lv))) {                                                                    \
      const struct log_field log_fields_[] = {__VA_ARGS__};                                        \
      log_take((l), (lv), (name), log_fields_, sizeof(log_fields_) / sizeof(log_fields_[0]));      \
    }                                                                                              \
  } while (0)

void log_take(struct log *l, enum log_level level, const char *event, const struct log_field *field,
              size_t count);

/* What happens often is told once in a while, with how many times it was not. Starts as zeros. */
struct log_pace {
  uint64_t next_ms, held;
};

/* True when it may be told now, every `every_ms` at most; *held: untold since the last time. */
bool log_pace_is_due(struct log_pace *p, uint64_t now_ms, uint64_t every_ms, uint64_t *held);

const char *log_level_name(enum log_level level);
/* -ERR_BAD for a name that is none. */
int log_level_parse(struct bytes name, enum log_level *out);

/* One line without its newline: "2026-11-24T08:49:11.123Z info turnd allocation-created
 * client=192.0.2.1:5 lifetime=600". `wall_ms` is milliseconds since 1970. Values with spaces or
 * quotes are quoted, control characters and bytes that are no UTF-8 escaped, so that no client can
 * forge a line; what does not fit is cut, between two characters, and out->overflow tells. */
void log_format_text(struct buf *out, uint64_t wall_ms, const char *program,
                     const struct log_record *record);
/* The same without time, level and program, for a log that has these itself. */
void log_format_message(struct buf *out, const struct log_record *record);
/* The same as one JSON object: {"time":..,"level":..,"program":..,"event":..,key:value,..}.
 * Bytes that are no UTF-8 become U+FFFD. A field that does not fit is left out, and the object then
 * ends with "cut":true; out->overflow is set only when not even the event fits. */
void log_format_json(struct buf *out, uint64_t wall_ms, const char *program,
                     const struct log_record *record);

#endif
