//! Several writers on one PostgreSQL: whatever one of them does, the others decide on it, apply it, and are waited for.

use crate::basics::{START, settings, uuid};
use crate::house::{Client, House, Who, ended, until};
use crate::model::{assert_folded, assert_same, folded};
use crate::place::{Engine, Place, on, runtime};
use crate::sharer::by_secret;
use std::io::{BufRead, BufReader, Write};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;
use tokenward_core::change::{Change, FORMAT};
use tokenward_core::digest::{DigestKey, KeyId, Keyring};
use tokenward_core::generate::{IssueOptions, Rejection};
use tokenward_core::ids::ClientId;
use tokenward_core::time::Clock;
use tokenward_store::people::Record;
use tokenward_store::{Failure, KeyFault, Keys, Location, ReadSet, StoreError, chosen_key};
use tokio::task::JoinHandle;

const LONG: Duration = Duration::from_secs(60);
/// A stopped writer delays others by no more.
const DELAY_MAX: Duration = Duration::from_secs(3);

async fn open(place: &Arc<Place>, who: Who) -> House {
    let opened = House::open_as(place, who).await;
    opened.unwrap_or_else(|error| panic!("{error}"))
}

/// One of several nodes.
pub(crate) async fn sharing(place: &Arc<Place>) -> House {
    open(place, Who::sharing()).await
}

#[expect(
    clippy::disallowed_methods,
    reason = "how often a test repeats what is rare, and what its copy is to do"
)]
fn setting(name: &str) -> Option<String> {
    std::env::var(name).ok()
}

/// How many rounds of the tests that take one; each is done a few times without it.
const ROUNDS: &str = "TOKENWARD_STORE_TEST_ROUNDS";

fn rounds(few: usize) -> usize {
    setting(ROUNDS).map_or(few, |text| text.parse().unwrap())
}

/// Waits until a node has applied everything that is in the log.
fn until_current(house: &House) {
    let last = house.place.number("SELECT change_number FROM head");
    until("a node to be current", || {
        house.store.replica().applied() >= last.cast_unsigned()
    });
}

#[test]
fn what_one_answers_is_in_force_at_the_other() {
    on(Engine::Postgres, async |place| {
        let a = sharing(&place).await;
        let clients = a.populate(4).await;
        a.product("gst").await;
        let b = sharing(&place).await;
        let mut former: Vec<Option<String>> = vec![None; clients.len()];
        for round in 0..10 {
            for (at, client) in clients.iter().enumerate() {
                let mut both = [&a, &b];
                both.rotate_left((round + at) % 2);
                let answer = both[0].generate(client).await.unwrap();
                // One counter for both.
                assert_eq!(answer.generation as usize, round + 1);
                let token = answer.token.expose().to_string();
                assert_eq!(both.map(|house| house.check(&token)), ["permit"; 2]);
                if let Some(former) = former[at].replace(token) {
                    assert_eq!(both.map(|house| house.check(&former)), ["deny"; 2]);
                }
            }
        }
        a.close();
        // Nobody waits for one that left.
        b.makes(&clients[0], 11).await;
    });
}

#[test]
fn a_node_alone_acknowledges_nothing_and_one_that_joins_is_answered() {
    on(Engine::Postgres, async |place| {
        let said = || place.number("SELECT coalesce(max(number), 0) FROM node_applied");
        let a = sharing(&place).await;
        let clients = a.populate(2).await;
        // Whether its connections lead to one server is known only when a change has been answered.
        let before = place.number("SELECT change_number FROM head");
        for client in clients.iter().chain(&clients).chain(&clients) {
            a.generate(client).await.unwrap();
        }
        assert!(said() <= before, "nobody would read it");
        let b = sharing(&place).await;
        let client = &clients[0];
        b.generate(client).await.unwrap();
        a.generate(client).await.unwrap();
        until("both nodes to say what they have applied", || {
            place.number("SELECT count(DISTINCT incarnation) FROM node_applied") == 2
        });
        b.close();
        a.close();
        // What is left is forgotten by the next node that joins.
        let _c = sharing(&place).await;
        assert_eq!(said(), 0);
    });
}

