/* Deliberate faults, one for each kind of report that a sanitizer build has to make. A build that
 * lets one of them pass proves nothing with its other tests. */
#include <limits.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Volatile, so that no compiler sees what is coming. */
static volatile size_t len = 16;

static int overflow(void)
{
  char *p = malloc(len);
  if (p == NULL)
    return 1;
  memset(p, 1, len);
  int past = p[len];
  free(p);
  return past;
}

static int after_free(void)
{
  char *volatile p = malloc(len);
  if (p == NULL)
    return 1;
  memset(p, 1, len);
  free(p);
  return p[len / 2];
}

static int leak(void)
{
  char *volatile p = malloc(len);
  p = NULL;
  return p != NULL;
}

static int signed_overflow(void)
{
  volatile int most = INT_MAX;
  return most + (int)len > 0;
}

int main(int argc, char **argv)
{
  static const struct {
    const char *name;
    int (*run)(void);
  } fault[] = {{"overflow", overflow},
               {"after-free", after_free},
               {"leak", leak},
               {"signed-overflow", signed_overflow}};
  for (size_t i = 0; argc == 2 && i < sizeof(fault) / sizeof(fault[0]); i++)
    if (strcmp(argv[1], fault[i].name) == 0) {
      (void)fault[i].run();
      return 0;
    }
  fputs("usage: fault_memory overflow|after-free|leak|signed-overflow\n", stderr);
  return 2;
}
