//! Backups in S3, with a real server of its protocol (moto) that checks signatures and rights, and a proxy of the tests' own
//! where something is to go wrong on the way.

use crate::command::{run_with, text};
use crate::house::House;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::time::Duration;
use tokenward_testkit::{
    Authority, NewClient, PROGRAM_LIMIT, Process, Ran, Server, Signal, assert_contains,
    assert_lacks, free_port, set_up, words,
};

const BUCKET: &str = "example-backups";
/// Longer than moto takes to start on a busy machine.
const START_LIMIT: Duration = Duration::from_secs(90);

/// A real S3 server with one bucket and one user, who may do everything there.
struct S3 {
    _process: Process,
    folder: tempfile::TempDir,
    port: u16,
    key_id: String,
    secret: String,
}

impl S3 {
    fn start() -> S3 {
        let program = set_up(".cache/venv/bin/moto_server");
        let folder = tempfile::tempdir().unwrap();
        let port = free_port();
        let log = folder.path().join("moto.log");
        let fill = |command: &mut Command| {
            command.args(["-H", "127.0.0.1", "-p", &port.to_string()]);
        };
        let accepts = || TcpStream::connect((Ipv4Addr::LOCALHOST, port)).ok();
        let (process, _) = Process::serving(&program, None, &log, START_LIMIT, fill, accepts);
        let mut s3 = S3 {
            _process: process,
            folder,
            port,
            key_id: String::new(),
            secret: String::new(),
        };
        (s3.key_id, s3.secret) = s3.user("backup", "s3:*");
        s3.call("PUT", &format!("/{BUCKET}"), b"");
        s3.check_credentials(true);
        s3
    }

    /// A call of another service than S3, while signatures are not checked.
    fn service(&self, name: &str, form: &[(&str, &str)]) -> String {
        let form = form_urlencoded::Serializer::new(String::new())
            .extend_pairs(form)
            .finish();
        let head = format!(
            "authorization: AWS4-HMAC-SHA256 Credential=AKID/20261124/us-east-1/{name}/aws4_request, SignedHeaders=host, \
             Signature=0\r\ncontent-type: application/x-www-form-urlencoded\r\n"
        );
        let (status, answer) = http(self.port, "POST", "/", &head, form.as_bytes());
        assert_eq!(status, 200, "{}", String::from_utf8_lossy(&answer));
        String::from_utf8(answer).unwrap()
    }

    fn iam(&self, action: &str, more: &[(&str, &str)]) -> String {
        let form = [("Action", action), ("Version", "2010-05-08")];
        self.service("iam", &[&form[..], more].concat())
    }

    /// Creates a user who may do `actions`, and returns the access key.
    fn user(&self, name: &str, actions: &str) -> (String, String) {
        let user = ("UserName", name);
        self.iam("CreateUser", &[user]);
        let policy = policy(&format!("\"Action\":\"{actions}\",\"Resource\":\"*\""));
        let rights = [("PolicyName", "backups"), ("PolicyDocument", &policy)];
        self.iam("PutUserPolicy", &[user, rights[0], rights[1]]);
        let key = self.iam("CreateAccessKey", &[user]);
        let one = |tag: &str| tags(key.as_bytes(), tag).remove(0);
        (one("AccessKeyId"), one("SecretAccessKey"))
    }

    /// Temporary credentials: key id, secret and session token of a role that may do everything in S3.
    fn session(&self) -> [String; 3] {
        self.check_credentials(false);
        let role = ("RoleName", "backups");
        let trust = policy("\"Action\":\"sts:AssumeRole\",\"Principal\":{\"AWS\":\"*\"}");
        let made = self.iam("CreateRole", &[role, ("AssumeRolePolicyDocument", &trust)]);
        let rights = policy("\"Action\":\"s3:*\",\"Resource\":\"*\"");
        let rights = [("PolicyName", "backups"), ("PolicyDocument", &rights)];
        self.iam("PutRolePolicy", &[role, rights[0], rights[1]]);
        let role = tags(made.as_bytes(), "Arn").remove(0);
        let form = [
            ("Action", "AssumeRole"),
            ("Version", "2011-06-15"),
            ("RoleArn", &role),
            ("RoleSessionName", "night"),
        ];
        let session = self.service("sts", &form);
        self.check_credentials(true);
        let names = ["AccessKeyId", "SecretAccessKey", "SessionToken"];
        names.map(|name| tags(session.as_bytes(), name).remove(0))
    }

