// Libraries that are looked for at run time, because hosts without them are to do without: rdma-core's.
#ifndef MV_LIBRARY_H
#define MV_LIBRARY_H

#include <pthread.h>
#include <stddef.h>

// A function that is needed, and where its pointer goes.
struct mv_function {
  const char *symbol;
  size_t offset;
};

// Begins a struct that holds the pointers.
struct mv_library {
  struct mv_library *next;
  char *name;
};

// What was loaded, with PTHREAD_MUTEX_INITIALIZER. Libraries stay: what was opened with them may be of any thread.
struct mv_libraries {
  pthread_mutex_t mutex;
  struct mv_library *first;
  struct mv_library *current;
};

// Makes the library of this name the current one. -ENOENT when there is none, -ELIBBAD when it is none or lacks a
// function.
int mv_library_load(struct mv_libraries *libraries, const char *name, const struct mv_function *functions, size_t count,
                    size_t bytes);
// NULL before one was loaded.
const void *mv_library_current(struct mv_libraries *libraries);

// What libraries answer, as -errno: they answer with 0, with a positive errno, or with -1 or NULL and errno.
int mv_library_result(int status);
int mv_library_failure(void);

#endif
