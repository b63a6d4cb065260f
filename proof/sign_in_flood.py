"""Measures what a flood of sign-ins does to a running server. Not part of `make test`: its figures depend on the machine.

  python3 proof/sign_in_flood.py target/release/tokenward [SECONDS]

Starts the server in a folder of its own, lets the first operator join, and then
1. sends 1,100 sign-ins of random addresses at once, from 22 loopback addresses, while the operator signs in;
2. sends 500 sign-ins a second for SECONDS (30) and hangs up on each after 5 ms, and reads the server's memory meanwhile.
Fails when the operator needs more than 2 s, or the server more than 200 MB.
"""

import asyncio
import collections
import pathlib
import socket
import struct
import subprocess
import sys
import tempfile
import time
import urllib.parse

PASSWORD = "plum-tractor-7-galaxy"
EMAIL = "asha@example.com"
SOURCES = 22
SIGN_INS = 1_100
A_SECOND = 500
MEMORY_MAX_MB = 200
OPERATOR_MAX_SECONDS = 2.0


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def request(port, path, form):
    body = urllib.parse.urlencode(form)
    return (
        f"POST {path} HTTP/1.1\r\nhost: 127.0.0.1:{port}\r\nsec-fetch-site: same-origin\r\nconnection: close\r\n"
        f"content-type: application/x-www-form-urlencoded\r\ncontent-length: {len(body)}\r\n\r\n{body}"
    ).encode()


async def send(port, path, form, source="127.0.0.1"):
    reader, writer = await asyncio.open_connection("127.0.0.1", port, local_addr=(source, 0))
    try:
        writer.write(request(port, path, form))
        await writer.drain()
        return int((await asyncio.wait_for(reader.read(), 60)).split(b" ", 2)[1])
    finally:
        writer.close()


async def hang_up(port, number):
    """Sends a sign-in and resets the connection."""
    with socket.socket() as one:
        one.setblocking(False)
        one.bind((f"127.0.0.{2 + number % SOURCES}", 0))
        loop = asyncio.get_running_loop()
        await loop.sock_connect(one, ("127.0.0.1", port))
        form = {"email": f"gone-{number}@example.com", "password": "x"}
        await loop.sock_sendall(one, request(port, "/console/sign-in", form))
        await asyncio.sleep(0.005)
        one.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))


def memory_mb(pid):
    text = pathlib.Path(f"/proc/{pid}/status").read_text()
    fields = dict(line.split(":", 1) for line in text.splitlines() if ":" in line)
    return int(fields["VmRSS"].split()[0]) / 1024, int(fields["Threads"])


async def measure(port, pid, seconds):
    form = {"email": EMAIL, "password": PASSWORD}
    alone = time.monotonic()
    assert await send(port, "/console/sign-in", form) == 303
    alone = time.monotonic() - alone

    async def stranger(number):
        strange = {"email": f"flood-{number}@example.com", "password": "x"}
        return await send(port, "/console/sign-in", strange, f"127.0.0.{2 + number % SOURCES}")

    strangers = [asyncio.create_task(stranger(number)) for number in range(SIGN_INS)]
    await asyncio.sleep(0)
    began = time.monotonic()
    status = await send(port, "/console/sign-in", form)
    operator = time.monotonic() - began
    answers = await asyncio.gather(*strangers, return_exceptions=True)
    flood = time.monotonic() - began
    count = collections.Counter(str(answer) for answer in answers)
    print(f"sign-in alone {alone:.3f} s; among {SIGN_INS}: {status} after {operator:.3f} s; they: {dict(count)} in {flood:.1f} s")

    before = memory_mb(pid)
    most, tasks, number, failed = before, set(), 0, 0
    began = time.monotonic()
    while (now := time.monotonic() - began) < seconds:
        while number < now * A_SECOND:
            task = asyncio.create_task(hang_up(port, number))
            tasks.add(task)
            number += 1
        await asyncio.sleep(0.02)
        most = max(most, memory_mb(pid))
        done = {task for task in tasks if task.done()}
        failed += sum(task.exception() is not None for task in done)
        tasks -= done
    await asyncio.gather(*tasks, return_exceptions=True)
    after = time.monotonic()
    last = await send(port, "/console/sign-in", form)
    after = time.monotonic() - after
    print(f"{number} hung up in {seconds} s ({failed} could not connect); memory {before[0]:.0f} MB before, at most {most[0]:.0f} MB, "
          f"{most[1]} threads; then the operator: {last} after {after:.3f} s")
    assert status == 303 and last == 303, "the operator was not signed in"
    assert operator < OPERATOR_MAX_SECONDS, "the operator waited too long"
    assert most[0] < MEMORY_MAX_MB, "too much memory"


def main():
    binary, seconds = sys.argv[1], int(sys.argv[2]) if len(sys.argv) > 2 else 30
    port = free_port()
    with tempfile.TemporaryDirectory() as folder:
        server = subprocess.Popen(
            [binary, "serve", "--data-dir", folder, "--public", f"127.0.0.1:{port}", "--internal", f"127.0.0.1:{free_port()}"],
            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        )
        try:
            link, deadline = pathlib.Path(folder, "console-link"), time.monotonic() + 60
            while not link.exists() and time.monotonic() < deadline:
                time.sleep(0.1)
            path = urllib.parse.urlparse(link.read_text().strip()).path
            form = {"email": EMAIL, "name": "Asha", "password": PASSWORD, "password_again": PASSWORD}
            assert asyncio.run(send(port, path, form)) == 303
            asyncio.run(measure(port, server.pid, seconds))
        finally:
            server.terminate()
            server.wait(30)


main()
