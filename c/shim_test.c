// Exercises c/shim.c, which `make sanitize` compiles with this file under the address and undefined-behaviour
// sanitizers. Prints what holds, a line each; ends with 1 at the first thing that does not.
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include "layout.h"

struct writer;
uint32_t mv_layout_version(void);
int mv_open(const char *path, int flags, int mode);
int mv_close(int fd);
int mv_truncate(int fd, uint64_t bytes);
int mv_allocate(int fd, uint64_t offset, uint64_t bytes);
int mv_stat(int fd, double *out);
int mv_map(int fd, uint64_t offset, uint64_t bytes, int writable, uint64_t *out);
int mv_unmap(void *address, uint64_t bytes);
void mv_copy(void *to, const void *from, uint64_t bytes);
uint32_t mv_guard_hits(void);
int mv_lock(int fd, uint64_t offset, uint64_t bytes);
int mv_unlock(int fd, uint64_t offset, uint64_t bytes);
int mv_locked(int fd, uint64_t offset, uint64_t bytes);
void *mv_writer_open(int fd);
int mv_writer_map(struct writer *w, uint64_t offset, uint64_t bytes, uint64_t *out);
void mv_writer_close(struct writer *w);
uint32_t mv_forks(void);
double mv_monotonic_ns(void);
double mv_ticks(void);
double mv_ticks_per_ms(void);
double mv_unix_ms(void);
void mv_sleep_until_ns(double deadline);
int mv_timer_slack_ns(uint64_t ns);
int mv_tcp_listen(const char *host, int port, int backlog);
int mv_tcp_connect(const char *host, int port);
int mv_accept(int fd);
int mv_socket_error(int fd);
int mv_local_port(int fd);
int64_t mv_local_user(int fd, const char *path);
int64_t mv_recv(int fd, uint8_t *buffer, uint64_t offset, uint64_t bytes);
int64_t mv_send(int fd, const uint8_t *buffer, uint64_t offset, uint64_t bytes);
int64_t mv_sendv(int fd, const struct iovec *pieces, uint32_t first, uint32_t count);
int mv_eventfd(void);
int mv_event_set(int fd);
int mv_event_clear(int fd);
int mv_poll_until_ns(struct pollfd *fds, uint32_t count, double deadline);

enum { PAGE = MV_PAGE_BYTES, PAGES = 4, FILE_BYTES = PAGE * PAGES };
static const double MS = 1e6;
static const double SECOND = 1e9;

static char path[] = "/dev/shm/microview-shim-test-XXXXXX";

static void remove_file(void) { unlink(path); }

static void failed(const char *file, int line, const char *what) {
  fprintf(stderr, "%s:%d: does not hold: %s (errno %d, %s)\n", file, line, what, errno,
          strerror(errno));
  remove_file();
  _exit(1);
}

#define HOLDS(condition) ((condition) ? (void)0 : failed(__FILE__, __LINE__, #condition))

static int opening(void) {
  int fd = mv_open(path, O_RDWR, 0);
  HOLDS(fd >= 0);
  return fd;
}

static volatile double *map_page(int fd, int page, int writable) {
  uint64_t address = 0;
  HOLDS(mv_map(fd, (uint64_t)page * PAGE, PAGE, writable, &address) == 0);
  HOLDS(address % PAGE == 0);
  return (volatile double *)(uintptr_t)address;
}

static void unmap_page(volatile double *page) {
  HOLDS(mv_unmap((void *)(uintptr_t)page, PAGE) == 0);
}

