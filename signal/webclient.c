/* libcurl's multi interface on libuv's loop: libcurl says which sockets it waits for and when it
 * wants to be called; the calls that are more than in_flight wait in a queue of ours, since only
 * then their deadline counts from the beginning. */
#include "signal/webclient.h"

#include <curl/curl.h>
#include <string.h>

#include "base/err.h"
#include "base/list.h"

struct webclient {
  uv_loop_t *loop;
  struct mem *mem;
  const char *product;
  CURLM *multi;
  uv_timer_t timer, queue_timer; /* libcurl's; the deadlines of those that wait */
  int open_handles;              /* until both are closed */
  struct list running, waiting;
  size_t running_count, waiting_count, running_max, waiting_max;
};

/* A socket of libcurl that is watched. */
struct watch {
  uv_poll_t poll;
  struct webclient *w;
  curl_socket_t fd;
};

struct webclient_call {
  struct list link;
  struct webclient *w;
  CURL *easy;
  struct curl_slist *header;
  void (*done)(void *arg, const struct webclient_answer *answer);
  void *arg;
  uint64_t due_ms; /* by the loop's clock */
  uint8_t *answer;
  size_t answer_len, answer_cap, answer_max, head_len;
  enum webclient_error stopped; /* why a callback has stopped it */
  bool is_running, has_head;
  size_t size; /* of this block */
  size_t body_len;
  char text[CURL_ERROR_SIZE];
  uint8_t body[];
};

const char *webclient_error_name(enum webclient_error error)
{
  static const char *const name[WEBCLIENT_ERROR_COUNT] = {
      [WEBCLIENT_OK] = "none",
      [WEBCLIENT_UNREACHABLE] = "unreachable",
      [WEBCLIENT_TLS] = "tls",
      [WEBCLIENT_DEADLINE] = "deadline",
      [WEBCLIENT_TOO_LARGE] = "too-large",
      [WEBCLIENT_BROKEN] = "broken",
      [WEBCLIENT_NO_MEMORY] = "no-memory",
  };
  return name[error];
}

static void start_waiting(struct webclient *w);

static void call_free(struct webclient_call *call)
{
  struct mem *mem = call->w->mem;
  list_remove(&call->link);
  if (call->easy)
    curl_easy_cleanup(call->easy);
  curl_slist_free_all(call->header);
  mem_free(mem, call->answer, call->answer_cap);
  bytes_wipe(call->body, call->body_len); /* it may have a token in it */
  mem_free(mem, call, call->size);
}

/* Out of its list and out of libcurl, so that nothing calls back any more. */
static void call_detach(struct webclient_call *call)
{
  struct webclient *w = call->w;
  list_remove(&call->link);
  if (call->is_running) {
    (void)curl_multi_remove_handle(w->multi, call->easy);
    w->running_count--;
  } else {
    w->waiting_count--;
  }
}

void webclient_cancel(struct webclient_call *call)
{
  struct webclient *w = call->w;
  call_detach(call);
  call_free(call);
  start_waiting(w);
}

static void call_end(struct webclient_call *call, struct webclient_answer answer)
{
  struct webclient *w = call->w;
  call_detach(call);
  start_waiting(w);
  if (answer.error == WEBCLIENT_OK)
    answer.body = (struct bytes){call->answer, call->answer_len};
  call->done(call->arg, &answer);
  call_free(call);
}

/* Answers. */

/* One line of the head, with its end. libcurl takes a head that breaks off for one that is whole.
 */
static size_t on_head(char *at, size_t size, size_t count, void *arg)
{
  struct webclient_call *call = arg;
  size_t len = size * count;
  if (len > 0 && (at[0] == '\r' || at[0] == '\n'))
    call->has_head = true;
  else if (len >= 5 && memcmp(at, "HTTP/", 5) == 0) /* another one, behind an interim answer */
    call->has_head = false;
  call->head_len += len;
  if (call->head_len <= WEBCLIENT_HEAD_MAX)
    return len;
  call->stopped = WEBCLIENT_TOO_LARGE;
  return 0;
}

