/* What llama.cpp's clip.cpp needs of ours, put into it by bundler/engine/libmtmd.py.

   It opens a projector twice by a path, for its header and for its tensors. Ours lie somewhere in a
   file that is open already, and that may not be opened again once the program is in its sandbox. So
   a path here is "DESCRIPTOR+OFFSET+SIZE", all in decimal digits, the latter two in bytes. */

#pragma once

#include <cstddef>
#include <cstdint>
#include <ios>
#include <string>

#include "gguf.h"

struct Place {
    int descriptor;
    uint64_t offset;
    uint64_t size;

    explicit Place(const std::string & path);
};

gguf_context * opened_gguf(const char * path, gguf_init_params params);

/* As much of a std::ifstream as clip.cpp uses. Offsets are from where the projector begins. */
class OpenedStream {
  public:
    explicit OpenedStream(const std::string & path) : place(path) {}

    OpenedStream & seekg(size_t offset, std::ios_base::seekdir);
    OpenedStream & read(char * buffer, size_t size);
    void close() {}
    bool operator!() const { return false; }

  private:
    Place place;
    size_t position = 0;
};

OpenedStream opened_stream(const std::string & path);

#define gguf_init_from_file opened_gguf
#define open_ifstream_binary opened_stream
