/* Reads vectors; strict, since a typing error in one must not go unseen. */
#include "tests/xdp/script.h"

#include <linux/bpf.h>
#include <stdlib.h>
#include <string.h>

enum { LINE = 4096 };

static const char *const stat_names[] = {
#define STAT_NAME(name, help) #name,
    XDP_STATS(STAT_NAME)
#undef STAT_NAME
};

static int index_of(const char *word, const char *const *words, size_t count)
{
  for (size_t i = 0; i < count; i++)
    if (strcmp(word, words[i]) == 0)
      return (int)i;
  return -1;
}

/* The next word of a line, which is cut behind it; NULL: no more. */
static char *next_word(char **at)
{
  char *p = *at + strspn(*at, " \n");
  if (*p == '\0')
    return NULL;
  char *end = p + strcspn(p, " \n");
  *at = *end ? end + 1 : end;
  *end = '\0';
  return p;
}

static bool read_payload(char *rest, struct script_vector *v)
{
  for (const char *word = next_word(&rest); word; word = next_word(&rest)) {
    char *end;
    const unsigned long byte = strtoul(word, &end, 16);
    const unsigned long count = *end == '*' ? strtoul(end + 1, &end, 10) : 1;
    if (*end || byte > 255 || count > SCRIPT_PAYLOAD - v->plan.len)
      return false;
    memset(v->payload + v->plan.len, (int)byte, count);
    v->plan.len += count;
  }
  return true;
}

static bool read_number(const char *word, const char *key, long *out)
{
  const size_t len = strlen(key);
  char *end;
  if (strncmp(word, key, len) != 0 || word[len] != '=')
    return false;
  *out = strtol(word + len + 1, &end, 10);
  return *end == '\0';
}

static bool read_checksum(const char *word, struct frame_plan *p)
{
  static const char *const sums[] = {"checksum=right", "checksum=none", "checksum=partial",
                                     "checksum=bad"};
  const int i = index_of(word, sums, 4);
  if (i >= 0)
    p->checksum = (enum frame_checksum)i;
  return i >= 0;
}

static bool read_extension(const char *word, struct frame_plan *p)
{
  static const char *const extensions[] = {"", "hop-by-hop", "routing", "fragment"};
  const int i = index_of(word, extensions, 4);
  if (i > 0)
    p->extension = (enum frame_extension)i;
  return i > 0;
}

static bool read_with_word(const char *word, struct frame_plan *p)
{
  long n;
  if (read_checksum(word, p) || read_extension(word, p))
    return true;
  if (strcmp(word, "vlan") == 0)
    p->vlan = true;
  else if (strcmp(word, "options") == 0)
    p->options = true;
  else if (strcmp(word, "more-fragments") == 0)
    p->more_fragments = true;
  else if (strcmp(word, "bad-ip-checksum") == 0)
    p->bad_ip_checksum = true;
  else if (strcmp(word, "other-mac") == 0)
    p->to_mac[5] ^= 1;
  else if (strcmp(word, "group-mac") == 0)
    p->to_mac[0] |= 1;
  else if (read_number(word, "offset", &n))
    p->fragment_offset = (uint16_t)n;
  else if (read_number(word, "tos", &n))
    p->tos = (uint8_t)n;
  else if (read_number(word, "protocol", &n))
    p->protocol = (uint8_t)n;
  else if (read_number(word, "trailer", &n))
    p->trailer = (size_t)n;
  else if (read_number(word, "surplus", &n))
    p->surplus = (size_t)n;
  else if (read_number(word, "udp-length-off", &n))
    p->udp_len_off = (int)n;
  else
    return false;
  return true;
}

static bool read_with(char *rest, struct frame_plan *p)
{
  for (const char *word = next_word(&rest); word; word = next_word(&rest))
    if (!read_with_word(word, p))
      return false;
  return true;
}

static bool read_ends(const struct rig *r, char *rest, struct frame_plan *p)
{
  const char *from = next_word(&rest), *to = next_word(&rest), *target = next_word(&rest);
  return from && to && target && strcmp(to, "to") == 0 && rig_find(r, from, &p->from) &&
         rig_find(r, target, &p->to) && !next_word(&rest);
}

static bool read_kernel(char *rest, struct script_vector *v)
{
  static const char *const verdicts[] = {"", "drop", "pass", "tx", "redirect"};
  const char *verdict = next_word(&rest), *stat = next_word(&rest);
  const int i = verdict ? index_of(verdict, verdicts, 5) : -1;
  const int s = stat ? index_of(stat, stat_names, XDP_STAT_COUNT) : XDP_STAT_COUNT;
  if (i <= 0 || s < 0 || next_word(&rest))
    return false;
  v->kernel = (uint32_t)i; /* XDP_DROP is 1 */
  v->stat = (enum xdp_stat)s;
  return true;
}

static bool read_core(char *rest, struct script_vector *v)
{
  static const char *const outcomes[] = {"peer", "client", "reply", "nothing", "unseen"};
  const char *word = next_word(&rest);
  const int i = word ? index_of(word, outcomes, 5) : -1;
  v->core = (enum script_core)i;
  return i >= 0 && !next_word(&rest);
}

static bool read_line(const struct rig *r, char *line, struct script_vector *v)
{
  const char *key = next_word(&line);
  if (!key)
    return false;
  if (strcmp(key, "from") == 0)
    return read_ends(r, line, &v->plan);
  if (strcmp(key, "payload") == 0)
    return read_payload(line, v);
  if (strcmp(key, "with") == 0)
    return read_with(line, &v->plan);
  if (strcmp(key, "limit") == 0) {
    v->limit_full = true;
    return strcmp(line, "full\n") == 0;
  }
  if (strcmp(key, "kernel") == 0)
    return read_kernel(line, v);
  return strcmp(key, "core") == 0 && read_core(line, v);
}

static void begin(const struct rig *r, const char *name, int line, struct script_vector *v)
{
  *v = (struct script_vector){.line = line, .kernel = XDP_ABORTED, .stat = XDP_STAT_COUNT};
  v->core = CORE_UNSEEN;
  memcpy(v->plan.to_mac, r->mac, FRAME_MAC);
  snprintf(v->name, sizeof(v->name), "%.*s", (int)strcspn(name, "\n"), name);
}

int script_next(FILE *f, const struct rig *r, const char *path, int *line,
                struct script_vector *out)
{
  char text[LINE];
  bool named = false;
  while (fgets(text, sizeof(text), f)) {
    ++*line;
    if (text[0] == '#')
      continue;
    if (text[0] == '\n') {
      if (named)
        break;
      continue;
    }
    const bool is_name = text[0] != ' ';
    if (is_name && !named) {
      begin(r, text, *line, out);
      named = true;
    } else if (is_name || !named || !read_line(r, text, out)) {
      fprintf(stderr, "%s:%d: no line of a vector\n", path, *line);
      return -1;
    }
  }
  if (!named)
    return 0;
  out->plan.payload = out->payload;
  if (out->kernel == XDP_ABORTED || out->plan.from.family == ADDR_NONE) {
    fprintf(stderr, "%s:%d: a vector without \"from\" or \"kernel\"\n", path, out->line);
    return -1;
  }
  return 1;
}
