/* What the files of the signalling scenario runner share. signal/README.md has the language. */
#ifndef VIADUCT_TESTS_SIGNAL_SCRIPT_H
#define VIADUCT_TESTS_SIGNAL_SCRIPT_H

#include <jansson.h>

#include "tests/support/signal_world.h"

enum {
  SCRIPT_LINE = 8192,
  SCRIPT_LINES = 1024,
  SCRIPT_TEXT = 1 << 18, /* a line with its fills blown up */
  SCRIPT_VARS = 128,
  SCRIPT_TOKENS = 16
};

struct var {
  char name[WORLD_NAME];
  char text[128];
};

/* What a TOKEN line says that a token is worth. */
struct token {
  char text[64];
  char rooms[128]; /* cut at commas, in place */
  struct sig_claims claims;
};

struct script {
  const char *path;
  int line;
  bool started, lenient; /* lenient: an allocation fails in this run, so answers may differ */
  bool wants_failure;    /* --must-fail */
  const struct sig_client *actor; /* of this line; NULL: nobody */
  struct sig_world world;
  struct var var[SCRIPT_VARS];
  size_t var_count;
  struct token token[SCRIPT_TOKENS];
  size_t token_count;
  struct bytes uri[8], origin[8];
  char texts[4096]; /* what config points at */
  size_t texts_len;
  char text[SCRIPT_TEXT]; /* of expand */
};

/* Says "file:line: what" on stderr and ends the process with 1. */
_Noreturn void script_fail(const struct script *s, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

/* Cuts the next word off `*rest`, NUL-terminated in place; NULL when there is none. */
char *script_word(char **rest);
/* The text behind "key=", or NULL. */
const char *script_value(const char *word, const char *key);
uint64_t script_uint(const struct script *s, const char *text);

const char *script_var(const struct script *s, const char *name);
void script_set_var(struct script *s, const char *name, const char *text);
/* $name, %fill:N%, %open:N%, %n% and, with `raw`, \xNN: the text with all of them put in; its
 * length through `len`. NULL in a lenient run whose variable was never set. */
const char *script_expand(struct script *s, const char *from, unsigned n, bool raw, size_t *len);

void script_config(struct script *s, char *rest);
void script_token(struct script *s, char *rest);
void script_start(struct script *s);
/* signal_ask.c: hellos that somebody else judges. */
void script_asker(struct script *s, char *rest);
void script_asked(struct script *s, char *rest);
void script_answer(struct script *s, char *rest);
void script_forgotten(struct script *s, char *rest);
/* signal_admin.c: what the application's backend does and is told. */
void script_watch(struct script *s, char *rest);
void script_api(struct script *s, char *rest);

/* Whether `text` is what `pattern` says; $names that are free take what they meet. */
bool script_match(struct script *s, const char *pattern, const char *text);

void script_run_line(struct script *s, char *line);
/* Nothing may be left that no EXPECT or CLOSED has looked at. */
void script_nothing_left(struct script *s);

#endif
