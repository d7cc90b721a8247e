/* What a table of options says about itself: --help, --example-config and --man, all from the same
 * rows. */
#include <string.h>

#include "base/option.h"

enum { WIDTH = 90 };

static const char NOTES_GROUP[] = "Accepted, without effect here";

/* `text` in lines of at most WIDTH, broken at spaces, each begun by `lead`. */
static void put_wrapped(struct buf *out, const char *text, const char *lead)
{
  size_t column = 0;
  while (*text != '\0') {
    size_t len = 0;
    while (text[len] != '\0' && text[len] != ' ')
      len++;
    if (column > 0 && column + 1 + len > WIDTH) {
      buf_put_byte(out, '\n');
      column = 0;
    }
    if (column == 0) {
      buf_put_text(out, lead);
      column = strlen(lead);
    } else {
      buf_put_byte(out, ' ');
      column++;
    }
    buf_put(out, text, len);
    column += len;
    text += len;
    text += *text == ' ' ? 1 : 0;
  }
  buf_put_byte(out, '\n');
}

static bool takes_value(const struct option *row)
{
  return row->kind != OPTION_FLAG && (row->kind != OPTION_NOTE || row->metavar != NULL);
}

static const char *metavar(const struct option *row)
{
  return row->metavar != NULL ? row->metavar : row->kind == OPTION_UINT ? "NUMBER" : "VALUE";
}

/* Options without effect stand in a group of their own at the end, whatever the table says. */
static const char *group_of(const struct option *row)
{
  if (row->kind == OPTION_NOTE)
    return NOTES_GROUP;
  return row->group != NULL ? row->group : "Options";
}

/* Each row once, in the order of the table but those without effect last; `heading` where the group
 * changes. */
struct row_walk {
  const struct option_set *set;
  size_t at; /* from 0 to twice the count: the second round is for those without effect */
  const char *group;
};

static const struct option *walk_rows(struct row_walk *w, const char **heading)
{
  while (w->at < 2 * w->set->count) {
    const struct option *row = &w->set->row[w->at % w->set->count];
    bool second_round = w->at >= w->set->count;
    w->at++;
    if ((row->kind == OPTION_NOTE) != second_round)
      continue;
    const char *group = group_of(row);
    bool same = w->group != NULL && bytes_equal(bytes_of(group), bytes_of(w->group));
    *heading = same ? NULL : group;
    w->group = group;
    return row;
  }
  return NULL;
}

/* "Default: 3478. From 0 to 65535. May stand several times." in parentheses; nothing when there is
 * nothing to say. */
static void put_facts(struct buf *out, const struct option *row)
{
  const char *between = " (";
  if (row->fallback != NULL && row->kind != OPTION_NOTE && !row->secret) {
    buf_put_text(out, between);
    buf_put_text(out, "default: ");
    buf_put_text(out, row->fallback);
    between = "; ";
  }
  if (row->kind == OPTION_UINT && (row->min > 0 || row->max < UINT64_MAX)) {
    buf_put_text(out, between);
    buf_put_uint(out, row->min);
    buf_put_text(out, " to ");
    buf_put_uint(out, row->max);
    between = "; ";
  }
  if (row->kind == OPTION_LIST) {
    buf_put_text(out, between);
    buf_put_text(out, "may stand several times");
    between = "; ";
  }
  if (between[0] == ';')
    buf_put_byte(out, ')');
}

enum { SENTENCE_SIZE = 1024 };

/* The help and the facts as one NUL-terminated text; what does not fit is left out. */
static const char *sentence(const struct option *row, char text[SENTENCE_SIZE])
{
  struct buf b;
  buf_init(&b, text, SENTENCE_SIZE - 1);
  buf_put_text(&b, row->help);
  put_facts(&b, row);
  if (row->differs != NULL) {
    buf_put_text(&b, " In coturn: ");
    buf_put_text(&b, row->differs);
  }
  text[b.len] = '\0';
  return text;
}

