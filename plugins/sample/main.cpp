// SPDX-License-Identifier: Apache-2.0
#include "sample.h"

int main(int argc, char** argv) {
    return vmmi::run_plugin(sample::plugin(), argc, argv);
}
