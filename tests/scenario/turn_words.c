/* Words and values of the scenario language. */
#include <ctype.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "stun/core/decode.h"
#include "tests/scenario/turn_script.h"

void script_fail(const struct script *s, const char *format, ...)
{
  va_list args;
  va_start(args, format);
  fprintf(stderr, "%s:%d: ", s->path, s->line);
  if (s->variant->moved)
    fprintf(stderr, "(with every client %s) ", s->variant->name);
  vfprintf(stderr, format, args);
  fputc('\n', stderr);
  va_end(args);
  exit(1);
}

bool word_is(const struct word *w, const char *text)
{
  return !w->quoted && strcmp(w->at, text) == 0;
}

const char *word_value(const struct word *w, const char *key)
{
  const size_t len = strlen(key);
  if (w->quoted || strncmp(w->at, key, len) != 0 || w->at[len] != '=')
    return NULL;
  return w->at + len + 1;
}

static uint64_t number(const struct script *s, const char *text, char **end)
{
  const int base = strncmp(text, "0x", 2) == 0 ? 16 : 10;
  const uint64_t n = isdigit((unsigned char)*text) ? strtoull(text, end, base) : 0;
  if (!isdigit((unsigned char)*text))
    script_fail(s, "'%s' is no number", text);
  return n;
}

uint64_t script_uint(const struct script *s, const char *text)
{
  char *end;
  const uint64_t n = number(s, text, &end);
  if (*end)
    script_fail(s, "'%s' is no number", text);
  return n;
}

uint64_t script_time(const struct script *s, const char *text)
{
  char *end;
  const uint64_t n = number(s, text, &end);
  if (strcmp(end, "ms") == 0)
    return n;
  if (strcmp(end, "s") != 0)
    script_fail(s, "'%s' is no time: write 10ms or 5s", text);
  return n * 1000;
}

size_t script_hex(const struct script *s, const char *text, uint8_t *out, size_t cap)
{
  const size_t len = strlen(text) / 2;
  if (strlen(text) % 2 || len > cap)
    script_fail(s, "'%s' is no hexadecimal, or too long", text);
  for (size_t i = 0; i < len; i++) {
    const char digits[3] = {text[2 * i], text[2 * i + 1], 0};
    if (!isxdigit((unsigned char)digits[0]) || !isxdigit((unsigned char)digits[1]))
      script_fail(s, "'%s' is no hexadecimal", text);
    out[i] = (uint8_t)strtoul(digits, NULL, 16);
  }
  return len;
}

bool is_variable(const char *text)
{
  /* Upper case, so that an IPv6 address is none. */
  return isupper((unsigned char)*text) != 0;
}

struct variable *script_variable(struct script *s, const char *name, bool make)
{
  for (size_t i = 0; i < s->variable_count; i++)
    if (strcmp(s->variable[i].name, name) == 0)
      return &s->variable[i];
  if (!make)
    return NULL;
  struct variable *v = &s->variable[s->variable_count];
  if (s->variable_count == SCRIPT_NAMES || strlen(name) >= sizeof(v->name))
    script_fail(s, "too many names, or too long a one: '%s'", name);
  s->variable_count++;
  memcpy(v->name, name, strlen(name) + 1);
  return v;
}

bool script_addr(const struct script *s, const char *text, struct addr *out)
{
  if (is_variable(text)) {
    for (size_t i = 0; i < s->variable_count; i++)
      if (strcmp(s->variable[i].name, text) == 0) {
        *out = s->variable[i].addr;
        return true;
      }
    if (!s->lenient)
      script_fail(s, "nothing was expected as '%s' before", text);
    return false;
  }
  if (addr_parse(bytes_of(text), out))
    script_fail(s, "'%s' is no address", text);
  return true;
}

bool script_payload(const struct script *s, const struct word *w, uint8_t *out, size_t *len)
{
  const char *fill = word_value(w, "fill");
  if (fill) {
    *len = script_uint(s, fill);
    if (*len > SCRIPT_MESSAGE)
      script_fail(s, "fill=%s is too long", fill);
    for (size_t i = 0; i < *len; i++)
      out[i] = (uint8_t)(i * 7 + 1);
    return true;
  }
  if (!w->quoted)
    return false;
  memcpy(out, w->at, w->len);
  *len = w->len;
  return true;
}

struct actor *script_actor(struct script *s, const struct word *w)
{
  for (size_t i = 0; i < s->actor_count; i++)
    if (word_is(w, s->actor[i].name))
      return &s->actor[i];
  script_fail(s, "no CLIENT '%s'", w->at);
}

int script_attr(const char *name)
{
  const size_t len = strcspn(name, "=");
  for (int a = 0; a < STUN_ATTR_COUNT; a++) {
    const char *paper = stun_attr_row((enum stun_attr)a)->name;
    size_t i = 0;
    while (i < len && paper[i] && tolower((unsigned char)paper[i]) == name[i])
      i++;
    if (i == len && paper[i] == 0)
      return a;
  }
  return -1;
}