static size_t on_body(char *at, size_t size, size_t count, void *arg)
{
  struct webclient_call *call = arg;
  size_t len = size * count, need = call->answer_len + len;
  if (len > call->answer_max - call->answer_len) {
    call->stopped = WEBCLIENT_TOO_LARGE;
    return 0;
  }
  if (need > call->answer_cap) {
    size_t cap = need * 2 < call->answer_max ? need * 2 : call->answer_max;
    uint8_t *grown = mem_resize(call->w->mem, call->answer, call->answer_cap, cap);
    if (!grown) {
      call->stopped = WEBCLIENT_NO_MEMORY;
      return 0;
    }
    call->answer = grown;
    call->answer_cap = cap;
  }
  if (len > 0)
    memcpy(call->answer + call->answer_len, at, len);
  call->answer_len = need;
  return len;
}

static enum webclient_error error_of(CURLcode code)
{
  /* Only some of the many reasons have a name of their own here. */
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wswitch-enum"
  switch (code) {
  case CURLE_OK:
    return WEBCLIENT_OK;
  case CURLE_COULDNT_RESOLVE_HOST:
  case CURLE_COULDNT_CONNECT:
    return WEBCLIENT_UNREACHABLE;
  case CURLE_SSL_CONNECT_ERROR:
  case CURLE_PEER_FAILED_VERIFICATION:
  case CURLE_SSL_CACERT_BADFILE:
  case CURLE_SSL_CIPHER:
  case CURLE_SSL_ISSUER_ERROR:
  case CURLE_SSL_CERTPROBLEM:
    return WEBCLIENT_TLS;
  case CURLE_OPERATION_TIMEDOUT:
    return WEBCLIENT_DEADLINE;
  case CURLE_OUT_OF_MEMORY:
    return WEBCLIENT_NO_MEMORY;
  default:
    return WEBCLIENT_BROKEN;
  }
#pragma GCC diagnostic pop
}

static struct webclient_answer answer_of(struct webclient_call *call, CURLcode code)
{
  long status = 0;
  struct webclient_answer answer = {.error = error_of(code), .text = curl_easy_strerror(code)};
  if (code != CURLE_OK && call->text[0])
    answer.text = call->text;
  if (code != CURLE_OK && call->stopped != WEBCLIENT_OK) {
    answer.error = call->stopped;
    answer.text = call->stopped == WEBCLIENT_TOO_LARGE ? "the answer is longer than it may be"
                                                       : "no memory for the answer";
  } else if (code == CURLE_OK && !call->has_head) {
    answer.error = WEBCLIENT_BROKEN;
    answer.text = "the answer broke off in its head";
  }
  if (answer.error == WEBCLIENT_OK &&
      curl_easy_getinfo(call->easy, CURLINFO_RESPONSE_CODE, &status) == CURLE_OK)
    answer.status = (unsigned)status;
  return answer;
}

static void finish_those_that_are_done(struct webclient *w)
{
  int left;
  for (CURLMsg *m = curl_multi_info_read(w->multi, &left); m != NULL;
       m = curl_multi_info_read(w->multi, &left)) {
    void *call = NULL;
    CURLcode code = m->data.result;
    if (m->msg == CURLMSG_DONE &&
        curl_easy_getinfo(m->easy_handle, CURLINFO_PRIVATE, &call) == CURLE_OK && call)
      call_end(call, answer_of(call, code));
  }
}

/* libcurl and the loop. */

static void on_socket_ready(uv_poll_t *poll, int status, int events)
{
  struct watch *watch = poll->data;
  struct webclient *w = watch->w; /* `watch` may be gone behind the call */
  int flags = (status < 0 ? CURL_CSELECT_ERR : 0) | (events & UV_READABLE ? CURL_CSELECT_IN : 0) |
              (events & UV_WRITABLE ? CURL_CSELECT_OUT : 0);
  int running;
  (void)curl_multi_socket_action(w->multi, watch->fd, flags, &running);
  finish_those_that_are_done(w);
}

