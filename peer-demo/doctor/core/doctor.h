/* The doctor's mind: from what was seen on each way to a server to what is wrong and what mends it.
 * Pure; the probes (doctor/) fill in the facts. */
#ifndef VIADUCT_PEER_DEMO_DOCTOR_CORE_DOCTOR_H
#define VIADUCT_PEER_DEMO_DOCTOR_CORE_DOCTOR_H

#include "base/addr.h"
#include "peer-demo/core/behaviour.h"
#include "peer-demo/core/uri.h"

enum {
  DOCTOR_PROBES = 32,
  DOCTOR_FINDINGS = 2 * DOCTOR_PROBES + 4,
  DOCTOR_SAID_SIZE = 160,
  DOCTOR_SOON_S = 14 * 24 * 3600 /* a certificate that expires sooner is told of */
};

/* The steps of one way, in their order. */
enum doctor_step {
  DOCTOR_RESOLVE,
  DOCTOR_CONNECT,  /* of a stream: TCP; of UDP nothing */
  DOCTOR_SECURE,   /* TLS or DTLS */
  DOCTOR_BIND,     /* Binding */
  DOCTOR_ALLOCATE, /* with credentials */
  DOCTOR_PERMIT,   /* a permission for this machine's public address */
  DOCTOR_ECHO,     /* through the relay and back */
  DOCTOR_DONE,
  DOCTOR_STEP_COUNT = DOCTOR_DONE
};

/* Why a way ended at a step. */
enum doctor_fault {
  DOCTOR_NO_FAULT,
  DOCTOR_NO_ADDRESS,  /* of DOCTOR_RESOLVE */
  DOCTOR_UNREACHABLE, /* no route */
  DOCTOR_REFUSED,     /* RST, or ICMP's port unreachable */
  DOCTOR_TIMEOUT,
  DOCTOR_BROKEN, /* closed by the other side, or what came is no STUN, no TLS */
  DOCTOR_ERROR   /* a STUN error response: `code` */
};

struct doctor_certificate {
  bool seen, trusted, named; /* `named`: it is for the host of the URI */
  int64_t left_s;            /* until it expires; less than 0: it has */
};

struct doctor_probe {
  struct uri uri;
  uint8_t family;                      /* enum addr_family */
  struct addr server, mapped, relayed; /* ADDR_NONE: not known */
  enum doctor_step step; /* the one that it did not get beyond; DOCTOR_DONE: all is well */
  enum doctor_fault fault;
  int code;
  char said[DOCTOR_SAID_SIZE]; /* what the library or the server said; may be empty */
  struct doctor_certificate certificate;
  bool outside_tried, outside_came; /* a datagram from this machine to the relayed address */
  unsigned sent, received;          /* echoes */
  uint32_t rtt_us, jitter_us, took_ms;
};

struct doctor_facts {
  struct doctor_probe probe[DOCTOR_PROBES];
  size_t count;
  bool has_secret;    /* the credentials were made here */
  uint64_t expires_s; /* of the credentials, by their name; 0: they do not tell */
  uint64_t now_s;     /* this machine's clock */
  uint64_t server_s;  /* the server's, at the same time; 0: not known */
};

enum doctor_cause {
#define CAUSE(NAME, name, severity, what, mend) DOCTOR_CAUSE_##NAME,
#include "peer-demo/doctor/core/cause.def"
#undef CAUSE
  DOCTOR_CAUSE_COUNT
};

enum doctor_severity { DOCTOR_NOTE, DOCTOR_BAD };

struct doctor_row {
  const char *name; /* "wrong-secret": does not change, for machines */
  enum doctor_severity severity;
  const char *what, *mend;
};

struct doctor_finding {
  enum doctor_cause cause;
  int probe; /* its index; -1: of all */
};

struct doctor_verdict {
  bool works;     /* at least one way relays */
  bool works_udp; /* and one of them over UDP or DTLS */
  struct doctor_finding finding[DOCTOR_FINDINGS];
  size_t count;
};

void doctor_judge(const struct doctor_facts *facts, struct doctor_verdict *out);
const struct doctor_row *doctor_row(enum doctor_cause cause);
/* "resolve", "connect", ...; "done". */
const char *doctor_step_name(enum doctor_step step);

/* The expiry in a time-limited name ("1700000000:alice"); 0: there is none. */
uint64_t doctor_expiry(struct bytes username);

#endif
