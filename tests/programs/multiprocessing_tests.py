"""multiprocessing_tests.py METHOD: CPython's own tests, which not every Python installs whole."""

import sys
import unittest

import goalloc

METHOD = sys.argv[1]
assert goalloc.mode() == "launch"

from test._test_multiprocessing import install_tests_in_module_dict  # noqa: E402

install_tests_in_module_dict(globals(), METHOD)

if __name__ == "__main__":
    unittest.main(argv=sys.argv[:1])
