// What c/rdma_cm.c needs of c/verbs.c, and nobody outside of the shim.
#ifndef MV_VERBS_INTERNAL_H
#define MV_VERBS_INTERNAL_H

#include <infiniband/verbs.h>

#include "library.h"
#include "verbs.h"

const char *mv_queue_pair_device(const struct mv_queue_pair *pair);
uint32_t mv_queue_pair_number(const struct mv_queue_pair *pair);
// ibv_modify_qp, but what others may do with the pair's memory is what the pair was created for, whatever the
// attributes say.
int mv_queue_pair_modify(struct mv_queue_pair *pair, struct ibv_qp_attr *attributes, int mask);

#endif
