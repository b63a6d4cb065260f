"""Uses the server as any service written with requests-oauthlib would: nothing here knows Tokenward.

Reads what `libraries.rs` writes to standard input and fails at the first surprise.
"""

import json
import sys

from oauthlib.oauth2 import BackendApplicationClient, InvalidClientError, InvalidScopeError, TokenExpiredError
from requests.auth import HTTPBasicAuth
from requests_oauthlib import OAuth2Session
from uses import equal, walk

# The library takes a token for good until its very end.
MARGIN = 0


def fetched(session, client, **more):
    auth = HTTPBasicAuth(client["id"], client["secret"])
    return session.fetch_token(given["issuer"] + "/oauth2/token", auth=auth, **more)


def caller(client):
    """The library's own recipe: it refuses to send an expired token, and the service fetches another."""
    session = OAuth2Session(client=BackendApplicationClient(client_id=client["id"], scope=given["scope"]))
    token = fetched(session, client)
    equal(" ".join(token["scope"]), given["scope"])
    equal(token["token_type"], "Bearer")

    def use():
        # The library sends tokens to https addresses only; this one takes any caller.
        url = given["issuer"] + "/.well-known/oauth-authorization-server"
        try:
            answer = session.get(url)
        except TokenExpiredError:
            fetched(session, client)
            answer = session.get(url)
        equal(answer.status_code, 200)
        return session.token["access_token"]

    return use


def refused(error, client, scope):
    session = OAuth2Session(client=BackendApplicationClient(client_id=client["id"], scope=scope))
    try:
        fetched(session, client)
    except error:
        return
    raise AssertionError(f"no {error.__name__}")


given = json.load(sys.stdin)
hour = given["clients"]["hour"]
refused(InvalidScopeError, hour, "no-such-product")
refused(InvalidClientError, {**hour, "secret": "not-the-secret"}, given["scope"])
# The secret in the body, for services that are set up so.
body = OAuth2Session(client=BackendApplicationClient(client_id=given["client_id"]))
answer = body.fetch_token(
    given["issuer"] + "/oauth2/token", client_secret=given["client_secret"], include_client_id=True
)
equal(answer["expires_in"], 3600)
walk(given, caller, MARGIN)
print("requests-oauthlib: all well")
