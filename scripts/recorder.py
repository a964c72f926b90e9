"""Passes TCP connections on to another address and keeps a copy of every byte, each direction in a file of its own.

usage: recorder.py LISTEN_PORT TARGET_PORT FOLDER

Both ports are on 127.0.0.1. The demo puts it in front of the relay: what the relay receives and sends is what the
files `to-relay` and `from-relay` hold, so they can be searched and counted while everything runs.
"""

import asyncio
import contextlib
import pathlib
import sys


async def copy(reader, writer, record):
    with contextlib.suppress(ConnectionError):
        while data := await reader.read(65536):
            record.write(data)
            writer.write(data)
            await writer.drain()
    with contextlib.suppress(ConnectionError, RuntimeError):
        writer.close()


async def main(listen, target, folder):
    folder = pathlib.Path(folder)
    with (folder / "to-relay").open("wb", buffering=0) as to_relay, \
            (folder / "from-relay").open("wb", buffering=0) as from_relay:

        async def serve(reader, writer):
            try:
                relay_reader, relay_writer = await asyncio.open_connection("127.0.0.1", target)
            except OSError:
                writer.close()
                return
            await asyncio.gather(copy(reader, relay_writer, to_relay), copy(relay_reader, writer, from_relay))

        server = await asyncio.start_server(serve, "127.0.0.1", listen)
        (folder / "ready").touch()
        async with server:
            await server.serve_forever()


if __name__ == "__main__":
    if len(sys.argv) != 4:
        sys.exit(__doc__)
    asyncio.run(main(int(sys.argv[1]), int(sys.argv[2]), sys.argv[3]))
