/* One way to a server, tried to its end: a thread's work. */
#ifndef VIADUCT_PEER_DEMO_DOCTOR_PROBE_H
#define VIADUCT_PEER_DEMO_DOCTOR_PROBE_H

#include "peer-demo/doctor/core/doctor.h"

struct probe_setup {
  const char *username, *password; /* empty: none */
  const char *ca;                  /* PEM; NULL: the system's */
};

/* `p` has its URI and its family, and gets the rest. At most about 12 s. */
void probe_run(const struct probe_setup *setup, struct doctor_probe *p);

#endif
