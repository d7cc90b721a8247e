/* The small files of net/: mailbox, file, notify, signals, random, log lines. */
#include <fcntl.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/poll.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/err.h"
#include "net/file.h"
#include "net/log_out.h"
#include "net/mailbox.h"
#include "net/mem.h"
#include "net/notify.h"
#include "net/random.h"
#include "net/signals.h"

static bool readable(int fd)
{
  struct pollfd p = {.fd = fd, .events = POLLIN};
  return poll(&p, 1, 0) == 1;
}

static void test_mailbox(void **state)
{
  (void)state;
  struct net_mailbox m;
  struct net_mail mail;
  assert_int_equal(net_mailbox_open(&m), 0);
  assert_false(readable(m.fd));
  for (int round = 0; round < 3; round++) {
    for (int i = 0; i < NET_MAILBOX_SIZE; i++)
      assert_int_equal(net_mailbox_post(&m, (struct net_mail){.kind = i}), 0);
    assert_int_equal(net_mailbox_post(&m, (struct net_mail){.kind = -1}), -ERR_FULL);
    assert_true(readable(m.fd));
    for (int i = 0; i < NET_MAILBOX_SIZE; i++) {
      assert_true(net_mailbox_take(&m, &mail));
      assert_int_equal(mail.kind, i);
    }
    assert_false(net_mailbox_take(&m, &mail));
    assert_false(readable(m.fd));
  }
  net_mailbox_close(&m);
}

static void test_file(void **state)
{
  (void)state;
  char path[] = "/tmp/viaduct-test-XXXXXX";
  int fd = mkstemp(path);
  assert_true(fd >= 0);
  static char data[10000];
  memset(data, 'a', sizeof(data));
  assert_int_equal(write(fd, data, sizeof(data)), sizeof(data));
  close(fd);
  struct mem mem = net_mem();
  struct net_file f;
  struct net_error e;
  assert_int_equal(net_file_read(path, sizeof(data), &mem, &f, &e), 0);
  assert_int_equal(f.bytes.len, sizeof(data));
  assert_memory_equal(f.bytes.at, data, sizeof(data));
  assert_int_equal(f.bytes.at[f.bytes.len], 0);
  net_file_free(&f, &mem);
  assert_int_equal(net_file_read(path, sizeof(data) - 1, &mem, &f, &e), -ERR_RANGE);
  assert_non_null(strstr(e.text, path));
  assert_non_null(strstr(e.text, "larger than 9999 bytes"));
  assert_int_equal(truncate(path, 0), 0);
  assert_int_equal(net_file_read(path, 10, &mem, &f, &e), 0);
  assert_int_equal(f.bytes.len, 0);
  net_file_free(&f, &mem);
  unlink(path);
  assert_int_equal(net_file_read(path, 10, &mem, &f, &e), -ERR_MISSING);
  assert_int_not_equal(net_file_read("/tmp", 10, &mem, &f, &e), 0);
  assert_non_null(strstr(e.text, "not a file"));
  assert_int_equal(net_file_read("/dev/zero", 1 << 20, &mem, &f, &e), -ERR_RANGE);
}

/* A socket that waits for notifications; `name` as $NOTIFY_SOCKET has it. */
static int notified(const char *name)
{
  struct sockaddr_un un = {.sun_family = AF_UNIX};
  memcpy(un.sun_path, name, strlen(name));
  if (name[0] == '@')
    un.sun_path[0] = 0;
  socklen_t len = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + strlen(name));
  int fd = socket(AF_UNIX, SOCK_DGRAM, 0);
  assert_int_equal(bind(fd, (const struct sockaddr *)&un, len + (name[0] == '/')), 0);
  return fd;
}

static void test_notify(void **state)
{
  (void)state;
  char path[64], abstract[64], got[32] = "";
  snprintf(path, sizeof(path), "/tmp/viaduct-notify-%ld", (long)getpid());
  snprintf(abstract, sizeof(abstract), "@viaduct-notify-%ld", (long)getpid());
  const char *names[] = {path, abstract};
  for (size_t i = 0; i < 2; i++) {
    int fd = notified(names[i]);
    setenv("NOTIFY_SOCKET", names[i], 1);
    assert_int_equal(net_notify(NET_NOTIFY_READY), 0);
    assert_int_equal(recv(fd, got, sizeof(got), MSG_DONTWAIT), 7);
    assert_memory_equal(got, "READY=1", 7);
    close(fd);
  }
  unlink(path);
  assert_int_equal(net_notify(NET_NOTIFY_READY), -ERR_IO); /* nobody there */
  setenv("NOTIFY_SOCKET", "relative", 1);
  assert_int_equal(net_notify(NET_NOTIFY_READY), -ERR_BAD);
  unsetenv("NOTIFY_SOCKET");
  assert_int_equal(net_notify(NET_NOTIFY_READY), 0);
}

