"""A plugin as somebody else would write it: keeps the token in an SQLite file.

One JSON object a line on standard input, one back on standard output, as docs/guide/client/plugin.md has it.
"""

import json
import secrets
import sqlite3
import sys
import time

place = sqlite3.connect(sys.argv[1], isolation_level=None, timeout=5)
place.execute("CREATE TABLE IF NOT EXISTS kept (id INTEGER PRIMARY KEY, version INTEGER, entry TEXT)")
place.execute("CREATE TABLE IF NOT EXISTS lease (id INTEGER PRIMARY KEY, proof TEXT, until REAL)")
place.execute("INSERT OR IGNORE INTO kept VALUES (1, 0, 'null')")
place.execute("INSERT OR IGNORE INTO lease VALUES (1, '', 0)")


def read(_):
    version, entry = place.execute("SELECT version, entry FROM kept").fetchone()
    return {"entry": json.loads(entry), "version": str(version)}


def write(asked):
    done = place.execute(
        "UPDATE kept SET version = version + 1, entry = ? WHERE version = ?",
        (json.dumps(asked["entry"]), int(asked["over"] or 0)),
    )
    return {"written": done.rowcount == 1}


def lock(asked):
    proof, now = secrets.token_hex(8), time.time()
    place.execute("BEGIN IMMEDIATE")
    holder, until = place.execute("SELECT proof, until FROM lease").fetchone()
    taken = holder == "" or until <= now
    if taken:
        place.execute("UPDATE lease SET proof = ?, until = ?", (proof, now + asked["seconds"]))
    place.execute("COMMIT")
    return {"taken": taken, "abandoned": taken and holder != "", "proof": proof}


def unlock(asked):
    place.execute("UPDATE lease SET proof = '', until = 0 WHERE proof = ?", (asked["proof"],))
    return {}


for line in sys.stdin:
    asked = json.loads(line)
    try:
        answer = {"ok": True, **{"read": read, "write": write, "lock": lock, "unlock": unlock}[asked["do"]](asked)}
    except sqlite3.OperationalError:
        answer = {"ok": False, "retry": True}
    print(json.dumps(answer), flush=True)
