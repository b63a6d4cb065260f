//! Passwords of people: argon2id (RFC 9106), one at a time, with a short queue in front of it, so that a flood of
//! sign-ins takes no more memory than is set aside for it. Never for machines' secrets, which cannot be guessed.

use crate::random;
use argon2::password_hash::{PasswordHasher, PasswordVerifier};
use argon2::{Algorithm, Argon2, Params, Version};
use parking_lot::Mutex;
use std::collections::HashSet;
use std::net::IpAddr;
use std::sync::Arc;
use tokio::sync::{Semaphore, SemaphorePermit};
use uuid::Uuid;
use zeroize::Zeroizing;
use zxcvbn::Score;

/// KiB of memory, passes and lanes of one hash: OWASP's first choice for argon2id (Password Storage Cheat Sheet).
const MEMORY_KIB: u32 = 19 * 1024;
const PASSES: u32 = 2;
const LANES: u32 = 1;
/// Hashes at once, 19 MiB and a core each; more wait. One leaves every other core to the checks.
const AT_ONCE: usize = 1;
/// Callers of a kind that may wait for their hash, at 20 to 35 ms each; the known go first. Beyond it they are refused
/// at once. Each member, invitation and source network waits for one hash at a time, so that none of them fills it.
const QUEUE_MAX: usize = 8;
/// Seconds after which a caller who was refused may try again; the queue is served in less than one.
pub(crate) const RETRY_SECONDS: u64 = 1;
/// Least characters (NIST SP 800-63B-4 asks for 15 where nothing else is asked, 8 beside a second proof; zxcvbn
/// refuses what is guessable at any length).
const CHARACTERS_MIN: usize = 10;
/// Most bytes; a longer one is no better.
const BYTES_MAX: usize = 512;
/// As much of a password as is judged: judging takes time that grows faster than the length.
const JUDGED_MAX: usize = 72;

/// Who asks for a hash. Each kind has its own places in the queue, so that strangers can't fill those of people who
/// were let in lately; equal callers share one place.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Caller {
    /// Somebody who has proved nothing yet, by source network.
    Stranger(Option<IpAddr>),
    /// Somebody at a source network from where this member signed in lately.
    Familiar(Uuid),
    /// A member with a session.
    Member(Uuid),
    /// The holder of an invitation.
    Invited(Uuid),
}

/// The queue is full, or the caller waits in it already.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Busy;

/// The one place where passwords are hashed.
#[derive(Debug)]
pub struct Passwords {
    places: Arc<Semaphore>,
    strangers: Semaphore,
    known: Semaphore,
    /// Who waits for a place.
    waiting: Mutex<HashSet<Caller>>,
    /// The one stranger who waits for a place itself: whoever is known waits for one stranger at most.
    next_stranger: Semaphore,
    /// Compared with when there is nothing to compare with, so that it takes as long.
    nobodys: String,
}

impl Default for Passwords {
    fn default() -> Self {
        Self {
            places: Arc::new(Semaphore::new(AT_ONCE)),
            strangers: Semaphore::new(QUEUE_MAX),
            known: Semaphore::new(QUEUE_MAX),
            waiting: Mutex::default(),
            next_stranger: Semaphore::new(1),
            nobodys: hash(b"nobody's password").expect("a start has memory for one hash"),
        }
    }
}

fn hasher() -> Argon2<'static> {
    let params = Params::new(MEMORY_KIB, PASSES, LANES, None)
        .expect("these constants are within the library's bounds");
    Argon2::new(Algorithm::Argon2id, Version::V0x13, params)
}

fn hash(password: &[u8]) -> Option<String> {
    let salt: [u8; 16] = random::bytes();
    let hashed = hasher().hash_password_with_salt(password, &salt);
    hashed.ok().map(|hash| hash.to_string())
}

/// A caller's place in the queue, until dropped.
struct Waiting<'a> {
    passwords: &'a Passwords,
    caller: Caller,
    _place: SemaphorePermit<'a>,
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.passwords.waiting.lock().remove(&self.caller);
    }
}

