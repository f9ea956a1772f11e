// The user-space C of microview: what bun:ffi cannot do without help, each as one small function.
// Files and mappings, open-file-description locks, clocks and deadlines, sockets and poll.
// Functions answer with a value ≥ 0, or with -errno. No state but the list of a thread's writers.
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#include "layout.h"

#define API __attribute__((visibility("default")))

// The contract with src/layout/constants.ts, as C sees it.
struct mv_page {
  uint32_t magic;
  uint32_t index;
  uint32_t owner;
  uint32_t grants;
  uint8_t reserved[48];
  double slots[MV_SLOTS_PER_PAGE];
};
_Static_assert(sizeof(struct mv_page) == MV_PAGE_BYTES, "a page is 4096 bytes");
_Static_assert(offsetof(struct mv_page, magic) == MV_PAGE_MAGIC, "page magic");
_Static_assert(offsetof(struct mv_page, index) == MV_PAGE_INDEX, "page index");
_Static_assert(offsetof(struct mv_page, owner) == MV_PAGE_OWNER, "page owner");
_Static_assert(offsetof(struct mv_page, grants) == MV_PAGE_GRANTS, "page grants");
_Static_assert(offsetof(struct mv_page, slots) == MV_PAGE_HEADER_BYTES, "slots follow the header");
_Static_assert(sizeof(double) == MV_SLOT_BYTES, "a slot is a double");
_Static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__, "the layout is little-endian");

API uint32_t mv_layout_version(void) { return MV_LAYOUT_VERSION; }

// ---------------------------------------------------------------- files and mappings

static int result(int value) { return value < 0 ? -errno : value; }

// Opens plain files alone, and never waits for whoever has a lease on one. The path may come from others, and to open a
// device does something: a watchdog begins to wait, a tape is wound back. So it is looked at before it is opened.
API int mv_open(const char *path, int flags, int mode) {
  const int always = O_CLOEXEC | O_NONBLOCK | O_NOCTTY;
  if ((flags & O_CREAT) != 0) return result(open(path, flags | always | O_NOFOLLOW, (mode_t)mode));
  int found = open(path, O_PATH | O_CLOEXEC | O_NOFOLLOW);
  if (found < 0) return -errno;
  struct stat s;
  int status;
  if (fstat(found, &s) < 0) {
    status = -errno;
  } else if (!S_ISREG(s.st_mode)) {
    status = S_ISLNK(s.st_mode) ? -ELOOP : -ENXIO;
  } else {
    char self[32];
    snprintf(self, sizeof self, "/proc/self/fd/%d", found);
    status = result(open(self, flags | always));
  }
  close(found);
  return status;
}

API int mv_close(int fd) { return result(close(fd)); }

API int mv_truncate(int fd, uint64_t bytes) { return result(ftruncate(fd, (off_t)bytes)); }

// Takes the memory now, so that a store never meets a full tmpfs (which would be a SIGBUS).
API int mv_allocate(int fd, uint64_t offset, uint64_t bytes) {
  return result(fallocate(fd, FALLOC_FL_KEEP_SIZE, (off_t)offset, (off_t)bytes));
}

// Gives an open file a name again. Not one that has no name left at all: that is ENOENT.
API int mv_link(int fd, const char *path) {
  char self[32];
  snprintf(self, sizeof self, "/proc/self/fd/%d", fd);
  return result(linkat(AT_FDCWD, self, AT_FDCWD, path, AT_SYMLINK_FOLLOW));
}

// out: size, inode, device, links, allocated bytes, mode with the kind of file, user, group
API int mv_stat(int fd, double *out) {
  struct stat s;
  if (fstat(fd, &s) < 0) return -errno;
  out[0] = (double)s.st_size;
  out[1] = (double)s.st_ino;
  out[2] = (double)s.st_dev;
  out[3] = (double)s.st_nlink;
  out[4] = (double)s.st_blocks * 512.0;
  out[5] = (double)s.st_mode;
  out[6] = (double)s.st_uid;
  out[7] = (double)s.st_gid;
  return 0;
}

