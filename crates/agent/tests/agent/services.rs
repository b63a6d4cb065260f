//! The places elsewhere, each a real server of the tests' own: OpenBao, and moto, which stands in for AWS.

use crate::helper::Helper;
use crate::world::{private_file, private_folder};
use axum::body::{Body, Bytes};
use axum::extract::Request;
use axum::response::Response;
use serde_json::{Value, json};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;
use tempfile::TempDir;
use tokenward_testkit::{free_port, wait_until};

/// A program of a Python package that `xtask/setup.sh test` installs.
pub(crate) fn installed(name: &str) -> PathBuf {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../.cache/venv/bin");
    let path = folder.join(name);
    assert!(path.exists(), "{name} is missing: run xtask/setup.sh test",);
    path
}

/// One HTTP exchange: status and JSON body, null where there is none.
pub(crate) fn http(
    method: &str,
    url: &str,
    headers: &[(&str, &str)],
    body: Option<Value>,
) -> (u16, Value) {
    let (status, bytes) = exchange(method, url, headers, body);
    (status, serde_json::from_slice(&bytes).unwrap_or_default())
}

/// One HTTP exchange: status and body.
pub(crate) fn exchange(
    method: &str,
    url: &str,
    headers: &[(&str, &str)],
    body: Option<Value>,
) -> (u16, Vec<u8>) {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    runtime.block_on(async {
        let http = tokenward_testkit::http().build().unwrap();
        let mut request = http.request(method.parse().unwrap(), url);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        if let Some(body) = body {
            request = request.body(body.to_string());
        }
        let response = request.send().await.unwrap();
        let status = response.status().as_u16();
        (status, response.bytes().await.unwrap().into())
    })
}

/// A real OpenBao with a KV version 2 engine at `secret`, unsealed.
pub(crate) struct Bao {
    _helper: Helper,
    pub(crate) address: String,
    unseal_key: String,
}

/// The root token of an OpenBao that lives for one test.
pub(crate) const ROOT: &str = "root-of-one-test";

impl Bao {
    pub(crate) fn start() -> Bao {
        (0..3)
            .find_map(|_| Bao::start_at(free_port()))
            .expect("a port for OpenBao")
    }

    /// None if something else has this port or the next one, which OpenBao takes for other nodes.
    fn start_at(port: u16) -> Option<Bao> {
        let mut helper = Helper::start(&installed("bao"), |command| {
            command.args(["server", "-dev", "-dev-no-store-token"]);
            command.arg(format!("-dev-root-token-id={ROOT}"));
            command.arg(format!("-dev-listen-address=127.0.0.1:{port}"));
        });
        let unseal_key = wait_until("OpenBao", Duration::from_secs(60), || {
            let ended = helper.ended();
            let output = helper.output();
            if ended && output.contains("address already in use") {
                return Some(None);
            }
            assert!(!ended, "{output}");
            let key = output
                .lines()
                .find_map(|line| line.strip_prefix("Unseal Key: "))?;
            output
                .contains("Root Token: ")
                .then(|| Some(key.trim().to_owned()))
        })?;
        let bao = Bao {
            _helper: helper,
            address: format!("http://127.0.0.1:{port}"),
            unseal_key,
        };
        wait_until("the KV engine", Duration::from_secs(30), || {
            bao.call("GET", "secret/config", ROOT, None).0 == 200
        });
        Some(bao)
    }

    pub(crate) fn call(
        &self,
        method: &str,
        path: &str,
        token: &str,
        body: Option<Value>,
    ) -> (u16, Value) {
        let url = format!("{}/v1/{path}", self.address);
        http(method, &url, &[("x-vault-token", token)], body)
    }

    #[track_caller]
    pub(crate) fn done(&self, method: &str, path: &str, body: Value) -> Value {
        let (status, answer) = self.call(method, path, ROOT, Some(body));
        assert!(status < 300, "{method} {path}: {status} {answer}");
        answer
    }

    /// Makes a policy, and an AppRole with it; returns its role id and a secret id.
    pub(crate) fn role(&self, name: &str, policy: &str) -> (String, String) {
        if self.call("GET", "sys/auth/approle", ROOT, None).0 != 200 {
            self.done("POST", "sys/auth/approle", json!({"type": "approle"}));
        }
        self.done(
            "PUT",
            &format!("sys/policies/acl/{name}"),
            json!({ "policy": policy }),
        );
        let path = format!("auth/approle/role/{name}");
        self.done(
            "POST",
            &path,
            json!({"token_policies": [name], "token_ttl": "1h"}),
        );
        let id = self.call("GET", &format!("{path}/role-id"), ROOT, None).1;
        let secret = self.done("POST", &format!("{path}/secret-id"), json!({}));
        let text = |value: &Value| value.as_str().unwrap().to_owned();
        (
            text(&id["data"]["role_id"]),
            text(&secret["data"]["secret_id"]),
        )
    }

    pub(crate) fn seal(&self) {
        self.done("PUT", "sys/seal", json!({}));
    }

