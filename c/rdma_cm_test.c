// Exercises c/rdma_cm.c over the mocked libraries; `make sanitize` compiles them under sanitizers.
// Prints what holds, a line each; ends with 1 at the first thing that does not.
//   rdma_cm_test <mocked libibverbs> <mocked librdmacm> <library without a function>
#include "rdma_cm.h"

#include <errno.h>
#include <infiniband/verbs.h>
#include <poll.h>
#include <rdma/rdma_cma.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "rdma_cm_mock.h"
#include "verbs_mock.h"

static void failed(const char *file, int line, const char *what) {
  fprintf(stderr, "%s:%d: does not hold: %s (errno %d, %s)\n", file, line, what, errno, strerror(errno));
  _exit(1);
}

#define HOLDS(condition) ((condition) ? (void)0 : failed(__FILE__, __LINE__, #condition))

enum { PAGE = 4096, GUARD_MS = 10000 };
static const char HERE[] = "192.0.2.1";

static uint8_t target_memory[PAGE] __attribute__((aligned(PAGE)));
static uint8_t reader_memory[PAGE] __attribute__((aligned(PAGE)));

// Both sides, each with a device, memory and an event channel of its own.
struct side {
  struct mv_device *device;
  struct mv_domain *domain;
  struct mv_region *region;
  uint32_t keys[2];
  struct mv_cm *cm;
  struct mv_queue_pair *pair;
  uint32_t number;
};
static struct side target, reader;

static void open_side(struct side *side, uint8_t *memory, int is_target) {
  double facts[MV_FACT_COUNT];
  HOLDS(mv_device_open("mock0", 1, &side->device, facts) == 0);
  HOLDS(mv_domain_open(side->device, &side->domain) == 0);
  uint64_t first = is_target ? 0 : (uintptr_t)memory;
  HOLDS(mv_region_register(side->domain, memory, PAGE, first, is_target, &side->region, side->keys) == 0);
  HOLDS(mv_cm_open(&side->cm) == 0);
}

static void open_sides(void) {
  open_side(&target, target_memory, 1);
  open_side(&reader, reader_memory, 0);
}

static void close_sides(void) {
  HOLDS(mv_cm_close(reader.cm) == 0 && mv_cm_close(target.cm) == 0);
  HOLDS(mv_device_close(reader.device) == 0 && mv_device_close(target.device) == 0);
  HOLDS(mock_cm_live_ids() == 0 && mock_cm_live_channels() == 0);
  HOLDS(mock_live_contexts() == 0 && mock_live_queue_pairs() == 0);
}

static void open_pairs(void) {
  HOLDS(mv_queue_pair_create(target.device, target.domain, 1, 0, &target.pair, &target.number) == 0);
  HOLDS(mv_queue_pair_create(reader.device, reader.domain, 1, 4, &reader.pair, &reader.number) == 0);
}

static void close_pairs(void) {
  HOLDS(mv_queue_pair_close(reader.pair) == 0 && mv_queue_pair_close(target.pair) == 0);
}

static int readable(const struct mv_cm *cm) {
  struct pollfd fds[1] = {{.fd = mv_cm_fd(cm), .events = POLLIN, .revents = 0}};
  return poll(fds, 1, 0);
}

static struct mv_cm_event next_event(struct mv_cm *cm, uint32_t type) {
  struct mv_cm_event event;
  HOLDS(readable(cm) == 1);
  HOLDS(mv_cm_event(cm, &event) == 1);
  HOLDS(event.type == type);
  return event;
}

static void none_waits(void) {
  struct mv_cm_event event;
  HOLDS(mv_cm_event(reader.cm, &event) == 0 && mv_cm_event(target.cm, &event) == 0);
  HOLDS(readable(reader.cm) == 0 && readable(target.cm) == 0);
}

static struct mv_cm_link *link_of(uint64_t handle) { return (struct mv_cm_link *)(uintptr_t)handle; }

static struct mv_cm_link *resolve(int port) {
  struct mv_cm_link *link;
  HOLDS(mv_cm_resolve(reader.cm, HERE, (uint32_t)port, 1000, &link) == 0);
  // The address, and then the way to it, of which nobody hears.
  struct mv_cm_event event;
  while (mv_cm_event(reader.cm, &event) == 0) HOLDS(readable(reader.cm) == 1);
  HOLDS(event.type == MV_CM_RESOLVED && link_of(event.link) == link);
  HOLDS(strcmp(event.device, "mock0") == 0 && event.device_port == 1);
  return link;
}

