// The mocked rdma-core library, build/libibverbs-mock.so: pass its path to mv_verbs_load, or by the agent's and the
// collector's own means. It holds one device, "mock0", to which all contexts of this process belong, whichever thread
// opened them. A test opens the same file a second time and steers it by what stands here.
//
// What it takes more strictly than devices do: objects are destroyed before what they were made of (else EBUSY),
// events that were taken are acknowledged before their object goes (EBUSY, where rdma-core waits for ever), and a work
// request's place in the send queue is free once a completion of it or of a later one was polled.
#ifndef MV_VERBS_MOCK_H
#define MV_VERBS_MOCK_H

#include <stdint.h>

// The device: port 1, Ethernet, MTU 4096, and at index 0 of its GID table the RoCE v2 address ::ffff:192.0.2.1.

// Objects that are open now, of all contexts together.
uint32_t mock_live_contexts(void);
uint32_t mock_live_domains(void);
uint32_t mock_live_regions(void);
uint32_t mock_live_queue_pairs(void);
uint32_t mock_live_completion_queues(void);
uint32_t mock_live_channels(void);
// Bytes in whole pages that regions pin now.
double mock_pinned_bytes(void);

// What was done since the process started: work requests that were carried out (flushed ones are not), the bytes that
// they copied, and calls of ibv_post_send.
double mock_reads(void);
double mock_bytes_read(void);
double mock_posts(void);

// The next call of ibv_`call` fails with this errno, after `calls` more that do not. For calls that answer with NULL
// or -1, 0 is a failure that does not say why. "post_send" refuses the last work request of its list, after having
// taken those before it. What destroys, destroys, and then says that it failed. 0, or -EINVAL when there is no such
// call.
int mock_fail_next(const char *call, int error);
int mock_fail_after(const char *call, uint32_t calls, int error);

// Raises an asynchronous event (enum ibv_event_type). `number` is that of the queue pair it is about, or the port; it
// reaches the context of the queue pair, or all of them. 0, or -EINVAL when there is no such queue pair.
int mock_async_event(uint32_t type, uint32_t number);

// on: work requests wait from now on, neither carried out nor completed. off: all that wait are carried out.
void mock_hold(int on);
// Carries out as many of those that wait, in the order in which they were posted; answers with how many there were.
uint32_t mock_release(uint32_t count);

// on: READs are carried out last first, where no fence keeps one behind another; completions keep their order.
void mock_reorder(int on);

// on: nothing arrives at any queue pair; READs complete with IBV_WC_RETRY_EXC_ERR.
void mock_unreachable(int on);
// The queue pair fails, as after an error of its own; what it has under way is flushed. 0 or -EINVAL.
int mock_break(uint32_t number);

// Limits, of devices opened and regions registered from now on: work requests per queue pair, pinned bytes.
void mock_limit_sends(uint32_t requests);
void mock_limit_pinned(double bytes);
// off: there is no device; those that are open stay.
void mock_present(int on);

// Back to how it was loaded, but for what is open and what was counted.
void mock_reset(void);

#endif