// A member of an application may cut its pool short under everyone who has it mapped, and a load or store behind the
// new end is a SIGBUS. Nobody dies of that here: the page becomes private zeroes, which readers find to be damaged.
// As many mappings as a process may have unless its system was told otherwise; one more is refused, not left unguarded.
#define MAX_GUARDED 65536
struct guarded {
  _Atomic uintptr_t start;
  _Atomic size_t bytes;
};
static struct guarded guarded[MAX_GUARDED];
// Entries below were used at some time: nobody looks beyond.
static _Atomic size_t guarded_end;
// Where to look for a free entry first: those below are probably taken.
static _Atomic size_t guarded_low;
static atomic_uint guard_hits;
static struct sigaction sigbus_before;
static pthread_once_t guard_once = PTHREAD_ONCE_INIT;

static void on_sigbus(int number, siginfo_t *info, void *context) {
  (void)context;
  uintptr_t at = (uintptr_t)info->si_addr;
  size_t end = atomic_load(&guarded_end);
  for (size_t i = 0; i < end; i++) {
    uintptr_t start = atomic_load(&guarded[i].start);
    if (start == 0 || at < start || at >= start + atomic_load(&guarded[i].bytes)) continue;
    void *page = (void *)(at & ~(uintptr_t)(MV_PAGE_BYTES - 1));
    if (mmap(page, MV_PAGE_BYTES, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0) ==
        MAP_FAILED)
      break;
    atomic_fetch_add(&guard_hits, 1);
    return;
  }
  // Not ours: the instruction faults again, for whoever was here before.
  sigaction(number, &sigbus_before, NULL);
}

static void install_guard(void) {
  struct sigaction action = {.sa_sigaction = on_sigbus, .sa_flags = SA_SIGINFO | SA_ONSTACK | SA_NODEFER};
  sigemptyset(&action.sa_mask);
  sigaction(SIGBUS, &action, &sigbus_before);
}

static void raise_to(_Atomic size_t *value, size_t least) {
  size_t known = atomic_load(value);
  while (known < least && !atomic_compare_exchange_weak(value, &known, least)) {
  }
}

static int guard_from(size_t first, void *address, size_t bytes) {
  for (size_t i = first; i < MAX_GUARDED; i++) {
    uintptr_t none = 0;
    // An entry of 0 bytes guards nothing: its start is stored first, by whoever claims it.
    if (!atomic_compare_exchange_strong(&guarded[i].start, &none, (uintptr_t)address)) continue;
    raise_to(&guarded_end, i + 1);
    atomic_store(&guarded[i].bytes, bytes);
    raise_to(&guarded_low, i + 1);
    return 1;
  }
  return 0;
}

// Answers with 0 where no entry is free.
static int guard(void *address, size_t bytes) {
  pthread_once(&guard_once, install_guard);
  return guard_from(atomic_load(&guarded_low), address, bytes) || guard_from(0, address, bytes);
}

static void unguard(const void *address) {
  size_t end = atomic_load(&guarded_end);
  for (size_t i = 0; i < end; i++) {
    if (atomic_load(&guarded[i].start) != (uintptr_t)address) continue;
    atomic_store(&guarded[i].bytes, 0);
    atomic_store(&guarded[i].start, 0);
    size_t low = atomic_load(&guarded_low);
    while (low > i && !atomic_compare_exchange_weak(&guarded_low, &low, i)) {
    }
    return;
  }
}

// How many pages of cut files were replaced in this process.
API uint32_t mv_guard_hits(void) { return atomic_load(&guard_hits); }

