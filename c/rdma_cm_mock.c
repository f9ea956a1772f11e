// A librdmacm without a network, for tests: c/rdma_cm_mock.h says how it is steered. It keeps the rules of connecting
// that our code could break: what is called in which state, who tells whom what, and what attributes of queue pairs the
// manager gives, with the access that it would give along.
#include "rdma_cm_mock.h"

#include <arpa/inet.h>
#include <errno.h>
#include <pthread.h>
#include <rdma/rdma_cma.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "mock_events.h"

#define API __attribute__((visibility("default")))

enum {
  REQUEST_BYTES = 56,
  ACCEPT_BYTES = 196,
  REJECT_BYTES = 148,
  REJECTED_NO_LISTENER = 8,
  REJECTED_BY_PROGRAM = 28,
  FIRST_PORT = 40000,
};

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;

struct channel {
  struct rdma_event_channel base;
  struct events events;
  uint32_t ids;
};

enum state { IDLE, LISTENING, RESOLVED, ROUTED, REQUESTING, REQUESTED, RESPONDED, ACCEPTED, CONNECTED, DISCONNECTED };

struct id {
  struct rdma_cm_id base;
  struct id *next;
  enum state state;
  struct id *peer;
  uint16_t port;
  uint32_t number;  // of its queue pair
  uint32_t psn;
  uint8_t reads_initiator, reads_target;
  uint32_t events_taken, events_acknowledged;
};

struct cm_event {
  struct event base;
  struct rdma_cm_event event;
  struct id *owner;  // acknowledges
  uint8_t data[256];
};

static struct id *ids;
static uint32_t live_channels, live_ids;
static uint32_t packets = 0x1000;
static uint16_t ports = FIRST_PORT;

static struct ibv_device devices[] = {
    {.node_type = IBV_NODE_CA, .transport_type = IBV_TRANSPORT_IB, .name = "mock0"},
    {.node_type = IBV_NODE_CA, .transport_type = IBV_TRANSPORT_IB, .name = "mock1"},
};
static struct ibv_context contexts[] = {{.device = &devices[0]}, {.device = &devices[1]}};
static const uint8_t GID[16] = {[10] = 0xff, [11] = 0xff, [12] = 192, [13] = 0, [14] = 2, [15] = 1};

static struct {
  const char *call;
  uint32_t after;
  int error, due;
} faults[] = {
    {.call = "create_event_channel"}, {.call = "get_cm_event"}, {.call = "create_id"},     {.call = "destroy_id"},
    {.call = "bind_addr"},            {.call = "listen"},       {.call = "resolve_addr"},  {.call = "resolve_route"},
    {.call = "init_qp_attr"},         {.call = "connect"},      {.call = "establish"},     {.call = "accept"},
    {.call = "reject"},               {.call = "disconnect"},
};
enum { FAULTS = sizeof faults / sizeof *faults };

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

static int refuse(int error) {
  errno = error;
  return -1;
}

// Data arrive with zeroes up to what the message has room for.
static void tell(struct id *owner, enum rdma_cm_event_type type, int status, struct id *about, const void *data,
                 uint8_t bytes, uint8_t room) {
  struct cm_event *event = calloc(1, sizeof *event);
  if (event == NULL) abort();
  event->event.id = &about->base;
  event->event.listen_id = about == owner ? NULL : &owner->base;
  event->event.event = type;
  event->event.status = status;
  event->owner = owner;
  if (room > 0) {
    if (bytes > 0) memcpy(event->data, data, bytes);
    event->event.param.conn.private_data = event->data;
    event->event.param.conn.private_data_len = room;
  }
  // As they are seen from where they arrive.
  const struct id *of = about == owner ? owner : about;
  event->event.param.conn.initiator_depth = of->reads_initiator;
  event->event.param.conn.responder_resources = of->reads_target;
  events_add(&((struct channel *)owner->base.channel)->events, owner, &event->base);
}

// ---------------------------------------------------------------- channels and identifiers