    /// Whether signatures and rights are checked from now on.
    fn check_credentials(&self, yes: bool) {
        let after: &[u8] = if yes { b"0" } else { b"inf" };
        let (status, _) = http(self.port, "POST", "/moto-api/reset-auth", "", after);
        assert_eq!(status, 200);
    }

    /// A request of the test's own, without a signature.
    fn call(&self, method: &str, target: &str, body: &[u8]) -> Vec<u8> {
        self.check_credentials(false);
        let (status, answer) = http(self.port, method, target, "", body);
        self.check_credentials(true);
        let text = String::from_utf8_lossy(&answer);
        assert!(
            (200..300).contains(&status),
            "{method} {target}: {status} {text}"
        );
        answer
    }

    fn object(&self, key: &str) -> Vec<u8> {
        self.call("GET", &format!("/{BUCKET}/{key}"), b"")
    }

    fn put(&self, key: &str, bytes: &[u8]) {
        self.call("PUT", &format!("/{BUCKET}/{key}"), bytes);
    }

    /// All keys of the bucket, in their order.
    fn keys(&self) -> Vec<String> {
        tags(&self.object("?list-type=2"), "Key")
    }

    /// The uploads that are neither complete nor aborted.
    fn unfinished(&self) -> Vec<String> {
        tags(&self.object("?uploads"), "UploadId")
    }

    /// Runs the program with an access key, and this server at `port` as S3.
    fn run_at(&self, port: u16, key: (&str, &str), line: &str) -> Ran {
        let endpoint = format!("http://127.0.0.1:{port}");
        let variables = [
            ("AWS_ACCESS_KEY_ID", key.0),
            ("AWS_SECRET_ACCESS_KEY", key.1),
            ("AWS_ENDPOINT_URL_S3", endpoint.as_str()),
        ];
        let ran = run_with(line, &variables);
        let secrets = [key.0, key.1, &self.key_id, &self.secret];
        for secret in secrets.iter().filter(|secret| !secret.is_empty()) {
            assert_lacks(&format!("{ran:?}"), secret);
        }
        ran
    }

    fn run(&self, line: &str) -> Ran {
        self.run_at(self.port, (&self.key_id, &self.secret), line)
    }
}

/// A policy with one statement that allows.
fn policy(statement: &str) -> String {
    format!("{{\"Version\":\"2012-10-17\",\"Statement\":[{{\"Effect\":\"Allow\",{statement}}}]}}")
}

fn tags(xml: &[u8], tag: &str) -> Vec<String> {
    let text = String::from_utf8_lossy(xml);
    let begin = format!("<{tag}>");
    let begins = text.split(&begin).skip(1);
    begins
        .map(|rest| rest.split_once("</").unwrap().0.to_owned())
        .collect()
}

/// One exchange on a connection of its own.
fn http(port: u16, method: &str, target: &str, head: &str, body: &[u8]) -> (u16, Vec<u8>) {
    let mut stream = TcpStream::connect((Ipv4Addr::LOCALHOST, port)).unwrap();
    let request = format!(
        "{method} {target} HTTP/1.0\r\nhost: 127.0.0.1:{port}\r\ncontent-length: {}\r\n{head}\r\n",
        body.len()
    );
    stream.write_all(request.as_bytes()).unwrap();
    stream.write_all(body).unwrap();
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).unwrap();
    let end = answer
        .windows(4)
        .position(|four| four == b"\r\n\r\n")
        .expect("a head");
    let status = String::from_utf8_lossy(&answer[9..12])
        .parse()
        .expect("a status");
    (status, answer.split_off(end + 4))
}

