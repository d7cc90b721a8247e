/* Fuzz target: a configuration file, with turnd's own table. Whatever the bytes are: parsing and
 * checking agree, an error names its line in one printable line, what was accepted can be printed
 * and means the same when it is read again, and all memory comes back, also when some is missing.
 */
#include <string.h>

#include "base/err.h"
#include "tests/fuzz/fuzz.h"
#include "tests/support/failing_mem.h"
#include "turn/options.h"

enum { PRINTED_MAX = 4 * 1024 * 1024 };

static const char name[] = "fuzz.conf";

static const void *field(const struct turnd_options *o, const struct option *row)
{
  return (const char *)o + row->offset;
}

static void check_error(const char *text)
{
  REQUIRE(memchr(text, 0, OPTION_ERROR_SIZE));
  REQUIRE(strncmp(text, name, sizeof(name) - 1) == 0 && text[sizeof(name) - 1] == ':');
  REQUIRE(text[sizeof(name)] >= '1' && text[sizeof(name)] <= '9');
  for (; *text; text++)
    REQUIRE((uint8_t)*text >= 0x20 && (uint8_t)*text < 0x7f);
}

static void take_line(void *arg, const struct option_line *line)
{
  int *first = arg;
  REQUIRE(line->number > 0 && (line->row || line->result));
  if (*first == 0)
    *first = line->result;
}

static bool is_same_text(const char *a, const char *b)
{
  return a && b ? strcmp(a, b) == 0 : a == b;
}

static bool is_same(const struct turnd_options *a, const struct turnd_options *b,
                    const struct option *row)
{
  const void *p = field(a, row), *q = field(b, row);
  const struct option_list *m = p, *n = q;
  switch (row->kind) {
  case OPTION_FLAG:
    return *(const bool *)p == *(const bool *)q;
  case OPTION_UINT:
    return *(const uint64_t *)p == *(const uint64_t *)q;
  case OPTION_TEXT:
    return is_same_text(*(char *const *)p, *(char *const *)q);
  case OPTION_LIST:
    for (size_t k = 0; k < m->count && k < n->count; k++)
      if (!is_same_text(m->item[k], n->item[k]))
        return false;
    return m->count == n->count;
  case OPTION_NOTE:
  default:
    return true;
  }
}

static void put_text(struct buf *out, const struct option *row, const char *text)
{
  buf_put_text(out, row->name);
  buf_put_text(out, "=\"");
  buf_put_text(out, text ? text : "");
  buf_put_text(out, "\"\n");
}

/* One option as a file has it. */
static void print(struct buf *out, const struct option *row, const void *value)
{
  const struct option_list *list = value;
  if (row->kind == OPTION_TEXT)
    put_text(out, row, *(char *const *)value);
  for (size_t k = 0; row->kind == OPTION_LIST && k < list->count; k++)
    put_text(out, row, list->item[k]);
  if (row->kind != OPTION_FLAG && row->kind != OPTION_UINT)
    return;
  buf_put_text(out, row->name);
  buf_put_byte(out, '=');
  buf_put_uint(out, row->kind == OPTION_FLAG ? *(const bool *)value : *(const uint64_t *)value);
  buf_put_byte(out, '\n');
}

static void read_again(const struct turnd_options *first, struct mem *mem)
{
  static uint8_t storage[PRINTED_MAX];
  struct buf out;
  struct option_parser p;
  struct turnd_options again;
  buf_init(&out, storage, sizeof(storage));
  REQUIRE(option_begin(&p, &turnd_option_set, mem, &again, sizeof(again)) == 0);
  for (size_t i = 0; i < turnd_option_set.count; i++) {
    const struct option *row = &turnd_option_set.row[i];
    if (!is_same(first, &again, row)) /* other than the default */
      print(&out, row, field(first, row));
  }
  if (!out.overflow) {
    REQUIRE(option_parse_file(&p, name, (struct bytes){out.at, out.len}) == 0);
    for (size_t i = 0; i < turnd_option_set.count; i++)
      REQUIRE(is_same(first, &again, &turnd_option_set.row[i]));
  }
  option_fini(&turnd_option_set, mem, &again);
}

static int parse(struct bytes text, size_t fail_at)
{
  struct failing_mem mem;
  struct option_parser p;
  struct turnd_options o;
  failing_mem_init(&mem);
  failing_mem_fail_at(&mem, fail_at);
  int rc = option_begin(&p, &turnd_option_set, &mem.mem, &o, sizeof(o));
  if (rc == 0) {
    rc = option_parse_file(&p, name, text);
    REQUIRE(rc == 0 || rc == -ERR_BAD || (rc == -ERR_NOMEM && fail_at));
    if (rc)
      check_error(p.error.text);
    else if (!fail_at)
      read_again(&o, &mem.mem);
  }
  option_fini(&turnd_option_set, &mem.mem, &o);
  REQUIRE(mem.blocks == 0 && mem.bytes == 0);
  return rc;
}

static int check_file(struct bytes text)
{
  struct failing_mem mem;
  struct option_parser p;
  struct turnd_options o;
  int first = 0;
  failing_mem_init(&mem);
  REQUIRE(option_begin(&p, &turnd_option_set, &mem.mem, &o, sizeof(o)) == 0);
  const int rc = option_check_file(&p, name, text, take_line, &first);
  REQUIRE(rc == 0 || rc == -ERR_BAD);
  REQUIRE(first == 0 || rc);
  option_fini(&turnd_option_set, &mem.mem, &o);
  REQUIRE(mem.blocks == 0 && mem.bytes == 0);
  return rc;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
  const struct bytes text = {data, size};
  REQUIRE(parse(text, 0) == check_file(text));
  (void)parse(text, 1 + size % 64);
  return 0;
}
