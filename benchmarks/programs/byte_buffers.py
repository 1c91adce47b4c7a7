"""Messages of 1 to 60 KiB through buffers: framed, compressed, cut up, put together."""

import hashlib
import io
import zlib


def main(scale: float) -> int:
    checksum = 0
    stream = io.BytesIO()
    for n in range(int(4500 * scale) or 1):
        message = bytes(range(256)) * (4 + n * 7 % 236)
        packed = zlib.compress(message, 1)
        stream.write(len(packed).to_bytes(4, "big") + packed)
        buffer = bytearray()
        for start in range(0, len(message), 4096):
            buffer += message[start : start + 4096]
        parts = [bytes(buffer[start : start + 1400]) for start in range(0, len(buffer), 1400)]
        checksum = zlib.crc32(b"".join(reversed(parts)), checksum)
    stream.seek(0)
    while head := stream.read(4):
        message = zlib.decompress(stream.read(int.from_bytes(head, "big")))
        checksum += len(message)
    return checksum + hashlib.sha256(stream.getvalue()).digest()[0]