API struct rdma_event_channel *rdma_create_event_channel(void) {
  pthread_mutex_lock(&lock);
  struct channel *channel = fails("create_event_channel") ? NULL : calloc(1, sizeof *channel);
  if (channel != NULL && events_open(&channel->events) < 0) {
    free(channel);
    channel = NULL;
  }
  if (channel != NULL) {
    channel->base.fd = channel->events.fd;
    live_channels++;
  }
  pthread_mutex_unlock(&lock);
  return channel == NULL ? NULL : &channel->base;
}

API void rdma_destroy_event_channel(struct rdma_event_channel *base) {
  struct channel *channel = (struct channel *)base;
  pthread_mutex_lock(&lock);
  if (channel->ids > 0) abort();
  events_close(&channel->events);
  free(channel);
  live_channels--;
  pthread_mutex_unlock(&lock);
}

static struct id *new_id(struct rdma_event_channel *channel, void *context) {
  struct id *id = calloc(1, sizeof *id);
  if (id == NULL) abort();
  id->base.channel = channel;
  id->base.context = context;
  id->base.ps = RDMA_PS_TCP;
  id->psn = packets++;
  id->next = ids;
  ids = id;
  ((struct channel *)channel)->ids++;
  live_ids++;
  return id;
}

API int rdma_create_id(struct rdma_event_channel *channel, struct rdma_cm_id **out, void *context,
                       enum rdma_port_space space) {
  pthread_mutex_lock(&lock);
  int status = space != RDMA_PS_TCP ? refuse(EINVAL) : fails("create_id") ? -1 : 0;
  if (status == 0) *out = &new_id(channel, context)->base;
  pthread_mutex_unlock(&lock);
  return status;
}

API int rdma_destroy_id(struct rdma_cm_id *base) {
  struct id *id = (struct id *)base;
  pthread_mutex_lock(&lock);
  int status = id->events_taken != id->events_acknowledged ? refuse(EBUSY) : 0;
  if (status == 0) {
    struct channel *channel = (struct channel *)base->channel;
    // A request that nobody took: its identifier has no owner but the event.
    for (struct event *each = channel->events.first; each != NULL; each = each->next) {
      const struct cm_event *event = (struct cm_event *)each;
      if (each->object != id || event->event.event != RDMA_CM_EVENT_CONNECT_REQUEST) continue;
      struct id *request = (struct id *)event->event.id;
      struct id **link = &ids;
      while (*link != request) link = &(*link)->next;
      *link = request->next;
      if (request->peer != NULL) request->peer->peer = NULL;
      free(request);
      channel->ids--;
      live_ids--;
    }
    events_forget(&channel->events, id);
    struct id *peer = id->peer;
    if (peer != NULL) {
      peer->peer = NULL;
      if (id->state == REQUESTED)
        tell(peer, RDMA_CM_EVENT_REJECTED, REJECTED_BY_PROGRAM, peer, NULL, 0, REJECT_BYTES);
      else if (peer->state == CONNECTED)
        tell(peer, RDMA_CM_EVENT_DISCONNECTED, 0, peer, NULL, 0, 0);
    }
    struct id **link = &ids;
    while (*link != id) link = &(*link)->next;
    *link = id->next;
    channel->ids--;
    free(id);
    live_ids--;
    if (fails("destroy_id")) status = -1;
  }
  pthread_mutex_unlock(&lock);
  return status;
}

// ---------------------------------------------------------------- addresses

// 1 and 2 for the two devices, 3 for none, 0 for an address that is nowhere.
static int place_of(const struct sockaddr *address) {
  if (address->sa_family != AF_INET) return 0;
  uint32_t number = ntohl(((const struct sockaddr_in *)(const void *)address)->sin_addr.s_addr) - 0xc0000200;
  return number >= 1 && number <= 3 ? (int)number : 0;
}

static void bind_to(struct id *id, int place) {
  if (place < 1 || place > 2) return;
  id->base.verbs = &contexts[place - 1];
  id->base.port_num = 1;
}

