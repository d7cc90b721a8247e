/* Hellos that somebody else judges, in the signalling scenarios: the words ASKER, ASKED, ANSWER and
 * FORGOTTEN. */
#include <string.h>

#include "base/err.h"
#include "tests/scenario/signal_script.h"

/* ASKER [full|none] */
void script_asker(struct script *s, char *rest)
{
  const char *how = script_word(&rest);
  s->world.asker_is_full = how != NULL && strcmp(how, "full") == 0;
  s->world.config.asks = how == NULL || strcmp(how, "none") != 0;
}

static struct sig_client *client(struct script *s, char **rest, const char *usage)
{
  const char *name = script_word(rest);
  if (name == NULL) {
    script_fail(s, "%s", usage);
  }
  struct sig_client *c = world_client(&s->world, name);
  s->actor = c;
  return c;
}

/* ASKED a [token] */
void script_asked(struct script *s, char *rest)
{
  struct sig_client *c = client(s, &rest, "ASKED client [token]");
  const char *token = script_word(&rest);
  if (s->lenient) {
    return;
  }
  if (c->question == 0 || c->forgotten || strcmp(c->asked, token == NULL ? "" : token) != 0) {
    script_fail(s, "nobody was asked about %s with that token", c->name);
  }
}

/* FORGOTTEN a */
void script_forgotten(struct script *s, char *rest)
{
  struct sig_client *c = client(s, &rest, "FORGOTTEN client");
  if (!s->lenient && !c->forgotten) {
    script_fail(s, "the question about %s was not taken back", c->name);
  }
}

static void take_word(struct script *s, struct sig_verdict *v, const char *word)
{
  const char *value;
  if ((value = script_value(word, "ice")) != NULL) {
    v->ice = bytes_of(value);
  } else if ((value = script_value(word, "ice-ttl")) != NULL) {
    v->ice_ttl_s = (uint32_t)script_uint(s, value);
  } else if ((value = script_value(word, "message-rate")) != NULL) {
    v->message_rate = (uint32_t)script_uint(s, value);
  } else if ((value = script_value(word, "byte-rate")) != NULL) {
    v->byte_rate = (uint32_t)script_uint(s, value);
  } else if ((value = script_value(word, "rooms-per-session")) != NULL) {
    v->rooms_per_session = (uint32_t)script_uint(s, value);
  } else {
    script_fail(s, "ANSWER knows no '%s'", word);
  }
}

static void take_judgement(struct script *s, struct sig_verdict *v, const char *word)
{
  if (strcmp(word, "denied") == 0) {
    v->err = -ERR_DENIED;
    v->why = "your application does not let you in";
    return;
  }
  if (strcmp(word, "unknown") == 0) {
    v->err = -ERR_UNREACHABLE;
    v->why = "your application does not answer";
    return;
  }
  for (size_t i = 0; i < s->token_count; i++) {
    if (strcmp(s->token[i].text, word) == 0) {
      v->claims = s->token[i].claims;
      return;
    }
  }
  script_fail(s, "there is no TOKEN '%s'", word);
}

/* ANSWER a TOKEN|denied|unknown [ice=JSON] [ice-ttl=N] [message-rate=N] … */
void script_answer(struct script *s, char *rest)
{
  struct sig_client *c = client(s, &rest, "ANSWER client TOKEN|denied|unknown");
  struct sig_verdict v = {.message_rate = SIG_AS_CONFIGURED,
                          .byte_rate = SIG_AS_CONFIGURED,
                          .rooms_per_session = SIG_AS_CONFIGURED};
  const char *word = script_word(&rest);
  if (word == NULL) {
    script_fail(s, "ANSWER client TOKEN|denied|unknown");
  }
  take_judgement(s, &v, word);
  while ((word = script_word(&rest)) != NULL) {
    take_word(s, &v, word);
  }
  world_answer(c, &v);
}
