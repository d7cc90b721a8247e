/* The HTTP side of metrics: libwebsockets in a thread of its own, two paths, GET only. */
#include "net/metrics.h"

#include <errno.h>
#include <libwebsockets.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <time.h>
#include <unistd.h>

#include "base/err.h"
#include "net/sockaddr.h"

enum { METRICS_CONNECTIONS = 32, METRICS_TIMEOUT_S = 5 };

struct net_metrics {
  struct net_metrics_setup setup;
  struct lws_context *context;
  pthread_t thread;
  bool running;
  atomic_bool stopping;
  struct addr at;
  char ip[ADDR_TEXT_SIZE];
};

/* One request's answer, from the request until it is written. */
struct page {
  uint8_t *bytes; /* owned; LWS_PRE bytes of room first */
  size_t len;
};

static void page_free(struct page *page)
{
  free(page->bytes);
  *page = (struct page){0};
}

static int send_head(struct lws *wsi, unsigned status, size_t len)
{
  uint8_t storage[LWS_PRE + 512];
  uint8_t *start = storage + LWS_PRE, *at = start, *end = storage + sizeof(storage);
  if (lws_add_http_common_headers(wsi, status, "text/plain; version=0.0.4; charset=utf-8", len, &at,
                                  end) != 0 ||
      lws_finalize_write_http_header(wsi, start, &at, end) != 0)
    return -1;
  lws_callback_on_writable(wsi);
  return 0;
}

static const char *path_of(const struct net_metrics *m)
{
  return m->setup.path != NULL ? m->setup.path : "/metrics";
}

/* Renders into a page of its own: the connection may take it slowly. */
static unsigned render(const struct net_metrics *m, const char *path, struct buf *out)
{
  if (strcmp(path, path_of(m)) == 0) {
    m->setup.render(m->setup.arg, out);
    if (!out->overflow)
      return HTTP_STATUS_OK;
    buf_init(out, out->at, out->cap);
    buf_put_text(out, "the page is too large\n");
    return HTTP_STATUS_INTERNAL_SERVER_ERROR;
  }
  if (strcmp(path, "/healthz") == 0) {
    bool healthy = m->setup.healthy == NULL || m->setup.healthy(m->setup.arg);
    buf_put_text(out, healthy ? "ok\n" : "not ready\n");
    return healthy ? HTTP_STATUS_OK : HTTP_STATUS_SERVICE_UNAVAILABLE;
  }
  buf_put_text(out, "here are ");
  buf_put_text(out, path_of(m));
  buf_put_text(out, " and /healthz\n");
  return HTTP_STATUS_NOT_FOUND;
}

static int on_request(struct lws *wsi, struct page *page, const char *path)
{
  const struct net_metrics *m = lws_context_user(lws_get_context(wsi));
  page_free(page);
  page->bytes = malloc(LWS_PRE + NET_METRICS_MAX);
  if (page->bytes == NULL)
    return -1;
  struct buf out;
  buf_init(&out, page->bytes + LWS_PRE, NET_METRICS_MAX);
  unsigned status = HTTP_STATUS_METHOD_NOT_ALLOWED;
  if (lws_hdr_total_length(wsi, WSI_TOKEN_GET_URI) > 0)
    status = render(m, path, &out);
  else
    buf_put_text(&out, "GET only\n");
  page->len = out.len;
  return send_head(wsi, status, out.len);
}

static int on_writable(struct lws *wsi, struct page *page)
{
  if (page->bytes == NULL)
    return 0;
  int n = lws_write(wsi, page->bytes + LWS_PRE, page->len, LWS_WRITE_HTTP_FINAL);
  page_free(page);
  if (n < 0)
    return -1;
  return lws_http_transaction_completed(wsi) != 0 ? -1 : 0;
}

static int callback(struct lws *wsi, enum lws_callback_reasons reason, void *user, void *in,
                    size_t len)
{
  struct page *page = user;
  (void)len;
  if (reason == LWS_CALLBACK_HTTP)
    return on_request(wsi, page, in);
  if (reason == LWS_CALLBACK_HTTP_WRITEABLE)
    return on_writable(wsi, page);
  if ((reason == LWS_CALLBACK_CLOSED_HTTP || reason == LWS_CALLBACK_HTTP_DROP_PROTOCOL) &&
      page != NULL)
    page_free(page);
  /* A body, an upgrade, anything else that asks for a decision: no. */
  if (reason == LWS_CALLBACK_HTTP_BODY || reason == LWS_CALLBACK_FILTER_PROTOCOL_CONNECTION)
    return -1;
  return 0;
}

