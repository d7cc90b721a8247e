/* TCP allocations: what happens to the connections with peers, and what the relay does with them.
 */
#include <string.h>

#include "tests/scenario/turn_script.h"

static const struct edge_word {
  const char *name;
  enum world_kind kind;
} edge_words[] = {{"connect", WORLD_CONNECT},
                  {"closed", WORLD_CLOSE},
                  {"joined", WORLD_JOIN},
                  {"elsewhere", WORLD_ELSEWHERE}};

enum { EDGE_WORDS = sizeof(edge_words) / sizeof(edge_words[0]) };

static const struct edge_word *find(const struct word *w)
{
  for (size_t i = 0; i < EDGE_WORDS; i++)
    if (word_is(w, edge_words[i].name))
      return &edge_words[i];
  return NULL;
}

bool script_is_edge_word(const struct word *w)
{
  return find(w) != NULL;
}

const char *script_edge_word(enum world_kind kind)
{
  for (size_t i = 0; i < EDGE_WORDS; i++)
    if (edge_words[i].kind == kind)
      return edge_words[i].name;
  return "?";
}

/* ATTEMPT ADDRESS -> ADDRESS: a peer connects to a relayed address. */
void script_attempt(struct script *s, const struct word *w, size_t count)
{
  struct addr peer, relayed;
  if (count != 3 || !word_is(&w[1], "->"))
    script_fail(s, "ATTEMPT ADDRESS -> ADDRESS");
  script_addr(s, w[0].at, &peer);
  if (script_addr(s, w[2].at, &relayed) && !world_peer_attempt(&s->world, &relayed, &peer) &&
      !s->lenient)
    script_fail(s, "nobody listens at '%s'", w[2].at);
}

static void end_connect(struct script *s, const struct word *w, size_t count, bool success)
{
  struct addr peer;
  if (count != 1)
    script_fail(s, "CONNECTED|UNREACHABLE ADDRESS");
  if (script_addr(s, w[0].at, &peer) && !world_peer_connected(&s->world, &peer, success) &&
      !s->lenient)
    script_fail(s, "no connection to '%s' was begun", w[0].at);
}

/* CONNECTED ADDRESS: the connection that was begun stands. */
void script_connected(struct script *s, const struct word *w, size_t count)
{
  end_connect(s, w, count, true);
}

/* UNREACHABLE ADDRESS: it failed. */
void script_unreachable(struct script *s, const struct word *w, size_t count)
{
  end_connect(s, w, count, false);
}

/* HANGUP ADDRESS: the peer closes its connection. */
void script_hangup(struct script *s, const struct word *w, size_t count)
{
  struct addr peer;
  if (count != 1)
    script_fail(s, "HANGUP ADDRESS");
  if (script_addr(s, w[0].at, &peer) && !world_peer_gone(&s->world, &peer) && !s->lenient)
    script_fail(s, "no connection with '%s'", w[0].at);
}

/* EXPECT connect PEER from RELAYED | closed PEER | joined CLIENT PEER | elsewhere SHARE CLIENT */
void script_expect_edge(struct script *s, const struct word *w, size_t count)
{
  char text[200];
  const enum world_kind kind = find(&w[0])->kind;
  const struct world_output *o = world_next(&s->world);
  if (!o || o->kind != kind)
    script_fail(s, "no '%s', but %s", w[0].at, o ? script_describe(o, text) : "nothing");
  if (kind == WORLD_CONNECT && count == 4 && word_is(&w[2], "from")) {
    script_check_addr(s, "the peer", w[1].at, &o->peer);
    script_check_addr(s, "the relayed address", w[3].at, &o->relay);
  } else if (kind == WORLD_CLOSE && count == 2) {
    script_check_addr(s, "the peer", w[1].at, &o->peer);
  } else if (kind == WORLD_JOIN && count == 3) {
    script_check_addr(s, "the peer", w[2].at, &o->peer);
    if (!addr_equal(&o->flow.client, &script_actor(s, &w[1])->client.flow.client))
      script_fail(s, "joined with another connection than that of '%s'", w[1].at);
  } else if (kind == WORLD_ELSEWHERE && count == 3) {
    if (o->share != script_uint(s, w[1].at) ||
        !addr_equal(&o->flow.client, &script_actor(s, &w[2])->client.flow.client))
      script_fail(s, "elsewhere: another worker, or another client");
  } else {
    script_fail(s,
                "EXPECT connect PEER from RELAYED|closed PEER|joined CLIENT PEER|elsewhere SHARE "
                "CLIENT");
  }
}