/// The store refuses one change of a group, and a node joins before the others are written one by one: it must have them before
/// they are answered.
#[test]
fn what_is_written_singly_waits_for_a_node_that_joined_meanwhile() {
    const JOIN: &str = "INSERT INTO node (incarnation, id, attempt, acked, wait, applies)
        VALUES ('00000000-0000-0000-0000-000000000009', 'joined', 1, 0, 60000000000, 1)";
    on(Engine::Postgres, async |place| {
        let house = sharing(&place).await;
        let clients = house.populate(3).await;
        house.generate(&clients[1]).await.unwrap();
        place.ignore_the_first_slot();
        let before = place.bodies().len();
        let held = house.hold();
        let (decides, decided) = tokio::sync::oneshot::channel();
        let (go, goes) = std::sync::mpsc::channel::<()>();
        let (share, id) = (house.share(), clients[2].0);
        let first = tokio::spawn(async move {
            let decide = share.decide::<_, ()>(ReadSet::client(id), move |_| {
                decides.send(()).unwrap();
                goes.recv_timeout(LONG).unwrap();
                Ok((Vec::new(), ()))
            });
            decide.await.map(drop)
        });
        house.until_waiting(1);
        let refused = house.ask(&clients[0]);
        house.until_waiting(2);
        let mut call = house.ask(&clients[1]);
        house.until_waiting(3);
        held.release().await;
        // The group has read that its node is alone. A real node would wait for the lock that the group gives back when it is refused.
        decided.await.unwrap();
        place.sql(JOIN);
        go.send(()).unwrap();
        first.await.unwrap().unwrap();
        assert_eq!(refused.await.unwrap().err(), Some(Failure::Unavailable));
        until("the change to be written", || place.bodies().len() > before);
        let early = tokio::time::timeout(Duration::from_millis(300), &mut call).await;
        assert!(early.is_err(), "answered before the new node has it");
        place.sql("DELETE FROM node WHERE id = 'joined'");
        assert_eq!(call.await.unwrap().unwrap().generation, 2);
    });
}

#[test]
fn what_comes_while_other_nodes_have_their_turn_joins_the_group() {
    on(Engine::Postgres, async |place| {
        let a = sharing(&place).await;
        let clients = a.populate(4).await;
        let _b = sharing(&place).await;
        let head = || place.number("SELECT change_number FROM head");
        let before = head();
        let holder = place.session().await;
        holder.run("BEGIN; SELECT 1 FROM gate FOR UPDATE").await;
        // The first client asks twice: the second time waits for the next group.
        let mut asked: Vec<_> = clients
            .iter()
            .chain(&clients[..1])
            .map(|client| Box::pin(a.generate(client)))
            .collect();
        let waits = "SELECT count(*) FROM pg_stat_activity
            WHERE datname = current_database() AND wait_event_type = 'Lock' AND query LIKE '%gate%'";
        assert!(futures_util::poll!(&mut asked[0]).is_pending());
        until("the writer to wait for its turn", || {
            place.number(waits) > 0
        });
        for one in &mut asked[1..] {
            assert!(futures_util::poll!(one).is_pending());
        }
        holder.run("COMMIT").await;
        let answers = futures_util::future::join_all(asked).await.into_iter();
        let generations: Vec<_> = answers.map(|one| one.unwrap().generation).collect();
        assert_eq!(generations, [1, 1, 1, 1, 2]);
        assert_eq!(head(), before + 5);
        // The changes of one transaction have one tag.
        let together = format!(
            "SELECT count(*) FROM change_log WHERE tag = (SELECT tag FROM change_log WHERE number = {before} + 1)"
        );
        assert_eq!(place.number(&together), 4);
    });
}

