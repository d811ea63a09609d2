// SPDX-License-Identifier: Apache-2.0
/// The C interface: every exception ends here, and nothing is decided here.
#include "vmmi/libvmmi.h"

#include <poll.h>
#include <pthread.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <chrono>
#include <csignal>
#include <cstdlib>
#include <cstring>
#include <exception>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "supervisor/context.h"
#include "supervisor/domain.h"
#include "supervisor/errors.h"
#include "supervisor/plugins.h"
#include "supervisor/reading.h"
#include "supervisor/request.h"
#include "supervisor/text.h"

namespace supervisor = vmmi::supervisor;
using supervisor::Context;
using supervisor::Migration;
using supervisor::put;
using vmmi::Error;
using vmmi::Result;

// NOLINTBEGIN(readability-identifier-naming): the header's names
struct vmmi_context {
    std::unique_ptr<Context> context;
};
struct vmmi_cancel {
    vmmi::system::Fd fd;
};
struct vmmi_list {
    struct Item {
        supervisor::Handle handle;
        pid_t pid = 0;
        bool running = false;
    };
    std::vector<Item> items;
};
struct vmmi_plugins {
    struct Item {
        std::string name;
        std::string version;
        std::string summary;
    };
    std::vector<Item> items;
};
// NOLINTEND(readability-identifier-naming)
// A migration is a context's entry, under the name that C knows it by.
static Context::Entry* entry_of(vmmi_migration* migration) {
    return reinterpret_cast<Context::Entry*>(migration);
}
static const Context::Entry* entry_of(const vmmi_migration* migration) {
    return reinterpret_cast<const Context::Entry*>(migration);
}
static vmmi_migration* to_c(Context::Entry* entry) {
    return reinterpret_cast<vmmi_migration*>(entry);
}

namespace {

/// What the caller knows of a structure that this version knows all of.
template <typename Struct>
Struct taken(const Struct& given) {
    Struct whole{};
    std::memcpy(&whole, &given, std::min(given.size, sizeof whole));
    return whole;
}

template <typename Struct>
void give(Struct* target, const Struct& whole) {
    if (target == nullptr) return;
    const std::size_t size = target->size;
    std::memcpy(target, &whole, std::min(size, sizeof whole));
    target->size = size;
}

int report(vmmi_error* target, const Error& error) {
    vmmi_error whole{};
    whole.code = static_cast<int>(error.code);
    put(whole.message, error.message);
    put(whole.details, error.details);
    give(target, whole);
    return whole.code;
}

int misuse(vmmi_error* target, const char* details) {
    return report(target, {static_cast<vmmi::ErrorCode>(VMMI_E_MISUSE), "wrong call", details});
}

int succeed(vmmi_error* target) {
    report(target, {vmmi::ErrorCode::none, "", ""});
    return VMMI_OK;
}

template <typename T>
int answer(const Result<T>& result, vmmi_error* error) {
    return result ? succeed(error) : report(error, result.error());
}

/// The end of a cancelled thread is thrown as well, and by the system: it waits until the call has returned.
class Uncancelled {
  public:
    Uncancelled() { ::pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, &before_); }
    Uncancelled(const Uncancelled&) = delete;
    Uncancelled& operator=(const Uncancelled&) = delete;
    ~Uncancelled() { ::pthread_setcancelstate(before_, nullptr); }

  private:
    int before_ = PTHREAD_CANCEL_ENABLE;
};

/// Nothing that is thrown gets past this.
template <typename Function>
int guarded(vmmi_error* error, Function&& function) noexcept {
    const Uncancelled uncancelled;
    try {
        return function();
    } catch (const std::bad_alloc&) {
        return report(error, {static_cast<vmmi::ErrorCode>(VMMI_E_SYSTEM), "no memory", {}});
    } catch (const std::exception& thrown) {
        try {
            return report(error, {static_cast<vmmi::ErrorCode>(VMMI_E_SYSTEM), "internal error", thrown.what()});
        } catch (...) {
            return VMMI_E_SYSTEM;
        }
    }
}

/// Under the context's lock, and in its own process.
template <typename Function>
int with(Context* context, vmmi_error* error, Function&& function) noexcept {
    if (context == nullptr) return misuse(error, "a NULL handle");
    if (!context->is_ours()) return misuse(error, "a context of the parent process, after fork()");
    return guarded(error, [&] {
        const std::lock_guard lock(context->mutex());
        return function();
    });
}

