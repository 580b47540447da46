// What one call may use of time, memory and stack.
//
// Templates, grammars, schemas and answers are strangers' texts, and llama.cpp's code for them knows
// no bounds. All that it does with them allocates: operator new, which is this library's own, is
// where it is stopped.

#pragma once

#include <cstddef>
#include <exception>
#include <string>

// Thrown by operator new.
class Exceeded : public std::exception {
  public:
    explicit Exceeded(const char * what) : what_(what) {}
    const char * what() const noexcept override { return what_; }

  private:
    const char * what_;
};

// Bounds for what this thread does until it is destroyed; within another one, that one's hold.
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

// Do `action` on a stack of its own, deep enough for what the bytes of a budget can nest: values in
// values are freed by recursion. Return false if a signal came; the action was stopped then.
bool on_deep_stack(void (*action)(void *), void * argument);

// Stop what runs in all threads, and all that will.
void stop_all();