#[test]
fn of_a_thousand_for_the_last_token_of_the_day_one_succeeds() {
    on(Engine::Postgres, async |place| {
        let a = sharing(&place).await;
        let clients = a.populate(1).await;
        let b = sharing(&place).await;
        let day = START.utc_day();
        place.sql(&format!(
            "UPDATE slot SET quota1_day = {day}, quota1_used = 287"
        ));
        let calls: Vec<_> = (0..1_000)
            .map(|n| {
                let share = if n % 2 == 0 { &a } else { &b }.share();
                let ask = by_secret(&clients[0], IssueOptions::default(), 288);
                let wants = ReadSet::client(clients[0].0);
                tokio::spawn(async move { share.decide(wants, ask).await })
            })
            .collect();
        let (mut made, mut refused) = (0, 0);
        for answer in ended(calls).await {
            match answer {
                Ok(Ok(_)) => made += 1,
                Ok(Err(Rejection::QuotaExceeded { .. })) => refused += 1,
                // One client's decisions wait in a bounded queue, and not for longer than a caller.
                Err(Failure::Overloaded | Failure::TooLate) => refused += 1,
                other => panic!("{other:?}"),
            }
        }
        assert_eq!((made, refused), (1, 999));
        assert_eq!(place.number("SELECT quota1_used FROM slot"), 288);
    });
}

#[test]
fn a_load_while_another_writes_is_the_fold() {
    on(Engine::Postgres, async |place| {
        let writing = sharing(&place).await;
        let clients = writing.populate(40).await;
        writing.product("gst").await;
        for _ in 0..rounds(4) {
            let flood = writing.flood(&clients);
            let loaded = sharing(&place).await;
            // New clients and names come by the log, too.
            let workspace = writing.workspace("Later").await;
            let label = format!("later {}", loaded.store.replica().applied());
            writing.client(workspace, settings(&label)).await;
            flood.stop().await;
            until_current(&loaded);
            let fold = folded(&place.bodies());
            let records = writing.records(&clients).await;
            assert_same("loaded", &records, loaded.store.replica(), &fold);
            assert_same("applied", &records, writing.store.replica(), &fold);
        }
    });
}

#[test]
fn one_that_is_alone_keeps_others_out_and_so_does_one_that_shares() {
    on(Engine::Postgres, async |place| {
        let in_use = |refused: &StoreError| matches!(refused, StoreError::InUse(_));
        let is_refused = async |who: Who| {
            let refused = House::refused(&place, who).await;
            assert!(in_use(&refused), "{refused}");
        };
        let alone = House::open(&place).await;
        is_refused(Who::sharing()).await;
        alone.close();
        let _both = (sharing(&place).await, sharing(&place).await);
        is_refused(Who::new()).await;
        let refused = place.restore(None).await.unwrap_err();
        assert!(in_use(&refused), "{refused}");
    });
}

#[test]
fn a_node_that_was_removed_joins_again_with_what_it_has() {
    on(Engine::Postgres, async |place| {
        let house = open(&place, Who::sharing_for(Duration::from_secs(2))).await;
        let (client, token) = &house.with_token().await;
        let incarnation = place.sql("SELECT incarnation FROM node");
        place.sql("DELETE FROM node");
        until("it to join again", || {
            let now = place.sql("SELECT incarnation FROM node");
            !now.is_empty() && now != incarnation
        });
        until("it to vouch again", || house.check(token) == "permit");
        assert!(!house.store.is_expelled());
        house.makes(client, 2).await;
    });
}

#[test]
fn another_history_ends_a_node() {
    on(Engine::Postgres, async |place| {
        let house = sharing(&place).await;
        house.populate(1).await;
        place.sql(
            "UPDATE change_log SET tag = tag + 1 WHERE number = (SELECT change_number FROM head)",
        );
        until("the node to stop", || house.store.is_expelled());
    });
}

/// A backup that was put in the place of a running database continues the same log under another epoch.
#[test]
fn another_epoch_ends_a_node() {
    on(Engine::Postgres, async |place| {
        let house = sharing(&place).await;
        house.populate(1).await;
        let epoch = uuid();
        place.sql(&format!("UPDATE head SET epoch = '{epoch}'"));
        until("the node to stop", || house.store.is_expelled());
    });
}

