// One-sided RDMA over rdma-core: what c/verbs.h says, and why it is done so.
// libibverbs is loaded at run time, so nothing here may refer to its functions by name: they are pointers in a table.
// The calls that libibverbs has inline (poll, post, arm) go through the context and need none.
#include <errno.h>
#include <fcntl.h>
#include <infiniband/verbs.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <unistd.h>

#include "verbs_internal.h"

#define API __attribute__((visibility("default")))

_Static_assert(sizeof(struct mv_path) == 76, "src/ffi/verbs.ts writes it");
_Static_assert(sizeof(struct mv_read) == 32, "src/ffi/verbs.ts writes it");
_Static_assert(sizeof(struct mv_completion) == 24, "src/ffi/verbs.ts reads it");

// ibv_fork_init is not among them: it is for kernels before 5.12, where the first store after a fork could leave a
// private page that is pinned to the child. Since then fork copies such pages for the child; shared ones, as those of a
// pool, were never moved. It would take registered memory away from children, by MADV_DONTFORK.
#define FUNCTIONS(X)       \
  X(get_device_list)       \
  X(free_device_list)      \
  X(get_device_name)       \
  X(open_device)           \
  X(close_device)          \
  X(query_device)          \
  X(query_port)            \
  X(query_gid)             \
  X(get_async_event)       \
  X(ack_async_event)       \
  X(alloc_pd)              \
  X(dealloc_pd)            \
  X(reg_mr_iova)           \
  X(dereg_mr)              \
  X(create_comp_channel)   \
  X(destroy_comp_channel)  \
  X(create_cq)             \
  X(destroy_cq)            \
  X(get_cq_event)          \
  X(ack_cq_events)         \
  X(create_qp)             \
  X(modify_qp)             \
  X(query_qp)              \
  X(destroy_qp)

struct library {
  struct mv_library base;
#define POINTER(function) __typeof__(ibv_##function) *function;
  FUNCTIONS(POINTER)
};

static const struct mv_function functions[] = {
#define ENTRY(function) {"ibv_" #function, offsetof(struct library, function)},
    FUNCTIONS(ENTRY)};
static struct mv_libraries libraries = {.mutex = PTHREAD_MUTEX_INITIALIZER};

struct mv_domain {
  struct mv_domain *next;
  struct mv_device *device;
  struct ibv_pd *pd;
};

struct mv_region {
  struct mv_region *next;
  struct mv_device *device;
  struct ibv_mr *mr;
};

struct mv_queue_pair {
  struct mv_queue_pair *next;
  struct mv_device *device;
  struct ibv_qp *qp;
  struct ibv_cq *cq;  // NULL for a pair that only answers
  uint32_t number;
  uint32_t sends;
  // READs are numbered as they are posted, by their wr_id. Those from `completed` to before `posted` are under way:
  // a send queue completes in order, so a completion says the same of all before it.
  uint64_t posted, completed;
  uint64_t *ids;  // of READ n at n % sends
  struct ibv_send_wr *requests;
  struct ibv_sge *pieces;
  // Ring of the device's pairs that have READs under way.
  struct mv_queue_pair *busy_next, *busy_previous;
};

struct mv_device {
  const struct library *library;
  struct ibv_context *context;
  struct ibv_comp_channel *channel;
  struct ibv_cq *silent;  // of all pairs that only answer: nothing ever completes there
  int epoll;
  uint32_t max_sends;
  struct mv_domain *domains;
  struct mv_region *regions;
  struct mv_queue_pair *pairs;
  struct mv_queue_pair *turn;  // in the ring: whose completions are taken next
  uint32_t busy;
};

API int mv_verbs_load(const char *name) {
  if (name == NULL || *name == '\0') name = "libibverbs.so.1";
  return mv_library_load(&libraries, name, functions, sizeof functions / sizeof *functions, sizeof(struct library));
}

// ---------------------------------------------------------------- devices

