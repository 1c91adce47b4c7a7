"""A client of goalloc's server, for the tests of what it serves."""

import http.client

import pytest

import goalloc


@pytest.fixture(scope="module")
def server():
    with goalloc.serve() as server:
        yield server


def ask(server, path, method="GET", **headers):
    """(response, body) of one request."""
    connection = http.client.HTTPConnection(*server.address, timeout=60)
    try:
        connection.request(method, path, headers=headers)
        response = connection.getresponse()
        return response, response.read()
    finally:
        connection.close()
