/* Runs scenarios: text files in which clients and peers talk to a whole relay on a fake network and
 * a fake clock. turn/README.md has the language.
 *
 * Each is run as it stands, and then again over every transport and with IPv6 clients
 * (turn_variant.c), where all has to be as it is written. The first and the last of these runs are
 * repeated with allocation 0 failing, with allocation 1, and so on: there nothing is expected but
 * that the relay neither crashes nor loses memory or sockets.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/digest.h"
#include "tests/scenario/turn_script.h"

enum { FAILING_RUNS_MAX = 5000 };

/* Cuts a line into words in place; quoted parts know \xNN. */
static size_t split(const struct script *s, char *line, struct word words[SCRIPT_WORDS])
{
  size_t count = 0;
  char *from = line, *to = line;
  for (;;) {
    while (*from == ' ' || *from == '\t')
      from++;
    if (!*from || *from == '#')
      return count;
    if (count == SCRIPT_WORDS)
      script_fail(s, "more than %d words", SCRIPT_WORDS);
    struct word *w = &words[count++];
    *w = (struct word){.at = to, .quoted = *from == '"'};
    bool inside = false;
    for (; *from && (inside || (*from != ' ' && *from != '\t')); from++) {
      if (*from == '"') {
        inside = !inside;
      } else if (inside && *from == '\\' && from[1] == 'x') {
        const char digits[3] = {from[2], from[2] ? from[3] : 0, 0};
        *to++ = (char)strtoul(digits, NULL, 16);
        from += strlen(digits) + 1;
      } else {
        *to++ = *from;
      }
    }
    if (inside)
      script_fail(s, "a quote is not closed");
    const bool last = !*from;
    w->len = (size_t)(to - w->at);
    from += !last;
    *to++ = 0;
    if (last)
      return count;
  }
}

static void start(struct script *s)
{
  if (s->started)
    return;
  if (s->world.config.user_count == 0 && s->world.config.secret_count == 0)
    world_add_user(&s->world, "bob", "secret");
  const int rc = world_start(&s->world);
  if (rc && !s->lenient)
    script_fail(s, "the relay does not start");
  s->started = true;
}

static void do_quote(struct script *s, const struct word *w, size_t count)
{
  if (count < 2 || !w[count - 1].quoted || w[count - 1].len < 10)
    script_fail(s, "QUOTE DOCUMENT SECTION \"its sentence\", CITE ... \"in our words\"");
  s->quoted = true;
}

static void do_client(struct script *s, const struct word *w, size_t count)
{
  static const char *const transport[TURN_TRANSPORT_COUNT] = {"udp", "tcp", "tls", "dtls"};
  struct addr from, to;
  size_t kind = 0;
  if (count < 2 || s->actor_count == SCRIPT_CLIENTS || w[0].len >= sizeof(s->actor[0].name))
    script_fail(s, "CLIENT NAME ADDRESS [tcp|tls|dtls], at most %d", SCRIPT_CLIENTS);
  script_addr(s, w[1].at, &from);
  if (count > 2)
    while (kind < TURN_TRANSPORT_COUNT && !word_is(&w[2], transport[kind]))
      kind++;
  if (kind == TURN_TRANSPORT_COUNT)
    script_fail(s, "unknown transport '%s'", w[2].at);
  from = script_client_addr(s, &from);
  if (s->variant->moved)
    kind = s->variant->transport;
  addr_parse(bytes_of(from.family == ADDR_V6 ? "[2a00::9]:3478" : "9.9.9.9:3478"), &to);
  struct actor *a = &s->actor[s->actor_count++];
  memcpy(a->name, w[0].at, w[0].len + 1);
  client_init(&a->client, &from, &to, (enum turn_transport)kind);
}

/* As signald mints them: the password of a time-limited username under a shared secret. */
static void set_rest_password(struct turn_client *c, const char *secret)
{
  uint8_t mac[SHA1_SIZE], text[40];
  struct buf b;
  const struct bytes user = {c->user.at, c->user.len};
  hmac_sha1(bytes_of(secret), &user, 1, mac);
  buf_init(&b, text, sizeof(text));
  buf_put_base64(&b, mac, sizeof(mac));
  client_text_set(&c->password, text, b.len);
}

/* LOGIN c user=NAME password=TEXT realm=NAME | user=+60:NAME (expires in 60 s) secret=TEXT | sha256
 * | as=OTHER
 */