static int open_context(struct mv_device *device, const char *name) {
  const struct library *library = device->library;
  errno = 0;
  struct ibv_device **list = library->get_device_list(NULL);
  // ENOSYS: the kernel has no RDMA at all.
  if (list == NULL) return errno == ENOSYS ? -ENODEV : mv_library_failure();
  int status = -ENODEV;
  for (struct ibv_device **each = list; *each != NULL; each++) {
    if (strcmp(library->get_device_name(*each), name) != 0) continue;
    // READs of iWARP ask for memory that others may write, and its queue pairs are not connected by hand.
    if ((*each)->transport_type == IBV_TRANSPORT_IWARP) {
      status = -EPROTONOSUPPORT;
      break;
    }
    errno = 0;
    device->context = library->open_device(*each);
    status = device->context == NULL ? mv_library_failure() : 0;
    break;
  }
  library->free_device_list(list);
  return status;
}

static int query_port(const struct mv_device *device, uint32_t port, struct ibv_port_attr *out) {
  // Older libraries fill only the first fields of it.
  memset(out, 0, sizeof *out);
  if (port < 1 || port > UINT8_MAX) return -EINVAL;
  struct ibv_context *context = device->context;
  errno = 0;
  struct verbs_context *extended = verbs_get_ctx_op(context, query_port);
  if (extended != NULL) return mv_library_result(extended->query_port(context, (uint8_t)port, out, sizeof *out));
  return mv_library_result(device->library->query_port(context, (uint8_t)port, (struct _compat_ibv_port_attr *)(void *)out));
}

static int query_facts(struct mv_device *device, uint32_t port, double facts[MV_FACT_COUNT]) {
  struct ibv_device_attr attributes = {.max_qp = 0};
  struct ibv_port_attr ports;
  errno = 0;
  int status = mv_library_result(device->library->query_device(device->context, &attributes));
  if (status == 0) status = query_port(device, port, &ports);
  if (status < 0) return status;
  device->max_sends = attributes.max_qp_wr < 0 ? 0 : (uint32_t)attributes.max_qp_wr;
  facts[MV_FACT_MAX_QUEUE_PAIRS] = attributes.max_qp;
  facts[MV_FACT_MAX_SENDS] = attributes.max_qp_wr;
  facts[MV_FACT_MAX_COMPLETIONS] = attributes.max_cqe;
  facts[MV_FACT_MAX_READS_TARGET] = attributes.max_qp_rd_atom;
  facts[MV_FACT_MAX_READS_INITIATOR] = attributes.max_qp_init_rd_atom;
  facts[MV_FACT_MAX_REGION_BYTES] = (double)attributes.max_mr_size;
  facts[MV_FACT_MAX_MESSAGE_BYTES] = ports.max_msg_sz;
  facts[MV_FACT_PORT_STATE] = ports.state;
  facts[MV_FACT_MTU] = ports.active_mtu >= IBV_MTU_256 && ports.active_mtu <= IBV_MTU_4096 ? 128 << ports.active_mtu : 0;
  facts[MV_FACT_LID] = ports.lid;
  // Of InfiniBand alone, older libraries do not say so.
  facts[MV_FACT_LINK_LAYER] =
      ports.link_layer == IBV_LINK_LAYER_UNSPECIFIED ? IBV_LINK_LAYER_INFINIBAND : ports.link_layer;
  return 0;
}

static int watch(struct mv_device *device, int fd) {
  int flags = fcntl(fd, F_GETFL);
  if (flags < 0 || fcntl(fd, F_SETFL, flags | O_NONBLOCK) < 0) return -errno;
  return mv_device_watch(device, fd);
}

static int open_descriptors(struct mv_device *device) {
  device->epoll = epoll_create1(EPOLL_CLOEXEC);
  if (device->epoll < 0) return -errno;
  errno = 0;
  device->channel = device->library->create_comp_channel(device->context);
  if (device->channel == NULL) return mv_library_failure();
  int status = watch(device, device->channel->fd);
  return status < 0 ? status : watch(device, device->context->async_fd);
}