static void files(void) {
  HOLDS(mv_layout_version() == MV_LAYOUT_VERSION);
  HOLDS(mv_open("/dev/shm/microview-no-such-file/x", O_RDWR, 0) == -ENOENT);
  HOLDS(mv_open(path, O_RDWR | O_CREAT | O_EXCL, 0600) == -EEXIST);
  char link[sizeof path + 8];
  snprintf(link, sizeof link, "%s.link", path);
  HOLDS(symlink(path, link) == 0);
  int through_link = mv_open(link, O_RDWR, 0);
  unlink(link);
  HOLDS(through_link == -ELOOP);

  int fd = opening();
  HOLDS((fcntl(fd, F_GETFD) & FD_CLOEXEC) != 0);
  double stat[8];
  HOLDS(mv_truncate(fd, FILE_BYTES) == 0);
  HOLDS(mv_stat(fd, stat) == 0 && stat[0] == FILE_BYTES && stat[3] == 1 && stat[4] == 0);
  HOLDS(stat[5] == (S_IFREG | 0600) && stat[6] == getuid() && stat[7] == getgid());
  HOLDS(mv_allocate(fd, 0, 2 * PAGE) == 0);
  HOLDS(mv_stat(fd, stat) == 0 && stat[0] == FILE_BYTES && stat[4] == 2 * PAGE);
  HOLDS(mv_close(fd) == 0);
  HOLDS(mv_close(fd) == -EBADF);
  HOLDS(mv_stat(fd, stat) == -EBADF);
  puts("files: opened without following links, sized, given memory");

  fd = opening();
  // More than any machine has: the file keeps what it has, and what is there can still be stored to.
  int full = mv_allocate(fd, 0, (uint64_t)1 << 50);
  HOLDS(full == -ENOSPC || full == -ENOMEM || full == -EFBIG);
  HOLDS(mv_allocate(fd, (uint64_t)1 << 62, (uint64_t)1 << 62) < 0);
  HOLDS(mv_allocate(fd, 0, FILE_BYTES) == 0);
  HOLDS(mv_stat(fd, stat) == 0 && stat[0] == FILE_BYTES);
  HOLDS(mv_close(fd) == 0);
  puts("memory: an impossible amount is an error and not a signal");
}

static void mappings(void) {
  int one = opening(), two = opening();
  volatile double *stored = map_page(one, 1, 1);
  volatile double *read = map_page(two, 1, 0);
  stored[8] = 42.5;
  HOLDS(read[8] == 42.5);
  unmap_page(stored);
  HOLDS(read[8] == 42.5);
  unmap_page(read);
  uint64_t address = 0;
  HOLDS(mv_map(one, 1, PAGE, 0, &address) == -EINVAL);
  HOLDS(mv_map(12345, 0, PAGE, 0, &address) == -EBADF);
  HOLDS(address == 0);
  HOLDS(mv_map(-1, 0, PAGE, 1, &address) == 0);
  HOLDS(*(volatile double *)(uintptr_t)address == 0);
  HOLDS(mv_unmap((void *)(uintptr_t)address, PAGE) == 0);
  mv_close(one);
  mv_close(two);
  puts("mappings: a store through one opening is read through another");
}

static void others_than_files(void) {
  char other[sizeof path + 8];
  snprintf(other, sizeof other, "%s.other", path);
  HOLDS(mkfifo(other, 0600) == 0);
  alarm(20);
  HOLDS(mv_open(other, O_RDONLY, 0) == -ENXIO);
  HOLDS(mv_open(other, O_RDWR, 0) == -ENXIO);
  alarm(0);
  unlink(other);
  HOLDS(symlink(path, other) == 0);
  HOLDS(mv_open(other, O_RDONLY, 0) == -ELOOP);
  unlink(other);
  HOLDS(mv_open("/dev/null", O_RDONLY, 0) == -ENXIO);
  HOLDS(mv_open("/tmp", O_RDONLY, 0) == -ENXIO);
  HOLDS(mv_open(other, O_RDONLY, 0) == -ENOENT);
  puts("others than files: none is opened, and a FIFO is waited for by nobody");
}

static void cut_files(void) {
  enum { MANY = 5000 };
  static uint64_t addresses[MANY];
  int fd = opening();
  HOLDS(mv_truncate(fd, FILE_BYTES) == 0);
  for (int i = 0; i < MANY; i++) HOLDS(mv_map(fd, PAGE, PAGE, 0, &addresses[i]) == 0);
  HOLDS(mv_truncate(fd, 0) == 0);
  uint32_t before = mv_guard_hits();
  HOLDS(*(volatile double *)(uintptr_t)addresses[0] == 0);
  HOLDS(*(volatile double *)(uintptr_t)addresses[MANY - 1] == 0);
  double copied = 1;
  mv_copy(&copied, (void *)(uintptr_t)addresses[1], sizeof copied);
  HOLDS(copied == 0);
  HOLDS(mv_guard_hits() == before + 3);
  for (int i = 0; i < MANY; i++) HOLDS(mv_unmap((void *)(uintptr_t)addresses[i], PAGE) == 0);
  // All of a process's mappings are guarded, or refused.
  uint64_t address = 0;
  int mapped = 0, status = 0;
  static uint64_t all[70000];
  while (mapped < 70000 && (status = mv_map(fd, PAGE * (uint64_t)(mapped % 2), PAGE, 0, &address)) == 0) {
    all[mapped++] = address;
  }
  HOLDS(status == -ENOMEM && mapped <= 65536);
  for (int i = mapped - 1; i >= 0; i--) HOLDS(mv_unmap((void *)(uintptr_t)all[i], PAGE) == 0);
  HOLDS(mv_map(fd, 0, PAGE, 0, &address) == 0);
  HOLDS(mv_unmap((void *)(uintptr_t)address, PAGE) == 0);
  HOLDS(mv_truncate(fd, FILE_BYTES) == 0);
  mv_close(fd);
  puts("cut files: read as zeroes through every mapping; one mapping too many is an error");
}

