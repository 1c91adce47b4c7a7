"""The capsule of the C API (csrc/goalloc.h), made when an extension asks for it."""

from ._core import c_api

_C_API = c_api()
