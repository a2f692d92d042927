// Makes system calls fail, or the clock jump, in a program that is started with LD_PRELOAD=shim.so.
//
// CLDL_FAULT=write:7:28 lets the 7th call of write fail with errno 28; likewise fsync, rename, open (for
// writing). CLDL_FAULT=clock makes every clock jump back and forth by hours.
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

// Whether this call of `name` is the one that is to fail; sets errno.
static int fails(const char *name) {
    static atomic_int count;
    const char *fault = getenv("CLDL_FAULT");
    size_t length = strlen(name);
    if (!fault || strncmp(fault, name, length) || fault[length] != ':') return 0;
    int which = 0, code = 0;
    if (sscanf(fault + length + 1, "%d:%d", &which, &code) != 2) return 0;
    if (atomic_fetch_add(&count, 1) + 1 != which) return 0;
    static const char said[] = "shim: a call failed\n";
    syscall(SYS_write, 2, said, sizeof said - 1);
    errno = code;
    return 1;
}

#define NEXT(type, name) ((type)dlsym(RTLD_NEXT, name))

ssize_t write(int fd, const void *bytes, size_t count) {
    if (fd > 2 && fails("write")) return -1;
    return NEXT(ssize_t (*)(int, const void *, size_t), "write")(fd, bytes, count);
}

int fsync(int fd) {
    return fails("fsync") ? -1 : NEXT(int (*)(int), "fsync")(fd);
}

int rename(const char *from, const char *to) {
    return fails("rename") ? -1 : NEXT(int (*)(const char *, const char *), "rename")(from, to);
}

int open64(const char *path, int flags, ...) {
    va_list rest;
    va_start(rest, flags);
    mode_t mode = va_arg(rest, mode_t);
    va_end(rest);
    if ((flags & O_ACCMODE) != O_RDONLY && strncmp(path, "/dev", 4) && strncmp(path, "/proc", 5) && fails("open"))
        return -1;
    return NEXT(int (*)(const char *, int, ...), "open64")(path, flags, mode);
}

int clock_gettime(clockid_t clock, struct timespec *time) {
    int result = NEXT(int (*)(clockid_t, struct timespec *), "clock_gettime")(clock, time);
    const char *fault = getenv("CLDL_FAULT");
    if (fault && !strcmp(fault, "clock")) {
        static atomic_int count;
        time->tv_sec += 3600 * (atomic_fetch_add(&count, 1) / 7 % 5);
    }
    return result;
}