/// A proxy in front of the S3 server at `to`, which passes a request on when `passes` says so, and otherwise closes the connection.
/// It ends with the test process.
fn proxy(to: u16, passes: impl Fn(&str, &str) -> bool + Send + Sync + 'static) -> u16 {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let port = listener.local_addr().unwrap().port();
    let passes = Arc::new(passes);
    std::thread::spawn(move || {
        for client in listener.incoming().flatten() {
            let passes = Arc::clone(&passes);
            std::thread::spawn(move || pass_on(client, to, &*passes));
        }
    });
    port
}

/// One request of a connection, which ends with its answer. A caller that went away is no matter of the tests.
fn pass_on(mut client: TcpStream, to: u16, passes: &dyn Fn(&str, &str) -> bool) -> Option<()> {
    let mut reader = BufReader::new(client.try_clone().ok()?);
    let mut head = String::new();
    while !head.ends_with("\r\n\r\n") && reader.read_line(&mut head).ok()? > 0 {}
    let lower = head.to_ascii_lowercase();
    let length = lower
        .lines()
        .find_map(|line| line.strip_prefix("content-length: "));
    let length = length.map_or(0, |text| text.trim().parse().unwrap());
    let mut body = vec![0; length];
    reader.read_exact(&mut body).ok()?;
    let mut words = head.split(' ');
    if !passes(words.next()?, words.next()?) {
        return None;
    }
    let mut server = TcpStream::connect((Ipv4Addr::LOCALHOST, to)).ok()?;
    let head = head.replacen("\r\n", "\r\nconnection: close\r\n", 1);
    server.write_all(head.as_bytes()).ok()?;
    server.write_all(&body).ok()?;
    std::io::copy(&mut server, &mut client).ok()?;
    client.shutdown(std::net::Shutdown::Both).ok()
}

/// A new private key in a file, and its public key.
fn age_key(folder: &Path) -> (PathBuf, String) {
    use age::secrecy::ExposeSecret as _;
    let key = age::x25519::Identity::generate();
    let path = folder.join("backup.key");
    std::fs::write(&path, format!("{}\n", key.to_string().expose_secret())).unwrap();
    (path, key.to_public().to_string())
}

/// A store of some MB, so that its backup has several parts.
fn large(data: &Path) {
    let store = rusqlite::Connection::open(data.join("tokenward.sqlite")).unwrap();
    let filled = "CREATE TABLE filler AS SELECT randomblob(20000000) AS bytes";
    store.execute_batch(filled).unwrap();
}

