/* What a client hears, in the protocol and over the transport of the setup. See signal_client.h. */
#include <stdio.h>
#include <string.h>

#include "base/err.h"
#include "bench/load/signal_client.h"
#include "bench/load/signal_http.h"
#include "bench/load/signal_note.h"
#include "bench/load/signal_ws.h"

enum { ACK_EVERY = 32, CREATED = 201, OK = 200, SWITCHING = 101 };
enum { ACK_AFTER_NS = 250 * 1000 * 1000 }; /* as viaduct.js does */

static void note_trouble(struct load_signal_engine *g, struct bytes text)
{
  g->counts.refused++;
  if (g->trouble[0] != 0)
    return;
  const size_t len = text.len < sizeof(g->trouble) - 1 ? text.len : sizeof(g->trouble) - 1;
  for (size_t i = 0; i < len; i++)
    g->trouble[i] = (char)(text.at[i] >= ' ' && text.at[i] < 0x7f ? text.at[i] : '?');
  g->trouble[len] = 0;
}

static void come_in(struct load_signal_engine *g, struct load_signal_client *c)
{
  c->state = LOAD_CLIENT_IN;
  g->counts.entered++;
  g->coming--;
  load_histogram_add(&g->entering, g->now_ns - c->began_ns);
  if (g->comes_back)
    load_say_leave(g, c);
}

static bool copy_text(struct bytes message, const char *key, char out[LOAD_ID_SIZE])
{
  struct bytes value;
  if (!load_json_text(message, key, &value) || value.len >= LOAD_ID_SIZE)
    return false;
  memcpy(out, value.at, value.len);
  out[value.len] = 0;
  return true;
}

static bool is_from(struct bytes message, const char *key, const struct load_signal_client *who)
{
  struct bytes value;
  return load_json_text(message, key, &value) && bytes_equal(value, bytes_of(who->id));
}

static void take_note(struct load_signal_engine *g, struct load_signal_client *c,
                      struct bytes message)
{
  struct load_signal_client *from = load__partner(g, c);
  struct load_signal_counts *n = &g->counts;
  const char *key = g->setup.protocol == LOAD_PEERJS ? "\"src\":" : "\"from\":";
  struct load_note note;
  g->last_ns = g->now_ns;
  if (load_note_find(message, &note) != 0) {
    n->damaged++;
    return;
  }
  if (note.flow != load__index(g, c) || !is_from(message, key, from)) {
    n->misrouted++;
    return;
  }
  const uint64_t reordered = c->account.reordered;
  if (!load_account_take(&c->account, note.sequence)) {
    n->duplicates++;
    return;
  }
  n->reordered += c->account.reordered - reordered;
  n->received++;
  c->on_way -= c->on_way > 0;
  load_histogram_add(&g->latency, g->now_ns - note.made_ns);
  if (c->on_way < g->waiting_most && !c->is_hungry) {
    c->is_hungry = true;
    g->hungry[g->hungry_count++] = load__index(g, c);
  }
}

static void hear_peerjs(struct load_signal_engine *g, struct load_signal_client *c,
                        struct bytes type, struct bytes message)
{
  if (bytes_equal(type, bytes_of("OPEN"))) {
    if (c->state == LOAD_CLIENT_OPENING)
      come_in(g, c);
  } else if (bytes_equal(type, bytes_of("OFFER")) || bytes_equal(type, bytes_of("ANSWER")) ||
             bytes_equal(type, bytes_of("CANDIDATE"))) {
    take_note(g, c, message);
  } else if (load__partner(g, c)->is_deaf) {
    g->counts.slow_refused++;
  } else if (!bytes_equal(type, bytes_of("LEAVE"))) {
    note_trouble(g, message); /* ERROR, ID-TAKEN, EXPIRE */
  }
}

static void wait_for_ack(struct load_signal_engine *g, struct load_signal_client *c)
{
  if (g->setup.transport > LOAD_SSE) /* `after` acknowledges */
    return;
  if (c->seq - c->acked >= ACK_EVERY) {
    load_say_ack(g, c);
  } else if (!c->is_waiting_ack) {
    c->is_waiting_ack = true;
    g->ack[(g->ack_first + g->ack_count++) % g->client_count] =
        (struct load_ack){.client = load__index(g, c), .due_ns = g->now_ns + ACK_AFTER_NS};
  }
}

static void hear_welcome(struct load_signal_engine *g, struct load_signal_client *c,
                         struct bytes message)
{
  if (c->state != LOAD_CLIENT_OPENING || !copy_text(message, "\"peer\":", c->id) ||
      !copy_text(message, "\"key\":", c->key)) {
    note_trouble(g, message);
    return;
  }
  c->state = LOAD_CLIENT_JOINING;
  load_say_join(g, c);
}

/* The outbox's seq has no gaps: what is missing in between is lost, what comes again came before.
 */
static bool is_next(struct load_signal_engine *g, struct load_signal_client *c,
                    struct bytes message)
{
  uint64_t seq;
  if (!load_json_uint(message, "\"seq\":", &seq))
    return true;
  if (seq <= c->seq) {
    g->counts.duplicates++;
    return false;
  }
  g->counts.reordered += seq != c->seq + 1;
  c->seq = seq;
  wait_for_ack(g, c);
  return true;
}

static void hear_viaduct(struct load_signal_engine *g, struct load_signal_client *c,
                         struct bytes type, struct bytes message)
{
  if (bytes_equal(type, bytes_of("welcome"))) {
    hear_welcome(g, c, message);
    return;
  }
  if (!is_next(g, c, message))
    return;
  if (bytes_equal(type, bytes_of("signal"))) {
    take_note(g, c, message);
  } else if (bytes_equal(type, bytes_of("joined"))) {
    if (c->state == LOAD_CLIENT_JOINING)
      come_in(g, c);
  } else if (bytes_equal(type, bytes_of("error")) || bytes_equal(type, bytes_of("peer-left"))) {
    if (load__partner(g, c)->is_deaf)
      g->counts.slow_refused++;
    else if (!g->comes_back && !g->is_closing)
      note_trouble(g, message);
  }
}

