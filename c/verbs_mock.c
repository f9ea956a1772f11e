// A libibverbs without hardware, for tests: c/verbs_mock.h says how it is steered. It keeps the rules of verbs that
// our code could break (states and their attribute masks, keys, domains, access, bounds, queue sizes) and answers with
// the statuses that devices give. All of it is one machine under one lock.
#define _GNU_SOURCE
#include "verbs_mock.h"

#include <errno.h>
#include <infiniband/verbs.h>
#include <pthread.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "mock_events.h"

#define API __attribute__((visibility("default")))
// The library has functions where the header has macros of the same names.
#undef ibv_query_port
#undef ibv_reg_mr_iova

enum {
  PAGE = 4096,
  PORT = 1,
  GIDS = 8,
  MAX_SENDS = 4096,
  MAX_COMPLETIONS = 65536,
  MAX_QUEUE_PAIRS = 16384,
  MAX_READS = 16,
  MAX_MESSAGE = 1 << 30,
  VENDOR_ERROR = 0x4d,
};

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;

// ---------------------------------------------------------------- objects

struct async_event {
  struct event base;
  struct ibv_async_event async;
};

struct context {
  struct ibv_context base;
  struct context *next;
  struct events events;
  uint32_t children;
};

struct domain {
  struct ibv_pd base;
  uint32_t children;
};

struct channel {
  struct ibv_comp_channel base;
  struct events events;
};

struct region {
  struct ibv_mr base;
  uint64_t first;
  uint64_t pinned;
  int access;
};

struct completion {
  struct ibv_wc wc;
  uint32_t places;  // of the send queue, that are free once it was polled
};

struct completion_queue {
  struct ibv_cq base;
  struct completion *entries;
  uint32_t head, count;
  uint32_t children;
  uint32_t events_taken, events_acknowledged;
  int armed;
  int broken;
};

struct request {
  uint64_t order;
  uint64_t id;
  enum ibv_wr_opcode opcode;
  unsigned int flags;
  uint64_t remote;
  uint32_t remote_key;
  struct ibv_sge piece;
  enum ibv_wc_status status;
  int done;
};

struct queue_pair {
  struct ibv_qp base;
  enum ibv_qp_state state;
  struct ibv_qp_attr attributes;
  uint32_t places;         // of the send queue
  uint32_t taken;          // by requests of which no completion was polled
  uint32_t unreported;     // carried out since the last completion
  struct request *waiting;
  uint32_t head, count;
  uint32_t events_taken, events_acknowledged;
};

// By number and by key. Neither comes a second time, so that what is gone stays gone.
enum { FIRST_NUMBER = 0x11, FIRST_KEY = 0x21 };
struct table {
  void **entries;
  uint32_t count, capacity;
};
static struct table queue_pairs, regions;

static uint32_t table_add(struct table *table, void *entry) {
  if (table->count == table->capacity) {
    table->capacity = table->capacity == 0 ? 64 : table->capacity * 2;
    table->entries = realloc(table->entries, table->capacity * sizeof *table->entries);
    if (table->entries == NULL) abort();
  }
  table->entries[table->count] = entry;
  return table->count++;
}

static struct queue_pair *queue_pair_by(uint32_t number) {
  uint32_t index = number - FIRST_NUMBER;
  return index < queue_pairs.count ? queue_pairs.entries[index] : NULL;
}

// The two keys of a region differ, so that one does not do for the other.
enum { LOCAL_TAG = 1, REMOTE_TAG = 2 };
static struct region *region_by(uint32_t key, uint32_t tag) {
  uint32_t index = (key >> 8) - FIRST_KEY;
  if (index >= regions.count || (key & 0xff) != tag) return NULL;
  return regions.entries[index];
}

static struct context *contexts;
static struct {
  uint32_t contexts, domains, regions, queue_pairs, completion_queues, channels;
  uint64_t pinned, reads, bytes, posts;
} live;

// What mock_reset sets back.
struct settings {
  uint32_t max_sends;
  double max_pinned;
  int absent, held, reordered, unreachable;
};
static const struct settings AS_LOADED = {.max_sends = MAX_SENDS, .max_pinned = 1e18};
static struct settings settings = {.max_sends = MAX_SENDS, .max_pinned = 1e18};
static uint64_t posted;

static struct ibv_device device = {
    .node_type = IBV_NODE_CA, .transport_type = IBV_TRANSPORT_IB, .name = "mock0", .dev_name = "uverbs-mock0"};
static const uint8_t GID[16] = {[10] = 0xff, [11] = 0xff, [12] = 192, [13] = 0, [14] = 2, [15] = 1};

// ---------------------------------------------------------------- failures on demand

static struct {
  const char *call;
  uint32_t after;
  int error, due;
} faults[] = {
    {.call = "get_device_list"}, {.call = "open_device"},         {.call = "close_device"},
    {.call = "query_device"},    {.call = "query_port"},          {.call = "query_gid"},
    {.call = "get_async_event"}, {.call = "alloc_pd"},            {.call = "dealloc_pd"},
    {.call = "reg_mr"},          {.call = "dereg_mr"},            {.call = "create_comp_channel"},
    {.call = "create_cq"},       {.call = "destroy_comp_channel"}, {.call = "destroy_cq"},
    {.call = "get_cq_event"},    {.call = "req_notify_cq"},       {.call = "poll_cq"},
    {.call = "create_qp"},       {.call = "modify_qp"},           {.call = "query_qp"},
    {.call = "destroy_qp"},      {.call = "post_send"},
};
enum { FAULTS = sizeof faults / sizeof *faults };

