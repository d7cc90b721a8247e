/* Links, addresses and routes: what `ip -batch` reads. Every link is made from the side that is
 * nearer to the public one, with its far end in the other namespace from the start, so that nothing
 * ever stands in the namespace of whoever runs the laboratory. */
#include <stdarg.h>
#include <stdio.h>

#include "peer-demo/lab/core/private.h"

enum { LINE_SIZE = 256 };

void lab__put(struct buf *out, const char *format, ...)
{
  char line[LINE_SIZE];
  va_list args;
  va_start(args, format);
  int len = vsnprintf(line, sizeof line, format, args);
  va_end(args);
  if (len < 0 || len >= LINE_SIZE)
    out->overflow = true;
  else
    buf_put(out, line, (size_t)len);
}

bool lab__has_v4(const struct lab_site *site)
{
  return site->families != LAB_V6;
}

bool lab__has_v6(const struct lab_site *site)
{
  return site->families != LAB_V4;
}

/* Both ends of a cable at once: `near` here, `far` in the namespace of that part. */
static void put_cable(struct buf *out, const char *near, const char *far, const char *prefix,
                      const char *namespace)
{
  lab__put(out, "link add name %s type veth peer name %s netns %s%s\nlink set dev %s up\n", near,
           far, prefix, namespace, near);
}

static void put_host(const struct lab_site *site, size_t n, struct buf *out)
{
  lab__put(out, "link set lo up\nlink set eth0 up\n");
  if (lab__has_v4(site)) {
    const char *net = site->nat == LAB_NONE ? "198.19" : "192.168";
    lab__put(out, "addr add %s.%zu.2/24 dev eth0\nroute add default via %s.%zu.1\n", net, n, net,
             n);
  }
  if (lab__has_v6(site))
    lab__put(out, "addr add 2001:2:%zx::2/64 dev eth0 nodad\nroute add ::/0 via 2001:2:%zx::1\n", n,
             n);
}

static void put_router(const struct lab_site *site, size_t n, const char *prefix, struct buf *out)
{
  char host[LAB_WORD_SIZE];
  lab__put(out, "link set lo up\nlink set wan up\n");
  put_cable(out, "lan", "eth0", prefix, lab_part_name(n - 1, LAB_HOST, host));
  if (lab__has_v4(site)) {
    if (site->carrier)
      lab__put(out, "addr add 100.64.%zu.2/24 dev wan\nroute add default via 100.64.%zu.1\n", n, n);
    else
      lab__put(out, "addr add 198.18.%zu.1/16 dev wan\nroute add default via 198.18.0.10\n", n);
    lab__put(out, "addr add %s.%zu.1/24 dev lan\n", site->nat == LAB_NONE ? "198.19" : "192.168",
             n);
  }
  if (lab__has_v6(site))
    lab__put(out,
             "addr add 2001:2::%zx:1/48 dev wan nodad\naddr add 2001:2:%zx::1/64 dev lan nodad\n"
             "route add ::/0 via 2001:2::10\n",
             n, n);
}

static void put_carrier(size_t n, const char *prefix, struct buf *out)
{
  char router[LAB_WORD_SIZE];
  lab__put(out, "link set lo up\nlink set wan up\n");
  put_cable(out, "lan", "wan", prefix, lab_part_name(n - 1, LAB_ROUTER, router));
  lab__put(out,
           "addr add 198.18.%zu.1/16 dev wan\naddr add 100.64.%zu.1/24 dev lan\n"
           "route add default via 198.18.0.10\n",
           n, n);
}

void lab__put_links(const struct lab_site *site, size_t index, enum lab_part part,
                    const char *prefix, struct buf *out)
{
  switch (part) {
  case LAB_ROUTER:
    put_router(site, index + 1, prefix, out);
    break;
  case LAB_CARRIER:
    put_carrier(index + 1, prefix, out);
    break;
  case LAB_HOST:
  case LAB_PART_COUNT:
    put_host(site, index + 1, out);
    break;
  }
}

void lab_put_public(const struct lab_site *site, size_t count, const char *prefix,
                    struct lab_text *out)
{
  lab__put(&out->ip,
           "link set lo up\nlink add br0 type bridge\nlink set br0 up\n"
           "addr add 198.18.0.10/16 dev br0\naddr add 198.18.0.11/16 dev br0\n"
           "addr add 2001:2::10/48 dev br0 nodad\naddr add 2001:2::11/48 dev br0 nodad\n");
  for (size_t i = 0; i < count; i++) {
    char near[LAB_WORD_SIZE], far[LAB_WORD_SIZE];
    lab_part_name(i, LAB_HOST, near);
    lab_part_name(i, site[i].carrier ? LAB_CARRIER : LAB_ROUTER, far);
    put_cable(&out->ip, near, "wan", prefix, far);
    lab__put(&out->ip, "link set dev %s master br0\n", near);
    if (site[i].nat == LAB_NONE && lab__has_v4(&site[i]))
      lab__put(&out->ip, "route add 198.19.%zu.0/24 via 198.18.%zu.1\n", i + 1, i + 1);
    if (lab__has_v6(&site[i]))
      lab__put(&out->ip, "route add 2001:2:%zx::/48 via 2001:2::%zx:1\n", i + 1, i + 1);
  }
  lab__put(&out->sysctl, "net/ipv4/ip_forward=1\nnet/ipv6/conf/all/forwarding=1\n");
}