static void locks(void) {
  int one = opening(), two = opening(), reader = mv_open(path, O_RDONLY, 0);
  HOLDS(mv_locked(two, 0, FILE_BYTES) == 0);
  HOLDS(mv_lock(one, PAGE, PAGE) == 0);
  HOLDS(mv_lock(one, PAGE, PAGE) == 0);
  HOLDS(mv_locked(one, PAGE, PAGE) == 0);
  HOLDS(mv_locked(two, PAGE, PAGE) == 1);
  HOLDS(mv_locked(reader, PAGE, PAGE) == 1);
  HOLDS(mv_locked(two, 2 * PAGE - 1, 1) == 1);
  HOLDS(mv_locked(two, 0, PAGE) == 0 && mv_locked(two, 2 * PAGE, PAGE) == 0);
  int status = mv_lock(two, PAGE, PAGE);
  HOLDS(status == -EAGAIN || status == -EACCES);
  HOLDS(mv_unlock(two, PAGE, PAGE) == 0);
  HOLDS(mv_locked(two, PAGE, PAGE) == 1);
  HOLDS(mv_unlock(one, PAGE, PAGE) == 0);
  HOLDS(mv_lock(two, PAGE, PAGE) == 0);
  HOLDS(mv_close(two) == 0);
  HOLDS(mv_locked(one, 0, FILE_BYTES) == 0);
  mv_close(one);
  mv_close(reader);
  puts("locks: belong to an opening, are seen by others, and go with it");
}

static void *write_and_end(void *unused) {
  (void)unused;
  int fd = opening();
  HOLDS(mv_lock(fd, PAGE, PAGE) == 0);
  struct writer *writer = mv_writer_open(fd);
  HOLDS(writer != NULL);
  // More regions than the first few that there is room for.
  for (int i = 0; i < 20; i++) {
    uint64_t address = 0;
    HOLDS(mv_writer_map(writer, PAGE, PAGE, &address) == 0);
    ((volatile double *)(uintptr_t)address)[8 + i] = i + 1;
  }
  return NULL;
}

static void writers_of_threads(void) {
  int agent = opening();
  // The main thread's writer stays when another thread's goes.
  int fd = opening();
  HOLDS(mv_lock(fd, 2 * PAGE, PAGE) == 0);
  struct writer *mine = mv_writer_open(fd);
  pthread_t thread;
  HOLDS(pthread_create(&thread, NULL, write_and_end, NULL) == 0);
  HOLDS(pthread_join(thread, NULL) == 0);
  HOLDS(mv_locked(agent, PAGE, PAGE) == 0);
  HOLDS(mv_locked(agent, 2 * PAGE, PAGE) == 1);
  volatile double *page = map_page(agent, 1, 0);
  for (int i = 0; i < 20; i++) HOLDS(page[8 + i] == i + 1);
  unmap_page(page);
  mv_writer_close(mine);
  HOLDS(mv_locked(agent, 2 * PAGE, PAGE) == 0);
  HOLDS(mv_close(fd) == -EBADF);
  mv_close(agent);
  puts("writers: let go of lock and pages when they close, and when their thread ends");
}

