# SPDX-License-Identifier: Apache-2.0
"""libvmmi by ctypes, as it is in include/vmmi/libvmmi.h."""

import ctypes
import os
import select
import time
from ctypes import POINTER, byref, c_char, c_char_p, c_int, c_int64, c_size_t, c_uint32, c_void_p, sizeof

LIBRARY = os.environ.get("VMMI_LIBRARY", "libvmmi.so.0")
EVENTS = [None, "status", "no status", "stuck", "ended"]

MISUSE, PLUGIN, DIRECTORY, BUSY, SYSTEM, CRASHED, PROTOCOL, FLOOD, NO_ANSWER, STUCK, NOT_FOUND, OUT_OF_REACH = range(-1, -13, -1)


class Sized(ctypes.Structure):
    def __init__(self, **values):
        super().__init__(**values)
        self.size = sizeof(self)


class Error(Sized):
    _fields_ = [("size", c_size_t), ("code", c_int), ("message", c_char * 128), ("details", c_char * 4096)]


class Options(Sized):
    _fields_ = [("size", c_size_t), ("plugin_directory", c_char_p), ("runtime_directory", c_char_p),
                ("status_timeout_ms", c_uint32), ("abort_again_ms", c_uint32), ("abort_timeout_ms", c_uint32)]


class Parameters(Sized):
    _fields_ = [("size", c_size_t), ("domain", c_void_p), ("vm", c_char_p), ("vm_name", c_char_p), ("connection", c_char_p),
                ("destination", c_char_p), ("migration_uri", c_char_p), ("plugin", c_char_p), ("configuration", c_char_p),
                ("environment", POINTER(c_char_p))]


class Result(Sized):
    _fields_ = [("size", c_size_t), ("code", c_int), ("retry", c_int), ("exit_status", c_int), ("signal", c_int),
                ("cause", c_char * 32), ("source_state", c_char * 32), ("destination_state", c_char * 32),
                *[(name, c_int64) for name in ("timestamp", "total_time_ms", "downtime_ms", "setup_time_ms",
                                               "work_lost_throttle_ms", "work_lost_pause_ms", "work_lost_postcopy_ms",
                                               "iterations", "total_bytes", "transferred_bytes")]]


class Status(Sized):
    _fields_ = [("size", c_size_t), ("policy", c_char * 64), ("phase", c_char * 32), ("progress_percent", c_int),
                ("throttle_percent", c_int),
                *[(name, c_int64) for name in (
                    "timestamp", "elapsed_ms", "sample_age_ms", "iteration", "total_bytes", "remaining_bytes",
                    "transferred_bytes", "disk_total_bytes", "disk_remaining_bytes", "disk_transferred_bytes",
                    "bandwidth_bytes_per_second", "dirty_rate_bytes_per_second", "downtime_limit_ms",
                    "work_lost_throttle_ms", "work_lost_pause_ms", "work_lost_postcopy_ms", "eta_ms", "eta_earliest_ms", "eta_latest_ms")],
                ("last_action", c_char * 32), ("last_action_reason", c_char * 512)]


class Item(Sized):
    _fields_ = [("size", c_size_t),
                *[(name, c_char_p) for name in ("id", "vm", "vm_name", "connection", "destination", "migration_uri", "plugin")],
                ("started", c_int64), ("pid", c_int64), ("running", c_int)]


class PluginItem(Sized):
    _fields_ = [("size", c_size_t), ("name", c_char_p), ("version", c_char_p), ("summary", c_char_p)]


lib = ctypes.CDLL(LIBRARY, use_errno=True)
for returns_pointer in ["vmmi_next_event", "vmmi_cancel_new"]:
    getattr(lib, returns_pointer).restype = c_void_p
for returns_text in ["vmmi_version", "vmmi_migration_id", "vmmi_migration_status_json", "vmmi_migration_completion_json"]:
    getattr(lib, returns_text).restype = c_char_p
lib.vmmi_list_count.restype = lib.vmmi_plugins_count.restype = c_size_t


class Failure(Exception):
    def __init__(self, code, error):
        super().__init__(f"{code}: {error.message.decode()}: {error.details.decode()}")
        self.code, self.message, self.details = code, error.message.decode(), error.details.decode()


