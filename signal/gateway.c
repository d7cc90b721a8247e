/* libwebsockets' side of signald: the context and its virtual hosts, and the one callback, which
 * sorts what comes by what the connection is doing. */
#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "base/err.h"
#include "net/clock.h"
#include "net/taken.h"
#include "signal/http.h"
#include "signal/tls.h"

enum {
  PACE_BYTES = 8 * 1024,
  NEVER_S = 2 * 3600,       /* longer than any deadline of ours */
  RX_BUFFER = 2048,         /* for each WebSocket, allocated by libwebsockets */
  SERVICE_BUFFER = 16384,   /* one read of a socket */
  HEADER_BYTES = 16 * 1024, /* of one request's head; more closes the connection */
};

static int load_certificate(struct signald *s, SSL_CTX *context)
{
  struct net_error e = {0};
  if (signald_tls_load(context, s->config->cert_path, s->config->pkey_path, &e) != 0) {
    log_event(s->log, LOG_LEVEL_ERROR, "certificate-refused", LOG_TEXT("reason", e.text));
    return -1;
  }
  s->tls = context;
  return 0;
}

static void conn_free(struct conn *c)
{
  struct signald *s = c->s;
  c->wsi = NULL;
  conn_end_task(c);
  wheel_cancel(&s->wheel, &c->deadline);
  list_remove(&c->link);
  list_remove(&c->woken);
  s->conn_count--;
  log_event(s->log, LOG_LEVEL_DEBUG, "disconnected", LOG_ADDR("client", &c->client));
  mem_free(&s->mem, c, sizeof *c);
  if (s->stopping)
    signald_settle(s);
}

static int on_conn(struct conn *c, enum lws_callback_reasons reason, void *in, size_t len)
{
  /* Only few of the many reasons are of interest here. */
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wswitch-enum"
  switch (reason) {
  case LWS_CALLBACK_HTTP:
    return http_on_request(c);
  case LWS_CALLBACK_HTTP_CONFIRM_UPGRADE:
    return http_on_upgrade(c);
  case LWS_CALLBACK_FILTER_PROTOCOL_CONNECTION:
    return c->task && c->task->receive ? 0 : -1;
  case LWS_CALLBACK_ESTABLISHED:
    c->is_websocket = true;
    conn_wake(c); /* some protocols speak first */
    return 0;
  case LWS_CALLBACK_RECEIVE:
    return c->task && c->task->receive ? c->task->receive(c, (struct bytes){in, len}) : -1;
  case LWS_CALLBACK_HTTP_WRITEABLE:
  case LWS_CALLBACK_SERVER_WRITEABLE:
    (void)signald_now_ms(c->s); /* when what it writes was handed over */
    return c->task ? c->task->writable(c) : 0;
  case LWS_CALLBACK_HTTP_BODY:
    return body_piece(c, (struct bytes){in, len});
  case LWS_CALLBACK_HTTP_BODY_COMPLETION:
    return body_end(c);
  case LWS_CALLBACK_CLOSED:
  case LWS_CALLBACK_CLOSED_HTTP:
    c->wsi = NULL;
    conn_end_task(c);
    return 0;
  case LWS_CALLBACK_WSI_DESTROY:
    conn_free(c);
    return 0;
  default:
    return 0;
  }
#pragma GCC diagnostic pop
}

static int on_lws(struct lws *wsi, enum lws_callback_reasons reason, void *user, void *in,
                  size_t len)
{
  if (reason == LWS_CALLBACK_OPENSSL_LOAD_EXTRA_SERVER_VERIFY_CERTS)
    return load_certificate(lws_context_user(lws_get_context(wsi)), user);
  struct conn *c = lws_get_opaque_user_data(wsi);
  return c ? on_conn(c, reason, in, len) : 0;
}

static const struct lws_protocols protocols[] = {
    /* No client can ask for a subprotocol of this name: it is no token (RFC 6455 section 4.1). */
    {.name = "(http)", .callback = on_lws, .rx_buffer_size = RX_BUFFER},
    {.name = "viaduct.v1", .callback = on_lws, .rx_buffer_size = RX_BUFFER},
    {.name = NULL},
};

