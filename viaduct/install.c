/* See install.h. VIADUCT_SHARE_DIR and VIADUCT_SOURCE_DIR come from the build. */
#include "viaduct/install.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/err.h"

/* The folder of this executable, whatever the name by which it was called. */
static int own_dir(char out[PATH_MAX], struct net_error *e)
{
  ssize_t len = readlink("/proc/self/exe", out, PATH_MAX - 1);
  if (len <= 0) {
    net_error_set(e, "cannot read /proc/self/exe, by which the servers are found; mount /proc");
    return -ERR_MISSING;
  }
  out[len] = '\0';
  char *slash = strrchr(out, '/');
  if (slash != NULL)
    *slash = '\0';
  return 0;
}

static int join(const char *dir, const char *name, char out[PATH_MAX])
{
  int len = snprintf(out, PATH_MAX, "%s/%s", dir, name);
  return len > 0 && len < PATH_MAX ? 0 : -ERR_RANGE;
}

int install_program(const char *name, char out[PATH_MAX], struct net_error *e)
{
  char dir[PATH_MAX];
  int r = own_dir(dir, e);
  if (r != 0)
    return r;
  if (join(dir, name, out) == 0 && access(out, X_OK) == 0)
    return 0;
  net_error_set(e,
                "the program %s is not in %s; build or install all of Viaduct (scripts/run does)",
                name, dir);
  return -ERR_MISSING;
}

int install_certs_script(char out[PATH_MAX], struct net_error *e)
{
  char own[PATH_MAX], share[PATH_MAX];
  int r = own_dir(own, e);
  if (r != 0)
    return r;
  const char *const places[] = {join(own, "../share/viaduct", share) == 0 ? share : "",
                                VIADUCT_SHARE_DIR, VIADUCT_SOURCE_DIR "/certs"};
  for (size_t i = 0; i < 3; i++)
    if (join(places[i], "make-dev-certs", out) == 0 && access(out, X_OK) == 0)
      return 0;
  net_error_set(e,
                "the script make-dev-certs is neither in %s nor in %s; install all of Viaduct, or "
                "name real certificates (cert= and pkey= in [signald])",
                VIADUCT_SHARE_DIR, VIADUCT_SOURCE_DIR "/certs");
  return -ERR_MISSING;
}