static void do_login(struct script *s, const struct word *w, size_t count)
{
  if (count < 2)
    script_fail(s, "LOGIN CLIENT user=... password=...|secret=...");
  struct turn_client *c = &script_actor(s, &w[0])->client;
  for (size_t i = 1; i < count; i++) {
    const char *value;
    char expiring[600];
    if ((value = word_value(&w[i], "user")) != NULL && value[0] == '+') {
      char *rest;
      const unsigned long long in_s = strtoull(value + 1, &rest, 10);
      snprintf(expiring, sizeof(expiring), "%llu%s",
               (unsigned long long)world_wall_s(&s->world) + in_s, rest);
      client_text_set(&c->user, expiring, strlen(expiring));
    } else if (value) {
      client_text_set(&c->user, value, strlen(value));
    } else if ((value = word_value(&w[i], "long-user")) != NULL) {
      uint8_t name[CLIENT_TEXT];
      memset(name, 'u', sizeof(name));
      client_text_set(&c->user, name, script_uint(s, value));
    } else if ((value = word_value(&w[i], "password")) != NULL) {
      client_text_set(&c->password, value, strlen(value));
    } else if ((value = word_value(&w[i], "realm")) != NULL) {
      client_text_set(&c->realm, value, strlen(value));
    } else if ((value = word_value(&w[i], "token")) != NULL) {
      script_token(s, c, value);
    } else if ((value = word_value(&w[i], "mac-key")) != NULL) {
      client_text_set(&c->mac_key, value, strlen(value));
    } else if ((value = word_value(&w[i], "secret")) != NULL) {
      set_rest_password(c, value);
    } else if ((value = word_value(&w[i], "as")) != NULL) {
      /* All that the other one knows, its challenge included, from one's own address. */
      const struct word other = {.at = w[i].at + 3, .len = strlen(value)};
      const struct turn_flow flow = c->flow;
      *c = script_actor(s, &other)->client;
      c->flow = flow;
    } else if (word_is(&w[i], "userhash")) {
      c->userhash = true;
    } else if (word_is(&w[i], "sha256")) {
      c->sha256_key = true;
      c->integrity = STUN_INTEGRITY_SHA256;
    } else {
      script_fail(s, "unknown word '%s'", w[i].at);
    }
  }
}

static void do_elapse(struct script *s, const struct word *w, size_t count)
{
  if (count != 1)
    script_fail(s, "ELAPSE TIME");
  world_elapse(&s->world, script_time(s, w[0].at));
}

static void do_at(struct script *s, const struct word *w, size_t count)
{
  const uint64_t ms = count == 1 ? script_time(s, w[0].at) : 0;
  if (count != 1 || ms < s->world.now_ms)
    script_fail(s, "AT TIME, and time does not go back");
  world_elapse(&s->world, ms - s->world.now_ms);
}

/* PEER ADDRESS -> ADDRESS "payload" */
static void do_peer(struct script *s, const struct word *w, size_t count)
{
  struct addr peer, relayed;
  uint8_t payload[SCRIPT_MESSAGE];
  size_t len;
  if (count != 4 || !word_is(&w[1], "->") || !script_payload(s, &w[3], payload, &len))
    script_fail(s, "PEER ADDRESS -> ADDRESS \"payload\"");
  if (script_addr(s, w[0].at, &peer) && script_addr(s, w[2].at, &relayed))
    world_peer_input(&s->world, &relayed, &peer, payload, len);
}

/* ROUTER ADDRESS -> ADDRESS type=N code=N [mtu=N]: about a datagram from the second to the first.
 */
static void do_router(struct script *s, const struct word *w, size_t count)
{
  struct turn_icmp e = {0};
  struct addr relayed;
  if (count < 4 || !word_is(&w[1], "->"))
    script_fail(s, "ROUTER PEER -> RELAYED type=N code=N [mtu=N]");
  script_addr(s, w[0].at, &e.peer);
  for (size_t i = 3; i < count; i++) {
    const char *value;
    if ((value = word_value(&w[i], "type")) != NULL)
      e.type = (uint8_t)script_uint(s, value);
    else if ((value = word_value(&w[i], "code")) != NULL)
      e.code = (uint8_t)script_uint(s, value);
    else if ((value = word_value(&w[i], "mtu")) != NULL)
      e.mtu = (uint32_t)script_uint(s, value);
    else
      script_fail(s, "unknown word '%s'", w[i].at);
  }
  if (script_addr(s, w[2].at, &relayed))
    world_icmp_input(&s->world, &relayed, &e);
}