// Writes the address to out[0]; fd < 0 maps anonymous memory.
API int mv_map(int fd, uint64_t offset, uint64_t bytes, int writable, uint64_t *out) {
  int prot = PROT_READ | (writable ? PROT_WRITE : 0);
  int flags = fd < 0 ? MAP_PRIVATE | MAP_ANONYMOUS : MAP_SHARED;
  void *address = mmap(NULL, bytes, prot, flags, fd, (off_t)offset);
  if (address == MAP_FAILED) return -errno;
  if (fd >= 0 && !guard(address, bytes)) {
    munmap(address, bytes);
    return -ENOMEM;
  }
  *out = (uint64_t)(uintptr_t)address;
  return 0;
}

API int mv_unmap(void *address, uint64_t bytes) {
  unguard(address);
  return result(munmap(address, bytes));
}

// For memory that JavaScript has no view of.
API void mv_copy(void *to, const void *from, uint64_t bytes) { memcpy(to, from, bytes); }

// ---------------------------------------------------------------- locks

static int lock_call(int fd, int command, short type, uint64_t offset, uint64_t bytes, struct flock *lock) {
  memset(lock, 0, sizeof *lock);
  lock->l_type = type;
  lock->l_whence = SEEK_SET;
  lock->l_start = (off_t)offset;
  lock->l_len = (off_t)bytes;
  return fcntl(fd, command, lock);
}

// 0: the bytes are ours until the description is closed, which a process's death does by itself.
API int mv_lock(int fd, uint64_t offset, uint64_t bytes) {
  struct flock lock;
  return result(lock_call(fd, F_OFD_SETLK, F_WRLCK, offset, bytes, &lock));
}

API int mv_unlock(int fd, uint64_t offset, uint64_t bytes) {
  struct flock lock;
  return result(lock_call(fd, F_OFD_SETLK, F_UNLCK, offset, bytes, &lock));
}

// 1 when another description holds any of the bytes, 0 when none does. Needs no right to write. Agents and writers lock
// for writing: a lock for reading, which everybody may take who may read the file, says nothing of them.
API int mv_locked(int fd, uint64_t offset, uint64_t bytes) {
  struct flock lock;
  if (lock_call(fd, F_OFD_GETLK, F_RDLCK, offset, bytes, &lock) < 0) return -errno;
  return lock.l_type != F_UNLCK;
}

// ---------------------------------------------------------------- the writers of a thread

// A writer's lock has to go when its thread goes (a Bun Worker that ends leaves its process alive), and its
// mappings must not be shared by a forked child, which would be a second writer of the same slots.
struct region {
  void *address;
  size_t bytes;
};
struct writer {
  struct writer *next;
  pthread_t thread;
  int fd;
  size_t count, capacity;
  struct region *regions;
};

static pthread_mutex_t writers_mutex = PTHREAD_MUTEX_INITIALIZER;
static struct writer *writers;
static pthread_key_t thread_key;
static pthread_once_t once = PTHREAD_ONCE_INIT;
static atomic_uint forks;

static void writer_free(struct writer *w) {
  for (size_t i = 0; i < w->count; i++) {
    unguard(w->regions[i].address);
    munmap(w->regions[i].address, w->regions[i].bytes);
  }
  if (w->fd >= 0) close(w->fd);
  free(w->regions);
  free(w);
}

static void thread_ended(void *armed) {
  (void)armed;
  pthread_mutex_lock(&writers_mutex);
  for (struct writer **link = &writers; *link != NULL;) {
    struct writer *w = *link;
    if (pthread_equal(w->thread, pthread_self())) {
      *link = w->next;
      writer_free(w);
    } else {
      link = &w->next;
    }
  }
  pthread_mutex_unlock(&writers_mutex);
}

static void before_fork(void) { pthread_mutex_lock(&writers_mutex); }
static void parent_after_fork(void) { pthread_mutex_unlock(&writers_mutex); }

// In the child: the same addresses become private zeroes, the locks stay the parent's alone.
static void child_after_fork(void) {
  for (struct writer *w = writers; w != NULL; w = w->next) {
    for (size_t i = 0; i < w->count; i++) {
      mmap(w->regions[i].address, w->regions[i].bytes, PROT_READ | PROT_WRITE,
           MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0);
    }
    close(w->fd);
    w->fd = -1;
  }
  atomic_fetch_add(&forks, 1);
  pthread_mutex_unlock(&writers_mutex);
}

