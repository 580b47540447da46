#include "budget.h"

#include <malloc.h>
#include <pthread.h>
#include <semaphore.h>
#include <sys/mman.h>
#include <time.h>

#include <atomic>
#include <cerrno>
#include <cstdint>
#include <cstdlib>
#include <new>

namespace {

constexpr unsigned ALLOCATIONS_PER_LOOK = 64;  // at the clock, which takes 0.2 µs
constexpr size_t BIG = 1 << 16;                // an allocation that is always looked at
constexpr size_t CALLERS_STACK = 2 << 20;      // bytes of the caller's stack that may be used
constexpr size_t DEEP_STACK = size_t(4) << 30; // address space, of which next to nothing is used
constexpr size_t STACK_RESERVE = 1 << 20;

std::atomic<bool> stopping{ false };

struct Bounds {
    bool active = false;
    unsigned allocations = 0;
    int64_t deadline = 0;  // nanoseconds of this thread's processor time
    int64_t left = 0;      // bytes
    uintptr_t floor = 0;   // the lowest address that the stack may reach
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
    if (bounds.active && std::uncaught_exceptions() == 0) {
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

double Budget::used() const {
    return seconds_ - double(bounds.deadline - now()) / 1e9;
}

namespace {

struct Job {
    void (*action)(void *);
    void * argument;
    uintptr_t floor;
    std::atomic<bool> unwanted{ false };
    sem_t done;
};

void * run(void * given) {
    Job & job = *static_cast<Job *>(given);
    unwanted = &job.unwanted;
    deep_floor = job.floor;
    job.action(job.argument);
    sem_post(&job.done);
    return nullptr;
}

}  // namespace

bool on_deep_stack(void (*action)(void *), void * argument) {
    void * stack = mmap(nullptr, DEEP_STACK, PROT_READ | PROT_WRITE,
                        MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_STACK, -1, 0);
    if (stack == MAP_FAILED) {
        action(argument);  // bound by the caller's own stack
        return true;
    }
    Job job;
    job.action = action;
    job.argument = argument;
    job.floor = reinterpret_cast<uintptr_t>(stack) + DEEP_STACK / 2;
    sem_init(&job.done, 0, 0);
    pthread_attr_t attributes;
    pthread_attr_init(&attributes);
    pthread_attr_setstack(&attributes, stack, DEEP_STACK);
    sigset_t all, before;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);  // signals are the caller's
    pthread_t thread;
    const int failed = pthread_create(&thread, &attributes, run, &job);
    pthread_sigmask(SIG_SETMASK, &before, nullptr);
    pthread_attr_destroy(&attributes);
    bool whole = true;
    if (failed) {
        action(argument);
    } else {
        while (sem_wait(&job.done) != 0 && errno == EINTR) {
            job.unwanted = true;
            whole = false;
        }
        pthread_join(thread, nullptr);
    }
    sem_destroy(&job.done);
    munmap(stack, DEEP_STACK);
    return whole;
}

void stop_all() {
    stopping = true;
}
