//! Where a test's store is: a file of its own, or a database of its own in a cluster that all tests
//! running at the moment share.

use crate::basics::{START, uuid};
use std::path::PathBuf;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex, PoisonError, RwLock, RwLockWriteGuard, Weak};
use std::time::Duration;
use tempfile::TempDir;
use tokenward_store::{Location, Restored, StoreError, restore};
use tokenward_testkit::PgCluster;

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Engine {
    Sqlite,
    Postgres,
}

/// One empty place for a store; gone when dropped.
pub(crate) struct Place {
    pub(crate) engine: Engine,
    pub(crate) location: Location,
    /// A folder of this test's own.
    pub(crate) folder: TempDir,
    database: Option<(Shared, String)>,
}

/// A cluster several tests use; one of its own may be stopped by its test.
type Shared = Arc<RwLock<PgCluster>>;

/// The cluster lives as long as any test needs it, so that no process outlives the tests.
fn cluster() -> Shared {
    static SHARED: Mutex<Weak<RwLock<PgCluster>>> = Mutex::new(Weak::new());
    let mut shared = SHARED.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(running) = shared.upgrade() {
        return running;
    }
    // Nothing here asks what survives a power cut; that is the crash test's question.
    let started = PgCluster::builder()
        .setting("fsync", "off")
        .setting("max_connections", "200")
        .start();
    let started = Arc::new(RwLock::new(started));
    *shared = Arc::downgrade(&started);
    started
}

impl Place {
    pub(crate) fn new(engine: Engine) -> Arc<Self> {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        Arc::new(match engine {
            Engine::Sqlite => {
                let mut place = Self::file(PathBuf::new());
                place.location = Location::Sqlite(place.folder.path().join("tokenward.db"));
                place
            }
            Engine::Postgres => {
                let cluster = cluster();
                let name = format!("t{}", NEXT.fetch_add(1, Ordering::Relaxed));
                let url = cluster.read().unwrap().new_database(&name);
                Self::in_cluster(cluster, name, &url)
            }
        })
    }

    fn in_cluster(cluster: Shared, name: String, url: &str) -> Self {
        Self {
            database: Some((cluster, name)),
            ..Self::at(url)
        }
    }

    /// A database in a cluster of this test's own, which it may stop.
    pub(crate) fn alone() -> Arc<Self> {
        let cluster = PgCluster::builder().setting("fsync", "off").start();
        let (name, url) = ("tokenward".to_owned(), cluster.url());
        Arc::new(Self::in_cluster(Arc::new(RwLock::new(cluster)), name, &url))
    }

    /// A database that another value owns.
    pub(crate) fn url(url: &str) -> Arc<Self> {
        Arc::new(Self::at(url))
    }

    fn at(url: &str) -> Self {
        Self {
            engine: Engine::Postgres,
            location: Location::Postgres(url.to_owned()),
            ..Self::file(PathBuf::new())
        }
    }

    /// A file at a place of the test's choice.
    pub(crate) fn file(path: PathBuf) -> Self {
        let folder = tempfile::tempdir().unwrap();
        Self {
            engine: Engine::Sqlite,
            location: Location::Sqlite(path),
            folder,
            database: None,
        }
    }

    /// Ends the whole database server.
    pub(crate) fn stop(&self) {
        self.cluster().stop();
    }

    pub(crate) fn start_again(&self) {
        self.cluster().start_again();
    }

