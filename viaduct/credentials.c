/* `viaduct credentials`: time-limited TURN credentials from the shared secret, as signald makes
 * them (draft-uberti-behave-turn-rest). */
#include <stdio.h>
#include <string.h>

#include "base/digest.h"
#include "base/err.h"
#include "base/json.h"
#include "net/clock.h"
#include "net/mem.h"
#include "net/options.h"
#include "viaduct/command.h"
#include "viaduct/state.h"

enum { EXIT_USAGE = 2, NAME_MAX_LEN = 256, USERNAME_SIZE = 20 + 1 + NAME_MAX_LEN + 1 };

struct credentials_options {
  char *secret_file, *state_dir, *name;
  uint64_t ttl;
  bool json, help, man;
};

#define AT(field) offsetof(struct credentials_options, field)

/* RFC 8489 section 14.3: a username is UTF-8 of at most 508 bytes; it stands in logs and in JSON.
 */
static const char *check_name(struct bytes value)
{
  for (size_t i = 0; i < value.len; i++)
    if (value.at[i] < 0x20 || value.at[i] == 0x7f)
      return "must be a name without control characters";
  return value.len <= NAME_MAX_LEN && utf8_is_valid(value) ? NULL
                                                           : "must be UTF-8 of at most 256 bytes";
}

static const struct option rows[] = {
    {.name = "secret-file",
     .kind = OPTION_TEXT,
     .offset = AT(secret_file),
     .metavar = "FILE",
     .help = "The shared secret: a file with one line. Without it: the one of 'viaduct up'."},
    {.name = "state-dir",
     .kind = OPTION_TEXT,
     .offset = AT(state_dir),
     .metavar = "DIR",
     .help = "The state folder of 'viaduct up', as there."},
    {.name = "name",
     .kind = OPTION_TEXT,
     .offset = AT(name),
     .metavar = "NAME",
     .fallback = "user",
     .check = check_name,
     .help = "For whom; it stands in the username behind the expiry."},
    {.name = "ttl",
     .kind = OPTION_UINT,
     .offset = AT(ttl),
     .min = 1,
     .max = 31536000,
     .fallback = "86400",
     .metavar = "SECONDS",
     .help = "How long they are good."},
    {.name = "json",
     .kind = OPTION_FLAG,
     .offset = AT(json),
     .help = "As a JSON object: username, password, ttl."},
    {.name = "help", .letter = 'h', .kind = OPTION_FLAG, .offset = AT(help), .help = "Print this."},
    {.name = "man",
     .kind = OPTION_FLAG,
     .offset = AT(man),
     .help = "Print the manual page (roff)."},
};

static const struct option_set set = {
    .program = "viaduct credentials",
    .summary = "time-limited TURN credentials from the shared secret",
    .row = rows,
    .count = sizeof(rows) / sizeof(rows[0]),
};

static int read_secret(const struct credentials_options *o, char secret[STATE_SECRET_SIZE],
                       struct net_error *e)
{
  char dir[STATE_PATH_SIZE], path[STATE_PATH_SIZE + 8];
  if (o->secret_file != NULL)
    return state_read_secret(o->secret_file, secret, e);
  if (o->state_dir == NULL) {
    int r = state_default_dir(dir, e);
    if (r != 0)
      return r;
  }
  snprintf(path, sizeof(path), "%s/secret", o->state_dir != NULL ? o->state_dir : dir);
  int r = state_read_secret(path, secret, e);
  if (r == -ERR_MISSING)
    net_error_set(e, "there is no %s; start 'viaduct up' once, or name a file with --secret-file",
                  path);
  return r;
}

/* Username: expiry as seconds since 1970, a colon, the name. Password: base64(HMAC-SHA1(secret,
 * username)). */
static void print_credentials(const struct credentials_options *o, const char *secret)
{
  char username[USERNAME_SIZE], output[4 * USERNAME_SIZE + 256], password[32];
  uint8_t mac[SHA1_SIZE];
  struct buf b;
  snprintf(username, sizeof(username), "%llu:%s",
           (unsigned long long)(net_clock_wall_ms() / 1000 + o->ttl), o->name);
  const struct bytes piece = bytes_of(username);
  hmac_sha1(bytes_of(secret), &piece, 1, mac);
  buf_init(&b, password, sizeof(password));
  buf_put_base64(&b, mac, sizeof(mac));
  const struct bytes password_text = {b.at, b.len};
  buf_init(&b, output, sizeof(output));
  if (o->json) {
    buf_put_text(&b, "{\"username\":");
    json_put_string(&b, piece);
    buf_put_text(&b, ",\"password\":");
    json_put_string(&b, password_text);
    buf_put_text(&b, ",\"ttl\":");
    buf_put_uint(&b, o->ttl);
    buf_put_text(&b, "}\n");
  } else {
    buf_put_text(&b, "username=");
    buf_put_text(&b, username);
    buf_put_text(&b, "\npassword=");
    buf_put(&b, password_text.at, password_text.len);
    buf_put_text(&b, "\nttl=");
    buf_put_uint(&b, o->ttl);
    buf_put_byte(&b, '\n');
  }
  fwrite(b.at, 1, b.len, stdout);
}

static int run(const struct credentials_options *o)
{
  char secret[STATE_SECRET_SIZE];
  struct net_error e = {{0}};
  if (o->secret_file != NULL && o->state_dir != NULL)
    return command_fail(&set, EXIT_USAGE,
                        "--secret-file and --state-dir both name the secret; "
                        "leave one out");
  if (read_secret(o, secret, &e) != 0)
    return command_fail(&set, EXIT_USAGE, e.text);
  print_credentials(o, secret);
  bytes_wipe(secret, sizeof(secret));
  return fflush(stdout) == 0 ? 0 : 1;
}

int credentials_main(int argc, char **argv)
{
  struct mem mem = net_mem();
  struct option_parser parser;
  struct credentials_options options;
  int status = option_begin(&parser, &set, &mem, &options, sizeof(options));
  if (status == 0)
    status = option_parse_args(&parser, argc, argv);
  if (status != 0) {
    status = command_fail(&set, EXIT_USAGE, parser.error.text);
  } else {
    const struct net_options_asked asked = {.help = options.help, .man = options.man};
    int printed = net_options_print(&set, &asked);
    status = printed == -ERR_MISSING ? run(&options) : printed != 0;
  }
  option_fini(&set, &mem, &options);
  return status;
}
