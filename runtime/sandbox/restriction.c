/* Give up what a loaded program does not need: files (Landlock) and system calls (seccomp).
 *
 * The plain system calls of runtime/sandbox/restriction.py, which says what they are for and which of them
 * is used when. Each function returns 0, or an error number of errno.h.
 *
 * Sources: landlock(7), seccomp(2), and the kernel's userspace-api/landlock.rst, whose numbers are
 * repeated here because the compiler's headers may be older than the kernel.
 */

#define _GNU_SOURCE
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <sched.h>
#include <signal.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

/* ---- Files and ports: Landlock ------------------------------------------------------------- */

enum { CREATE_RULESET = 444, ADD_RULE, RESTRICT_SELF }; /* the same on all architectures */
enum { RULE_PATH_BENEATH = 1, RULE_NET_PORT };
#define WRITE_FILE (1ULL << 1)
#define READ_FILE (1ULL << 2)
#define READ_DIR (1ULL << 3)
#define MAKE_FILE (1ULL << 8)
#define CUT_FILE (1ULL << 14) /* since version 3 */
#define BIND_TCP (1ULL << 0)
#define CONNECT_TCP (1ULL << 1)
#define VERSION_FLAG 1U

struct ruleset {
    uint64_t files, ports, scopes;
};
struct path_rule {
    uint64_t allowed;
    int32_t parent;
} __attribute__((packed));
struct port_rule {
    uint64_t allowed, port;
};

/* What each version of Landlock can forbid to do with files: 13 rights at first, then moving to
 * other folders (2), cutting (3), and commands to devices (5). */
static uint64_t file_rights(int version) {
    uint64_t rights = (1ULL << 13) - 1;
    if (version >= 2) rights |= 1ULL << 13;
    if (version >= 3) rights |= 1ULL << 14;
    return rights;
    /* Not the commands to devices: terminals are opened before, and are asked for their size. */
}

/* Return the version of Landlock that the kernel has, 0 for none. */
int sandbox_landlock(void) {
    long version = syscall(CREATE_RULESET, NULL, 0, VERSION_FLAG);
    return version < 0 ? 0 : (int)version;
}

/* Allow to read a file or folder, and what `more` says. */
static int allow(int ruleset, const char *path, uint64_t more) {
    int parent = open(path, O_PATH | O_CLOEXEC);
    if (parent < 0) return errno == ENOENT || errno == EACCES ? 0 : errno;
    struct stat status;
    struct path_rule rule = {.allowed = READ_FILE | more, .parent = parent};
    int failed = fstat(parent, &status) ? errno : 0;
    if (!failed && S_ISDIR(status.st_mode)) rule.allowed |= READ_DIR;
    if (!failed && S_ISCHR(status.st_mode)) rule.allowed |= WRITE_FILE; /* see MAY_USE_DEVICES */
    if (!failed && syscall(ADD_RULE, ruleset, RULE_PATH_BENEATH, &rule, 0)) failed = errno;
    close(parent);
    return failed;
}

static int allow_port(int ruleset, uint16_t port) {
    struct port_rule rule = {.allowed = CONNECT_TCP, .port = port};
    return syscall(ADD_RULE, ruleset, RULE_NET_PORT, &rule, 0) ? errno : 0;
}

/* A thread can restrict itself alone, so each is sent a signal, and does so in its handler. */
static int shared_ruleset;
static atomic_int restricted, refusal;

static int restrict_thread(int ruleset) {
    if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)) return errno;
    return syscall(RESTRICT_SELF, ruleset, 0) ? errno : 0;
}

static void on_signal(int number) {
    (void)number;
    int before = errno, failed = restrict_thread(shared_ruleset);
    if (failed) atomic_store(&refusal, failed);
    atomic_fetch_add(&restricted, 1);
    errno = before;
}

#define THREADS 8192
#define PATIENCE 20000 /* tenths of a millisecond for a thread to answer */

/* Send the signal to every thread that is not in `known` yet; return how many there were, -1 on
 * failure. */
static int signal_new(int number, pid_t *known, int *count) {
    DIR *tasks = opendir("/proc/self/task");
    if (!tasks) return -1;
    int sent = 0;
    for (struct dirent *entry; (entry = readdir(tasks));) {
        pid_t thread = (pid_t)atoi(entry->d_name);
        int seen = thread <= 0;
        for (int i = 0; i < *count && !seen; i++) seen = known[i] == thread;
        if (seen) continue;
        if (*count == THREADS) {
            sent = -1;
            break;
        }
        known[(*count)++] = thread;
        if (!syscall(SYS_tgkill, getpid(), thread, number)) sent++; /* else it has ended */
    }
    closedir(tasks);
    return sent;
}

