/* Every vector through the program and the core: the verdict, the reason that is counted, what the
 * core did, and that they agree. Then each that the program carries, cut short at every byte, and
 * with a checksum that comes out as zero. */
#include <dirent.h>
#include <linux/bpf.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "tests/xdp/net.h"
#include "tests/xdp/script.h"
#include "turn/core/internal.h"

static struct rig rig;
static struct script_vector vector;
static unsigned vectors, frames, zero_sums, buckets, faults;

static void fault(const char *path, const char *what)
{
  fprintf(stderr, "%s:%d: %s: %s\n", path, vector.line, vector.name, what);
  faults++;
}

/* Both buckets full to the brim, for longer than the test takes; or empty. */
static void set_limits(bool full)
{
  for (size_t i = 0; rig_allocations[i].name; i++)
    for (int way = 0; way < 2; way++) {
      const uint64_t paid_ns = full ? UINT64_MAX / 4 : 0;
      rig.limit[i].paid_ns[way] = paid_ns;
      if (!rig_allocations[i].over)
        rig.allocation[i]->paid_ns[way] = paid_ns;
    }
}

static bool core_did(enum script_core wanted)
{
  const struct world *w = &rig.world;
  if (wanted == CORE_NOTHING || wanted == CORE_UNSEEN)
    return w->output_count == 0;
  static const enum world_kind kinds[] = {WORLD_TO_PEER, WORLD_TO_CLIENT, WORLD_REPLY};
  return w->output_count == 1 && w->output[0].kind == kinds[wanted];
}

static void check_truncated(const char *path, const struct frame *whole)
{
  struct rig_run run;
  for (size_t len = FRAME_ETHERNET; len < whole->len - vector.plan.trailer; len++) {
    frames++;
    const char *bad = rig_both(&rig, whole->at, len, &run);
    if (bad || run.verdict != XDP_PASS) {
      fault(path, bad ? bad : "carried, though it is cut short");
      return;
    }
  }
}

/* "If the computed checksum is zero, it is transmitted as all ones" (RFC 768): a word of the
 * payload is chosen so that the answer's is. */
static void check_zero_sum(const char *path, const struct rig_run *run)
{
  const size_t at = vector.core == CORE_CLIENT && !rig_is_listener(&vector.plan.to) ? 0 : 4;
  const size_t udp = FRAME_ETHERNET + (vector.plan.from.family == ADDR_V4 ? 20U : 40U);
  struct frame frame;
  struct rig_run again;
  if (vector.plan.checksum != CHECKSUM_RIGHT || vector.core == CORE_REPLY ||
      vector.plan.len < at + 4 || (at == 4 && load_be16(vector.payload + 2) < 2))
    return;
  uint32_t word = load_be16(vector.payload + at);
  word += load_be16(run->out.at + udp + 6);
  store_be16(vector.payload + at, (uint16_t)(word + (word >> 16)));
  frames++;
  zero_sums++;
  frame_make(&vector.plan, &frame);
  const char *bad = rig_both(&rig, frame.at, frame.len, &again);
  if (bad || load_be16(again.out.at + udp + 6) != 0xFFFF)
    fault(path, bad ? bad : "a checksum of zero is not all ones");
}

static uint64_t clock_ns(void)
{
  struct timespec now;
  clock_gettime(CLOCK_MONOTONIC, &now);
  return (uint64_t)now.tv_sec * 1000000000 + (uint64_t)now.tv_nsec;
}

/* A bucket that is half full grows by the same to the nanosecond, whatever the time is meanwhile:
 * as long as the half second has not gone by, which the vector's two sides take no part of. */
static void check_bucket(const char *path, int way)
{
  struct frame frame;
  struct rig_run run;
  const uint64_t half_ns = clock_ns() + 500000000;
  frame_make(&vector.plan, &frame);
  rig.world.now_ms = clock_ns() / 1000000;
  for (size_t i = 0; rig_allocations[i].name; i++)
    if (!rig_allocations[i].over)
      rig.limit[i].paid_ns[way] = rig.allocation[i]->paid_ns[way] = half_ns;
  const char *bad = rig_both(&rig, frame.at, frame.len, &run);
  size_t charged = 0;
  for (size_t i = 0; rig_allocations[i].name; i++) {
    if (rig_allocations[i].over || rig.allocation[i]->paid_ns[way] == half_ns)
      continue;
    charged++;
    if (rig.limit[i].paid_ns[way] != rig.allocation[i]->paid_ns[way])
      bad = "other arithmetic than the core's";
  }
  if (clock_ns() < half_ns && (bad || !charged))
    fault(path, bad ? bad : "nothing is charged");
  buckets++;
}

static void check(const char *path)
{
  struct frame frame;
  struct rig_run run;
  uint64_t stats[XDP_STAT_COUNT];
  vectors++;
  frames++;
  frame_make(&vector.plan, &frame);
  set_limits(vector.limit_full);
  for (int i = 0; i < XDP_STAT_COUNT; i++)
    stats[i] = rig_stat(&rig, (enum xdp_stat)i);
  world_clear(&rig.world);
  const char *bad = rig_both(&rig, frame.at, frame.len, &run);
  if (bad)
    fault(path, bad);
  if (run.verdict != vector.kernel)
    fault(path, run.verdict == XDP_PASS ? "goes up" : "another verdict");
  for (int i = 0; i < XDP_STAT_COUNT; i++)
    if (rig_stat(&rig, (enum xdp_stat)i) != stats[i] + ((enum xdp_stat)i == vector.stat))
      fault(path, "another reason is counted");
  if (!core_did(vector.core))
    fault(path, "the core does something else");
  if (vector.kernel == XDP_TX || vector.kernel == XDP_REDIRECT) {
    check_truncated(path, &frame);
    check_zero_sum(path, &run);
  }
  if (strncmp(vector.name, "within the limit", 16) == 0)
    check_bucket(path, rig_is_listener(&vector.plan.to) ? 0 : 1);
}

static void check_file(const char *path)
{
  FILE *f = fopen(path, "r");
  int line = 0, more = -1;
  while (f && (more = script_next(f, &rig, path, &line, &vector)) > 0)
    check(path);
  if (more < 0) {
    fprintf(stderr, "%s: cannot be read\n", path);
    faults++;
  }
  if (f)
    fclose(f);
}

static bool is_vector_file(const char *name)
{
  const size_t len = strlen(name);
  return len > 4 && strcmp(name + len - 4, ".vec") == 0;
}

int main(int argc, char **argv)
{
  struct dirent **names;
  const int count = argc == 2 ? scandir(argv[1], &names, NULL, alphasort) : -1;
  if (count < 0) {
    fprintf(stderr, "usage: %s FOLDER-OF-VECTORS\n", argv[0]);
    return 2;
  }
  const bool ready = rig_open(&rig);
  for (int i = 0; i < count; i++) {
    char path[512];
    snprintf(path, sizeof(path), "%s/%s", argv[1], names[i]->d_name);
    if (ready && is_vector_file(names[i]->d_name))
      check_file(path);
    free(names[i]);
  }
  free(names);
  if (!ready)
    return NET_SKIPPED;
  rig_close(&rig);
  printf("%u vectors, %u frames, %u with a sum of zero, %u faults\n", vectors, frames, zero_sums,
         faults);
  return faults || !vectors || !zero_sums || !buckets;
}
