/* SPDX-License-Identifier: Apache-2.0 */
/*
 * libvmmi: live migrations by VMMI plugins, for management applications. The C interface of libvmmi.so.0.
 *
 * One call takes the place of virDomainMigrateToURI3():
 *
 *     vmmi_parameters parameters = {.size = sizeof parameters};
 *     vmmi_result result = {.size = sizeof result};
 *     vmmi_error error = {.size = sizeof error};
 *     parameters.vm = "0b7a4e1c-33a1-4d52-9d4e-6a1f2f5c8e01";
 *     parameters.destination = "qemu+ssh://host2/system";
 *     parameters.plugin = "precopy";
 *     if (vmmi_migrate(NULL, &parameters, NULL, &result, &error) != VMMI_OK)
 *         fprintf(stderr, "%s: %s\n", error.message, error.details);
 *
 * Behind it, the library starts the plugin (a process of its own), talks to it as SPEC.md says, and keeps a handle in
 * the runtime directory: where this process dies, the plugin goes on, and any later process of the same user finds the
 * migration with vmmi_list_new() and takes it up with vmmi_attach().
 *
 * Shapes. Structures are the caller's; the first member, `size`, is set to their sizeof before the call, so that later
 * versions of the library can add members at the end. A structure that is only read must be zero where nothing is set.
 * Handles are the library's and end with the function named *_free. Texts are UTF-8. A `const char *` that is returned
 * belongs to the handle it came from, until the next vmmi_dispatch() with its context or its *_free.
 *
 * Errors. Functions that can fail return VMMI_OK or a code, and put the code and two texts into `error`, which may be
 * NULL. 1 to 99 are the codes of SPEC.md, chapter 5, 100 and more a plugin's own; below 0 are those of this library.
 *
 * Threads. A context may be used by any thread, one at a time or several. Calls on it do not wait for the plugin,
 * except where it says so here. vmmi_migrate() can be called by many threads at once. pthread_cancel() takes effect
 * when a call has returned.
 *
 * Descriptors. Each migration in a context takes two, and a start some more for a moment; RLIMIT_NOFILE is to allow for
 * that. VMMI_E_SYSTEM for want of them says nothing about a plugin, and loses no completion message.
 *
 * Processes. After fork(), the child must not use a context of its parent but may free it, which changes nothing
 * outside of the child. No signal handler is installed and no signal is blocked; the plugin is a child of this process,
 * and only it is waited for. A host program that reaps all of its children, or ignores SIGCHLD, loses nothing but the
 * exit status.
 */
#ifndef VMMI_LIBVMMI_H
#define VMMI_LIBVMMI_H

#include <stddef.h>
#include <stdint.h>

