// The RDMA connection manager over librdmacm: see c/rdma_cm.h.
// The manager's identifiers have no queue pair (id->qp is NULL), as it would create one on a context of its own; so it
// leaves the pair's states to us. The attributes come from it, by rdma_init_qp_attr.
#include "rdma_cm.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netdb.h>
#include <rdma/rdma_cma.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "verbs_internal.h"

#define API __attribute__((visibility("default")))

_Static_assert(sizeof(struct mv_cm_event) == 416, "bun:ffi reads it");

#define FUNCTIONS(X)        \
  X(create_event_channel)   \
  X(destroy_event_channel)  \
  X(get_cm_event)           \
  X(ack_cm_event)           \
  X(create_id)              \
  X(destroy_id)             \
  X(bind_addr)              \
  X(listen)                 \
  X(get_src_port)           \
  X(resolve_addr)           \
  X(resolve_route)          \
  X(init_qp_attr)           \
  X(connect)                \
  X(establish)              \
  X(accept)                 \
  X(reject)                 \
  X(disconnect)

struct library {
  struct mv_library base;
#define POINTER(function) __typeof__(rdma_##function) *function;
  FUNCTIONS(POINTER)
};

static const struct mv_function functions[] = {
#define ENTRY(function) {"rdma_" #function, offsetof(struct library, function)},
    FUNCTIONS(ENTRY)};
static struct mv_libraries libraries = {.mutex = PTHREAD_MUTEX_INITIALIZER};

enum state { LISTENING, RESOLVING, RESOLVED, CONNECTING, REQUESTED, ACCEPTED, CONNECTED, ENDED };

struct mv_cm {
  const struct library *library;
  struct rdma_event_channel *channel;
  struct mv_cm_link *links;
};

struct mv_cm_link {
  struct mv_cm_link *next;
  struct mv_cm *cm;
  struct rdma_cm_id *id;
  enum state state;
  uint32_t timeout_ms;
  // While connecting.
  struct mv_queue_pair *pair;
  uint8_t timeout;
};

API int mv_cm_load(const char *name) {
  if (name == NULL || *name == '\0') name = "librdmacm.so.1";
  return mv_library_load(&libraries, name, functions, sizeof functions / sizeof *functions, sizeof(struct library));
}

// ---------------------------------------------------------------- opening and closing

API int mv_cm_open(struct mv_cm **out) {
  const struct library *library = mv_library_current(&libraries);
  if (library == NULL) return -ENOENT;
  struct mv_cm *cm = calloc(1, sizeof *cm);
  if (cm == NULL) return -ENOMEM;
  cm->library = library;
  errno = 0;
  cm->channel = library->create_event_channel();
  int status = cm->channel == NULL ? mv_library_failure() : 0;
  if (status == 0) {
    int flags = fcntl(cm->channel->fd, F_GETFL);
    if (flags < 0 || fcntl(cm->channel->fd, F_SETFL, flags | O_NONBLOCK) < 0) status = -errno;
  }
  if (status < 0)
    mv_cm_close(cm);
  else
    *out = cm;
  return status;
}

API int mv_cm_fd(const struct mv_cm *cm) { return cm->channel->fd; }

API int mv_cm_close(struct mv_cm *cm) {
  int first = 0;
  while (cm->links != NULL) {
    int status = mv_cm_link_close(cm->links);
    if (first == 0) first = status;
  }
  if (cm->channel != NULL) cm->library->destroy_event_channel(cm->channel);
  free(cm);
  return first;
}

static struct mv_cm_link *add_link(struct mv_cm *cm, struct rdma_cm_id *id, enum state state) {
  struct mv_cm_link *link = calloc(1, sizeof *link);
  if (link == NULL) return NULL;
  link->cm = cm;
  link->id = id;
  link->state = state;
  link->next = cm->links;
  cm->links = link;
  if (id != NULL) id->context = link;
  return link;
}

API int mv_cm_link_close(struct mv_cm_link *link) {
  struct mv_cm *cm = link->cm;
  struct mv_cm_link **at = &cm->links;
  while (*at != link) at = &(*at)->next;
  *at = link->next;
  errno = 0;
  // Its events that were not taken yet go with it.
  int status = link->id == NULL ? 0 : mv_library_result(cm->library->destroy_id(link->id));
  free(link);
  return status;
}

