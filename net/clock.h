/* The two clocks. Loops read them once for each batch and hand the value down. */
#ifndef VIADUCT_NET_CLOCK_H
#define VIADUCT_NET_CLOCK_H

#include <stdint.h>

/* Monotonic milliseconds since some moment in the past; never jumps. */
uint64_t net_clock_ms(void);
/* The same clock in microseconds. */
uint64_t net_clock_us(void);
/* Milliseconds since 1970, as the machine believes. */
uint64_t net_clock_wall_ms(void);

#endif
