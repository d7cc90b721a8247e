/* What a process has used: the server's, by its id. */
#ifndef VIADUCT_BENCH_LOAD_PROC_H
#define VIADUCT_BENCH_LOAD_PROC_H

#include <stdint.h>

/* Time on a CPU of all its threads that live, nanoseconds; 0 when there is no such process. */
uint64_t load_proc_cpu_ns(int pid);
/* Resident memory, bytes; 0 when there is no such process. */
uint64_t load_proc_resident(int pid);
uint64_t load_now_ns(void); /* monotonic */

#endif