/// A failover can lose a commit that was visible and not answered: no node could ever renew there, so each ends, and
/// starts with what there is.
#[test]
fn a_database_that_goes_on_lacking_what_was_seen_ends_a_node() {
    on(Engine::Postgres, async |place| {
        let who = Who::sharing_for(Duration::from_secs(2));
        let house = open(&place, who.clone()).await;
        house.populate(2).await;
        let applied = house.store.replica().applied();
        place.sql("DELETE FROM change_log WHERE number = (SELECT change_number FROM head)");
        place.sql("DELETE FROM audit WHERE seq = (SELECT audit_seq FROM head)");
        place.sql(
            "UPDATE head SET change_number = change_number - 1, audit_seq = audit_seq - 1,
            audit_hash = (SELECT hash FROM audit WHERE seq = head.audit_seq - 1)",
        );
        until("the node to stop", || house.store.is_expelled());
        house.close();
        let house = open(&place, who).await;
        assert_eq!(house.store.replica().applied(), applied - 1);
    });
}

#[test]
fn own_commits_do_not_extend_the_lease() {
    on(Engine::Postgres, async |place| {
        let house = open(&place, Who::with_term(Duration::from_millis(1_500))).await;
        let (_, token) = &house.with_token().await;
        let session = place.session().await;
        // Renewals wait; commits do not.
        session.run("BEGIN; SELECT 1 FROM node FOR UPDATE").await;
        let start = house.clock().boot();
        let mut written = 0;
        while house.check(token) != "cannot vouch" {
            assert!(house.since(start) < LONG, "the lease did not end");
            house.workspace("still written").await;
            written += 1;
        }
        assert!(written > 0, "nothing was written meanwhile");
        session.run("ROLLBACK").await;
        until("the node to vouch again", || house.check(token) == "permit");
    });
}

#[test]
fn a_decision_that_writes_nothing_waits_for_the_standby_and_hears_its_warning() {
    runtime().block_on(async {
        let place = Place::alone();
        let house = House::open(&place).await;
        let clients = house.populate(1).await;
        // No standby is there, so that every commit waits until somebody ends its wait.
        place.sql("ALTER SYSTEM SET synchronous_standby_names = 'nobody'");
        place.sql("SELECT pg_reload_conf()");
        let waits =
            "SELECT pid FROM pg_stat_activity WHERE wait_event = 'SyncRep' AND query = 'COMMIT'";
        let (share, id) = (house.share(), clients[0].0);
        let call: JoinHandle<Result<(), Failure>> = tokio::spawn(async move {
            // The setting comes into force a moment after the reload; what was committed before did not wait.
            loop {
                share.looks(ReadSet::client(id)).await?;
            }
        });
        until("the commit to wait for the standby", || {
            !place.sql(waits).is_empty()
        });
        assert!(!call.is_finished());
        place.sql(&waits.replacen("pid", "pg_cancel_backend(pid)", 1));
        assert_eq!(call.await.unwrap(), Err(Failure::Unavailable));
        place.sql("ALTER SYSTEM RESET synchronous_standby_names");
        place.sql("SELECT pg_reload_conf()");
        until("the store to be writable", || house.store.is_writable());
        house.generate(&clients[0]).await.unwrap();
    });
}

#[test]
fn a_renewal_that_ends_with_a_warning_extends_no_lease() {
    runtime().block_on(async {
        let place = Place::alone();
        let house = open(&place, Who::with_term(Duration::from_millis(1_500))).await;
        let (_, token) = &house.with_token().await;
        place.sql("ALTER SYSTEM SET synchronous_standby_names = 'nobody'");
        place.sql("SELECT pg_reload_conf()");
        // Every renewal succeeds with a warning.
        until("the lease to end", || {
            place.sql(
                "SELECT pg_cancel_backend(pid) FROM pg_stat_activity WHERE wait_event = 'SyncRep'",
            );
            house.check(token) == "cannot vouch"
        });
        place.sql("ALTER SYSTEM RESET synchronous_standby_names");
        place.sql("SELECT pg_reload_conf()");
        until("the node to vouch again", || house.check(token) == "permit");
    });
}

// ---- A writer in a process of its own

/// Set for a copy of this program that is such a writer: the database's URL.
const PART: &str = "TOKENWARD_STORE_TEST_PART";
const SELF: &str = "peers::a_writer_in_a_process_of_its_own";

