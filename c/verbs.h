// One-sided RDMA as the rest of microview sees it: devices, protection domains, memory regions, queue pairs and READs.
// rdma-core is loaded at run time, so that the shim works on hosts without it. Functions answer 0 or -errno unless
// said otherwise; handles are written to *out. One thread per device: nothing here locks. A handle is gone once it was
// closed, whatever closing it answered, and so is every handle of a device that was closed.
// For InfiniBand and RoCE; iWARP connects in another way.
#ifndef MV_VERBS_H
#define MV_VERBS_H

#include <stdint.h>

struct mv_device;
struct mv_domain;
struct mv_region;
struct mv_queue_pair;

// Loads rdma-core; NULL or "" is libibverbs.so.1. -ENOENT when there is none, -ELIBBAD when it lacks a function.
// Devices opened from then on are those of this library; the ones that are open stay with theirs.
int mv_verbs_load(const char *library);

// What a device and one of its ports can do, as doubles.
enum {
  MV_FACT_MAX_QUEUE_PAIRS,
  MV_FACT_MAX_SENDS,           // work requests per queue pair
  MV_FACT_MAX_COMPLETIONS,     // entries of a completion queue
  MV_FACT_MAX_READS_TARGET,    // READs that a queue pair answers at once (max_qp_rd_atom)
  MV_FACT_MAX_READS_INITIATOR, // READs that a queue pair has under way (max_qp_init_rd_atom)
  MV_FACT_MAX_REGION_BYTES,
  MV_FACT_MAX_MESSAGE_BYTES,
  MV_FACT_PORT_STATE,          // enum ibv_port_state; 4 is active
  MV_FACT_MTU,                 // active path MTU in bytes
  MV_FACT_LID,
  MV_FACT_LINK_LAYER,          // 1 InfiniBand, 2 Ethernet
  MV_FACT_COUNT,
};

// Opens a device by name, with a completion channel and an asynchronous event descriptor, both non-blocking.
// -ENODEV when rdma-core knows no such device (or the kernel has no RDMA at all), -EINVAL when it has no such port,
// -EPROTONOSUPPORT when it is an iWARP device, -ENOENT when no library was loaded.
int mv_device_open(const char *name, uint32_t port, struct mv_device **out, double facts[MV_FACT_COUNT]);
// Readable when a completion or an event waits.
int mv_device_fd(const struct mv_device *device);
// Lets another descriptor make it readable too, as long as that one is open.
int mv_device_watch(struct mv_device *device, int fd);
// Zeroes where the table has no entry.
int mv_device_gid(struct mv_device *device, uint32_t port, uint32_t index, uint8_t gid[16]);
// The next asynchronous event: 1 and {enum ibv_event_type, number of the queue pair or port, or 0}; 0 when none waits.
// An error means that the device is gone, and its descriptor may be readable for ever: close it.
int mv_device_event(struct mv_device *device, uint32_t out[2]);
// Closes it and whatever was opened on it and is still open.
int mv_device_close(struct mv_device *device);

int mv_domain_open(struct mv_device *device, struct mv_domain **out);
// -EBUSY while regions or queue pairs of it are open: then, and only then, the handle is still good.
int mv_domain_close(struct mv_domain *domain);

// Pins memory and registers it: for READs of others at the addresses from `first` on (remote != 0; nobody may write),
// or as memory that own READs fill, at the same addresses (remote == 0). `address` and `first` have the same place
// within a page of 4096 bytes, else -EINVAL. -ENOMEM beyond the limit of locked memory. keys: local key, remote key.
int mv_region_register(struct mv_domain *domain, void *address, uint64_t bytes, uint64_t first, int remote,
                       struct mv_region **out, uint32_t keys[2]);
int mv_region_close(struct mv_region *region);

// A reliable connection's end in the state INIT. sends == 0: one that only answers READs of its domain's regions and
// posts nothing (IBV_ACCESS_REMOTE_READ); else one that has up to so many READs under way, with a completion queue of
// its own. -EINVAL for more than the device can.
int mv_queue_pair_create(struct mv_device *device, struct mv_domain *domain, uint32_t port, uint32_t sends,
                         struct mv_queue_pair **out, uint32_t *number);

struct mv_path {
  uint32_t remote_number;  // of the other queue pair
  uint32_t remote_psn;     // first packet sequence number it sends
  uint32_t psn;            // first one we send
  uint32_t mtu;            // bytes: 256, 512, 1024, 2048 or 4096
  uint32_t port;
  uint32_t global;         // 1: addressed by GID (RoCE always); 0: by LID alone
  uint32_t gid_index;      // ours
  uint32_t lid;            // theirs
  uint32_t service_level;
  uint32_t traffic_class;
  uint32_t hop_limit;
  uint32_t timeout;        // acknowledgement timeout: 4.096 µs · 2^timeout
  uint32_t retries;        // 0 to 7
  uint32_t reads_initiator; // READs we have under way at once
  uint32_t reads_target;    // READs we answer at once
  uint8_t gid[16];          // theirs
};
// INIT → ready to receive → ready to send.
int mv_queue_pair_connect(struct mv_queue_pair *pair, const struct mv_path *path);
// enum ibv_qp_state as the device says, or -errno.
int mv_queue_pair_state(struct mv_queue_pair *pair);
// What it has under way gives no completions any more, and stores nothing.
int mv_queue_pair_close(struct mv_queue_pair *pair);

enum { MV_READ_FENCE = 1 };  // starts when every READ before it has completed
struct mv_read {
  uint64_t remote;  // address within the region
  uint64_t local;   // offset from `base`, which is an address of the local region
  uint32_t bytes;
  uint32_t remote_key;
  uint32_t flags;
  uint32_t reserved;
};
// Posts READs first … first + count − 1 in one call; only the last is signalled, each carries `id`.
// -EINVAL for none, more than `sends`, or one of no bytes, -EAGAIN when fewer than `count` of `sends` are free: nothing
// was posted. After other errors the queue pair is of no use any more (some of them may have been posted).
int mv_queue_pair_read(struct mv_queue_pair *pair, const struct mv_read *reads, uint32_t first, uint32_t count,
                       uint64_t base, uint32_t local_key, uint64_t id);

// A batch completes once, in the order of posting; one that fails completes once for the READ that failed, and all
// READs after it, of this batch and the next, complete as flushed.
struct mv_completion {
  uint64_t id;
  uint32_t number;  // of the queue pair
  uint32_t status;  // enum ibv_wc_status
  uint32_t vendor_error;
  uint32_t reserved;
};
// Takes what has completed, acknowledges and re-arms notifications: never loses one between two calls.
// Answers with how many; `capacity` of them means: call again. No queue pair waits for another's to end.
int mv_device_completions(struct mv_device *device, struct mv_completion *out, uint32_t capacity);
// The same without a system call: notices stay where they are, and the descriptor readable. For spinning.
int mv_device_poll(struct mv_device *device, struct mv_completion *out, uint32_t capacity);

#endif