API int mv_device_open(const char *name, uint32_t port, struct mv_device **out, double facts[MV_FACT_COUNT]) {
  const struct library *library = mv_library_current(&libraries);
  if (library == NULL) return -ENOENT;
  struct mv_device *device = calloc(1, sizeof *device);
  if (device == NULL) return -ENOMEM;
  device->library = library;
  device->epoll = -1;
  int status = open_context(device, name);
  if (status == 0) status = query_facts(device, port, facts);
  if (status == 0) status = open_descriptors(device);
  if (status < 0)
    mv_device_close(device);
  else
    *out = device;
  return status;
}

API int mv_device_fd(const struct mv_device *device) { return device->epoll; }

API int mv_device_watch(struct mv_device *device, int fd) {
  struct epoll_event event = {.events = EPOLLIN, .data = {.fd = fd}};
  return epoll_ctl(device->epoll, EPOLL_CTL_ADD, fd, &event) < 0 ? -errno : 0;
}

API int mv_device_gid(struct mv_device *device, uint32_t port, uint32_t index, uint8_t gid[16]) {
  union ibv_gid found;
  if (port < 1 || port > UINT8_MAX || index > UINT8_MAX) return -EINVAL;
  errno = 0;
  int status = mv_library_result(device->library->query_gid(device->context, (uint8_t)port, (int)index, &found));
  if (status == 0) memcpy(gid, found.raw, sizeof found.raw);
  return status;
}

API int mv_device_event(struct mv_device *device, uint32_t out[2]) {
  const struct library *library = device->library;
  struct ibv_async_event event;
  errno = 0;
  if (library->get_async_event(device->context, &event) != 0)
    return errno == EAGAIN || errno == EINTR ? 0 : mv_library_failure();
  out[0] = (uint32_t)event.event_type;
  out[1] = 0;
  switch (event.event_type) {
    case IBV_EVENT_QP_FATAL:
    case IBV_EVENT_QP_REQ_ERR:
    case IBV_EVENT_QP_ACCESS_ERR:
    case IBV_EVENT_COMM_EST:
    case IBV_EVENT_SQ_DRAINED:
    case IBV_EVENT_PATH_MIG:
    case IBV_EVENT_PATH_MIG_ERR:
    case IBV_EVENT_QP_LAST_WQE_REACHED:
      out[1] = event.element.qp->qp_num;
      break;
    case IBV_EVENT_CQ_ERR: {
      const struct mv_queue_pair *pair = event.element.cq->cq_context;
      if (pair != NULL) out[1] = pair->number;
      break;
    }
    case IBV_EVENT_PORT_ACTIVE:
    case IBV_EVENT_PORT_ERR:
    case IBV_EVENT_LID_CHANGE:
    case IBV_EVENT_PKEY_CHANGE:
    case IBV_EVENT_SM_CHANGE:
    case IBV_EVENT_CLIENT_REREGISTER:
    case IBV_EVENT_GID_CHANGE:
      out[1] = (uint32_t)event.element.port_num;
      break;
    default:
      break;
  }
  // At once: destroying a queue pair would wait for it.
  library->ack_async_event(&event);
  return 1;
}

API int mv_device_close(struct mv_device *device) {
  const struct library *library = device->library;
  int first = 0, status;
#define CLOSE(call) first = (status = (call)) < 0 && first == 0 ? status : first
  while (device->pairs != NULL) CLOSE(mv_queue_pair_close(device->pairs));
  while (device->regions != NULL) CLOSE(mv_region_close(device->regions));
  while (device->domains != NULL) {
    struct mv_domain *domain = device->domains;
    device->domains = domain->next;
    CLOSE(mv_library_result(library->dealloc_pd(domain->pd)));
    free(domain);
  }
  if (device->epoll >= 0) close(device->epoll);
  if (device->silent != NULL) CLOSE(mv_library_result(library->destroy_cq(device->silent)));
  if (device->channel != NULL) CLOSE(mv_library_result(library->destroy_comp_channel(device->channel)));
  if (device->context != NULL) CLOSE(mv_library_result(library->close_device(device->context)));
#undef CLOSE
  free(device);
  return first;
}

// ---------------------------------------------------------------- domains and regions