static void test_signals(void **state)
{
  (void)state;
  const int numbers[] = {SIGUSR1, SIGUSR2};
  int fd = net_signals_open(numbers, 2);
  assert_true(fd >= 0);
  assert_int_equal(net_signals_next(fd), 0);
  raise(SIGUSR2);
  assert_true(readable(fd));
  assert_int_equal(net_signals_next(fd), SIGUSR2);
  assert_int_equal(net_signals_next(fd), 0);
  net_signals_close(fd);
  net_signals_reset();
}

static void test_random(void **state)
{
  (void)state;
  struct net_random r;
  uint8_t a[1000], b[1000];
  assert_int_equal(net_random_init(&r), 0);
  r.random.fill(r.random.arg, a, sizeof(a));
  r.random.fill(r.random.arg, b, sizeof(b));
  assert_memory_not_equal(a, b, sizeof(a));
  assert_memory_not_equal(a, a + 256, 256); /* the pool is never given out twice */
  assert_memory_not_equal(a, a + 512, 256);
  net_random_fini(&r);
}

static int without_kernel(void)
{
  struct net_random r;
  if (net_random_init(&r) != 0)
    return 1;
  struct sock_filter filter[] = {
      BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
      BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_getrandom, 0, 1),
      BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | 1),
      BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
  };
  struct sock_fprog program = {.len = 4, .filter = filter};
  if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0 ||
      prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program) != 0)
    return 2;
  uint8_t a[512] = {0}, b[512] = {0}, zero[512] = {0};
  r.random.fill(r.random.arg, a, sizeof(a));
  r.random.fill(r.random.arg, b, sizeof(b));
  struct net_random again;
  if (net_random_init(&again) == 0)
    return 3; /* without the kernel, nothing starts */
  return memcmp(a, b, 512) != 0 && memcmp(a, a + 256, 256) != 0 && memcmp(a, zero, 512) != 0 ? 0
                                                                                             : 4;
}

/* A filter on system calls takes getrandom away from a running daemon. */
static void test_random_without_the_kernel(void **state)
{
  (void)state;
  pid_t pid = fork();
  if (pid == 0)
    _exit(without_kernel());
  int status = 0;
  assert_int_equal(waitpid(pid, &status, 0), pid);
  assert_true(WIFEXITED(status));
  assert_int_equal(WEXITSTATUS(status), 0);
}

static void test_log_file(void **state)
{
  (void)state;
  char path[] = "/tmp/viaduct-log-XXXXXX";
  close(mkstemp(path));
  struct net_log l;
  struct net_error e;
  const struct net_log_setup s = {
      .program = "tester", .path = path, .no_stderr = true, .level = LOG_LEVEL_INFO};
  assert_int_equal(net_log_open(&l, &s, &e), 0);
  log_event(&l.log, LOG_LEVEL_INFO, "first", LOG_UINT("n", 1));
  log_event(&l.log, LOG_LEVEL_DEBUG, "hidden", LOG_UINT("n", 2));
  static char long_text[2 * NET_LOG_LINE_SIZE];
  memset(long_text, 'x', sizeof(long_text) - 1);
  log_event(&l.log, LOG_LEVEL_INFO, "long", LOG_TEXT("text", long_text));
  net_log_close(&l);
  assert_int_equal(l.lost, 0);
  struct mem mem = net_mem();
  struct net_file f;
  assert_int_equal(net_file_read(path, 1 << 20, &mem, &f, &e), 0);
  const char *text = (const char *)f.bytes.at, *newline = strchr(text, '\n');
  assert_non_null(strstr(text, " info tester first n=1\n"));
  assert_null(strstr(text, "hidden"));
  assert_non_null(newline);
  assert_in_range(f.bytes.len, NET_LOG_LINE_SIZE / 2, 2 * NET_LOG_LINE_SIZE);
  assert_int_equal(text[f.bytes.len - 1], '\n');
  net_file_free(&f, &mem);
  unlink(path);
  const struct net_log_setup wrong = {.program = "tester", .path = "/nonexistent/log"};
  assert_int_equal(net_log_open(&l, &wrong, &e), -ERR_MISSING);
  assert_non_null(strstr(e.text, "/nonexistent/log"));
}

int main(void)
{
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_mailbox),  cmocka_unit_test(test_file),
      cmocka_unit_test(test_notify),   cmocka_unit_test(test_signals),
      cmocka_unit_test(test_random),   cmocka_unit_test(test_random_without_the_kernel),
      cmocka_unit_test(test_log_file),
  };
  return cmocka_run_group_tests_name("net-edges", tests, NULL, NULL);
}
