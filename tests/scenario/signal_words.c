/* Words, variables and the CONFIG and TOKEN lines of the signalling scenarios. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/err.h"
#include "tests/scenario/signal_script.h"

char *script_word(char **rest)
{
  char *at = *rest + strspn(*rest, " \t");
  if (*at == 0) {
    *rest = at;
    return NULL;
  }
  char *end = at + strcspn(at, " \t");
  *rest = *end == 0 ? end : end + 1;
  *end = 0;
  return at;
}

const char *script_value(const char *word, const char *key)
{
  size_t len = strlen(key);
  return strncmp(word, key, len) == 0 && word[len] == '=' ? word + len + 1 : NULL;
}

uint64_t script_uint(const struct script *s, const char *text)
{
  uint64_t v;
  if (parse_uint(bytes_of(text), UINT64_MAX, &v) != 0) {
    script_fail(s, "'%s' is no number", text);
  }
  return v;
}

const char *script_var(const struct script *s, const char *name)
{
  for (size_t i = 0; i < s->var_count; i++) {
    if (strcmp(s->var[i].name, name) == 0) {
      return s->var[i].text;
    }
  }
  return NULL;
}

void script_set_var(struct script *s, const char *name, const char *text)
{
  if (s->var_count == SCRIPT_VARS || strlen(name) >= sizeof(s->var[0].name) ||
      strlen(text) >= sizeof(s->var[0].text)) {
    script_fail(s, "more than %d variables, or '%s' is too long", SCRIPT_VARS, name);
  }
  struct var *v = &s->var[s->var_count++];
  snprintf(v->name, sizeof(v->name), "%s", name);
  snprintf(v->text, sizeof(v->text), "%s", text);
}

static void put(struct script *s, size_t *len, const char *text, size_t text_len)
{
  if (*len + text_len >= SCRIPT_TEXT) {
    script_fail(s, "the text is longer than %d bytes", SCRIPT_TEXT);
  }
  memcpy(s->text + *len, text, text_len);
  *len += text_len;
}

static void put_times(struct script *s, size_t *len, const char *what, uint64_t times)
{
  for (uint64_t i = 0; i < times; i++) {
    put(s, len, what, strlen(what));
  }
}

/* "%what%" or "%what:N%" at `from`; gives its length, 0 when it is none. */
static size_t put_fill(struct script *s, size_t *len, const char *from, unsigned n)
{
  char number[32];
  const char *end = strchr(from + 1, '%');
  if (end == NULL || end - from > 24) {
    return 0;
  }
  if (strncmp(from, "%n%", 3) == 0) {
    snprintf(number, sizeof(number), "%u", n);
    put(s, len, number, strlen(number));
    return 3;
  }
  static const char *const row[][2] = {
      {"%fill:", "x"}, {"%open:", "["}, {"%close:", "]"}, {"%objects:", "{\"a\":"}};
  for (size_t i = 0; i < sizeof(row) / sizeof(row[0]); i++) {
    size_t head = strlen(row[i][0]);
    if (strncmp(from, row[i][0], head) == 0) {
      snprintf(number, sizeof(number), "%.*s", (int)(end - from - (long)head), from + head);
      put_times(s, len, row[i][1], script_uint(s, number));
      return (size_t)(end - from) + 1;
    }
  }
  return 0;
}

/* "$name" at `from`; gives its length, 0 when it is none, SIZE_MAX when it is not set. */
static size_t put_var(struct script *s, size_t *len, const char *from)
{
  size_t name_len = strspn(from + 1, "abcdefghijklmnopqrstuvwxyz0123456789._");
  char name[WORLD_NAME];
  if (name_len == 0 || name_len >= sizeof(name)) {
    return 0;
  }
  memcpy(name, from + 1, name_len);
  name[name_len] = 0;
  const char *text = script_var(s, name);
  if (text == NULL) {
    if (!s->lenient) {
      script_fail(s, "$%s was never set", name);
    }
    return SIZE_MAX;
  }
  put(s, len, text, strlen(text));
  return name_len + 1;
}

static char hex_byte(const struct script *s, const char *at)
{
  char digits[3] = {at[0], at[0] == 0 ? 0 : at[1], 0}, *end;
  unsigned long v = strtoul(digits, &end, 16);
  if (end != digits + 2) {
    script_fail(s, "\\x wants two hexadecimal digits");
  }
  return (char)v;
}

const char *script_expand(struct script *s, const char *from, unsigned n, bool raw, size_t *len)
{
  *len = 0;
  while (*from != 0) {
    size_t used = 0;
    if (*from == '%') {
      used = put_fill(s, len, from, n);
    } else if (*from == '$') {
      used = put_var(s, len, from);
    } else if (raw && from[0] == '\\' && from[1] == 'x') {
      char byte = hex_byte(s, from + 2);
      put(s, len, &byte, 1);
      used = 4;
    }
    if (used == SIZE_MAX) {
      return NULL;
    }
    if (used == 0) {
      put(s, len, from, 1);
      used = 1;
    }
    from += used;
  }
  s->text[*len] = 0;
  return s->text;
}

static struct bytes keep(struct script *s, const char *text)
{
  size_t len = strlen(text);
  if (s->texts_len + len > sizeof(s->texts)) {
    script_fail(s, "too much CONFIG");
  }
  char *at = s->texts + s->texts_len;
  memcpy(at, text, len);
  s->texts_len += len;
  return (struct bytes){(const uint8_t *)at, len};
}

