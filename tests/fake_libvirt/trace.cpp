// SPDX-License-Identifier: Apache-2.0
#include "trace.h"

#include <fcntl.h>
#include <unistd.h>

#include <string>

#include "scenario.h"
#include "timeline.h"
#include "world.h"

namespace fake {

void trace(nlohmann::json line) {
    static const int fd = ::open(scenario().trace_file.c_str(), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
    line["time"] = static_cast<double>(clock_now()) / 1e9;
    line["process"] = ::getpid();
    line["thread"] = ::gettid();
    const std::string text = line.dump(-1, ' ', false, nlohmann::json::error_handler_t::replace) + '\n';
    if (::write(fd, text.data(), text.size()) < 0) std::_Exit(72);
}

}  // namespace fake
