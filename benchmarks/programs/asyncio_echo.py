"""An echo server and its clients in one loop: many small messages over sockets."""

import asyncio
import socket

_CLIENTS = 20


async def echo(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    while line := await reader.readline():
        writer.write(line)
        await writer.drain()
    writer.close()


async def client(number: int, messages: int) -> int:
    ours, theirs = socket.socketpair()
    served = asyncio.create_task(echo(*await asyncio.open_connection(sock=theirs)))
    reader, writer = await asyncio.open_connection(sock=ours)
    total = 0
    for n in range(messages):
        writer.write(f"message {n} of client {number}: {'x' * (n % 50)}\n".encode())
        total += len(await reader.readline())
    writer.close()
    await served
    return total


async def serve(messages: int) -> int:
    return sum(await asyncio.gather(*(client(n, messages) for n in range(_CLIENTS))))


def main(scale: float) -> int:
    return asyncio.run(serve(int(500 * scale) or 1))
