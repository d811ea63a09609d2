// SPDX-License-Identifier: Apache-2.0
#include "precopy.h"

int main(int argc, char** argv) {
    return vmmi::run_plugin(precopy::plugin(), argc, argv);
}
