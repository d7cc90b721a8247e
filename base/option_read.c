/* The two sources of options: a configuration file's lines, and a command line as getopt_long reads
 * it. Both end in option__set (option.c), one value at a time. */
#include <string.h>

#include "base/err.h"
#include "base/option_priv.h"

static bool is_blank(uint8_t c)
{
  return c == ' ' || c == '\t' || c == '\r' || c == '\v' || c == '\f';
}

static struct bytes skip(struct bytes text, size_t count)
{
  return (struct bytes){text.at + count, text.len - count};
}

static struct bytes trim_front(struct bytes text)
{
  while (text.len > 0 && is_blank(text.at[0]))
    text = skip(text, 1);
  return text;
}

static struct bytes trim_back(struct bytes text)
{
  while (text.len > 0 && is_blank(text.at[text.len - 1]))
    text.len--;
  return text;
}

/* Files. */

/* Where the quote that opens `text` closes: at the first one of its kind behind which there is
 * nothing but white space and a comment. 0: nowhere. */
static size_t closing_quote(struct bytes text)
{
  for (size_t i = 1; i < text.len; i++) {
    if (text.at[i] != text.at[0])
      continue;
    struct bytes tail = trim_front(skip(text, i + 1));
    bool spaced = tail.len < text.len - i - 1;
    if (tail.len == 0 || (spaced && tail.at[0] == '#'))
      return i;
  }
  return 0;
}

static struct bytes without_comment(struct bytes text)
{
  for (size_t i = 1; i < text.len; i++)
    if (text.at[i] == '#' && is_blank(text.at[i - 1]))
      text.len = i;
  return text;
}

/* `rest` is the line behind the name, or behind the '=' when there is one. -ERR_BAD: a quote that
 * is not closed. */
static int read_value(struct bytes rest, bool equals, struct option_value *v)
{
  struct bytes text = trim_front(rest);
  *v = (struct option_value){.given = true};
  if (text.len > 0 && (text.at[0] == '"' || text.at[0] == '\'')) {
    size_t end = closing_quote(text);
    v->text = (struct bytes){text.at + 1, end - 1};
    v->quoted = true;
    return end == 0 ? -ERR_BAD : 0;
  }
  v->text = trim_back(trim_front(without_comment(rest)));
  v->given = equals || v->text.len > 0;
  return 0;
}

static bool has_nul(struct bytes text)
{
  for (size_t i = 0; i < text.len; i++)
    if (text.at[i] == '\0')
      return true;
  return false;
}

/* `line` is neither empty nor a comment. */
static int parse_line(struct option_parser *p, const struct option_place *at, struct bytes line,
                      struct option_line *out)
{
  if (has_nul(line)) {
    return option__fail(p, at,
                        "there is a NUL byte in this line; save the file as plain text (UTF-8)");
  }
  /* A line copied from a command line is meant well. */
  if (line.len > 2 && line.at[0] == '-' && line.at[1] == '-')
    line = skip(line, 2);
  struct bytes name = {line.at, 0};
  while (name.len < line.len && line.at[name.len] != '=' && !is_blank(line.at[name.len]))
    name.len++;
  if (name.len == 0)
    return option__fail(p, at, "there is no option before the '='; write NAME=VALUE");
  const struct option *row = option_find(p->set, name);
  if (row == NULL)
    return option__fail_unknown(p, at, name);
  out->row = row;
  out->again = row->kind != OPTION_LIST && row->kind != OPTION_NOTE && option__was_set(p, row);
  struct bytes rest = skip(line, name.len);
  struct bytes behind = trim_front(rest);
  bool equals = behind.len > 0 && behind.at[0] == '=';
  struct option_value v;
  if (read_value(equals ? skip(behind, 1) : rest, equals, &v) != 0) {
    return option__fail(
        p, at, "the quote that opens the value is not closed; close it at the value's end");
  }
  out->value = v.text;
  out->given = v.given;
  return option__set(p, at, row, &v);
}

/* Without `each`, the first wrong line is the last. */
static int walk_file(struct option_parser *p, const char *file_name, struct bytes text,
                     option_line_fn each, void *arg)
{
  struct option_place at = {.name = file_name};
  int first = 0;
  /* The mark that some editors put before UTF-8. */
  if (text.len >= 3 && memcmp(text.at, "\xef\xbb\xbf", 3) == 0)
    text = skip(text, 3);
  while (text.len > 0) {
    struct bytes line = {text.at, 0};
    while (line.len < text.len && line.at[line.len] != '\n')
      line.len++;
    at.line++;
    text = skip(text, line.len < text.len ? line.len + 1 : line.len);
    struct option_line out = {.number = at.line};
    struct bytes trimmed = trim_back(trim_front(line));
    if (line.len > OPTION_LINE_MAX)
      out.result = option__fail(p, &at, "this line is longer than 65536 bytes; shorten it");
    else if (trimmed.len == 0 || trimmed.at[0] == '#')
      continue;
    else
      out.result = parse_line(p, &at, trimmed, &out);
    if (first == 0)
      first = out.result;
    if (each != NULL)
      each(arg, &out);
    else if (first != 0)
      return first;
  }
  return first;
}

int option_parse_file(struct option_parser *p, const char *file_name, struct bytes text)
{
  return walk_file(p, file_name, text, NULL, NULL);
}

int option_check_file(struct option_parser *p, const char *file_name, struct bytes text,
                      option_line_fn each, void *arg)
{
  return walk_file(p, file_name, text, each, arg);
}

/* The command line. */

struct arg_walk {
  const struct option_set *set;
  int argc;
  char *const *argv;
  int at;
  const char *letters; /* what is left of a "-abc"; NULL between arguments */
  bool operands;       /* "--" was there */
};

