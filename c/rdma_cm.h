// Connections of c/verbs.h's queue pairs set up by the RDMA connection manager, for fabrics where the two sides cannot
// tell each other how they are reached: addresses are IP addresses, routes and packet numbers are the manager's.
// Each side brings a queue pair of its own. librdmacm is loaded at run time. Functions answer 0 or -errno unless said
// otherwise, none waits, and all that happens is told by mv_cm_event. One thread per struct mv_cm, which is the one of
// the queue pairs' devices.
#ifndef MV_RDMA_CM_H
#define MV_RDMA_CM_H

#include <stdint.h>

#include "verbs.h"

struct mv_cm;
struct mv_cm_link;

// NULL or "" is librdmacm.so.1. -ENOENT when there is none, -ELIBBAD when it lacks a function.
int mv_cm_load(const char *library);

// -ENOENT when no library was loaded, -ENODEV or -ENOENT when the kernel has no connection manager.
int mv_cm_open(struct mv_cm **out);
// Readable when an event waits.
int mv_cm_fd(const struct mv_cm *cm);
// Closes it and its links.
int mv_cm_close(struct mv_cm *cm);

// What the sides may tell each other along: this much in a request, in an acceptance and in a rejection. Shorter data
// arrive with zeroes behind them, so they say themselves how long they are.
enum { MV_CM_REQUEST_BYTES = 56, MV_CM_ACCEPT_BYTES = 196, MV_CM_REJECT_BYTES = 148 };

enum {
  MV_CM_RESOLVED = 1,    // `device` and `device_port` lead to the other side: make a queue pair there and connect it
  MV_CM_REQUEST,         // somebody wants a connection by `device` and `device_port`: accept or reject it
  MV_CM_CONNECTED,       // the queue pair is ready
  MV_CM_REJECTED,        // by the other side; `status` says why: 28 its program did, 8 nobody listens, others of the
                         // InfiniBand Architecture Specification, volume 1, table "REJ Reason Codes"
  MV_CM_FAILED,          // -errno in `status`
  MV_CM_DISCONNECTED,    // by the other side, or by us and it has heard
  MV_CM_DEVICE_REMOVED,
};

struct mv_cm_event {
  uint64_t link;  // which one; of a request, a new one
  uint64_t listener;  // of a request
  uint32_t type;
  int32_t status;
  uint32_t reads_initiator;  // of a request: what the other side allows us; of a connection: what was agreed
  uint32_t reads_target;
  uint32_t device_port;
  uint32_t remote_port;
  uint32_t data_bytes;
  uint32_t reserved;
  char device[64];
  char remote[48];  // address
  uint8_t data[256];
};

// The next event: 1, or 0 when none waits.
int mv_cm_event(struct mv_cm *cm, struct mv_cm_event *out);

// Waits for connections at a local IP address, or at all of them: "0.0.0.0" or "::". Answers with the port, which it
// chooses if `port` is 0. -EADDRNOTAVAIL also when the port is taken.
int mv_cm_listen(struct mv_cm *cm, const char *address, uint32_t port, uint32_t backlog, struct mv_cm_link **out);
// Looks for the way to an IP address; gives MV_CM_RESOLVED or MV_CM_FAILED. -EINVAL for what is no address.
int mv_cm_resolve(struct mv_cm *cm, const char *address, uint32_t port, uint32_t timeout_ms, struct mv_cm_link **out);

// Asks for the connection; gives MV_CM_CONNECTED, MV_CM_REJECTED or MV_CM_FAILED. The pair stays open until then, and
// is of no use if it fails. `timeout` is that of struct mv_path; 0 leaves it to the manager.
// -EXDEV when the pair is not of the device that leads there.
int mv_cm_connect(struct mv_cm_link *link, struct mv_queue_pair *pair, uint32_t reads_initiator, uint32_t reads_target,
                  uint32_t timeout, uint32_t retries, const void *data, uint32_t bytes);
// Answers a request; gives MV_CM_CONNECTED, or MV_CM_FAILED. The pair is ready to answer READs at once, and of no use
// after an error.
int mv_cm_accept(struct mv_cm_link *link, struct mv_queue_pair *pair, uint32_t reads_initiator, uint32_t reads_target,
                 const void *data, uint32_t bytes);
// Answers a request, and closes the link.
int mv_cm_reject(struct mv_cm_link *link, const void *data, uint32_t bytes);
// Tells the other side. What the queue pairs have under way is theirs to end.
int mv_cm_disconnect(struct mv_cm_link *link);
// Disconnects, cancels, or stops listening. Close it before its queue pair while that is being connected.
int mv_cm_link_close(struct mv_cm_link *link);

#endif