static struct mv_cm_link *connect_to(int port, const char *data) {
  struct mv_cm_link *link = resolve(port);
  HOLDS(mv_cm_connect(link, reader.pair, 8, 0, 12, 3, data, (uint32_t)strlen(data)) == 0);
  return link;
}

static uint32_t read_page(void) {
  struct mv_read read = {.remote = 0, .local = 0, .bytes = PAGE, .remote_key = target.keys[1]};
  struct mv_completion completion;
  memset(reader_memory, 0, PAGE);
  HOLDS(mv_queue_pair_read(reader.pair, &read, 0, 1, (uintptr_t)reader_memory, reader.keys[0], 1) == 0);
  HOLDS(mv_device_completions(reader.device, &completion, 1) == 1);
  return completion.status;
}

static void loading(const char *mock, const char *lacking) {
  struct mv_cm *cm = NULL;
  HOLDS(mv_cm_open(&cm) == -ENOENT);
  HOLDS(mv_cm_load("/no/such/librdmacm.so.1") == -ENOENT);
  HOLDS(mv_cm_load(lacking) == -ELIBBAD);
  int real = mv_cm_load(NULL);
  HOLDS(real == 0 || real == -ENOENT);
  HOLDS(mv_cm_load(mock) == 0);
  HOLDS(mock_cm_fail_after("create_event_channel", 0, ENODEV) == 0);
  HOLDS(mv_cm_open(&cm) == -ENODEV);
  HOLDS(cm == NULL && mock_cm_live_channels() == 0);
  puts("loading: a connection manager that is missing is an error and not a crash");
}

static void connecting(void) {
  open_sides();
  open_pairs();
  struct mv_cm_link *listener;
  int port = mv_cm_listen(target.cm, HERE, 0, 8, &listener);
  HOLDS(port > 0);
  none_waits();
  struct mv_cm_link *link = connect_to(port, "who I am");
  HOLDS(mv_cm_connect(link, reader.pair, 8, 0, 12, 3, NULL, 0) == -EINVAL);
  struct mv_cm_event event = next_event(target.cm, MV_CM_REQUEST);
  struct mv_cm_link *request = link_of(event.link);
  HOLDS(link_of(event.listener) == listener && request != listener);
  HOLDS(event.data_bytes == MV_CM_REQUEST_BYTES && strcmp((char *)event.data, "who I am") == 0);
  HOLDS(strcmp(event.device, "mock0") == 0 && event.device_port == 1);
  HOLDS(strcmp(event.remote, HERE) == 0 && event.remote_port != 0);
  HOLDS(event.reads_target == 8 && event.reads_initiator == 0);
  HOLDS(mv_cm_accept(request, target.pair, 0, 4, "welcome", 7) == 0);
  HOLDS(mv_cm_accept(request, target.pair, 0, 4, NULL, 0) == -EINVAL);
  event = next_event(reader.cm, MV_CM_CONNECTED);
  HOLDS(link_of(event.link) == link && event.status == 0);
  HOLDS(event.data_bytes == MV_CM_ACCEPT_BYTES && strcmp((char *)event.data, "welcome") == 0);
  HOLDS(event.reads_initiator == 4 && event.reads_target == 0);
  event = next_event(target.cm, MV_CM_CONNECTED);
  HOLDS(link_of(event.link) == request);
  none_waits();
  memset(target_memory, 0x5a, PAGE);
  HOLDS(read_page() == IBV_WC_SUCCESS && memcmp(reader_memory, target_memory, PAGE) == 0);
  puts("connecting: by an address, with what the sides say to each other, to a pair that reads");

  HOLDS(mv_cm_disconnect(link) == 0);
  event = next_event(target.cm, MV_CM_DISCONNECTED);
  HOLDS(link_of(event.link) == request);
  event = next_event(reader.cm, MV_CM_DISCONNECTED);
  HOLDS(link_of(event.link) == link);
  none_waits();
  HOLDS(mv_cm_link_close(link) == 0 && mv_cm_link_close(request) == 0);
  none_waits();
  close_pairs();

  // A side that just goes.
  open_pairs();
  link = connect_to(port, "");
  request = link_of(next_event(target.cm, MV_CM_REQUEST).link);
  HOLDS(mv_cm_accept(request, target.pair, 0, 8, NULL, 0) == 0);
  next_event(reader.cm, MV_CM_CONNECTED);
  next_event(target.cm, MV_CM_CONNECTED);
  HOLDS(mv_cm_link_close(request) == 0);
  HOLDS(link_of(next_event(reader.cm, MV_CM_DISCONNECTED).link) == link);
  none_waits();
  close_sides();
  puts("connecting: the end of it is told to the other side");
}

