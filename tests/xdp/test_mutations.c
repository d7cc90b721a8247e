/* Frames that nobody wrote down: those of the vectors with other payloads, then with bytes changed,
 * cut and added, always the same ones, through the program and the core. Whatever the program does
 * with one, it must not differ from the core. */
#include <dirent.h>
#include <linux/bpf.h>
#include <stdlib.h>
#include <string.h>

#include "base/random.h"
#include "tests/xdp/net.h"
#include "tests/xdp/script.h"
#include "turn/core/internal.h"

enum { PLANS_MAX = 400, ROUNDS = 60000, PAYLOAD_MOST = 1480, FAULTS_SHOWN = 10 };

static struct rig rig;
static struct script_vector *plans;
static size_t plan_count;
static struct random_seed seed;
static struct random dice;
static unsigned faults, verdicts[5];

static uint32_t below(size_t n)
{
  return random_below(&dice, (uint32_t)n);
}

static bool load(const char *path)
{
  FILE *f = fopen(path, "r");
  int line = 0, more = -1;
  while (f && plan_count < PLANS_MAX &&
         (more = script_next(f, &rig, path, &line, &plans[plan_count])) > 0)
    plan_count++;
  if (f)
    fclose(f);
  return more >= 0;
}

static bool load_folder(const char *folder)
{
  struct dirent **names;
  const int count = scandir(folder, &names, NULL, alphasort);
  bool good = count > 0;
  for (int i = 0; i < count; i++) {
    char path[512];
    const size_t len = strlen(names[i]->d_name);
    snprintf(path, sizeof(path), "%s/%s", folder, names[i]->d_name);
    if (len > 4 && strcmp(names[i]->d_name + len - 4, ".vec") == 0)
      good = load(path) && good;
    free(names[i]);
  }
  if (count > 0)
    free(names);
  return good;
}

static size_t some_len(void)
{
  return below(4) == 0 ? below(PAYLOAD_MOST) : below(80);
}

/* The same ends, and a payload of another length; ChannelData mostly with a length that fits. */
static void vary(struct script_vector *v)
{
  struct frame_plan *p = &v->plan;
  const bool channel = p->len >= 4 && (v->payload[0] & 0xF0) == 0x40 && rig_is_listener(&p->to);
  const size_t kept = channel ? 4 : 0, len = some_len();
  if (!channel && rig_is_listener(&p->to))
    return;
  p->len = kept + len;
  for (size_t i = kept; i < p->len; i++)
    v->payload[i] = (uint8_t)random_u64(&dice);
  if (channel)
    store_be16(v->payload + 2, (uint16_t)(below(8) ? len - (len < 6 ? 0 : below(6)) : below(2000)));
  p->checksum = (enum frame_checksum)below(4);
  p->trailer = below(3) ? 0 : below(20);
}

static uint16_t header_sum(const uint8_t *p, size_t len)
{
  uint32_t sum = 0;
  for (size_t i = 0; i + 1 < len; i += 2)
    sum += load_be16(p + i);
  sum = (sum & 0xFFFF) + (sum >> 16);
  return (uint16_t) ~(sum + (sum >> 16));
}

/* A changed IPv4 header gets a right checksum again, or the kernel's stack would drop it at once.
 */
static void mend_v4(struct frame *f)
{
  uint8_t *ip = f->at + FRAME_ETHERNET;
  if (f->len < FRAME_ETHERNET + 20 || load_be16(f->at + 12) != 0x0800)
    return;
  const size_t header = (ip[0] & 15U) * 4U;
  if (header < 20 || f->len < FRAME_ETHERNET + header)
    return;
  store_be16(ip + 10, 0);
  store_be16(ip + 10, header_sum(ip, header));
}

static void damage(struct frame *f)
{
  const size_t at = below(below(3) ? (f->len < 66 ? f->len : 66) : f->len);
  switch (below(6)) {
  case 0:
    f->at[at] ^= (uint8_t)(1U << below(8));
    break;
  case 1:
    f->at[at] = (uint8_t)random_u64(&dice);
    break;
  case 2:
    f->at[at] = below(2) ? 0 : 0xFF;
    break;
  case 3:
    f->at[at] = (uint8_t)(f->at[at] + (below(2) ? 1 : 255));
    break;
  case 4:
    if (f->len > FRAME_ETHERNET + 1)
      f->len -= below(f->len - FRAME_ETHERNET);
    break;
  default:
    memset(f->at + f->len, 0x5A, 4);
    f->len += below(5);
  }
}

static void set_limits(bool full)
{
  for (size_t i = 0; rig_allocations[i].name; i++)
    for (int way = 0; way < 2 && !rig_allocations[i].over; way++) {
      const uint64_t paid_ns = full ? UINT64_MAX / 4 : 0;
      rig.limit[i].paid_ns[way] = paid_ns;
      rig.allocation[i]->paid_ns[way] = paid_ns;
    }
}

static void tell(unsigned round, const struct script_vector *v, const char *bad,
                 const struct frame *f)
{
  if (++faults > FAULTS_SHOWN)
    return;
  fprintf(stderr, "round %u: %s: %s:", round, v->name, bad);
  for (size_t i = 0; i < f->len && i < 120; i++)
    fprintf(stderr, " %02x", f->at[i]);
  fprintf(stderr, "\n");
}

static void play(unsigned round)
{
  static struct script_vector v;
  struct frame frame;
  struct rig_run run;
  v = plans[below(plan_count)];
  v.plan.payload = v.payload;
  if (below(3))
    vary(&v);
  frame_make(&v.plan, &frame);
  for (uint32_t i = below(2) ? 0 : 1 + below(3); i > 0; i--)
    damage(&frame);
  if (below(4))
    mend_v4(&frame);
  set_limits(below(8) == 0);
  const char *bad = rig_both(&rig, frame.at, frame.len, &run);
  if (bad)
    tell(round, &v, bad, &frame);
  else
    verdicts[run.verdict]++;
}

int main(int argc, char **argv)
{
  if (argc != 2) {
    fprintf(stderr, "usage: %s FOLDER-OF-VECTORS\n", argv[0]);
    return 2;
  }
  if (!rig_open(&rig))
    return NET_SKIPPED;
  plans = calloc(PLANS_MAX, sizeof(*plans));
  dice = random_seeded(&seed, 20261124);
  if (!plans || !load_folder(argv[1]))
    return 1;
  for (unsigned round = 0; round < ROUNDS; round++)
    play(round);
  rig_close(&rig);
  free(plans);
  printf("%u frames: %u passed up, %u sent back, %u sent on, %u dropped, %u faults\n", ROUNDS,
         verdicts[XDP_PASS], verdicts[XDP_TX], verdicts[XDP_REDIRECT], verdicts[XDP_DROP], faults);
  return faults || verdicts[XDP_TX] < ROUNDS / 10 || !verdicts[XDP_REDIRECT] || !verdicts[XDP_DROP];
}