Context* context_of(vmmi_context* context) {
    return context != nullptr ? context->context.get() : nullptr;
}
Context* context_of(vmmi_migration* migration) {
    return migration != nullptr ? entry_of(migration)->context : nullptr;
}

supervisor::Options options_from(const vmmi_options* given) {
    const vmmi_options known = given != nullptr ? taken(*given) : vmmi_options{};
    supervisor::Options options;
    if (known.plugin_directory != nullptr) options.plugin_directory = known.plugin_directory;
    if (known.runtime_directory != nullptr) options.runtime_directory = known.runtime_directory;
    options.keeps_runs = known.runtime_directory == nullptr || *known.runtime_directory != '\0';
    options.plugin_directory = supervisor::plugin_directory(options.plugin_directory);
    using std::chrono::milliseconds;
    if (known.status_timeout_ms != 0) options.patience.status = milliseconds(known.status_timeout_ms);
    if (known.abort_again_ms != 0) options.patience.abort_again = milliseconds(known.abort_again_ms);
    if (known.abort_timeout_ms != 0) options.patience.abort = milliseconds(known.abort_timeout_ms);
    return options;
}

Result<Context::Entry*> start(Context& context, const vmmi_parameters& parameters) {
    const auto request = supervisor::make_request(taken(parameters), context.options().plugin_directory);
    if (!request) return vmmi::fail(request.error());
    const std::lock_guard lock(context.mutex());
    context.runs().sweep_at_times();
    Result<Migration> migration = Migration::start(context.runs(), *request, context.options().patience);
    if (!migration) return vmmi::fail(migration.error());
    return context.add(std::move(*migration));
}

int result_of(const Migration& migration, vmmi_result* result, vmmi_error* error) {
    const auto& conclusion = migration.conclusion();
    if (!conclusion) {
        return report(error, {static_cast<vmmi::ErrorCode>(VMMI_E_NOT_FOUND), "not ended",
                              "the plugin is at work: there is no result yet"});
    }
    give(result, conclusion->result);
    return conclusion->error ? report(error, *conclusion->error) : succeed(error);
}

/// Until the migration has ended, or does not end.
int supervise(Context& context, Context::Entry& entry, vmmi_cancel* cancel, vmmi_result* result, vmmi_error* error) {
    std::array<pollfd, 2> sources{{{context.fd(), POLLIN, 0}, {cancel != nullptr ? cancel->fd.get() : -1, POLLIN, 0}}};
    while (true) {
        ::poll(sources.data(), sources.size(), -1);
        const std::lock_guard lock(context.mutex());
        if ((sources[1].revents & POLLIN) != 0) {
            sources[1].fd = -1;
            sources[1].revents = 0;
            // Where it cannot be told any more, it is ending.
            std::ignore = entry.migration.abort();
        }
        context.dispatch();
        int event = VMMI_EVENT_NONE;
        while (context.next_event(event) != nullptr) {
            if (event == VMMI_EVENT_STUCK) {
                return report(error, {static_cast<vmmi::ErrorCode>(VMMI_E_STUCK), "the plugin does not end",
                                      "it was told to abort and is still at work, as " + entry.migration.id()});
            }
            if (event != VMMI_EVENT_ENDED) continue;
            std::ignore = entry.migration.collect();
            return result_of(entry.migration, result, error);
        }
    }
}

std::string first_line(const std::string& text) {
    return supervisor::printable(std::string_view(text).substr(0, text.find('\n')));
}

/// "NAME VERSION (VMMI 0.4.1)" and "NAME: SUMMARY", as far as the plugin says so.
vmmi_plugins::Item describe_plugin(const std::string& directory, const std::string& name) {
    vmmi_plugins::Item item{name, {}, {}};
    const Result<std::string> path = supervisor::find_plugin(directory, name);
    if (!path) return item;
    constexpr std::chrono::seconds patience(5);
    constexpr std::size_t longest = 256 << 10;
    const auto environment = supervisor::clean_environment({});
    const auto say = [&](const char* option) {
        const auto answer = supervisor::ask(*path, {option}, environment, -1, patience, longest);
        return answer && answer->ending.exit_status == 0 ? first_line(answer->output) : std::string();
    };
    item.version = say("--version");
    if (item.version.starts_with(name + " ")) item.version.erase(0, name.size() + 1);
    item.version = item.version.substr(0, item.version.find(' '));
    item.summary = say("--help");
    if (item.summary.starts_with(name + ": ")) item.summary.erase(0, name.size() + 2);
    return item;
}

}  // namespace

