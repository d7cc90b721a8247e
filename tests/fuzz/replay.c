/* Runs a fuzz target without a fuzzer: every file of the corpus folders that are given as
 * arguments, then the same files cut short and with single bits turned. Deterministic and bounded,
 * so that it can be a test in every build. An empty corpus fails: it would prove nothing. */
#include <dirent.h>
#include <string.h>
#include <sys/stat.h>

#include "tests/fuzz/fuzz.h"

#ifndef REPLAY_RUNS
#define REPLAY_RUNS 40000
#endif

enum {
  FILES_MAX = 4096,
  FILE_MAX = 1 << 17,     /* bytes */
  RUNS_MAX = REPLAY_RUNS, /* changed inputs, shared evenly among the files */
  CUTS_OF_EIGHT = 2       /* so many of eight changes are cuts, the others are turned bits */
};

struct corpus {
  char *path[FILES_MAX];
  size_t count;
};

static int compare_paths(const void *a, const void *b)
{
  return strcmp(*(char *const *)a, *(char *const *)b);
}

static int add_folder(struct corpus *c, const char *folder)
{
  DIR *d = opendir(folder);
  if (!d) {
    fprintf(stderr, "%s: cannot be opened\n", folder);
    return -1;
  }
  size_t before = c->count;
  for (struct dirent *e = readdir(d); e && c->count < FILES_MAX; e = readdir(d)) {
    char path[1024];
    struct stat st;
    int len = snprintf(path, sizeof path, "%s/%s", folder, e->d_name);
    if (len < (int)sizeof path && stat(path, &st) == 0 && S_ISREG(st.st_mode))
      c->path[c->count++] = strdup(path);
  }
  closedir(d);
  qsort(c->path, c->count, sizeof c->path[0], compare_paths);
  if (c->count == before)
    fprintf(stderr, "%s: no corpus here\n", folder);
  return c->count == before ? -1 : 0;
}

/* In a block of exactly its size, so that AddressSanitizer sees one byte too much. */
static void run_exact(const uint8_t *data, size_t size)
{
  uint8_t *copy = malloc(size ? size : 1);
  REQUIRE(copy);
  if (size)
    memcpy(copy, data, size);
  LLVMFuzzerTestOneInput(copy, size);
  free(copy);
}

/* The `i`-th of `count` places spread evenly over `range`. */
static size_t spread(size_t i, size_t count, size_t range)
{
  return (size_t)((unsigned long long)i * range / count);
}

static size_t run_changed(uint8_t *data, size_t size, size_t runs)
{
  size_t cuts = runs * CUTS_OF_EIGHT / 8, turns = runs - cuts;
  if (cuts > size)
    cuts = size;
  if (turns > size * 8)
    turns = size * 8;
  for (size_t i = 0; i < cuts; i++)
    run_exact(data, spread(i, cuts, size));
  for (size_t i = 0; i < turns; i++) {
    size_t bit = spread(i, turns, size * 8);
    uint8_t mask = (uint8_t)(1u << (bit % 8));
    data[bit / 8] ^= mask;
    run_exact(data, size);
    data[bit / 8] ^= mask;
  }
  return cuts + turns;
}

static int run_file(const char *path, size_t runs, size_t *total)
{
  static uint8_t data[FILE_MAX];
  FILE *f = fopen(path, "rb");
  if (!f) {
    fprintf(stderr, "%s: cannot be opened\n", path);
    return -1;
  }
  size_t size = fread(data, 1, sizeof data, f);
  int bad = ferror(f) || size == sizeof data;
  fclose(f);
  if (bad) {
    fprintf(stderr, "%s: cannot be read, or has %d bytes and more\n", path, FILE_MAX);
    return -1;
  }
  run_exact(data, size);
  *total += 1 + run_changed(data, size, runs);
  return 0;
}

int main(int argc, char **argv)
{
  static struct corpus corpus;
  if (argc < 2) {
    fprintf(stderr, "usage: %s CORPUS...\n", argv[0]);
    return 2;
  }
  int err = 0;
  for (int i = 1; i < argc; i++)
    err |= add_folder(&corpus, argv[i]);
  if (err)
    return 1;
  size_t total = 0;
  for (size_t i = 0; i < corpus.count; i++) {
    err |= run_file(corpus.path[i], RUNS_MAX / corpus.count, &total);
    free(corpus.path[i]);
  }
  printf("%zu files, %zu inputs\n", corpus.count, total);
  return err ? 1 : 0;
}
