/* The heap as base/mem wants it. */
#ifndef VIADUCT_NET_MEM_H
#define VIADUCT_NET_MEM_H

#include "base/mem.h"

/* Over malloc; safe in several threads. */
struct mem net_mem(void);

#endif
