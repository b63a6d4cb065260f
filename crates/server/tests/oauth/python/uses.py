"""What the scripts for Python's libraries share: a service that uses its token again and again, while time passes."""

import time

import requests

# Uses of a token in a row.
USES = 20
# Far enough from each end that a slow machine changes nothing, in seconds.
SLACK = 300


def equal(seen, expected):
    if seen != expected:
        raise AssertionError(f"{seen!r} is not {expected!r}")


def walk(given, caller, margin):
    """Uses each client's token; `caller(client)` begins and returns a function that answers the token of one use.

    `margin` is the number of seconds before the end from which the library takes a token for expired. How many tokens were
    made is counted by the server too.
    """

    def use(one, seen):
        for _ in range(USES):
            token = one()
            seen.add(token)
            headers = {"Authorization": f"Bearer {token}"}
            equal(requests.get(given["check"], headers=headers, timeout=60).status_code, 200)

    real = time.time
    for name, life in [("hour", 3_600), ("never", 2_147_483)]:
        one, seen = caller(given["clients"][name]), set()
        for ahead, tokens in [(0, 1), (life - margin - SLACK, 1), (life + 1, 2)]:
            time.time = lambda ahead=ahead: real() + ahead
            use(one, seen)
            equal((name, ahead, len(seen)), (name, ahead, tokens))
        time.time = real
    for name in ["short", "shared"]:
        use(caller(given["clients"][name]), set())
