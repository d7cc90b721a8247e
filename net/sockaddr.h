/* struct addr to the kernel's form and back, and what every socket of the project needs. */
#ifndef VIADUCT_NET_SOCKADDR_H
#define VIADUCT_NET_SOCKADDR_H

#include <sys/socket.h>

#include "base/addr.h"
#include "net/error.h"

/* The length for the kernel; 0 for ADDR_NONE. */
socklen_t net_sockaddr_put(struct sockaddr_storage *out, const struct addr *a);
/* ADDR_NONE for a family that is neither IPv4 nor IPv6. An IPv4-mapped address becomes IPv4. */
struct addr net_sockaddr_get(const struct sockaddr_storage *s);
/* The address that a socket is bound to, with the port that the kernel chose; ADDR_NONE if it
 * fails. */
struct addr net_sockaddr_local(int fd);

/* The local address (port 0) that packets to `to` would leave from; ADDR_NONE without a route.
 * Nothing is sent. */
struct addr net_sockaddr_toward(const struct addr *to);

struct net_bind {
  int type; /* SOCK_DGRAM or SOCK_STREAM */
  const struct addr *at;
  bool reuse_port;     /* several workers listen at one port */
  bool beside;         /* at the port of a socket that allows it (SO_REUSEADDR) for the moment */
  int below;           /* a descriptor from this number on is none to be had; 0: any will do */
  const char *program; /* for the sentence: "viaduct-turnd"; may be NULL */
  const char *mend;    /* how to choose another port: "listening-port"; may be NULL */
};

/* A non-blocking, close-on-exec socket bound to `at`; IPv6 sockets take IPv6 only. Returns the
 * descriptor, or -ERR_BUSY (taken), -ERR_DENIED, -ERR_UNREACHABLE (no such address here),
 * -ERR_DESCRIPTORS, -ERR_IO, with a sentence that names transport, address, port, program and,
 * where /proc tells, the process that holds it. `e` may be NULL: then nobody is looked for. */
int net_bind(const struct net_bind *b, struct net_error *e);
/* Whether the next descriptor would have the number `below` (0: none has) or a higher one; `like`
 * is any that is open. */
bool net_descriptors_are_short(int like, int below);
/* The sentence alone, for an errno that listen or another step behind bind gave. */
void net_bind_explain(const struct net_bind *b, int error_number, struct net_error *e);

#endif
