/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A management application in C: starts a migration, follows it in an event loop of its own, and takes it up again where
 * an earlier run of this program was killed.
 *
 *     cc -o supervise supervise.c $(pkg-config --cflags --libs libvmmi)
 *     ./supervise VM-UUID DESTINATION-URI [CONNECTION]
 */
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <vmmi/libvmmi.h>

static int told(const char *what, const vmmi_error *error) {
    fprintf(stderr, "%s: %s (%d): %s\n", what, error->message, error->code, error->details);
    return 1;
}

int main(int argc, char **argv) {
    vmmi_error error = {.size = sizeof error};
    vmmi_parameters parameters = {.size = sizeof parameters, .plugin = "precopy"};
    vmmi_context *context = NULL;
    vmmi_migration *migration = NULL;
    int code, ended = 0;

    if (argc < 3) {
        fprintf(stderr, "usage: %s VM-UUID DESTINATION-URI [CONNECTION]\n", argv[0]);
        return 2;
    }
    parameters.vm = argv[1];
    parameters.destination = argv[2];
    parameters.connection = argc > 3 ? argv[3] : NULL;

    vmmi_options options = {.size = sizeof options};
    options.plugin_directory = argc > 4 ? argv[4] : NULL; /* for the tests of this example */
    options.runtime_directory = argc > 5 ? argv[5] : NULL;
    if (vmmi_context_new(&options, &context, &error) != VMMI_OK) return told("context", &error);

    code = vmmi_start(context, &parameters, &migration, &error);
    if (code == VMMI_E_BUSY) /* of an earlier run of this program, or of somebody else */
        code = vmmi_attach(context, parameters.vm, &migration, &error);
    if (code != VMMI_OK) return told("start", &error);

    while (!ended) {
        /* Any event loop does: there is one descriptor, however many migrations there are. */
        struct pollfd source = {.fd = vmmi_context_fd(context), .events = POLLIN};
        if (poll(&source, 1, 500) == 0) vmmi_migration_request_status(migration, NULL);
        vmmi_dispatch(context, NULL);
        int event;
        vmmi_migration *which;
        while ((which = vmmi_next_event(context, &event)) != NULL) {
            vmmi_status status = {.size = sizeof status};
            if (event == VMMI_EVENT_STATUS && vmmi_migration_status(which, &status, NULL) == VMMI_OK)
                printf("%d%% %s, %lld ms\n", status.progress_percent, status.phase, (long long)status.elapsed_ms);
            if (event == VMMI_EVENT_ENDED) ended = 1;
        }
        fflush(stdout);
    }

    vmmi_result result = {.size = sizeof result};
    code = vmmi_migration_result(migration, &result, &error);
    if (code == VMMI_OK)
        printf("migrated in %lld ms, downtime %lld ms\n", (long long)result.total_time_ms, (long long)result.downtime_ms);
    else
        told("migration", &error);
    vmmi_migration_collect(migration, NULL); /* now that it has been told */
    vmmi_context_free(context);
    return code != VMMI_OK;
}
