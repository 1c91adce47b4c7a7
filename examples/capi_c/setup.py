"""Builds samples.c: all that goalloc asks for is the folder of its headers."""

from setuptools import Extension, setup

import goalloc

setup(
    name="samples",
    version="1",
    ext_modules=[Extension("samples", ["samples.c"], include_dirs=[goalloc.get_include()])],
)