// What the manager would allow the other side is not what the pair was created for.
static void access_rights(void) {
  open_sides();
  open_pairs();
  struct mv_cm_link *listener;
  int port = mv_cm_listen(target.cm, HERE, 0, 8, &listener);
  connect_to(port, "");
  struct mv_cm_link *request = link_of(next_event(target.cm, MV_CM_REQUEST).link);
  // The sides have changed places: the one that asked for the connection is read from, and has no right to be.
  HOLDS(mv_queue_pair_close(target.pair) == 0);
  HOLDS(mv_queue_pair_create(target.device, target.domain, 1, 4, &target.pair, &target.number) == 0);
  struct mv_region *region;
  uint32_t local[2], remote[2];
  HOLDS(mv_region_register(target.domain, target_memory, PAGE, 0, 0, &region, local) == 0);
  HOLDS(mv_region_register(reader.domain, reader_memory, PAGE, 0, 1, &region, remote) == 0);
  HOLDS(mv_cm_accept(request, target.pair, 8, 0, NULL, 0) == 0);
  next_event(reader.cm, MV_CM_CONNECTED);
  struct mv_read read = {.remote = 0, .local = 0, .bytes = 8, .remote_key = remote[1]};
  struct mv_completion completion;
  HOLDS(mv_queue_pair_read(target.pair, &read, 0, 1, 0, local[0], 1) == 0);
  HOLDS(mv_device_completions(target.device, &completion, 1) == 1);
  HOLDS(completion.status == IBV_WC_REM_INV_REQ_ERR);
  close_sides();
  puts("access: is what the pair was created for, whatever the manager allows");
}

static void refusals(void) {
  open_sides();
  open_pairs();
  struct mv_cm_link *listener, *link, *other;
  int port = mv_cm_listen(target.cm, "0.0.0.0", 18515, 8, &listener);
  HOLDS(port == 18515);
  HOLDS(mv_cm_listen(target.cm, HERE, 18515, 8, &other) == -EADDRNOTAVAIL);
  HOLDS(mv_cm_listen(target.cm, "198.51.100.1", 0, 8, &other) == -EADDRNOTAVAIL);
  HOLDS(mv_cm_listen(target.cm, "localhost", 0, 8, &other) == -EINVAL);
  HOLDS(mv_cm_listen(target.cm, HERE, 65536, 8, &other) == -EINVAL);
  HOLDS(mv_cm_listen(target.cm, HERE, 0, UINT32_MAX, &other) == -EINVAL);
  HOLDS(mv_cm_resolve(reader.cm, "no address", 1, 1000, &link) == -EINVAL);
  HOLDS(mv_cm_resolve(reader.cm, HERE, 65536, 1000, &link) == -EINVAL);
  HOLDS(mv_cm_resolve(reader.cm, HERE, 1, UINT32_MAX, &link) == -EINVAL);
  HOLDS(mv_cm_resolve(reader.cm, "198.51.100.1", 1, 1000, &link) == -ENETUNREACH);
  HOLDS(mock_cm_live_ids() == 1);

  // No device leads there.
  HOLDS(mv_cm_resolve(reader.cm, "192.0.2.3", 1, 1000, &link) == 0);
  struct mv_cm_event event = next_event(reader.cm, MV_CM_FAILED);
  HOLDS(link_of(event.link) == link && event.status == -ENODEV);
  HOLDS(mv_cm_connect(link, reader.pair, 8, 0, 0, 7, NULL, 0) == -EINVAL);
  HOLDS(mv_cm_link_close(link) == 0);

  // Another device does.
  HOLDS(mv_cm_resolve(reader.cm, "192.0.2.2", 1, 1000, &link) == 0);
  while (mv_cm_event(reader.cm, &event) == 0) HOLDS(readable(reader.cm) == 1);
  HOLDS(event.type == MV_CM_RESOLVED && strcmp(event.device, "mock1") == 0);
  HOLDS(mv_cm_connect(link, reader.pair, 8, 0, 0, 7, NULL, 0) == -EXDEV);
  HOLDS(mv_cm_link_close(link) == 0);

  link = resolve(port);
  uint8_t data[256] = {0};
  HOLDS(mv_cm_connect(link, reader.pair, 255, 0, 0, 7, NULL, 0) == -EINVAL);
  HOLDS(mv_cm_connect(link, reader.pair, 8, 255, 0, 7, NULL, 0) == -EINVAL);
  HOLDS(mv_cm_connect(link, reader.pair, 8, 0, 32, 7, NULL, 0) == -EINVAL);
  HOLDS(mv_cm_connect(link, reader.pair, 8, 0, 0, 8, NULL, 0) == -EINVAL);
  HOLDS(mv_cm_connect(link, reader.pair, 8, 0, 0, 7, data, 57) == -EINVAL);
  HOLDS(mv_cm_connect(link, reader.pair, 8, 0, 0, 7, data, 56) == 0);
  struct mv_cm_link *request = link_of(next_event(target.cm, MV_CM_REQUEST).link);
  HOLDS(mv_cm_accept(request, target.pair, 255, 8, NULL, 0) == -EINVAL);
  HOLDS(mv_cm_accept(request, target.pair, 0, 255, NULL, 0) == -EINVAL);
  HOLDS(mv_cm_accept(request, target.pair, 0, 8, data, 197) == -EINVAL);
  // More READs than the device answers at once, although the request was for fewer.
  HOLDS(mv_cm_accept(request, target.pair, 0, 17, NULL, 0) == -EINVAL);
  HOLDS(mv_cm_reject(request, data, 149) == -EINVAL);
  HOLDS(mv_cm_reject(listener, NULL, 0) == -EINVAL);
  HOLDS(mv_cm_reject(request, "not you", 7) == 0);
  event = next_event(reader.cm, MV_CM_REJECTED);
  HOLDS(link_of(event.link) == link && event.status == 28 && strcmp((char *)event.data, "not you") == 0);
  HOLDS(mv_cm_disconnect(link) == -EINVAL);
  HOLDS(mv_cm_link_close(link) == 0);
  none_waits();

  link = connect_to(port, "");
  request = link_of(next_event(target.cm, MV_CM_REQUEST).link);
  HOLDS(mv_cm_link_close(request) == 0);
  HOLDS(next_event(reader.cm, MV_CM_REJECTED).status == 28);
  HOLDS(mv_cm_link_close(link) == 0);
  HOLDS(mv_cm_link_close(listener) == 0);
  link = connect_to(port, "");
  HOLDS(next_event(reader.cm, MV_CM_REJECTED).status == 8);
  close_sides();
  puts("refusals: of addresses, arguments and requests are told, and why");
}