static void set_up(void) {
  pthread_key_create(&thread_key, thread_ended);
  pthread_atfork(before_fork, parent_after_fork, child_after_fork);
}

// Ties a locked descriptor to the calling thread's life. Answers with a handle, or 0 when memory is short.
API void *mv_writer_open(int fd) {
  pthread_once(&once, set_up);
  struct writer *w = calloc(1, sizeof *w);
  if (w == NULL) return NULL;
  w->thread = pthread_self();
  w->fd = fd;
  pthread_setspecific(thread_key, w);
  pthread_mutex_lock(&writers_mutex);
  w->next = writers;
  writers = w;
  pthread_mutex_unlock(&writers_mutex);
  return w;
}

// Maps pages of the writer's pool for writing; they are unmapped when it closes or its thread ends.
API int mv_writer_map(struct writer *w, uint64_t offset, uint64_t bytes, uint64_t *out) {
  pthread_mutex_lock(&writers_mutex);
  int status = -ENOMEM;
  if (w->count == w->capacity) {
    size_t capacity = w->capacity == 0 ? 4 : w->capacity * 2;
    struct region *regions = realloc(w->regions, capacity * sizeof *regions);
    if (regions == NULL) goto done;
    w->regions = regions;
    w->capacity = capacity;
  }
  status = mv_map(w->fd, offset, bytes, 1, out);
  if (status == 0) {
    w->regions[w->count].address = (void *)(uintptr_t)*out;
    w->regions[w->count].bytes = bytes;
    w->count++;
  }
done:
  pthread_mutex_unlock(&writers_mutex);
  return status;
}

API void mv_writer_close(struct writer *w) {
  pthread_mutex_lock(&writers_mutex);
  struct writer **link = &writers;
  while (*link != NULL && *link != w) link = &(*link)->next;
  if (*link == w) {
    *link = w->next;
    writer_free(w);
  }
  pthread_mutex_unlock(&writers_mutex);
}

// How many forks lie between this process and the one that loaded the shim.
API uint32_t mv_forks(void) { return atomic_load(&forks); }

// ---------------------------------------------------------------- clocks

static double to_ns(struct timespec t) { return (double)t.tv_sec * 1e9 + (double)t.tv_nsec; }

API double mv_monotonic_ns(void) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return to_ns(t);
}

// Unix time in ms with a fraction: a double holds it to a quarter of a microsecond.
API double mv_unix_ms(void) {
  struct timespec t;
  clock_gettime(CLOCK_REALTIME, &t);
  return (double)t.tv_sec * 1e3 + (double)t.tv_nsec / 1e6;
}

// The processor's counter, which takes no system call: a tenth of what the clocks cost. Counted from when this library
// was loaded, so that a double holds it exactly for weeks.
static uint64_t ticks_now(void) {
#if defined(__x86_64__)
  return __builtin_ia32_rdtsc();
#elif defined(__aarch64__)
  uint64_t ticks;
  __asm__ volatile("mrs %0, cntvct_el0" : "=r"(ticks));
  return ticks;
#else
  return (uint64_t)mv_monotonic_ns();
#endif
}

static uint64_t ticks_at_load;

API double mv_ticks(void) { return (double)(ticks_now() - ticks_at_load); }

// The counter and the monotonic clock at one instant. A thread may be held up between the two: the closest pair counts.
struct instant {
  double ticks, ns;
};

static struct instant instant_now(void) {
  struct instant closest = {0};
  double least = 0;
  for (int i = 0; i < 8; i++) {
    double before = mv_ticks(), ns = mv_monotonic_ns(), apart = mv_ticks() - before;
    if (i > 0 && apart >= least) continue;
    least = apart;
    closest = (struct instant){before + apart / 2, ns};
  }
  return closest;
}

static struct instant loaded;
__attribute__((constructor)) static void start_ticks(void) {
  ticks_at_load = ticks_now();
  loaded = instant_now();
}