const char* vmmi_version(void) {
    return VMMI_VERSION;
}

vmmi_cancel* vmmi_cancel_new(void) {
    vmmi::system::Fd fd(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK));
    return fd ? new (std::nothrow) vmmi_cancel{std::move(fd)} : nullptr;
}

void vmmi_cancel_trigger(vmmi_cancel* cancel) {
    if (cancel != nullptr) ::eventfd_write(cancel->fd.get(), 1);
}

void vmmi_cancel_free(vmmi_cancel* cancel) {
    delete cancel;
}

int vmmi_migrate(const vmmi_options* options, const vmmi_parameters* parameters, vmmi_cancel* cancel,
                 vmmi_result* result, vmmi_error* error) {
    vmmi_result whole = supervisor::empty_result();
    whole.code = guarded(error, [&] {
        if (parameters == nullptr || parameters->size == 0)
            return misuse(error, "no parameters, or their size is not set");
        Result<std::unique_ptr<Context>> context = Context::open(options_from(options));
        if (!context) return report(error, context.error());
        Result<Context::Entry*> entry = start(**context, *parameters);
        if (!entry) return report(error, entry.error());
        return supervise(**context, **entry, cancel, &whole, error);
    });
    give(result, whole);
    return whole.code;
}

int vmmi_context_new(const vmmi_options* options, vmmi_context** context, vmmi_error* error) {
    if (context == nullptr) return misuse(error, "nowhere to put the context");
    *context = nullptr;
    return guarded(error, [&] {
        Result<std::unique_ptr<Context>> opened = Context::open(options_from(options));
        if (!opened) return report(error, opened.error());
        *context = new vmmi_context{std::move(*opened)};
        return succeed(error);
    });
}

void vmmi_context_free(vmmi_context* context) {
    delete context;
}

int vmmi_context_fd(const vmmi_context* context) {
    return context != nullptr ? context->context->fd() : -1;
}

int vmmi_dispatch(vmmi_context* context, vmmi_error* error) {
    return with(context_of(context), error, [&] {
        context->context->dispatch();
        return succeed(error);
    });
}

int vmmi_wait(vmmi_context* context, int timeout_ms, vmmi_error* error) {
    if (context == nullptr) return misuse(error, "a NULL handle");
    pollfd source{context->context->fd(), POLLIN, 0};
    if (::poll(&source, 1, timeout_ms) < 0 && errno != EINTR) return misuse(error, "the context has no descriptor");
    return vmmi_dispatch(context, error);
}

vmmi_migration* vmmi_next_event(vmmi_context* context, int* event) {
    Context::Entry* entry = nullptr;
    int kind = VMMI_EVENT_NONE;
    with(context_of(context), nullptr, [&] {
        entry = context->context->next_event(kind);
        return VMMI_OK;
    });
    if (event != nullptr) *event = kind;
    return to_c(entry);
}

int vmmi_start(vmmi_context* context, const vmmi_parameters* parameters, vmmi_migration** migration,
               vmmi_error* error) {
    if (context == nullptr || migration == nullptr) return misuse(error, "a NULL handle");
    *migration = nullptr;
    if (parameters == nullptr || parameters->size == 0) return misuse(error, "no parameters, or their size is not set");
    if (!context->context->is_ours()) return misuse(error, "a context of the parent process, after fork()");
    return guarded(error, [&] {
        Result<Context::Entry*> entry = start(*context->context, *parameters);
        if (entry) *migration = to_c(*entry);
        return answer(entry, error);
    });
}

int vmmi_attach(vmmi_context* context, const char* which, vmmi_migration** migration, vmmi_error* error) {
    if (migration == nullptr || which == nullptr) return misuse(error, "a NULL argument");
    *migration = nullptr;
    return with(context_of(context), error, [&] {
        Context& own = *context->context;
        Result<Migration> attached = Migration::attach(own.runs(), which, own.options().patience);
        if (!attached) return report(error, attached.error());
        Result<Context::Entry*> entry = own.add(std::move(*attached));
        if (entry) *migration = to_c(*entry);
        return answer(entry, error);
    });
}

void vmmi_migration_free(vmmi_migration* migration) {
    // In a forked child: its copies go with the context.
    with(context_of(migration), nullptr, [&] {
        entry_of(migration)->context->remove(entry_of(migration));
        return VMMI_OK;
    });
}

