#include "budget.h"

#include <malloc.h>
#include <pthread.h>
#include <semaphore.h>
#include <signal.h>
#include <time.h>

#include <atomic>
#include <cerrno>
#include <cstdint>
#include <cstdlib>
#include <memory>
#include <new>
#include <utility>

namespace {

constexpr unsigned ALLOCATIONS_PER_LOOK = 64;  // at the clock, which takes 0.2 µs
constexpr size_t BIG = 1 << 16;                // an allocation that is always looked at
constexpr size_t CALLERS_STACK = 2 << 20;      // bytes of the caller's stack that may be used
constexpr size_t DEEP_STACK = size_t(1) << 30;  // address space, next to nothing of it is used
constexpr clockid_t NO_CLOCK = -1;
constexpr long WAIT_NANOSECONDS = 50000000;
constexpr int WAITS_WHEN_STOPPING = 10;

std::atomic<bool> stopping{ false };

struct Bounds {
    bool active = false;
    unsigned allocations = 0;
    int64_t deadline = 0;  // nanoseconds of this thread's processor time
    int64_t left = 0;      // bytes
    uintptr_t floor = 0;   // the lowest address that the stack may reach
    unsigned watched = 0;
};

thread_local Bounds bounds;
thread_local const std::atomic<bool> * unwanted = nullptr;
thread_local uintptr_t deep_floor = 0;

int64_t now() {
    timespec time;
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &time);
    return time.tv_sec * INT64_C(1000000000) + time.tv_nsec;
}

void look() {
    if (stopping || (unwanted && *unwanted)) {
        throw Exceeded("it was stopped");
    }
    if (now() > bounds.deadline) {
        throw Exceeded("it takes too long");
    }
}

void * allocate(size_t size) {
    if (bounds.active && bounds.watched && std::uncaught_exceptions() == 0) {
        char here;
        if (reinterpret_cast<uintptr_t>(&here) < bounds.floor) {
            throw Exceeded("it is nested too deeply");
        }
        if (int64_t(size) > bounds.left || size > PTRDIFF_MAX) {
            throw Exceeded("it takes too much memory");
        }
        if (++bounds.allocations % ALLOCATIONS_PER_LOOK == 0 || size >= BIG) {
            look();
        }
    }
    void * found = std::malloc(size ? size : 1);
    if (!found) {
        throw std::bad_alloc();
    }
    if (bounds.active) {
        bounds.left -= int64_t(malloc_usable_size(found));
    }
    return found;
}

void release(void * memory) noexcept {
    if (memory && bounds.active) {
        bounds.left += int64_t(malloc_usable_size(memory));
    }
    std::free(memory);
}

}  // namespace

void * operator new(size_t size) {
    return allocate(size);
}

void * operator new[](size_t size) {
    return allocate(size);
}

void operator delete(void * memory) noexcept {
    release(memory);
}

void operator delete[](void * memory) noexcept {
    release(memory);
}

void operator delete(void * memory, size_t) noexcept {
    release(memory);
}

void operator delete[](void * memory, size_t) noexcept {
    release(memory);
}

Budget::Budget(double seconds, size_t bytes) : outer_(bounds.active) {
    if (outer_) {
        return;
    }
    char here;
    bounds.deadline = now() + int64_t(seconds * 1e9);
    bounds.left = int64_t(bytes);
    bounds.floor = deep_floor ? deep_floor : reinterpret_cast<uintptr_t>(&here) - CALLERS_STACK;
    bounds.allocations = 0;
    bounds.active = true;
    seconds_ = seconds;
}

Budget::~Budget() {
    if (!outer_) {
        bounds.active = false;
    }
}

void check_budget() {
    if (bounds.active && ++bounds.allocations % ALLOCATIONS_PER_LOOK == 0) {
        look();
    }
}

Watched::Watched() {
    bounds.watched++;
}

Watched::~Watched() {
    bounds.watched--;
}

double Budget::used() const {
    return seconds_ - double(bounds.deadline - now()) / 1e9;
}

namespace {

struct Job {
    std::function<void()> action;
    std::atomic<bool> unwanted{ false };
    std::atomic<clockid_t> clock{ NO_CLOCK };  // of the thread's processor time
    sem_t done;

    explicit Job(std::function<void()> && given) : action(std::move(given)) { sem_init(&done, 0, 0); }
    ~Job() { sem_destroy(&done); }
};

void * run(void * given) {
    const std::unique_ptr<std::shared_ptr<Job>> job(static_cast<std::shared_ptr<Job> *>(given));
    char here;
    clockid_t clock;
    if (pthread_getcpuclockid(pthread_self(), &clock) == 0) {
        (*job)->clock = clock;
    }
    unwanted = &(*job)->unwanted;
    deep_floor = reinterpret_cast<uintptr_t>(&here) - DEEP_STACK / 2;
    (*job)->action();
    (*job)->action = nullptr;  // frees what it refers to, on this stack
    sem_post(&(*job)->done);
    return nullptr;
}

bool start(pthread_t & thread, std::shared_ptr<Job> * job) {
    pthread_attr_t attributes;
    pthread_attr_init(&attributes);
    pthread_attr_setstacksize(&attributes, DEEP_STACK);
    sigset_t all, before;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);  // signals are the caller's
    const int failed = pthread_create(&thread, &attributes, run, job);
    pthread_sigmask(SIG_SETMASK, &before, nullptr);
    pthread_attr_destroy(&attributes);
    return failed == 0;
}

// Wait until the job is done, a little while at most; return errno where it is not.
int wait(Job & job) {
    timespec until;
    clock_gettime(CLOCK_REALTIME, &until);
    until.tv_nsec += WAIT_NANOSECONDS;
    if (until.tv_nsec >= 1000000000) {
        until.tv_nsec -= 1000000000;
        until.tv_sec++;
    }
    return sem_timedwait(&job.done, &until) == 0 ? 0 : errno;
}

}  // namespace

Ended on_deep_stack(std::function<void()> action, double seconds) {
    const auto job = std::make_shared<Job>(std::move(action));
    action = nullptr;  // moved from, it may still hold what is to be freed on the other stack
    auto own = std::make_unique<std::shared_ptr<Job>>(job);
    pthread_t thread;
    if (!start(thread, own.get())) {
        job->action();  // no room for a stack: bound by the caller's own
        return Ended::WHOLE;
    }
    own.release();
    int stopped = 0;
    while (const int reason = wait(*job)) {
        if (reason == EINTR) {
            job->unwanted = true;
            pthread_detach(thread);
            return Ended::INTERRUPTED;
        }
        timespec used = {};
        if (job->clock != NO_CLOCK && clock_gettime(job->clock, &used) == 0 &&
            double(used.tv_sec) > seconds) {
            pthread_detach(thread);
            return Ended::LATE;
        }
        if (stopping && ++stopped > WAITS_WHEN_STOPPING) {
            pthread_detach(thread);
            return Ended::LATE;
        }
    }
    pthread_join(thread, nullptr);  // the program may end next
    return Ended::WHOLE;
}

void stop_all() {
    stopping = true;
}
