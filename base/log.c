/* Log records as text: a line for people, or a JSON object for machines. net/log_out and the tests
 * call this; what a client sends can be in a field, so nothing here trusts a value. */
#include "base/log.h"

#include "base/err.h"
#include "base/json.h"

void log_take(struct log *l, enum log_level level, const char *event, const struct log_field *field,
              size_t count)
{
  const struct log_record record = {
      .level = level,
      .event = event,
      .field = field,
      .field_count = count,
      .anonymous = __atomic_load_n(&l->anonymous, __ATOMIC_RELAXED),
  };
  l->take(l->arg, &record);
}

bool log_pace_is_due(struct log_pace *p, uint64_t now_ms, uint64_t every_ms, uint64_t *held)
{
  if (now_ms < p->next_ms) {
    p->held++;
    return false;
  }
  *held = p->held;
  *p = (struct log_pace){.next_ms = now_ms + every_ms};
  return true;
}

const char *log_level_name(enum log_level level)
{
  switch (level) {
  case LOG_LEVEL_ERROR:
    return "error";
  case LOG_LEVEL_WARN:
    return "warn";
  case LOG_LEVEL_INFO:
    return "info";
  case LOG_LEVEL_DEBUG:
    return "debug";
  }
  return "unknown";
}

int log_level_parse(struct bytes name, enum log_level *out)
{
  for (int i = LOG_LEVEL_ERROR; i <= LOG_LEVEL_DEBUG; i++)
    if (bytes_equal(name, bytes_of(log_level_name((enum log_level)i)))) {
      *out = (enum log_level)i;
      return 0;
    }
  return -ERR_BAD;
}

/* Decimal, with zeros in front up to `width` digits (at most 20). */
static void put_padded(struct buf *out, uint64_t v, size_t width)
{
  char digits[20];
  struct buf b;
  buf_init(&b, digits, sizeof(digits));
  buf_put_uint(&b, v);
  for (size_t i = b.len; i < width; i++)
    buf_put_byte(out, '0');
  buf_put(out, digits, b.len);
}

/* The civil date of a day since 1970-01-01, in years that begin in March, so that the day that
 * comes and goes is the last one. */
static void put_date(struct buf *out, uint64_t day)
{
  enum { DAYS_BEFORE_1970 = 719468, DAYS_OF_400_YEARS = 146097 }; /* counted from 0000-03-01 */
  day += DAYS_BEFORE_1970;
  uint64_t era = day / DAYS_OF_400_YEARS, in_era = day % DAYS_OF_400_YEARS;
  uint64_t year = (in_era - in_era / 1460 + in_era / 36524 - in_era / 146096) / 365;
  uint64_t in_year = in_era - (365 * year + year / 4 - year / 100);
  uint64_t march_month = (5 * in_year + 2) / 153;
  uint64_t day_of_month = in_year - (153 * march_month + 2) / 5 + 1;
  uint64_t month = march_month < 10 ? march_month + 3 : march_month - 9;
  put_padded(out, year + era * 400 + (month <= 2 ? 1 : 0), 4);
  buf_put_byte(out, '-');
  put_padded(out, month, 2);
  buf_put_byte(out, '-');
  put_padded(out, day_of_month, 2);
}

static void put_time(struct buf *out, uint64_t wall_ms)
{
  uint64_t ms_of_day = wall_ms % 86400000;
  put_date(out, wall_ms / 86400000);
  buf_put_byte(out, 'T');
  put_padded(out, ms_of_day / 3600000, 2);
  buf_put_byte(out, ':');
  put_padded(out, ms_of_day / 60000 % 60, 2);
  buf_put_byte(out, ':');
  put_padded(out, ms_of_day / 1000 % 60, 2);
  buf_put_byte(out, '.');
  put_padded(out, ms_of_day % 1000, 3);
  buf_put_byte(out, 'Z');
}

/* One character of a value. */
struct unit {
  size_t len;    /* bytes that it takes */
  uint32_t code; /* its code point */
  bool is_utf8;  /* false: one byte that belongs to no character */
};

static struct unit unit_at(struct bytes text, size_t i)
{
  static const uint8_t lead_bits[5] = {0, 0x7f, 0x1f, 0x0f, 0x07};
  uint8_t lead = text.at[i];
  size_t len = lead < 0x80 ? 1 : lead < 0xe0 ? 2 : lead < 0xf0 ? 3 : 4;
  if (len > text.len - i || !utf8_is_valid((struct bytes){text.at + i, len}))
    return (struct unit){.len = 1, .code = lead};
  uint32_t code = lead & lead_bits[len];
  for (size_t k = 1; k < len; k++)
    code = code << 6 | (text.at[i + k] & 0x3f);
  return (struct unit){.len = len, .code = code, .is_utf8 = true};
}

/* Characters that move the cursor, end a line or turn the direction of what follows: C0, DEL, C1,
 * the separators of lines and paragraphs, the marks of direction. A terminal or an editor would
 * show a line that we never wrote. */
static bool is_unsafe(uint32_t code)
{
  return code < 0x20 || (code >= 0x7f && code < 0xa0) || code == 0x200e || code == 0x200f ||
         (code >= 0x2028 && code <= 0x202e) || (code >= 0x2066 && code <= 0x2069);
}

