/* Hellos that somebody outside judges, and later: bounded in number and in time. Until then the
 * link has no session, and everything but a bye of its own accord is hello-first. Called by
 * session.c and by the edge. */
#include "signal/core/core.h"

enum { RETRY_S = 5 };

static void refuse_for_now(struct sig *s, struct sig_link *link, const char *why)
{
  sig__hello_refuse(s, link, SIG_REFUSED_ASKING, RETRY_S, why);
}

void sig__ask(struct sig *s, struct sig_link *link, struct bytes token, uint64_t now_ms)
{
  const struct sig_limits *limits = &s->config->limits;
  const struct sig_question q = {.number = ++s->first->questions,
                                 .token = token,
                                 .client = link->source->address,
                                 .transport = (enum sig_transport)link->transport,
                                 .edge = link->edge};
  if (s->first->draining) {
    sig__hello_refuse(s, link, SIG_REFUSED_DRAINING, SIG_DRAIN_RETRY_S,
                      "this server goes away; connect to another one, or here a little later");
    return;
  }
  bool is_full = sig_is_full(s) || (limits->asking != 0 && s->asking_count >= limits->asking);
  if (is_full || s->effects->ask(s->effects->arg, &q) != 0) {
    refuse_for_now(s, link, "too many wait to be let in; try again a little later");
    return;
  }
  link->question = q.number;
  list_push_back(&s->asking, &link->in_asking);
  s->asking_count++;
  wheel_cancel(&s->first->wheel, &link->timer);
  if (limits->asking_ms != 0) {
    wheel_arm(&s->first->wheel, &link->timer, now_ms + limits->asking_ms);
  }
}

static void stop_waiting(struct sig *s, struct sig_link *link)
{
  link->question = 0;
  list_remove(&link->in_asking);
  s->asking_count--;
  wheel_cancel(&s->first->wheel, &link->timer);
}

void sig__ask_forget(struct sig *s, struct sig_link *link)
{
  uint64_t number = link->question;
  if (number == 0) {
    return;
  }
  stop_waiting(s, link);
  if (!s->ends) { /* sig_free calls no effect */
    s->effects->forget(s->effects->arg, number);
  }
}

void sig__ask_late(struct sig_link *link)
{
  struct sig *s = link->sig;
  sig__ask_forget(s, link);
  refuse_for_now(s, link, "nobody said in time whether you may come in; try again");
}

static struct sig_link *link_of(struct sig *s, uint64_t number)
{
  for (struct list *l = s->asking.next; l != &s->asking; l = l->next) {
    struct sig_link *link = CONTAINER_OF(l, struct sig_link, in_asking);
    if (link->question == number) {
      return link;
    }
  }
  return NULL;
}

void sig_answer(struct sig *s, uint64_t number, const struct sig_verdict *verdict, uint64_t now_ms)
{
  struct sig_link *link = link_of(s, number);
  if (link == NULL) {
    return;
  }
  stop_waiting(s, link);
  if (link->closing) {
    return;
  }
  if (verdict->err == 0) {
    sig__hello_accept(s, link, verdict, now_ms);
    if (link->session == NULL && !link->closing && s->config->limits.hello_ms != 0) {
      /* For want of memory: it may try again, though not for ever. */
      wheel_arm(&s->first->wheel, &link->timer, now_ms + s->config->limits.hello_ms);
    }
  } else if (verdict->err == -ERR_DENIED) {
    sig__hello_refuse(s, link, SIG_REFUSED_UNAUTHORIZED, 0, verdict->why);
  } else {
    refuse_for_now(s, link, verdict->why);
  }
  sig__settle(s, now_ms);
}

bool sig_link_asks(const struct sig_link *link)
{
  return link->question != 0;
}