// Under the lock: whether this call is to fail; errno says how.
static int fails(const char *call) {
  for (size_t i = 0; i < FAULTS; i++) {
    if (strcmp(faults[i].call, call) != 0 || !faults[i].due) continue;
    if (faults[i].after > 0) {
      faults[i].after--;
      return 0;
    }
    faults[i].due = 0;
    errno = faults[i].error;
    return 1;
  }
  return 0;
}

// ---------------------------------------------------------------- carrying out

static void raise_async(struct context *context, enum ibv_event_type type, void *object) {
  struct async_event *event = calloc(1, sizeof *event);
  if (event == NULL) abort();
  event->async.event_type = type;
  event->async.element.qp = object;
  events_add(&context->events, object, &event->base);
}

static void complete(struct queue_pair *pair, const struct request *request, enum ibv_wc_status status) {
  pair->unreported++;
  if (status == IBV_WC_SUCCESS && (request->flags & IBV_SEND_SIGNALED) == 0) return;
  struct completion_queue *queue = (struct completion_queue *)pair->base.send_cq;
  if (queue->count == (uint32_t)queue->base.cqe) {
    if (!queue->broken) raise_async((struct context *)queue->base.context, IBV_EVENT_CQ_ERR, queue);
    queue->broken = 1;
    return;
  }
  struct completion *entry = &queue->entries[(queue->head + queue->count++) % (uint32_t)queue->base.cqe];
  // Of a failure only four fields mean anything.
  memset(entry, status == IBV_WC_SUCCESS ? 0 : 0xee, sizeof *entry);
  entry->wc.wr_id = request->id;
  entry->wc.status = status;
  entry->wc.qp_num = pair->base.qp_num;
  entry->wc.vendor_err = status == IBV_WC_SUCCESS ? 0 : VENDOR_ERROR;
  if (status == IBV_WC_SUCCESS) {
    entry->wc.opcode = IBV_WC_RDMA_READ;
    entry->wc.byte_len = request->piece.length;
  }
  entry->places = pair->unreported;
  pair->unreported = 0;
  if (!queue->armed || queue->base.channel == NULL) return;
  queue->armed = 0;
  struct event *notice = calloc(1, sizeof *notice);
  if (notice == NULL) abort();
  events_add(&((struct channel *)queue->base.channel)->events, queue, notice);
}

static void fail(struct queue_pair *pair) {
  pair->state = IBV_QPS_ERR;
  while (pair->count > 0) {
    struct request request = pair->waiting[pair->head];
    pair->head = (pair->head + 1) % pair->places;
    pair->count--;
    complete(pair, &request, IBV_WC_WR_FLUSH_ERR);
  }
}

// Where a region holds the bytes at `address`, or NULL.
static uint8_t *within(const struct region *region, uint64_t address, uint64_t bytes) {
  uint64_t offset = address - region->first, length = region->base.length;
  if (address < region->first || offset > length || bytes > length - offset) return NULL;
  return (uint8_t *)region->base.addr + offset;
}

// As a device reads: no word in two halves, whoever stores meanwhile.
static void copy(uint8_t *to, const uint8_t *from, uint32_t bytes) {
  uint32_t i = 0;
  for (; i < bytes && ((uintptr_t)(from + i) & 7) != 0; i++) to[i] = __atomic_load_n(from + i, __ATOMIC_RELAXED);
  for (; i + 8 <= bytes; i += 8) {
    uint64_t word = __atomic_load_n((const uint64_t *)(const void *)(from + i), __ATOMIC_RELAXED);
    memcpy(to + i, &word, sizeof word);
  }
  for (; i < bytes; i++) to[i] = __atomic_load_n(from + i, __ATOMIC_RELAXED);
}

static struct queue_pair *other_end(const struct queue_pair *pair) {
  const struct ibv_ah_attr *address = &pair->attributes.ah_attr;
  if (settings.unreachable || memcmp(address->grh.dgid.raw, GID, sizeof GID) != 0) return NULL;
  struct queue_pair *other = queue_pair_by(pair->attributes.dest_qp_num);
  if (other == NULL || (other->state != IBV_QPS_RTR && other->state != IBV_QPS_RTS)) return NULL;
  if (other->attributes.dest_qp_num != pair->base.qp_num) return NULL;
  // A packet out of sequence is asked for again, until retries are used up.
  return other->attributes.rq_psn == pair->attributes.sq_psn ? other : NULL;
}

static enum ibv_wc_status refused_by(struct queue_pair *other, enum ibv_wc_status status) {
  raise_async((struct context *)other->base.context,
              status == IBV_WC_REM_ACCESS_ERR ? IBV_EVENT_QP_ACCESS_ERR : IBV_EVENT_QP_REQ_ERR, other);
  fail(other);
  return status;
}

static enum ibv_wc_status carry_out(struct queue_pair *pair, const struct request *request) {
  const struct ibv_sge *piece = &request->piece;
  int reads = request->opcode == IBV_WR_RDMA_READ;
  if (piece->length > MAX_MESSAGE) return IBV_WC_LOC_LEN_ERR;
  if (reads && pair->attributes.max_rd_atomic == 0) return IBV_WC_LOC_QP_OP_ERR;
  const struct region *mine = region_by(piece->lkey, LOCAL_TAG);
  if (mine == NULL || mine->base.pd != pair->base.pd) return IBV_WC_LOC_PROT_ERR;
  if (reads && (mine->access & IBV_ACCESS_LOCAL_WRITE) == 0) return IBV_WC_LOC_PROT_ERR;
  uint8_t *local = within(mine, piece->addr, piece->length);
  if (local == NULL) return IBV_WC_LOC_PROT_ERR;

