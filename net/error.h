/* One line for people about what the operating system refused: what was wanted, why not, and the
 * mend. Filled by everything in net/ that opens something; printed by a daemon's main. */
#ifndef VIADUCT_NET_ERROR_H
#define VIADUCT_NET_ERROR_H

enum { NET_ERROR_SIZE = 512 };

struct net_error {
  char text[NET_ERROR_SIZE]; /* NUL-terminated; cut when too long */
};

/* printf's format. `e` may be NULL. */
void net_error_set(struct net_error *e, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

/* errno as one of base/err.def, negative: what every function of net/ returns. */
int net_error_from_errno(int error_number);

#endif
