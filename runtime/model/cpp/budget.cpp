#include "budget.h"

#include <malloc.h>
#include <pthread.h>
#include <semaphore.h>
#include <signal.h>
#include <time.h>

#include <atomic>
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

struct DeepCall::Job {
    std::function<void()> action;
    std::atomic<bool> unwanted{ false };
    std::atomic<clockid_t> clock{ NO_CLOCK };  // of the thread's processor time
    sem_t done;

    explicit Job(std::function<void()> && given) : action(std::move(given)) { sem_init(&done, 0, 0); }
    ~Job() { sem_destroy(&done); }

    // Wait for the end, a little while at most; return whether it has come.
    bool wait() {
        timespec until;
        clock_gettime(CLOCK_REALTIME, &until);
        until.tv_nsec += WAIT_NANOSECONDS;
        if (until.tv_nsec >= 1000000000) {
            until.tv_nsec -= 1000000000;
            until.tv_sec++;
        }
        return sem_timedwait(&done, &until) == 0;
    }

    // Whether the thread has used so much processor time.
    bool used(double seconds) const {
        timespec time = {};
        return clock != NO_CLOCK && clock_gettime(clock, &time) == 0 && double(time.tv_sec) > seconds;
    }
};

DeepCall::DeepCall(std::function<void()> action, double seconds) :
    job_(std::make_shared<Job>(std::move(action))), seconds_(seconds) {
    action = nullptr;  // moved from, it may still hold what is to be freed on the other stack
    if (!start()) {
        job_->action();  // no room for a stack: bound by the caller's own
        job_.reset();
        whole_ = true;
    }
}

DeepCall::~DeepCall() {
    if (job_) {
        leave();
    }
}

bool DeepCall::wait() {
    if (!job_) {
        return true;
    }
    if (job_->wait()) {
        pthread_join(thread_, nullptr);  // the program may end next
        job_.reset();
        whole_ = true;
    } else if (job_->used(seconds_) || (stopping && ++waits_when_stopping_ > WAITS_WHEN_STOPPING)) {
        leave();
    }
    return !job_;
}

void DeepCall::leave() {
    job_->unwanted = true;
    pthread_detach(thread_);
    job_.reset();
}

bool DeepCall::start() {
    auto own = std::make_unique<std::shared_ptr<Job>>(job_);
    pthread_attr_t attributes;
    pthread_attr_init(&attributes);
    pthread_attr_setstacksize(&attributes, DEEP_STACK);
    sigset_t all, before;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);  // signals are the caller's
    const int failed = pthread_create(&thread_, &attributes, run, own.get());
    pthread_sigmask(SIG_SETMASK, &before, nullptr);
    pthread_attr_destroy(&attributes);
    if (!failed) {
        own.release();
    }
    return !failed;
}

void * DeepCall::run(void * given) {
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

void stop_all() {
    stopping = true;
}
