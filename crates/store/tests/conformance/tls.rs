//! TLS to PostgreSQL: what is accepted and what is refused, case by case as `psql` does, and a store that lives on it.

use crate::house::{House, until};
use crate::place::{Place, runtime};
use rcgen::{BasicConstraints, CertificateParams, IsCa, KeyPair};
use std::path::PathBuf;
use tempfile::TempDir;
use tokenward_store::{Location, StoreError};
use tokenward_testkit::{Authority, PgCluster};
use tokio::runtime::Handle;

const PASSWORD: &str = "hunter2";

/// Rules of access without TLS.
const PLAIN_RULES: &str = "local all postgres trust\nhost all app 127.0.0.1/32 scram-sha-256\n";

const VALID: (i32, i32) = (2020, 2099);
const OVER: (i32, i32) = (2019, 2020);

/// A cluster that speaks TLS, with the files of a client.
struct Secured {
    cluster: PgCluster,
    authority: Authority,
    folder: TempDir,
}

impl Secured {
    fn start() -> Self {
        let authority = Authority::new("the authority");
        let cluster = authority.cluster(PASSWORD);
        let folder = tempfile::tempdir().unwrap();
        let secured = Self {
            cluster,
            authority,
            folder,
        };
        let (certificate, key) = secured.authority.issue(&[], VALID);
        let other = Authority::new("another authority");
        let (foreign, foreign_key) = other.issue(&[], VALID);
        for (name, text) in [
            ("ca.pem", secured.authority.pem()),
            ("other.pem", other.pem()),
            ("client.pem", certificate.as_str()),
            ("client.key", key.as_str()),
            ("foreign.pem", foreign.as_str()),
            ("foreign.key", foreign_key.as_str()),
            ("empty.pem", ""),
        ] {
            secured.write(name, text);
        }
        secured
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// A private file of the client.
    fn write(&self, name: &str, text: &str) {
        use std::os::unix::fs::PermissionsExt as _;
        std::fs::write(self.path(name), text).unwrap();
        let private = std::fs::Permissions::from_mode(0o600);
        std::fs::set_permissions(self.path(name), private).unwrap();
    }

    /// Starts the server again with other files.
    fn restart_with(&mut self, files: &[(&str, &str)]) {
        self.cluster.stop();
        for (name, text) in files {
            self.cluster.put(name, text);
        }
        self.cluster.start_again();
    }

    /// The URL of a role on a host; in the parameters, `@NAME` is the path of a client's file.
    fn url(&self, role: &str, host: &str, parameters: &str) -> String {
        let folder = format!("{}/", self.folder.path().display());
        let parameters = parameters.replace('@', &folder);
        let port = self.cluster.port();
        format!("postgres://{role}:{PASSWORD}@{host}:{port}/tokenward?{parameters}")
    }
}

/// What a store says to a URL: nothing when it connects.
fn verdict(url: &str) -> Result<(), StoreError> {
    let location = Location::Postgres(url.to_owned());
    let now = tokenward_core::time::Timestamp(0);
    match tokenward_store::stored_keys(&location, now) {
        // Connected, and the database has no tables yet.
        Err(StoreError::Damaged(_)) => Ok(()),
        other => other.map(drop),
    }
}

/// Tries each case with `psql` and with a store; all that differ are told at once. A case is a line: role, host, parameters,
/// and behind ` -> ` what a refusal says, or `connects`.
fn compare(secured: &Secured, cases: &str) {
    let cases = cases.lines().map(str::trim);
    let cases = cases.filter(|line| !line.is_empty() && !line.starts_with("# "));
    let differ: Vec<String> = cases
        .filter_map(|line| {
            let (asked, expected) = line.split_once(" -> ").unwrap();
            let asked: Vec<&str> = asked.split_whitespace().collect();
            let &[role, host, parameters] = &asked[..] else {
                panic!("{line}")
            };
            let url = secured.url(role, host, parameters);
            let psql = secured.cluster.psql(&url);
            let ours = verdict(&url);
            let as_expected = match &ours {
                Ok(()) => expected == "connects",
                Err(StoreError::Refused(told)) => {
                    let named = format!("{host}:{}", secured.cluster.port());
                    told.contains(expected)
                        && told.contains(&named)
                        && !told.contains(PASSWORD)
                        && told.lines().count() == 1
                }
                _ => false,
            };
            let alike = as_expected && psql.0 == (expected == "connects");
            (!alike).then(|| format!("{line}: {ours:?}; psql: {psql:?}"))
        })
        .collect();
    assert!(differ.is_empty(), "{}", differ.join("\n"));
}

#[test]
fn server_is_verified_as_psql_verifies_it() {
    let mut secured = Secured::start();
    compare(
        &secured,
        r#"
        app localhost sslmode=verify-full&sslrootcert=@ca.pem -> connects
        app localhost sslmode=verify-ca&sslrootcert=@ca.pem -> connects
        app localhost sslrootcert=@ca.pem -> connects
        app localhost sslmode=require -> connects
        app 127.0.0.1 sslmode=require -> connects
        app localhost sslmode=require&sslrootcert=@ca.pem -> connects
        app 127.0.0.1 sslmode=verify-ca&sslrootcert=@ca.pem -> connects
        # Another authority.
        app localhost sslmode=verify-full&sslrootcert=@other.pem -> other.pem (sslrootcert)
        app localhost sslmode=verify-ca&sslrootcert=@other.pem -> other.pem (sslrootcert)
        app localhost sslmode=require&sslrootcert=@other.pem -> other.pem (sslrootcert)
        app localhost sslmode=verify-full&sslrootcert=system -> this system trusts
        # Another name.
        app 127.0.0.1 sslmode=verify-full&sslrootcert=@ca.pem -> issued for DnsName("localhost")
        # No TLS on this side.
        app localhost sslmode=disable -> set sslmode=verify-full
        # Files that are not there, or not what they should be.
        app localhost sslmode=verify-full&sslrootcert=@none.pem -> none.pem (sslrootcert) can't be read: No such file
        app localhost sslmode=verify-full&sslrootcert=@empty.pem -> empty.pem (sslrootcert) holds no certificate
        # Channel binding.
        app localhost sslmode=verify-full&sslrootcert=@ca.pem&channel_binding=require -> connects
        app localhost sslmode=verify-full&sslrootcert=@ca.pem&channel_binding=disable -> connects
        app localhost sslmode=require&channel_binding=require -> connects
        "#,
    );
    let verified = "sslmode=verify-full&sslrootcert=@ca.pem";
    let wrong = secured.url("app", "localhost", verified);
    let wrong = wrong.replace(PASSWORD, "hunter3");
    let (connects, _) = secured.cluster.psql(&wrong);
    assert!(!connects);
    let told = verdict(&wrong).unwrap_err();
    assert!(
        matches!(&told, StoreError::Refused(told) if told.contains("Correct the password") && !told.contains("hunter")),
        "{told:?}"
    );

    let (expired, key) = secured.authority.issue(&["localhost"], OVER);
    secured.restart_with(&[("server.crt", &expired), ("server.key", &key)]);
    compare(
        &secured,
        "
        app localhost sslmode=require -> connects
        app localhost sslmode=verify-ca&sslrootcert=@ca.pem -> expired at 2020-01-01
        app localhost sslmode=verify-full&sslrootcert=@ca.pem -> expired at 2020-01-01
        ",
    );
}

#[test]
fn certificate_that_is_its_own_authority_is_accepted_while_it_is_valid() {
    let mut secured = Secured::start();
    // As PostgreSQL's manual makes it.
    let mut own = CertificateParams::new(vec!["localhost".to_owned()]).unwrap();
    own.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let key = KeyPair::generate_for(&rcgen::PKCS_ECDSA_P384_SHA384).unwrap();
    let pair =
        |own: &CertificateParams| (own.self_signed(&key).unwrap().pem(), key.serialize_pem());
    let (valid, private) = pair(&own);
    secured.write("own.pem", &valid);
    secured.restart_with(&[("server.crt", &valid), ("server.key", &private)]);
    compare(
        &secured,
        "
        app localhost sslmode=verify-full&sslrootcert=@own.pem&channel_binding=require -> connects
        app 127.0.0.1 sslmode=verify-full&sslrootcert=@own.pem -> not for the host
        app localhost sslmode=verify-full&sslrootcert=@ca.pem -> ca.pem (sslrootcert)
        ",
    );
    own.not_before = rcgen::date_time_ymd(2019, 1, 1);
    own.not_after = rcgen::date_time_ymd(2020, 1, 1);
    let (over, private) = pair(&own);
    secured.write("own.pem", &over);
    secured.restart_with(&[("server.crt", &over), ("server.key", &private)]);
    compare(
        &secured,
        "
        app localhost sslmode=verify-full&sslrootcert=@own.pem -> expired at 2020-01-01
        ",
    );
}

#[test]
fn server_without_tls_is_refused_as_by_psql() {
    let mut secured = Secured::start();
    secured.restart_with(&[("postgresql.auto.conf", ""), ("pg_hba.conf", PLAIN_RULES)]);
    compare(
        &secured,
        "
        app localhost sslmode=verify-full&sslrootcert=@ca.pem -> the server offers no TLS
        app localhost sslmode=verify-ca&sslrootcert=@ca.pem -> the server offers no TLS
        app localhost sslmode=require -> the server offers no TLS
        app localhost sslmode=disable&channel_binding=require -> channel_binding=require needs
        app localhost sslmode=disable -> connects
        ",
    );
    // By default, TLS is for other machines.
    verdict(&secured.url("app", "localhost", "connect_timeout=5")).unwrap();
}

#[test]
fn store_with_all_its_connections_lives_on_tls_and_follows_a_failover() {
    runtime().block_on(async {
        let mut primary = Secured::start();
        let standby = primary.cluster.standby();
        primary.cluster.wait_for_standby(true);
        let ports = format!("localhost:{},localhost", standby.port());
        let parameters = "sslrootcert=@ca.pem&channel_binding=require";
        let url = primary.url("app", &ports, parameters);
        let (house, clients) = House::populated(&Place::url(&url), 1).await;
        let (client, id) = (&clients[0], clients[0].0);
        house.product("gst").await;
        let first = house.token(client).await;
        assert_eq!(house.state(id).await.slot.generation, 1);
        let sessions = "SELECT count(*) FILTER (WHERE s.ssl) || ' of ' || count(*)
            FROM pg_stat_activity a JOIN pg_stat_ssl s USING (pid) WHERE a.usename = 'app'";
        // The writer, the member and a reader, which is another one when the member has a new session.
        let all_are_there = async |cluster: &PgCluster| {
            until("three sessions with TLS", || {
                Handle::current().block_on(house.state(id));
                let found = cluster.sql("postgres", sessions);
                let (secured, all) = found.split_once(" of ").unwrap();
                assert_eq!(secured, all, "a session without TLS");
                all == "3"
            });
        };
        all_are_there(&primary.cluster).await;
        assert_eq!(house.check(&first), "permit");

        primary.cluster.kill9();
        standby.promote();
        let second = until("writes on the other server", || {
            Handle::current().block_on(house.generate(client)).ok()
        });
        assert_eq!(second.generation, 2);
        assert_eq!(house.state(id).await.slot.generation, 2);
        all_are_there(&standby).await;
    });
}

#[test]
fn client_certificate_is_judged_as_psql_s_is() {
    let secured = Secured::start();
    compare(
        &secured,
        "
        certified localhost sslmode=verify-full&sslrootcert=@ca.pem&sslcert=@client.pem&sslkey=@client.key -> connects
        certified localhost sslmode=verify-full&sslrootcert=@ca.pem -> Name a certificate and its key
        certified localhost sslmode=verify-full&sslrootcert=@ca.pem&sslcert=@foreign.pem&sslkey=@foreign.key -> foreign.pem (sslcert)
        certified localhost sslmode=verify-full&sslrootcert=@ca.pem&sslcert=@client.pem&sslkey=@foreign.key -> foreign.key (sslkey) does not belong
        certified localhost sslmode=verify-full&sslrootcert=@ca.pem&sslcert=@client.pem&sslkey=@none.key -> none.key (sslkey) can't be read
        certified localhost sslmode=verify-full&sslrootcert=@ca.pem&sslcert=@none.pem&sslkey=@client.key -> none.pem (sslcert) can't be read
        ",
    );
    // Files are read again at each connection.
    let url = secured.url(
        "certified",
        "localhost",
        "sslmode=verify-full&sslrootcert=@ca.pem&sslcert=@new.pem&sslkey=@new.key",
    );
    assert!(matches!(verdict(&url), Err(StoreError::Refused(_))));
    for (from, to) in [("client.pem", "new.pem"), ("client.key", "new.key")] {
        std::fs::copy(secured.path(from), secured.path(to)).unwrap();
    }
    verdict(&url).unwrap();
}