static void closing_in_the_middle(void) {
  // With a request that nobody took, and one that nobody answered.
  open_sides();
  open_pairs();
  struct mv_cm_link *listener;
  int port = mv_cm_listen(target.cm, HERE, 0, 8, &listener);
  connect_to(port, "");
  next_event(target.cm, MV_CM_REQUEST);
  connect_to(port, "");
  close_sides();

  // With an acceptance that nobody took, and a resolution under way.
  open_sides();
  open_pairs();
  port = mv_cm_listen(target.cm, HERE, 0, 8, &listener);
  connect_to(port, "");
  struct mv_cm_link *request = link_of(next_event(target.cm, MV_CM_REQUEST).link), *link;
  HOLDS(mv_cm_accept(request, target.pair, 0, 8, NULL, 0) == 0);
  HOLDS(mv_cm_resolve(reader.cm, HERE, (uint32_t)port, 1000, &link) == 0);
  HOLDS(readable(reader.cm) == 1);
  close_sides();
  puts("closing: in the middle leaves nothing behind");
}

static void devices_that_go(void) {
  open_sides();
  open_pairs();
  struct mv_cm_link *listener;
  int port = mv_cm_listen(target.cm, HERE, 0, 8, &listener);
  struct mv_cm_link *link = connect_to(port, "");
  struct mv_cm_link *request = link_of(next_event(target.cm, MV_CM_REQUEST).link);
  HOLDS(mv_cm_accept(request, target.pair, 0, 8, NULL, 0) == 0);
  next_event(reader.cm, MV_CM_CONNECTED);
  next_event(target.cm, MV_CM_CONNECTED);
  mock_cm_raise(RDMA_CM_EVENT_TIMEWAIT_EXIT, 0);
  none_waits();
  mock_cm_raise(RDMA_CM_EVENT_DEVICE_REMOVAL, 0);
  HOLDS(link_of(next_event(reader.cm, MV_CM_DEVICE_REMOVED).link) == link);
  HOLDS(link_of(next_event(target.cm, MV_CM_DEVICE_REMOVED).link) == request);
  mock_cm_raise(RDMA_CM_EVENT_UNREACHABLE, -ETIMEDOUT);
  HOLDS(next_event(reader.cm, MV_CM_FAILED).status == -ETIMEDOUT);
  mock_cm_raise(RDMA_CM_EVENT_ROUTE_ERROR, 0);
  HOLDS(next_event(reader.cm, MV_CM_FAILED).status == -EHOSTUNREACH);
  close_sides();
  puts("events: of devices that go and ways that fail are told, of things past are not");
}