static int restrict_all(int ruleset) {
    static pid_t known[THREADS];
    struct sigaction action = {.sa_handler = on_signal, .sa_flags = SA_RESTART}, before;
    const int number = SIGSYS; /* the one signal that threads of drivers of GPUs leave unblocked */
    int count = 1, expected = 0, failed = 0, sent;
    shared_ruleset = ruleset;
    atomic_store(&restricted, 0);
    atomic_store(&refusal, 0);
    known[0] = (pid_t)syscall(SYS_gettid);
    if (sigaction(number, &action, &before)) return errno;
    /* Threads that others start meanwhile inherit the restriction, unless those were not yet
     * restricted: hence again, until there is no new one. */
    while (!failed && (sent = signal_new(number, known, &count))) {
        if (sent < 0) {
            failed = EAGAIN;
            break;
        }
        expected += sent;
        for (int waited = 0; atomic_load(&restricted) < expected; waited++) {
            if (waited == PATIENCE) {
                failed = ETIMEDOUT;
                break;
            }
            nanosleep(&(struct timespec){.tv_nsec = 100000}, NULL);
        }
    }
    if (!failed) failed = atomic_load(&refusal);
    /* A signal that comes late must not end the program. */
    if (failed != ETIMEDOUT) sigaction(number, &before, NULL);
    return failed ? failed : restrict_thread(ruleset);
}

/* Let sandbox_files leave this folder open for new files. */
static const char *writable;

void sandbox_leave_writable(const char *folder) {
    writable = folder;
}

/* Let all threads of the process open these files, and what is in these folders, for reading, device
 * files for writing too, and nothing else; let them connect to these TCP ports alone (where the
 * kernel can tell). */
int sandbox_files(const char *const *readable, size_t paths, const uint16_t *ports, size_t count) {
    int version = sandbox_landlock(), failed = 0;
    if (!version) return ENOSYS;
    struct ruleset wanted = {.files = file_rights(version)};
    if (version >= 4) wanted.ports = BIND_TCP | CONNECT_TCP;
    size_t size = version >= 4 ? offsetof(struct ruleset, scopes) : offsetof(struct ruleset, ports);
    int ruleset = (int)syscall(CREATE_RULESET, &wanted, size, 0);
    if (ruleset < 0) return errno;
    for (size_t i = 0; i < paths && !failed; i++) failed = allow(ruleset, readable[i], 0);
    if (writable && !failed)
        failed = allow(ruleset, writable,
                       (WRITE_FILE | MAKE_FILE | CUT_FILE) & file_rights(version));
    for (size_t i = 0; i < count && !failed && wanted.ports; i++)
        failed = allow_port(ruleset, ports[i]);
    if (!failed) failed = restrict_all(ruleset);
    if (failed != ETIMEDOUT) close(ruleset);
    return failed;
}

/* ---- System calls: seccomp ----------------------------------------------------------------- */

#if defined(__x86_64__)
#define ARCHITECTURE AUDIT_ARCH_X86_64
#elif defined(__aarch64__)
#define ARCHITECTURE AUDIT_ARCH_AARCH64
#else
#error "no system calls are known for this architecture"
#endif