impl Passwords {
    /// Enters the queue; none when it is full or holds the caller already.
    fn queue(&self, caller: Caller) -> Option<Waiting<'_>> {
        let queue = match caller {
            Caller::Stranger(_) => &self.strangers,
            _ => &self.known,
        };
        let place = queue.try_acquire().ok()?;
        let is_new = self.waiting.lock().insert(caller);
        // Lazily: a place that is made is given back when it is dropped.
        is_new.then(|| Waiting {
            passwords: self,
            caller,
            _place: place,
        })
    }

    /// Does `work` when its turn comes; none when the machine has no memory for it. Work whose caller has gone before
    /// its turn is not done. Work that has begun holds its place until it ends, with or without a caller.
    async fn in_turn<T: Send + 'static>(
        &self,
        caller: Caller,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> Result<Option<T>, Busy> {
        let waiting = self.queue(caller).ok_or(Busy)?;
        let next = match caller {
            Caller::Stranger(_) => Some(self.next_stranger.acquire().await.map_err(|_| Busy)?),
            _ => None,
        };
        let place = Arc::clone(&self.places).acquire_owned().await;
        let place = place.map_err(|_| Busy)?;
        drop((next, waiting));
        let working = tokio::task::spawn_blocking(move || {
            let _place = place;
            work()
        });
        Ok(working.await.ok())
    }

    /// The hash of a password in PHC form; none when the machine has no memory for it.
    pub async fn hash(
        &self,
        caller: Caller,
        password: Zeroizing<String>,
    ) -> Result<Option<String>, Busy> {
        let hashed = self.in_turn(caller, move || hash(password.as_bytes()));
        Ok(hashed.await?.flatten())
    }

    /// Whether `password` is the one that was hashed; takes as long when there is none.
    pub async fn verify(
        &self,
        caller: Caller,
        hashed: Option<String>,
        password: Zeroizing<String>,
    ) -> Result<bool, Busy> {
        let real = hashed.is_some();
        let hashed = hashed.unwrap_or_else(|| self.nobodys.clone());
        let verified = self.in_turn(caller, move || {
            hasher()
                .verify_password(password.as_bytes(), hashed.as_str())
                .is_ok()
        });
        Ok(verified.await?.unwrap_or(false) && real)
    }
}