static bool needs_quotes(struct bytes text)
{
  for (size_t i = 0; i < text.len;) {
    struct unit u = unit_at(text, i);
    if (!u.is_utf8 || is_unsafe(u.code) || u.code == ' ' || u.code == '"' || u.code == '=' ||
        u.code == '\\')
      return true;
    i += u.len;
  }
  return text.len == 0;
}

static void put_u_escape(struct buf *b, uint32_t code)
{
  const uint8_t two[2] = {(uint8_t)(code >> 8), (uint8_t)code};
  buf_put_text(b, "\\u");
  buf_put_hex(b, two, 2);
}

/* Each character is put whole or not at all, so that a line that is cut ends between two. */
static void put_quoted(struct buf *out, struct bytes text, bool json)
{
  buf_put_byte(out, '"');
  for (size_t i = 0; i < text.len && !out->overflow;) {
    struct unit u = unit_at(text, i);
    uint8_t storage[8];
    struct buf b;
    buf_init(&b, storage, sizeof(storage));
    if (u.code == '"' || u.code == '\\') {
      buf_put_byte(&b, '\\');
      buf_put_byte(&b, (uint8_t)u.code);
    } else if (u.code == '\n' || u.code == '\r' || u.code == '\t') {
      buf_put_byte(&b, '\\');
      buf_put_byte(&b, u.code == '\n' ? 'n' : u.code == '\r' ? 'r' : 't');
    } else if (!u.is_utf8 && !json) {
      buf_put_text(&b, "\\x");
      buf_put_hex(&b, text.at + i, 1);
    } else if (!u.is_utf8 || is_unsafe(u.code)) {
      put_u_escape(&b, u.is_utf8 ? u.code : 0xfffd); /* JSON cannot hold what is no UTF-8 */
    } else {
      buf_put(&b, text.at + i, u.len);
    }
    buf_put(out, storage, b.len);
    i += u.len;
  }
  buf_put_byte(out, '"');
}

static void put_plain(struct buf *out, struct bytes text)
{
  for (size_t i = 0; i < text.len && !out->overflow;) {
    size_t len = unit_at(text, i).len;
    buf_put(out, text.at + i, len);
    i += len;
  }
}

static void put_value(struct buf *out, const struct log_record *record, const struct log_field *f,
                      bool json)
{
  char storage[ADDR_TEXT_SIZE];
  struct addr a;
  struct bytes text = {0};
  switch (f->kind) {
  case LOG_KIND_UINT:
    buf_put_uint(out, f->as.uint);
    return;
  case LOG_KIND_TEXT:
    text = bytes_of(f->as.text);
    break;
  case LOG_KIND_BYTES:
    text = f->as.bytes;
    break;
  case LOG_KIND_ADDR:
    a = record->anonymous ? addr_anonymize(*f->as.addr) : *f->as.addr;
    text = bytes_of(addr_format(&a, storage));
    break;
  }
  if (json || needs_quotes(text))
    put_quoted(out, text, json);
  else
    put_plain(out, text);
}

static bool is_left_out(const struct log_field *f)
{
  return f->kind == LOG_KIND_TEXT && f->as.text == NULL;
}

void log_format_message(struct buf *out, const struct log_record *record)
{
  buf_put_text(out, record->event);
  for (size_t i = 0; i < record->field_count; i++) {
    const struct log_field *f = &record->field[i];
    if (is_left_out(f))
      continue;
    buf_put_byte(out, ' ');
    buf_put_text(out, f->key);
    buf_put_byte(out, '=');
    put_value(out, record, f, false);
  }
}

void log_format_text(struct buf *out, uint64_t wall_ms, const char *program,
                     const struct log_record *record)
{
  put_time(out, wall_ms);
  const char *const head[] = {log_level_name(record->level), program};
  for (size_t i = 0; i < 2; i++) {
    buf_put_byte(out, ' ');
    buf_put_text(out, head[i]);
  }
  buf_put_byte(out, ' ');
  log_format_message(out, record);
}

static void put_json_head(struct buf *out, uint64_t wall_ms, const char *program,
                          const struct log_record *record)
{
  buf_put_text(out, "{\"time\":\"");
  put_time(out, wall_ms);
  buf_put_text(out, "\",\"level\":");
  json_put_string(out, bytes_of(log_level_name(record->level)));
  buf_put_text(out, ",\"program\":");
  json_put_string(out, bytes_of(program));
  buf_put_text(out, ",\"event\":");
  json_put_string(out, bytes_of(record->event));
}

void log_format_json(struct buf *out, uint64_t wall_ms, const char *program,
                     const struct log_record *record)
{
  static const char cut_end[] = ",\"cut\":true}";
  /* The end always has its place, so that what comes out is an object even when a field is not. */
  size_t reserved = sizeof(cut_end) - 1;
  if (out->cap - out->len < reserved) {
    out->overflow = true;
    return;
  }
  out->cap -= reserved;
  bool cut = false;
  put_json_head(out, wall_ms, program, record);
  for (size_t i = 0; i < record->field_count && !out->overflow; i++) {
    const struct log_field *f = &record->field[i];
    size_t before = out->len;
    if (is_left_out(f))
      continue;
    buf_put_byte(out, ',');
    json_put_string(out, bytes_of(f->key));
    buf_put_byte(out, ':');
    put_value(out, record, f, true);
    if (out->overflow) {
      out->len = before;
      out->overflow = false;
      cut = true;
    }
  }
  out->cap += reserved;
  buf_put_text(out, cut ? cut_end : "}");
}