/* What is refused whatever the program does. Names that an architecture lacks are left out. */
static const int refused[] = {
    /* programs and processes */
    SYS_execve, SYS_execveat,
#ifdef SYS_fork
    SYS_fork, SYS_vfork,
#endif
    /* other processes */
    SYS_ptrace, SYS_process_vm_readv, SYS_process_vm_writev, SYS_kcmp, SYS_tkill,
    SYS_rt_sigqueueinfo, SYS_rt_tgsigqueueinfo, SYS_perf_event_open, SYS_bpf, SYS_userfaultfd,
    424 /* pidfd_send_signal */, 434 /* pidfd_open */, 438 /* pidfd_getfd */,
    440 /* process_madvise */,
    /* namespaces and mounts */
    SYS_mount, SYS_umount2, SYS_pivot_root, SYS_chroot, SYS_unshare, SYS_setns,
    428 /* open_tree */, 429 /* move_mount */, 430 /* fsopen */, 431 /* fsconfig */,
    432 /* fsmount */, 433 /* fspick */, 442 /* mount_setattr */, SYS_swapon, SYS_swapoff,
    /* the system */
    SYS_reboot, SYS_init_module, SYS_finit_module, SYS_delete_module, SYS_kexec_load,
    SYS_acct, SYS_quotactl, SYS_settimeofday, SYS_clock_settime, SYS_clock_adjtime, SYS_adjtimex,
    SYS_sethostname, SYS_setdomainname, SYS_syslog, SYS_add_key, SYS_request_key, SYS_keyctl,
    SYS_personality, SYS_fanotify_init, SYS_name_to_handle_at, SYS_open_by_handle_at,
    SYS_lookup_dcookie, SYS_vhangup,
#ifdef SYS_iopl
    SYS_iopl, SYS_ioperm, SYS_modify_ldt,
#endif
#ifdef SYS_kexec_file_load
    SYS_kexec_file_load,
#endif
    425 /* io_uring_setup */, 426 /* io_uring_enter */, 427 /* io_uring_register */,
    /* who we are */
    SYS_setuid, SYS_setgid, SYS_setreuid, SYS_setregid, SYS_setresuid, SYS_setresgid,
    SYS_setgroups, SYS_setfsuid, SYS_setfsgid, SYS_capset,
    /* files by name, other than to read them: Landlock has no rights for some */
    SYS_mknodat, SYS_mkdirat, SYS_unlinkat, SYS_symlinkat, SYS_linkat, SYS_renameat2, SYS_truncate,
    SYS_fchmod, SYS_fchmodat, 452 /* fchmodat2 */, SYS_fchown, SYS_fchownat, SYS_utimensat,
    SYS_setxattr, SYS_lsetxattr, SYS_fsetxattr, SYS_removexattr, SYS_lremovexattr,
    SYS_fremovexattr, 463 /* setxattrat */, 466 /* removexattrat */,
#ifdef SYS_renameat
    SYS_renameat,
#endif
#ifdef SYS_rename
    SYS_rename, SYS_mkdir, SYS_rmdir, SYS_creat, SYS_link, SYS_unlink, SYS_symlink, SYS_mknod,
    SYS_chmod, SYS_chown, SYS_lchown, SYS_utime, SYS_utimes, SYS_futimesat,
#endif
};

/* Where the C library has another call to fall back to, a call whose flags lie in memory, and so
 * cannot be looked at, is said not to exist. */
static const int unknown[] = {435 /* clone3 */, 437 /* openat2 */};

static const int outgoing[] = {SYS_socket, SYS_connect, SYS_bind};
static const int incoming[] = {SYS_listen, SYS_accept, SYS_accept4};

#define LENGTH 1024
struct program {
    struct sock_filter code[LENGTH];
    unsigned short length;
};

static void emit(struct program *program, uint16_t code, uint32_t k, uint8_t yes, uint8_t no) {
    program->code[program->length++] = (struct sock_filter){code, yes, no, k};
}

#define FIELD(name) ((uint32_t)offsetof(struct seccomp_data, name))
/* The halves of an argument, least first: both architectures are little-endian. */
#define LOW(n) ((uint32_t)offsetof(struct seccomp_data, args[n]))
#define HIGH(n) (LOW(n) + 4)
#define LOAD (BPF_LD | BPF_W | BPF_ABS)
#define EQUAL (BPF_JMP | BPF_JEQ | BPF_K)
#define ANY_BIT (BPF_JMP | BPF_JSET | BPF_K)
#define RETURN (BPF_RET | BPF_K)
#define REFUSE(error) (SECCOMP_RET_ERRNO | (error))

/* The number of the call is in the accumulator before and after each of these. */
static void refuse(struct program *to, int call, int error) {
    emit(to, EQUAL, (uint32_t)call, 0, 1);
    emit(to, RETURN, REFUSE(error), 0, 0);
}

static void refuse_all(struct program *to, const int *calls, size_t count, int error) {
    for (size_t i = 0; i < count; i++) refuse(to, calls[i], error);
}
#define REFUSE_ALL(to, calls, error) refuse_all(to, calls, sizeof calls / sizeof *calls, error)

/* Refuse a call if the lower half of its argument `n` passes a test, or if it does not. */
static void refuse_if(struct program *to, int call, int n, uint16_t test, uint32_t value, int passes,
                      int error) {
    emit(to, EQUAL, (uint32_t)call, 0, 4);
    emit(to, LOAD, LOW(n), 0, 0);
    emit(to, test, value, !passes, !!passes);
    emit(to, RETURN, REFUSE(error), 0, 0);
    emit(to, LOAD, FIELD(nr), 0, 0);
}

/* Refuse a call that gives a pointer as its argument `n`. */
static void refuse_pointer(struct program *to, int call, int n, int error) {
    emit(to, EQUAL, (uint32_t)call, 0, 6);
    emit(to, LOAD, LOW(n), 0, 0);
    emit(to, EQUAL, 0, 0, 2);
    emit(to, LOAD, HIGH(n), 0, 0);
    emit(to, EQUAL, 0, 1, 0);
    emit(to, RETURN, REFUSE(error), 0, 0);
    emit(to, LOAD, FIELD(nr), 0, 0);
}

