// See c/library.h.
#include "library.h"

#include <dlfcn.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

static int load(const char *name, const struct mv_function *functions, size_t count, size_t bytes,
                struct mv_library **out) {
  void *handle = dlopen(name, RTLD_NOW | RTLD_LOCAL);
  if (handle == NULL) {
    const char *why = dlerror();
    return why != NULL && strstr(why, "No such file") != NULL ? -ENOENT : -ELIBBAD;
  }
  int status = -ENOMEM;
  struct mv_library *library = calloc(1, bytes);
  if (library == NULL || (library->name = strdup(name)) == NULL) goto failed;
  status = -ELIBBAD;
  for (size_t i = 0; i < count; i++) {
    void *function = dlsym(handle, functions[i].symbol);
    if (function == NULL) goto failed;
    memcpy((char *)library + functions[i].offset, &function, sizeof function);
  }
  *out = library;
  return 0;
failed:
  if (library != NULL) free(library->name);
  free(library);
  dlclose(handle);
  return status;
}

int mv_library_load(struct mv_libraries *libraries, const char *name, const struct mv_function *functions, size_t count,
                    size_t bytes) {
  pthread_mutex_lock(&libraries->mutex);
  struct mv_library *library = libraries->first;
  while (library != NULL && strcmp(library->name, name) != 0) library = library->next;
  int status = 0;
  if (library == NULL && (status = load(name, functions, count, bytes, &library)) == 0) {
    library->next = libraries->first;
    libraries->first = library;
  }
  if (status == 0) libraries->current = library;
  pthread_mutex_unlock(&libraries->mutex);
  return status;
}

const void *mv_library_current(struct mv_libraries *libraries) {
  pthread_mutex_lock(&libraries->mutex);
  const void *library = libraries->current;
  pthread_mutex_unlock(&libraries->mutex);
  return library;
}

int mv_library_result(int status) {
  if (status == 0) return 0;
  return status > 0 ? -status : mv_library_failure();
}

// Not all of them say why.
int mv_library_failure(void) { return errno > 0 ? -errno : -EIO; }