static struct watch *watch_new(struct webclient *w, curl_socket_t fd)
{
  struct watch *watch = mem_new(w->mem, sizeof *watch);
  if (!watch)
    return NULL;
  watch->w = w;
  watch->fd = fd;
  if (uv_poll_init_socket(w->loop, &watch->poll, fd) != 0) {
    mem_free(w->mem, watch, sizeof *watch);
    return NULL;
  }
  watch->poll.data = watch;
  w->open_handles++;
  return watch;
}

static void free_if_closed(struct webclient *w)
{
  if (--w->open_handles > 0)
    return;
  mem_free(w->mem, w, sizeof *w);
}

static void on_watch_closed(uv_handle_t *handle)
{
  struct watch *watch = handle->data;
  struct webclient *w = watch->w;
  mem_free(w->mem, watch, sizeof *watch);
  free_if_closed(w);
}

static void close_watch(struct watch *watch)
{
  (void)uv_poll_stop(&watch->poll);
  uv_close((uv_handle_t *)&watch->poll, on_watch_closed);
}

/* A socket that cannot be watched, for want of memory, is left to the deadline: an error told from
 * here would end all calls. */
static int on_watch(CURL *easy, curl_socket_t fd, int what, void *arg, void *of_socket)
{
  struct webclient *w = arg;
  struct watch *watch = of_socket;
  (void)easy;
  if (what == CURL_POLL_REMOVE) {
    if (watch)
      close_watch(watch);
    return 0;
  }
  if (!watch) {
    watch = watch_new(w, fd);
    if (!watch)
      return 0;
    (void)curl_multi_assign(w->multi, fd, watch);
  }
  int events = (what & CURL_POLL_IN ? UV_READABLE : 0) | (what & CURL_POLL_OUT ? UV_WRITABLE : 0);
  (void)uv_poll_start(&watch->poll, events, on_socket_ready);
  return 0;
}

static void on_time(uv_timer_t *timer)
{
  struct webclient *w = timer->data;
  int running;
  (void)curl_multi_socket_action(w->multi, CURL_SOCKET_TIMEOUT, 0, &running);
  finish_those_that_are_done(w);
}

static int on_timer_wanted(CURLM *multi, long in_ms, void *arg)
{
  struct webclient *w = arg;
  (void)multi;
  if (in_ms < 0)
    (void)uv_timer_stop(&w->timer);
  else /* never 0: such a timer, armed by its own callback, would come before any socket */
    (void)uv_timer_start(&w->timer, on_time, in_ms > 0 ? (uint64_t)in_ms : 1, 0);
  return 0;
}

/* The queue. */

static void on_queue_time(uv_timer_t *timer);

static void arm_queue_timer(struct webclient *w)
{
  uint64_t due = UINT64_MAX, now = uv_now(w->loop);
  for (struct list *l = w->waiting.next; l != &w->waiting; l = l->next) {
    const struct webclient_call *call = CONTAINER_OF(l, struct webclient_call, link);
    due = call->due_ms < due ? call->due_ms : due;
  }
  if (due == UINT64_MAX)
    (void)uv_timer_stop(&w->queue_timer);
  else
    (void)uv_timer_start(&w->queue_timer, on_queue_time, due > now ? due - now : 1, 0);
}

static struct webclient_call *first_overdue(struct webclient *w)
{
  for (struct list *l = w->waiting.next; l != &w->waiting; l = l->next) {
    struct webclient_call *call = CONTAINER_OF(l, struct webclient_call, link);
    if (call->due_ms <= uv_now(w->loop))
      return call;
  }
  return NULL;
}

static void on_queue_time(uv_timer_t *timer)
{
  struct webclient *w = timer->data;
  for (struct webclient_call *call = first_overdue(w); call; call = first_overdue(w))
    call_end(call, (struct webclient_answer){.error = WEBCLIENT_DEADLINE,
                                             .text = "its turn did not come before the deadline"});
  arm_queue_timer(w);
}