static int open_link(struct mv_cm *cm, enum state state, struct mv_cm_link **out) {
  struct mv_cm_link *link = add_link(cm, NULL, state);
  if (link == NULL) return -ENOMEM;
  errno = 0;
  int status = mv_library_result(cm->library->create_id(cm->channel, &link->id, link, RDMA_PS_TCP));
  if (status < 0) {
    link->id = NULL;
    mv_cm_link_close(link);
    return status;
  }
  *out = link;
  return 0;
}

// Numbers only: names are looked up by those who can wait for the answer.
static int parse(const char *address, uint32_t port, struct addrinfo **out) {
  if (port > UINT16_MAX) return -EINVAL;
  char service[16];
  snprintf(service, sizeof service, "%u", port);
  struct addrinfo hints = {.ai_socktype = SOCK_STREAM, .ai_flags = AI_NUMERICHOST | AI_NUMERICSERV};
  return getaddrinfo(address, service, &hints, out) == 0 ? 0 : -EINVAL;
}

API int mv_cm_listen(struct mv_cm *cm, const char *address, uint32_t port, uint32_t backlog,
                     struct mv_cm_link **out) {
  struct addrinfo *parsed;
  struct mv_cm_link *link;
  if (backlog > INT32_MAX) return -EINVAL;
  int status = parse(address, port, &parsed);
  if (status < 0) return status;
  status = open_link(cm, LISTENING, &link);
  if (status == 0) {
    errno = 0;
    status = mv_library_result(cm->library->bind_addr(link->id, parsed->ai_addr));
    if (status == 0) status = mv_library_result(cm->library->listen(link->id, (int)backlog));
    if (status < 0) mv_cm_link_close(link);
  }
  freeaddrinfo(parsed);
  if (status < 0) return status;
  *out = link;
  return ntohs(cm->library->get_src_port(link->id));
}

API int mv_cm_resolve(struct mv_cm *cm, const char *address, uint32_t port, uint32_t timeout_ms,
                      struct mv_cm_link **out) {
  struct addrinfo *parsed;
  struct mv_cm_link *link;
  if (timeout_ms > INT32_MAX) return -EINVAL;
  int status = parse(address, port, &parsed);
  if (status < 0) return status;
  status = open_link(cm, RESOLVING, &link);
  if (status == 0) {
    link->timeout_ms = timeout_ms;
    errno = 0;
    status = mv_library_result(cm->library->resolve_addr(link->id, NULL, parsed->ai_addr, (int)timeout_ms));
    if (status < 0) mv_cm_link_close(link);
  }
  freeaddrinfo(parsed);
  if (status < 0) return status;
  *out = link;
  return 0;
}

// ---------------------------------------------------------------- the queue pair's states

// Kernels tell attributes beside those that ibv_modify_qp knows, of addresses that they find themselves.
enum { KERNEL_ONLY = 0x1e00000 };

static int enter(struct mv_cm_link *link, enum ibv_qp_state state, struct ibv_qp_attr *attributes, int *mask) {
  memset(attributes, 0, sizeof *attributes);
  attributes->qp_state = state;
  errno = 0;
  int status = mv_library_result(link->cm->library->init_qp_attr(link->id, attributes, mask));
  *mask &= ~KERNEL_ONLY;
  return status;
}

// How many READs at once: as the manager has agreed with the other side, or, before there is an agreement, as we say.
struct reads {
  uint8_t initiator, target;
};

// INIT again, because the manager knows the partition; ready to receive; ready to send.
static int make_ready(struct mv_cm_link *link, struct mv_queue_pair *pair, const struct reads *reads,
                      struct reads *agreed) {
  struct ibv_qp_attr attributes;
  int mask;
  int status = enter(link, IBV_QPS_INIT, &attributes, &mask);
  if (status == 0) status = mv_queue_pair_modify(pair, &attributes, mask);
  if (status == 0) status = enter(link, IBV_QPS_RTR, &attributes, &mask);
  if (status < 0) return status;
  if (reads != NULL) attributes.max_dest_rd_atomic = reads->target;
  agreed->target = attributes.max_dest_rd_atomic;
  status = mv_queue_pair_modify(pair, &attributes, mask);
  if (status == 0) status = enter(link, IBV_QPS_RTS, &attributes, &mask);
  if (status < 0) return status;
  if (reads != NULL) attributes.max_rd_atomic = reads->initiator;
  agreed->initiator = attributes.max_rd_atomic;
  if (link->timeout != 0) attributes.timeout = link->timeout;
  return mv_queue_pair_modify(pair, &attributes, mask);
}