API int mv_domain_open(struct mv_device *device, struct mv_domain **out) {
  struct mv_domain *domain = calloc(1, sizeof *domain);
  if (domain == NULL) return -ENOMEM;
  errno = 0;
  domain->pd = device->library->alloc_pd(device->context);
  if (domain->pd == NULL) {
    int status = mv_library_failure();
    free(domain);
    return status;
  }
  domain->device = device;
  domain->next = device->domains;
  device->domains = domain;
  *out = domain;
  return 0;
}

API int mv_domain_close(struct mv_domain *domain) {
  struct mv_device *device = domain->device;
  errno = 0;
  int status = mv_library_result(device->library->dealloc_pd(domain->pd));
  if (status == -EBUSY) return status;
  struct mv_domain **link = &device->domains;
  while (*link != domain) link = &(*link)->next;
  *link = domain->next;
  free(domain);
  return status;
}

API int mv_region_register(struct mv_domain *domain, void *address, uint64_t bytes, uint64_t first, int remote,
                           struct mv_region **out, uint32_t keys[2]) {
  struct mv_device *device = domain->device;
  // Devices map whole pages, so both addresses of a byte have the same place in one.
  if (bytes == 0 || (((uintptr_t)address ^ first) & 4095) != 0) return -EINVAL;
  struct mv_region *region = calloc(1, sizeof *region);
  if (region == NULL) return -ENOMEM;
  errno = 0;
  region->mr = device->library->reg_mr_iova(domain->pd, address, bytes, first,
                                            remote ? IBV_ACCESS_REMOTE_READ : IBV_ACCESS_LOCAL_WRITE);
  if (region->mr == NULL) {
    int status = mv_library_failure();
    free(region);
    return status;
  }
  keys[0] = region->mr->lkey;
  keys[1] = region->mr->rkey;
  region->device = device;
  region->next = device->regions;
  device->regions = region;
  *out = region;
  return 0;
}

API int mv_region_close(struct mv_region *region) {
  struct mv_device *device = region->device;
  struct mv_region **link = &device->regions;
  while (*link != region) link = &(*link)->next;
  *link = region->next;
  errno = 0;
  int status = mv_library_result(device->library->dereg_mr(region->mr));
  free(region);
  return status;
}

// ---------------------------------------------------------------- queue pairs

static int create_queues(struct mv_queue_pair *pair) {
  struct mv_device *device = pair->device;
  const struct library *library = device->library;
  if (pair->sends == 0) {
    if (device->silent != NULL) return 0;
    errno = 0;
    device->silent = library->create_cq(device->context, 1, NULL, NULL, 0);
    return device->silent == NULL ? mv_library_failure() : 0;
  }
  pair->ids = calloc(pair->sends, sizeof *pair->ids);
  pair->pieces = calloc(pair->sends, sizeof *pair->pieces);
  pair->requests = calloc(pair->sends, sizeof *pair->requests);
  if (pair->ids == NULL || pair->pieces == NULL || pair->requests == NULL) return -ENOMEM;
  for (uint32_t i = 0; i < pair->sends; i++) {
    struct ibv_send_wr *request = &pair->requests[i];
    request->sg_list = &pair->pieces[i];
    request->num_sge = 1;
    request->opcode = IBV_WR_RDMA_READ;
    if (i > 0) pair->requests[i - 1].next = request;
  }
  // Room for every READ: when the pair fails, each of them completes, signalled or not.
  errno = 0;
  pair->cq = library->create_cq(device->context, (int)pair->sends + 1, pair, device->channel, 0);
  if (pair->cq == NULL) return mv_library_failure();
  return mv_library_result(ibv_req_notify_cq(pair->cq, 0));
}

static unsigned int access_of(const struct mv_queue_pair *pair) {
  return pair->sends == 0 ? IBV_ACCESS_REMOTE_READ : 0;
}

