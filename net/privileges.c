/* setgroups, setresgid, setresuid, capset, in this order, and then the attempt to come back.
 * Without root there may still be capabilities: they go in any case. */
#include "net/privileges.h"

#include <errno.h>
#include <grp.h>
#include <linux/capability.h>
#include <pwd.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/err.h"

int net_privileges_find(const char *user, const char *group, struct net_privileges *out,
                        struct net_error *e)
{
  struct net_privileges p = {.user = user, .group = group, .uid = geteuid(), .gid = getegid()};
  /* Only main calls this, before there is a second thread. */
  const struct passwd *account = user != NULL ? getpwnam(user) : NULL;
  if (user != NULL && account == NULL) {
    net_error_set(e, "there is no user %s; set proc-user to one of this machine's", user);
    return -ERR_MISSING;
  }
  if (account != NULL) {
    p.uid = account->pw_uid;
    p.gid = account->pw_gid;
  }
  const struct group *named = group != NULL ? getgrnam(group) : NULL;
  if (group != NULL && named == NULL) {
    net_error_set(e, "there is no group %s; set proc-group to one of this machine's", group);
    return -ERR_MISSING;
  }
  if (named != NULL)
    p.gid = named->gr_gid;
  *out = p;
  return 0;
}

void net_privileges_seal(void)
{
  (void)prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0); /* since Linux 3.5 */
}

static bool is_already(const struct net_privileges *p)
{
  uid_t user[3];
  gid_t group[3];
  if (getresuid(&user[0], &user[1], &user[2]) != 0 ||
      getresgid(&group[0], &group[1], &group[2]) != 0)
    return false;
  for (size_t i = 0; i < 3; i++)
    if (user[i] != p->uid || group[i] != p->gid)
      return false;
  return true;
}

/* A user brings his own groups: a key may be readable through one of them. */
static int take(const struct net_privileges *p)
{
  int r = p->user != NULL ? initgroups(p->user, p->gid) : setgroups(0, NULL);
  if (r != 0 || setresgid(p->gid, p->gid, p->gid) != 0 || setresuid(p->uid, p->uid, p->uid) != 0)
    return -1;
  return 0;
}

/* Gone with root; but somebody else may have been given some (AmbientCapabilities=, setcap).
 * Whoever has none asks for nothing: capset may be closed to him (SystemCallFilter=). */
static int drop_capabilities(void)
{
  static const struct __user_cap_data_struct none[_LINUX_CAPABILITY_U32S_3];
  struct __user_cap_header_struct head = {.version = _LINUX_CAPABILITY_VERSION_3};
  struct __user_cap_data_struct has[_LINUX_CAPABILITY_U32S_3];
  if (geteuid() == 0)
    return 0;
  if (syscall(SYS_capget, &head, has) != 0)
    return -1;
  if (memcmp(has, none, sizeof(has)) == 0)
    return 0;
  return syscall(SYS_capset, &head, none) == 0 ? 0 : -1;
}

/* Each of these must fail. */
static bool can_come_back(const struct net_privileges *p)
{
  if (p->uid == 0)
    return false; /* it was not asked to leave */
  return setuid(0) == 0 || seteuid(0) == 0 || (p->gid != 0 && (setgid(0) == 0 || setegid(0) == 0));
}

int net_privileges_drop(const struct net_privileges *p, struct net_error *e)
{
  const char *user = p->user != NULL ? p->user : "the same user";
  const bool is_named = p->user != NULL || p->group != NULL;
  const bool stays = !is_named || is_already(p);
  if (!stays && take(p) != 0) {
    net_error_set(e,
                  "cannot go on as %s: %s; start it as root, or leave proc-user and proc-group out "
                  "and let systemd's User= do it",
                  user, strerror(errno));
    return -ERR_DENIED;
  }
  if (drop_capabilities() != 0) {
    net_error_set(e,
                  "cannot give up its capabilities: %s; allow capget and capset (systemd: "
                  "SystemCallFilter=)",
                  strerror(errno));
    return -ERR_DENIED;
  }
  if (!stays && (!is_already(p) || can_come_back(p))) {
    net_error_set(e, "cannot go on as %s: the way back to root stayed open", user);
    return -ERR_DENIED;
  }
  return 0;
}
