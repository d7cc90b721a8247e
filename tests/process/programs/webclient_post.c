/* Posts by signal/webclient.h, for test_webclient.py: the lines of standard input are commands, and
 * each call says on standard output how it ended.
 *
 *   post NAME URL DEADLINE_MS ANSWER_MAX BODY_LEN [HEADER]    -> NAME ERROR STATUS ANSWER_LEN
 * ANSWER cancel NAME wait          until no call is left end           closes, whatever is under
 * way
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/err.h"
#include "net/mem.h"
#include "signal/webclient.h"

enum { CALLS = 64 };

struct slot {
  char name[32];
  struct webclient_call *call;
};

static struct slot slots[CALLS];
static struct webclient *client;
static const char *ca_path;

static void on_done(void *arg, const struct webclient_answer *a)
{
  struct slot *slot = arg;
  printf("%s %s %u %zu %.*s\n", slot->name, webclient_error_name(a->error), a->status, a->body.len,
         a->body.len < 100 ? (int)a->body.len : 100, a->body.at ? (const char *)a->body.at : "");
  fprintf(stderr, "%s: %s\n", slot->name, a->text);
  fflush(stdout);
  slot->name[0] = 0;
}

static struct slot *find(const char *name)
{
  for (int i = 0; i < CALLS; i++) {
    if (strcmp(slots[i].name, name) == 0)
      return &slots[i];
  }
  return NULL;
}

static void post(char *args)
{
  static uint8_t body[16 * 1024 * 1024];
  char name[32], url[512], header[256] = "";
  unsigned deadline;
  size_t answer_max, body_len;
  if (sscanf(args, "%31s %511s %u %zu %zu %255[^\n]", name, url, &deadline, &answer_max, &body_len,
             header) < 5)
    exit(2);
  struct slot *slot = find("");
  const char *headers[] = {header};
  if (!slot || body_len > sizeof body || find(name))
    exit(2);
  memset(body, 'b', body_len);
  const struct webclient_request r = {.url = url,
                                      .ca_path = ca_path,
                                      .body = {body, body_len},
                                      .header = headers,
                                      .header_count = header[0] != 0,
                                      .deadline_ms = deadline,
                                      .answer_max = answer_max,
                                      .done = on_done,
                                      .arg = slot};
  memcpy(slot->name, name, sizeof name);
  int err = webclient_post(client, &r, &slot->call);
  if (err) {
    printf("%s refused %d\n", name, err == -ERR_FULL);
    fflush(stdout);
    slot->name[0] = 0;
  }
}

static void cancel(const char *name)
{
  struct slot *slot = find(name);
  if (slot) {
    webclient_cancel(slot->call);
    slot->name[0] = 0;
  }
}

int main(int argc, char **argv)
{
  uv_loop_t loop;
  struct mem mem = net_mem();
  char line[1024];
  ca_path = argc > 1 && argv[1][0] ? argv[1] : NULL;
  if (uv_loop_init(&loop) != 0)
    return 1;
  const struct webclient_setup setup = {
      .loop = &loop, .mem = &mem, .in_flight = 4, .queue = 4, .product = "webclient_post"};
  if (webclient_open(&setup, &client) != 0)
    return 1;
  while (fgets(line, sizeof line, stdin)) {
    line[strcspn(line, "\n")] = 0;
    if (strncmp(line, "post ", 5) == 0)
      post(line + 5);
    else if (strncmp(line, "cancel ", 7) == 0)
      cancel(line + 7);
    else if (strcmp(line, "end") == 0)
      break;
    else
      while (webclient_count(client) > 0)
        uv_run(&loop, UV_RUN_ONCE);
  }
  webclient_close(client);
  uv_run(&loop, UV_RUN_DEFAULT);
  return uv_loop_close(&loop) == 0 ? 0 : 1;
}
