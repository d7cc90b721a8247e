/* The files of the call page, from the folder web-root. No directory is listed, no symbolic link is
 * followed, no name starts with a dot. Called by http.c. */
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "signal/http.h"

enum { CHUNK = 16 * 1024, CHUNKS_AT_ONCE = 8, ETAG_SIZE = 64 };

/* A file on its way. */
struct web_file {
  int fd;
  uint64_t left;
};

static const char *type_of(const char *path)
{
  static const struct {
    const char *suffix, *type;
  } types[] = {
      {".html", "text/html; charset=utf-8"},
      {".js", "text/javascript; charset=utf-8"},
      {".mjs", "text/javascript; charset=utf-8"},
      {".css", "text/css; charset=utf-8"},
      {".svg", "image/svg+xml"},
      {".png", "image/png"},
      {".jpg", "image/jpeg"},
      {".webp", "image/webp"},
      {".ico", "image/vnd.microsoft.icon"},
      {".json", "application/json"},
      {".map", "application/json"},
      {".webmanifest", "application/manifest+json"},
      {".txt", "text/plain; charset=utf-8"},
      {".woff2", "font/woff2"},
      {".wasm", "application/wasm"},
      {".mp3", "audio/mpeg"},
      {".ogg", "audio/ogg"},
      {".wav", "audio/wav"},
  };
  size_t len = strlen(path);
  for (size_t i = 0; i < sizeof types / sizeof types[0]; i++) {
    size_t suffix = strlen(types[i].suffix);
    if (len > suffix && strcmp(path + len - suffix, types[i].suffix) == 0)
      return types[i].type;
  }
  return "application/octet-stream";
}

static bool is_plain(char c)
{
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-' ||
         c == '_' || c == '.';
}

/* The next segment of a path into `name`, and what is behind it. NULL: no name that we serve. */
static const char *take_segment(const char *path, char name[256])
{
  size_t len = 0;
  while (path[len] && path[len] != '/') {
    if (!is_plain(path[len]) || len == 255)
      return NULL;
    name[len] = path[len];
    len++;
  }
  name[len] = 0;
  return len == 0 || name[0] == '.' ? NULL : path + len;
}

/* Walks down one segment at a time, so that no link anywhere on the way is followed. -1: none. */
static int open_below(int root, const char *path)
{
  char name[256];
  int at = root;
  for (;;) {
    const char *rest = take_segment(path, name);
    int flags = O_RDONLY | O_NOFOLLOW | O_CLOEXEC | O_NONBLOCK | (rest && *rest ? O_DIRECTORY : 0);
    int next = rest ? openat(at, name, flags) : -1;
    if (at != root)
      close(at);
    if (next < 0 || *rest == 0)
      return next;
    at = next;
    path = rest + 1;
  }
}

static bool is_room_link(const char *path)
{
  return strcmp(path, "/") == 0 || strncmp(path, "/r/", 3) == 0;
}

/* RFC 9110 section 13.1.2: If-None-Match is "*" or a list of tags, compared weakly. */
static bool has_it(struct lws *wsi, const char *etag)
{
  char field[HTTP_FIELD_SIZE];
  if (lws_hdr_copy(wsi, field, sizeof field, WSI_TOKEN_HTTP_IF_NONE_MATCH) <= 0)
    return false;
  return strcmp(field, "*") == 0 || strstr(field, etag) != NULL;
}

static int on_writable(struct conn *c)
{
  struct web_file *f = c->state;
  for (int i = 0; i < CHUNKS_AT_ONCE && f->left > 0; i++) {
    uint8_t *frame = signald_frame(c->s, CHUNK);
    ssize_t n = frame ? read(f->fd, frame + LWS_PRE, f->left < CHUNK ? f->left : CHUNK) : -1;
    if (n <= 0) /* the file has become shorter than we said */
      return -1;
    f->left -= (uint64_t)n;
    if (lws_write(c->wsi, frame + LWS_PRE, (size_t)n,
                  f->left ? LWS_WRITE_HTTP : LWS_WRITE_HTTP_FINAL) < 0)
      return -1;
    if (f->left && lws_send_pipe_choked(c->wsi))
      break;
  }
  if (f->left > 0) {
    conn_deadline(c, SIGNALD_STALL_MS);
    signald_settle(c->s);
    lws_callback_on_writable(c->wsi);
    return 0;
  }
  conn_end_task(c);
  return http_done(c);
}

static void on_end(struct conn *c)
{
  struct web_file *f = c->state;
  close(f->fd);
  mem_free(&c->s->mem, f, sizeof *f);
}

static const struct conn_task task = {.writable = on_writable, .end = on_end};

/* Takes the descriptor. */
static int send_file(struct conn *c, const struct http_request *r, int fd, const struct stat *st,
                     const char *path)
{
  char etag[ETAG_SIZE];
  snprintf(etag, sizeof etag, "\"%llx-%llx%08lx\"", (unsigned long long)st->st_size,
           (unsigned long long)st->st_mtim.tv_sec, (unsigned long)st->st_mtim.tv_nsec);
  struct http_answer a = {.status = HTTP_STATUS_OK,
                          .type = type_of(path),
                          .length = (uint64_t)st->st_size,
                          .etag = etag,
                          .cacheable = true,
                          .page = true};
  bool unchanged = has_it(c->wsi, etag);
  if (unchanged) {
    a.status = HTTP_STATUS_NOT_MODIFIED;
    a.type = NULL;
  }
  struct web_file *f = NULL;
  int err = http_send(c, r, &a);
  bool body = !err && !unchanged && r->method == HTTP_GET && st->st_size > 0;
  if (body)
    f = mem_new(&c->s->mem, sizeof *f);
  if (!f) {
    close(fd);
    return err || body ? -1 : http_done(c);
  }
  *f = (struct web_file){.fd = fd, .left = (uint64_t)st->st_size};
  c->state = f;
  c->task = &task;
  conn_deadline(c, SIGNALD_STALL_MS);
  lws_callback_on_writable(c->wsi);
  return 0;
}

static int send_not_found(struct conn *c, const struct http_request *r)
{
  static const char page[] =
      "<!doctype html>\n<html lang=\"en\">\n<meta charset=\"utf-8\">\n"
      "<meta name=\"viewport\" content=\"width=device-width\">\n<title>Not here</title>\n"
      "<h1>There is nothing at this address</h1>\n<p><a href=\"/\">To the call page</a></p>\n";
  const struct http_answer a = {.status = HTTP_STATUS_NOT_FOUND,
                                .type = "text/html; charset=utf-8",
                                .body = bytes_of(page),
                                .page = true};
  return http_send(c, r, &a) ? -1 : http_done(c);
}

int web_handle(struct conn *c, const struct http_request *r)
{
  const char *path = is_room_link(r->path) ? "/index.html" : r->path;
  int fd = c->s->web_root >= 0 ? open_below(c->s->web_root, path + 1) : -1;
  struct stat st;
  if (fd < 0)
    return send_not_found(c, r);
  if (fstat(fd, &st) == 0 && S_ISREG(st.st_mode))
    return send_file(c, r, fd, &st, path);
  close(fd);
  return send_not_found(c, r);
}