int vmmi_migration_collect(vmmi_migration* migration, vmmi_error* error) {
    return with(context_of(migration), error, [&] { return answer(entry_of(migration)->migration.collect(), error); });
}

const char* vmmi_migration_id(const vmmi_migration* migration) {
    return migration != nullptr ? entry_of(migration)->migration.id().c_str() : nullptr;
}

void vmmi_migration_set_data(vmmi_migration* migration, void* data) {
    if (migration != nullptr) entry_of(migration)->data = data;
}

void* vmmi_migration_data(const vmmi_migration* migration) {
    return migration != nullptr ? entry_of(migration)->data : nullptr;
}

int vmmi_migration_request_status(vmmi_migration* migration, vmmi_error* error) {
    return with(context_of(migration), error, [&] {
        const Result<void> asked = entry_of(migration)->migration.request_status();
        if (asked) entry_of(migration)->context->note_request();
        return answer(asked, error);
    });
}

int vmmi_migration_status(vmmi_migration* migration, vmmi_status* status, vmmi_error* error) {
    return with(context_of(migration), error, [&] {
        const Migration& own = entry_of(migration)->migration;
        if (own.status()) give(status, *own.status());
        if (own.status_error()) return report(error, *own.status_error());
        if (own.status()) return succeed(error);
        return report(error, {static_cast<vmmi::ErrorCode>(VMMI_E_NOT_FOUND), "no status", "none has come yet"});
    });
}

const char* vmmi_migration_status_json(vmmi_migration* migration) {
    const char* json = nullptr;
    with(context_of(migration), nullptr, [&] {
        const std::string& text = entry_of(migration)->migration.status_json();
        if (!text.empty()) json = text.c_str();
        return VMMI_OK;
    });
    return json;
}

int vmmi_migration_abort(vmmi_migration* migration, vmmi_error* error) {
    return with(context_of(migration), error, [&] { return answer(entry_of(migration)->migration.abort(), error); });
}

int vmmi_migration_detach(vmmi_migration* migration, vmmi_error* error) {
    return with(context_of(migration), error,
                [&] { return answer(entry_of(migration)->migration.signal(SIGTERM), error); });
}

int vmmi_migration_kill(vmmi_migration* migration, vmmi_error* error) {
    return with(context_of(migration), error,
                [&] { return answer(entry_of(migration)->migration.signal(SIGKILL), error); });
}

int vmmi_migration_result(vmmi_migration* migration, vmmi_result* result, vmmi_error* error) {
    return with(context_of(migration), error, [&] { return result_of(entry_of(migration)->migration, result, error); });
}

const char* vmmi_migration_completion_json(vmmi_migration* migration) {
    const char* json = nullptr;
    with(context_of(migration), nullptr, [&] {
        const auto& conclusion = entry_of(migration)->migration.conclusion();
        if (conclusion && !conclusion->completion.empty()) json = conclusion->completion.c_str();
        return VMMI_OK;
    });
    return json;
}

int vmmi_list_new(vmmi_context* context, vmmi_list** list, vmmi_error* error) {
    if (list == nullptr) return misuse(error, "nowhere to put the list");
    *list = nullptr;
    return with(context_of(context), error, [&] {
        auto made = std::make_unique<vmmi_list>();
        const supervisor::Runs& runs = context->context->runs();
        runs.sweep();
        Result<std::vector<supervisor::Handle>> handles = runs.handles();
        if (!handles) return report(error, handles.error());
        for (supervisor::Handle& handle : *handles) {
            const Result<supervisor::Runs::Process> process = runs.process(handle);
            if (!process) return report(error, process.error());
            const bool running = process->life != supervisor::Runs::Life::ended;
            made->items.push_back({std::move(handle), running ? process->identity.pid : 0, running});
        }
        *list = made.release();
        return succeed(error);
    });
}

size_t vmmi_list_count(const vmmi_list* list) {
    return list != nullptr ? list->items.size() : 0;
}

int vmmi_list_item(const vmmi_list* list, size_t index, vmmi_item* item) {
    if (index >= vmmi_list_count(list) || item == nullptr) return VMMI_E_MISUSE;
    const auto& [handle, pid, running] = list->items[index];
    vmmi_item whole{};
    whole.id = handle.id.c_str();
    whole.vm = handle.vm.c_str();
    whole.vm_name = handle.vm_name.c_str();
    whole.connection = handle.connection.c_str();
    whole.destination = handle.destination.c_str();
    whole.migration_uri = handle.migration_uri.c_str();
    whole.plugin = handle.plugin.c_str();
    whole.started = handle.started;
    whole.pid = pid;
    whole.running = running ? 1 : 0;
    give(item, whole);
    return VMMI_OK;
}