  struct queue_pair *other = other_end(pair);
  if (other == NULL) return IBV_WC_RETRY_EXC_ERR;
  if (request->opcode != IBV_WR_RDMA_READ && request->opcode != IBV_WR_RDMA_WRITE)
    return refused_by(other, IBV_WC_REM_INV_REQ_ERR);
  unsigned int access = reads ? IBV_ACCESS_REMOTE_READ : IBV_ACCESS_REMOTE_WRITE;
  if ((other->attributes.qp_access_flags & access) == 0 || (reads && other->attributes.max_dest_rd_atomic == 0))
    return refused_by(other, IBV_WC_REM_INV_REQ_ERR);
  const struct region *theirs = region_by(request->remote_key, REMOTE_TAG);
  if (theirs == NULL || theirs->base.pd != other->base.pd || ((unsigned int)theirs->access & access) == 0)
    return refused_by(other, IBV_WC_REM_ACCESS_ERR);
  uint8_t *remote = within(theirs, request->remote, piece->length);
  if (remote == NULL) return refused_by(other, IBV_WC_REM_ACCESS_ERR);
  if (reads)
    copy(local, remote, piece->length);
  else
    copy(remote, local, piece->length);
  live.reads++;
  live.bytes += piece->length;
  return IBV_WC_SUCCESS;
}

static struct request *waiting(struct queue_pair *pair, uint32_t index) {
  return &pair->waiting[(pair->head + index) % pair->places];
}

// Which request is carried out next: the first, or the last one that no fence keeps behind another.
static struct request *next_of(struct queue_pair *pair) {
  struct request *next = waiting(pair, 0);
  for (uint32_t i = 1; settings.reordered && i < pair->count; i++) {
    struct request *request = waiting(pair, i);
    if ((request->flags & IBV_SEND_FENCE) != 0) break;
    if (!request->done) next = request;
  }
  return next;
}

static void advance(struct queue_pair *pair) {
  struct request *next = next_of(pair);
  next->status = carry_out(pair, next);
  next->done = 1;
  // Completions come in the order of posting.
  while (pair->count > 0 && waiting(pair, 0)->done) {
    struct request request = *waiting(pair, 0);
    pair->head = (pair->head + 1) % pair->places;
    pair->count--;
    complete(pair, &request, request.status);
    if (request.status != IBV_WC_SUCCESS) fail(pair);
  }
}

static int post_send(struct ibv_qp *qp, struct ibv_send_wr *list, struct ibv_send_wr **refused) {
  struct queue_pair *pair = (struct queue_pair *)qp;
  pthread_mutex_lock(&lock);
  live.posts++;
  int fault = fails("post_send") ? errno : 0, status = 0;
  for (struct ibv_send_wr *wr = list; wr != NULL; wr = wr->next) {
    if (pair->state != IBV_QPS_RTS && pair->state != IBV_QPS_ERR)
      status = EINVAL;
    else if (wr->num_sge != 1)
      status = EINVAL;
    else if (pair->taken == pair->places)
      status = ENOMEM;
    else if (fault != 0 && wr->next == NULL)
      status = fault;
    if (status != 0) {
      *refused = wr;
      break;
    }
    *waiting(pair, pair->count++) = (struct request){
        .order = posted++,
        .id = wr->wr_id,
        .opcode = wr->opcode,
        .flags = wr->send_flags,
        .remote = wr->wr.rdma.remote_addr,
        .remote_key = wr->wr.rdma.rkey,
        .piece = wr->sg_list[0],
    };
    pair->taken++;
  }
  if (pair->state == IBV_QPS_ERR) fail(pair);
  while (!settings.held && pair->count > 0) advance(pair);
  pthread_mutex_unlock(&lock);
  return status;
}

static int poll_cq(struct ibv_cq *cq, int want, struct ibv_wc *out) {
  struct completion_queue *queue = (struct completion_queue *)cq;
  pthread_mutex_lock(&lock);
  int count = 0;
  if (fails("poll_cq") || queue->broken) {
    count = -1;
  } else {
    for (; count < want && queue->count > 0; count++) {
      const struct completion *entry = &queue->entries[queue->head];
      out[count] = entry->wc;
      struct queue_pair *pair = queue_pair_by(entry->wc.qp_num);
      // A pair that was reset meanwhile has them free already.
      if (pair != NULL) pair->taken -= entry->places < pair->taken ? entry->places : pair->taken;
      queue->head = (queue->head + 1) % (uint32_t)cq->cqe;
      queue->count--;
    }
  }
  pthread_mutex_unlock(&lock);
  return count;
}

static int req_notify_cq(struct ibv_cq *cq, int solicited_only) {
  (void)solicited_only;
  pthread_mutex_lock(&lock);
  int status = fails("req_notify_cq") ? errno : 0;
  if (status == 0) ((struct completion_queue *)cq)->armed = 1;
  pthread_mutex_unlock(&lock);
  return status;
}

// ---------------------------------------------------------------- devices

API struct ibv_device **ibv_get_device_list(int *count) {
  pthread_mutex_lock(&lock);
  struct ibv_device **list = fails("get_device_list") ? NULL : calloc(2, sizeof *list);
  if (list != NULL && !settings.absent) list[0] = &device;
  if (list != NULL && count != NULL) *count = settings.absent ? 0 : 1;
  pthread_mutex_unlock(&lock);
  return list;
}