API int rdma_bind_addr(struct rdma_cm_id *base, struct sockaddr *address) {
  struct id *id = (struct id *)base;
  const struct sockaddr_in *parsed = (const struct sockaddr_in *)(const void *)address;
  pthread_mutex_lock(&lock);
  int status = fails("bind_addr") ? -1 : 0;
  int everywhere = address->sa_family == AF_INET && parsed->sin_addr.s_addr == 0;
  if (status == 0 && place_of(address) != 1 && !everywhere) status = refuse(EADDRNOTAVAIL);
  if (status == 0) {
    id->port = ntohs(parsed->sin_port);
    if (id->port == 0) id->port = ports++;
    for (const struct id *each = ids; each != NULL; each = each->next)
      if (each != id && each->port == id->port) status = refuse(EADDRNOTAVAIL);
    bind_to(id, place_of(address));
  }
  pthread_mutex_unlock(&lock);
  return status;
}

API int rdma_listen(struct rdma_cm_id *base, int backlog) {
  struct id *id = (struct id *)base;
  pthread_mutex_lock(&lock);
  int status = fails("listen") ? -1 : id->port == 0 || backlog < 0 ? refuse(EINVAL) : 0;
  if (status == 0) id->state = LISTENING;
  pthread_mutex_unlock(&lock);
  return status;
}

API __be16 rdma_get_src_port(struct rdma_cm_id *id) { return htons(((struct id *)id)->port); }

API int rdma_resolve_addr(struct rdma_cm_id *base, struct sockaddr *from, struct sockaddr *to, int timeout) {
  struct id *id = (struct id *)base;
  int place = place_of(to);
  pthread_mutex_lock(&lock);
  int status = fails("resolve_addr") ? -1 : 0;
  if (status == 0 && (from != NULL || timeout < 0 || id->state != IDLE)) status = refuse(EINVAL);
  if (status == 0 && place == 0) status = refuse(ENETUNREACH);
  if (status == 0) {
    memcpy(&base->route.addr.dst_storage, to, sizeof(struct sockaddr_in));
    bind_to(id, place);
    id->state = place == 3 ? IDLE : RESOLVED;
    tell(id, place == 3 ? RDMA_CM_EVENT_ADDR_ERROR : RDMA_CM_EVENT_ADDR_RESOLVED, place == 3 ? -ENODEV : 0, id, NULL,
         0, 0);
  }
  pthread_mutex_unlock(&lock);
  return status;
}

API int rdma_resolve_route(struct rdma_cm_id *base, int timeout) {
  struct id *id = (struct id *)base;
  pthread_mutex_lock(&lock);
  int status = fails("resolve_route") ? -1 : id->state != RESOLVED || timeout < 0 ? refuse(EINVAL) : 0;
  if (status == 0) {
    id->state = ROUTED;
    tell(id, RDMA_CM_EVENT_ROUTE_RESOLVED, 0, id, NULL, 0, 0);
  }
  pthread_mutex_unlock(&lock);
  return status;
}

// ---------------------------------------------------------------- connections