static int is_of_device(const struct mv_cm_link *link, const struct mv_queue_pair *pair) {
  const struct ibv_context *context = link->id->verbs;
  return context != NULL && strcmp(context->device->name, mv_queue_pair_device(pair)) == 0;
}

API int mv_cm_connect(struct mv_cm_link *link, struct mv_queue_pair *pair, uint32_t reads_initiator,
                      uint32_t reads_target, uint32_t timeout, uint32_t retries, const void *data, uint32_t bytes) {
  // 255 READs mean something else to librdmacm.
  if (link->state != RESOLVED || reads_initiator >= RDMA_MAX_INIT_DEPTH || reads_target >= RDMA_MAX_RESP_RES ||
      timeout > 31 || retries > 7 || bytes > MV_CM_REQUEST_BYTES)
    return -EINVAL;
  if (!is_of_device(link, pair)) return -EXDEV;
  struct rdma_conn_param parameters = {
      .private_data = data,
      .private_data_len = (uint8_t)bytes,
      .responder_resources = (uint8_t)reads_target,
      .initiator_depth = (uint8_t)reads_initiator,
      .retry_count = (uint8_t)retries,
      .rnr_retry_count = 7,
      .qp_num = mv_queue_pair_number(pair),
  };
  errno = 0;
  int status = mv_library_result(link->cm->library->connect(link->id, &parameters));
  if (status < 0) return status;
  link->state = CONNECTING;
  link->pair = pair;
  link->timeout = (uint8_t)timeout;
  return 0;
}

API int mv_cm_accept(struct mv_cm_link *link, struct mv_queue_pair *pair, uint32_t reads_initiator,
                     uint32_t reads_target, const void *data, uint32_t bytes) {
  if (link->state != REQUESTED || reads_initiator >= RDMA_MAX_INIT_DEPTH || reads_target >= RDMA_MAX_RESP_RES ||
      bytes > MV_CM_ACCEPT_BYTES)
    return -EINVAL;
  if (!is_of_device(link, pair)) return -EXDEV;
  struct reads reads = {.initiator = (uint8_t)reads_initiator, .target = (uint8_t)reads_target}, agreed;
  int status = make_ready(link, pair, &reads, &agreed);
  if (status < 0) return status;
  struct rdma_conn_param parameters = {
      .private_data = data,
      .private_data_len = (uint8_t)bytes,
      .responder_resources = reads.target,
      .initiator_depth = reads.initiator,
      .rnr_retry_count = 7,
      .qp_num = mv_queue_pair_number(pair),
  };
  errno = 0;
  status = mv_library_result(link->cm->library->accept(link->id, &parameters));
  if (status == 0) link->state = ACCEPTED;
  return status;
}

API int mv_cm_reject(struct mv_cm_link *link, const void *data, uint32_t bytes) {
  if (link->state != REQUESTED || bytes > MV_CM_REJECT_BYTES) return -EINVAL;
  errno = 0;
  int status = mv_library_result(link->cm->library->reject(link->id, data, (uint8_t)bytes));
  int closed = mv_cm_link_close(link);
  return status < 0 ? status : closed;
}

API int mv_cm_disconnect(struct mv_cm_link *link) {
  errno = 0;
  int status = mv_library_result(link->cm->library->disconnect(link->id));
  if (status == 0) link->state = ENDED;
  return status;
}

// ---------------------------------------------------------------- events

static void describe(const struct rdma_cm_id *id, struct mv_cm_event *out) {
  if (id->verbs != NULL) snprintf(out->device, sizeof out->device, "%s", id->verbs->device->name);
  out->device_port = id->port_num;
  const struct rdma_addr *address = &id->route.addr;
  if (address->dst_addr.sa_family == AF_INET6) {
    inet_ntop(AF_INET6, &address->dst_sin6.sin6_addr, out->remote, sizeof out->remote);
    out->remote_port = ntohs(address->dst_sin6.sin6_port);
  } else if (address->dst_addr.sa_family == AF_INET) {
    inet_ntop(AF_INET, &address->dst_sin.sin_addr, out->remote, sizeof out->remote);
    out->remote_port = ntohs(address->dst_sin.sin_port);
  }
}

static void failed(struct mv_cm_link *link, int status, struct mv_cm_event *out) {
  link->state = ENDED;
  link->pair = NULL;
  out->type = MV_CM_FAILED;
  out->status = status != 0 ? status : -EIO;
}