API int mv_queue_pair_create(struct mv_device *device, struct mv_domain *domain, uint32_t port, uint32_t sends,
                             struct mv_queue_pair **out, uint32_t *number) {
  if (port < 1 || port > UINT8_MAX || sends > device->max_sends || sends >= INT32_MAX) return -EINVAL;
  struct mv_queue_pair *pair = calloc(1, sizeof *pair);
  if (pair == NULL) return -ENOMEM;
  pair->device = device;
  pair->sends = sends;
  pair->next = device->pairs;
  device->pairs = pair;
  int status = create_queues(pair);
  if (status < 0) goto failed;

  struct ibv_cq *cq = sends == 0 ? device->silent : pair->cq;
  // One entry where none is used: some drivers make no queue of nothing.
  struct ibv_qp_init_attr attributes = {
      .qp_context = pair,
      .send_cq = cq,
      .recv_cq = cq,
      .cap = {.max_send_wr = sends == 0 ? 1 : sends, .max_recv_wr = 1, .max_send_sge = 1, .max_recv_sge = 1},
      .qp_type = IBV_QPT_RC,
  };
  errno = 0;
  pair->qp = device->library->create_qp(domain->pd, &attributes);
  if (pair->qp == NULL) {
    status = mv_library_failure();
    goto failed;
  }
  pair->number = pair->qp->qp_num;
  struct ibv_qp_attr init = {
      .qp_state = IBV_QPS_INIT,
      .port_num = (uint8_t)port,
      .qp_access_flags = access_of(pair),
  };
  status = mv_library_result(device->library->modify_qp(
      pair->qp, &init, IBV_QP_STATE | IBV_QP_PKEY_INDEX | IBV_QP_PORT | IBV_QP_ACCESS_FLAGS));
  if (status < 0) goto failed;
  *number = pair->number;
  *out = pair;
  return 0;
failed:
  mv_queue_pair_close(pair);
  return status;
}

static int mtu_from(uint32_t bytes, enum ibv_mtu *out) {
  for (*out = IBV_MTU_256; *out <= IBV_MTU_4096; (*out)++) {
    if (128u << *out == bytes) return 0;
  }
  return -EINVAL;
}

API int mv_queue_pair_connect(struct mv_queue_pair *pair, const struct mv_path *path) {
  static const uint32_t NUMBER_MAX = 0xffffff, BYTE_MAX = UINT8_MAX;
  enum ibv_mtu mtu;
  if (mtu_from(path->mtu, &mtu) < 0 || path->remote_number > NUMBER_MAX || path->remote_psn > NUMBER_MAX ||
      path->psn > NUMBER_MAX || path->port < 1 || path->port > BYTE_MAX || path->gid_index > BYTE_MAX ||
      path->lid > UINT16_MAX || path->service_level > 15 || path->traffic_class > BYTE_MAX ||
      path->hop_limit > BYTE_MAX || path->timeout > 31 || path->retries > 7 || path->reads_initiator > BYTE_MAX ||
      path->reads_target > BYTE_MAX)
    return -EINVAL;

  struct ibv_qp_attr attributes = {
      .qp_state = IBV_QPS_RTR,
      .path_mtu = mtu,
      .dest_qp_num = path->remote_number,
      .rq_psn = path->remote_psn,
      .max_dest_rd_atomic = (uint8_t)path->reads_target,
      .min_rnr_timer = 12,  // 0.64 ms; nobody here sends what a receiver could be unready for
      .ah_attr =
          {
              .dlid = (uint16_t)path->lid,
              .sl = (uint8_t)path->service_level,
              .port_num = (uint8_t)path->port,
              .is_global = path->global != 0,
          },
  };
  if (path->global != 0) {
    struct ibv_global_route *route = &attributes.ah_attr.grh;
    memcpy(route->dgid.raw, path->gid, sizeof route->dgid.raw);
    route->sgid_index = (uint8_t)path->gid_index;
    route->hop_limit = (uint8_t)path->hop_limit;
    route->traffic_class = (uint8_t)path->traffic_class;
  }
  const struct library *library = pair->device->library;
  errno = 0;
  int status = mv_library_result(library->modify_qp(pair->qp, &attributes,
                                         IBV_QP_STATE | IBV_QP_AV | IBV_QP_PATH_MTU | IBV_QP_DEST_QPN |
                                             IBV_QP_RQ_PSN | IBV_QP_MAX_DEST_RD_ATOMIC | IBV_QP_MIN_RNR_TIMER));
  if (status < 0) return status;
  attributes.qp_state = IBV_QPS_RTS;
  attributes.sq_psn = path->psn;
  attributes.timeout = (uint8_t)path->timeout;
  attributes.retry_cnt = (uint8_t)path->retries;
  attributes.rnr_retry = 7;  // without end
  attributes.max_rd_atomic = (uint8_t)path->reads_initiator;
  return mv_library_result(library->modify_qp(pair->qp, &attributes,
                                   IBV_QP_STATE | IBV_QP_TIMEOUT | IBV_QP_RETRY_CNT | IBV_QP_RNR_RETRY |
                                       IBV_QP_SQ_PSN | IBV_QP_MAX_QP_RD_ATOMIC));
}

