"""What `import goalloc` costs, and what the package offers."""

import json

import pytest

import goalloc


def test_import_loads_nothing_else(python):
    code = (
        "import sys; before = set(sys.modules); import goalloc, json\n"
        "print([m for m in set(sys.modules) - before if m.startswith('goalloc')])"
    )
    assert python.output("-c", code).strip() == "['goalloc']"


def test_no_name_brings_heavy_modules(python):
    code = (
        "import sys; before = set(sys.modules); import goalloc\n"
        "[getattr(goalloc, name) for name in goalloc.__all__]\n"
        "goalloc.size_classes(), goalloc.Heap().snapshot().spans\n"
        "after = set(sys.modules) - before\n"
        "import json; print(json.dumps(sorted(after)))"
    )
    loaded = set(json.loads(python.output("-c", code)))
    assert not loaded & {"typing", "dataclasses", "inspect", "re", "enum", "argparse", "pandas"}


def test_all_names_are_there():
    assert sorted(goalloc.__all__) == goalloc.__all__
    for name in goalloc.__all__:
        assert getattr(goalloc, name).__doc__
        assert name in dir(goalloc)


def test_what_serves_by_http_is_there_when_it_is_asked_for(python):
    code = (
        "import sys, goalloc; print('web' in dir(goalloc), 'goalloc.web' in sys.modules)\n"
        "print(callable(goalloc.web.asgi_app), goalloc.web.wsgi_app.__module__, goalloc.web.metrics.HeapCollector)"
    )
    first, second = python.output("-c", code).splitlines()
    assert first == "True False"
    assert second == "True goalloc.web.adapters <class 'goalloc.web.metrics.HeapCollector'>"


def test_unknown_names_are_attribute_errors():
    with pytest.raises(AttributeError, match="malloc_stats"):
        goalloc.malloc_stats
    assert not hasattr(goalloc, "heap_of_gold")


def test_submodules_hide_no_public_name():
    """A submodule that is imported becomes an attribute of the package."""
    import pkgutil

    modules = {m.name for m in pkgutil.iter_modules(goalloc.__path__)}
    assert not modules & set(goalloc.__all__)


def test_version_is_that_of_the_distribution():
    from importlib.metadata import version

    assert goalloc.__version__ == version("goalloc")


def test_headers_are_there_for_c(tmp_path):
    """A C program that includes the tables agrees with size_class_of."""
    import shutil
    import subprocess

    compiler = shutil.which("cc") or shutil.which("gcc")
    if compiler is None:
        pytest.skip("no C compiler")
    source = tmp_path / "classes.c"
    source.write_text(
        '#include <stdio.h>\n#include "goalloc/sizeclass.h"\n'
        'int main(void) { for (unsigned n = 0; n <= 32768; n++) printf("%u\\n", size_to_class(n)); }'
    )
    program = tmp_path / "classes"
    subprocess.run([compiler, f"-I{goalloc.get_include()}", source, "-o", program], check=True)
    printed = subprocess.run([program], capture_output=True, text=True, check=True).stdout
    assert [*map(int, printed.split())] == [goalloc.size_class_of(n).index for n in range(32769)]