API void ibv_free_device_list(struct ibv_device **list) { free(list); }

API const char *ibv_get_device_name(struct ibv_device *of) { return of->name; }

API struct ibv_context *ibv_open_device(struct ibv_device *of) {
  pthread_mutex_lock(&lock);
  struct context *context = fails("open_device") ? NULL : calloc(1, sizeof *context);
  if (context != NULL && events_open(&context->events) < 0) {
    free(context);
    context = NULL;
  }
  if (context != NULL) {
    context->base.device = of;
    context->base.cmd_fd = -1;
    context->base.async_fd = context->events.fd;
    context->base.num_comp_vectors = 1;
    context->base.ops.post_send = post_send;
    context->base.ops.poll_cq = poll_cq;
    context->base.ops.req_notify_cq = req_notify_cq;
    context->next = contexts;
    contexts = context;
    live.contexts++;
  }
  pthread_mutex_unlock(&lock);
  return context == NULL ? NULL : &context->base;
}

API int ibv_close_device(struct ibv_context *base) {
  struct context *context = (struct context *)base;
  pthread_mutex_lock(&lock);
  int status = context->children > 0 ? EBUSY : 0;
  if (status == 0) {
    if (fails("close_device")) status = errno;
    struct context **link = &contexts;
    while (*link != context) link = &(*link)->next;
    *link = context->next;
    events_close(&context->events);
    free(context);
    live.contexts--;
  }
  pthread_mutex_unlock(&lock);
  return status;
}

API int ibv_query_device(struct ibv_context *context, struct ibv_device_attr *out) {
  (void)context;
  pthread_mutex_lock(&lock);
  int status = fails("query_device") ? errno : 0;
  memset(out, 0, sizeof *out);
  out->max_mr_size = (uint64_t)1 << 40;
  out->max_qp = MAX_QUEUE_PAIRS;
  out->max_qp_wr = (int)settings.max_sends;
  out->max_sge = 4;
  out->max_cqe = MAX_COMPLETIONS;
  out->max_qp_rd_atom = MAX_READS;
  out->max_qp_init_rd_atom = MAX_READS;
  out->phys_port_cnt = PORT;
  pthread_mutex_unlock(&lock);
  return status;
}

// Fills as much as the oldest callers have room for, as rdma-core does.
API int ibv_query_port(struct ibv_context *context, uint8_t port, struct _compat_ibv_port_attr *out) {
  (void)context;
  struct ibv_port_attr attributes = {
      .state = IBV_PORT_ACTIVE,
      .max_mtu = IBV_MTU_4096,
      .active_mtu = IBV_MTU_4096,
      .gid_tbl_len = GIDS,
      .max_msg_sz = MAX_MESSAGE,
      .pkey_tbl_len = 1,
      .phys_state = 5,
      .link_layer = IBV_LINK_LAYER_ETHERNET,
  };
  pthread_mutex_lock(&lock);
  int status = fails("query_port") ? errno : port != PORT ? EINVAL : 0;
  pthread_mutex_unlock(&lock);
  if (status == 0) memcpy((void *)out, &attributes, offsetof(struct ibv_port_attr, port_cap_flags2));
  return status;
}

API int ibv_query_gid(struct ibv_context *context, uint8_t port, int index, union ibv_gid *out) {
  (void)context;
  pthread_mutex_lock(&lock);
  int fault = fails("query_gid");
  pthread_mutex_unlock(&lock);
  if (fault) return -1;
  if (port != PORT || index < 0 || index >= GIDS) {
    errno = EINVAL;
    return -1;
  }
  memset(out, 0, sizeof *out);
  if (index == 0) memcpy(out->raw, GID, sizeof GID);
  return 0;
}

static int about_queue_pair(enum ibv_event_type type) {
  return type == IBV_EVENT_QP_FATAL || type == IBV_EVENT_QP_REQ_ERR || type == IBV_EVENT_QP_ACCESS_ERR ||
         type == IBV_EVENT_COMM_EST || type == IBV_EVENT_SQ_DRAINED || type == IBV_EVENT_PATH_MIG ||
         type == IBV_EVENT_PATH_MIG_ERR || type == IBV_EVENT_QP_LAST_WQE_REACHED;
}

API int ibv_get_async_event(struct ibv_context *context, struct ibv_async_event *out) {
  pthread_mutex_lock(&lock);
  struct events *events = &((struct context *)context)->events;
  struct event *event = fails("get_async_event") ? NULL : events_take(events, &lock);
  if (event != NULL) {
    *out = ((struct async_event *)event)->async;
    if (about_queue_pair(out->event_type)) ((struct queue_pair *)out->element.qp)->events_taken++;
    if (out->event_type == IBV_EVENT_CQ_ERR) ((struct completion_queue *)out->element.cq)->events_taken++;
  }
  pthread_mutex_unlock(&lock);
  free(event);
  return event == NULL ? -1 : 0;
}

API void ibv_ack_async_event(struct ibv_async_event *event) {
  pthread_mutex_lock(&lock);
  if (about_queue_pair(event->event_type)) ((struct queue_pair *)event->element.qp)->events_acknowledged++;
  if (event->event_type == IBV_EVENT_CQ_ERR) ((struct completion_queue *)event->element.cq)->events_acknowledged++;
  pthread_mutex_unlock(&lock);
}

// ---------------------------------------------------------------- domains and regions