#[tokio::test]
async fn a_backup_in_s3_is_tried_kept_and_restored_from_there() {
    let (house, erp) = House::with_erp().await;
    let s3 = S3::start();
    let data = house.server.data_dir();
    let (key, public) = age_key(s3.folder.path());
    let old = "tokenward/tokenward-20200131T235959Z.sqlite";
    let others = [
        "tokenward-20180101T000000Z.sqlite",
        "tokenward/older/tokenward-20180101T000000Z.sqlite",
        "tokenward/tokenward-20180101T000000Z.sqlite.part",
        "tokenward/tokenward-notes.sqlite",
        "tokenward2/tokenward-20180101T000000Z.sqlite",
    ];
    let older = "tokenward/tokenward-20191231T000000Z.sqlite.age";
    for key in others.iter().chain(&[old, older]) {
        s3.put(key, b"x");
    }
    let file = s3.folder.path().join("tokenward.toml");
    let settings = format!(
        "data_dir = {data:?}\nbackup_recipients = [{public:?}]\nbackup_s3_endpoint = \"http://127.0.0.1:{}\"\n",
        s3.port
    );
    std::fs::write(&file, settings).unwrap();
    let place = format!("s3://{BUCKET}/tokenward");
    let by_file = format!("backup --config {} {place}", file.display());
    let backup = format!("{by_file} --json --keep 2");
    // The file's setting is stronger than the variable.
    let told = s3.run_at(1, (&s3.key_id, &s3.secret), &backup).json();
    assert_eq!(told["encrypted"], true);
    assert_eq!(told["clients"], 1);
    let made = told["file"].as_str().unwrap().to_owned();
    let name = made.strip_prefix(&format!("s3://{BUCKET}/")).unwrap();
    let mut left: Vec<&str> = others.iter().copied().chain([old, name]).collect();
    left.sort_unstable();
    assert_eq!(s3.keys(), left);
    assert_eq!(s3.unfinished(), [""; 0]);
    let bytes = s3.object(name);
    assert!(bytes.starts_with(b"age-encryption.org/v1\n"));
    assert!(!data.join(".tokenward-backup").exists());
    let last = house
        .api
        .figure("tokenward_last_backup_timestamp_seconds")
        .await;
    assert!(last > Some(1e9), "{last:?}");

    let to = |name: &str| s3.folder.path().join(name);
    let restore = |from: &str, name: &str, more: &str| {
        let data = to(name);
        let data = data.display();
        s3.run(&format!(
            "restore --yes --json --data-dir {data} --from {from} {more}"
        ))
    };
    restore(&made, "closed", "").fails(&format!("{made} is encrypted: name the file"));
    restore(&place, "prefix", "").fails("there is no such object");
    let back = restore(&made, "back", &format!("--identity {}", key.display())).json();
    assert_eq!(back["audit_hash"], told["audit_hash"]);
    for name in ["closed", "prefix", "back"] {
        assert!(!to(name).join(".tokenward-backup").exists());
        assert_eq!(to(name).join("tokenward.sqlite").exists(), name == "back");
    }
    for file in ["digest-keys", "admin-key"] {
        std::fs::copy(data.join(file), to("back").join(file)).unwrap();
    }
    let server = Server::builder().data_dir(&to("back")).start();
    let api = server.api();
    let token = api.generate(&erp.secret).await.unwrap().token();
    let checked = api.check("sandbox", "gst", &token.access_token);
    checked.await.unwrap().expect(200);

    // What is not encrypted is sent only when that was asked for.
    let plain = format!(
        "backup --data-dir {} --json s3://example-backups/",
        data.display()
    );
    s3.run(&plain)
        .fails("a backup is sent to S3 encrypted only");
    let told = s3.run(&format!("{plain} --unencrypted")).json();
    assert_eq!(told["encrypted"], false);
    let back = restore(told["file"].as_str().unwrap(), "plain", "").json();
    assert_eq!(back["audit_hash"], told["audit_hash"]);
    s3.run(&format!("{by_file} --unencrypted"))
        .fails("leave --unencrypted out");
}

