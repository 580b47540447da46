// What llama.cpp's code would print or log: it is compiled with these names for fprintf and for its log,
// and noted here instead, for each thread.

#pragma once

#include <cstdio>
#include <string>

extern "C" int libchat_note(FILE *, const char * format, ...);

void notes_clear();
// The first note since then; empty if there is none.
const std::string & notes_first();
// The last one.
const std::string & notes_last();