def call(function, *arguments):
    error = Error()
    code = getattr(lib, function)(*arguments, byref(error))
    assert code == error.code
    if code:
        raise Failure(code, error)


def parameters(environment=(), **values):
    made = Parameters(**{key: value.encode() if isinstance(value, str) else value for key, value in values.items()})
    if environment:
        made.environment = (c_char_p * (len(environment) + 1))(*[one.encode() for one in environment], None)
    return made


def options(**values):
    return Options(**{key: os.fsencode(value) if not isinstance(value, int) else value for key, value in values.items()})


class Migration:
    def __init__(self, context, pointer):
        self.context, self.pointer = context, c_void_p(pointer)

    @property
    def id(self):
        return lib.vmmi_migration_id(self.pointer).decode()

    def wait(self, event, timeout=30):
        """Until that event of this migration comes. Those of others wait for their turn."""
        until = time.monotonic() + timeout
        while (event, self.pointer.value) not in self.context.events:
            left = until - time.monotonic()
            assert left > 0, f"no {event}, but {self.context.events}"
            self.context.wait(left)
        self.context.events.remove((event, self.pointer.value))

    def request_status(self):
        call("vmmi_migration_request_status", self.pointer)

    def status(self):
        status = Status()
        call("vmmi_migration_status", self.pointer, byref(status))
        return status

    def ask(self):
        self.request_status()
        self.wait("status")
        return self.status()

    def result(self):
        """The values, whatever the code."""
        result = Result()
        try:
            call("vmmi_migration_result", self.pointer, byref(result))
        except Failure:
            pass
        return result

    def conclude(self, timeout=30):
        """Waits for the end; fails as the migration does."""
        self.wait("ended", timeout)
        call("vmmi_migration_result", self.pointer, None)

    def completion(self):
        return lib.vmmi_migration_completion_json(self.pointer)

    def do(self, what):
        call(f"vmmi_migration_{what}", self.pointer)

    def free(self):
        lib.vmmi_migration_free(self.pointer)


class Context:
    def __init__(self, **values):
        self.pointer = c_void_p()
        self.events = []
        call("vmmi_context_new", byref(options(**values)), byref(self.pointer))

    @property
    def fd(self):
        return lib.vmmi_context_fd(self.pointer)

    def wait(self, timeout):
        select.select([self.fd], [], [], timeout)
        call("vmmi_dispatch", self.pointer)
        event = c_int()
        while migration := lib.vmmi_next_event(self.pointer, byref(event)):
            self.events.append((EVENTS[event.value], migration))

    def start(self, **values):
        migration = c_void_p()
        call("vmmi_start", self.pointer, byref(parameters(**values)), byref(migration))
        return Migration(self, migration.value)

    def attach(self, which):
        migration = c_void_p()
        call("vmmi_attach", self.pointer, which.encode(), byref(migration))
        return Migration(self, migration.value)

    def list(self):
        found = c_void_p()
        call("vmmi_list_new", self.pointer, byref(found))
        items = []
        for index in range(lib.vmmi_list_count(found)):
            item = Item()
            assert lib.vmmi_list_item(found, c_size_t(index), byref(item)) == 0
            items.append({name: value.decode() if isinstance(value := getattr(item, name), bytes) else value
                          for name, _ in Item._fields_ if name != "size"})
        lib.vmmi_list_free(found)
        return items

    def plugins(self):
        found = c_void_p()
        call("vmmi_plugins_new", self.pointer, 1, byref(found))
        plugins = []
        for index in range(lib.vmmi_plugins_count(found)):
            item = PluginItem()
            lib.vmmi_plugins_item(found, c_size_t(index), byref(item))
            plugins.append((item.name.decode(), item.version.decode(), item.summary.decode()))
        lib.vmmi_plugins_free(found)
        return plugins

    def check(self, timeout_ms=0, **values):
        """Whether it is ready, and what was written."""
        json = c_char_p()
        try:
            call("vmmi_check", self.pointer, byref(parameters(**values)), c_uint32(timeout_ms), byref(json))
            failure = None
        except Failure as raised:
            failure = raised
        return failure, json.value

    def free(self):
        lib.vmmi_context_free(self.pointer)


def migrate(chosen, cancel=None, **values):
    result = Result()
    call("vmmi_migrate", byref(chosen), byref(parameters(**values)), cancel, byref(result))
    return result