static int open_vhost(struct signald *s, enum face face, struct net_error *e)
{
  static const char *const names[FACE_COUNT] = {"http", "https", "admin", "api", "https"};
  struct lws_context_creation_info info = {
      .port = CONTEXT_PORT_NO_LISTEN_SERVER, /* listen.c does that */
      .vhost_name = names[face],
      .protocols = protocols,
      .keepalive_timeout = SIGNALD_IDLE_MS / 1000,
      .timeout_secs_ah_idle = NEVER_S, /* our deadlines count */
      .retry_and_idle_policy = &s->keepalive,
      /* No h2: with it libwebsockets also says that it takes WebSocket over it (RFC 8441), which no
       * setting of its own turns off. */
      .alpn = "http/1.1",
  };
  if (face == FACE_HTTPS)
    info.options = LWS_SERVER_OPTION_DO_SSL_GLOBAL_INIT | LWS_SERVER_OPTION_CREATE_VHOST_SSL_CTX;
  s->vhost[face] = lws_create_vhost(s->lws, &info);
  if (s->vhost[face])
    return 0;
  net_error_set(e, "libwebsockets cannot serve %s: no memory, or a certificate that it refuses",
                names[face]);
  return -ERR_IO;
}

void signald_set_keepalive(struct signald *s)
{
  uint16_t ping_s = (uint16_t)s->config->ping_s;
  s->keepalive.secs_since_valid_ping = ping_s;
  s->keepalive.secs_since_valid_hangup = (uint16_t)(ping_s + (ping_s < 10 ? ping_s + 1 : 10));
}

static bool has_tls(const struct signald_config *c)
{
  bool has = c->tls_listen_count > 0;
  for (size_t i = 0; i < c->api_listen_count; i++)
    has = has || signald_api_has_tls(c, i);
  return has;
}

int signald_open_lws(struct signald *s, struct net_error *e)
{
  void *loops[] = {&s->loop};
  signald_set_keepalive(s);
  struct lws_context_creation_info info = {
      .port = CONTEXT_PORT_NO_LISTEN,
      .options = LWS_SERVER_OPTION_LIBUV | LWS_SERVER_OPTION_EXPLICIT_VHOSTS,
      .foreign_loops = loops,
      .user = s,
      .pcontext = &s->lws,
      .pt_serv_buf_size = SERVICE_BUFFER,
      .max_http_header_data2 = HEADER_BYTES,
      .timeout_secs = NEVER_S,
  };
  if (has_tls(s->config))
    info.options |= LWS_SERVER_OPTION_DO_SSL_GLOBAL_INIT;
  lws_set_log_level(0, NULL); /* what matters is said by us, in our log */
  s->lws = lws_create_context(&info);
  if (!s->lws) {
    bool plugin = access(LWS_INSTALL_LIBDIR "/libwebsockets-evlib_uv.so", R_OK) == 0;
    net_error_set(e, plugin ? "libwebsockets cannot start: no memory"
                            : "libwebsockets lacks its libuv event loop; install the package "
                              "libwebsockets-evlib-uv");
    return -ERR_IO;
  }
  int err = open_vhost(s, FACE_HTTP, e);
  if (!err && has_tls(s->config))
    err = open_vhost(s, FACE_HTTPS, e);
  if (!err && s->config->api_listen_count)
    err = open_vhost(s, FACE_API, e);
  s->vhost[FACE_API_TLS] = s->vhost[FACE_HTTPS]; /* one certificate for both */
  if (!err && s->config->admin.family != ADDR_NONE)
    err = open_vhost(s, FACE_ADMIN, e);
  return err;
}

void conn_deadline_at_pace(struct conn *c, uint32_t each_ms)
{
  conn_deadline(c, each_ms);
  c->pace_ms = each_ms;
  c->taken_len = c->wsi ? net_taken_len(lws_get_socket_fd(c->wsi)) : 0;
}

