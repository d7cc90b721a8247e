/* See check.h. */
#include "peer-demo/lab/check.h"

#include <stdio.h>

#include "base/err.h"
#include "peer-demo/lab/namespace.h"
#include "peer-demo/native/measure.h"

enum { STUN_PORT = 3479 };

/* A dual-stack site is measured by IPv4, where its NAT is. */
static struct addr server_for(const struct lab_site *site)
{
  static const uint8_t v6[16] = {0x20, 0x01, 0, 2, [15] = 0x10};
  return site->families == LAB_V6 ? addr_from_ip(v6, sizeof v6, STUN_PORT)
                                  : addr_v4(198, 18, 0, 10, STUN_PORT);
}

static int open_one(const struct lab *lab, size_t site, struct measure *m, struct net_error *e)
{
  char name[NAMESPACE_NAME_SIZE];
  const struct addr server = server_for(&lab->site[site]);
  places_name(lab, site, LAB_HOST, name);
  int back = namespace_enter(name, e);
  if (back < 0)
    return back;
  int err = measure_open(m, &server, e);
  namespace_leave(back);
  return err;
}

static bool is_as_called(const struct lab_site *site, const struct behaviour_found *found)
{
  const struct lab_behaviour want = lab_expected(site);
  if (found->answers != want.answers || !want.answers)
    return found->answers == want.answers;
  if (found->mapping != want.mapping || found->filtering != want.filtering)
    return false;
  return want.mapping == BEHAVIOUR_NONE ||
         (found->hairpin == BEHAVIOUR_HAIRPIN_YES) == want.hairpins;
}

static void print_found(const struct behaviour_found *found)
{
  if (!found->answers)
    printf("UDP does not pass");
  else if (found->mapping == BEHAVIOUR_NONE)
    printf("mapping none, filtering %s", behaviour_name(found->filtering));
  else
    printf("mapping %s, filtering %s, hairpinning %s", behaviour_name(found->mapping),
           behaviour_name(found->filtering),
           found->hairpin == BEHAVIOUR_HAIRPIN_YES ? "yes" : "no");
}

static void print_wanted(const struct lab_site *site)
{
  const struct lab_behaviour want = lab_expected(site);
  const struct behaviour_found as_found = {.answers = want.answers,
                                           .mapping = want.mapping,
                                           .filtering = want.filtering,
                                           .hairpin = want.hairpins ? BEHAVIOUR_HAIRPIN_YES
                                                                    : BEHAVIOUR_HAIRPIN_NO};
  printf("; it should be: ");
  print_found(&as_found);
}

/* 0, or -ERR_BAD. What loses packets on purpose may lose the answers too: it is told, not judged.
 */
static int judge(const struct lab *lab, size_t site, const struct behaviour_found *found)
{
  const struct lab_site *s = &lab->site[site];
  bool lossy = s->loss_percent > 0 && s->loss_percent < 100;
  bool good = lossy || is_as_called(s, found);
  printf("%c  %-8s %-20s ", (char)('a' + site),
         lossy  ? "lossy"
         : good ? "as it is"
                : "WRONG",
         lab->word[site]);
  print_found(found);
  if (!good)
    print_wanted(s);
  printf("\n");
  return good ? 0 : -ERR_BAD;
}

int check_sites(const struct lab *lab, struct net_error *e)
{
  struct measure m[LAB_SITES];
  size_t open = 0;
  int err = 0;
  for (; open < lab->count && err == 0; open++)
    err = open_one(lab, open, &m[open], e);
  if (err == 0) {
    measure_run(m, lab->count);
    for (size_t i = 0; i < lab->count; i++) {
      if (judge(lab, i, &m[i].found) != 0)
        err = -ERR_BAD;
    }
  }
  for (size_t i = 0; i < open; i++)
    measure_close(&m[i]);
  return err;
}
