// The process that waits for the program, to delete its temporary folder in the end.

#include "watch.h"

#include <errno.h>
#include <signal.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

static volatile sig_atomic_t child;

static void pass_on(int number, siginfo_t * told, void * context) {
    (void) context;
    // What a terminal sends goes to both of us.
    if (told->si_code != SI_KERNEL) {
        kill((pid_t) child, number);
    }
}

// Signals that tell of a fault of this process, or that stop it and let it go on.
static bool is_ours(int number) {
    static const int ours[] = { SIGKILL, SIGSTOP, SIGCHLD, SIGTSTP, SIGTTIN, SIGTTOU, SIGCONT,
                                SIGSEGV, SIGBUS,  SIGFPE,  SIGILL,  SIGTRAP, SIGABRT };
    for (size_t i = 0; i < sizeof ours / sizeof *ours; i++) {
        if (ours[i] == number) {
            return true;
        }
    }
    return false;
}

static void pass_signals_on(void) {
    struct sigaction action = { .sa_sigaction = pass_on, .sa_flags = SA_SIGINFO | SA_RESTART }, before;
    sigfillset(&action.sa_mask);
    for (int number = 1; number < NSIG; number++) {
        if (!is_ours(number) && !sigaction(number, NULL, &before) && before.sa_handler != SIG_IGN) {
            sigaction(number, &action, NULL);
        }
    }
}

void watch(const char * folder) {
    sigset_t all, before;
    sigfillset(&all);
    sigprocmask(SIG_SETMASK, &all, &before);
    const pid_t started = fork();
    if (started < 0) {
        const int number = errno;
        delete_folder(folder);
        fail("close other programs", "no process can be started: %s", strerror(number));
    }
    if (!started) {
        sigprocmask(SIG_SETMASK, &before, NULL);
        return;
    }
    child = started;
    pass_signals_on();
    sigprocmask(SIG_SETMASK, &before, NULL);
    int status = 0;
    while (waitpid(started, &status, 0) < 0 && errno == EINTR) {
    }
    delete_folder(folder);
    if (WIFSIGNALED(status)) {  // end as it did, but for a second core dump
        const int number = WTERMSIG(status);
        sigset_t one;
        sigemptyset(&one);
        sigaddset(&one, number);
        setrlimit(RLIMIT_CORE, &(struct rlimit) { 0, 0 });
        signal(number, SIG_DFL);
        raise(number);
        sigprocmask(SIG_UNBLOCK, &one, NULL);
        _exit(128 + number);
    }
    _exit(WEXITSTATUS(status));
}