static void do_gone(struct script *s, const struct word *w, size_t count)
{
  if (count != 1)
    script_fail(s, "GONE CLIENT");
  world_client_gone(&s->world, &script_actor(s, &w[0])->client.flow);
}

static void do_drain(struct script *s, const struct word *w, size_t count)
{
  (void)w;
  if (count != 0)
    script_fail(s, "DRAIN stands alone");
  turn_drain(s->world.turn);
}

static const struct counter {
  const char *name;
  size_t offset;
} counters[] = {
#define COUNTER(name, field)                                                                       \
  {                                                                                                \
    name, offsetof(struct turn_counters, field)                                                    \
  }
    COUNTER("allocations", allocations),
    COUNTER("created", allocations_created),
    COUNTER("deleted", allocations_deleted),
    COUNTER("expired", allocations_expired),
    COUNTER("refused", allocations_refused),
    COUNTER("moved", allocations_moved),
    COUNTER("over-limit", dropped_over_limit),
    COUNTER("over-limit-from-client", over_limit_from_client_bytes),
    COUNTER("over-limit-from-peer", over_limit_from_peer_bytes),
    COUNTER("reserved-bps", reserved_bps),
    COUNTER("refused-quota", refused_quota),
    COUNTER("refused-capacity", refused_capacity),
    COUNTER("no-client", dropped_no_client),
    COUNTER("inside", relayed_inside),
    COUNTER("from-client-packets", from_client_packets),
    COUNTER("from-client-bytes", from_client_bytes),
    COUNTER("from-peer-packets", from_peer_packets),
    COUNTER("from-peer-bytes", from_peer_bytes),
    COUNTER("no-permission", dropped_no_permission),
    COUNTER("no-channel", dropped_no_channel),
    COUNTER("no-allocation", dropped_no_allocation),
    COUNTER("malformed", dropped_malformed),
    COUNTER("redirected", redirected),
    COUNTER("not-served", not_served),
    COUNTER("icmp-reported", icmp_reported),
    COUNTER("icmp-dropped", icmp_dropped),
    COUNTER("unauthorized", unauthorized),
    COUNTER("unanswered", unauthorized_unanswered),
    COUNTER("stale-nonce", stale_nonce),
    COUNTER("peer-denied", peer_denied),
    COUNTER("bindings", bindings),
    COUNTER("connections", connections),
    COUNTER("connections-made", connections_made),
    COUNTER("connections-failed", connections_failed),
    COUNTER("connections-accepted", connections_accepted),
    COUNTER("connections-refused", connections_refused),
    COUNTER("connections-joined", connections_joined),
    COUNTER("connections-unbound", connections_unbound),
#undef COUNTER
};

static uint64_t count_of(const struct script *s, const char *name, size_t len)
{
  if (len == 6 && memcmp(name, "relays", len) == 0)
    return s->world.relay_open;
  if (len == 5 && memcmp(name, "asked", len) == 0)
    return s->world.asked;
  if (len == 7 && memcmp(name, "carried", len) == 0)
    return world_fast_live(&s->world);
  if (len == 4 && memcmp(name, "held", len) == 0)
    return s->world.hold_count;
  for (size_t i = 0; i < sizeof(counters) / sizeof(counters[0]); i++)
    if (strlen(counters[i].name) == len && memcmp(counters[i].name, name, len) == 0) {
      uint64_t n;
      memcpy(&n, (const char *)turn_counters(s->world.turn) + counters[i].offset, sizeof(n));
      return n;
    }
  script_fail(s, "unknown count '%s'", name);
}

/* COUNT name=value ...; `relays` are the open relay sockets, `asked` the questions for users,
 * `carried` the channels that the edge may carry without the core, `held` the connections that
 * allocations live off. */
static void do_count(struct script *s, const struct word *w, size_t count)
{
  for (size_t i = 0; i < count; i++) {
    const char *equals = strchr(w[i].at, '=');
    if (!equals)
      script_fail(s, "COUNT name=value");
    const uint64_t got = count_of(s, w[i].at, (size_t)(equals - w[i].at));
    if (got != script_uint(s, equals + 1) && !s->lenient)
      script_fail(s, "%s: %llu", w[i].at, (unsigned long long)got);
  }
}

