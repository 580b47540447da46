// What one call may use of time, memory and stack.
//
// Templates, grammars, schemas and answers are strangers' texts, and llama.cpp's code for them knows
// no bounds. All that it does with them allocates: operator new, which is this library's own, is
// where it is stopped.

#pragma once

#include <cstddef>
#include <exception>
#include <functional>
#include <memory>

// Thrown by operator new.
class Exceeded : public std::exception {
  public:
    explicit Exceeded(const char * what) : what_(what) {}
    const char * what() const noexcept override { return what_; }

  private:
    const char * what_;
};

// Bounds for what this thread does, where it is watched, until this is destroyed; within another one,
// that one's hold.
class Budget {
  public:
    // Seconds of processor time; bytes held at a time.
    Budget(double seconds, size_t bytes);
    ~Budget();
    Budget(const Budget &) = delete;
    Budget & operator=(const Budget &) = delete;

    // Seconds of processor time used so far.
    double used() const;

  private:
    bool outer_;
    double seconds_ = 0;
};

// Code that may be stopped at every allocation, while one of these lives. Other code is not prepared
// for it: destructors that allocate would end the program.
class Watched {
  public:
    Watched();
    ~Watched();
    Watched(const Watched &) = delete;
    Watched & operator=(const Watched &) = delete;
};

// Throw Exceeded if it is time to stop; for loops that do not allocate.
void check_budget();

// An action in a thread of its own, whose stack is deep enough for what the bytes of a budget can nest:
// values in values are freed by recursion. If it goes on without allocating for more than `seconds` of
// processor time, or after stop_all, or if this is destroyed before its end, it is left behind with all
// that it refers to; it ends when it allocates again.
class DeepCall {
  public:
    DeepCall(std::function<void()> action, double seconds);
    ~DeepCall();
    DeepCall(const DeepCall &) = delete;
    DeepCall & operator=(const DeepCall &) = delete;

    // Wait until there is nothing more to wait for, a little while or until a signal comes at most;
    // return whether that is so.
    bool wait();
    // Whether the action has come to its end.
    bool whole() const { return whole_; }

  private:
    struct Job;
    static void * run(void * given);
    bool start();
    void leave();

    std::shared_ptr<Job> job_;  // null when there is nothing more to wait for
    unsigned long thread_ = 0;  // a pthread_t
    double seconds_;
    int waits_when_stopping_ = 0;
    bool whole_ = false;
};

// Stop what runs in all threads, and all that will.
void stop_all();
