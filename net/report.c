/* See report.h. */
#include "net/report.h"

#include <stdarg.h>
#include <unistd.h>

enum { WIDTH = 96, VALUE_MAX = 64, SENTENCE_SIZE = 1024 };

static const struct kind {
  const char *word, *plural, *colour;
} kinds[NET_FINDING_KINDS] = {
    [NET_FINDING_ERROR] = {"error", "errors", "\033[1;31m"},
    [NET_FINDING_DANGER] = {"danger", "dangers", "\033[1;33m"},
    [NET_FINDING_NOTE] = {"note", "notes", "\033[36m"},
};
static const char faint[] = "\033[2m", bold[] = "\033[1m", plain[] = "\033[0m";

void net_report_init(struct net_report *r, FILE *out)
{
  *r = (struct net_report){.out = out, .colour = isatty(fileno(out)) == 1};
}

static void paint(const struct net_report *r, const char *colour)
{
  if (r->colour)
    fputs(colour, r->out);
}

/* In lines of WIDTH that begin `indent` columns from the left; the first one is begun already. */
static void put_wrapped(const struct net_report *r, const char *text, int indent)
{
  int column = indent;
  while (*text != '\0') {
    int len = 0;
    while (text[len] != '\0' && text[len] != ' ')
      len++;
    if (column > indent && column + 1 + len > WIDTH) {
      fprintf(r->out, "\n%*s", indent, "");
      column = indent;
    } else if (column > indent) {
      fputc(' ', r->out);
      column++;
    }
    fwrite(text, 1, (size_t)len, r->out);
    column += len;
    text += len;
    text += *text == ' ' ? 1 : 0;
  }
  fputc('\n', r->out);
}

/* The file is somebody's input: what would move the cursor is not printed. */
static void put_value(const struct net_report *r, struct bytes value)
{
  for (size_t i = 0; i < value.len && i < VALUE_MAX; i++)
    fputc(value.at[i] < 0x20 || value.at[i] == 0x7f ? '?' : value.at[i], r->out);
  if (value.len > VALUE_MAX)
    fputs("...", r->out);
}

enum { LINE_INDENT = 6 };

static void put_sentence(const struct net_report *r, const char *before, const char *text)
{
  char sentence[SENTENCE_SIZE];
  snprintf(sentence, sizeof(sentence), "%s%s", before, text);
  fprintf(r->out, "%*s", LINE_INDENT, "");
  put_wrapped(r, sentence, LINE_INDENT);
}

void net_report_line(struct net_report *r, const struct option_line *line)
{
  paint(r, faint);
  fprintf(r->out, "%4zu  ", line->number);
  paint(r, plain);
  paint(r, bold);
  fputs(line->row->name, r->out);
  paint(r, plain);
  if (line->given) {
    fputc('=', r->out);
    if (line->row->secret)
      fputs("(a secret)", r->out);
    else
      put_value(r, line->value);
  }
  fputc('\n', r->out);
  put_sentence(r, line->row->kind == OPTION_NOTE ? "No effect here: " : "", line->row->help);
  if (line->row->differs != NULL)
    put_sentence(r, "In coturn: ", line->row->differs);
}

void net_report_find(struct net_report *r, enum net_finding kind, size_t line, const char *format,
                     ...)
{
  char text[SENTENCE_SIZE], sentence[SENTENCE_SIZE + 32];
  va_list ap;
  va_start(ap, format);
  vsnprintf(text, sizeof(text), format, ap);
  va_end(ap);
  if (line > 0)
    snprintf(sentence, sizeof(sentence), "line %zu: %s", line, text);
  else
    snprintf(sentence, sizeof(sentence), "%s", text);
  paint(r, kinds[kind].colour);
  fprintf(r->out, "%-8s", kinds[kind].word);
  paint(r, plain);
  put_wrapped(r, sentence, 8);
  r->count[kind]++;
}

bool net_report_end(struct net_report *r)
{
  fputc('\n', r->out);
  for (size_t i = 0; i < NET_FINDING_KINDS; i++)
    fprintf(r->out, "%s%u %s", i > 0 ? ", " : "", r->count[i],
            r->count[i] == 1 ? kinds[i].word : kinds[i].plural);
  fputc('\n', r->out);
  return fflush(r->out) == 0 && !ferror(r->out) && r->count[NET_FINDING_ERROR] == 0;
}