static void start_waiting(struct webclient *w)
{
  while (w->running_count < w->running_max && !list_is_empty(&w->waiting)) {
    struct webclient_call *call = CONTAINER_OF(w->waiting.next, struct webclient_call, link);
    uint64_t now = uv_now(w->loop), left = call->due_ms > now ? call->due_ms - now : 1;
    (void)curl_easy_setopt(call->easy, CURLOPT_TIMEOUT_MS, (long)left);
    /* It fails for want of memory alone. Then libcurl would not count its deadline, so it goes on
     * waiting. */
    if (curl_multi_add_handle(w->multi, call->easy) != CURLM_OK)
      break;
    list_remove(&call->link);
    list_push_back(&w->running, &call->link);
    w->waiting_count--;
    w->running_count++;
    call->is_running = true;
  }
  arm_queue_timer(w);
}

/* Calls. */

static bool add_header(struct webclient_call *call, const char *line)
{
  struct curl_slist *longer = curl_slist_append(call->header, line);
  if (longer)
    call->header = longer;
  return longer != NULL;
}

static bool set_headers(struct webclient_call *call, const struct webclient_request *r)
{
  /* Without a line of our own libcurl asks before it sends a long body, and waits a second. */
  bool ok = add_header(call, "Content-Type: application/json") && add_header(call, "Expect:") &&
            add_header(call, "Accept: application/json");
  for (size_t i = 0; i < r->header_count && ok; i++)
    ok = add_header(call, r->header[i]);
  return ok && curl_easy_setopt(call->easy, CURLOPT_HTTPHEADER, call->header) == CURLE_OK;
}

static bool set_up_tls(CURL *easy, const char *ca_path)
{
  /* RFC 8996: TLS 1.0 and 1.1 MUST NOT be used. */
  bool ok = curl_easy_setopt(easy, CURLOPT_SSL_VERIFYPEER, 1L) == CURLE_OK &&
            curl_easy_setopt(easy, CURLOPT_SSL_VERIFYHOST, 2L) == CURLE_OK &&
            curl_easy_setopt(easy, CURLOPT_SSLVERSION, (long)CURL_SSLVERSION_TLSv1_2) == CURLE_OK;
  if (ok && ca_path)
    ok = curl_easy_setopt(easy, CURLOPT_CAINFO, ca_path) == CURLE_OK &&
         curl_easy_setopt(easy, CURLOPT_CAPATH, NULL) == CURLE_OK;
  return ok;
}

static bool set_up(struct webclient_call *call, const struct webclient_request *r)
{
  CURL *easy = call->easy;
  const struct {
    CURLoption option;
    long value;
  } number[] = {
      {CURLOPT_POST, 1},           {CURLOPT_HTTP_VERSION, CURL_HTTP_VERSION_1_1},
      {CURLOPT_FOLLOWLOCATION, 0}, {CURLOPT_NOSIGNAL, 1},
      {CURLOPT_QUICK_EXIT, 1}, /* no wait for a thread that looks up a name, when it is cancelled */
      {CURLOPT_TCP_NODELAY, 1},    {CURLOPT_NETRC, CURL_NETRC_IGNORED},
  };
  const struct {
    CURLoption option;
    const void *value;
  } pointer[] = {
      {CURLOPT_URL, r->url},
      {CURLOPT_PROTOCOLS_STR, "http,https"},
      {CURLOPT_PROXY, ""}, /* nor one that the environment names */
      {CURLOPT_USERAGENT, call->w->product},
      {CURLOPT_ERRORBUFFER, call->text},
      {CURLOPT_POSTFIELDS, call->body},
      {CURLOPT_WRITEDATA, call},
      {CURLOPT_HEADERDATA, call},
      {CURLOPT_PRIVATE, call},
  };
  bool ok = true;
  for (size_t i = 0; i < sizeof number / sizeof number[0] && ok; i++)
    ok = curl_easy_setopt(easy, number[i].option, number[i].value) == CURLE_OK;
  for (size_t i = 0; i < sizeof pointer / sizeof pointer[0] && ok; i++)
    ok = curl_easy_setopt(easy, pointer[i].option, pointer[i].value) == CURLE_OK;
  return ok &&
         curl_easy_setopt(easy, CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)call->body_len) ==
             CURLE_OK &&
         curl_easy_setopt(easy, CURLOPT_WRITEFUNCTION, on_body) == CURLE_OK &&
         curl_easy_setopt(easy, CURLOPT_HEADERFUNCTION, on_head) == CURLE_OK &&
         set_up_tls(easy, r->ca_path) && set_headers(call, r);
}