    pub(crate) fn unseal(&self) {
        self.done("PUT", "sys/unseal", json!({ "key": self.unseal_key }));
        wait_until("unsealing", Duration::from_secs(30), || {
            self.call("GET", "secret/config", ROOT, None).0 == 200
        });
    }

    /// The lines of a destination that logs in as this role, whose secret id is written beside.
    pub(crate) fn destination(&self, folder: &Path, role: &(String, String)) -> String {
        private_file(&folder.join("vault-secret-id"), &role.1);
        format!(
            "kind = \"vault\"\naddress = \"{}\"\npath = \"tokenward/sandbox/erp\"\n\
             login.approle = {{ role_id = \"{}\", secret_id_file = \"vault-secret-id\" }}\n",
            self.address, role.0
        )
    }
}

/// moto, a stand-in for AWS.
pub(crate) struct Moto {
    _helper: Helper,
    pub(crate) endpoint: String,
}

impl Moto {
    pub(crate) fn start() -> Moto {
        let port = free_port();
        let mut helper = Helper::start(&installed("moto_server"), |command| {
            command.args(["-H", "127.0.0.1", "-p", &port.to_string()]);
        });
        wait_until("moto", Duration::from_secs(60), || {
            assert!(!helper.ended(), "{}", helper.output());
            TcpStream::connect(("127.0.0.1", port)).ok()
        });
        let moto = Moto {
            _helper: helper,
            endpoint: format!("http://127.0.0.1:{port}"),
        };
        let (status, answer) =
            moto.call("CreateSecret", json!({"Name": "erp", "SecretString": "{}"}));
        assert_eq!(status, 200, "{answer}");
        moto
    }

    pub(crate) fn call(&self, action: &str, body: Value) -> (u16, Value) {
        let target = format!("secretsmanager.{action}");
        let headers = [
            ("x-amz-target", target.as_str()),
            ("content-type", "application/x-amz-json-1.1"),
            (
                "authorization",
                "AWS4-HMAC-SHA256 Credential=AKIDOFONETEST/20261124/ap-south-1/secretsmanager/aws4_request, SignedHeaders=host, Signature=0",
            ),
        ];
        http("POST", &self.endpoint, &headers, Some(body))
    }

    /// The lines of a destination, whose credentials (moto takes any) are written beside.
    pub(crate) fn destination(&self, folder: &Path) -> String {
        let text =
            "[default]\naws_access_key_id = AKIDOFONETEST\naws_secret_access_key = ofonetest\n";
        private_file(&folder.join("aws-credentials"), text);
        format!(
            "kind = \"aws\"\nsecret_id = \"erp\"\nregion = \"ap-south-1\"\nendpoint = \"{}\"\n\
             credentials_file = \"aws-credentials\"\n",
            self.endpoint
        )
    }
}

/// A request to a stand-in.
pub(crate) type Asked = axum::http::Request<Bytes>;

/// A stand-in for a server, which answers each request on a thread of its own; returns its address. It ends with the test
/// process.
pub(crate) fn stub(answer: impl Fn(&Asked) -> Response + Send + Sync + 'static) -> String {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    listener.set_nonblocking(true).unwrap();
    let base = format!("http://{}", listener.local_addr().unwrap());
    let answer = Arc::new(answer);
    let handler = move |request: Request| {
        let answer = answer.clone();
        async move {
            let (head, body) = request.into_parts();
            let body = axum::body::to_bytes(body, usize::MAX).await.unwrap();
            let request = Asked::from_parts(head, body);
            let answered = tokio::task::spawn_blocking(move || answer(&request));
            answered.await.unwrap()
        }
    };
    std::thread::spawn(move || {
        let runtime = tokio::runtime::Runtime::new().unwrap();
        runtime.block_on(async {
            let listener = tokio::net::TcpListener::from_std(listener).unwrap();
            axum::serve(listener, axum::Router::new().fallback(handler)).await
        })
    });
    base
}

/// An answer without a body.
pub(crate) fn bare(status: u16, headers: &[(&str, &str)]) -> Response {
    let mut answer = Response::builder().status(status);
    for (name, value) in headers {
        answer = answer.header(*name, *value);
    }
    answer.body(Body::empty()).unwrap()
}

/// What agents may do: read the client secret, keep the token and the lease. As `docs/guide/client/vault.md` has it.
pub(crate) const AGENT_POLICY: &str = r#"
path "secret/data/tokenward/sandbox/erp/client" { capabilities = ["read"] }
path "secret/data/tokenward/sandbox/erp/token"  { capabilities = ["create", "read", "update"] }
path "secret/data/tokenward/sandbox/erp/lease"  { capabilities = ["create", "read", "update"] }
"#;

/// What applications may do: read the token.
pub(crate) const APP_POLICY: &str = r#"
path "secret/data/tokenward/sandbox/erp/token" { capabilities = ["read"] }
"#;

/// A folder ready for a configuration against an API client that nobody asks anything.
pub(crate) fn bare_folder() -> TempDir {
    let folder = private_folder();
    private_file(&folder.path().join("secret"), "s3cret");
    folder
}
