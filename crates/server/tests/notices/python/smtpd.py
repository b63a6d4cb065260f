"""A mail server that keeps every letter as a line of JSON in a file."""

import email
import email.policy
import json
import sys
import threading

from aiosmtpd.controller import Controller


class Keeper:
    async def handle_DATA(self, server, session, envelope):
        letter = email.message_from_bytes(envelope.content, policy=email.policy.default)
        kept = {
            "from": envelope.mail_from,
            "to": envelope.rcpt_tos,
            "subject": letter["subject"],
            "id": letter["message-id"],
            "unsubscribe": letter["list-unsubscribe"],
            "one_click": letter["list-unsubscribe-post"],
            "auto_submitted": letter["auto-submitted"],
            "hello": session.host_name,
            "text": letter.get_content(),
        }
        with open(sys.argv[2], "a") as file:
            file.write(json.dumps(kept) + "\n")
        return "250 kept"


controller = Controller(Keeper(), hostname="127.0.0.1", port=int(sys.argv[1]))
controller.start()
print("listening", sys.argv[1], flush=True)
threading.Event().wait()
