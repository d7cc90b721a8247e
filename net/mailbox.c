/* A ring under a mutex: commands are rare, and the lock is never held across anything slow. */
#include "net/mailbox.h"

#include <sys/eventfd.h>
#include <unistd.h>

#include "base/err.h"

int net_mailbox_open(struct net_mailbox *m)
{
  *m = (struct net_mailbox){.fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC)};
  if (m->fd < 0)
    return -ERR_IO;
  if (pthread_mutex_init(&m->lock, NULL) != 0) {
    close(m->fd);
    return -ERR_IO;
  }
  return 0;
}

void net_mailbox_close(struct net_mailbox *m)
{
  close(m->fd);
  m->fd = -1;
  pthread_mutex_destroy(&m->lock);
}

int net_mailbox_post(struct net_mailbox *m, struct net_mail mail)
{
  int r = -ERR_FULL;
  pthread_mutex_lock(&m->lock);
  if (m->count < NET_MAILBOX_SIZE) {
    m->ring[(m->at + m->count++) % NET_MAILBOX_SIZE] = mail;
    r = 0;
  }
  pthread_mutex_unlock(&m->lock);
  /* Fails only when the counter is full, and then the reader is woken up already. */
  if (r == 0)
    (void)eventfd_write(m->fd, 1);
  return r;
}

bool net_mailbox_take(struct net_mailbox *m, struct net_mail *out)
{
  bool taken = false;
  pthread_mutex_lock(&m->lock);
  if (m->count > 0) {
    *out = m->ring[m->at];
    m->at = (m->at + 1) % NET_MAILBOX_SIZE;
    m->count--;
    taken = true;
  } else {
    /* Under the lock, so that no mail comes between the last look and the reset. */
    eventfd_t ignored;
    (void)eventfd_read(m->fd, &ignored);
  }
  pthread_mutex_unlock(&m->lock);
  return taken;
}