static void hear_message(struct load_signal_engine *g, struct load_signal_client *c,
                         struct bytes message)
{
  struct bytes type;
  if (!load_json_text(message, "\"type\":", &type))
    g->counts.damaged++;
  else if (g->setup.protocol == LOAD_PEERJS)
    hear_peerjs(g, c, type, message);
  else
    hear_viaduct(g, c, type, message);
}

static int hear_upgrade(struct load_signal_engine *g, struct load_signal_client *c, struct bytes in)
{
  struct load_http_head head;
  const int used = load_http_decode(in, &head);
  if (used < 0)
    return used == -ERR_MORE ? 0 : used;
  /* RFC 6455 section 1.3: of the key that every client here sends. */
  if (head.status != SWITCHING ||
      !bytes_equal(head.accept, bytes_of("s3pPLMBiTxaQ9kYGzzhZRbK+xOo="))) {
    note_trouble(g, in);
    return -ERR_BAD;
  }
  c->state = LOAD_CLIENT_OPENING;
  if (g->setup.protocol == LOAD_VIADUCT)
    load_say_hello(g, c);
  return used;
}

static int hear_frame(struct load_signal_engine *g, struct load_signal_client *c, struct bytes in)
{
  struct load_ws_frame f;
  if (c->state == LOAD_CLIENT_UPGRADING)
    return hear_upgrade(g, c, in);
  const int used = load_ws_decode(in, &f);
  if (used < 0)
    return used == -ERR_MORE ? 0 : used;
  if (f.opcode == LOAD_WS_TEXT)
    hear_message(g, c, f.payload);
  else if (f.opcode == LOAD_WS_PING)
    load_say_control(g, c, LOAD_WS_PONG, f.payload);
  else if (f.opcode == LOAD_WS_CLOSE &&
           (g->setup.protocol == LOAD_VIADUCT || c->state != LOAD_CLIENT_LEAVING))
    load_say_control(g, c, LOAD_WS_CLOSE, f.payload);
  return used;
}

static void hear_list(struct load_signal_engine *g, struct load_signal_client *c, struct bytes body)
{
  struct bytes rest, message;
  if (body.len < 2 || body.at[0] != '{')
    return;
  rest = (struct bytes){body.at + 1, body.len - 1}; /* the object itself is not one of the list */
  while (load_json_object(&rest, &message))
    hear_message(g, c, message);
}

/* What came of a POST: only what is wrong has something to say. */
static void hear_posted(struct load_signal_engine *g, struct load_signal_client *c,
                        const struct load_http_head *head, struct bytes body)
{
  c->is_posting = false;
  load__dirty(g, c); /* what has gathered meanwhile */
  if (head->status == CREATED) {
    hear_message(g, c, body);
    return;
  }
  if (c->state == LOAD_CLIENT_LEAVING)
    load__lost(g, c);
  else if (head->status / 100 != 2 || memmem(body.at, body.len, "\"errors\"", 8) != NULL)
    note_trouble(g, body);
  else if (c->state == LOAD_CLIENT_JOINING)
    load__open_reader(g, c);
}

static int hear_response(struct load_signal_engine *g, struct load_signal_client *c,
                         enum load_pipe_kind kind, struct bytes in)
{
  struct load_http_head head;
  const int used = load_http_decode(in, &head);
  if (used < 0)
    return used == -ERR_MORE ? 0 : used;
  if (head.is_chunked || (!head.has_length && kind == LOAD_PIPE_MAIN)) {
    note_trouble(g,
                 bytes_of("an answer without Content-Length: name the server itself, not a proxy"));
    return -ERR_BAD;
  }
  const bool is_stream = kind == LOAD_PIPE_READER && g->setup.transport == LOAD_SSE;
  if (is_stream && head.status == OK) {
    c->is_streaming = true;
    return used;
  }
  if (in.len - (size_t)used < head.length)
    return 0;
  const struct bytes body = {in.at + used, head.length};
  if (kind == LOAD_PIPE_MAIN) {
    hear_posted(g, c, &head, body);
  } else {
    c->is_asking = false;
    if (head.status == OK)
      hear_list(g, c, body);
    else
      note_trouble(g, body);
    if (g->setup.transport == LOAD_LONGPOLL && c->state != LOAD_CLIENT_LEAVING)
      load_ask(g, c);
  }
  return used + (int)head.length;
}

static int hear_event(struct load_signal_engine *g, struct load_signal_client *c, struct bytes in)
{
  struct bytes data;
  const int used = load_sse_decode(in, &data);
  if (used < 0)
    return used == -ERR_MORE ? 0 : used;
  if (data.len > 0)
    hear_message(g, c, data);
  return used;
}

int load_hear(struct load_signal_engine *g, struct load_signal_client *c, enum load_pipe_kind kind,
              struct bytes in)
{
  size_t done = 0;
  int used = 0;
  while (done < in.len && c->state != LOAD_CLIENT_OUT) {
    const struct bytes rest = {in.at + done, in.len - done};
    if (g->setup.transport == LOAD_WEBSOCKET)
      used = hear_frame(g, c, rest);
    else if (kind == LOAD_PIPE_READER && c->is_streaming)
      used = hear_event(g, c, rest);
    else
      used = hear_response(g, c, kind, rest);
    if (used <= 0)
      break;
    done += (size_t)used;
  }
  return used < 0 ? used : (int)done;
}
