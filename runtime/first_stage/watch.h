#pragma once

#include "first_stage.h"

// Return in a new process. This one waits for its end, deletes `folder`, and ends as it did.
void watch(const char * folder);