static bool config_text(struct script *s, const char *word)
{
  struct sig_config *c = &s->world.config;
  const char *value;
  if ((value = script_value(word, "turn-uri")) != NULL && c->turn_uri_count < 8) {
    s->uri[c->turn_uri_count++] = keep(s, value);
    c->turn_uri = s->uri;
  } else if ((value = script_value(word, "origin")) != NULL && c->origin_count < 8) {
    s->origin[c->origin_count++] = keep(s, value);
    c->origin = s->origin;
  } else if ((value = script_value(word, "turn-secret")) != NULL) {
    c->turn_secret = keep(s, value);
  } else if ((value = script_value(word, "node")) != NULL) {
    c->node = keep(s, value);
  } else if (strcmp(word, "unique-names") == 0) {
    c->unique_names = true;
  } else {
    return false;
  }
  return true;
}

static bool config_number(struct script *s, const char *word)
{
  struct sig_limits *l = &s->world.config.limits;
  const struct {
    const char *name;
    uint32_t *field;
  } row[] = {
      {"sessions", &l->sessions},
      {"sessions-per-address", &l->sessions_per_address},
      {"links-per-address", &l->links_per_address},
      {"message-rate", &l->message_rate},
      {"byte-rate", &l->byte_rate},
      {"address-message-rate", &l->address_message_rate},
      {"address-byte-rate", &l->address_byte_rate},
      {"message-size", &l->message_size},
      {"outbox-messages", &l->outbox_messages},
      {"outbox-bytes", &l->outbox_bytes},
      {"rooms-per-session", &l->rooms_per_session},
      {"members-per-room", &l->members_per_room},
      {"room-length", &l->room_length},
      {"name-length", &l->name_length},
      {"meta-size", &l->meta_size},
      {"hello-ms", &l->hello_ms},
      {"asking", &l->asking},
      {"asking-ms", &l->asking_ms},
      {"resume-s", &l->resume_s},
      {"turn-ttl", &s->world.config.turn_ttl_s},
  };
  for (size_t i = 0; i < sizeof(row) / sizeof(row[0]); i++) {
    const char *value = script_value(word, row[i].name);
    if (value != NULL) {
      *row[i].field = (uint32_t)script_uint(s, value);
      return true;
    }
  }
  return false;
}

/* May stand in the middle too: then the core sees the new values, as after a reload. */
void script_config(struct script *s, char *rest)
{
  for (char *word = script_word(&rest); word != NULL; word = script_word(&rest)) {
    if (!config_text(s, word) && !config_number(s, word)) {
      script_fail(s, "CONFIG knows no '%s'", word);
    }
  }
  if (s->started && s->world.sig != NULL) {
    sig_set_config(s->world.sig, &s->world.config);
  }
}

static int check_token(void *arg, struct bytes token, struct sig_claims *out, const char **why)
{
  const struct script *s = arg;
  for (size_t i = 0; i < s->token_count; i++) {
    if (bytes_equal(bytes_of(s->token[i].text), token)) {
      *out = s->token[i].claims;
      return 0;
    }
  }
  if (token.len == 0) {
    *why = "a token is needed here: send it in hello.token";
  }
  return -ERR_DENIED;
}

static void set_rooms(struct token *t, const char *list)
{
  t->claims.any_room = false;
  snprintf(t->rooms, sizeof(t->rooms), "%s", list);
  char *next = t->rooms;
  while (next != NULL && t->claims.room_count < SIG_CLAIM_ROOMS) {
    char *name = strsep(&next, ",");
    t->claims.room[t->claims.room_count++] = bytes_of(name);
  }
}

static void set_can(struct script *s, struct token *t, char *list)
{
  static const char *const name[] = {"join", "signal", "broadcast", "kick", "nothing"};
  static const uint32_t bit[] = {SIG_CAN_JOIN, SIG_CAN_SIGNAL, SIG_CAN_BROADCAST, SIG_CAN_KICK, 0};
  t->claims.can = 0;
  for (char *word; (word = strsep(&list, ",")) != NULL;) {
    size_t i = 0;
    while (i < 5 && strcmp(word, name[i]) != 0) {
      i++;
    }
    if (i == 5) {
      script_fail(s, "nobody can '%s'", word);
    }
    t->claims.can |= bit[i];
  }
}

/* TOKEN text [rooms=a,b*] [can=join,signal] [exp=+60]: from here on a token is needed. */
void script_token(struct script *s, char *rest)
{
  char *text = script_word(&rest);
  if (text == NULL || s->token_count == SCRIPT_TOKENS || strlen(text) >= sizeof(s->token[0].text)) {
    script_fail(s, "TOKEN text [rooms=a,b*] [can=join,signal] [exp=+60]");
  }
  struct token *t = &s->token[s->token_count++];
  snprintf(t->text, sizeof(t->text), "%s", text);
  t->claims = (struct sig_claims){.can = SIG_CAN_ALL, .any_room = true};
  for (char *word = script_word(&rest); word != NULL; word = script_word(&rest)) {
    if (script_value(word, "rooms") != NULL) {
      set_rooms(t, script_value(word, "rooms"));
    } else if (script_value(word, "can") != NULL) {
      set_can(s, t, word + strlen("can="));
    } else if (script_value(word, "exp") != NULL && word[4] == '+') {
      t->claims.exp_s = s->world.wall_ms / 1000 + script_uint(s, word + strlen("exp=+"));
    } else {
      script_fail(s, "TOKEN knows no '%s'", word);
    }
  }
  s->world.config.auth = check_token;
  s->world.config.auth_arg = s;
}

void script_start(struct script *s)
{
  if (!s->started) {
    s->started = true;
    if (world_start(&s->world) != 0 && !s->lenient) {
      script_fail(s, "the core does not start");
    }
  }
}