// Connects and reads, until something fails.
static int life(int *read) {
  struct mv_cm_link *listener, *link;
  struct mv_cm_event event;
  *read = 0;
  int status = mv_cm_listen(target.cm, HERE, 0, 8, &listener);
  if (status < 0) return status;
  if ((status = mv_cm_resolve(reader.cm, HERE, (uint32_t)status, 1000, &link)) < 0) return status;
  for (;;) {
    int mine = mv_cm_event(reader.cm, &event);
    if (mine < 0) return mine;
    if (mine == 1 && event.type == MV_CM_FAILED) return event.status;
    if (mine == 1 && event.type == MV_CM_CONNECTED) *read = read_page() == IBV_WC_SUCCESS;
    if (mine == 1 && event.type == MV_CM_DISCONNECTED) return 0;
    if (mine == 1 && event.type == MV_CM_RESOLVED &&
        (status = mv_cm_connect(link, reader.pair, 8, 0, 0, 7, NULL, 0)) < 0)
      return status;
    int theirs = mv_cm_event(target.cm, &event);
    if (theirs < 0) return theirs;
    if (theirs == 1 && event.type == MV_CM_REQUEST &&
        (status = mv_cm_accept(link_of(event.link), target.pair, 0, 8, NULL, 0)) < 0)
      return status;
    if (theirs == 1 && event.type == MV_CM_REJECTED) return -ECONNREFUSED;
    if (theirs == 1 && event.type == MV_CM_CONNECTED && (status = mv_cm_disconnect(link_of(event.link))) < 0)
      return status;
  }
}

static void failures(void) {
  static const char *const calls[] = {"get_cm_event", "create_id", "bind_addr", "listen", "resolve_addr",
                                      "resolve_route", "init_qp_attr", "connect", "establish", "accept"};
  int read;
  for (size_t i = 0; i < sizeof calls / sizeof *calls; i++) {
    uint32_t count = 0;
    for (;; count++) {
      open_sides();
      open_pairs();
      HOLDS(mock_cm_fail_after(calls[i], count, EDQUOT) == 0);
      int status = life(&read);
      close_sides();
      if (status == 0) break;
      HOLDS(status == -EDQUOT);
    }
    HOLDS(read && count > 0);
    // The failure that is still due comes in no test's time.
    HOLDS(mock_cm_fail_after(calls[i], UINT32_MAX, EDQUOT) == 0);
  }
  // The pair does not take what the manager says.
  for (uint32_t count = 0; count < 6; count++) {
    open_sides();
    open_pairs();
    HOLDS(mock_fail_after("modify_qp", count, EDQUOT) == 0);
    HOLDS(life(&read) == -EDQUOT && !read);
    close_sides();
  }
  HOLDS(mock_cm_fail_after("no_such_call", 0, EIO) == -EINVAL);
  puts("failures: of any call are reported, and leave nothing behind");

  // Who was accepted and cannot says so.
  open_sides();
  open_pairs();
  struct mv_cm_link *listener;
  struct mv_cm_link *link = connect_to(mv_cm_listen(target.cm, HERE, 0, 8, &listener), "");
  struct mv_cm_link *request = link_of(next_event(target.cm, MV_CM_REQUEST).link);
  HOLDS(mv_cm_accept(request, target.pair, 0, 8, NULL, 0) == 0);
  HOLDS(mock_fail_next("modify_qp", EDQUOT) == 0);
  struct mv_cm_event event = next_event(reader.cm, MV_CM_FAILED);
  HOLDS(link_of(event.link) == link && event.status == -EDQUOT);
  HOLDS(link_of(next_event(target.cm, MV_CM_REJECTED).link) == request);
  close_sides();

  open_sides();
  open_pairs();
  HOLDS(life(&read) == 0 && read);
  HOLDS(mock_cm_fail_after("destroy_id", 0, EDQUOT) == 0);
  HOLDS(mv_cm_close(reader.cm) == -EDQUOT);
  HOLDS(mv_cm_close(target.cm) == 0);
  HOLDS(mv_device_close(reader.device) == 0 && mv_device_close(target.device) == 0);
  HOLDS(mock_cm_live_ids() == 0);
  puts("failures: of one side are told to the other, and those of closing are reported");
}

int main(int count, char **arguments) {
  if (count != 4) {
    fputs("usage: rdma_cm_test <mocked libibverbs> <mocked librdmacm> <library without a function>\n", stderr);
    return 2;
  }
  alarm(300);
  HOLDS(mv_verbs_load(arguments[1]) == 0);
  loading(arguments[2], arguments[3]);
  connecting();
  access_rights();
  refusals();
  closing_in_the_middle();
  devices_that_go();
  failures();
  return 0;
}
