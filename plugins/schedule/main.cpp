// SPDX-License-Identifier: Apache-2.0
#include "schedule_policy.h"

int main(int argc, char** argv) {
    return vmmi::run_plugin(schedule::plugin(), argc, argv);
}
