// Exercises c/verbs.c over the mocked device of c/verbs_mock.c; `make sanitize` compiles them under sanitizers.
// Prints what holds, a line each; ends with 1 at the first thing that does not.
//   verbs_test <mocked library> <library without a function> <no library at all>
#define _GNU_SOURCE
#include <errno.h>
#include <infiniband/verbs.h>
#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "verbs.h"
#include "verbs_mock.h"

enum { PAGE = 4096, PAGES = 4, BYTES = PAGE * PAGES, SENDS = 8, GUARD_MS = 10000 };

static void failed(const char *file, int line, const char *what) {
  fprintf(stderr, "%s:%d: does not hold: %s (errno %d, %s)\n", file, line, what, errno, strerror(errno));
  _exit(1);
}

#define HOLDS(condition) ((condition) ? (void)0 : failed(__FILE__, __LINE__, #condition))

// ---------------------------------------------------------------- two ends

struct end {
  struct mv_device *device;
  struct mv_domain *domain;
  struct mv_region *region;
  uint8_t *memory;
  uint32_t keys[2];
  struct mv_queue_pair *pair;
  uint32_t number;
};

static uint8_t *map_memory(void) {
  void *memory = mmap(NULL, BYTES, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  HOLDS(memory != MAP_FAILED);
  return memory;
}

static struct mv_path path_to(uint32_t number, uint32_t psn, uint32_t remote_psn) {
  struct mv_path path = {
      .remote_number = number,
      .psn = psn,
      .remote_psn = remote_psn,
      .mtu = 4096,
      .port = 1,
      .global = 1,
      .hop_limit = 64,
      .timeout = 14,
      .retries = 7,
      .gid = {[10] = 0xff, [11] = 0xff, [12] = 192, [13] = 0, [14] = 2, [15] = 1},
  };
  return path;
}

static void connect_pairs(struct mv_queue_pair *target, uint32_t target_number, struct mv_queue_pair *reader,
                          uint32_t reader_number) {
  struct mv_path path = path_to(reader_number, 0x123456, 0xabcdef);
  path.reads_target = 16;
  HOLDS(mv_queue_pair_connect(target, &path) == 0);
  path = path_to(target_number, 0xabcdef, 0x123456);
  path.reads_initiator = 16;
  HOLDS(mv_queue_pair_connect(reader, &path) == 0);
}

static struct end open_end(uint32_t sends) {
  struct end end = {.memory = map_memory()};
  double facts[MV_FACT_COUNT];
  HOLDS(mv_device_open("mock0", 1, &end.device, facts) == 0);
  HOLDS(mv_domain_open(end.device, &end.domain) == 0);
  uint64_t first = sends == 0 ? 0x10000 : (uintptr_t)end.memory;
  HOLDS(mv_region_register(end.domain, end.memory, BYTES, first, sends == 0, &end.region, end.keys) == 0);
  HOLDS(mv_queue_pair_create(end.device, end.domain, 1, sends, &end.pair, &end.number) == 0);
  return end;
}

static void close_end(struct end *end) {
  HOLDS(mv_device_close(end->device) == 0);
  HOLDS(munmap(end->memory, BYTES) == 0);
}

// A target whose region begins at the address 0x10000 and holds a pattern, and a reader of it.
struct both {
  struct end target, reader;
};
enum { FIRST = 0x10000 };

static uint8_t pattern(uint32_t at) { return (uint8_t)(at * 31 + at / 251 + 1); }

static struct both open_both(void) {
  struct both both = {.target = open_end(0), .reader = open_end(SENDS)};
  for (uint32_t i = 0; i < BYTES; i++) both.target.memory[i] = pattern(i);
  connect_pairs(both.target.pair, both.target.number, both.reader.pair, both.reader.number);
  return both;
}

static void nothing_is_left(void) {
  mock_reset();
  HOLDS(mock_live_queue_pairs() == 0);
  HOLDS(mock_live_completion_queues() == 0);
  HOLDS(mock_live_regions() == 0);
  HOLDS(mock_live_domains() == 0);
  HOLDS(mock_live_channels() == 0);
  HOLDS(mock_live_contexts() == 0);
  HOLDS(mock_pinned_bytes() == 0);
}

static void close_both(struct both *both) {
  close_end(&both->reader);
  close_end(&both->target);
  nothing_is_left();
}

static struct mv_read read_of(const struct both *both, uint64_t at, uint32_t bytes) {
  return (struct mv_read){.remote = FIRST + at, .local = at, .bytes = bytes, .remote_key = both->target.keys[1]};
}

// The first words of the region.
static void words_of(const struct both *both, struct mv_read *reads, uint32_t count) {
  for (uint32_t i = 0; i < count; i++) reads[i] = read_of(both, 8 * i, 8);
}

static int post(const struct both *both, const struct mv_read *reads, uint32_t count, uint64_t id) {
  return mv_queue_pair_read(both->reader.pair, reads, 0, count, (uintptr_t)both->reader.memory, both->reader.keys[0],
                            id);
}

static int readable(const struct mv_device *device, int timeout) {
  struct pollfd fds[1] = {{.fd = mv_device_fd(device), .events = POLLIN, .revents = 0}};
  return poll(fds, 1, timeout);
}

// Waits for it, as one does who does not spin.
static struct mv_completion next_completion(struct mv_device *device) {
  struct mv_completion completion;
  for (;;) {
    int count = mv_device_completions(device, &completion, 1);
    HOLDS(count >= 0);
    if (count == 1) return completion;
    HOLDS(readable(device, GUARD_MS) == 1);
  }
}

static void none_waits(struct mv_device *device) {
  struct mv_completion completion;
  HOLDS(mv_device_completions(device, &completion, 1) == 0);
  HOLDS(readable(device, 0) == 0);
}

// ---------------------------------------------------------------- library and devices

static void loading(const char *mock, const char *lacking, const char *no_library) {
  struct mv_device *device = NULL;
  double facts[MV_FACT_COUNT];
  HOLDS(mv_device_open("mock0", 1, &device, facts) == -ENOENT);
  HOLDS(mv_verbs_load("/no/such/libibverbs.so.1") == -ENOENT);
  HOLDS(mv_verbs_load("libmicroview-no-such-library.so.1") == -ENOENT);
  HOLDS(mv_verbs_load(no_library) == -ELIBBAD);
  HOLDS(mv_verbs_load(lacking) == -ELIBBAD);
  HOLDS(mv_device_open("mock0", 1, &device, facts) == -ENOENT);
  puts("loading: a library that is missing, is none, or lacks a function is an error and not a crash");

  int real = mv_verbs_load(NULL);
  HOLDS(real == 0 || real == -ENOENT);
  HOLDS(mv_verbs_load("") == real);
  if (real == 0) {
    HOLDS(mv_device_open("mock0", 1, &device, facts) < 0);
    puts("loading: this host's own rdma-core has all functions");
  }
  HOLDS(mv_verbs_load(mock) == 0);
  HOLDS(mv_verbs_load(mock) == 0);
  HOLDS(mv_device_open("mock0", 1, &device, facts) == 0);
  // What is open stays with its library.
  HOLDS(mv_verbs_load(NULL) == real);
  uint8_t gid[16];
  HOLDS(mv_device_gid(device, 1, 0, gid) == 0);
  HOLDS(mv_device_close(device) == 0);
  HOLDS(mv_verbs_load(mock) == 0);
  nothing_is_left();
  puts("loading: devices are those of the library that was loaded last");
}

static void devices(void) {
  struct mv_device *device = NULL;
  double facts[MV_FACT_COUNT];
  HOLDS(mv_device_open("mock1", 1, &device, facts) == -ENODEV);
  HOLDS(mv_device_open("mock0", 2, &device, facts) == -EINVAL);
  HOLDS(mv_device_open("mock0", 0, &device, facts) == -EINVAL);
  HOLDS(mv_device_open("mock0", 257, &device, facts) == -EINVAL);
  mock_present(0);
  HOLDS(mv_device_open("mock0", 1, &device, facts) == -ENODEV);
  mock_present(1);
  mock_fail_next("get_device_list", ENOSYS);
  HOLDS(mv_device_open("mock0", 1, &device, facts) == -ENODEV);
  static const char *const opening[] = {"get_device_list", "open_device", "query_device", "query_port",
                                        "create_comp_channel"};
  for (size_t i = 0; i < sizeof opening / sizeof *opening; i++) {
    HOLDS(mock_fail_next(opening[i], EACCES) == 0);
    HOLDS(mv_device_open("mock0", 1, &device, facts) == -EACCES);
    nothing_is_left();
  }
  mock_fail_next("open_device", 0);
  HOLDS(mv_device_open("mock0", 1, &device, facts) == -EIO);
  HOLDS(device == NULL);
  nothing_is_left();
  puts("devices: one that cannot be opened says why, and leaves nothing behind");

  mock_limit_sends(100);
  HOLDS(mv_device_open("mock0", 1, &device, facts) == 0);
  HOLDS(facts[MV_FACT_MAX_QUEUE_PAIRS] == 16384 && facts[MV_FACT_MAX_SENDS] == 100);
  HOLDS(facts[MV_FACT_MAX_COMPLETIONS] == 65536 && facts[MV_FACT_MAX_REGION_BYTES] == (double)(1ull << 40));
  HOLDS(facts[MV_FACT_MAX_READS_TARGET] == 16 && facts[MV_FACT_MAX_READS_INITIATOR] == 16);
  HOLDS(facts[MV_FACT_MAX_MESSAGE_BYTES] == 1 << 30 && facts[MV_FACT_PORT_STATE] == IBV_PORT_ACTIVE);
  HOLDS(facts[MV_FACT_MTU] == 4096 && facts[MV_FACT_LID] == 0 && facts[MV_FACT_LINK_LAYER] == 2);
  uint8_t gid[16], none[16] = {0};
  struct mv_path path = path_to(0, 0, 0);
  HOLDS(mv_device_gid(device, 1, 0, gid) == 0 && memcmp(gid, path.gid, sizeof gid) == 0);
  HOLDS(mv_device_gid(device, 1, 1, gid) == 0 && memcmp(gid, none, sizeof gid) == 0);
  HOLDS(mv_device_gid(device, 1, 200, gid) == -EINVAL);
  HOLDS(mv_device_gid(device, 1, 256, gid) == -EINVAL);
  HOLDS(mv_device_gid(device, 2, 0, gid) == -EINVAL);
  struct mv_domain *domain;
  struct mv_queue_pair *pair;
  uint32_t number;
  HOLDS(mv_domain_open(device, &domain) == 0);
  HOLDS(mv_queue_pair_create(device, domain, 1, 101, &pair, &number) == -EINVAL);
  HOLDS(mv_queue_pair_create(device, domain, 1, UINT32_MAX, &pair, &number) == -EINVAL);
  HOLDS(mv_queue_pair_create(device, domain, 0, 1, &pair, &number) == -EINVAL);
  HOLDS(mv_queue_pair_create(device, domain, 2, 1, &pair, &number) == -EINVAL);
  HOLDS(mv_queue_pair_create(device, domain, 1, 100, &pair, &number) == 0);
  HOLDS(mv_device_close(device) == 0);
  nothing_is_left();
  puts("devices: tell what they can do, and no more is asked of them");
}

static void regions_and_domains(void) {
  struct end end = open_end(1);
  struct mv_region *region = NULL;
  uint32_t keys[2];
  double before = mock_pinned_bytes();
  HOLDS(mv_region_register(end.domain, end.memory, 0, 0, 1, &region, keys) == -EINVAL);
  HOLDS(mv_region_register(end.domain, end.memory + 8, 8, PAGE, 1, &region, keys) == -EINVAL);
  HOLDS(mv_region_register(end.domain, end.memory, (uint64_t)1 << 62, 0, 1, &region, keys) == -ENOMEM);
  mock_limit_pinned(before + PAGE);
  HOLDS(mv_region_register(end.domain, end.memory, PAGE + 1, 0, 1, &region, keys) == -ENOMEM);
  HOLDS(mock_pinned_bytes() == before);
  HOLDS(mv_region_register(end.domain, end.memory + 8, 8, PAGE + 8, 1, &region, keys) == 0);
  HOLDS(mock_pinned_bytes() == before + PAGE);
  HOLDS(keys[0] != 0 && keys[1] != 0 && end.keys[1] == 0);
  HOLDS(mv_region_close(region) == 0);
  HOLDS(mock_pinned_bytes() == before);
  mock_reset();
  uint8_t *gone = map_memory();
  HOLDS(munmap(gone, BYTES) == 0);
  HOLDS(mv_region_register(end.domain, gone, BYTES, 0, 1, &region, keys) == -EFAULT);
  puts("regions: pin what they register, no more than allowed, and let go of it");

  HOLDS(mv_domain_close(end.domain) == -EBUSY);
  HOLDS(mv_region_close(end.region) == 0);
  HOLDS(mv_domain_close(end.domain) == -EBUSY);
  HOLDS(mv_queue_pair_close(end.pair) == 0);
  HOLDS(mv_domain_close(end.domain) == 0);
  close_end(&end);
  nothing_is_left();
  puts("domains: close after what was opened in them, and not before");
}

// ---------------------------------------------------------------- READs

static void reading(void) {
  struct both both = open_both();
  HOLDS(mv_queue_pair_state(both.target.pair) == IBV_QPS_RTS);
  HOLDS(mv_queue_pair_state(both.reader.pair) == IBV_QPS_RTS);
  none_waits(both.reader.device);
  struct mv_read reads[3] = {read_of(&both, 1, 1), read_of(&both, 8, 4096), read_of(&both, BYTES - 77, 77)};
  HOLDS(post(&both, reads, 3, (1ull << 53) - 1) == 0);
  struct mv_completion completion = next_completion(both.reader.device);
  HOLDS(completion.id == (1ull << 53) - 1 && completion.number == both.reader.number);
  HOLDS(completion.status == IBV_WC_SUCCESS && completion.vendor_error == 0);
  for (uint32_t i = 0; i < BYTES; i++) {
    int asked = i == 1 || (i >= 8 && i < 8 + 4096) || i >= BYTES - 77;
    HOLDS(both.reader.memory[i] == (asked ? pattern(i) : 0));
  }
  none_waits(both.reader.device);
  none_waits(both.target.device);
  puts("reading: many READs are posted as one and complete as one");

  struct mv_read elsewhere = {.remote = FIRST, .local = 100, .bytes = 8, .remote_key = both.target.keys[1]};
  HOLDS(mv_queue_pair_read(both.reader.pair, &elsewhere - 2, 2, 1, (uintptr_t)both.reader.memory + 11,
                           both.reader.keys[0], 7) == 0);
  HOLDS(next_completion(both.reader.device).id == 7);
  HOLDS(memcmp(both.reader.memory + 111, both.target.memory, 8) == 0);
  // Far more than the queue holds at once.
  for (uint64_t id = 0; id < 10 * SENDS; id++) {
    HOLDS(post(&both, reads, 1 + (uint32_t)(id % 3), id) == 0);
    completion = next_completion(both.reader.device);
    HOLDS(completion.id == id && completion.status == IBV_WC_SUCCESS);
  }
  close_both(&both);
  puts("reading: goes on when the queue has been around");
}

static void fences(void) {
  struct both both = open_both();
  struct mv_read reads[2] = {read_of(&both, 0, 8), read_of(&both, PAGE, 8)};
  reads[1].flags = MV_READ_FENCE;
  mock_hold(1);
  HOLDS(post(&both, reads, 2, 1) == 0);
  HOLDS(mock_release(1) == 1);
  memset(both.target.memory, 0xaa, 8);
  memset(both.target.memory + PAGE, 0xbb, 8);
  none_waits(both.reader.device);
  HOLDS(mock_release(9) == 1);
  HOLDS(next_completion(both.reader.device).status == IBV_WC_SUCCESS);
  HOLDS(both.reader.memory[0] == pattern(0));
  HOLDS(both.reader.memory[PAGE] == 0xbb);

  // The device may carry out the second before the first, but not across a fence.
  for (uint32_t fenced = 0; fenced < 2; fenced++) {
    mock_reorder(1);
    mock_hold(1);
    reads[1].flags = fenced ? MV_READ_FENCE : 0;
    memset(both.target.memory, 1, 8);
    memset(both.target.memory + PAGE, 1, 8);
    HOLDS(post(&both, reads, 2, 2) == 0);
    HOLDS(mock_release(1) == 1);
    none_waits(both.reader.device);
    memset(both.target.memory, 2, 8);
    memset(both.target.memory + PAGE, 2, 8);
    HOLDS(mock_release(1) == 1);
    HOLDS(next_completion(both.reader.device).status == IBV_WC_SUCCESS);
    HOLDS(both.reader.memory[0] == (fenced ? 1 : 2));
    HOLDS(both.reader.memory[PAGE] == (fenced ? 2 : 1));
  }
  close_both(&both);
  puts("fences: a READ behind one sees what was stored after the READ before it");
}

static void refusals(void) {
  struct both both = open_both();
  struct mv_read reads[SENDS + 1];
  for (int i = 0; i <= SENDS; i++) reads[i] = read_of(&both, 0, 8);
  HOLDS(post(&both, reads, 0, 1) == -EINVAL);
  HOLDS(post(&both, reads, SENDS + 1, 1) == -EINVAL);
  reads[2].bytes = 0;
  HOLDS(post(&both, reads, 3, 1) == -EINVAL);
  reads[2].bytes = 8;
  HOLDS(mv_queue_pair_read(both.target.pair, reads, 0, 1, 0, 0, 1) == -EINVAL);
  mock_hold(1);
  HOLDS(post(&both, reads, SENDS - 1, 1) == 0);
  HOLDS(post(&both, reads, 2, 2) == -EAGAIN);
  HOLDS(post(&both, reads, 1, 3) == 0);
  HOLDS(post(&both, reads, 1, 4) == -EAGAIN);
  mock_release(SENDS);
  // Carried out, but nobody has asked yet.
  HOLDS(post(&both, reads, 1, 5) == -EAGAIN);
  HOLDS(next_completion(both.reader.device).id == 1);
  HOLDS(post(&both, reads, SENDS, 6) == -EAGAIN);
  HOLDS(next_completion(both.reader.device).id == 3);
  HOLDS(post(&both, reads, SENDS, 7) == 0);
  mock_release(SENDS);
  HOLDS(next_completion(both.reader.device).id == 7);
  none_waits(both.reader.device);
  puts("posting: what there is no room for is refused before any of it is posted");

  // The device takes two and refuses the third.
  mock_hold(0);
  mock_fail_next("post_send", ENOMEM);
  HOLDS(post(&both, reads, 3, 8) == -ENOMEM);
  none_waits(both.reader.device);
  close_both(&both);

  struct mv_queue_pair *pair;
  struct end end = open_end(0);
  uint32_t number;
  HOLDS(mv_queue_pair_create(end.device, end.domain, 1, 1, &pair, &number) == 0);
  HOLDS(mv_queue_pair_state(pair) == IBV_QPS_INIT);
  struct mv_read read = {.remote = 0, .local = 0, .bytes = 8};
  HOLDS(mv_queue_pair_read(pair, &read, 0, 1, 0, 0, 1) == -EINVAL);
  none_waits(end.device);
  puts("posting: what the device refuses is an error");

#define REFUSED(field, value)                          \
  do {                                                 \
    struct mv_path path = path_to(1, 2, 3);            \
    path.field = value;                                \
    HOLDS(mv_queue_pair_connect(pair, &path) == -EINVAL); \
  } while (0)
  REFUSED(remote_number, 1 << 24);
  REFUSED(remote_psn, 1 << 24);
  REFUSED(psn, 1 << 24);
  REFUSED(mtu, 0);
  REFUSED(mtu, 128);
  REFUSED(mtu, 1500);
  REFUSED(mtu, 8192);
  REFUSED(port, 0);
  REFUSED(port, 256);
  REFUSED(global, 0);
  REFUSED(gid_index, 256);
  REFUSED(gid_index, 1);
  REFUSED(lid, 1 << 16);
  REFUSED(service_level, 16);
  REFUSED(traffic_class, 256);
  REFUSED(hop_limit, 256);
  REFUSED(timeout, 32);
  REFUSED(retries, 8);
  REFUSED(reads_initiator, 256);
  REFUSED(reads_target, 256);
#undef REFUSED
  HOLDS(mv_queue_pair_state(pair) == IBV_QPS_INIT);
  struct mv_path good = path_to(1, 2, 3);
  HOLDS(mv_queue_pair_connect(pair, &good) == 0);
  HOLDS(mv_queue_pair_connect(pair, &good) == -EINVAL);
  close_end(&end);
  nothing_is_left();
  puts("connecting: a path that cannot be is refused, and so is a second one");
}

static void wake_ups(void) {
  struct both both = open_both();
  struct mv_read read = read_of(&both, 0, 8);
  struct mv_completion completions[4];
  mock_hold(1);
  // A completion wakes; taken, the descriptor is quiet; the next one wakes again.
  for (uint64_t id = 0; id < 5; id++) {
    HOLDS(post(&both, &read, 1, id) == 0);
    none_waits(both.reader.device);
    mock_release(1);
    HOLDS(readable(both.reader.device, GUARD_MS) == 1);
    HOLDS(mv_device_completions(both.reader.device, completions, 4) == 1);
    HOLDS(completions[0].id == id);
    HOLDS(readable(both.reader.device, 0) == 0);
  }
  // Two complete, one is asked for: the second is not forgotten, with or without the descriptor.
  HOLDS(post(&both, &read, 1, 10) == 0);
  HOLDS(post(&both, &read, 1, 11) == 0);
  mock_release(2);
  HOLDS(mv_device_completions(both.reader.device, completions, 1) == 1 && completions[0].id == 10);
  HOLDS(mv_device_completions(both.reader.device, completions, 1) == 1 && completions[0].id == 11);
  none_waits(both.reader.device);
  // Who spins leaves the notice where it is; who sleeps afterwards is woken by it in vain, and then by what completes.
  for (uint64_t id = 20; id < 25; id++) {
    HOLDS(post(&both, &read, 1, id) == 0);
    HOLDS(mv_device_poll(both.reader.device, completions, 4) == 0);
    mock_release(1);
    HOLDS(mv_device_poll(both.reader.device, completions, 4) == 1 && completions[0].id == id);
    HOLDS(mv_device_poll(both.reader.device, completions, 4) == 0);
    HOLDS(readable(both.reader.device, GUARD_MS) == 1);
  }
  HOLDS(post(&both, &read, 1, 30) == 0);
  none_waits(both.reader.device);
  mock_release(1);
  HOLDS(readable(both.reader.device, GUARD_MS) == 1);
  HOLDS(mv_device_poll(both.reader.device, completions, UINT32_MAX) == -EINVAL);
  HOLDS(next_completion(both.reader.device).id == 30);
  none_waits(both.reader.device);
  HOLDS(mv_device_completions(both.reader.device, completions, 0) == 0);
  HOLDS(mv_device_completions(both.reader.device, completions, UINT32_MAX) == -EINVAL);
  puts("wake-ups: one per completion at most, and none is lost between two calls");

  int ends[2];
  HOLDS(pipe(ends) == 0);
  HOLDS(mv_device_watch(both.reader.device, ends[0]) == 0);
  HOLDS(mv_device_watch(both.reader.device, ends[0]) == -EEXIST);
  HOLDS(readable(both.reader.device, 0) == 0);
  HOLDS(write(ends[1], "x", 1) == 1);
  HOLDS(readable(both.reader.device, GUARD_MS) == 1);
  HOLDS(close(ends[0]) == 0 && close(ends[1]) == 0);
  HOLDS(readable(both.reader.device, 0) == 0);
  HOLDS(mv_device_watch(both.reader.device, ends[0]) == -EBADF);
  close_both(&both);
  puts("wake-ups: by another descriptor that is watched, as long as it is open");
}

enum { MANY = 5 };

static void fairness(void) {
  struct end target = open_end(0), reader = open_end(1);
  struct mv_queue_pair *targets[MANY], *readers[MANY];
  uint32_t target_numbers[MANY], numbers[MANY];
  for (int i = 0; i < MANY; i++) {
    HOLDS(mv_queue_pair_create(target.device, target.domain, 1, 0, &targets[i], &target_numbers[i]) == 0);
    HOLDS(mv_queue_pair_create(reader.device, reader.domain, 1, 64, &readers[i], &numbers[i]) == 0);
    connect_pairs(targets[i], target_numbers[i], readers[i], numbers[i]);
  }
  // Pairs that only answer share a completion queue.
  HOLDS(mock_live_completion_queues() == 1 + MANY + 1);
  struct mv_read read = {.remote = FIRST, .local = 0, .bytes = 8, .remote_key = target.keys[1]};
  // The first has 64 completions, the others one.
  for (int i = 0; i < MANY; i++) {
    for (int n = 0; n < (i == 0 ? 64 : 1); n++)
      HOLDS(mv_queue_pair_read(readers[i], &read, 0, 1, (uintptr_t)reader.memory, reader.keys[0], (uint64_t)i) == 0);
  }
  int seen[MANY] = {0};
  struct mv_completion completions[256];
  for (int n = 0; n < MANY; n++) {
    HOLDS(mv_device_completions(reader.device, completions, 1) == 1);
    seen[completions[0].id]++;
    HOLDS(completions[0].number == numbers[completions[0].id]);
  }
  for (int i = 0; i < MANY; i++) HOLDS(seen[i] == 1);
  HOLDS(mv_device_completions(reader.device, completions, 10) == 10);
  // The rest in one call, although it is more than is taken of one at a time.
  HOLDS(mv_device_completions(reader.device, completions, 256) == 64 - 11);
  none_waits(reader.device);
  puts("completions: taken from all pairs in turn");

  // A pair that is closed with its completions does not disturb the others' turn.
  for (int round = 0; round < MANY; round++) {
    for (int i = round; i < MANY; i++)
      HOLDS(mv_queue_pair_read(readers[i], &read, 0, 1, (uintptr_t)reader.memory, reader.keys[0], (uint64_t)i) == 0);
    HOLDS(mv_device_completions(reader.device, completions, 1) == (round < MANY ? 1 : 0));
    HOLDS(mv_queue_pair_close(readers[round]) == 0);
    int expected = 0, id = (int)completions[0].id;
    for (int i = round + 1; i < MANY; i++) expected += i != id;
    HOLDS(mv_device_completions(reader.device, completions, 256) == expected);
    none_waits(reader.device);
  }
  close_end(&reader);
  close_end(&target);
  nothing_is_left();
  puts("completions: of a pair that is closed are not reported, those of others are");
}

// ---------------------------------------------------------------- what is not allowed

// The READ in the middle of a batch fails: it says how, the rest is flushed, and both ends are done for.
static void breaks(struct mv_read bad, const struct both *both, uint32_t status, uint32_t event) {
  struct mv_read reads[4] = {read_of(both, 0, 8), bad, read_of(both, 16, 8), read_of(both, 24, 8)};
  memset(both->reader.memory, 0, BYTES);
  HOLDS(post(both, reads, 3, 41) == 0);
  HOLDS(post(both, reads + 3, 1, 42) == 0);
  static const uint64_t ids[] = {41, 41, 42};
  for (int i = 0; i < 3; i++) {
    struct mv_completion completion = next_completion(both->reader.device);
    HOLDS(completion.id == ids[i] && completion.number == both->reader.number);
    HOLDS(completion.status == (i == 0 ? status : (uint32_t)IBV_WC_WR_FLUSH_ERR));
    HOLDS(completion.vendor_error != 0);
  }
  none_waits(both->reader.device);
  HOLDS(both->reader.memory[0] == pattern(0));
  for (uint32_t i = 8; i < BYTES; i++) HOLDS(both->reader.memory[i] == 0);
  HOLDS(mv_queue_pair_state(both->reader.pair) == IBV_QPS_ERR);
  // More of them are flushed, too.
  HOLDS(post(both, reads, 1, 43) == 0);
  HOLDS(next_completion(both->reader.device).status == IBV_WC_WR_FLUSH_ERR);
  uint32_t found[2];
  if (event == 0) {
    HOLDS(mv_device_event(both->target.device, found) == 0);
    HOLDS(mv_queue_pair_state(both->target.pair) == IBV_QPS_RTS);
  } else {
    HOLDS(readable(both->target.device, GUARD_MS) == 1);
    HOLDS(mv_device_event(both->target.device, found) == 1);
    HOLDS(found[0] == event && found[1] == both->target.number);
    HOLDS(mv_queue_pair_state(both->target.pair) == IBV_QPS_ERR);
  }
}

static void access_errors(void) {
  enum { KEY_OF_NONE, KEY_LOCAL, KEY_OF_OTHER_DOMAIN, KEY_CLOSED, BEFORE, BEHIND, ACROSS, WRAPPING, CASES };
  for (int i = 0; i < CASES; i++) {
    struct both both = open_both();
    struct mv_read bad = read_of(&both, 8, 8);
    struct mv_domain *domain;
    struct mv_region *region;
    uint32_t keys[2];
    HOLDS(mv_domain_open(both.target.device, &domain) == 0);
    HOLDS(mv_region_register(domain, both.target.memory, BYTES, FIRST, 1, &region, keys) == 0);
    if (i == KEY_OF_NONE) bad.remote_key = 0xdeadbeef;
    if (i == KEY_LOCAL) bad.remote_key = both.target.keys[0];
    if (i == KEY_OF_OTHER_DOMAIN || i == KEY_CLOSED) bad.remote_key = keys[1];
    if (i == KEY_CLOSED) HOLDS(mv_region_close(region) == 0);
    if (i == BEFORE) bad.remote = FIRST - 8;
    if (i == BEHIND) bad.remote = FIRST + BYTES;
    if (i == ACROSS) bad.remote = FIRST + BYTES - 7;
    if (i == WRAPPING) bad.remote = UINT64_MAX - 3;
    breaks(bad, &both, IBV_WC_REM_ACCESS_ERR, IBV_EVENT_QP_ACCESS_ERR);
    close_both(&both);
  }
  puts("access: a wrong key, one of another domain, and bytes out of range break the pair and give nothing");
}

static void local_errors(void) {
  struct both both = open_both();
  struct mv_read bad = read_of(&both, 8, 8);
  bad.local = BYTES - 7;
  breaks(bad, &both, IBV_WC_LOC_PROT_ERR, 0);
  close_both(&both);

  // Memory that others read is not filled by READs.
  both = open_both();
  struct mv_region *region;
  uint32_t keys[2];
  HOLDS(mv_region_register(both.reader.domain, both.reader.memory, BYTES, FIRST, 1, &region, keys) == 0);
  bad = read_of(&both, 0, 8);
  HOLDS(mv_queue_pair_read(both.reader.pair, &bad, 0, 1, FIRST, keys[0], 1) == 0);
  HOLDS(next_completion(both.reader.device).status == IBV_WC_LOC_PROT_ERR);
  HOLDS(both.reader.memory[0] == 0);
  close_both(&both);
  puts("access: READs store where memory was registered for that, and nowhere else");
}

// A peer that is not ours, with a queue pair of its own making.
static enum ibv_wc_status attack(const struct both *both, enum ibv_wr_opcode opcode) {
  int count;
  struct ibv_device **list = ibv_get_device_list(&count);
  struct ibv_context *context = ibv_open_device(list[0]);
  ibv_free_device_list(list);
  struct ibv_pd *pd = ibv_alloc_pd(context);
  static uint64_t word;
  word = UINT64_MAX;
  struct ibv_mr *mr = ibv_reg_mr_iova(pd, &word, sizeof word, (uintptr_t)&word,
                                      IBV_ACCESS_LOCAL_WRITE | IBV_ACCESS_REMOTE_WRITE | IBV_ACCESS_REMOTE_READ);
  struct ibv_cq *cq = ibv_create_cq(context, 4, NULL, NULL, 0);
  struct ibv_qp_init_attr init = {.send_cq = cq, .recv_cq = cq, .qp_type = IBV_QPT_RC, .cap = {.max_send_wr = 1}};
  struct ibv_qp *qp = ibv_create_qp(pd, &init);
  HOLDS(qp != NULL && mr != NULL);
  struct mv_queue_pair *pair;
  uint32_t number;
  HOLDS(mv_queue_pair_create(both->target.device, both->target.domain, 1, 0, &pair, &number) == 0);
  struct mv_path path = path_to(qp->qp_num, 1, 2);
  path.reads_target = 16;
  HOLDS(mv_queue_pair_connect(pair, &path) == 0);
  struct ibv_qp_attr attributes = {.qp_state = IBV_QPS_INIT, .port_num = 1};
  HOLDS(ibv_modify_qp(qp, &attributes, IBV_QP_STATE | IBV_QP_PKEY_INDEX | IBV_QP_PORT | IBV_QP_ACCESS_FLAGS) == 0);
  attributes = (struct ibv_qp_attr){.qp_state = IBV_QPS_RTR, .path_mtu = IBV_MTU_1024, .dest_qp_num = number};
  attributes.rq_psn = 1;
  attributes.ah_attr = (struct ibv_ah_attr){.is_global = 1, .port_num = 1, .grh = {.hop_limit = 1}};
  memcpy(attributes.ah_attr.grh.dgid.raw, path.gid, sizeof path.gid);
  HOLDS(ibv_modify_qp(qp, &attributes,
                      IBV_QP_STATE | IBV_QP_AV | IBV_QP_PATH_MTU | IBV_QP_DEST_QPN | IBV_QP_RQ_PSN |
                          IBV_QP_MAX_DEST_RD_ATOMIC | IBV_QP_MIN_RNR_TIMER) == 0);
  attributes.qp_state = IBV_QPS_RTS;
  attributes.sq_psn = 2;
  attributes.max_rd_atomic = 1;
  HOLDS(ibv_modify_qp(qp, &attributes,
                      IBV_QP_STATE | IBV_QP_TIMEOUT | IBV_QP_RETRY_CNT | IBV_QP_RNR_RETRY | IBV_QP_SQ_PSN |
                          IBV_QP_MAX_QP_RD_ATOMIC) == 0);
  struct ibv_sge piece = {.addr = (uintptr_t)&word, .length = sizeof word, .lkey = mr->lkey};
  struct ibv_send_wr request = {.sg_list = &piece, .num_sge = 1, .opcode = opcode}, *refused;
  request.send_flags = IBV_SEND_SIGNALED;
  request.wr.rdma.remote_addr = FIRST;
  request.wr.rdma.rkey = both->target.keys[1];
  HOLDS(ibv_post_send(qp, &request, &refused) == 0);
  struct ibv_wc completion;
  HOLDS(ibv_poll_cq(cq, 1, &completion) == 1);
  HOLDS(ibv_destroy_qp(qp) == 0 && ibv_destroy_cq(cq) == 0 && ibv_dereg_mr(mr) == 0);
  HOLDS(ibv_dealloc_pd(pd) == 0 && ibv_close_device(context) == 0);
  HOLDS(mv_queue_pair_close(pair) == 0);
  return completion.status;
}

static void attackers(void) {
  struct both both = open_both();
  HOLDS(attack(&both, IBV_WR_RDMA_READ) == IBV_WC_SUCCESS);
  HOLDS(attack(&both, IBV_WR_RDMA_WRITE) == IBV_WC_REM_INV_REQ_ERR);
  HOLDS(attack(&both, IBV_WR_ATOMIC_CMP_AND_SWP) == IBV_WC_REM_INV_REQ_ERR);
  for (uint32_t i = 0; i < BYTES; i++) HOLDS(both.target.memory[i] == pattern(i));
  close_both(&both);
  puts("access: nobody writes, whatever the other side posts");

  // The region of ours is not written to even by way of a pair that would allow it; and our reader answers nothing.
  both = open_both();
  struct mv_path path = path_to(both.target.number, 1, 2);
  struct mv_queue_pair *pair;
  uint32_t number;
  HOLDS(mv_queue_pair_create(both.reader.device, both.reader.domain, 1, 1, &pair, &number) == 0);
  path.remote_number = both.reader.number;
  path.reads_initiator = 1;
  HOLDS(mv_queue_pair_connect(pair, &path) == 0);
  struct mv_read read = {.remote = (uintptr_t)both.reader.memory, .local = 0, .bytes = 8};
  HOLDS(mv_queue_pair_read(pair, &read, 0, 1, (uintptr_t)both.reader.memory, both.reader.keys[0], 1) == 0);
  // Connected to another one, it does not even answer.
  HOLDS(next_completion(both.reader.device).status == IBV_WC_RETRY_EXC_ERR);
  close_both(&both);

  struct end one = open_end(1), two = open_end(1);
  connect_pairs(one.pair, one.number, two.pair, two.number);
  HOLDS(mv_queue_pair_read(two.pair, &read, 0, 1, (uintptr_t)two.memory, two.keys[0], 1) == 0);
  HOLDS(next_completion(two.device).status == IBV_WC_REM_INV_REQ_ERR);
  close_end(&one);
  close_end(&two);
  nothing_is_left();
  puts("access: a pair that reads answers nobody");
}

// ---------------------------------------------------------------- what goes away

static void losing_the_other_end(void) {
  struct both both = open_both();
  struct mv_read reads[2];
  words_of(&both, reads, 2);
  mock_hold(1);
  HOLDS(post(&both, reads, 2, 1) == 0);
  HOLDS(mock_release(1) == 1);
  HOLDS(mv_queue_pair_close(both.target.pair) == 0);
  HOLDS(mock_release(2) == 1);
  HOLDS(next_completion(both.reader.device).status == IBV_WC_RETRY_EXC_ERR);
  none_waits(both.reader.device);
  close_both(&both);

  both = open_both();
  words_of(&both, reads, 2);
  mock_unreachable(1);
  HOLDS(post(&both, reads, 2, 1) == 0);
  HOLDS(next_completion(both.reader.device).status == IBV_WC_RETRY_EXC_ERR);
  HOLDS(next_completion(both.reader.device).status == IBV_WC_WR_FLUSH_ERR);
  close_both(&both);

  // Packets that are numbered otherwise than agreed.
  both.target = open_end(0);
  both.reader = open_end(SENDS);
  struct mv_path path = path_to(both.reader.number, 1, 2);
  path.reads_target = 16;
  HOLDS(mv_queue_pair_connect(both.target.pair, &path) == 0);
  path = path_to(both.target.number, 1, 2);
  path.reads_initiator = 16;
  HOLDS(mv_queue_pair_connect(both.reader.pair, &path) == 0);
  words_of(&both, reads, 1);
  HOLDS(post(&both, reads, 1, 1) == 0);
  HOLDS(next_completion(both.reader.device).status == IBV_WC_RETRY_EXC_ERR);
  close_both(&both);
  puts("the other end: when it is gone or out of reach, READs fail and do not hang");
}

static void closing_in_the_middle(void) {
  struct both both = open_both();
  struct mv_read reads[4];
  words_of(&both, reads, 4);
  mock_hold(1);
  HOLDS(post(&both, reads, 4, 1) == 0);
  HOLDS(mock_release(2) == 2);
  HOLDS(mv_queue_pair_close(both.reader.pair) == 0);
  HOLDS(mock_release(9) == 0);
  HOLDS(both.reader.memory[8] == pattern(8) && both.reader.memory[16] == 0);
  none_waits(both.reader.device);
  close_both(&both);

  // With a completion and its notice that nobody took.
  both = open_both();
  words_of(&both, reads, 4);
  HOLDS(post(&both, reads, 1, 1) == 0);
  HOLDS(readable(both.reader.device, GUARD_MS) == 1);
  HOLDS(mv_queue_pair_close(both.reader.pair) == 0);
  none_waits(both.reader.device);
  close_both(&both);

  // Taken notices, READs under way, all of it at once.
  both = open_both();
  words_of(&both, reads, 4);
  HOLDS(post(&both, reads, 1, 1) == 0);
  HOLDS(next_completion(both.reader.device).status == IBV_WC_SUCCESS);
  mock_hold(1);
  HOLDS(post(&both, reads, 4, 2) == 0);
  HOLDS(mock_release(4) == 4);
  close_both(&both);
  puts("closing: in the middle of READs leaves nothing behind, stores nothing and says nothing");
}

static void asynchronous_events(void) {
  struct both both = open_both();
  uint32_t event[2];
  HOLDS(mv_device_event(both.reader.device, event) == 0);
  HOLDS(mock_async_event(IBV_EVENT_PORT_ERR, 1) == 0);
  HOLDS(mock_async_event(IBV_EVENT_DEVICE_FATAL, 0) == 0);
  HOLDS(mock_async_event(IBV_EVENT_CQ_ERR, both.reader.number) == 0);
  HOLDS(mock_break(both.reader.number) == 0);
  HOLDS(mock_async_event(IBV_EVENT_QP_FATAL, 0x999999) == -EINVAL);
  static const uint32_t types[] = {IBV_EVENT_PORT_ERR, IBV_EVENT_DEVICE_FATAL, IBV_EVENT_CQ_ERR, IBV_EVENT_QP_FATAL};
  uint32_t numbers[] = {1, 0, both.reader.number, both.reader.number};
  for (int i = 0; i < 4; i++) {
    HOLDS(readable(both.reader.device, GUARD_MS) == 1);
    HOLDS(mv_device_event(both.reader.device, event) == 1);
    HOLDS(event[0] == types[i] && event[1] == numbers[i]);
  }
  HOLDS(mv_device_event(both.reader.device, event) == 0);
  HOLDS(readable(both.reader.device, 0) == 0);
  // The other device heard of port and device; it closes without having asked.
  HOLDS(readable(both.target.device, 0) == 1);
  mock_fail_next("get_async_event", EIO);
  HOLDS(mv_device_event(both.target.device, event) == -EIO);
  close_both(&both);
  puts("events: of devices, ports and pairs arrive once, and wait for nobody");
}

static void broken_queues(void) {
  struct both both = open_both();
  struct mv_read reads[2];
  words_of(&both, reads, 2);
  HOLDS(post(&both, reads, 2, 77) == 0);
  mock_fail_next("poll_cq", 0);
  struct mv_completion completion = next_completion(both.reader.device);
  HOLDS(completion.id == 77 && completion.status == IBV_WC_GENERAL_ERR);
  close_both(&both);

  both = open_both();
  words_of(&both, reads, 2);
  HOLDS(post(&both, reads, 2, 78) == 0);
  mock_fail_next("get_cq_event", EIO);
  HOLDS(mv_device_completions(both.reader.device, &completion, 1) == 1 && completion.id == 78);
  mock_fail_next("get_cq_event", EIO);
  HOLDS(mv_device_completions(both.reader.device, &completion, 1) == -EIO);
  mock_fail_next("req_notify_cq", EIO);
  HOLDS(mv_device_completions(both.reader.device, &completion, 1) == -EIO);
  close_both(&both);
  puts("completions: a queue that breaks is reported, and after what it still held");
}

// ---------------------------------------------------------------- failures everywhere

// All that a reader does, until something fails.
static int life(uint8_t *memory) {
  struct mv_device *device;
  struct mv_domain *domain;
  struct mv_region *region;
  struct mv_queue_pair *pairs[2];
  double facts[MV_FACT_COUNT];
  uint32_t keys[2], local_keys[2], numbers[2];
  int status = mv_device_open("mock0", 1, &device, facts);
  if (status < 0) return status;
  uint8_t gid[16];
  struct mv_completion completion;
  if ((status = mv_device_gid(device, 1, 0, gid)) < 0) goto close;
  if ((status = mv_domain_open(device, &domain)) < 0) goto close;
  if ((status = mv_region_register(domain, memory, PAGE, 0, 1, &region, keys)) < 0) goto close;
  if ((status = mv_region_register(domain, memory + PAGE, PAGE, 0, 0, &region, local_keys)) < 0) goto close;
  if ((status = mv_queue_pair_create(device, domain, 1, 0, &pairs[0], &numbers[0])) < 0) goto close;
  if ((status = mv_queue_pair_create(device, domain, 1, 1, &pairs[1], &numbers[1])) < 0) goto close;
  for (int i = 0; i < 2; i++) {
    struct mv_path path = path_to(numbers[1 - i], 0, 0);
    path.reads_initiator = path.reads_target = 1;
    if ((status = mv_queue_pair_connect(pairs[i], &path)) < 0) goto close;
  }
  if ((status = mv_queue_pair_state(pairs[1])) < 0) goto close;
  struct mv_read read = {.remote = 8, .local = 8, .bytes = 8, .remote_key = keys[1]};
  if ((status = mv_queue_pair_read(pairs[1], &read, 0, 1, 0, local_keys[0], 1)) < 0) goto close;
  if ((status = mv_device_completions(device, &completion, 1)) < 0) goto close;
  if (status == 0 || completion.status != IBV_WC_SUCCESS) {
    status = -EPROTO;
    goto close;
  }
  if ((status = mv_queue_pair_close(pairs[1])) < 0) goto close;
  if ((status = mv_region_close(region)) < 0) goto close;
close:;
  int closed = mv_device_close(device);
  return status < 0 ? status : closed;
}

static void failures(void) {
  uint8_t *memory = map_memory();
  HOLDS(life(memory) == 0);
  nothing_is_left();
  static const char *const making[] = {"get_device_list", "open_device", "query_device", "query_port", "query_gid",
                                       "alloc_pd", "reg_mr", "create_comp_channel", "create_cq", "req_notify_cq",
                                       "create_qp", "modify_qp", "query_qp", "post_send"};
  for (size_t i = 0; i < sizeof making / sizeof *making; i++) {
    int count = 0;
    for (;; count++) {
      HOLDS(mock_fail_after(making[i], (uint32_t)count, EDQUOT) == 0);
      int status = life(memory);
      // Past the last call of it there is nothing that fails.
      if (status == 0) break;
      HOLDS(status == -EDQUOT);
      nothing_is_left();
    }
    HOLDS(count > 0);
    nothing_is_left();
  }
  puts("failures: of any call are reported, and what was made before them is undone");

  static const char *const undoing[] = {"destroy_qp", "destroy_cq", "dereg_mr", "dealloc_pd", "destroy_comp_channel",
                                        "close_device"};
  for (size_t i = 0; i < sizeof undoing / sizeof *undoing; i++) {
    HOLDS(mock_fail_next(undoing[i], EDQUOT) == 0);
    HOLDS(life(memory) == -EDQUOT);
    nothing_is_left();
  }
  HOLDS(mock_fail_next("no_such_call", EIO) == -EINVAL);
  munmap(memory, BYTES);
  puts("failures: of closing are reported, and the rest is closed all the same");
}

// ---------------------------------------------------------------- threads

enum { ROUNDS = 2000, WORDS = 512 };
static _Atomic int ended;

// An agent: its application stores numbers that only grow, upwards, while others read.
static void *serve(void *argument) {
  struct end *target = argument;
  _Atomic uint64_t *words = (_Atomic uint64_t *)(void *)target->memory;
  for (uint64_t n = 1; !ended; n++) {
    for (int i = 0; i < WORDS; i++) atomic_store_explicit(&words[i], n, memory_order_relaxed);
    // Pairs come and go next to the one that is read from.
    struct mv_queue_pair *pair;
    uint32_t number;
    HOLDS(mv_queue_pair_create(target->device, target->domain, 1, 0, &pair, &number) == 0);
    HOLDS(mv_queue_pair_close(pair) == 0);
    struct mv_completion completion;
    HOLDS(mv_device_completions(target->device, &completion, 1) == 0);
    // READs complete when they like, so that the reader sometimes sleeps and sometimes does not.
    mock_release(1);
  }
  return NULL;
}

static void threads(void) {
  struct both both = open_both();
  memset(both.target.memory, 0, BYTES);
  pthread_t thread;
  mock_hold(1);
  HOLDS(pthread_create(&thread, NULL, serve, &both.target) == 0);
  struct mv_read reads[2] = {read_of(&both, 0, WORDS * 4), read_of(&both, WORDS * 4, WORDS * 4)};
  uint64_t *words = (uint64_t *)(void *)both.reader.memory;
  uint64_t before = 0;
  for (uint64_t id = 0; id < ROUNDS; id++) {
    HOLDS(post(&both, reads, 2, id) == 0);
    struct mv_completion completion = next_completion(both.reader.device);
    HOLDS(completion.id == id && completion.status == IBV_WC_SUCCESS);
    for (int i = 0; i < WORDS; i++) {
      HOLDS(words[i] >= before);
      if (i == 0) before = words[0] == 0 ? 0 : words[0] - 1;
    }
  }
  ended = 1;
  HOLDS(pthread_join(thread, NULL) == 0);
  close_both(&both);
  puts("threads: one reads what another stores, over a device of its own");
}

int main(int count, char **arguments) {
  if (count != 4) {
    fputs("usage: verbs_test <mocked library> <library without a function> <no library>\n", stderr);
    return 2;
  }
  // A call that waits for ever, as destroying does for events that nobody acknowledges, ends the test.
  alarm(300);
  loading(arguments[1], arguments[2], arguments[3]);
  devices();
  regions_and_domains();
  reading();
  fences();
  refusals();
  wake_ups();
  fairness();
  access_errors();
  local_errors();
  attackers();
  losing_the_other_end();
  closing_in_the_middle();
  asynchronous_events();
  broken_queues();
  failures();
  threads();
  return 0;
}