API struct ibv_pd *ibv_alloc_pd(struct ibv_context *context) {
  pthread_mutex_lock(&lock);
  struct domain *domain = fails("alloc_pd") ? NULL : calloc(1, sizeof *domain);
  if (domain != NULL) {
    domain->base.context = context;
    ((struct context *)context)->children++;
    live.domains++;
  }
  pthread_mutex_unlock(&lock);
  return domain == NULL ? NULL : &domain->base;
}

API int ibv_dealloc_pd(struct ibv_pd *pd) {
  struct domain *domain = (struct domain *)pd;
  pthread_mutex_lock(&lock);
  int status = domain->children > 0 ? EBUSY : 0;
  if (status == 0) {
    if (fails("dealloc_pd")) status = errno;
    ((struct context *)pd->context)->children--;
    free(domain);
    live.domains--;
  }
  pthread_mutex_unlock(&lock);
  return status;
}

// Whether all of it is mapped: pinning would not find the rest.
static int is_mapped(uintptr_t start, uint64_t bytes) {
  unsigned char *pages = malloc(bytes / PAGE);
  int mapped = pages != NULL && mincore((void *)start, bytes, pages) == 0;
  free(pages);
  return mapped;
}

API struct ibv_mr *ibv_reg_mr_iova(struct ibv_pd *pd, void *address, size_t bytes, uint64_t first, int access) {
  uintptr_t start = (uintptr_t)address & ~(uintptr_t)(PAGE - 1);
  uint64_t pinned = ((uintptr_t)address + bytes - start + PAGE - 1) & ~(uint64_t)(PAGE - 1);
  struct region *region = NULL;
  pthread_mutex_lock(&lock);
  if (fails("reg_mr")) goto done;
  // A remote writer is a local one too.
  if (bytes == 0 || (((uintptr_t)address ^ first) & (PAGE - 1)) != 0 ||
      ((access & IBV_ACCESS_REMOTE_WRITE) != 0 && (access & IBV_ACCESS_LOCAL_WRITE) == 0)) {
    errno = EINVAL;
    goto done;
  }
  if (bytes > (uint64_t)1 << 40 || (double)(live.pinned + pinned) > settings.max_pinned) {
    errno = ENOMEM;
    goto done;
  }
  if (!is_mapped(start, pinned)) {
    errno = EFAULT;
    goto done;
  }
  region = calloc(1, sizeof *region);
  if (region == NULL) goto done;
  uint32_t key = (table_add(&regions, region) + FIRST_KEY) << 8;
  region->base.context = pd->context;
  region->base.pd = pd;
  region->base.addr = address;
  region->base.length = bytes;
  region->base.lkey = key | LOCAL_TAG;
  region->base.rkey = (access & (IBV_ACCESS_REMOTE_READ | IBV_ACCESS_REMOTE_WRITE)) != 0 ? key | REMOTE_TAG : 0;
  region->base.handle = key;
  region->first = first;
  region->pinned = pinned;
  region->access = access;
  ((struct domain *)pd)->children++;
  live.regions++;
  live.pinned += pinned;
done:
  pthread_mutex_unlock(&lock);
  return region == NULL ? NULL : &region->base;
}

API int ibv_dereg_mr(struct ibv_mr *mr) {
  struct region *region = (struct region *)mr;
  pthread_mutex_lock(&lock);
  int status = fails("dereg_mr") ? errno : 0;
  regions.entries[(mr->handle >> 8) - FIRST_KEY] = NULL;
  ((struct domain *)mr->pd)->children--;
  live.regions--;
  live.pinned -= region->pinned;
  free(region);
  pthread_mutex_unlock(&lock);
  return status;
}

// ---------------------------------------------------------------- completion queues

API struct ibv_comp_channel *ibv_create_comp_channel(struct ibv_context *context) {
  pthread_mutex_lock(&lock);
  struct channel *channel = fails("create_comp_channel") ? NULL : calloc(1, sizeof *channel);
  if (channel != NULL && events_open(&channel->events) < 0) {
    free(channel);
    channel = NULL;
  }
  if (channel != NULL) {
    channel->base.context = context;
    channel->base.fd = channel->events.fd;
    ((struct context *)context)->children++;
    live.channels++;
  }
  pthread_mutex_unlock(&lock);
  return channel == NULL ? NULL : &channel->base;
}

API int ibv_destroy_comp_channel(struct ibv_comp_channel *base) {
  struct channel *channel = (struct channel *)base;
  pthread_mutex_lock(&lock);
  int status = base->refcnt > 0 ? EBUSY : 0;
  if (status == 0) {
    if (fails("destroy_comp_channel")) status = errno;
    ((struct context *)base->context)->children--;
    events_close(&channel->events);
    free(channel);
    live.channels--;
  }
  pthread_mutex_unlock(&lock);
  return status;
}

API struct ibv_cq *ibv_create_cq(struct ibv_context *context, int entries, void *cq_context,
                                 struct ibv_comp_channel *channel, int vector) {
  struct completion_queue *queue = NULL;
  pthread_mutex_lock(&lock);
  if (fails("create_cq")) goto done;
  if (entries < 1 || entries > MAX_COMPLETIONS || vector != 0) {
    errno = EINVAL;
    goto done;
  }
  queue = calloc(1, sizeof *queue);
  if (queue == NULL || (queue->entries = calloc((size_t)entries, sizeof *queue->entries)) == NULL) {
    free(queue);
    queue = NULL;
    goto done;
  }
  queue->base.context = context;
  queue->base.channel = channel;
  queue->base.cq_context = cq_context;
  queue->base.cqe = entries;
  ((struct context *)context)->children++;
  if (channel != NULL) channel->refcnt++;
  live.completion_queues++;
done:
  pthread_mutex_unlock(&lock);
  return queue == NULL ? NULL : &queue->base;
}

