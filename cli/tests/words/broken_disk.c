// A disk that fails on demand. Stands between a program and the C library, counts whatever changes a file below one
// folder, and refuses those changes that the board says: `broken_disk.rs` writes the board, and compiles this.

#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/types.h>
#include <unistd.h>

// What program and test share.
struct board {
    _Atomic uint64_t changes;   // so many were asked for
    _Atomic uint64_t first;     // the first that fails
    _Atomic uint64_t last;      // the last that fails
    _Atomic uint64_t why;       // the error that it fails with
    _Atomic uint64_t failed;    // so many failed
    _Atomic uint64_t late;      // microseconds that it takes to fail
};

static struct board *board;
static const char *folder;
static size_t folder_len;

__attribute__((constructor)) static void begin(void)
{
    const char *path = getenv("BROKEN_DISK_BOARD");
    folder = getenv("BROKEN_DISK_FOLDER");
    int fd = path && folder ? open(path, O_RDWR | O_CLOEXEC) : -1;
    if (fd < 0)
        return;
    void *mapped = mmap(NULL, sizeof *board, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    close(fd);
    if (mapped == MAP_FAILED)
        abort();
    folder_len = strlen(folder);
    board = mapped;
}

// Whether this change fails; a change elsewhere never does.
static int refused(const char *path)
{
    if (!board || strncmp(path, folder, folder_len) != 0 || (path[folder_len] != '/' && path[folder_len] != 0))
        return 0;
    uint64_t number = atomic_fetch_add(&board->changes, 1) + 1;
    if (number < atomic_load(&board->first) || number > atomic_load(&board->last))
        return 0;
    atomic_fetch_add(&board->failed, 1);
    usleep((useconds_t)atomic_load(&board->late));
    errno = (int)atomic_load(&board->why);
    return 1;
}

static int refused_fd(int fd)
{
    char link[64], path[PATH_MAX];
    int before = errno;
    if (!board)
        return 0;
    snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    ssize_t len = readlink(link, path, sizeof path - 1);
    errno = before;
    if (len < 0)
        return 0;
    path[len] = 0;
    return refused(path);
}

#define REAL(name) ((__typeof__(&name))dlsym(RTLD_NEXT, #name))

// A write that fails has left half of what it was to write.
ssize_t write(int fd, const void *bytes, size_t len)
{
    if (!refused_fd(fd))
        return REAL(write)(fd, bytes, len);
    int why = errno;
    (void)!REAL(write)(fd, bytes, len / 2);
    errno = why;
    return -1;
}

ssize_t pwrite64(int fd, const void *bytes, size_t len, off64_t at)
{
    if (!refused_fd(fd))
        return REAL(pwrite64)(fd, bytes, len, at);
    int why = errno;
    (void)!REAL(pwrite64)(fd, bytes, len / 2, at);
    errno = why;
    return -1;
}

ssize_t pwrite(int fd, const void *bytes, size_t len, off_t at) { return pwrite64(fd, bytes, len, at); }

int fsync(int fd) { return refused_fd(fd) ? -1 : REAL(fsync)(fd); }

int fdatasync(int fd) { return refused_fd(fd) ? -1 : REAL(fdatasync)(fd); }

int sync_file_range(int fd, off64_t at, off64_t len, unsigned how)
{
    return refused_fd(fd) ? -1 : REAL(sync_file_range)(fd, at, len, how);
}

int ftruncate64(int fd, off64_t len) { return refused_fd(fd) ? -1 : REAL(ftruncate64)(fd, len); }

int ftruncate(int fd, off_t len) { return ftruncate64(fd, len); }

int rename(const char *from, const char *to) { return refused(from) ? -1 : REAL(rename)(from, to); }

int unlink(const char *path) { return refused(path) ? -1 : REAL(unlink)(path); }

int mkdir(const char *path, mode_t mode) { return refused(path) ? -1 : REAL(mkdir)(path, mode); }

// Opening changes something only if it may make the file.
int open64(const char *path, int how, ...)
{
    mode_t mode = 0;
    if (how & O_CREAT) {
        va_list rest;
        va_start(rest, how);
        mode = va_arg(rest, mode_t);
        va_end(rest);
        if (access(path, F_OK) != 0 && refused(path))
            return -1;
    }
    return REAL(open64)(path, how, mode);
}
