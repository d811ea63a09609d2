# SPDX-License-Identifier: Apache-2.0
# One CTest entry for each file of tests in this folder, LABEL_NAME for test_NAME.py: files run beside each other.
function(vmmi_add_pytests label timeout environment)
  file(GLOB files CONFIGURE_DEPENDS "${CMAKE_CURRENT_SOURCE_DIR}/test_*.py")
  foreach(file IN LISTS files)
    string(REGEX REPLACE "^.*/test_(.*)\\.py$" "${label}_\\1" name "${file}")
    add_test(NAME ${name} COMMAND ${VMMI_PYTHON} -m pytest -q -p no:cacheprovider "${file}")
    set_tests_properties(${name} PROPERTIES LABELS ${label} TIMEOUT ${timeout} ENVIRONMENT "${environment}")
  endforeach()
endfunction()