API int rdma_connect(struct rdma_cm_id *base, struct rdma_conn_param *parameters) {
  struct id *id = (struct id *)base;
  pthread_mutex_lock(&lock);
  int status = fails("connect") ? -1 : 0;
  if (status == 0 && (id->state != ROUTED || parameters->private_data_len > REQUEST_BYTES ||
                      parameters->initiator_depth > 16 || parameters->responder_resources > 16))
    status = refuse(EINVAL);
  if (status == 0) {
    uint16_t port = ntohs(base->route.addr.dst_sin.sin_port);
    struct id *listener = ids;
    while (listener != NULL && (listener->state != LISTENING || listener->port != port)) listener = listener->next;
    id->number = parameters->qp_num;
    id->reads_initiator = parameters->initiator_depth;
    id->reads_target = parameters->responder_resources;
    id->state = REQUESTING;
    if (listener == NULL) {
      tell(id, RDMA_CM_EVENT_REJECTED, REJECTED_NO_LISTENER, id, NULL, 0, REJECT_BYTES);
    } else {
      struct id *request = new_id(listener->base.channel, listener->base.context);
      request->base.verbs = base->verbs;
      request->base.port_num = 1;
      request->base.route.addr.dst_sin = (struct sockaddr_in){
          .sin_family = AF_INET, .sin_port = htons(51000), .sin_addr = {htonl(0xc0000201)}};
      request->state = REQUESTED;
      request->peer = id;
      id->peer = request;
      request->reads_initiator = id->reads_target;
      request->reads_target = id->reads_initiator;
      tell(listener, RDMA_CM_EVENT_CONNECT_REQUEST, 0, request, parameters->private_data,
           parameters->private_data_len, REQUEST_BYTES);
    }
  }
  pthread_mutex_unlock(&lock);
  return status;
}

API int rdma_accept(struct rdma_cm_id *base, struct rdma_conn_param *parameters) {
  struct id *id = (struct id *)base;
  pthread_mutex_lock(&lock);
  int status = fails("accept") ? -1 : 0;
  if (status == 0 && (id->state != REQUESTED || id->peer == NULL || parameters->private_data_len > ACCEPT_BYTES))
    status = refuse(EINVAL);
  if (status == 0) {
    id->number = parameters->qp_num;
    id->reads_initiator = parameters->initiator_depth;
    id->reads_target = parameters->responder_resources;
    id->state = ACCEPTED;
    struct id *peer = id->peer;
    peer->reads_initiator = id->reads_target;
    peer->reads_target = id->reads_initiator;
    peer->state = RESPONDED;
    tell(peer, RDMA_CM_EVENT_CONNECT_RESPONSE, 0, peer, parameters->private_data, parameters->private_data_len,
         ACCEPT_BYTES);
  }
  pthread_mutex_unlock(&lock);
  return status;
}

API int rdma_reject(struct rdma_cm_id *base, const void *data, uint8_t bytes) {
  struct id *id = (struct id *)base;
  pthread_mutex_lock(&lock);
  int status = fails("reject") ? -1 : 0;
  if (status == 0 && ((id->state != REQUESTED && id->state != RESPONDED) || bytes > REJECT_BYTES))
    status = refuse(EINVAL);
  if (status == 0 && id->peer != NULL) {
    tell(id->peer, RDMA_CM_EVENT_REJECTED, REJECTED_BY_PROGRAM, id->peer, data, bytes, REJECT_BYTES);
    id->peer->peer = NULL;
    id->peer = NULL;
  }
  pthread_mutex_unlock(&lock);
  return status;
}

API int rdma_establish(struct rdma_cm_id *base) {
  struct id *id = (struct id *)base;
  pthread_mutex_lock(&lock);
  int status = fails("establish") ? -1 : id->state != RESPONDED || id->peer == NULL ? refuse(EINVAL) : 0;
  if (status == 0) {
    id->state = id->peer->state = CONNECTED;
    tell(id->peer, RDMA_CM_EVENT_ESTABLISHED, 0, id->peer, NULL, 0, 0);
  }
  pthread_mutex_unlock(&lock);
  return status;
}

API int rdma_disconnect(struct rdma_cm_id *base) {
  struct id *id = (struct id *)base;
  pthread_mutex_lock(&lock);
  int status = fails("disconnect") ? -1 : id->state != CONNECTED ? refuse(EINVAL) : 0;
  if (status == 0) {
    id->state = DISCONNECTED;
    if (id->peer != NULL) tell(id->peer, RDMA_CM_EVENT_DISCONNECTED, 0, id->peer, NULL, 0, 0);
  }
  pthread_mutex_unlock(&lock);
  return status;
}