#[tokio::test]
async fn a_failure_of_s3_is_one_sentence_without_a_credential() {
    let house = House::new().await;
    let s3 = S3::start();
    s3.check_credentials(false);
    let reader = s3.user("reader", "s3:ListBucket");
    s3.check_credentials(true);
    let data = house.server.data_dir();
    let (_, public) = age_key(s3.folder.path());
    let backup = format!("backup --data-dir {} --recipient {public}", data.display());
    let run = |port: u16, key: (&str, &str), place: &str, more: &str| {
        let ran = s3.run_at(port, key, &format!("{backup} {place} {more}"));
        assert_eq!(ran.stderr.trim_end().lines().count(), 1, "{ran:?}");
        ran
    };
    let (good, id) = ((s3.key_id.as_str(), s3.secret.as_str()), s3.key_id.as_str());
    let place = format!("s3://{BUCKET}/tokenward");
    for (key, place, words) in [
        (
            ("AKIAWRONGWRONGWRONG0", "hunter2"),
            place.as_str(),
            "the service does not know the access key id",
        ),
        (
            (id, "hunter2hunter2"),
            &place,
            "the secret access key is not the one of the access key id",
        ),
        (
            good,
            "s3://no-such-bucket/tokenward",
            "the bucket does not exist",
        ),
        (
            (&reader.0, &reader.1),
            &place,
            "cannot write s3://example-backups/tokenward/tokenward-2",
        ),
        (
            (&reader.0, &reader.1),
            &place,
            "the credentials do not allow it",
        ),
        ((id, ""), &place, "Missing SecretAccessKey"),
    ] {
        let ran = run(s3.port, key, place, "");
        ran.fails(words);
        ran.fails(place);
    }
    let closed = run(free_port(), good, &place, "");
    closed.fails(&format!("cannot list {place} at http://127.0.0.1:"));
    closed.fails("Connection refused");
    for (endpoint, words) in [
        ("http://s3.example.com", "is not encrypted. Use https://"),
        (
            "https://me:hunter2@s3.example.com",
            "must not hold a user or a password",
        ),
    ] {
        let ran = run(s3.port, good, &place, &format!("--s3-endpoint {endpoint}"));
        ran.fails(words);
        assert_lacks(&ran.stderr, "hunter2");
    }
    let ran = run(s3.port, good, "s3://AKIAME:hunter2@bucket/tokenward", "");
    ran.fails("Credentials are read from the environment");
    assert_lacks(&ran.stderr, "hunter2");

    let bare = |variables: &[(&str, &str)]| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_tokenward"));
        command.env_clear().envs(variables.iter().copied());
        Ran::of(&mut command, &format!("{backup} {place}"))
    };
    let off = ("AWS_EC2_METADATA_DISABLED", "true");
    let region = ("AWS_REGION", "eu-central-1");
    bare(&[off, region]).fails("no credentials for s3://example-backups/tokenward");
    bare(&[off]).fails("name the bucket's region with --s3-region");
    // The credentials of a container, which come from a server, too.
    let uri = format!("http://127.0.0.1:{}/nothing", s3.port);
    let token = s3.folder.path().join("token");
    std::fs::write(&token, "hunter2").unwrap();
    let container = [
        ("AWS_CONTAINER_CREDENTIALS_FULL_URI", uri.as_str()),
        ("AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE", text(&token)),
        region,
    ];
    let ran = bare(&container);
    ran.fails("no credentials for s3://example-backups/tokenward: ");
    assert_lacks(&ran.stderr, "hunter2");
    assert_eq!(s3.keys(), [""; 0]);
    assert_eq!(s3.unfinished(), [""; 0]);
    assert!(!data.join("last-backup").exists() && !data.join(".tokenward-backup").exists());
    let config = s3.folder.path().join("tokenward.toml");
    std::fs::write(&config, "backup_s3_endpoint = \"http://s3.example.com\"").unwrap();
    s3.run(&format!("config check --config {}", config.display()))
        .fails("backup_s3_endpoint: ");
}

