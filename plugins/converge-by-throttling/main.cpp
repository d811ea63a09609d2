// SPDX-License-Identifier: Apache-2.0
#include "throttling.h"

int main(int argc, char** argv) {
    return vmmi::run_plugin(throttling::plugin(), argc, argv);
}
