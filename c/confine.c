// Takes rights away from the calling process, for good: for processes that run what others have written. The kernel's
// Landlock (https://docs.kernel.org/userspace-api/landlock.html) covers the calling thread, those that it starts, and
// what it executes: so a process confines itself first, and then executes the program again.
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#define API __attribute__((visibility("default")))

// linux/landlock.h, which the host that compiles this may have in an older version. Numbers are the same on all
// architectures.
enum { LANDLOCK_CREATE_RULESET = 444, LANDLOCK_ADD_RULE = 445, LANDLOCK_RESTRICT_SELF = 446 };
enum { CREATE_RULESET_VERSION = 1, RULE_PATH_BENEATH = 1 };
enum { ACCESS_EXECUTE = 1 << 0, ACCESS_READ_FILE = 1 << 2, ACCESS_READ_DIR = 1 << 3 };

struct ruleset {
  uint64_t handled_access_fs;
  uint64_t handled_access_net;
  uint64_t scoped;
};

struct path_beneath {
  uint64_t allowed_access;
  int32_t parent_fd;
} __attribute__((packed));

// All accesses to files that a version of the interface knows.
static uint64_t file_accesses(int version) {
  if (version >= 5) return (1 << 16) - 1;
  if (version >= 3) return (1 << 15) - 1;
  return version == 2 ? (1 << 14) - 1 : (1 << 13) - 1;
}

// A path that is not there needs no right.
static int allow_reading(int ruleset, const char *path) {
  struct path_beneath rule = {.allowed_access = ACCESS_READ_FILE | ACCESS_EXECUTE};
  rule.parent_fd = open(path, O_PATH | O_CLOEXEC);
  if (rule.parent_fd < 0) return errno == ENOENT || errno == EACCES ? 0 : -errno;
  struct stat s;
  int status = 0;
  if (fstat(rule.parent_fd, &s) == 0 && S_ISDIR(s.st_mode)) rule.allowed_access |= ACCESS_READ_DIR;
  if (syscall(LANDLOCK_ADD_RULE, ruleset, RULE_PATH_BENEATH, &rule, 0) < 0) status = -errno;
  close(rule.parent_fd);
  return status;
}

// The version of Landlock's interface, 0 where there is none.
API int mv_landlock_version(void) {
  long version = syscall(LANDLOCK_CREATE_RULESET, NULL, 0, CREATE_RULESET_VERSION);
  return version < 0 ? 0 : (int)version;
}

// Ends with its parent, gains no rights by what it executes, dumps no memory, and, as far as the kernel has Landlock,
// reads nothing but these paths and what is beneath them, writes no file, connects nowhere, and signals nobody.
// Paths are absolute, each ends with a zero. The answer is the version of Landlock, 0 where there is none.
API int mv_confine(const char *readable, uint32_t bytes) {
  struct rlimit none = {0, 0};
  if (prctl(PR_SET_PDEATHSIG, SIGKILL) < 0 || prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0 ||
      setrlimit(RLIMIT_CORE, &none) < 0)
    return -errno;
  int version = mv_landlock_version();
  if (version == 0) return 0;
  struct ruleset rules = {.handled_access_fs = file_accesses(version)};
  size_t size = sizeof rules.handled_access_fs;
  if (version >= 4) {
    rules.handled_access_net = 3;
    size += sizeof rules.handled_access_net;
  }
  if (version >= 6) {
    rules.scoped = 3;
    size += sizeof rules.scoped;
  }
  int ruleset = (int)syscall(LANDLOCK_CREATE_RULESET, &rules, size, 0);
  if (ruleset < 0) return -errno;
  int status = 0;
  for (uint32_t at = 0; status == 0 && at < bytes; at += (uint32_t)strlen(readable + at) + 1)
    status = allow_reading(ruleset, readable + at);
  if (status == 0 && syscall(LANDLOCK_RESTRICT_SELF, ruleset, 0) < 0) status = -errno;
  close(ruleset);
  return status < 0 ? status : version;
}

// Executes a program in the place of this one, without an environment, and with the first descriptors. Arguments, the
// program's name first, each end with a zero.
API int mv_execute(const char *path, char *arguments, uint32_t bytes, int descriptors) {
  char *list[64];
  char *nothing[] = {NULL};
  size_t count = 0;
  for (uint32_t at = 0; at < bytes && count < 63; at += (uint32_t)strlen(arguments + at) + 1)
    list[count++] = arguments + at;
  list[count] = NULL;
  for (int fd = 0; fd < descriptors; fd++) fcntl(fd, F_SETFD, 0);
  execve(path, list, nothing);
  return -errno;
}

// From here on the process may have so much more of private memory than it has now, and write no file.
API int mv_limit_growth(uint64_t bytes) {
  FILE *status = fopen("/proc/self/status", "re");
  if (status == NULL) return -errno;
  unsigned long long kilobytes = 0;
  char line[256];
  while (fgets(line, sizeof line, status) != NULL)
    if (sscanf(line, "VmData: %llu kB", &kilobytes) == 1) break;
  fclose(status);
  struct rlimit data = {kilobytes * 1024 + bytes, kilobytes * 1024 + bytes};
  struct rlimit none = {0, 0};
  return setrlimit(RLIMIT_DATA, &data) < 0 || setrlimit(RLIMIT_FSIZE, &none) < 0 ? -errno : 0;
}
