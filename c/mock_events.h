// How the mocked libraries, c/verbs_mock.c and c/rdma_cm_mock.c, tell events: a list and a descriptor that is readable
// while there is one. All of it is called under the library's lock.
#ifndef MV_MOCK_EVENTS_H
#define MV_MOCK_EVENTS_H

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <unistd.h>

// Begins whatever there is to tell, from malloc.
struct event {
  struct event *next;
  const void *object;
};

// The descriptor, an eventfd that counts, holds as many as the list has: a reader of either sees both.
struct events {
  int fd;
  struct event *first;
};

static int events_open(struct events *events) {
  events->first = NULL;
  events->fd = eventfd(0, EFD_SEMAPHORE | EFD_CLOEXEC);
  return events->fd < 0 ? -1 : 0;
}

static void events_count_down(const struct events *events) {
  uint64_t one;
  if (read(events->fd, &one, sizeof one) != sizeof one) abort();
}

static void events_add(struct events *events, const void *object, struct event *event) {
  event->object = object;
  event->next = NULL;
  struct event **link = &events->first;
  while (*link != NULL) link = &(*link)->next;
  *link = event;
  uint64_t one = 1;
  if (write(events->fd, &one, sizeof one) != sizeof one) abort();
}

static void events_forget(struct events *events, const void *object) {
  for (struct event **link = &events->first; *link != NULL;) {
    struct event *event = *link;
    if (event->object != object) {
      link = &event->next;
      continue;
    }
    *link = event->next;
    free(event);
    events_count_down(events);
  }
}

static void events_close(struct events *events) {
  while (events->first != NULL) events_forget(events, events->first->object);
  close(events->fd);
}

// The first event, or NULL with errno set when there is none and the descriptor does not block. It is the descriptor's
// owner who says whether it does, so the lock is let go of while waiting.
static struct event *events_take(struct events *events, pthread_mutex_t *lock) {
  while (events->first == NULL) {
    int flags = fcntl(events->fd, F_GETFL);
    if (flags < 0) return NULL;
    if ((flags & O_NONBLOCK) != 0) {
      errno = EAGAIN;
      return NULL;
    }
    struct pollfd fds[1] = {{.fd = events->fd, .events = POLLIN, .revents = 0}};
    pthread_mutex_unlock(lock);
    int ready = poll(fds, 1, -1);
    pthread_mutex_lock(lock);
    if (ready < 0) return NULL;
  }
  struct event *event = events->first;
  events->first = event->next;
  events_count_down(events);
  return event;
}

#endif