/* Refuse sockets but those that looking up a host, and connecting to it, need. */
static void refuse_odd_sockets(struct program *to) {
    static const int families[] = {AF_UNIX, AF_INET, AF_INET6, AF_NETLINK};
    const uint8_t count = sizeof families / sizeof *families;
    emit(to, EQUAL, SYS_socket, 0, count + 3);
    emit(to, LOAD, LOW(0), 0, 0);
    for (uint8_t i = 0; i < count; i++) emit(to, EQUAL, (uint32_t)families[i], count - i, 0);
    emit(to, RETURN, REFUSE(EPERM), 0, 0);
    emit(to, LOAD, FIELD(nr), 0, 0);
}

/* Refuse a clone that starts a process, or enters a namespace; threads may be started. */
static void refuse_processes(struct program *to) {
    refuse_if(to, SYS_clone, 0, ANY_BIT, 0x7e020000U /* CLONE_NEW… */, 1, EPERM);
    refuse_if(to, SYS_clone, 0, ANY_BIT, CLONE_THREAD, 0, EPERM);
}

/* The numbers of restriction.py. The last two are for drivers of GPUs, which open their device files
 * again and again, for reading and writing, and for workers, which keep tensors; which files these
 * are is for Landlock to say. */
enum { MAY_CONNECT = 1, MAY_ACCEPT = 2, MAY_USE_DEVICES = 4, MAY_WRITE = 8 };

/* Take the dangerous system calls from all threads of the process, and from those that they start:
 * programs, other processes, mounts, changes to files, and the network but for what `permissions`
 * says. No thread gains privileges any more. */
int sandbox_calls(int permissions) {
    uint32_t writing = O_WRONLY | O_CREAT | O_TRUNC | (O_TMPFILE & ~O_DIRECTORY);
    if (!(permissions & MAY_USE_DEVICES)) writing |= O_RDWR;
    struct program to = {.length = 0};
    emit(&to, LOAD, FIELD(arch), 0, 0);
    emit(&to, EQUAL, ARCHITECTURE, 1, 0);
    emit(&to, RETURN, REFUSE(ENOSYS), 0, 0);
    emit(&to, LOAD, FIELD(nr), 0, 0);
#if defined(__x86_64__)
    emit(&to, BPF_JMP | BPF_JGE | BPF_K, 0x40000000U, 0, 1); /* the x32 calls */
    emit(&to, RETURN, REFUSE(ENOSYS), 0, 0);
#endif
    REFUSE_ALL(&to, refused, EPERM);
    REFUSE_ALL(&to, unknown, ENOSYS);
    refuse_processes(&to);
    refuse_if(&to, SYS_kill, 0, EQUAL, (uint32_t)getpid(), 0, EPERM);
    refuse_if(&to, SYS_tgkill, 0, EQUAL, (uint32_t)getpid(), 0, EPERM);
    if (!(permissions & MAY_WRITE)) {
        refuse_if(&to, SYS_openat, 2, ANY_BIT, writing, 1, EACCES);
#ifdef SYS_open
        refuse_if(&to, SYS_open, 1, ANY_BIT, writing, 1, EACCES);
#endif
    }
    /* Another process's limits; and text put into the terminal as if the user had typed it. */
    refuse_if(&to, SYS_prlimit64, 0, EQUAL, 0, 0, EPERM);
    refuse_if(&to, SYS_ioctl, 1, EQUAL, 0x5412 /* TIOCSTI */, 1, EPERM);
    refuse_if(&to, SYS_ioctl, 1, EQUAL, 0x541c /* TIOCLINUX */, 1, EPERM);
    refuse_odd_sockets(&to);
    if (!(permissions & MAY_CONNECT)) {
        REFUSE_ALL(&to, outgoing, EPERM);
        refuse_pointer(&to, SYS_sendto, 4, EPERM);
        refuse(&to, SYS_sendmmsg, EPERM);
    }
    if (!(permissions & MAY_ACCEPT)) REFUSE_ALL(&to, incoming, EPERM);
    emit(&to, RETURN, SECCOMP_RET_ALLOW, 0, 0);
    if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)) return errno;
    struct sock_fprog filter = {.len = to.length, .filter = to.code};
    /* Without the last flag, older kernels slow every thread down by a mitigation of Spectre. */
    long failed = syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER,
                          SECCOMP_FILTER_FLAG_TSYNC | SECCOMP_FILTER_FLAG_SPEC_ALLOW, &filter);
    return failed < 0 ? errno : failed > 0 ? EAGAIN : 0; /* a thread that could not be joined */
}
