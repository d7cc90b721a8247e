/* See tx.h. */
#include "bench/floor/tx.h"

#include <errno.h>
#include <net/if.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include "bench_tx.skel.h"

static struct bench_tx *program;

static bool attach(unsigned interface, uint16_t front)
{
  program = interface != 0 ? bench_tx__open() : NULL;
  if (program == NULL)
    return false;
  program->rodata->front = front;
  if (bench_tx__load(program) != 0)
    return false;
  const struct bpf_program *p = front != 0 ? program->progs.bench_tx : program->progs.bench_pass;
  program->links.bench_tx = bpf_program__attach_xdp(p, (int)interface);
  return program->links.bench_tx != NULL;
}

const char *floor_tx_open(const char *interface, uint16_t front)
{
  static char why[160];
  libbpf_set_print(NULL);
  if (attach(if_nametoindex(interface), front))
    return NULL;
  const int error_number = errno;
  snprintf(why, sizeof(why), "the bare XDP program cannot be attached to %.16s: %s", interface,
           strerror(error_number));
  return why;
}

static void put(const struct bpf_map *map, uint32_t port, struct tx_way way)
{
  if (program != NULL)
    (void)bpf_map__update_elem(map, &port, sizeof(port), &way, sizeof(way), BPF_ANY);
}

void floor_tx_put(uint16_t client, uint16_t relayed, uint16_t peer, uint16_t channel)
{
  if (program == NULL)
    return;
  put(program->maps.up, client, (struct tx_way){.from = relayed, .to = peer});
  const struct tx_way down = {program->rodata->front, client, channel};
  put(program->maps.down, relayed, down);
}
