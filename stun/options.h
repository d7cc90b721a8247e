/* The options of viaduct-stund, as they are written and as the workers want them. Called by
 * main.c. */
#ifndef VIADUCT_STUN_OPTIONS_H
#define VIADUCT_STUN_OPTIONS_H

#include "base/option.h"
#include "net/error.h"
#include "net/privileges.h"
#include "stun/core/respond.h"

/* One field for each row of config.def. */
struct stund_options {
#define FLAG(field, ...) bool field;
#define UINT(field, ...) uint64_t field;
#define TEXT(field, ...) char *field;
#define LIST(field, ...) struct option_list field;
#include "stun/config.def"
#undef FLAG
#undef UINT
#undef TEXT
#undef LIST
};

enum {
  STUND_LISTEN_MAX = 16,
  STUND_QUAD_MAX = 2,                                      /* IPv4 and IPv6 */
  STUND_SOCKET_MAX = STUND_LISTEN_MAX + 2 * STUND_QUAD_MAX /* each quad listens at a second port */
};

/* What main.c and the workers read: immutable once it is made. */
struct stund_config {
  struct addr listen[STUND_LISTEN_MAX]; /* with the port */
  size_t listen_count;
  bool listen_default; /* nobody asked for these: a family that this machine lacks is left out */
  bool udp, tcp;
  /* RFC 5780: the first two addresses of a family, with both ports. With listening-port 0 the ports
   * are chosen by the server: port[0] is 0, and port[1] too unless alt-listening-port gives it. */
  struct stun_quad quad[STUND_QUAD_MAX];
  size_t quad_count;
  const char *no_quad; /* why there is none: what the start says; NULL: there is one */
  struct stun_respond_config respond;
  uint32_t workers;
  uint32_t max_connections; /* of all workers */
  uint32_t idle_ms;
  struct addr metrics; /* ADDR_NONE: off */
  bool json_log, verbose;
  struct net_privileges privileges;
};

/* From the file that --config names, then from the arguments. -ERR_BAD and the like, and then `e`
 * is one line that names the place and the mend. `o` is freed by stund_options_fini in any case. */
int stund_options_read(struct stund_options *o, struct mem *mem, int argc, char *const *argv,
                       struct option_error *e);
void stund_options_fini(struct stund_options *o, struct mem *mem);

/* What --help, --version, --example-config and --man print: as net_options_print. */
int stund_options_print(const struct stund_options *o);
/* What --check-config prints: as net_check_asked. */
int stund_options_check(int argc, char *const *argv);

/* -ERR_BAD for options that do not go together. */
int stund_config_make(const struct stund_options *o, struct stund_config *out, struct net_error *e);

#endif