// As the kernel does: with the right to write for the other side, and bits that verbs do not know.
API int rdma_init_qp_attr(struct rdma_cm_id *base, struct ibv_qp_attr *out, int *mask) {
  const struct id *id = (struct id *)base;
  pthread_mutex_lock(&lock);
  int ready = id->peer != NULL && (id->state == REQUESTED || id->state == RESPONDED || id->state == CONNECTED);
  int status = fails("init_qp_attr") ? -1 : !ready ? refuse(EINVAL) : 0;
  enum ibv_qp_state state = out->qp_state;
  if (status == 0 && state == IBV_QPS_INIT) {
    *mask = IBV_QP_STATE | IBV_QP_PKEY_INDEX | IBV_QP_PORT | IBV_QP_ACCESS_FLAGS;
    out->port_num = 1;
    out->qp_access_flags = IBV_ACCESS_REMOTE_WRITE | IBV_ACCESS_REMOTE_READ | IBV_ACCESS_REMOTE_ATOMIC;
  } else if (status == 0 && state == IBV_QPS_RTR) {
    *mask = IBV_QP_STATE | IBV_QP_AV | IBV_QP_PATH_MTU | IBV_QP_DEST_QPN | IBV_QP_RQ_PSN | IBV_QP_MAX_DEST_RD_ATOMIC |
            IBV_QP_MIN_RNR_TIMER | 1 << 21;
    out->path_mtu = IBV_MTU_1024;
    out->dest_qp_num = id->peer->number;
    out->rq_psn = id->peer->psn;
    out->max_dest_rd_atomic = id->reads_target;
    out->ah_attr = (struct ibv_ah_attr){.is_global = 1, .port_num = 1, .grh = {.hop_limit = 64}};
    memcpy(out->ah_attr.grh.dgid.raw, GID, sizeof GID);
  } else if (status == 0 && state == IBV_QPS_RTS) {
    *mask = IBV_QP_STATE | IBV_QP_TIMEOUT | IBV_QP_RETRY_CNT | IBV_QP_RNR_RETRY | IBV_QP_SQ_PSN |
            IBV_QP_MAX_QP_RD_ATOMIC;
    out->timeout = 17;
    out->retry_cnt = out->rnr_retry = 7;
    out->sq_psn = id->psn;
    out->max_rd_atomic = id->reads_initiator;
  }
  pthread_mutex_unlock(&lock);
  return status;
}

// ---------------------------------------------------------------- events

API int rdma_get_cm_event(struct rdma_event_channel *channel, struct rdma_cm_event **out) {
  pthread_mutex_lock(&lock);
  struct events *events = &((struct channel *)channel)->events;
  struct cm_event *event = fails("get_cm_event") ? NULL : (struct cm_event *)events_take(events, &lock);
  if (event != NULL) {
    event->owner->events_taken++;
    *out = &event->event;
  }
  pthread_mutex_unlock(&lock);
  return event == NULL ? -1 : 0;
}

API int rdma_ack_cm_event(struct rdma_cm_event *event) {
  struct cm_event *whole = (struct cm_event *)(void *)((char *)event - offsetof(struct cm_event, event));
  pthread_mutex_lock(&lock);
  whole->owner->events_acknowledged++;
  pthread_mutex_unlock(&lock);
  free(whole);
  return 0;
}

// ---------------------------------------------------------------- what tests steer and see

API uint32_t mock_cm_live_channels(void) {
  pthread_mutex_lock(&lock);
  uint32_t count = live_channels;
  pthread_mutex_unlock(&lock);
  return count;
}

API uint32_t mock_cm_live_ids(void) {
  pthread_mutex_lock(&lock);
  uint32_t count = live_ids;
  pthread_mutex_unlock(&lock);
  return count;
}

API int mock_cm_fail_after(const char *call, uint32_t calls, int error) {
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

API void mock_cm_raise(uint32_t type, int status) {
  pthread_mutex_lock(&lock);
  for (struct id *each = ids; each != NULL; each = each->next)
    if (each->state != LISTENING) tell(each, (enum rdma_cm_event_type)type, status, each, NULL, 0, 0);
  pthread_mutex_unlock(&lock);
}
