// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "system/fd.h"
#include "vmmi/result.h"

namespace vmmi::system {

/// Small files, one per guest, in which the plugin at work leaves what the next one needs if this one is killed.
///
/// They are private: folder and files belong to this user and nobody else may get at them; what is otherwise is neither
/// read nor written. A file is locked by its writer until the writer's end, whatever ends it, so no process writes over
/// what another one at work left there. One thread uses this.
class RuntimeData {
  public:
    /// Keeps nothing.
    RuntimeData() = default;

    /// Opens the folder, and makes it where only its last part is missing. Without `configured`: that of the system for
    /// root, that of the session for others, and none where there is no such folder. Fails with `bad_file_path`.
    static Result<RuntimeData> open(const std::optional<std::string>& configured);
    /// Why `open` would fail with it. Makes nothing.
    static std::optional<Error> check(const std::string& configured);

    /// What another process left about the guest, however long ago; nothing of our own.
    std::optional<std::string> read(const std::string& uuid) const;
    /// Puts the text there in place of what there was. False: another process at work has the file, or it cannot be
    /// written; the migration is no worse for it.
    bool write(const std::string& uuid, std::string_view text);
    /// Takes away what `write` left.
    void remove();
    /// Takes away what runs that were killed left long ago, as far as that takes a few milliseconds.
    void sweep() const;

  private:
    bool claim(const std::string& uuid);

    Fd folder_;
    Fd file_;  ///< ours, locked
    std::string name_;
};

}  // namespace vmmi::system