/// The part of such a process: does what it is told, a line each.
#[test]
fn a_writer_in_a_process_of_its_own() {
    let Some(url) = setting(PART).filter(|part| part.starts_with("postgres")) else {
        return;
    };
    runtime().block_on(async {
        let who = Who::sharing_for(Duration::from_secs(2));
        let house = open(&Place::url(&url), who).await;
        println!("ready");
        let mut kept = Vec::new();
        for line in std::io::stdin().lines() {
            let line = line.unwrap();
            let words: Vec<&str> = line.split(' ').collect();
            match words.as_slice() {
                // Until the process is ended.
                ["hold"] => kept.push(house.hold()),
                ["people"] => {
                    let wants = ReadSet {
                        people: true,
                        ..ReadSet::default()
                    };
                    println!("asking");
                    let _ = house.share().looks(wants).await;
                }
                ["generate", times, clients @ ..] => {
                    let clients = clients.chunks(2).map(|client| {
                        let id = ClientId(client[0].parse().unwrap());
                        (id, client[1].to_owned())
                    });
                    generate_each(&house, clients, times.parse().unwrap()).await;
                }
                other => panic!("{other:?}"),
            }
            println!("done");
        }
    });
}

/// Makes so many tokens of each client, of all at once.
async fn generate_each(house: &House, clients: impl Iterator<Item = Client>, times: u32) {
    let calls = clients.map(|client| {
        let share = house.share();
        tokio::spawn(async move {
            for _ in 0..times {
                share.generate(&client).await.unwrap();
            }
        })
    });
    ended(calls.collect()).await;
}

struct Other {
    child: Child,
    said: BufReader<ChildStdout>,
    tell: ChildStdin,
}

impl Other {
    fn start(place: &Place) -> Self {
        let Location::Postgres(url) = &place.location else {
            unreachable!()
        };
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", SELF, "--nocapture"])
            .env(PART, url)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let said = BufReader::new(child.stdout.take().unwrap());
        let tell = child.stdin.take().unwrap();
        let mut other = Self { child, said, tell };
        other.hear("ready");
        other
    }

    fn tell(&mut self, line: &str) {
        writeln!(self.tell, "{line}").unwrap();
    }

    fn hear(&mut self, word: &str) {
        let mut line = String::new();
        while line.trim() != word {
            line.clear();
            let read = self.said.read_line(&mut line).unwrap();
            assert!(read > 0, "the other writer ended before it said {word:?}");
        }
    }

    fn signal(&self, signal: rustix::process::Signal) {
        let pid = rustix::process::Pid::from_child(&self.child);
        rustix::process::kill_process(pid, signal).unwrap();
    }
}