    fn cluster(&self) -> RwLockWriteGuard<'_, PgCluster> {
        let (cluster, _) = self.database.as_ref().expect("a file has no server");
        cluster.write().unwrap()
    }

    /// The SQLite file.
    pub(crate) fn path(&self) -> PathBuf {
        match &self.location {
            Location::Sqlite(path) => path.clone(),
            Location::Postgres(_) => panic!("no file"),
        }
    }

    /// A session on the database, for what must stay open, such as a transaction.
    pub(crate) async fn session(&self) -> Session {
        let Location::Postgres(url) = &self.location else {
            panic!("a file has no sessions")
        };
        let connected = tokio_postgres::connect(url, tokio_postgres::NoTls).await;
        let (client, connection) = connected.unwrap();
        Session {
            client,
            connection: tokio::spawn(connection),
        }
    }

    /// Runs one statement behind the store's back; answers its rows of one column.
    pub(crate) fn sql(&self, statement: &str) -> Vec<String> {
        match &self.database {
            Some((cluster, name)) => {
                let out = cluster.read().unwrap().sql(name, statement);
                out.lines().map(str::to_owned).collect()
            }
            None => {
                let connection = rusqlite::Connection::open(self.path()).unwrap();
                connection.busy_timeout(Duration::from_secs(10)).unwrap();
                let mut prepared = connection.prepare(statement).unwrap();
                let mut rows = prepared.query([]).unwrap();
                let mut out = Vec::new();
                while let Some(row) = rows.next().unwrap() {
                    out.push(match row.get_ref(0).unwrap() {
                        rusqlite::types::ValueRef::Integer(value) => value.to_string(),
                        other => other.as_str().unwrap_or_default().to_owned(),
                    });
                }
                out
            }
        }
    }

    /// On PostgreSQL: the first client's slot can be read, and no UPDATE touches it.
    pub(crate) fn ignore_the_first_slot(&self) {
        for statement in [
            "CREATE FUNCTION ignore() RETURNS trigger LANGUAGE plpgsql AS
                $$ BEGIN IF NEW.client = 0 THEN RETURN NULL; END IF; RETURN NEW; END $$",
            "CREATE TRIGGER ignore BEFORE UPDATE ON slot FOR EACH ROW EXECUTE FUNCTION ignore()",
        ] {
            self.sql(statement);
        }
    }

    /// Restores the store, which is closed; `proof` shows that nothing is lost.
    pub(crate) async fn restore(
        &self,
        proof: Option<(u64, [u8; 32])>,
    ) -> Result<Restored, StoreError> {
        restore(&self.location, proof, uuid(), START, Duration::ZERO).await
    }

    /// The bodies of the change log, in order.
    pub(crate) fn bodies(&self) -> Vec<String> {
        self.sql("SELECT body FROM change_log ORDER BY number")
    }

    /// Takes the tables and columns away that a store of an older version lacks; the store is closed.
    pub(crate) fn back_to_version(&self, version: u32) {
        self.back_to_version_6();
        let mut statements = vec![
            "ALTER TABLE head DROP COLUMN clock",
            "ALTER TABLE client_use DROP COLUMN generation",
            "DROP TABLE digest_key",
            "DROP TABLE admin_key_use",
        ];
        if version < 4 {
            statements.extend([
                "DROP TABLE notice_cursor",
                "DROP TABLE webhook",
                "DROP TABLE notice",
                "DROP INDEX client_emails",
            ]);
        }
        if version < 2 {
            statements.extend([
                "DROP TABLE member",
                "DROP TABLE invitation",
                "DROP TABLE session",
                "DROP TABLE check_count",
                "DROP TABLE stale_use",
                "DROP INDEX client_place",
                "DROP INDEX audit_act",
                "DROP INDEX audit_client_act",
                "DROP INDEX audit_workspace_act",
            ]);
        }
        for statement in statements {
            self.sql(statement);
        }
        self.sql(&format!("UPDATE head SET schema = {version}"));
    }

    /// Takes the newest version's tables and columns away from a store that is closed.
    pub(crate) fn back_to_version_6(&self) {
        if self.engine == Engine::Postgres {
            self.sql("ALTER TABLE notice ALTER COLUMN no DROP IDENTITY");
        }
        for statement in [
            "ALTER TABLE webhook DROP COLUMN preferences",
            "DROP TABLE check_hour",
            "DROP TABLE client_tag",
            "DROP TABLE credential_note",
            "DROP TABLE passkey_challenge",
            "ALTER TABLE head DROP COLUMN digest_key",
            "DROP TABLE gate",
            "DROP TABLE node_applied",
            "ALTER TABLE change_log DROP COLUMN tag",
            "DROP TABLE node",
            "CREATE TABLE node (one INTEGER PRIMARY KEY, id TEXT NOT NULL, incarnation TEXT NOT NULL, renewals BIGINT NOT NULL)",
            "DROP INDEX client_label_key",
            "DROP INDEX client_without_key",
            "ALTER TABLE client DROP COLUMN label_key",
            "DROP TABLE notice_address",
            "DROP TABLE confirmation_mail",
            "DROP INDEX notice_mailed",
            "ALTER TABLE notice DROP COLUMN held",
            "UPDATE head SET schema = 6",
        ] {
            self.sql(statement);
        }
    }

    /// A number asked for by SQL.
    pub(crate) fn number(&self, statement: &str) -> i64 {
        self.sql(statement)[0].parse().unwrap()
    }
}

/// Runs one test on one engine.
pub(crate) fn on<F: Future<Output = ()>>(engine: Engine, test: impl FnOnce(Arc<Place>) -> F) {
    runtime().block_on(test(Place::new(engine)));
}

pub(crate) fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .unwrap()
}

/// Every named test twice: on SQLite and on PostgreSQL.
macro_rules! on_both {
    ($($test:ident),+ $(,)?) => {
        mod sqlite {
            $(#[test]
            fn $test() {
                crate::place::on(crate::place::Engine::Sqlite, super::$test);
            })+
        }
        mod postgres {
            $(#[test]
            fn $test() {
                crate::place::on(crate::place::Engine::Postgres, super::$test);
            })+
        }
    };
}
pub(crate) use on_both;

/// A session of a test's own.
pub(crate) struct Session {
    pub(crate) client: tokio_postgres::Client,
    connection: tokio::task::JoinHandle<Result<(), tokio_postgres::Error>>,
}

impl Session {
    pub(crate) async fn run(&self, statements: &str) {
        self.client.batch_execute(statements).await.unwrap();
    }

    /// Ends it in good order.
    pub(crate) fn close(self) {
        drop(self.client);
        let handle = tokio::runtime::Handle::current();
        let ended = tokio::task::block_in_place(|| handle.block_on(self.connection));
        ended.unwrap().unwrap();
    }
}
