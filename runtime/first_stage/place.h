// Places that a runtime can be unpacked into.

#pragma once

#include "first_stage.h"

#define WHY_SIZE 160

// The record of an unpacked runtime, within its folder: its ID, and the start of the system during
// which its files were last known to be whole.
#define RECORD ".modelembed.runtime"

// Whether `size` bytes find room in the folder open as `at`; says in `why` where they do not.
bool has_room(int at, uint64_t size, char * why);
// Whether programs may run from the folder open as `at`, which holds the marker.
bool may_run(int at);
// Say in `why` what an errno means for a place.
void explain(int number, char * why);