#define MEASURED_NS_MIN 1e6
// A machine that sleeps may count ticks and not time.
#define MEASURED_NS_MAX 10e9

// Ticks per millisecond, measured against the monotonic clock since the load, which may take a millisecond.
API double mv_ticks_per_ms(void) {
  struct instant from = loaded, to = instant_now();
  if (to.ns > from.ns + MEASURED_NS_MAX) from = to;
  while (to.ns < from.ns + MEASURED_NS_MIN) to = instant_now();
  return (to.ticks - from.ticks) / (to.ns - from.ns) * 1e6;
}

// How much later than asked the kernel may wake the calling thread, to save power; 50 µs unless told otherwise.
API int mv_timer_slack_ns(uint64_t ns) { return result(prctl(PR_SET_TIMERSLACK, ns, 0, 0, 0)); }

// Sleeps to a deadline of the monotonic clock; signals do not cut it short.
API void mv_sleep_until_ns(double deadline) {
  struct timespec t = {.tv_sec = (time_t)(deadline / 1e9)};
  t.tv_nsec = (long)(deadline - (double)t.tv_sec * 1e9);
  while (clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &t, NULL) == EINTR) {
  }
}

// ---------------------------------------------------------------- sockets

static int resolve(const char *host, int port, int passive, struct addrinfo **out) {
  char service[16];
  snprintf(service, sizeof service, "%d", port);
  struct addrinfo hints = {.ai_socktype = SOCK_STREAM,
                           .ai_flags = AI_NUMERICSERV | (passive ? AI_PASSIVE : 0)};
  return getaddrinfo(host, service, &hints, out) == 0 ? 0 : -EHOSTUNREACH;
}

API int mv_tcp_listen(const char *host, int port, int backlog) {
  struct addrinfo *list;
  int status = resolve(host, port, 1, &list);
  if (status < 0) return status;
  status = -EADDRNOTAVAIL;
  for (struct addrinfo *a = list; a != NULL; a = a->ai_next) {
    int fd = socket(a->ai_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd < 0) {
      status = -errno;
      continue;
    }
    int on = 1;
    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
    if (bind(fd, a->ai_addr, a->ai_addrlen) == 0 && listen(fd, backlog) == 0) {
      status = fd;
      break;
    }
    status = -errno;
    close(fd);
  }
  freeaddrinfo(list);
  return status;
}

static void tune(int fd) {
  int on = 1;
  setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
}

// Starts a connection; the socket is writable once it stands (or failed: see mv_socket_error).
API int mv_tcp_connect(const char *host, int port) {
  struct addrinfo *list;
  int status = resolve(host, port, 0, &list);
  if (status < 0) return status;
  status = -EHOSTUNREACH;
  for (struct addrinfo *a = list; a != NULL; a = a->ai_next) {
    int fd = socket(a->ai_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd < 0) {
      status = -errno;
      continue;
    }
    tune(fd);
    if (connect(fd, a->ai_addr, a->ai_addrlen) == 0 || errno == EINPROGRESS) {
      status = fd;
      break;
    }
    status = -errno;
    close(fd);
  }
  freeaddrinfo(list);
  return status;
}

API int mv_accept(int fd) {
  int connection = accept4(fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
  if (connection < 0) return -errno;
  tune(connection);
  return connection;
}

API int mv_socket_error(int fd) {
  int error = 0;
  socklen_t bytes = sizeof error;
  return getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &bytes) < 0 ? -errno : -error;
}

API int mv_local_port(int fd) {
  struct sockaddr_storage address;
  socklen_t bytes = sizeof address;
  if (getsockname(fd, (struct sockaddr *)&address, &bytes) < 0) return -errno;
  return ntohs(address.ss_family == AF_INET6 ? ((struct sockaddr_in6 *)&address)->sin6_port
                                             : ((struct sockaddr_in *)&address)->sin_port);
}

