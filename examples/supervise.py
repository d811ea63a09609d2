#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""A management application in Python, with ctypes alone: one blocking call in place of virDomainMigrateToURI3.

    supervise.py VM-UUID DESTINATION-URI [CONNECTION]

$VMMI_LIBRARY names the library where it is not installed; $VMMI_PLUGINS and $VMMI_MIGRATIONS other folders.
"""

import ctypes
import os
import sys
from ctypes import c_char, c_char_p, c_int, c_int64, c_size_t, c_uint32, c_void_p


class Structure(ctypes.Structure):
    """Every structure begins with its size."""

    def __init__(self, **values):
        super().__init__(ctypes.sizeof(self), **values)


class Options(Structure):
    _fields_ = [("size", c_size_t), ("plugin_directory", c_char_p), ("runtime_directory", c_char_p),
                ("status_timeout_ms", c_uint32), ("abort_again_ms", c_uint32), ("abort_timeout_ms", c_uint32)]


class Parameters(Structure):
    _fields_ = [("size", c_size_t), ("domain", c_void_p), ("vm", c_char_p), ("vm_name", c_char_p), ("connection", c_char_p),
                ("destination", c_char_p), ("migration_uri", c_char_p), ("plugin", c_char_p), ("configuration", c_char_p),
                ("environment", c_void_p)]


class Result(Structure):
    _fields_ = [("size", c_size_t), ("code", c_int), ("retry", c_int), ("exit_status", c_int), ("signal", c_int),
                ("cause", c_char * 32), ("source_state", c_char * 32), ("destination_state", c_char * 32),
                ("timestamp", c_int64), ("total_time_ms", c_int64), ("downtime_ms", c_int64)]


class Error(Structure):
    _fields_ = [("size", c_size_t), ("code", c_int), ("message", c_char * 128), ("details", c_char * 4096)]


def main(vm, destination, connection=None):
    vmmi = ctypes.CDLL(os.environ.get("VMMI_LIBRARY", "libvmmi.so.0"))
    options = Options(plugin_directory=os.fsencode(os.environ.get("VMMI_PLUGINS", "")) or None,
                      runtime_directory=os.fsencode(os.environ.get("VMMI_MIGRATIONS", "")) or None)
    parameters = Parameters(vm=vm.encode(), destination=destination.encode(), plugin=b"precopy",
                            connection=connection and connection.encode())
    result, error = Result(), Error()
    code = vmmi.vmmi_migrate(*map(ctypes.byref, (options, parameters)), None, *map(ctypes.byref, (result, error)))
    if code:
        print(f"{error.message.decode()} ({code}): {error.details.decode()}", file=sys.stderr)
        return 1
    print(f"migrated in {result.total_time_ms} ms, downtime {result.downtime_ms} ms; "
          f"the guest at the destination: {result.destination_state.decode()}")
    return 0


sys.exit(main(*sys.argv[1:]))
