#include "first_stage.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

void fail(const char * hint, const char * format, ...) {
    va_list values;
    va_start(values, format);
    fputs("error: ", stderr);
    vfprintf(stderr, format, values);
    va_end(values);
    fprintf(stderr, "\n\nhint: %s\n", hint);
    exit(1);
}
