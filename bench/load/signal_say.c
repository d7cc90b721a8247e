/* What a client says, in the protocol and over the transport of the setup. See signal_client.h. */
#include <stdio.h>
#include <string.h>

#include "bench/load/signal_client.h"
#include "bench/load/signal_note.h"
#include "bench/load/signal_ws.h"

enum { TEXT_SIZE = LOAD_NOTE_MOST + 1024, BATCH_MOST = 64, HEADERS_SIZE = 2048 };

/* What a browser sends with each request, so that the bytes on the wire are those of a page. */
static const char as_a_browser[] =
    "User-Agent: Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) "
    "Chrome/119.0.0.0 Safari/537.36\r\nAccept: */*\r\nAccept-Encoding: gzip, deflate, br\r\n"
    "Accept-Language: en-US,en;q=0.9\r\n";

static bool is_websocket(const struct load_signal_engine *g)
{
  return g->setup.transport == LOAD_WEBSOCKET;
}

static void put_frame(struct load_signal_engine *g, struct load_signal_client *c, uint8_t opcode,
                      struct bytes payload)
{
  struct load_queue *out = &c->pipe[LOAD_PIPE_MAIN].out;
  const uint32_t mask = (uint32_t)(g->now_ns * 2654435761u);
  uint8_t *at = load_queue_room(out, LOAD_WS_HEAD_MOST + payload.len);
  if (at == NULL)
    return;
  const size_t head = load_ws_head(at, opcode, payload.len, mask);
  if (payload.len > 0)
    memcpy(at + head, payload.at, payload.len);
  load_ws_mask(at + head, payload.len, mask);
  out->len += head + payload.len;
  load__dirty(g, c);
}

static void put_in_batch(struct load_signal_engine *g, struct load_signal_client *c,
                         struct bytes text)
{
  if (c->batch_count++ > 0)
    (void)load_queue_put(&c->batch, bytes_of(","));
  (void)load_queue_put(&c->batch, text);
  load__dirty(g, c);
}

static void say(struct load_signal_engine *g, struct load_signal_client *c, const struct buf *text)
{
  if (is_websocket(g))
    put_frame(g, c, LOAD_WS_TEXT, (struct bytes){text->at, text->len});
  else
    put_in_batch(g, c, (struct bytes){text->at, text->len});
}

static void say_text(struct load_signal_engine *g, struct load_signal_client *c, const char *text)
{
  struct buf b = {.at = (uint8_t *)(uintptr_t)text, .len = strlen(text)};
  say(g, c, &b);
}

static void request(struct load_signal_engine *g, struct load_signal_client *c,
                    enum load_pipe_kind kind, const char *line, const char *more)
{
  char text[HEADERS_SIZE];
  const char *bearer = c->key[0] ? c->key : g->setup.token != NULL ? g->setup.token : "";
  const int len = snprintf(text, sizeof(text), "%s HTTP/1.1\r\nHost: %s\r\n%s%s%s%s%s\r\n", line,
                           g->setup.host, as_a_browser, *bearer ? "Authorization: Bearer " : "",
                           bearer, *bearer ? "\r\n" : "", more);
  (void)load_queue_put(&c->pipe[kind].out, (struct bytes){(uint8_t *)text, (size_t)len});
  g->wire.requests++;
  load__dirty(g, c);
}

static void post(struct load_signal_engine *g, struct load_signal_client *c, const char *path,
                 size_t body_len)
{
  char line[LOAD_PATH_SIZE + 64], more[128];
  snprintf(line, sizeof(line), "POST %s%s", g->setup.path, path);
  snprintf(more, sizeof(more), "Content-Type: application/json\r\nContent-Length: %zu\r\n",
           body_len);
  request(g, c, LOAD_PIPE_MAIN, line, more);
  c->is_posting = true;
}

static void ask_for_websocket(struct load_signal_engine *g, struct load_signal_client *c)
{
  char line[2 * LOAD_PATH_SIZE + 4 * LOAD_ID_SIZE];
  char more[256] = "Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n"
                   "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n";
  if (g->setup.protocol == LOAD_PEERJS) {
    snprintf(line, sizeof(line), "GET %s/peerjs?key=%s&id=%s&token=token-%s&version=1.5.4",
             g->setup.path, g->setup.key, c->id, c->id);
  } else {
    snprintf(line, sizeof(line), "GET %s/v1/ws", g->setup.path);
    strncat(more, "Sec-WebSocket-Protocol: viaduct.v1\r\n", sizeof(more) - strlen(more) - 1);
  }
  request(g, c, LOAD_PIPE_MAIN, line, more);
}

void load_say_first(struct load_signal_engine *g, struct load_signal_client *c)
{
  static const char hello[] = "{\"type\":\"hello\",\"client\":\"viaduct-load\"}";
  c->key[0] = 0;
  if (g->setup.protocol == LOAD_PEERJS)
    snprintf(c->id, sizeof(c->id), "load-%u-%u-%u", g->run, load__index(g, c), c->life);
  if (is_websocket(g)) {
    ask_for_websocket(g, c);
    return;
  }
  post(g, c, "/v1/session", sizeof(hello) - 1);
  (void)load_queue_put(&c->pipe[LOAD_PIPE_MAIN].out, bytes_of(hello));
}

void load_say_hello(struct load_signal_engine *g, struct load_signal_client *c)
{
  say_text(g, c, "{\"type\":\"hello\",\"client\":\"viaduct-load\"}");
}

