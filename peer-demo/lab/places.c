/* See places.h. */
#include "peer-demo/lab/places.h"

#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/err.h"
#include "peer-demo/lab/namespace.h"

enum { SITES_SIZE = LAB_SITES * (PLACES_WORD_MAX + 1) + 1 };

static bool is_plain(const char *name)
{
  size_t len = strlen(name);
  return len > 0 && len <= PLACES_NAME_MAX &&
         strspn(name, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789") == len;
}

static int add_site(struct lab *lab, const char *word, struct net_error *e)
{
  char error[LAB_ERROR_SIZE];
  if (lab->count == LAB_SITES || strlen(word) > PLACES_WORD_MAX) {
    net_error_set(e, "a laboratory has at most %d sites, each described in at most %d characters",
                  LAB_SITES, PLACES_WORD_MAX);
    return -ERR_BAD;
  }
  int err = lab_site_parse(bytes_of(word), &lab->site[lab->count], error);
  if (err != 0) {
    net_error_set(e, "%s", error);
    return err;
  }
  memcpy(lab->word[lab->count], word, strlen(word) + 1);
  lab->count++;
  return 0;
}

int places_init(struct lab *lab, const char *name, size_t count, char *const *word,
                struct net_error *e)
{
  *lab = (struct lab){.name = name};
  if (!is_plain(name)) {
    net_error_set(e, "a laboratory's name is 1 to %d letters and digits", PLACES_NAME_MAX);
    return -ERR_BAD;
  }
  snprintf(lab->prefix, sizeof lab->prefix, PLACES_PREFIX "%s-", name);
  snprintf(lab->dir, sizeof lab->dir, PLACES_DIR "/%s", name);
  for (size_t i = 0; i < count; i++) {
    int err = add_site(lab, word[i], e);
    if (err != 0)
      return err;
  }
  return 0;
}

void places_name(const struct lab *lab, size_t site, enum lab_part part, char *out)
{
  char word[LAB_WORD_SIZE];
  snprintf(out, NAMESPACE_NAME_SIZE, "%s%s", lab->prefix,
           site == LAB_SITES ? "net" : lab_part_name(site, part, word));
}

/* ---- the file of sites ---- */

static void sites_path(const struct lab *lab, char out[PLACES_PATH_SIZE + 8])
{
  snprintf(out, PLACES_PATH_SIZE + 8, "%s/sites", lab->dir);
}

static int save(const struct lab *lab, struct net_error *e)
{
  char path[PLACES_PATH_SIZE + 8], text[SITES_SIZE];
  size_t len = 0;
  sites_path(lab, path);
  for (size_t i = 0; i < lab->count; i++)
    len += (size_t)snprintf(text + len, sizeof text - len, "%s\n", lab->word[i]);
  if ((mkdir(PLACES_DIR, 0700) == 0 || errno == EEXIST) &&
      (mkdir(lab->dir, 0700) == 0 || errno == EEXIST)) {
    int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    bool written = fd >= 0 && write(fd, text, len) == (ssize_t)len;
    if (fd >= 0)
      close(fd);
    if (written)
      return 0;
  }
  net_error_set(e, "cannot write %s: %s", path, strerror(errno));
  return -ERR_IO;
}

int places_load(struct lab *lab, struct net_error *e)
{
  char path[PLACES_PATH_SIZE + 8], text[SITES_SIZE];
  sites_path(lab, path);
  int fd = open(path, O_RDONLY | O_CLOEXEC);
  ssize_t len = fd >= 0 ? read(fd, text, sizeof text - 1) : -1;
  if (fd >= 0)
    close(fd);
  if (len < 0) {
    net_error_set(e, "there is no laboratory '%s'; 'viaduct lab up SITE...' makes one", lab->name);
    return -ERR_MISSING;
  }
  text[len] = '\0';
  lab->count = 0;
  int err = 0;
  for (char *at = text; *at && err == 0;) {
    char *end = at + strcspn(at, "\n");
    char *next = *end ? end + 1 : end;
    *end = '\0';
    err = add_site(lab, at, e);
    at = next;
  }
  return err;
}

/* ---- up ---- */

static int apply(const char *name, const struct lab_text *text, struct net_error *e)
{
  static const char *const ip[] = {"ip", "-batch", "-", NULL}, *const nft[] = {"nft", "-f", "-",
                                                                               NULL};
  int err = namespace_feed(name, ip, (struct bytes){text->ip.at, text->ip.len}, e);
  if (err == 0 && text->nft.len > 0)
    err = namespace_feed(name, nft, (struct bytes){text->nft.at, text->nft.len}, e);
  if (err == 0)
    err = namespace_sysctl(name, (struct bytes){text->sysctl.at, text->sysctl.len}, e);
  return err;
}

static int build(const struct lab *lab, size_t site, enum lab_part part, struct net_error *e)
{
  uint8_t ip[LAB_TEXT_SIZE], nft[LAB_TEXT_SIZE], sysctl[LAB_TEXT_SIZE];
  char name[NAMESPACE_NAME_SIZE];
  struct lab_text text;
  buf_init(&text.ip, ip, sizeof ip);
  buf_init(&text.nft, nft, sizeof nft);
  buf_init(&text.sysctl, sysctl, sizeof sysctl);
  if (site == LAB_SITES)
    lab_put_public(lab->site, lab->count, lab->prefix, &text);
  else
    lab_put_part(&lab->site[site], site, part, lab->prefix, &text);
  if (text.ip.overflow || text.nft.overflow || text.sysctl.overflow) {
    net_error_set(e, "the description of a site is too long");
    return -ERR_FULL;
  }
  places_name(lab, site, part, name);
  return apply(name, &text, e);
}

static int add_all(const struct lab *lab, struct net_error *e)
{
  char name[NAMESPACE_NAME_SIZE];
  places_name(lab, LAB_SITES, LAB_HOST, name);
  int err = namespace_add(name, e);
  for (size_t i = 0; i < lab->count; i++) {
    for (int part = LAB_HOST; part < LAB_PART_COUNT && err == 0; part++) {
      places_name(lab, i, (enum lab_part)part, name);
      if (lab_has_part(&lab->site[i], (enum lab_part)part))
        err = namespace_add(name, e);
    }
  }
  return err;
}

/* From the public side inwards, as core/lab.h wants it. */
static int build_all(const struct lab *lab, struct net_error *e)
{
  static const enum lab_part inwards[] = {LAB_CARRIER, LAB_ROUTER, LAB_HOST};
  int err = build(lab, LAB_SITES, LAB_HOST, e);
  for (size_t i = 0; i < lab->count; i++) {
    for (size_t p = 0; p < sizeof inwards / sizeof inwards[0] && err == 0; p++) {
      if (lab_has_part(&lab->site[i], inwards[p]))
        err = build(lab, i, inwards[p], e);
    }
  }
  return err;
}

static int count_one(void *arg, const char *name)
{
  (void)name;
  ++*(unsigned *)arg;
  return 0;
}

int places_build(const struct lab *lab, struct net_error *e)
{
  unsigned before = 0;
  int err = namespace_each(lab->prefix, count_one, &before);
  if (err != 0 || before > 0) {
    net_error_set(e,
                  "the laboratory '%s' stands already; 'viaduct lab down' removes it, and --name "
                  "makes another one beside it",
                  lab->name);
    return -ERR_EXISTS;
  }
  err = save(lab, e);
  if (err == 0)
    err = add_all(lab, e);
  if (err == 0)
    err = build_all(lab, e);
  if (err != 0)
    (void)places_remove(lab, NULL);
  return err;
}

/* ---- down ---- */

static int remove_one(void *arg, const char *name)
{
  return namespace_remove(name, arg);
}

static int remove_file(const char *path, const struct stat *at, int kind, struct FTW *where)
{
  (void)at;
  (void)kind;
  (void)where;
  return remove(path);
}

static int take_down(const char *prefix, const char *dir, struct net_error *e)
{
  int err = namespace_each(prefix, remove_one, e);
  if (err != 0 || nftw(dir, remove_file, 8, FTW_DEPTH | FTW_PHYS) == 0 || errno == ENOENT)
    return err;
  net_error_set(e, "cannot remove %s: %s", dir, strerror(errno));
  return -ERR_IO;
}

int places_remove(const struct lab *lab, struct net_error *e)
{
  return take_down(lab->prefix, lab->dir, e);
}

int places_remove_all(struct net_error *e)
{
  return take_down(PLACES_PREFIX, PLACES_DIR, e);
}