API int ibv_destroy_cq(struct ibv_cq *cq) {
  struct completion_queue *queue = (struct completion_queue *)cq;
  pthread_mutex_lock(&lock);
  int busy = queue->children > 0 || queue->events_taken != queue->events_acknowledged;
  int status = busy ? EBUSY : 0;
  if (status == 0) {
    if (fails("destroy_cq")) status = errno;
    events_forget(&((struct context *)cq->context)->events, queue);
    if (cq->channel != NULL) {
      events_forget(&((struct channel *)cq->channel)->events, queue);
      cq->channel->refcnt--;
    }
    ((struct context *)cq->context)->children--;
    free(queue->entries);
    free(queue);
    live.completion_queues--;
  }
  pthread_mutex_unlock(&lock);
  return status;
}

API int ibv_get_cq_event(struct ibv_comp_channel *channel, struct ibv_cq **cq, void **cq_context) {
  pthread_mutex_lock(&lock);
  struct events *events = &((struct channel *)channel)->events;
  struct event *event = fails("get_cq_event") ? NULL : events_take(events, &lock);
  if (event != NULL) {
    struct completion_queue *queue = (struct completion_queue *)(uintptr_t)event->object;
    queue->events_taken++;
    *cq = &queue->base;
    *cq_context = queue->base.cq_context;
  }
  pthread_mutex_unlock(&lock);
  free(event);
  return event == NULL ? -1 : 0;
}

API void ibv_ack_cq_events(struct ibv_cq *cq, unsigned int count) {
  pthread_mutex_lock(&lock);
  ((struct completion_queue *)cq)->events_acknowledged += count;
  pthread_mutex_unlock(&lock);
}

// ---------------------------------------------------------------- queue pairs

API struct ibv_qp *ibv_create_qp(struct ibv_pd *pd, struct ibv_qp_init_attr *init) {
  struct queue_pair *pair = NULL;
  pthread_mutex_lock(&lock);
  if (fails("create_qp")) goto done;
  if (init->qp_type != IBV_QPT_RC || init->send_cq == NULL || init->recv_cq == NULL ||
      init->send_cq->context != pd->context || init->cap.max_send_wr < 1 ||
      init->cap.max_send_wr > settings.max_sends || init->cap.max_send_sge > 4) {
    errno = EINVAL;
    goto done;
  }
  pair = calloc(1, sizeof *pair);
  if (pair == NULL || (pair->waiting = calloc(init->cap.max_send_wr, sizeof *pair->waiting)) == NULL) {
    free(pair);
    pair = NULL;
    goto done;
  }
  pair->places = init->cap.max_send_wr;
  pair->base.context = pd->context;
  pair->base.qp_context = init->qp_context;
  pair->base.pd = pd;
  pair->base.send_cq = init->send_cq;
  pair->base.recv_cq = init->recv_cq;
  pair->base.qp_type = init->qp_type;
  pair->base.qp_num = table_add(&queue_pairs, pair) + FIRST_NUMBER;
  ((struct domain *)pd)->children++;
  ((struct completion_queue *)init->send_cq)->children++;
  ((struct completion_queue *)init->recv_cq)->children++;
  live.queue_pairs++;
done:
  pthread_mutex_unlock(&lock);
  return pair == NULL ? NULL : &pair->base;
}

// Attributes of a reliable connection's transitions, as in qp_state_table of Linux, drivers/infiniband/core/verbs.c.
static const struct {
  enum ibv_qp_state from, to;
  int required, optional;
} transitions[] = {
    {IBV_QPS_RESET, IBV_QPS_INIT, IBV_QP_STATE | IBV_QP_PKEY_INDEX | IBV_QP_PORT | IBV_QP_ACCESS_FLAGS, 0},
    {IBV_QPS_INIT, IBV_QPS_INIT, IBV_QP_STATE, IBV_QP_PKEY_INDEX | IBV_QP_PORT | IBV_QP_ACCESS_FLAGS},
    {IBV_QPS_INIT, IBV_QPS_RTR,
     IBV_QP_STATE | IBV_QP_AV | IBV_QP_PATH_MTU | IBV_QP_DEST_QPN | IBV_QP_RQ_PSN | IBV_QP_MAX_DEST_RD_ATOMIC |
         IBV_QP_MIN_RNR_TIMER,
     IBV_QP_ALT_PATH | IBV_QP_ACCESS_FLAGS | IBV_QP_PKEY_INDEX},
    {IBV_QPS_RTR, IBV_QPS_RTS,
     IBV_QP_STATE | IBV_QP_TIMEOUT | IBV_QP_RETRY_CNT | IBV_QP_RNR_RETRY | IBV_QP_SQ_PSN | IBV_QP_MAX_QP_RD_ATOMIC,
     IBV_QP_CUR_STATE | IBV_QP_ALT_PATH | IBV_QP_ACCESS_FLAGS | IBV_QP_MIN_RNR_TIMER | IBV_QP_PATH_MIG_STATE},
    {IBV_QPS_RTS, IBV_QPS_RTS, IBV_QP_STATE,
     IBV_QP_CUR_STATE | IBV_QP_ACCESS_FLAGS | IBV_QP_ALT_PATH | IBV_QP_PATH_MIG_STATE | IBV_QP_MIN_RNR_TIMER},
};