#[tokio::test]
async fn an_upload_that_breaks_off_is_aborted_and_older_backups_stay() {
    let mut house = House::new().await;
    let data = house.server.data_dir().to_owned();
    assert!(house.server.terminate().success());
    large(&data);
    let s3 = S3::start();
    let (key, public) = age_key(s3.folder.path());
    let old = [
        "tokenward/tokenward-20200101T000000Z.sqlite.age",
        "tokenward/tokenward-20200102T000000Z.sqlite.age",
    ];
    for key in old {
        s3.put(key, b"x");
    }
    let place = format!("s3://{BUCKET}/tokenward");
    let backup = format!(
        "backup --data-dir {} --recipient {public} --keep 1 {place} --json",
        data.display()
    );
    let good = (s3.key_id.as_str(), s3.secret.as_str());
    let clean = || {
        assert_eq!(s3.keys(), old);
        assert!(!data.join("last-backup").exists() && !data.join(".tokenward-backup").exists());
    };

    // The second part never arrives.
    let second_fails = proxy(s3.port, |method, target| {
        method != "PUT" || !target.contains("partNumber=2")
    });
    let ran = s3.run_at(second_fails, good, &backup);
    ran.fails(&format!("cannot write {place}/tokenward-2"));
    ran.fails(". What was sent is removed");
    assert_eq!(s3.unfinished(), [""; 0]);
    clean();

    // The S3 server stops in the middle of the upload and is not started again.
    let stopped = AtomicBool::new(false);
    let stops = proxy(s3.port, move |_, target| {
        stopped.fetch_or(target.contains("partNumber=2"), Ordering::SeqCst);
        !stopped.load(Ordering::SeqCst)
    });
    let ran = s3.run_at(stops, good, &backup);
    ran.fails(&format!("cannot write {place}/tokenward-2"));
    ran.fails("could not be removed; a lifecycle rule");
    assert_eq!(s3.unfinished().len(), 1);
    clean();

    // A signal ends the command while the second part is under way.
    let (reached, at_second) = std::sync::mpsc::channel();
    let (_end, never) = std::sync::mpsc::channel::<()>();
    let never = std::sync::Mutex::new(never);
    let stalls = proxy(s3.port, move |_, target| {
        if target.contains("partNumber=2") {
            reached.send(()).unwrap();
            // Until the test ends.
            let _ = never.lock().unwrap().recv_timeout(PROGRAM_LIMIT);
        }
        true
    });
    let log = s3.folder.path().join("interrupted.log");
    let program = Path::new(env!("CARGO_BIN_EXE_tokenward"));
    let endpoint = format!("http://127.0.0.1:{stalls}");
    let mut interrupted = Process::start(program, None, &log, &log, |command| {
        command
            .args(words(&backup))
            .env("AWS_ENDPOINT_URL_S3", endpoint);
        command
            .env("AWS_ACCESS_KEY_ID", good.0)
            .env("AWS_SECRET_ACCESS_KEY", good.1);
    })
    .unwrap();
    at_second.recv_timeout(PROGRAM_LIMIT).unwrap();
    interrupted.signal(Signal::TERM);
    assert!(!interrupted.wait(PROGRAM_LIMIT).success());
    let told = std::fs::read_to_string(&log).unwrap();
    assert_contains(&told, "interrupted; what was sent is removed");
    assert_eq!(s3.unfinished().len(), 1);
    clean();

    // Each part once more: what is sent again is one object.
    let failures = AtomicU32::new(0);
    let stutters = proxy(s3.port, move |_, target| {
        !target.contains("partNumber=2") || failures.fetch_add(1, Ordering::SeqCst) > 1
    });
    let told = s3.run_at(stutters, good, &backup).json();
    let made = told["file"].as_str().unwrap();
    let name = made.strip_prefix(&format!("s3://{BUCKET}/")).unwrap();
    assert_eq!(s3.keys(), [name]);
    assert!(s3.object(name).len() > 20_000_000);
    let (folder, key) = (s3.folder.path().display(), key.display());
    let restore =
        format!("restore --yes --json --data-dir {folder}/back --from {made} --identity {key}");
    assert_eq!(s3.run(&restore).json()["audit_hash"], told["audit_hash"]);
}

#[tokio::test]
async fn an_object_that_changed_in_the_bucket_is_no_backup() {
    let house = House::new().await;
    let data = house.server.data_dir();
    let s3 = Arc::new(S3::start());
    let (_, public) = age_key(s3.folder.path());
    let place = format!("s3://{BUCKET}/plain");
    let backup = format!("backup --data-dir {} --keep 1 {place}", data.display());
    let plain = format!("{backup} --unencrypted");
    s3.run(&plain).expect(0);
    let made = s3.keys()[0].clone();
    let former = s3.object(&made);
    // Under a name of another second than the next one's.
    s3.call("DELETE", &format!("/{BUCKET}/{made}"), b"");
    let first = "plain/tokenward-20200101T000000Z.sqlite";
    s3.put(first, &former);
    let backed_up = std::fs::read(data.join("last-backup")).unwrap();
    house.client(NewClient::sandbox("erp")).await;

    // Before the new object is read back, it becomes another good backup, an older one; or one of its bytes changes.
    let altering = Arc::clone(&s3);
    let alters = proxy(s3.port, move |method, target| {
        let key = target
            .strip_prefix(&format!("/{BUCKET}/"))
            .unwrap_or_default();
        if method == "GET" && key.contains("/tokenward-2") && key != first {
            let mut bytes = altering.object(key);
            if key.ends_with(".age") {
                let middle = bytes.len() / 2;
                bytes[middle] ^= 1;
                altering.put(key, &bytes);
            } else {
                altering.put(key, &former);
            }
        }
        true
    });
    let good = (s3.key_id.as_str(), s3.secret.as_str());
    let ran = s3.run_at(alters, good, &plain);
    ran.fails("was sent, but what the bucket returns can't be restored, so it was removed: ");
    ran.fails("and the copy was made at change");
    let ran = s3.run_at(alters, good, &format!("{backup} --recipient {public}"));
    ran.fails("what the bucket returns can't be restored, so it was removed: cannot decrypt");
    assert_eq!(s3.keys(), [first]);
    assert_eq!(std::fs::read(data.join("last-backup")).unwrap(), backed_up);
}

