// The mocked librdmacm, build/librdmacm-mock.so, next to c/verbs_mock.h's device: pass its path to mv_cm_load. All of a
// process's identifiers reach each other. 192.0.2.1 is reached by the device "mock0"; 192.0.2.2 by "mock1", which there
// is not; 192.0.2.3 by no device, as resolving finds out; other addresses not at all.
//
// It takes more strictly than librdmacm that events are acknowledged before their identifier goes (EBUSY instead of
// waiting for ever) and that identifiers go before their channel (an abort).
#ifndef MV_RDMA_CM_MOCK_H
#define MV_RDMA_CM_MOCK_H

#include <stdint.h>

uint32_t mock_cm_live_channels(void);
uint32_t mock_cm_live_ids(void);

// The next call of rdma_`call` fails with this errno, after `calls` more that do not. 0, or -EINVAL when there is no
// such call.
int mock_cm_fail_after(const char *call, uint32_t calls, int error);
// Tells all identifiers but those that listen an event, enum rdma_cm_event_type.
void mock_cm_raise(uint32_t type, int status);

#endif