static void put_room(struct load_signal_engine *g, const struct load_signal_client *c,
                     struct buf *b)
{
  buf_put_text(b, "\"room\":\"load-");
  buf_put_uint(b, g->run);
  buf_put_text(b, "-");
  buf_put_uint(b, load__index(g, c) / 2);
  buf_put_text(b, "\"");
}

void load_say_join(struct load_signal_engine *g, struct load_signal_client *c)
{
  uint8_t text[128];
  struct buf b;
  buf_init(&b, text, sizeof(text));
  buf_put_text(&b, "{\"type\":\"join\",");
  put_room(g, c, &b);
  buf_put_text(&b, "}");
  say(g, c, &b);
}

static void put_envelope(struct load_signal_engine *g, struct load_signal_client *c, const char *to,
                         const char *kind, struct buf *b)
{
  if (g->setup.protocol == LOAD_PEERJS) {
    buf_put_text(b, "{\"type\":\"");
    buf_put_text(b, kind);
    buf_put_text(b, "\",\"payload\":{\"connectionId\":\"dc_load\",\"sdp\":\"");
    return;
  }
  buf_put_text(b, "{\"type\":\"signal\",");
  put_room(g, c, b);
  buf_put_text(b, ",\"to\":\"");
  buf_put_text(b, to);
  buf_put_text(b, "\",\"data\":{\"sdp\":\"");
}

void load_say_note(struct load_signal_engine *g, struct load_signal_client *c, size_t len,
                   const char *kind)
{
  static uint8_t text[TEXT_SIZE]; /* one thread */
  struct load_signal_client *to = load__partner(g, c);
  struct buf b;
  buf_init(&b, text, sizeof(text));
  put_envelope(g, c, to->id, kind, &b);
  const struct load_note n = {
      .flow = load__index(g, to), .sequence = to->account.sent++, .made_ns = g->now_ns};
  load_note_put(b.at + b.len, len, &n);
  b.len += len;
  buf_put_text(&b, "\"}");
  if (g->setup.protocol == LOAD_PEERJS) {
    buf_put_text(&b, ",\"dst\":\"");
    buf_put_text(&b, to->id);
    buf_put_text(&b, "\"");
  }
  buf_put_text(&b, "}");
  to->on_way++;
  if (to->is_deaf)
    g->counts.slow_sent++;
  else
    g->counts.sent++;
  say(g, c, &b);
}

void load_say_heartbeat(struct load_signal_engine *g, struct load_signal_client *c)
{
  say_text(g, c,
           g->setup.protocol == LOAD_PEERJS ? "{\"type\":\"HEARTBEAT\"}" : "{\"type\":\"ping\"}");
}

void load_say_ack(struct load_signal_engine *g, struct load_signal_client *c)
{
  uint8_t text[64];
  struct buf b;
  buf_init(&b, text, sizeof(text));
  buf_put_text(&b, "{\"type\":\"ack\",\"seq\":");
  buf_put_uint(&b, c->seq);
  buf_put_text(&b, "}");
  c->acked = c->seq;
  say(g, c, &b);
}

void load_say_leave(struct load_signal_engine *g, struct load_signal_client *c)
{
  static const uint8_t normal[] = {1000 >> 8, 1000 & 0xff};
  c->state = LOAD_CLIENT_LEAVING;
  if (g->setup.protocol == LOAD_VIADUCT) {
    say_text(g, c, "{\"type\":\"bye\"}");
    return;
  }
  say_text(g, c, "{\"type\":\"LEAVE\"}");
  put_frame(g, c, LOAD_WS_CLOSE, (struct bytes){normal, sizeof(normal)});
}

void load_say_control(struct load_signal_engine *g, struct load_signal_client *c, uint8_t opcode,
                      struct bytes payload)
{
  put_frame(g, c, opcode, payload);
}

void load_ask(struct load_signal_engine *g, struct load_signal_client *c)
{
  char line[LOAD_PATH_SIZE + 128];
  if (g->setup.transport == LOAD_SSE)
    snprintf(line, sizeof(line), "GET %s/v1/events?after=%llu", g->setup.path,
             (unsigned long long)c->seq);
  else
    snprintf(line, sizeof(line), "GET %s/v1/messages?after=%llu&wait=%u", g->setup.path,
             (unsigned long long)c->seq, g->setup.transport == LOAD_LONGPOLL ? g->setup.wait_s : 0);
  c->acked = c->seq;
  c->is_asking = true;
  request(g, c, LOAD_PIPE_READER, line, "");
}

/* How many bytes of the batch one request takes, and how many messages those are. */
static size_t cut_batch(const struct load_signal_client *c, uint32_t *count)
{
  struct bytes whole = load_queue_view(&c->batch), rest = whole, object;
  *count = c->batch_count;
  if (c->batch_count <= BATCH_MOST)
    return whole.len;
  for (*count = 0; *count < BATCH_MOST && load_json_object(&rest, &object);)
    ++*count;
  return whole.len - rest.len;
}

void load_post(struct load_signal_engine *g, struct load_signal_client *c)
{
  uint32_t count;
  if (c->batch_count == 0 || c->is_posting)
    return;
  const size_t len = cut_batch(c, &count);
  struct load_queue *out = &c->pipe[LOAD_PIPE_MAIN].out;
  post(g, c, "/v1/messages", len + 2);
  (void)load_queue_put(out, bytes_of("["));
  (void)load_queue_put(out, (struct bytes){load_queue_view(&c->batch).at, len});
  (void)load_queue_put(out, bytes_of("]"));
  c->batch_count -= count;
  load_queue_drop(&c->batch, len + (c->batch_count > 0)); /* and a comma */
}