/// TLS in front of the server at `to`, as `localhost`. It ends with the test's runtime.
async fn with_tls(to: u16, authority: &Authority) -> u16 {
    use rustls_pki_types::pem::PemObject as _;
    use rustls_pki_types::{CertificateDer, PrivateKeyDer};
    let (certificate, key) = authority.issue(&["localhost"], (2020, 2100));
    let certificate = CertificateDer::from_pem_slice(certificate.as_bytes()).unwrap();
    let key = PrivateKeyDer::from_pem_slice(key.as_bytes()).unwrap();
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let config = rustls::ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![certificate], key)
        .unwrap();
    let acceptor = tokio_rustls::TlsAcceptor::from(Arc::new(config));
    let listener = tokio::net::TcpListener::bind((Ipv4Addr::LOCALHOST, 0));
    let listener = listener.await.unwrap();
    let port = listener.local_addr().unwrap().port();
    tokio::spawn(async move {
        while let Ok((client, _)) = listener.accept().await {
            let acceptor = acceptor.clone();
            tokio::spawn(async move {
                let mut client = acceptor.accept(client).await.ok()?;
                let server = tokio::net::TcpStream::connect((Ipv4Addr::LOCALHOST, to));
                let mut server = server.await.ok()?;
                // A caller that went away is no matter of the tests.
                tokio::io::copy_bidirectional(&mut client, &mut server)
                    .await
                    .ok()
            });
        }
    });
    port
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_backup_goes_to_s3_by_tls_with_temporary_credentials() {
    let house = House::new().await;
    let s3 = S3::start();
    let authority = Authority::new("of this test");
    let port = with_tls(s3.port, &authority).await;
    let trusted = s3.folder.path().join("authority.pem");
    std::fs::write(&trusted, authority.pem()).unwrap();
    let [id, secret, token] = s3.session();
    let endpoint = format!("https://localhost:{port}");
    let (_, public) = age_key(s3.folder.path());
    let place = format!("s3://{BUCKET}");
    let backup = |variables: &[(&str, &str)]| {
        let data = house.server.data_dir().display();
        let backup = format!("backup --data-dir {data} --json --recipient {public} {place}");
        let line = format!("{backup} --s3-endpoint {endpoint}");
        let credentials = [
            ("AWS_ACCESS_KEY_ID", id.as_str()),
            ("AWS_SECRET_ACCESS_KEY", &secret),
        ];
        let ran = run_with(&line, &[&credentials[..], variables].concat());
        for secret in [&id, &secret, &token] {
            assert_lacks(&format!("{ran:?}"), secret);
        }
        ran
    };
    let (token, trust) = (
        ("AWS_SESSION_TOKEN", token.as_str()),
        ("SSL_CERT_FILE", text(&trusted)),
    );
    backup(&[token]).fails("cannot list s3://example-backups at https://localhost:");
    backup(&[token]).fails("certificate");
    backup(&[("AWS_SESSION_TOKEN", "hunter2"), trust])
        .fails("the session token has expired or is not valid");
    let told = backup(&[token, trust]).json();
    assert_eq!(told["encrypted"], true);
    assert_eq!(s3.keys().len(), 1);
}
