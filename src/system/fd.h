// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string_view>
#include <utility>

namespace vmmi::system {

/// Owns a file descriptor; -1 is none.
class Fd {
  public:
    Fd() = default;
    explicit Fd(int fd) : fd_(fd) {}
    Fd(Fd&& other) noexcept : fd_(std::exchange(other.fd_, -1)) {}
    Fd& operator=(Fd&& other) noexcept;
    ~Fd() { reset(); }

    int get() const { return fd_; }
    explicit operator bool() const { return fd_ >= 0; }
    void reset();
    /// Gives it away: the caller's to close.
    [[nodiscard]] int release() { return std::exchange(fd_, -1); }

  private:
    int fd_ = -1;
};

/// What to do where a non-blocking descriptor takes no more. The other side may have made it so: that holds for all who
/// share it.
enum class WhenFull { give_up, wait };

/// Writes all of it, or gives up: a broken pipe or a full disk is the other side's business.
/// Returns whether everything was written.
bool write_all(int fd, std::string_view text, WhenFull when_full = WhenFull::give_up);

}  // namespace vmmi::system
