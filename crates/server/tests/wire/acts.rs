//! The one table of who may do what: every act by every role. It calls nothing itself; the API is held to it here, the
//! pages of the console beside (`tests/console/authority.rs`).

use serde_json::Value;

/// One act: how it is called, and the status for each of the roles.
pub(crate) type Act = (&'static str, &'static str, Option<Value>, [u16; 5]);

/// An act a line: method, path, the status for each of the roles, and the body. `{gst}` is a client of acme for gst only,
/// `{all}` one of acme for all products, `{far}` one of another workspace.
const ACTS: &str = r#"
GET    /workspaces                                   200 200 200 200 200
POST   /workspaces                                   201 403 403 403 403 {"name": "renamed"}
GET    /workspaces/{acme}                            200 200 200 200 200
GET    /workspaces/{other}                           200 404 404 404 200
PATCH  /workspaces/{acme}                            200 403 403 403 403 {"name": "renamed"}
PATCH  /workspaces/{other}                           200 404 404 404 403 {"name": "renamed"}
GET    /products                                     200 200 200 200 200
PUT    /products/tds                                 201 403 403 403 403 {"name": "renamed"}
DELETE /products/e-invoice                           204 403 403 403 403
GET    /workspaces/{acme}/clients                    200 200 200 200 200
GET    /workspaces/{other}/clients                   200 404 404 404 200
POST   /workspaces/{acme}/clients                    201 201 403 403 403 {"label": "a", "environment": "sandbox", "products": null}
POST   /workspaces/{acme}/clients                    201 201 201 403 403 {"label": "b", "environment": "sandbox", "products": ["gst"]}
POST   /workspaces/{acme}/clients                    201 201 403 403 403 {"label": "c", "environment": "sandbox", "products": ["gst", "max-itc"]}
POST   /workspaces/{other}/clients                   201 404 404 404 403 {"label": "d", "environment": "sandbox", "products": ["gst"]}
GET    /clients/{gst}                                200 200 200 200 200
GET    /clients/{all}                                200 200 404 200 200
GET    /clients/{far}                                200 404 404 404 200
GET    /clients/{gst}/usage                          200 200 200 200 200
GET    /clients/{all}/usage                          200 200 404 200 200
GET    /clients/{far}/usage                          200 404 404 404 200
PATCH  /clients/{gst}                                200 200 200 403 403 {"renew_before_seconds": 60}
PATCH  /clients/{gst}                                200 200 403 403 403 {"products": null}
PATCH  /clients/{all}                                200 200 404 403 403 {"renew_before_seconds": 60}
PATCH  /clients/{far}                                200 404 404 404 403 {"renew_before_seconds": 60}
POST   /clients/{gst}/secrets                        201 201 201 403 403
POST   /clients/{all}/secrets                        201 201 404 403 403
POST   /clients/{far}/secrets                        201 404 404 404 403
PATCH  /clients/{gst}/secrets/1                      200 200 200 403 403 {"note": "of plant 2"}
PATCH  /clients/{all}/secrets/1                      200 200 404 403 403 {"note": "of plant 2"}
PATCH  /clients/{far}/secrets/1                      200 404 404 404 403 {"note": "of plant 2"}
DELETE /clients/{gst}/secrets/1                      200 200 200 403 403
DELETE /clients/{all}/secrets/1                      200 200 404 403 403
DELETE /clients/{far}/secrets/1                      200 404 404 404 403
POST   /clients/{gst}/token                          201 201 201 403 403
POST   /clients/{all}/token                          201 201 404 403 403
POST   /clients/{far}/token                          201 404 404 404 403
DELETE /clients/{gst}/token                          200 200 200 403 403
DELETE /clients/{all}/token                          200 200 404 403 403
DELETE /clients/{far}/token                          200 404 404 404 403
PUT    /clients/{gst}/tags/south                     200 200 200 403 403
PUT    /clients/{all}/tags/south                     200 200 404 403 403
PUT    /clients/{far}/tags/south                     200 404 404 404 403
DELETE /clients/{gst}/tags/south                     200 200 200 403 403
DELETE /clients/{all}/tags/south                     200 200 404 403 403
DELETE /clients/{far}/tags/south                     200 404 404 404 403
POST   /clients/{gst}/confirmation-mails             200 200 200 403 403
POST   /clients/{all}/confirmation-mails             200 200 404 403 403
POST   /clients/{far}/confirmation-mails             200 404 404 404 403
POST   /clients/{gst}/disable                        200 200 200 403 403
POST   /clients/{all}/disable                        200 200 404 403 403
POST   /clients/{far}/disable                        200 404 404 404 403
POST   /clients/{gst}/enable                         200 200 200 403 403
POST   /clients/{far}/enable                         200 404 404 404 403
DELETE /clients/{gst}?label=gst                      200 200 200 403 403
DELETE /clients/{all}?label=all                      200 200 404 403 403
DELETE /clients/{far}?label=far                      200 404 404 404 403
GET    /workspaces/{acme}/webhooks                   200 200 403 200 200
GET    /workspaces/{other}/webhooks                  200 404 404 404 200
POST   /workspaces/{acme}/webhooks                   201 201 403 403 403 {"url": "https://hook.invalid/"}
POST   /workspaces/{other}/webhooks                  201 404 404 404 403 {"url": "https://hook.invalid/"}
GET    /workspaces/{acme}/notification-addresses     200 200 403 200 200
GET    /workspaces/{other}/notification-addresses    200 404 404 404 200
PATCH  /workspaces/{acme}/notification-addresses     200 200 403 403 403 {"email": "told@example.com", "preferences": [{"event": "client.unused", "delivery": "off"}]}
PATCH  /workspaces/{other}/notification-addresses    200 404 404 404 403 {"email": "told@example.com", "preferences": [{"event": "client.unused", "delivery": "daily"}]}
PATCH  /webhooks/{hook}                              200 200 403 403 403 {"disabled": true}
PATCH  /webhooks/{far_hook}                          200 404 404 404 403 {"disabled": true}
POST   /webhooks/{hook}/secret                       201 201 403 403 403
POST   /webhooks/{far_hook}/secret                   201 404 404 404 403
POST   /webhooks/{hook}/test                         202 202 403 403 403
POST   /webhooks/{far_hook}/test                     202 404 404 404 403
DELETE /webhooks/{hook}                              204 204 403 403 403
DELETE /webhooks/{far_hook}                          204 404 404 404 403
GET    /workspaces/{acme}/notices                    200 200 403 200 200
GET    /workspaces/{other}/notices                   200 404 404 404 200
GET    /audit                                        200 200 403 200 200
GET    /audit?workspace_id={acme}                    200 200 403 200 200
GET    /audit?workspace_id={other}                   200 404 403 404 200
GET    /audit/verify                                 200 403 403 403 200
GET    /members                                      200 200 403 200 200
GET    /invitations                                  200 200 403 200 200
GET    /members/{member}                             200 200 403 200 200
GET    /members/{far_member}                         200 404 403 404 200
POST   /members                                      201 403 403 403 403 {"email": "new@example.com", "role": "operator", "workspace_id": null}
POST   /members                                      201 403 403 403 403 {"email": "new@example.com", "role": "auditor", "workspace_id": null}
POST   /members                                      201 201 403 403 403 {"email": "new@example.com", "role": "auditor", "workspace_id": "{acme}"}
POST   /members                                      201 201 403 403 403 {"email": "new@example.com", "role": "workspace_admin", "workspace_id": "{acme}"}
POST   /members                                      201 403 403 403 403 {"email": "new@example.com", "role": "workspace_admin", "workspace_id": "{other}"}
PATCH  /members/{member}                             200 200 403 403 403 {"disabled": true}
PATCH  /members/{far_member}                         200 404 403 404 403 {"disabled": true}
PATCH  /members/{member}                             200 403 403 403 403 {"role": "operator"}
PATCH  /members/{member}                             200 200 403 403 403 {"role": "workspace_admin", "workspace_id": "{acme}"}
PATCH  /members/{member}                             200 403 403 403 403 {"role": "workspace_admin", "workspace_id": "{other}"}
DELETE /members/{member}                             204 204 403 403 403
DELETE /members/{far_member}                         204 404 403 404 403
DELETE /invitations/{invitation}                     204 204 403 403 403
DELETE /invitations/{far_invitation}                 204 404 403 404 403
GET    /admin-keys                                   200 403 403 403 403
POST   /admin-keys                                   201 403 403 403 403 {"name": "k", "role": "auditor"}
PATCH  /admin-keys/{key}                             200 403 403 403 403 {"note": "of plant 2"}
DELETE /admin-keys/{key}                             200 403 403 403 403
GET    /status                                       200 200 200 200 200
"#;

pub(crate) fn acts() -> Vec<Act> {
    ACTS.trim().lines().map(act).collect()
}

fn act(line: &'static str) -> Act {
    let (call, body) = match line.find("{\"") {
        Some(at) => (
            &line[..at],
            Some(serde_json::from_str(&line[at..]).unwrap()),
        ),
        None => (line, None),
    };
    let mut words = call.split_whitespace();
    let (method, path) = (words.next().unwrap(), words.next().unwrap());
    let statuses: Vec<u16> = words.map(|word| word.parse().unwrap()).collect();
    (method, path, body, statuses.try_into().unwrap())
}
