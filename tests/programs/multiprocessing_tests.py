"""multiprocessing_tests.py METHOD: CPython's own tests, which not every Python installs whole."""

import sys
import unittest

import goalloc

METHOD = sys.argv[1]
assert goalloc.mode() == "launch"

from test._test_multiprocessing import install_tests_in_module_dict  # noqa: E402

install_tests_in_module_dict(globals(), METHOD)

if sys.version_info < (3, 13):
    # A thread that has begun its task sleeps for five minutes, and join() with it: 3.13 mended the test.
    test = globals()["WithThreadsTestPool"]
    test.test_terminate = unittest.skip("waits for ever if a thread was quick")(test.test_terminate)

if __name__ == "__main__":
    unittest.main(argv=sys.argv[:1])