/// Judges a new password; a sentence for its chooser when it will not do. `own` are words about the person, which
/// a guesser tries first.
pub fn judge(password: &str, own: &[&str]) -> Result<(), String> {
    if password.chars().count() < CHARACTERS_MIN {
        return Err(format!("use at least {CHARACTERS_MIN} characters"));
    }
    if password.len() > BYTES_MAX {
        return Err(format!("use at most {BYTES_MAX} bytes"));
    }
    let judged: String = password.chars().take(JUDGED_MAX).collect();
    let apart = ['@', '.', ' ', '-', '_'];
    let mut words: Vec<String> = ["tokenward", "cleartax"].map(str::to_owned).to_vec();
    for word in own {
        words.extend(word.split(apart).map(str::to_owned));
        // A name without its blanks, an address up to its sign, is what people take first.
        let local = word.split('@').next().unwrap_or(word);
        words.push(local.replace(apart, ""));
        words.push((*word).to_owned());
    }
    let parts: Vec<&str> = words.iter().map(String::as_str).collect();
    let parts: Vec<&str> = parts.into_iter().filter(|part| part.len() > 2).collect();
    let estimate = zxcvbn::zxcvbn(&judged, &parts);
    if estimate.score() >= Score::Three {
        return Ok(());
    }
    let why = estimate.feedback().and_then(|feedback| feedback.warning());
    Err(match why {
        Some(why) => format!(
            "this password is easily guessed ({}); use several unrelated words",
            why.to_string().trim_end_matches('.')
        ),
        None => "this password is easily guessed; use several unrelated words".to_owned(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

    #[tokio::test]
    async fn a_password_is_known_by_its_hash_only() {
        let passwords = Passwords::default();
        let secret = || Zeroizing::new("correct horse battery".to_owned());
        let hashed = async || passwords.hash(ASHA, secret()).await;
        let verified = async |hash: Option<&str>, password: &str| {
            let password = Zeroizing::new(password.to_owned());
            let hash = hash.map(str::to_owned);
            passwords.verify(stranger(1), hash, password).await
        };
        let hash = hashed().await.unwrap().unwrap();
        assert!(
            hash.starts_with("$argon2id$v=19$m=19456,t=2,p=1$"),
            "{hash}"
        );
        assert_ne!(hashed().await.unwrap().unwrap(), hash);
        assert_eq!(verified(Some(&hash), &secret()).await, Ok(true));
        assert_eq!(
            verified(Some(&hash), "correct horse Battery").await,
            Ok(false)
        );
        assert_eq!(verified(Some("no hash"), &secret()).await, Ok(false));
        assert_eq!(verified(None, "nobody's password").await, Ok(false));
    }

    const ASHA: Caller = Caller::Member(Uuid::from_u128(1));
    const RAVI: Caller = Caller::Member(Uuid::from_u128(2));

    fn stranger(network: u8) -> Caller {
        Caller::Stranger(Some([192, 0, 2, network].into()))
    }

    /// Longer than any answer that does not wait for the work of others.
    const LIMIT: std::time::Duration = std::time::Duration::from_secs(20);

    /// Work that says for whom it begins, and lasts until it is let go.
    #[derive(Default)]
    struct Work {
        begun: Mutex<Vec<Caller>>,
        at_once: AtomicUsize,
        over: AtomicBool,
    }

    impl Work {
        fn run(&self, caller: Caller) {
            self.begun.lock().push(caller);
            let others = self.at_once.fetch_add(1, Ordering::SeqCst);
            assert_eq!(others, 0, "two at once");
            while !self.over.load(Ordering::SeqCst) {
                std::thread::yield_now();
            }
            self.at_once.fetch_sub(1, Ordering::SeqCst);
        }
    }

    /// Callers of such work. It is let go when a test ends, also by a failure: its runtime waits for it.
    #[derive(Default)]
    struct Queue {
        passwords: Arc<Passwords>,
        work: Arc<Work>,
    }

    impl Queue {
        fn ask(&self, caller: Caller) -> tokio::task::JoinHandle<Result<(), Busy>> {
            let (passwords, work) = (Arc::clone(&self.passwords), Arc::clone(&self.work));
            tokio::spawn(async move {
                let asked = passwords.in_turn(caller, move || work.run(caller));
                asked.await.map(|_| ())
            })
        }

        fn begun(&self) -> usize {
            self.work.begun.lock().len()
        }

        fn let_go(&self) {
            self.work.over.store(true, Ordering::SeqCst);
        }
    }

    impl Drop for Queue {
        fn drop(&mut self) {
            self.let_go();
        }
    }

    async fn until(is_so: impl Fn() -> bool) {
        while !is_so() {
            tokio::task::yield_now().await;
        }
    }

    /// The answer of a caller who must not have to wait for it.
    async fn at_once<T>(asked: tokio::task::JoinHandle<T>) -> T {
        let answer = tokio::time::timeout(LIMIT, asked);
        answer.await.expect("an answer at once").unwrap()
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn hashing_is_one_at_a_time_however_many_callers_hang_up() {
        let queue = Queue::default();
        // Callers come, wait or begin, and hang up: one after the other, two hundred times.
        for _ in 0..200 {
            let one = queue.ask(stranger(1));
            until(|| queue.begun() > 0).await;
            // Room for one who should not have begun to begin.
            for _ in 0..20 {
                tokio::task::yield_now().await;
            }
            one.abort();
            assert!(one.await.is_err_and(|error| error.is_cancelled()));
        }
        assert_eq!(
            queue.begun(),
            1,
            "the first holds its place though its caller has gone"
        );
        queue.let_go();
        assert_eq!(queue.ask(stranger(1)).await.unwrap(), Ok(()));
        assert_eq!(queue.begun(), 2, "no work is left of callers who have gone");
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn a_full_queue_refuses_at_once_and_keeps_places_for_the_known() {
        let queue = Queue::default();
        let first = queue.ask(stranger(0));
        until(|| queue.begun() > 0).await;
        let waiting: Vec<_> = (1..=8).map(|n| queue.ask(stranger(n))).collect();
        let passwords = &queue.passwords;
        until(|| passwords.strangers.available_permits() == 0).await;
        assert_eq!(at_once(queue.ask(stranger(9))).await, Err(Busy));
        let known = queue.ask(ASHA);
        until(|| passwords.known.available_permits() < QUEUE_MAX).await;
        queue.let_go();
        assert_eq!(known.await.unwrap(), Ok(()));
        for one in waiting.into_iter().chain([first]) {
            assert_eq!(one.await.unwrap(), Ok(()));
        }
        // Most strangers who waited longer came after.
        let mut begun = queue.work.begun.lock().clone().into_iter();
        let known = begun.position(|one| one == ASHA);
        assert!(known.is_some_and(|place| place < QUEUE_MAX), "{known:?}");
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn each_caller_waits_for_one_hash_at_a_time() {
        let callers = [
            (ASHA, RAVI),
            (stranger(1), stranger(2)),
            (
                Caller::Invited(Uuid::from_u128(1)),
                Caller::Familiar(Uuid::from_u128(1)),
            ),
        ];
        for (greedy, other) in callers {
            let queue = Queue::default();
            let waiting = || queue.passwords.waiting.lock().len();
            let first = queue.ask(greedy);
            until(|| queue.begun() > 0).await;
            // One is being hashed and one waits; the others are refused while it does.
            let second = queue.ask(greedy);
            until(|| waiting() > 0).await;
            for _ in 0..20 {
                assert_eq!(at_once(queue.ask(greedy)).await, Err(Busy), "{greedy:?}");
            }
            let other = queue.ask(other);
            until(|| {
                assert!(!other.is_finished(), "another caller was refused");
                waiting() >= 2
            })
            .await;
            // Who hangs up leaves the place to the next.
            second.abort();
            assert!(second.await.is_err_and(|error| error.is_cancelled()));
            let third = queue.ask(greedy);
            until(|| {
                assert!(!third.is_finished(), "a place was not given back");
                waiting() >= 2
            })
            .await;
            queue.let_go();
            for one in [first, other, third] {
                assert_eq!(one.await.unwrap(), Ok(()));
            }
        }
    }

    #[test]
    fn weak_passwords_are_refused_with_a_reason() {
        let own = ["asha.rao@example.com", "Asha Rao"];
        let refused = |password: &str| assert!(judge(password, &own).is_err(), "{password}");
        refused("short");
        refused("password12345");
        refused("aaaaaaaaaaaaaaaa");
        refused("qwertyuiop1");
        refused("asharao2026!");
        refused("tokenward123");
        refused(&"x7!pQ".repeat(200));
        assert_eq!(judge("plum-tractor-7-galaxy", &own), Ok(()));
        assert_eq!(judge("ein Löwe kaut Zimtsterne", &own), Ok(()));
    }
}