static void forked_child(void) {
  int agent = opening();
  int fd = opening();
  HOLDS(mv_lock(fd, PAGE, PAGE) == 0);
  struct writer *writer = mv_writer_open(fd);
  uint64_t address = 0;
  HOLDS(mv_writer_map(writer, PAGE, PAGE, &address) == 0);
  volatile double *page = (volatile double *)(uintptr_t)address;
  page[8] = 7;
  HOLDS(mv_forks() == 0);
  int done[2], go[2];
  HOLDS(pipe(done) == 0 && pipe(go) == 0);
  pid_t child = fork();
  HOLDS(child >= 0);
  char byte = 0;
  if (child == 0) {
    HOLDS(mv_forks() == 1);
    // Zeroes of its own, at the same address.
    HOLDS(page[8] == 0);
    page[8] = 99;
    uint64_t other = 0;
    HOLDS(mv_writer_map(writer, PAGE, PAGE, &other) == 0);
    HOLDS(((volatile double *)(uintptr_t)other)[8] == 0);
    HOLDS(write(done[1], "x", 1) == 1);
    HOLDS(read(go[0], &byte, 1) == 1);
    _exit(0);
  }
  // A child that ends early closes the last end for writing.
  close(done[1]);
  HOLDS(read(done[0], &byte, 1) == 1);
  HOLDS(page[8] == 7);
  HOLDS(mv_forks() == 0);
  HOLDS(mv_locked(agent, PAGE, PAGE) == 1);
  mv_writer_close(writer);
  // The child lives on, and does not hold what the parent has let go of.
  HOLDS(mv_locked(agent, PAGE, PAGE) == 0);
  HOLDS(write(go[1], "x", 1) == 1);
  int status = 0;
  HOLDS(waitpid(child, &status, 0) == child);
  HOLDS(WIFEXITED(status) && WEXITSTATUS(status) == 0);
  volatile double *shared = map_page(agent, 1, 0);
  HOLDS(shared[8] == 7);
  unmap_page(shared);
  close(done[0]);
  close(go[0]);
  close(go[1]);
  mv_close(agent);
  puts("fork: the child's stores do not reach the parent's pages, and it holds no lock");
}

static void clocks(void) {
  HOLDS(mv_timer_slack_ns(1) == 0);
  double before = mv_monotonic_ns();
  double deadline = before + 2 * MS;
  mv_sleep_until_ns(deadline);
  HOLDS(mv_monotonic_ns() >= deadline);
  HOLDS(mv_unix_ms() > 1.7e12);
  double now = mv_monotonic_ns();
  mv_sleep_until_ns(now - SECOND);
  HOLDS(mv_monotonic_ns() - now < SECOND);
  double ticks = mv_ticks();
  HOLDS(ticks >= 0 && mv_ticks() >= ticks);
  HOLDS(mv_ticks_per_ms() > 1000);
  puts("clocks: a deadline is waited for, one that has passed is not");
}

static void poll_and_events(void) {
  int event = mv_eventfd();
  HOLDS(event >= 0);
  struct pollfd fds[1] = {{.fd = event, .events = POLLIN, .revents = 0}};
  double deadline = mv_monotonic_ns() + 3 * MS;
  HOLDS(mv_poll_until_ns(fds, 1, deadline) == 0);
  HOLDS(mv_monotonic_ns() >= deadline);
  double now = mv_monotonic_ns();
  HOLDS(mv_poll_until_ns(fds, 1, 0) == 0);
  HOLDS(mv_poll_until_ns(fds, 0, now - SECOND) == 0);
  HOLDS(mv_monotonic_ns() - now < SECOND);
  HOLDS(mv_event_clear(event) == -EAGAIN);
  HOLDS(mv_event_set(event) == 0 && mv_event_set(event) == 0);
  HOLDS(mv_poll_until_ns(fds, 1, -1) == 1);
  HOLDS((fds[0].revents & POLLIN) != 0);
  HOLDS(mv_event_clear(event) == 0);
  HOLDS(mv_poll_until_ns(fds, 1, 0) == 0);
  mv_close(event);
  puts("poll: ends at its deadline, or when an event is set");
}

static void local(void) {
  struct sockaddr_un address = {.sun_family = AF_UNIX};
  snprintf(address.sun_path, sizeof address.sun_path, "/tmp/microview-shim-%d.sock", getpid());
  int listener = socket(AF_UNIX, SOCK_STREAM, 0);
  HOLDS(bind(listener, (struct sockaddr *)&address, sizeof address) == 0);
  HOLDS(listen(listener, 1) == 0);
  int client = socket(AF_UNIX, SOCK_STREAM, 0);
  HOLDS(connect(client, (struct sockaddr *)&address, sizeof address) == 0);
  int server = accept(listener, NULL, NULL);
  HOLDS(mv_local_user(server, address.sun_path) == getuid());
  HOLDS(mv_local_user(server, "/tmp/another.sock") == -ENOTCONN);
  HOLDS(mv_local_user(client, address.sun_path) == -ENOTCONN);
  HOLDS(mv_local_user(listener, address.sun_path) == -ENOTCONN);
  HOLDS(mv_local_user(-1, address.sun_path) == -EBADF);
  close(client);
  close(server);
  close(listener);
  unlink(address.sun_path);
  puts("local: a connection to the socket tells its user, and nothing else is one");
}