/* NOLINTBEGIN(modernize-use-using,readability-identifier-naming): this is C */
#ifdef __cplusplus
extern "C" {
#endif

#if defined(__GNUC__)
#define VMMI_PUBLIC __attribute__((visibility("default")))
#else
#define VMMI_PUBLIC
#endif

struct _virDomain; /* libvirt's; its header is not needed */

typedef struct vmmi_context vmmi_context;     /* many migrations behind one descriptor */
typedef struct vmmi_migration vmmi_migration; /* one of them; belongs to its context */
typedef struct vmmi_cancel vmmi_cancel;       /* ends a blocking call from another thread */
typedef struct vmmi_list vmmi_list;           /* what was in the runtime directory */
typedef struct vmmi_plugins vmmi_plugins;     /* what was in the plugin directory */

enum vmmi_code {
    VMMI_OK = 0,
    /* SPEC.md, chapter 5: what a completion message says. */
    VMMI_UNKNOWN = 1,
    VMMI_OPERATION_FAILED = 2,
    VMMI_BAD_FILE_PATH = 3,
    VMMI_CONFIGURATION_FAILED = 4,
    VMMI_MALFORMED_PARAMETERS = 5,
    VMMI_MALFORMED_CONFIGURATION = 6,
    VMMI_MISSING_PARAMETERS = 7,
    VMMI_MIGRATION_FAILED = 8,
    VMMI_MIGRATION_ABORTED = 9,
    VMMI_VM_UNKNOWN = 10,
    VMMI_VM_DISAPPEARED = 11,
    VMMI_LIBVIRT_DISCONNECTED = 12,
    VMMI_DETACHED = 13,
    /* This library's own. */
    VMMI_E_MISUSE = -1,       /* a wrong call: NULL, a size that is too small, a context of the parent process */
    VMMI_E_PLUGIN = -2,       /* no such plugin, or one that is not to be run */
    VMMI_E_DIRECTORY = -3,    /* the runtime directory is of no use */
    VMMI_E_BUSY = -4,         /* a plugin is at work on this guest already */
    VMMI_E_SYSTEM = -5,       /* the system gives no process, memory or descriptor; the plugin could not be started */
    VMMI_E_CRASHED = -6,      /* the plugin ended without a completion message */
    VMMI_E_PROTOCOL = -7,     /* the plugin says what it must not, or contradicts itself */
    VMMI_E_FLOOD = -8,        /* the plugin wrote too much, and was killed for it */
    VMMI_E_NO_ANSWER = -9,    /* no status in time */
    VMMI_E_STUCK = -10,       /* told to abort, the plugin does not end */
    VMMI_E_NOT_FOUND = -11,   /* no such migration, or none yet: no status, no result */
    VMMI_E_OUT_OF_REACH = -12 /* the plugin runs in another process namespace: it can be waited for, and no more */
};

typedef struct vmmi_error {
    size_t size;
    int code;
    char message[128];  /* short, for a list */
    char details[4096]; /* for a person: what was tried, what came of it, what to do next; cut where it is longer */
} vmmi_error;

/* How a context works. NULL, and every member that is 0, stand for the default. */
typedef struct vmmi_options {
    size_t size;
    const char* plugin_directory;  /* /usr/libexec/vmmi */
    const char* runtime_directory; /* root: /run/vmmi/migrations; others: $XDG_RUNTIME_DIR/vmmi/migrations. "": none,
                                      for plugins and checks alone */
    uint32_t status_timeout_ms;    /* 5000: until VMMI_EVENT_NO_STATUS */
    uint32_t abort_again_ms;       /* 10000: until SIGINT is sent once more, again and again */
    uint32_t abort_timeout_ms;     /* 120000: until VMMI_EVENT_STUCK */
} vmmi_options;

/* One migration. */
typedef struct vmmi_parameters {
    size_t size;
    struct _virDomain* domain; /* a virDomainPtr in place of vm and connection, or NULL; read during the call only */
    const char* vm;            /* UUID, which is better, or name */
    const char* vm_name;       /* for people, in lists; may be NULL */
    const char* connection;    /* libvirt URI of the source; NULL: what the configuration says. It wins over that */
    const char* destination;   /* libvirt URI of the destination, as the source host reaches it */
    const char* migration_uri; /* where the memory goes; NULL: tcp:// and the host of `destination` */
    const char* plugin;        /* its name in the plugin directory */
    const char* configuration; /* the configuration message, JSON; NULL: the plugin's default file */
    const char* const*
        environment; /* "NAME=value"…, NULL: in addition to what docs/supervising.md lists; may be NULL */
} vmmi_parameters;

/* How a migration ended. -1 where a number is not known, "" where a word is not. */
typedef struct vmmi_result {
    size_t size;
    int code;              /* 0: the guest is at the destination; else as in vmmi_error */
    int retry;             /* 1: the same call can make sense once more, to try again or to take over what still runs */
    int exit_status;       /* the plugin's; -1 where a signal ended it or it is not known */
    int signal;            /* that ended the plugin, or 0 */
    char cause[32];        /* SPEC.md, 4.2: "completed" … */
    char source_state[32]; /* the guest there: "absent" … */
    char destination_state[32]; /* "running" … */
    int64_t timestamp;          /* of the completion message, seconds since the epoch */
    int64_t total_time_ms;
    int64_t downtime_ms;
    int64_t setup_time_ms;
    int64_t work_lost_throttle_ms;
    int64_t work_lost_pause_ms;
    int64_t work_lost_postcopy_ms;
    int64_t iterations;
    int64_t total_bytes;
    int64_t transferred_bytes;
} vmmi_result;

/* What a plugin said last. -1 where a number is not known, "" where a word is not. */
typedef struct vmmi_status {
    size_t size;
    char policy[64];
    char phase[32]; /* SPEC.md, 4.1: "connecting", "starting", "storage", "precopy" … */
    int progress_percent;
    int throttle_percent;
    int64_t timestamp; /* seconds since the epoch */
    int64_t elapsed_ms;
    int64_t sample_age_ms;
    int64_t iteration;
    int64_t total_bytes;
    int64_t remaining_bytes;
    int64_t transferred_bytes;
    int64_t disk_total_bytes;
    int64_t disk_remaining_bytes;
    int64_t disk_transferred_bytes;
    int64_t bandwidth_bytes_per_second;
    int64_t dirty_rate_bytes_per_second;
    int64_t downtime_limit_ms;
    int64_t work_lost_throttle_ms;
    int64_t work_lost_pause_ms;
    int64_t work_lost_postcopy_ms;
    int64_t eta_ms;               /* -1 also where it does not converge */
    int64_t eta_earliest_ms;      /* if all goes well */
    int64_t eta_latest_ms;        /* if not; -1 where there may be no end */
    char last_action[32];         /* "setDowntime" … */
    char last_action_reason[512]; /* a sentence; cut where it is longer */
} vmmi_status;

/* The library's version, as "0.1.0". */
VMMI_PUBLIC const char* vmmi_version(void);

/* ---- One blocking call ---- */

/*
 * Migrates, and returns when the plugin has ended: VMMI_OK where the guest is at the destination, else the code.
 * `result` may be NULL; its code is what the call returns. With `cancel`, another thread can have the migration
 * aborted: the call then returns when the plugin has ended on that, with what the completion message says; after
 * options->abort_timeout_ms with VMMI_E_STUCK, and then the plugin is still at work, to be found with vmmi_list_new().
 */
VMMI_PUBLIC int vmmi_migrate(const vmmi_options* options, const vmmi_parameters* parameters, vmmi_cancel* cancel,
                             vmmi_result* result, vmmi_error* error);

VMMI_PUBLIC vmmi_cancel* vmmi_cancel_new(void); /* NULL: no memory or descriptor */
/* From any thread or signal handler; it stays triggered. */
VMMI_PUBLIC void vmmi_cancel_trigger(vmmi_cancel* cancel);
VMMI_PUBLIC void vmmi_cancel_free(vmmi_cancel* cancel);

/* ---- Many migrations behind one descriptor ---- */

VMMI_PUBLIC int vmmi_context_new(const vmmi_options* options, vmmi_context** context, vmmi_error* error);
/* The plugins go on; their handles stay. Ends the migrations that belong to it, too. */
VMMI_PUBLIC void vmmi_context_free(vmmi_context* context);

/* Readable whenever vmmi_dispatch() has something to do. For poll, epoll, or any event loop; not to be read. */
VMMI_PUBLIC int vmmi_context_fd(const vmmi_context* context);
/* Does what there is to do, and never waits. */
VMMI_PUBLIC int vmmi_dispatch(vmmi_context* context, vmmi_error* error);
/* Waits up to `timeout_ms` (below 0: without end) until there is something to do, and does it. */
VMMI_PUBLIC int vmmi_wait(vmmi_context* context, int timeout_ms, vmmi_error* error);

enum vmmi_event {
    VMMI_EVENT_NONE = 0,
    VMMI_EVENT_STATUS = 1,    /* the status that was asked for is there */
    VMMI_EVENT_NO_STATUS = 2, /* it did not come: the plugin hangs, or writes garbage */
    VMMI_EVENT_STUCK = 3,     /* told to abort, the plugin has not ended within abort_timeout_ms; it is still told */
    VMMI_EVENT_ENDED = 4      /* vmmi_migration_result() tells how */
};
/* The next thing that happened, to be called until it returns NULL. */
VMMI_PUBLIC vmmi_migration* vmmi_next_event(vmmi_context* context, int* event);

/*
 * Starts a plugin. VMMI_E_BUSY: one is at work on this guest, for whichever process; vmmi_attach() takes that one up. A
 * guest by name is known by its name: under the UUID, the library would not notice it.
 */
VMMI_PUBLIC int vmmi_start(vmmi_context* context, const vmmi_parameters* parameters, vmmi_migration** migration,
                           vmmi_error* error);
/*
 * Takes up a migration that this or any other process of this user has started: `which` is an id of vmmi_item, a UUID,
 * or a name, VMMI_E_MISUSE where plugins are at work on several guests of that name. One whose plugin has ended gives
 * VMMI_EVENT_ENDED at once.
 */
VMMI_PUBLIC int vmmi_attach(vmmi_context* context, const char* which, vmmi_migration** migration, vmmi_error* error);
/* Lets go of it. The plugin goes on; the handle in the runtime directory stays. */
VMMI_PUBLIC void vmmi_migration_free(vmmi_migration* migration);
/*
 * The completion message has arrived where it is to go: the handle of a migration that has ended leaves the runtime
 * directory. Without this call it stays, for a week, to be asked for again.
 */
VMMI_PUBLIC int vmmi_migration_collect(vmmi_migration* migration, vmmi_error* error);

VMMI_PUBLIC const char* vmmi_migration_id(const vmmi_migration* migration);
/* A pointer of the caller's. */
VMMI_PUBLIC void vmmi_migration_set_data(vmmi_migration* migration, void* data);
VMMI_PUBLIC void* vmmi_migration_data(const vmmi_migration* migration);

/* Asks the plugin for a status message; VMMI_EVENT_STATUS or VMMI_EVENT_NO_STATUS follows. */
VMMI_PUBLIC int vmmi_migration_request_status(vmmi_migration* migration, vmmi_error* error);
/* The last one that came. VMMI_E_NOT_FOUND: none did yet. */
VMMI_PUBLIC int vmmi_migration_status(vmmi_migration* migration, vmmi_status* status, vmmi_error* error);
/* The whole message, or NULL. */
VMMI_PUBLIC const char* vmmi_migration_status_json(vmmi_migration* migration);

/* SIGINT, again and again: the migration is to be aborted. VMMI_EVENT_ENDED follows, or VMMI_EVENT_STUCK. */
VMMI_PUBLIC int vmmi_migration_abort(vmmi_migration* migration, vmmi_error* error);
/* SIGTERM: the plugin leaves, and the migration goes on without it. */
VMMI_PUBLIC int vmmi_migration_detach(vmmi_migration* migration, vmmi_error* error);
/*
 * The last resort for a plugin that does not end: SIGKILL. The migration goes on without it, as after a crash; whoever
 * wants it to end calls vmmi_abort_job() as well. The library never does either by itself.
 */
VMMI_PUBLIC int vmmi_migration_kill(vmmi_migration* migration, vmmi_error* error);

/* After VMMI_EVENT_ENDED: returns the code, as vmmi_migrate() does. VMMI_E_NOT_FOUND: it has not ended. */
VMMI_PUBLIC int vmmi_migration_result(vmmi_migration* migration, vmmi_result* result, vmmi_error* error);
/* The completion message as the plugin wrote it, or NULL. */
VMMI_PUBLIC const char* vmmi_migration_completion_json(vmmi_migration* migration);

/* ---- What is in progress, whoever started it ---- */

typedef struct vmmi_item {
    size_t size;
    const char* id; /* of this run, unlike the UUID; these texts are valid as long as the list is */
    const char* vm; /* as it was given */
    const char* vm_name;
    const char* connection;
    const char* destination; /* passwords masked, as in `migration_uri` */
    const char* migration_uri;
    const char* plugin;
    int64_t started; /* seconds since the epoch */
    int64_t pid;     /* of the plugin at work, or 0. For people: signals go by vmmi_attach() */
    int running;     /* 0: ended, and its completion message waits for somebody */
} vmmi_item;

VMMI_PUBLIC int vmmi_list_new(vmmi_context* context, vmmi_list** list, vmmi_error* error);
VMMI_PUBLIC size_t vmmi_list_count(const vmmi_list* list);
/* In the order in which they were started. */
VMMI_PUBLIC int vmmi_list_item(const vmmi_list* list, size_t index, vmmi_item* item);
VMMI_PUBLIC void vmmi_list_free(vmmi_list* list);

/* ---- Plugins ---- */

typedef struct vmmi_plugin {
    size_t size;
    const char* name;
    const char* version; /* as --version tells, or "" */
    const char* summary; /* the first line of --help, or "" */
} vmmi_plugin;

/* `ask` 0: names alone. Else runs each with --version and --help: waits for them, some seconds where one hangs. */
VMMI_PUBLIC int vmmi_plugins_new(vmmi_context* context, int ask, vmmi_plugins** plugins, vmmi_error* error);
VMMI_PUBLIC size_t vmmi_plugins_count(const vmmi_plugins* plugins);
VMMI_PUBLIC int vmmi_plugins_item(const vmmi_plugins* plugins, size_t index, vmmi_plugin* plugin);
VMMI_PUBLIC void vmmi_plugins_free(vmmi_plugins* plugins);

/*
 * The plugin's --check: whether the migration could be started. Waits for it, `timeout_ms` at most (0: 60000). `json`
 * gets the check message, for vmmi_free(), or NULL; it may be NULL. VMMI_OK: ready.
 */
VMMI_PUBLIC int vmmi_check(vmmi_context* context, const vmmi_parameters* parameters, uint32_t timeout_ms, char** json,
                           vmmi_error* error);
VMMI_PUBLIC void vmmi_free(void* memory);

/* ---- By libvirt. These load libvirt.so.0, and wait for its daemon as long as libvirt does ---- */

/*
 * The UUID and the name of the guest that is named in `parameters`, either way, at the connection that its plugin would
 * use. `uuid` has 37 bytes, `name` 256; each may be NULL.
 */
VMMI_PUBLIC int vmmi_find_domain(const vmmi_parameters* parameters, char* uuid, char* name, vmmi_error* error);

/* Aborts whatever job the guest has at its source, without any plugin. */
VMMI_PUBLIC int vmmi_abort_job(const char* connection, const char* vm, vmmi_error* error);

#ifdef __cplusplus
}
#endif
/* NOLINTEND(modernize-use-using,readability-identifier-naming) */
#endif
