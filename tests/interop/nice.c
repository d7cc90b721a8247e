/* libnice against a TURN server: two agents in one process, which have relayed candidates and no
 * others, agree on a pair and exchange bytes. test_libnice.py runs it:
 *
 *   interop_nice udp|tcp ADDRESS PORT USER PASSWORD
 *
 * Exits with 0 if every message came back as it was sent.
 */
#include <nice/agent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define COMPONENT 1
#define PATIENCE_S 60

static const guint SIZES[] = {1, 2, 3, 4, 5, 160, 1200};

struct end {
  NiceAgent *agent;
  guint stream;
  gboolean gathered, connected;
  struct end *other;
};

struct call {
  GMainLoop *loop;
  struct end ends[2];
  gsize round;      /* how many of SIZES came back */
  gboolean reached; /* the exchange has begun */
  int status;
};

static struct call call = {.status = 1};

static void end_with(int status, const char *why)
{
  if (status)
    printf("failed: %s\n", why);
  call.status = status;
  g_main_loop_quit(call.loop);
}

static void fill(gchar *bytes, guint len)
{
  for (guint i = 0; i < len; i++)
    bytes[i] = (gchar)(len + i * 7);
}

static void send_next(void)
{
  gchar bytes[2000];
  guint len = SIZES[call.round];
  struct end *one = &call.ends[0];

  fill(bytes, len);
  if (nice_agent_send(one->agent, one->stream, COMPONENT, len, bytes) != (gint)len)
    end_with(1, "send");
}

/* The first end sends, the second one sends back what comes. */
static void on_receive(NiceAgent *agent, guint stream, guint component, guint len, gchar *bytes,
                       gpointer data)
{
  gchar want[2000];
  struct end *end = data;

  if (end == &call.ends[1]) {
    if (nice_agent_send(agent, stream, component, len, bytes) != (gint)len)
      end_with(1, "send back");
    return;
  }
  fill(want, SIZES[call.round]);
  if (len != SIZES[call.round] || memcmp(bytes, want, len))
    end_with(1, "another message came than was sent");
  else if (++call.round == G_N_ELEMENTS(SIZES))
    end_with(0, NULL);
  else
    send_next();
}

/* Hands the candidates of an end to the other one; FALSE unless all of them are relayed. */
static gboolean introduce(struct end *end)
{
  gchar *ufrag = NULL, *pwd = NULL;
  GSList *all = nice_agent_get_local_candidates(end->agent, end->stream, COMPONENT);
  gboolean good = all != NULL;

  for (GSList *i = all; i; i = i->next) {
    gchar text[NICE_ADDRESS_STRING_LEN];
    NiceCandidate *candidate = i->data;

    nice_address_to_string(&candidate->addr, text);
    printf("candidate %s %s:%u\n", nice_candidate_type_to_string(candidate->type), text,
           nice_address_get_port(&candidate->addr));
    good = good && candidate->type == NICE_CANDIDATE_TYPE_RELAYED;
  }
  nice_agent_get_local_credentials(end->agent, end->stream, &ufrag, &pwd);
  nice_agent_set_remote_credentials(end->other->agent, end->other->stream, ufrag, pwd);
  if (good)
    nice_agent_set_remote_candidates(end->other->agent, end->other->stream, COMPONENT, all);
  g_free(ufrag);
  g_free(pwd);
  g_slist_free_full(all, (GDestroyNotify)nice_candidate_free);
  return good;
}

static void on_gathered(NiceAgent *agent, guint stream, gpointer data)
{
  struct end *end = data;

  (void)agent;
  (void)stream;
  end->gathered = TRUE;
  if (!end->other->gathered)
    return;
  if (!introduce(end) || !introduce(end->other))
    end_with(1, "a candidate that is not relayed, or none");
}

static void on_state(NiceAgent *agent, guint stream, guint component, guint state, gpointer data)
{
  struct end *end = data;

  (void)agent;
  (void)stream;
  (void)component;
  if (state == NICE_COMPONENT_STATE_FAILED)
    end_with(1, "no pair works");
  if (state == NICE_COMPONENT_STATE_READY)
    end->connected = TRUE;
  if (!call.reached && end->connected && end->other->connected) {
    call.reached = TRUE;
    send_next();
  }
}

static gboolean on_late(gpointer data)
{
  (void)data;
  end_with(1, "not done in time");
  return G_SOURCE_REMOVE;
}

static gboolean start(struct end *end, gboolean controlling, char **args)
{
  NiceAddress here;
  NiceRelayType type = strcmp(args[1], "tcp") ? NICE_RELAY_TYPE_TURN_UDP : NICE_RELAY_TYPE_TURN_TCP;
  GMainContext *context = g_main_loop_get_context(call.loop);

  end->agent = nice_agent_new(context, NICE_COMPATIBILITY_RFC5245);
  g_object_set(end->agent, "controlling-mode", controlling, "force-relay", TRUE, "upnp", FALSE,
               "ice-tcp", FALSE, NULL);
  nice_address_init(&here);
  if (!nice_address_set_from_string(&here, args[2]) ||
      !nice_agent_add_local_address(end->agent, &here))
    return FALSE;
  end->stream = nice_agent_add_stream(end->agent, 1);
  g_signal_connect(end->agent, "candidate-gathering-done", G_CALLBACK(on_gathered), end);
  g_signal_connect(end->agent, "component-state-changed", G_CALLBACK(on_state), end);
  nice_agent_attach_recv(end->agent, end->stream, COMPONENT, context, on_receive, end);
  return nice_agent_set_relay_info(end->agent, end->stream, COMPONENT, args[2],
                                   (guint)strtoul(args[3], NULL, 10), args[4], args[5], type) &&
         nice_agent_gather_candidates(end->agent, end->stream);
}

/* Ends when the Refresh of 0 has been answered, or libnice has given up waiting. */
static void on_closed(GObject *agent, GAsyncResult *result, gpointer data)
{
  guint *open = data;

  (void)agent;
  (void)result;
  if (--*open == 0)
    g_main_loop_quit(call.loop);
}

int main(int argc, char **argv)
{
  guint open = G_N_ELEMENTS(call.ends);

  if (argc != 6)
    return 2;
  call.loop = g_main_loop_new(NULL, FALSE);
  g_timeout_add_seconds(PATIENCE_S, on_late, NULL);
  call.ends[0].other = &call.ends[1];
  call.ends[1].other = &call.ends[0];
  if (!start(&call.ends[0], TRUE, argv) || !start(&call.ends[1], FALSE, argv))
    return 1;
  g_main_loop_run(call.loop);
  for (gsize i = 0; i < G_N_ELEMENTS(call.ends); i++)
    nice_agent_close_async(call.ends[i].agent, on_closed, &open);
  g_main_loop_run(call.loop);
  for (gsize i = 0; i < G_N_ELEMENTS(call.ends); i++)
    g_object_unref(call.ends[i].agent);
  g_main_loop_unref(call.loop);
  return call.status;
}