// The peer's port; its address goes to `text`, ended by 0.
API int mv_peer(int fd, char *text, uint32_t bytes) {
  struct sockaddr_storage address;
  socklen_t length = sizeof address;
  if (getpeername(fd, (struct sockaddr *)&address, &length) < 0) return -errno;
  int is6 = address.ss_family == AF_INET6;
  struct sockaddr_in6 *v6 = (struct sockaddr_in6 *)&address;
  struct sockaddr_in *v4 = (struct sockaddr_in *)&address;
  const void *number = is6 ? (const void *)&v6->sin6_addr : (const void *)&v4->sin_addr;
  if (inet_ntop(address.ss_family, number, text, bytes) == NULL) return -errno;
  return ntohs(is6 ? v6->sin6_port : v4->sin_port);
}

// The uid of the peer of a connection to the Unix socket at `path`. Fails with ENOTCONN for the listening socket itself.
API int64_t mv_local_user(int fd, const char *path) {
  struct sockaddr_un own = {0};
  struct sockaddr_storage peer;
  struct ucred user;
  socklen_t own_bytes = sizeof own - 1, peer_bytes = sizeof peer, user_bytes = sizeof user;
  if (getsockname(fd, (struct sockaddr *)&own, &own_bytes) < 0) return -errno;
  if (own.sun_family != AF_UNIX || strcmp(own.sun_path, path) != 0) return -ENOTCONN;
  if (getpeername(fd, (struct sockaddr *)&peer, &peer_bytes) < 0) return -errno;
  if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &user, &user_bytes) < 0) return -errno;
  return user.uid;
}

// Ends a connection that somebody else goes on to own, and will find ended.
API int mv_hang_up(int fd) { return shutdown(fd, SHUT_RDWR) < 0 ? -errno : 0; }

API int64_t mv_recv(int fd, uint8_t *buffer, uint64_t offset, uint64_t bytes) {
  ssize_t n = recv(fd, buffer + offset, bytes, MSG_DONTWAIT);
  return n < 0 ? -errno : n;
}

API int64_t mv_send(int fd, const uint8_t *buffer, uint64_t offset, uint64_t bytes) {
  ssize_t n = send(fd, buffer + offset, bytes, MSG_DONTWAIT | MSG_NOSIGNAL);
  return n < 0 ? -errno : n;
}

// Several pieces in one call: a response's header and its ranges.
API int64_t mv_sendv(int fd, const struct iovec *pieces, uint32_t first, uint32_t count) {
  struct msghdr message = {.msg_iov = (struct iovec *)(uintptr_t)(pieces + first),
                           .msg_iovlen = count < IOV_MAX ? count : IOV_MAX};
  ssize_t n = sendmsg(fd, &message, MSG_DONTWAIT | MSG_NOSIGNAL);
  return n < 0 ? -errno : n;
}

// The end to read from, then that to write to.
API int mv_pipe(int *ends) { return result(pipe2(ends, O_CLOEXEC)); }

API int mv_eventfd(void) { return result(eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)); }

API int mv_event_set(int fd) {
  uint64_t one = 1;
  return write(fd, &one, sizeof one) < 0 ? -errno : 0;
}

API int mv_event_clear(int fd) {
  uint64_t count;
  return read(fd, &count, sizeof count) < 0 ? -errno : 0;
}

// Waits for any of `count` descriptors, or until a deadline of the monotonic clock (< 0: without end).
API int mv_poll_until_ns(struct pollfd *fds, uint32_t count, double deadline) {
  struct timespec wait, *timeout = NULL;
  if (deadline >= 0) {
    double left = deadline - mv_monotonic_ns();
    if (left < 0) left = 0;
    wait.tv_sec = (time_t)(left / 1e9);
    wait.tv_nsec = (long)(left - (double)wait.tv_sec * 1e9);
    timeout = &wait;
  }
  int ready = ppoll(fds, count, timeout, NULL);
  if (ready < 0) return errno == EINTR ? 0 : -errno;
  return ready;
}
