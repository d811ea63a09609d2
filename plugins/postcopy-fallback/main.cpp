// SPDX-License-Identifier: Apache-2.0
#include "postcopy_fallback.h"

int main(int argc, char** argv) {
    return vmmi::run_plugin(postcopy_fallback::plugin(), argc, argv);
}
