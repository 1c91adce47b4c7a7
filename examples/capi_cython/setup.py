"""Builds primes.pyx: `cimport goalloc` needs nothing but the folder of goalloc's headers."""

from Cython.Build import cythonize
from setuptools import Extension, setup

import goalloc

setup(
    name="primes",
    version="1",
    ext_modules=cythonize(
        [Extension("primes", ["primes.pyx"], include_dirs=[goalloc.get_include()])]
    ),
)