// The other side has accepted: our pair comes up, and we confirm.
static void respond(struct mv_cm_link *link, struct mv_cm_event *out) {
  const struct library *library = link->cm->library;
  struct reads agreed = {0, 0};
  int status = link->pair == NULL ? -EPROTO : make_ready(link, link->pair, NULL, &agreed);
  errno = 0;
  if (status == 0) status = mv_library_result(library->establish(link->id));
  if (status < 0) {
    library->reject(link->id, NULL, 0);
    failed(link, status, out);
    return;
  }
  link->state = CONNECTED;
  link->pair = NULL;
  out->type = MV_CM_CONNECTED;
  out->reads_initiator = agreed.initiator;
  out->reads_target = agreed.target;
}

// What an event means, if anything; it was acknowledged already, and `id` is the one it is about.
static int interpret(struct mv_cm *cm, enum rdma_cm_event_type type, struct rdma_cm_id *id, struct mv_cm_event *out) {
  const struct library *library = cm->library;
  struct mv_cm_link *link = id->context;
  out->link = (uintptr_t)link;
  switch (type) {
    case RDMA_CM_EVENT_ADDR_RESOLVED: {
      errno = 0;
      int status = mv_library_result(library->resolve_route(id, (int)link->timeout_ms));
      if (status == 0) return 0;
      failed(link, status, out);
      return 1;
    }
    case RDMA_CM_EVENT_ROUTE_RESOLVED:
      link->state = RESOLVED;
      describe(id, out);
      out->type = MV_CM_RESOLVED;
      out->status = 0;
      return 1;
    case RDMA_CM_EVENT_CONNECT_REQUEST: {
      // The new identifier has its listener's context.
      out->listener = (uintptr_t)link;
      struct mv_cm_link *request = add_link(cm, id, REQUESTED);
      if (request == NULL) {
        library->reject(id, NULL, 0);
        library->destroy_id(id);
        return 0;
      }
      out->link = (uintptr_t)request;
      describe(id, out);
      out->type = MV_CM_REQUEST;
      return 1;
    }
    case RDMA_CM_EVENT_CONNECT_RESPONSE:
      respond(link, out);
      return 1;
    case RDMA_CM_EVENT_ESTABLISHED:
      link->state = CONNECTED;
      out->type = MV_CM_CONNECTED;
      return 1;
    case RDMA_CM_EVENT_REJECTED:
      link->state = ENDED;
      link->pair = NULL;
      out->type = MV_CM_REJECTED;
      return 1;
    case RDMA_CM_EVENT_ADDR_ERROR:
    case RDMA_CM_EVENT_ROUTE_ERROR:
    case RDMA_CM_EVENT_CONNECT_ERROR:
    case RDMA_CM_EVENT_UNREACHABLE:
      failed(link, out->status < 0 ? out->status : -EHOSTUNREACH, out);
      return 1;
    case RDMA_CM_EVENT_DISCONNECTED:
      // The other side waits for an answer; none is due if it was we who asked.
      if (link->state != ENDED) library->disconnect(id);
      link->state = ENDED;
      out->type = MV_CM_DISCONNECTED;
      return 1;
    case RDMA_CM_EVENT_DEVICE_REMOVAL:
      link->state = ENDED;
      link->pair = NULL;
      out->type = MV_CM_DEVICE_REMOVED;
      return 1;
    default:
      return 0;
  }
}

API int mv_cm_event(struct mv_cm *cm, struct mv_cm_event *out) {
  for (;;) {
    struct rdma_cm_event *event;
    errno = 0;
    if (cm->library->get_cm_event(cm->channel, &event) != 0) {
      if (errno == EINTR) continue;
      return errno == EAGAIN ? 0 : mv_library_failure();
    }
    memset(out, 0, sizeof *out);
    const struct rdma_conn_param *connection = &event->param.conn;
    out->status = event->status;
    out->reads_initiator = connection->initiator_depth;
    out->reads_target = connection->responder_resources;
    if (connection->private_data != NULL) {
      out->data_bytes = connection->private_data_len;
      memcpy(out->data, connection->private_data, out->data_bytes);
    }
    enum rdma_cm_event_type type = event->event;
    struct rdma_cm_id *id = event->id;
    // At once: destroying an identifier would wait for it.
    cm->library->ack_cm_event(event);
    if (interpret(cm, type, id, out)) return 1;
  }
}
