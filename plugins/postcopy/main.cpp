// SPDX-License-Identifier: Apache-2.0
#include "postcopy.h"

int main(int argc, char** argv) {
    return vmmi::run_plugin(postcopy::plugin(), argc, argv);
}