void option_render_help(const struct option_set *set, struct buf *out)
{
  buf_put_text(out, set->program);
  buf_put_text(out, ": ");
  buf_put_text(out, set->summary);
  buf_put_text(out, "\n\nUsage: ");
  buf_put_text(out, set->program);
  buf_put_text(out, " [OPTION...]\n");
  struct row_walk w = {.set = set};
  const struct option *row;
  const char *heading;
  char text[SENTENCE_SIZE];
  while ((row = walk_rows(&w, &heading)) != NULL) {
    if (heading != NULL) {
      buf_put_byte(out, '\n');
      buf_put_text(out, heading);
      buf_put_text(out, ":\n");
    }
    char letter[] = {'-', row->letter, ',', ' ', '\0'};
    buf_put_text(out, "  ");
    buf_put_text(out, row->letter != 0 ? letter : "    ");
    buf_put_text(out, "--");
    buf_put_text(out, row->name);
    if (takes_value(row)) {
      buf_put_byte(out, ' ');
      buf_put_text(out, metavar(row));
    }
    buf_put_byte(out, '\n');
    put_wrapped(out, sentence(row, text), "          ");
  }
}

void option_render_example(const struct option_set *set, struct buf *out)
{
  buf_put_text(out, "# ");
  buf_put_text(out, set->program);
  buf_put_text(out, ": ");
  buf_put_text(out, set->summary);
  buf_put_text(out, "\n# What stands behind a '#' is the default, or the form of a value.\n");
  struct row_walk w = {.set = set};
  const struct option *row;
  const char *heading;
  char text[SENTENCE_SIZE];
  while ((row = walk_rows(&w, &heading)) != NULL && row->kind != OPTION_NOTE) {
    if (heading != NULL) {
      buf_put_text(out, "\n# ---- ");
      buf_put_text(out, heading);
      buf_put_text(out, " ----\n");
    }
    buf_put_byte(out, '\n');
    put_wrapped(out, sentence(row, text), "# ");
    buf_put_byte(out, '#');
    buf_put_text(out, row->name);
    if (takes_value(row)) {
      buf_put_byte(out, '=');
      buf_put_text(out, row->fallback != NULL && !row->secret ? row->fallback : metavar(row));
    }
    buf_put_byte(out, '\n');
  }
}

/* roff takes '\' as its escape, '-' as a hyphen, and a '.' or a quote at a line's start as a
 * request. */
static void put_roff(struct buf *out, const char *text)
{
  if (*text == '.' || *text == '\'')
    buf_put_text(out, "\\&");
  for (; *text != '\0'; text++)
    if (*text == '\\')
      buf_put_text(out, "\\e");
    else if (*text == '-')
      buf_put_text(out, "\\-");
    else
      buf_put_byte(out, (uint8_t)*text);
}

static void put_man_row(struct buf *out, const struct option *row)
{
  char text[SENTENCE_SIZE];
  buf_put_text(out, ".TP\n");
  if (row->letter != 0) {
    const char letter[] = {row->letter, '\0'};
    buf_put_text(out, "\\fB\\-");
    put_roff(out, letter);
    buf_put_text(out, "\\fR, ");
  }
  buf_put_text(out, "\\fB\\-\\-");
  put_roff(out, row->name);
  buf_put_text(out, "\\fR");
  if (takes_value(row)) {
    buf_put_text(out, " \\fI");
    put_roff(out, metavar(row));
    buf_put_text(out, "\\fR");
  }
  buf_put_byte(out, '\n');
  put_roff(out, sentence(row, text));
  buf_put_byte(out, '\n');
}

void option_render_man(const struct option_set *set, struct buf *out)
{
  buf_put_text(out, ".TH \"");
  put_roff(out, set->program);
  buf_put_text(out, "\" 8 \"\" \"Viaduct\"\n.SH NAME\n");
  put_roff(out, set->program);
  buf_put_text(out, " \\- ");
  put_roff(out, set->summary);
  buf_put_text(out, "\n.SH SYNOPSIS\n.B ");
  put_roff(out, set->program);
  buf_put_text(out,
               "\n[\\fIOPTION\\fR...]\n.SH OPTIONS\n"
               "On the command line as \\fB\\-\\-name value\\fR or \\fB\\-\\-name=value\\fR; in a "
               "configuration file as \\fBname=value\\fR, a flag as its bare name.\n");
  struct row_walk w = {.set = set};
  const struct option *row;
  const char *heading;
  while ((row = walk_rows(&w, &heading)) != NULL) {
    if (heading != NULL) {
      buf_put_text(out, ".SS ");
      put_roff(out, heading);
      buf_put_byte(out, '\n');
    }
    put_man_row(out, row);
  }
}