static int allows(enum ibv_qp_state from, enum ibv_qp_state to, int mask) {
  if (to == IBV_QPS_ERR || to == IBV_QPS_RESET) return mask == IBV_QP_STATE;
  for (size_t i = 0; i < sizeof transitions / sizeof *transitions; i++) {
    if (transitions[i].from != from || transitions[i].to != to) continue;
    int required = transitions[i].required;
    return (mask & required) == required && (mask & ~(required | transitions[i].optional)) == 0;
  }
  return 0;
}

static int are_sound(const struct ibv_qp_attr *a, int mask) {
  if ((mask & IBV_QP_PORT) != 0 && a->port_num != PORT) return 0;
  if ((mask & IBV_QP_PKEY_INDEX) != 0 && a->pkey_index != 0) return 0;
  if ((mask & IBV_QP_PATH_MTU) != 0 && (a->path_mtu < IBV_MTU_256 || a->path_mtu > IBV_MTU_4096)) return 0;
  if ((mask & IBV_QP_DEST_QPN) != 0 && a->dest_qp_num > 0xffffff) return 0;
  if ((mask & IBV_QP_RQ_PSN) != 0 && a->rq_psn > 0xffffff) return 0;
  if ((mask & IBV_QP_SQ_PSN) != 0 && a->sq_psn > 0xffffff) return 0;
  if ((mask & IBV_QP_MAX_QP_RD_ATOMIC) != 0 && a->max_rd_atomic > MAX_READS) return 0;
  if ((mask & IBV_QP_MAX_DEST_RD_ATOMIC) != 0 && a->max_dest_rd_atomic > MAX_READS) return 0;
  if ((mask & IBV_QP_TIMEOUT) != 0 && a->timeout > 31) return 0;
  if ((mask & IBV_QP_RETRY_CNT) != 0 && a->retry_cnt > 7) return 0;
  if ((mask & IBV_QP_RNR_RETRY) != 0 && a->rnr_retry > 7) return 0;
  if ((mask & IBV_QP_MIN_RNR_TIMER) != 0 && a->min_rnr_timer > 31) return 0;
  if ((mask & IBV_QP_AV) != 0) {
    // RoCE has no other address than a GID, and only the first of ours is there.
    static const uint8_t NONE[16];
    const struct ibv_ah_attr *address = &a->ah_attr;
    if (!address->is_global || address->port_num != PORT || address->grh.sgid_index != 0) return 0;
    if (address->grh.hop_limit == 0 || memcmp(address->grh.dgid.raw, NONE, sizeof NONE) == 0) return 0;
  }
  return 1;
}

static void take_over(struct ibv_qp_attr *to, const struct ibv_qp_attr *from, int mask) {
#define TAKE(bit, field) \
  if ((mask & (bit)) != 0) to->field = from->field
  TAKE(IBV_QP_PORT, port_num);
  TAKE(IBV_QP_PKEY_INDEX, pkey_index);
  TAKE(IBV_QP_ACCESS_FLAGS, qp_access_flags);
  TAKE(IBV_QP_AV, ah_attr);
  TAKE(IBV_QP_PATH_MTU, path_mtu);
  TAKE(IBV_QP_DEST_QPN, dest_qp_num);
  TAKE(IBV_QP_RQ_PSN, rq_psn);
  TAKE(IBV_QP_SQ_PSN, sq_psn);
  TAKE(IBV_QP_MAX_QP_RD_ATOMIC, max_rd_atomic);
  TAKE(IBV_QP_MAX_DEST_RD_ATOMIC, max_dest_rd_atomic);
  TAKE(IBV_QP_MIN_RNR_TIMER, min_rnr_timer);
  TAKE(IBV_QP_TIMEOUT, timeout);
  TAKE(IBV_QP_RETRY_CNT, retry_cnt);
  TAKE(IBV_QP_RNR_RETRY, rnr_retry);
#undef TAKE
}

API int ibv_modify_qp(struct ibv_qp *qp, struct ibv_qp_attr *attributes, int mask) {
  struct queue_pair *pair = (struct queue_pair *)qp;
  pthread_mutex_lock(&lock);
  int status = fails("modify_qp") ? errno : 0;
  if (status != 0) goto done;
  enum ibv_qp_state to = (mask & IBV_QP_STATE) != 0 ? attributes->qp_state : pair->state;
  if (!allows(pair->state, to, mask | IBV_QP_STATE) || !are_sound(attributes, mask) ||
      ((mask & IBV_QP_CUR_STATE) != 0 && attributes->cur_qp_state != pair->state)) {
    status = EINVAL;
    goto done;
  }
  if (to == IBV_QPS_RESET) {
    memset(&pair->attributes, 0, sizeof pair->attributes);
    pair->count = pair->taken = pair->unreported = 0;
  }
  take_over(&pair->attributes, attributes, mask);
  pair->state = to;
  if (to == IBV_QPS_ERR) fail(pair);
done:
  pthread_mutex_unlock(&lock);
  return status;
}

API int ibv_query_qp(struct ibv_qp *qp, struct ibv_qp_attr *out, int mask, struct ibv_qp_init_attr *init) {
  (void)mask;
  const struct queue_pair *pair = (struct queue_pair *)qp;
  pthread_mutex_lock(&lock);
  int status = fails("query_qp") ? errno : 0;
  *out = pair->attributes;
  out->qp_state = out->cur_qp_state = pair->state;
  memset(init, 0, sizeof *init);
  init->cap.max_send_wr = pair->places;
  pthread_mutex_unlock(&lock);
  return status;
}