API int mv_queue_pair_state(struct mv_queue_pair *pair) {
  struct ibv_qp_attr attributes;
  struct ibv_qp_init_attr init;
  errno = 0;
  int status = mv_library_result(pair->device->library->query_qp(pair->qp, &attributes, IBV_QP_STATE, &init));
  return status < 0 ? status : (int)attributes.qp_state;
}

const char *mv_queue_pair_device(const struct mv_queue_pair *pair) { return pair->qp->context->device->name; }

uint32_t mv_queue_pair_number(const struct mv_queue_pair *pair) { return pair->number; }

int mv_queue_pair_modify(struct mv_queue_pair *pair, struct ibv_qp_attr *attributes, int mask) {
  attributes->qp_access_flags = access_of(pair);
  errno = 0;
  return mv_library_result(pair->device->library->modify_qp(pair->qp, attributes, mask));
}

static void join_busy(struct mv_queue_pair *pair) {
  struct mv_device *device = pair->device;
  struct mv_queue_pair *turn = device->turn;
  if (turn == NULL) {
    pair->busy_next = pair->busy_previous = pair;
    device->turn = pair;
  } else {
    // At the end of the round.
    pair->busy_next = turn;
    pair->busy_previous = turn->busy_previous;
    turn->busy_previous->busy_next = pair;
    turn->busy_previous = pair;
  }
  device->busy++;
}

static void leave_busy(struct mv_queue_pair *pair) {
  struct mv_device *device = pair->device;
  if (device->turn == pair) device->turn = pair->busy_next == pair ? NULL : pair->busy_next;
  pair->busy_next->busy_previous = pair->busy_previous;
  pair->busy_previous->busy_next = pair->busy_next;
  pair->busy_next = pair->busy_previous = NULL;
  device->busy--;
}

API int mv_queue_pair_close(struct mv_queue_pair *pair) {
  struct mv_device *device = pair->device;
  const struct library *library = device->library;
  if (pair->busy_next != NULL) leave_busy(pair);
  struct mv_queue_pair **link = &device->pairs;
  while (*link != pair) link = &(*link)->next;
  *link = pair->next;
  errno = 0;
  int status = pair->qp == NULL ? 0 : mv_library_result(library->destroy_qp(pair->qp));
  // Events of it that were not taken yet go with it; those that were are acknowledged.
  int of_queue = pair->cq == NULL ? 0 : mv_library_result(library->destroy_cq(pair->cq));
  free(pair->requests);
  free(pair->pieces);
  free(pair->ids);
  free(pair);
  return status < 0 ? status : of_queue;
}

// ---------------------------------------------------------------- READs and completions