struct arg_item {
  const struct option *row; /* NULL: unknown, or stray */
  struct bytes name;
  bool is_letter;
  const char *value; /* NULL: none */
  const char *stray; /* an argument that is no option */
};

static const struct option *find_letter(const struct option_set *set, char letter)
{
  for (size_t i = 0; i < set->count; i++)
    if (set->row[i].letter != 0 && set->row[i].letter == letter)
      return &set->row[i];
  return NULL;
}

static const char *following(struct arg_walk *w, const struct option *row)
{
  bool wants = row != NULL && row->kind != OPTION_FLAG && row->bare == NULL &&
               (row->kind != OPTION_NOTE || row->metavar != NULL);
  return wants && w->at + 1 < w->argc ? w->argv[++w->at] : NULL;
}

/* "-x", "-x value", "-xvalue", "-ab" for two flags: as getopt reads them. */
static void walk_letter(struct arg_walk *w, struct arg_item *item)
{
  const char *letter = w->letters;
  item->name = (struct bytes){(const uint8_t *)letter, 1};
  item->is_letter = true;
  item->row = find_letter(w->set, *letter);
  bool flag = item->row == NULL || item->row->kind == OPTION_FLAG ||
              (item->row->kind == OPTION_NOTE && item->row->metavar == NULL);
  w->letters = flag && letter[1] != '\0' ? letter + 1 : NULL;
  if (!flag)
    item->value = letter[1] != '\0' ? letter + 1 : following(w, item->row);
}

static void walk_long(struct arg_walk *w, struct arg_item *item, const char *arg)
{
  item->name = (struct bytes){(const uint8_t *)arg, 0};
  while (arg[item->name.len] != '\0' && arg[item->name.len] != '=')
    item->name.len++;
  item->row = option_find(w->set, item->name);
  item->value = arg[item->name.len] == '=' ? arg + item->name.len + 1 : following(w, item->row);
}

/* False at the end. */
static bool walk_next(struct arg_walk *w, struct arg_item *item)
{
  *item = (struct arg_item){0};
  if (w->letters != NULL) {
    walk_letter(w, item);
    return true;
  }
  while (++w->at < w->argc) {
    const char *arg = w->argv[w->at];
    if (w->operands || arg[0] != '-' || arg[1] == '\0') {
      item->stray = arg;
    } else if (arg[1] != '-') {
      w->letters = arg + 1;
      walk_letter(w, item);
    } else if (arg[2] != '\0') {
      walk_long(w, item, arg + 2);
    } else {
      w->operands = true;
      continue;
    }
    return true;
  }
  return false;
}

/* `before` is the option before it, or NULL: its value is what a stray argument mostly is, and it
 * may be a secret. */
static int fail_stray(struct option_parser *p, const struct option *before, const char *arg)
{
  struct option_place at = {0};
  struct buf b = option__error_begin(p, &at);
  if (before != NULL && before->kind == OPTION_FLAG) {
    option__put_name(&b, &at, before->name);
    buf_put_text(&b, " takes no value; to turn it off, write '");
    option__put_name(&b, &at, before->name);
    buf_put_text(&b, "=off'");
    return option__error_end(p, &b);
  }
  buf_put_text(&b, "'");
  option__put_shown(&b, bytes_of(before != NULL && before->secret ? "(a secret)" : arg),
                    OPTION_SHOWN_MAX);
  buf_put_text(&b,
               "' is not an option; options start with '--', and a value with spaces needs quotes");
  return option__error_end(p, &b);
}

static int fail_letter(struct option_parser *p, struct bytes letter)
{
  struct option_place at = {0};
  struct buf b = option__error_begin(p, &at);
  buf_put_text(&b, "unknown option '-");
  option__put_shown(&b, letter, OPTION_SHOWN_MAX);
  buf_put_text(&b, "'; '");
  buf_put_text(&b, p->set->program);
  buf_put_text(&b, " --help' lists them all");
  return option__error_end(p, &b);
}

int option_parse_args(struct option_parser *p, int argc, char *const *argv)
{
  struct option_place at = {0};
  struct arg_walk w = {.set = p->set, .argc = argc, .argv = argv};
  struct arg_item item;
  const struct option *before = NULL;
  memset(p->by_args, 0, sizeof(p->by_args));
  while (walk_next(&w, &item)) {
    if (item.stray != NULL)
      return fail_stray(p, before, item.stray);
    if (item.row == NULL)
      return item.is_letter ? fail_letter(p, item.name) : option__fail_unknown(p, &at, item.name);
    struct option_value v = {.given = item.value != NULL};
    if (v.given)
      v.text = bytes_of(item.value);
    int rc = option__set(p, &at, item.row, &v);
    if (rc != 0)
      return rc;
    before = item.row;
  }
  return 0;
}

bool option_is_asked(const struct option_set *set, int argc, char *const *argv, const char *name)
{
  struct arg_walk w = {.set = set, .argc = argc, .argv = argv};
  struct arg_item item;
  while (walk_next(&w, &item))
    if (item.row != NULL && bytes_equal(bytes_of(item.row->name), bytes_of(name)))
      return true;
  return false;
}

const char *option_peek(const struct option_set *set, int argc, char *const *argv, const char *name)
{
  struct arg_walk w = {.set = set, .argc = argc, .argv = argv};
  struct arg_item item;
  const char *found = NULL;
  while (walk_next(&w, &item))
    if (item.row != NULL && bytes_equal(bytes_of(item.row->name), bytes_of(name)))
      found = item.value != NULL ? item.value : found;
  return found;
}