impl Drop for Other {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[test]
fn two_processes_write_one_history() {
    on(Engine::Postgres, async |place| {
        let house = sharing(&place).await;
        let clients = house.populate(16).await;
        let mut other = Other::start(&place);
        let named = clients.iter().map(|(id, secret)| format!("{id} {secret}"));
        let named = Vec::from_iter(named).join(" ");
        other.tell(&format!("generate 10 {named}"));
        generate_each(&house, clients.iter().cloned(), 10).await;
        tokio::task::block_in_place(|| other.hear("done"));
        let mut generations = vec![0; clients.len()];
        for body in &place.bodies() {
            if let Change::TokenIssued { client, slot } = Change::from_body(FORMAT, body).unwrap() {
                let last = &mut generations[client.0 as usize];
                assert_eq!(slot.generation, *last + 1, "each decided on the one before");
                *last = slot.generation;
            }
        }
        assert_eq!(generations, vec![20; clients.len()]);
        until_current(&house);
        drop(other);
        assert_folded(house, &clients).await;
    });
}

/// Stops another writer that holds the lock, several times: the lock comes free by itself.
async fn delays(place: &Arc<Place>, stop: impl AsyncFn(&mut Other)) {
    let house = sharing(place).await;
    let session = place.session().await;
    // Rather fail than wait for a lock that is never given back.
    session.run("SET lock_timeout = '20s'").await;
    for _ in 0..rounds(2) {
        let mut other = Other::start(place);
        stop(&mut other).await;
        let start = house.clock().boot();
        session.run("SELECT 1 FROM gate FOR UPDATE").await;
        let waited = house.since(start);
        // How fast this machine is, is no test's matter: the limit holds where rounds are asked for.
        if setting(ROUNDS).is_some() {
            assert!(waited < DELAY_MAX, "the lock was free after {waited:?}");
        }
        let shortest = Duration::from_millis(100);
        assert!(waited > shortest, "it was had: {waited:?}");
        drop(other);
        // The change itself then waits for the lease of the one that is gone.
        house.workspace("goes on").await;
    }
}

#[test]
fn a_writer_stopped_with_the_lock_delays_others_for_a_moment() {
    on(Engine::Postgres, async |place| {
        delays(&place, async |other| {
            other.tell("hold");
            other.hear("done");
            other.signal(rustix::process::Signal::STOP);
        })
        .await;
    });
}

#[test]
fn a_writer_stopped_while_it_is_sent_an_answer_delays_others_for_a_moment() {
    on(Engine::Postgres, async |place| {
        House::open(&place).await.close();
        // More than the buffers of both ends hold.
        place.sql(
            "INSERT INTO member (id, email, name, role, proofs, created_at)
                SELECT decode(md5(n::text), 'hex'), 'm' || n, repeat('x', 100000), 'x', '{}', 0 FROM generate_series(1, 400) n",
        );
        delays(&place, async |other| {
            let session = place.session().await;
            session.run("BEGIN; LOCK TABLE member IN ACCESS EXCLUSIVE MODE").await;
            other.tell("people");
            other.hear("asking");
            let waits = "SELECT 1 FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND wait_event = 'relation'
                AND query LIKE '%FROM member%' AND datname = current_database()";
            // Within a transaction PostgreSQL shows the sessions as they were at the first look.
            let looking = async {
                while session.client.query(waits, &[]).await.unwrap().is_empty() {
                    let forget = "SELECT pg_stat_clear_snapshot()";
                    session.run(forget).await;
                }
            };
            tokio::time::timeout(LONG, looking)
                .await
                .expect("the other to wait for the table");
            other.signal(rustix::process::Signal::STOP);
            session.run("COMMIT").await;
        })
        .await;
    });
}

#[test]
fn a_node_that_is_lost_holds_a_change_up_once() {
    on(Engine::Postgres, async |place| {
        let house = sharing(&place).await;
        let mut other = Other::start(&place);
        other.child.kill().unwrap();
        other.child.wait().unwrap();
        let start = house.clock().boot();
        house.workspace("waits").await;
        let waited = house.since(start);
        // (2 s + 2 s) and 1 % more, less the time since its last renewal was seen, which was not looked at before.
        let least = Duration::from_secs(4);
        assert!(waited >= least, "answered after {waited:?}");
        until("its row to be removed", || {
            place.number("SELECT count(*) FROM node") == 1
        });
    });
}

/// A ring of keys with these ids, the last one newest.
fn ring(ids: &[u8]) -> Arc<Keyring> {
    let key = |id: &u8| DigestKey::new(KeyId(*id), [6 + id; 32]);
    Arc::new(Keyring::new(ids.iter().map(key).collect()).unwrap())
}

#[test]
fn nodes_that_start_at_once_on_an_empty_database_all_start() {
    on(Engine::Postgres, async |place| {
        let start = || sharing(&place);
        let (a, b, c) = tokio::join!(start(), start(), start());
        let names = |house: &House| house.store.head_at_open().store;
        assert!(names(&a) == names(&b) && names(&b) == names(&c));
        let clients = a.populate(1).await;
        b.generate(&clients[0]).await.unwrap();
    });
}

/// Of nodes without a key file that start at once on an empty database, one makes the first key. The others are told to copy
/// it, and leave no file of their own behind.
#[test]
fn one_of_several_first_starts_makes_the_key() {
    on(Engine::Postgres, async |place| {
        static MADE: AtomicUsize = AtomicUsize::new(0);
        let start = async || {
            let keys = Keys {
                found: None,
                make: Box::new(|id| {
                    MADE.fetch_add(1, Ordering::SeqCst);
                    Keyring::new(vec![DigestKey::new(id, [7; 32])]).map_err(str::to_owned)
                }),
                replace: false,
            };
            House::open_with(&place, Who::sharing(), keys).await
        };
        let (a, b, c) = tokio::join!(start(), start(), start());
        let (mut started, mut told) = (Vec::new(), 0);
        for outcome in [a, b, c] {
            match outcome {
                Ok(house) => started.push(house),
                Err(StoreError::DigestKeys(fault)) => {
                    assert!(fault.to_string().contains("from another node"), "{fault}");
                    told += 1;
                }
                Err(error) => panic!("{error}"),
            }
        }
        let made = MADE.load(Ordering::SeqCst);
        assert_eq!((started.len(), told, made), (1, 2, 1));
    });
}

/// A key is added on one node after the other: none makes digests that another one cannot check.
#[test]
fn a_new_digest_key_is_used_once_every_node_has_it() {
    on(Engine::Postgres, async |place| {
        let start = async |ids: &[u8]| {
            let who = Who::sharing_for(Duration::from_secs(2));
            House::open_with(&place, who, Keys::given(ring(ids))).await
        };
        let lacks = async |ids: &[u8], key| match start(ids).await.map(drop) {
            Err(StoreError::DigestKeys(fault)) => assert_eq!(*fault, KeyFault::Chosen(key)),
            other => panic!("{other:?}"),
        };
        let a = start(&[1]).await.unwrap();
        let b = start(&[1]).await.unwrap();
        let current = |house: &House| house.store.keyring().current().0;
        a.close();
        let a = start(&[1, 2]).await.unwrap();
        assert_eq!((current(&a), a.store.keyring().newest().0), (1, 2));
        assert_eq!(a.store.choose_newest_key().await, Ok(None), "b lacks it");
        // The database refuses it, too, whatever a node believes.
        let early = vec![Record::DigestKeyChosen(KeyId(2))];
        assert_eq!(a.write(early, true).await, Err(Failure::Unavailable));
        b.close();
        let b = start(&[1, 2]).await.unwrap();
        assert_eq!(current(&b), 1);
        until("both to have key 2", || {
            a.store.nodes().key_of_all() == Some(KeyId(2))
        });
        assert_eq!(a.store.choose_newest_key().await, Ok(Some(KeyId(2))));
        assert_eq!(current(&a), 2);
        // The other one knows it with the next thing that it writes.
        b.workspace("anything").await;
        assert_eq!(current(&b), 2);
        lacks(&[1], KeyId(2)).await;
        assert_eq!(chosen_key(&place.location).unwrap(), Some(KeyId(2)));
        let actions = place.sql("SELECT detail FROM audit WHERE action = 'digest_key.use'");
        assert_eq!(actions, [r#"{"digest_key":2}"#]);
        a.close();
        b.close();
        let alone = start(&[1, 2, 3]).await.unwrap();
        assert_eq!(current(&alone), 3, "no other node has to have it");
        alone.close();
        // Also when no other node is there, and nothing was made with it yet.
        lacks(&[1, 2], KeyId(3)).await;
    });
}

/// A copied data directory, or a machine that was cloned, has the same name, and proves nothing.
#[test]
fn a_row_without_proof_of_death_is_waited_for() {
    on(Engine::Postgres, async |place| {
        let term = Duration::from_secs(2);
        let copy = Who {
            sharing: true,
            proof: false,
            ..Who::with_term(term)
        };
        let original = open(&place, copy.clone()).await;
        let clients = original.populate(1).await;
        let copied = open(&place, copy).await;
        assert_eq!(place.number("SELECT count(*) FROM node"), 2);
        copied.generate(&clients[0]).await.unwrap();
        let applied = [&original, &copied].map(|house| house.store.replica().applied());
        assert_eq!(applied[0], applied[1]);
        let nodes = || copied.store.nodes().nodes.len();
        until("both to be listed", || nodes() == 2);
        let listed = copied.store.nodes();
        let own = listed.nodes.iter().filter(|node| node.own);
        let own: Vec<uuid::Uuid> = own.map(|node| node.incarnation).collect();
        assert_eq!(own, [copied.incarnation]);
        assert_eq!(copied.store.nodes_seen(), 2);
        original.close();
        until("one to have left", || nodes() == 1);
    });
}
