"""Uses the server as any service written with Authlib would: nothing here knows Tokenward.

Reads what `libraries.rs` writes to standard input and fails at the first surprise.
"""

import json
import sys

from authlib.integrations.base_client.errors import OAuthError
from authlib.integrations.requests_client import OAuth2Session
from authlib.oauth2.rfc8414 import AuthorizationServerMetadata, get_well_known_url
from uses import equal, walk

# Authlib's default for `leeway`, in seconds.
MARGIN = 60


def discovered(given):
    url = get_well_known_url(given["issuer"], external=True)
    session = OAuth2Session()
    metadata = AuthorizationServerMetadata(session.get(url, withhold_token=True).json())
    equal(metadata["issuer"], given["issuer"])
    for part in [
        "issuer",
        "token_endpoint",
        "token_endpoint_auth_methods_supported",
        "grant_types_supported",
        "revocation_endpoint",
        "revocation_endpoint_auth_methods_supported",
        "introspection_endpoint",
        "introspection_endpoint_auth_methods_supported",
    ]:
        getattr(metadata, f"validate_{part}")()
    return metadata


def everything(given, metadata, method):
    def session(secret):
        return OAuth2Session(given["client_id"], secret, token_endpoint_auth_method=method)

    own = session(given["client_secret"])

    def generate():
        return own.fetch_token(metadata["token_endpoint"], grant_type="client_credentials")

    def told(token):
        return own.introspect_token(metadata["introspection_endpoint"], token=token).json()

    first = generate()
    equal(first["token_type"], "Bearer")
    equal(first["expires_in"], 3600)
    live = told(first["access_token"])
    equal(live["active"], True)
    equal(live["client_id"], given["client_id"])

    second = generate()
    equal(told(first["access_token"]), {"active": False})
    equal(told(second["access_token"])["active"], True)

    answer = own.revoke_token(metadata["revocation_endpoint"], token=second["access_token"])
    equal(answer.status_code, 200)
    equal(told(second["access_token"]), {"active": False})

    try:
        session("not-the-secret").fetch_token(metadata["token_endpoint"], grant_type="client_credentials")
    except OAuthError as error:
        equal(error.error, "invalid_client")
    else:
        raise AssertionError("a wrong secret was taken")


def caller(client):
    """A session that keeps its token and renews it by itself."""
    session = OAuth2Session(
        client["id"],
        client["secret"],
        scope=given["scope"],
        token_endpoint=metadata["token_endpoint"],
        grant_type="client_credentials",
    )
    first = session.fetch_token()
    equal(first["scope"], given["scope"])

    def use():
        equal(session.get(given["check"]).status_code, 200)
        return session.token["access_token"]

    return use


given = json.load(sys.stdin)
metadata = discovered(given)
for method in ["client_secret_basic", "client_secret_post"]:
    everything(given, metadata, method)
walk(given, caller, MARGIN)
print("authlib: all well")