API int mv_queue_pair_read(struct mv_queue_pair *pair, const struct mv_read *reads, uint32_t first, uint32_t count,
                           uint64_t base, uint32_t local_key, uint64_t id) {
  if (count == 0 || count > pair->sends) return -EINVAL;
  if (count > pair->sends - (pair->posted - pair->completed)) return -EAGAIN;
  reads += first;
  for (uint32_t i = 0; i < count; i++) {
    if (reads[i].bytes == 0) return -EINVAL;
    struct ibv_send_wr *request = &pair->requests[i];
    request->wr_id = pair->posted + i;
    request->send_flags = (reads[i].flags & MV_READ_FENCE) != 0 ? IBV_SEND_FENCE : 0;
    request->wr.rdma.remote_addr = reads[i].remote;
    request->wr.rdma.rkey = reads[i].remote_key;
    pair->pieces[i] = (struct ibv_sge){.addr = base + reads[i].local, .length = reads[i].bytes, .lkey = local_key};
    pair->ids[(pair->posted + i) % pair->sends] = id;
  }
  struct ibv_send_wr *last = &pair->requests[count - 1], *rest = last->next, *refused = NULL;
  last->send_flags |= IBV_SEND_SIGNALED;
  last->next = NULL;
  errno = 0;
  int status = mv_library_result(ibv_post_send(pair->qp, pair->requests, &refused));
  last->next = rest;
  // Those before the one that was refused are under way.
  if (status < 0) count = refused == NULL ? 0 : (uint32_t)(refused - pair->requests);
  if (count > 0 && pair->posted == pair->completed) join_busy(pair);
  pair->posted += count;
  return status;
}

// Takes the notices of queues with something new and arms those queues again. What completes from here on makes a new
// notice, what has completed until here is found by polling: so nothing is lost between two calls.
// As many as there are pairs with READs under way: more wait seldom, and keep the descriptor readable. Asking until there
// is none would be one system call too many each time.
static int take_notices(struct mv_device *device) {
  for (uint32_t left = device->busy > 0 ? device->busy : 1; left > 0; left--) {
    struct ibv_cq *cq;
    void *context;
    errno = 0;
    if (device->library->get_cq_event(device->channel, &cq, &context) != 0) {
      if (errno == EINTR) continue;
      return errno == EAGAIN ? 0 : mv_library_failure();
    }
    device->library->ack_cq_events(cq, 1);
    int status = mv_library_result(ibv_req_notify_cq(cq, 0));
    if (status < 0) return status;
  }
  return 0;
}

enum { CHUNK = 16 };

// Up to a chunk of one pair's completions, out of what `room` there is. Sets *drained when there are no more.
static uint32_t take_completions(struct mv_queue_pair *pair, struct mv_completion *out, uint32_t room, int *drained) {
  struct ibv_wc found[CHUNK];
  int want = room < CHUNK ? (int)room : CHUNK;
  int count = ibv_poll_cq(pair->cq, want, found);
  uint32_t taken = 0;
  if (count < 0) {
    // The queue itself is broken: nothing that is under way will be heard of again.
    out[taken++] = (struct mv_completion){
        .id = pair->ids[pair->completed % pair->sends], .number = pair->number, .status = IBV_WC_GENERAL_ERR};
    pair->completed = pair->posted;
  }
  for (int i = 0; i < count; i++) {
    if (found[i].wr_id - pair->completed >= pair->posted - pair->completed) continue;
    out[taken++] = (struct mv_completion){
        .id = pair->ids[found[i].wr_id % pair->sends],
        .number = pair->number,
        .status = (uint32_t)found[i].status,
        .vendor_error = found[i].status == IBV_WC_SUCCESS ? 0 : found[i].vendor_err,
    };
    pair->completed = found[i].wr_id + 1;
  }
  *drained = count < want;
  return taken;
}

API int mv_device_poll(struct mv_device *device, struct mv_completion *out, uint32_t capacity) {
  if (capacity > INT32_MAX) return -EINVAL;
  uint32_t count = 0;
  // A chunk from each pair in turn, until a whole round finds nothing or there is no more room. The next call goes on
  // with the pair whose turn it is then.
  for (uint32_t idle = 0; count < capacity && idle < device->busy;) {
    struct mv_queue_pair *pair = device->turn;
    device->turn = pair->busy_next;
    int drained;
    count += take_completions(pair, out + count, capacity - count, &drained);
    if (pair->posted == pair->completed)
      leave_busy(pair);
    else
      idle = drained ? idle + 1 : 0;
  }
  return (int)count;
}

API int mv_device_completions(struct mv_device *device, struct mv_completion *out, uint32_t capacity) {
  if (capacity > INT32_MAX) return -EINVAL;
  int status = take_notices(device);
  int count = mv_device_poll(device, out, capacity);
  return count > 0 ? count : status;
}