static const struct statement {
  const char *name;
  void (*run)(struct script *s, const struct word *w, size_t count);
  bool starts; /* the relay has to run */
  bool event;  /* what came out before has to be expected by now */
} statements[] = {
    {"QUOTE", do_quote, false, false},
    {"CITE", do_quote, false, false},
    {"ONLY", script_only, false, false},
    {"CONFIG", script_config, false, true},
    {"CLIENT", do_client, false, false},
    {"LOGIN", do_login, false, false},
    {"SEND", script_send, true, true},
    {"PEER", do_peer, true, true},
    {"INSIDE", script_inside, true, true},
    {"GONE", do_gone, true, true},
    {"ELAPSE", do_elapse, true, true},
    {"AT", do_at, true, true},
    {"EXPECT", script_expect, true, false},
    {"COUNT", do_count, true, true},
    {"ANSWER", script_answer, true, true},
    {"ROUTER", do_router, true, true},
    {"ATTEMPT", script_attempt, true, true},
    {"CONNECTED", script_connected, true, true},
    {"UNREACHABLE", script_unreachable, true, true},
    {"HANGUP", script_hangup, true, true},
    {"DRAIN", do_drain, true, true},
};

static const struct statement *statement(const struct word *w)
{
  for (size_t i = 0; i < sizeof(statements) / sizeof(statements[0]); i++)
    if (word_is(w, statements[i].name))
      return &statements[i];
  return NULL;
}

/* Several statements may stand on one line; each begins with its word. */
static void run_line(struct script *s, char *line)
{
  struct word words[SCRIPT_WORDS];
  const size_t count = split(s, line, words);
  for (size_t at = 0, end; at < count; at = end) {
    const struct statement *st = statement(&words[at]);
    if (!st)
      script_fail(s, "unknown word '%s'", words[at].at);
    for (end = at + 1; end < count && !statement(&words[end]);)
      end++;
    if (st->starts)
      start(s);
    if (!s->world.turn && st->starts)
      return; /* a lenient run whose relay found no memory */
    if (st->event && s->started)
      script_expect_nothing(s);
    st->run(s, words + at + 1, end - at - 1);
  }
}

static void run_file(struct script *s, FILE *f)
{
  char line[SCRIPT_LINE];
  rewind(f);
  while (fgets(line, sizeof(line), f)) {
    s->line++;
    char *end = strchr(line, '\n');
    if (!end)
      script_fail(s, "a line without its end, or longer than %d bytes", SCRIPT_LINE);
    *end = 0;
    run_line(s, line);
  }
  script_expect_nothing(s);
  if (!s->quoted)
    script_fail(s, "no QUOTE, no CITE: which sentence does this check?");
  const bool events = s->started;
  if (s->world.turn && !world_stop(&s->world))
    script_fail(s, "%zu blocks (%zu bytes) and %zu relay sockets were never given back",
                s->world.mem.blocks, s->world.mem.bytes, s->world.relay_open);
  if (!events)
    script_fail(s, "nothing happens in this scenario");
}

static void run_once(struct script *s, const char *path, FILE *f, const struct variant *v,
                     size_t fail_at)
{
  memset(s, 0, sizeof(*s));
  s->path = path;
  s->variant = v;
  s->lenient = fail_at > 0;
  world_init(&s->world);
  failing_mem_fail_at(&s->world.mem, fail_at);
  run_file(s, f);
}

/* With every allocation failing in turn, until a run needs none more; false: too many. */
static bool run_failing(struct script *s, const char *path, FILE *f, const struct variant *v,
                        size_t *runs)
{
  size_t n = 0;
  do
    run_once(s, path, f, v, ++n);
  while (failing_mem_has_failed(&s->world.mem) && n < FAILING_RUNS_MAX);
  *runs += n - 1;
  return n < FAILING_RUNS_MAX;
}

static int run(const char *path)
{
  static struct script s;
  size_t count, ways = 0, failing = 0;
  const struct variant *v = script_variants(&count);
  FILE *f = fopen(path, "r");
  bool fits = f != NULL;
  if (!f)
    fprintf(stderr, "%s: cannot be read\n", path);
  for (size_t i = 0; fits && i < count; i++) {
    if (i > 0 && script_excludes(&s, &v[i]))
      continue;
    run_once(&s, path, f, &v[i], 0);
    ways++;
    if (i == 0 || i == count - 1)
      fits = run_failing(&s, path, f, &v[i], &failing);
  }
  if (f)
    fclose(f);
  if (fits)
    printf("%s: passes in %zu ways, and stands %zu failing allocations\n", path, ways, failing);
  return !fits;
}

int main(int argc, char **argv)
{
  if (argc != 2) {
    fprintf(stderr, "usage: turn_runner FILE.scn\n");
    return 2;
  }
  return run(argv[1]);
}