static const struct lws_protocols protocols[] = {
    {.name = "http", .callback = callback, .per_session_data_size = sizeof(struct page)},
    {.name = NULL},
};

/* libwebsockets tries again and again to accept what waits, and nothing else rests meanwhile. */
static void rest_without_descriptors(void)
{
  const struct timespec moment = {.tv_nsec = 100 * 1000 * 1000};
  int fd = eventfd(0, EFD_CLOEXEC);
  if (fd >= 0)
    close(fd);
  else if (errno == EMFILE || errno == ENFILE)
    (void)nanosleep(&moment, NULL);
}

static void *serve(void *arg)
{
  struct net_metrics *m = arg;
  while (!atomic_load(&m->stopping)) {
    if (lws_service(m->context, 0) < 0)
      break;
    rest_without_descriptors();
  }
  if (!atomic_load(&m->stopping) && m->setup.died != NULL)
    m->setup.died(m->setup.arg);
  return NULL;
}

/* libwebsockets does not say why it cannot listen; a socket bound for a moment does. */
static int probe(const struct net_metrics_setup *s, struct net_error *e)
{
  const struct net_bind bind = {
      .type = SOCK_STREAM, .at = &s->at, .program = s->program, .mend = s->mend};
  int fd = net_bind(&bind, e);
  if (fd < 0)
    return fd;
  close(fd);
  return 0;
}

static int open_context(struct net_metrics *m)
{
  lws_set_log_level(0, NULL);
  struct lws_context_creation_info info = {
      .port = CONTEXT_PORT_NO_LISTEN,
      .options = LWS_SERVER_OPTION_EXPLICIT_VHOSTS,
      .user = m,
      .fd_limit_per_thread = METRICS_CONNECTIONS + 8,
  };
  m->context = lws_create_context(&info);
  if (m->context == NULL)
    return -ERR_NOMEM;
  info.port = m->at.port;
  info.iface = addr_is_unspecified(&m->at) ? NULL : m->ip;
  info.protocols = protocols;
  info.timeout_secs = METRICS_TIMEOUT_S;
  info.keepalive_timeout = METRICS_TIMEOUT_S;
  info.options |= LWS_SERVER_OPTION_FAIL_UPON_UNABLE_TO_BIND;
  if (m->at.family == ADDR_V4)
    info.options |= LWS_SERVER_OPTION_DISABLE_IPV6;
  struct lws_vhost *vhost = lws_create_vhost(m->context, &info);
  int port = vhost != NULL ? lws_get_vhost_listen_port(vhost) : -1;
  if (port <= 0) {
    lws_context_destroy(m->context);
    return -ERR_IO;
  }
  m->at.port = (uint16_t)port;
  return 0;
}

static void cannot_serve(const struct net_metrics *m, int r, struct net_error *e)
{
  net_error_set(e, "cannot serve metrics at %s: %s", m->ip, err_text(r));
}

int net_metrics_open(const struct net_metrics_setup *s, struct net_metrics **out,
                     struct net_error *e)
{
  int r = probe(s, e);
  if (r != 0)
    return r;
  struct net_metrics *m = calloc(1, sizeof(*m));
  if (m == NULL)
    return -ERR_NOMEM;
  m->setup = *s;
  m->at = s->at;
  addr_format_ip(&m->at, m->ip);
  r = open_context(m);
  if (r != 0) {
    cannot_serve(m, r, e);
    free(m);
    return r;
  }
  *out = m;
  return 0;
}

int net_metrics_start(struct net_metrics *m, struct net_error *e)
{
  if (pthread_create(&m->thread, NULL, serve, m) != 0) {
    cannot_serve(m, -ERR_IO, e);
    return -ERR_IO;
  }
  m->running = true;
  return 0;
}

struct addr net_metrics_address(const struct net_metrics *m)
{
  return m->at;
}

void net_metrics_stop(struct net_metrics *m)
{
  if (m == NULL)
    return;
  atomic_store(&m->stopping, true);
  if (m->running) {
    lws_cancel_service(m->context);
    pthread_join(m->thread, NULL);
  }
  lws_context_destroy(m->context);
  free(m);
}