API int ibv_destroy_qp(struct ibv_qp *qp) {
  struct queue_pair *pair = (struct queue_pair *)qp;
  pthread_mutex_lock(&lock);
  int busy = pair->events_taken != pair->events_acknowledged;
  int status = busy ? EBUSY : 0;
  if (status == 0) {
    if (fails("destroy_qp")) status = errno;
    events_forget(&((struct context *)qp->context)->events, pair);
    queue_pairs.entries[qp->qp_num - FIRST_NUMBER] = NULL;
    ((struct domain *)qp->pd)->children--;
    ((struct completion_queue *)qp->send_cq)->children--;
    ((struct completion_queue *)qp->recv_cq)->children--;
    free(pair->waiting);
    free(pair);
    live.queue_pairs--;
  }
  pthread_mutex_unlock(&lock);
  return status;
}

// ---------------------------------------------------------------- what tests steer and see

#define COUNTER(type, name, value)      \
  API type mock_##name(void) {          \
    pthread_mutex_lock(&lock);          \
    type answer = (type)(live.value);   \
    pthread_mutex_unlock(&lock);        \
    return answer;                      \
  }
COUNTER(uint32_t, live_contexts, contexts)
COUNTER(uint32_t, live_domains, domains)
COUNTER(uint32_t, live_regions, regions)
COUNTER(uint32_t, live_queue_pairs, queue_pairs)
COUNTER(uint32_t, live_completion_queues, completion_queues)
COUNTER(uint32_t, live_channels, channels)
COUNTER(double, pinned_bytes, pinned)
COUNTER(double, reads, reads)
COUNTER(double, bytes_read, bytes)
COUNTER(double, posts, posts)

API int mock_fail_after(const char *call, uint32_t calls, int error) {
  int status = -EINVAL;
  pthread_mutex_lock(&lock);
  for (size_t i = 0; i < FAULTS; i++) {
    if (strcmp(faults[i].call, call) != 0) continue;
    faults[i].after = calls;
    faults[i].error = error;
    faults[i].due = 1;
    status = 0;
  }
  pthread_mutex_unlock(&lock);
  return status;
}

API int mock_fail_next(const char *call, int error) { return mock_fail_after(call, 0, error); }

API int mock_async_event(uint32_t type, uint32_t number) {
  int status = 0;
  pthread_mutex_lock(&lock);
  if (about_queue_pair((enum ibv_event_type)type) || type == IBV_EVENT_CQ_ERR) {
    struct queue_pair *pair = queue_pair_by(number);
    if (pair == NULL)
      status = -EINVAL;
    else
      raise_async((struct context *)pair->base.context, (enum ibv_event_type)type,
                  type == IBV_EVENT_CQ_ERR ? (void *)pair->base.send_cq : pair);
  } else {
    // The port, in the place of a pointer: the two are one union.
    for (struct context *each = contexts; each != NULL; each = each->next)
      raise_async(each, (enum ibv_event_type)type, (void *)(uintptr_t)number);
  }
  pthread_mutex_unlock(&lock);
  return status;
}

// Under the lock.
static uint32_t release(uint32_t count) {
  uint32_t done = 0;
  for (; done < count; done++) {
    struct queue_pair *next = NULL;
    for (uint32_t i = 0; i < queue_pairs.count; i++) {
      struct queue_pair *pair = queue_pairs.entries[i];
      if (pair == NULL || pair->count == 0) continue;
      if (next == NULL || pair->waiting[pair->head].order < next->waiting[next->head].order) next = pair;
    }
    if (next == NULL) break;
    advance(next);
  }
  return done;
}

API uint32_t mock_release(uint32_t count) {
  pthread_mutex_lock(&lock);
  uint32_t done = release(count);
  pthread_mutex_unlock(&lock);
  return done;
}

API void mock_hold(int on) {
  pthread_mutex_lock(&lock);
  settings.held = on;
  if (!on) release(UINT32_MAX);
  pthread_mutex_unlock(&lock);
}

API void mock_reorder(int on) {
  pthread_mutex_lock(&lock);
  settings.reordered = on;
  pthread_mutex_unlock(&lock);
}

API void mock_unreachable(int on) {
  pthread_mutex_lock(&lock);
  settings.unreachable = on;
  pthread_mutex_unlock(&lock);
}

API int mock_break(uint32_t number) {
  pthread_mutex_lock(&lock);
  struct queue_pair *pair = queue_pair_by(number);
  if (pair != NULL) {
    raise_async((struct context *)pair->base.context, IBV_EVENT_QP_FATAL, pair);
    fail(pair);
  }
  pthread_mutex_unlock(&lock);
  return pair == NULL ? -EINVAL : 0;
}

API void mock_limit_sends(uint32_t requests) {
  pthread_mutex_lock(&lock);
  settings.max_sends = requests;
  pthread_mutex_unlock(&lock);
}

API void mock_limit_pinned(double bytes) {
  pthread_mutex_lock(&lock);
  settings.max_pinned = bytes;
  pthread_mutex_unlock(&lock);
}

API void mock_present(int on) {
  pthread_mutex_lock(&lock);
  settings.absent = !on;
  pthread_mutex_unlock(&lock);
}

API void mock_reset(void) {
  pthread_mutex_lock(&lock);
  settings = AS_LOADED;
  for (size_t i = 0; i < FAULTS; i++) faults[i].due = 0;
  release(UINT32_MAX);
  pthread_mutex_unlock(&lock);
}