void vmmi_list_free(vmmi_list* list) {
    delete list;
}

int vmmi_plugins_new(vmmi_context* context, int ask, vmmi_plugins** plugins, vmmi_error* error) {
    if (context == nullptr || plugins == nullptr) return misuse(error, "a NULL handle");
    *plugins = nullptr;
    return guarded(error, [&] {
        const std::string& directory = context->context->options().plugin_directory;
        const Result<std::vector<std::string>> names = supervisor::plugin_names(directory);
        if (!names) return report(error, names.error());
        auto made = std::make_unique<vmmi_plugins>();
        for (const std::string& name : *names)
            made->items.push_back(ask != 0 ? describe_plugin(directory, name) : vmmi_plugins::Item{name, {}, {}});
        *plugins = made.release();
        return succeed(error);
    });
}

size_t vmmi_plugins_count(const vmmi_plugins* plugins) {
    return plugins != nullptr ? plugins->items.size() : 0;
}

int vmmi_plugins_item(const vmmi_plugins* plugins, size_t index, vmmi_plugin* plugin) {
    if (index >= vmmi_plugins_count(plugins) || plugin == nullptr) return VMMI_E_MISUSE;
    const vmmi_plugins::Item& item = plugins->items[index];
    vmmi_plugin whole{};
    whole.name = item.name.c_str();
    whole.version = item.version.c_str();
    whole.summary = item.summary.c_str();
    give(plugin, whole);
    return VMMI_OK;
}

void vmmi_plugins_free(vmmi_plugins* plugins) {
    delete plugins;
}

int vmmi_check(vmmi_context* context, const vmmi_parameters* parameters, uint32_t timeout_ms, char** json,
               vmmi_error* error) {
    if (json != nullptr) *json = nullptr;
    if (context == nullptr || parameters == nullptr || parameters->size == 0)
        return misuse(error, "no context or parameters, or their size is not set");
    return guarded(error, [&] {
        const auto request = supervisor::make_request(taken(*parameters), context->context->options().plugin_directory);
        if (!request) return report(error, request.error());
        const Result<vmmi::system::Fd> input = request->input();
        if (!input) return report(error, input.error());
        std::vector<std::string> arguments = request->arguments();
        arguments.insert(arguments.begin(), "--check");
        constexpr std::uint32_t usual = 60000;
        const std::chrono::milliseconds patience(timeout_ms != 0 ? timeout_ms : usual);
        const auto said = supervisor::ask(request->path, arguments, request->environment, input->get(), patience,
                                          supervisor::longest_completion);
        if (!said) return report(error, said.error());
        const supervisor::CheckAnswer read =
            supervisor::read_check(said->output, said->error, said->ending, "plugin " + request->plugin);
        if (json != nullptr && !read.json.empty()) *json = ::strdup(read.json.c_str());
        return read.error ? report(error, *read.error) : succeed(error);
    });
}

void vmmi_free(void* memory) {
    std::free(memory);
}

int vmmi_find_domain(const vmmi_parameters* parameters, char* uuid, char* name, vmmi_error* error) {
    if (parameters == nullptr || parameters->size == 0) return misuse(error, "no parameters, or their size is not set");
    return guarded(error, [&] {
        const vmmi_parameters known = taken(*parameters);
        if (known.vm == nullptr) return misuse(error, "no guest was named");
        const Result<std::string> connection = supervisor::connection_of(known);
        if (!connection) return report(error, connection.error());
        const auto found = supervisor::find_domain(*connection, known.vm);
        if (!found) return report(error, found.error());
        if (uuid != nullptr) put(*reinterpret_cast<char(*)[37]>(uuid), found->uuid);
        if (name != nullptr) put(*reinterpret_cast<char(*)[256]>(name), found->name);
        return succeed(error);
    });
}

int vmmi_abort_job(const char* connection, const char* vm, vmmi_error* error) {
    if (vm == nullptr) return misuse(error, "no guest was named");
    return guarded(error,
                   [&] { return answer(supervisor::abort_job(connection != nullptr ? connection : "", vm), error); });
}