static void wait_for(int fd, short events) {
  struct pollfd fds[1] = {{.fd = fd, .events = events, .revents = 0}};
  HOLDS(mv_poll_until_ns(fds, 1, mv_monotonic_ns() + 10 * SECOND) == 1);
}

static void tcp(void) {
  int listener = mv_tcp_listen("127.0.0.1", 0, 8);
  HOLDS(listener >= 0);
  int port = mv_local_port(listener);
  HOLDS(port > 0 && port < 65536);
  HOLDS(mv_tcp_listen("127.0.0.1", port, 8) == -EADDRINUSE);
  HOLDS(mv_accept(listener) == -EAGAIN);
  int client = mv_tcp_connect("127.0.0.1", port);
  HOLDS(client >= 0);
  wait_for(client, POLLOUT);
  HOLDS(mv_socket_error(client) == 0);
  wait_for(listener, POLLIN);
  int server = mv_accept(listener);
  HOLDS(server >= 0);

  uint8_t sent[32], received[32] = {0};
  for (int i = 0; i < 32; i++) sent[i] = (uint8_t)(i + 1);
  HOLDS(mv_recv(server, received, 0, sizeof received) == -EAGAIN);
  HOLDS(mv_send(client, sent, 4, 8) == 8);
  wait_for(server, POLLIN);
  HOLDS(mv_recv(server, received, 16, 16) == 8);
  HOLDS(memcmp(received + 16, sent + 4, 8) == 0 && received[15] == 0 && received[24] == 0);

  // The first piece is left out.
  struct iovec pieces[3] = {{sent, 1}, {sent + 20, 3}, {sent + 28, 2}};
  HOLDS(mv_sendv(server, pieces, 1, 2) == 5);
  wait_for(client, POLLIN);
  HOLDS(mv_recv(client, received, 0, sizeof received) == 5);
  uint8_t gathered[5] = {21, 22, 23, 29, 30};
  HOLDS(memcmp(received, gathered, sizeof gathered) == 0);

  // A socket that nobody reads says so, and does not block.
  static uint8_t much[1 << 16];
  int64_t n = 0;
  for (int i = 0; i < 10000 && n >= 0; i++) n = mv_send(client, much, 0, sizeof much);
  HOLDS(n == -EAGAIN);

  mv_close(client);
  // What was sent before the end is read before it.
  do {
    wait_for(server, POLLIN);
    n = mv_recv(server, much, 0, sizeof much);
  } while (n > 0);
  HOLDS(n == 0);
  // No SIGPIPE: the second send meets a connection that the first has found closed.
  for (int i = 0; i < 100 && n >= 0; i++) {
    n = mv_send(server, sent, 0, 1);
    struct pollfd fds[1] = {{.fd = server, .events = 0, .revents = 0}};
    mv_poll_until_ns(fds, 1, mv_monotonic_ns() + MS);
  }
  HOLDS(n == -EPIPE || n == -ECONNRESET);
  mv_close(server);
  mv_close(listener);

  int refused = mv_tcp_connect("127.0.0.1", port);
  if (refused >= 0) {
    wait_for(refused, POLLOUT);
    HOLDS(mv_socket_error(refused) == -ECONNREFUSED);
    mv_close(refused);
  } else {
    HOLDS(refused == -ECONNREFUSED);
  }
  HOLDS(mv_tcp_connect("no host has this name", 1) == -EHOSTUNREACH);
  puts("tcp: bytes arrive in order, full and closed sockets are errors and not signals");
}

int main(void) {
  int fd = mkstemp(path);
  if (fd < 0) {
    perror(path);
    return 1;
  }
  atexit(remove_file);
  mv_close(fd);
  files();
  others_than_files();
  mappings();
  cut_files();
  locks();
  writers_of_threads();
  forked_child();
  clocks();
  poll_and_events();
  local();
  tcp();
  return 0;
}