static void on_deadline(struct timer *t, uint64_t now_ms)
{
  struct conn *c = CONTAINER_OF(t, struct conn, deadline);
  (void)now_ms;
  if (c->pace_ms != 0 && c->wsi &&
      net_taken_len(lws_get_socket_fd(c->wsi)) >= c->taken_len + PACE_BYTES) {
    conn_deadline_at_pace(c, c->pace_ms);
    return;
  }
  c->s->counters.cut_by_deadline++;
  conn_cut(c);
}

void conn_adopt(struct signald *s, int fd, struct addr client, enum face face)
{
  struct conn *c = mem_new(&s->mem, sizeof *c);
  lws_sock_file_fd_type descriptor = {.sockfd = fd};
  if (!c) {
    close(fd);
    return;
  }
  *c = (struct conn){.s = s, .app = &s->app[0], .client = client, .face = face};
  timer_init(&c->deadline, on_deadline);
  list_init(&c->woken);
  c->wsi = lws_adopt_descriptor_vhost(s->vhost[face],
                                      LWS_ADOPT_SOCKET | LWS_ADOPT_HTTP | LWS_ADOPT_ALLOW_SSL,
                                      descriptor, NULL, NULL);
  if (!c->wsi) { /* libwebsockets has closed the socket */
    mem_free(&s->mem, c, sizeof *c);
    return;
  }
  lws_set_opaque_user_data(c->wsi, c);
  list_push_back(&s->conns, &c->link);
  s->conn_count++;
  conn_deadline(c, s->config->header_ms);
  signald_settle(s);
  log_event(s->log, LOG_LEVEL_DEBUG, "connected", LOG_ADDR("client", &c->client));
}

void conn_deadline(struct conn *c, uint64_t in_ms)
{
  c->pace_ms = 0;
  if (in_ms == 0)
    wheel_cancel(&c->s->wheel, &c->deadline);
  else
    wheel_arm(&c->s->wheel, &c->deadline, signald_now_ms(c->s) + in_ms);
}

void conn_wake_writable(struct conn *c)
{
  if (c->wsi)
    lws_callback_on_writable(c->wsi);
}

/* To ask for a writable socket costs three system calls (epoll_ctl, through libuv) and a turn of
 * the loop, to hear almost always that it was all the time. */
void conn_wake(struct conn *c)
{
  if (!c->is_websocket || !c->task || !c->task->flush)
    conn_wake_writable(c);
  else if (list_is_empty(&c->woken))
    list_push_back(&c->s->woken, &c->woken);
}

void signald_flush(struct signald *s)
{
  while (!list_is_empty(&s->woken)) {
    struct conn *c = CONTAINER_OF(s->woken.next, struct conn, woken);
    list_remove(&c->woken);
    if (!c->wsi || !c->task || !c->task->flush)
      continue;
    if (lws_partial_buffered(c->wsi))
      conn_wake_writable(c);
    else if (c->task->flush(c) != 0)
      conn_cut(c);
  }
}

void conn_cut(struct conn *c)
{
  if (!c->wsi)
    return;
  lws_set_timeout(c->wsi, PENDING_TIMEOUT_CLOSE_SEND, LWS_TO_KILL_ASYNC);
  /* Outside of its callbacks libwebsockets looks at its timers only when it is woken. */
  lws_cancel_service(c->s->lws);
}

void conn_end_task(struct conn *c)
{
  const struct conn_task *task = c->task;
  c->task = NULL;
  if (task)
    task->end(c);
  c->state = NULL;
}

uint8_t *signald_frame(struct signald *s, size_t len)
{
  if (LWS_PRE + len > s->frame_cap) {
    size_t cap = (LWS_PRE + len) * 2;
    uint8_t *frame = mem_resize(&s->mem, s->frame, s->frame_cap, cap);
    if (!frame)
      return NULL;
    s->frame = frame;
    s->frame_cap = cap;
  }
  return s->frame;
}