int webclient_post(struct webclient *w, const struct webclient_request *r,
                   struct webclient_call **out)
{
  if (w->running_count >= w->running_max && w->waiting_count >= w->waiting_max)
    return -ERR_FULL;
  size_t size = sizeof(struct webclient_call) + r->body.len;
  struct webclient_call *call = mem_new(w->mem, size);
  if (!call)
    return -ERR_NOMEM;
  call->w = w;
  call->size = size;
  call->done = r->done;
  call->arg = r->arg;
  call->answer_max = r->answer_max;
  call->body_len = r->body.len;
  if (r->body.len > 0)
    memcpy(call->body, r->body.at, r->body.len);
  list_init(&call->link);
  call->easy = curl_easy_init();
  if (!call->easy || !set_up(call, r)) {
    call_free(call);
    return -ERR_NOMEM;
  }
  uv_update_time(w->loop);
  call->due_ms = uv_now(w->loop) + r->deadline_ms;
  list_push_back(&w->waiting, &call->link);
  w->waiting_count++;
  start_waiting(w);
  *out = call;
  return 0;
}

size_t webclient_count(const struct webclient *w)
{
  return w->running_count + w->waiting_count;
}

/* Opening and closing. */

static void on_timer_closed(uv_handle_t *handle)
{
  free_if_closed(handle->data);
}

static bool set_up_multi(struct webclient *w)
{
  return curl_multi_setopt(w->multi, CURLMOPT_SOCKETFUNCTION, on_watch) == CURLM_OK &&
         curl_multi_setopt(w->multi, CURLMOPT_SOCKETDATA, w) == CURLM_OK &&
         curl_multi_setopt(w->multi, CURLMOPT_TIMERFUNCTION, on_timer_wanted) == CURLM_OK &&
         curl_multi_setopt(w->multi, CURLMOPT_TIMERDATA, w) == CURLM_OK &&
         curl_multi_setopt(w->multi, CURLMOPT_MAXCONNECTS, (long)w->running_max) == CURLM_OK;
}

int webclient_open(const struct webclient_setup *setup, struct webclient **out)
{
  if (curl_global_init(CURL_GLOBAL_DEFAULT) != CURLE_OK)
    return -ERR_IO;
  struct webclient *w = mem_new(setup->mem, sizeof *w);
  CURLM *multi = w ? curl_multi_init() : NULL;
  if (!multi) {
    mem_free(setup->mem, w, sizeof *w);
    curl_global_cleanup();
    return -ERR_NOMEM;
  }
  *w = (struct webclient){.loop = setup->loop,
                          .mem = setup->mem,
                          .product = setup->product,
                          .multi = multi,
                          .running_max = setup->in_flight,
                          .waiting_max = setup->queue,
                          .open_handles = 2};
  list_init(&w->running);
  list_init(&w->waiting);
  (void)uv_timer_init(setup->loop, &w->timer); /* neither can fail */
  (void)uv_timer_init(setup->loop, &w->queue_timer);
  w->timer.data = w->queue_timer.data = w;
  if (!set_up_multi(w)) {
    webclient_close(w);
    return -ERR_NOMEM;
  }
  *out = w;
  return 0;
}

void webclient_close(struct webclient *w)
{
  if (!w)
    return;
  w->waiting_max = w->running_max = 0; /* nothing starts any more */
  while (!list_is_empty(&w->waiting) || !list_is_empty(&w->running)) {
    struct list *first = list_is_empty(&w->waiting) ? w->running.next : w->waiting.next;
    struct webclient_call *call = CONTAINER_OF(first, struct webclient_call, link);
    call_detach(call);
    call_free(call);
  }
  (void)curl_multi_cleanup(w->multi);
  curl_global_cleanup();
  uv_close((uv_handle_t *)&w->timer, on_timer_closed);
  uv_close((uv_handle_t *)&w->queue_timer, on_timer_closed);
}
