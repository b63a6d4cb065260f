//! SAP sessions: Node processes with the translated package, told what to do line by line. They end with their value, and when
//! the test process dies their input ends and so do they.

use crate::package;
use serde_json::{Value, json};
use std::cell::RefCell;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::path::PathBuf;
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::time::Duration;

/// Longest wait for an answer; on a machine that is busy with other work a session takes a minute.
const ANSWER_LIMIT: Duration = Duration::from_secs(300);

/// One session.
pub(crate) struct Session {
    child: Child,
    input: Option<ChildStdin>,
    output: Receiver<std::io::Result<String>>,
    complaints: PathBuf,
    /// Everything it answered, for the search for secrets.
    said: RefCell<String>,
}

impl Session {
    /// Starts a session whose set-up is in the file `bench`; standard error goes to a file beside it.
    pub(crate) fn start(bench: &std::path::Path, name: &str) -> Session {
        package::translated();
        let complaints = bench.with_file_name(format!("{name}.err"));
        let file = std::fs::File::create(&complaints).expect("a file for complaints");
        let mut child = Command::new("node")
            .arg(package::folder().join("bench/session.mjs"))
            .env("TOKENWARD_SAP_BENCH", bench)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(file)
            .spawn()
            .unwrap_or_else(|error| panic!("Node (Debian package nodejs) runs: {error}"));
        let input = child.stdin.take();
        let output = lines(child.stdout.take().expect("an output"));
        let mut session = Session {
            child,
            input,
            output,
            complaints,
            said: RefCell::default(),
        };
        assert_eq!(session.hear()["ready"], true);
        session
    }

    /// Tells the session to do something and waits for the answer.
    pub(crate) fn ask(&mut self, wish: &Value) -> Value {
        self.tell(wish);
        self.hear()
    }

    /// Tells the session to do something; the answer is for [`Session::hear`].
    pub(crate) fn tell(&mut self, wish: &Value) {
        let input = self.input.as_mut().expect("an input");
        writeln!(input, "{wish}").expect("the session reads");
    }

    /// The next answer.
    ///
    /// # Panics
    /// When the session broke.
    pub(crate) fn hear(&mut self) -> Value {
        self.hear_or_end()
            .unwrap_or_else(|| panic!("the session ended:\n{}", self.complaints()))
    }

    /// The next answer, or nothing when the process is gone.
    pub(crate) fn hear_or_end(&mut self) -> Option<Value> {
        let line = match self.output.recv_timeout(ANSWER_LIMIT) {
            Ok(line) => line.expect("readable output"),
            Err(RecvTimeoutError::Disconnected) => return None,
            Err(RecvTimeoutError::Timeout) => {
                panic!("no answer within {ANSWER_LIMIT:?}:\n{}", self.complaints())
            }
        };
        self.said.borrow_mut().push_str(&line);
        let answer: Value = serde_json::from_str(&line).expect("an answer in JSON");
        assert!(answer["broken"].is_null(), "{}", answer["broken"]);
        Some(answer)
    }

    /// How often a destination answered with a status.
    pub(crate) fn answered(&mut self, destination_and_status: &str) -> u64 {
        let answers = self.ask(&json!({"do": "answers"}));
        answers["answers"][destination_and_status]
            .as_u64()
            .unwrap_or(0)
    }

    /// Everything the process wrote, on standard output and standard error.
    pub(crate) fn everything_said(&self) -> String {
        format!("{}{}", self.said.borrow(), self.complaints())
    }

    fn complaints(&self) -> String {
        let mut text = String::new();
        let file = std::fs::File::open(&self.complaints).and_then(|mut file| {
            file.read_to_string(&mut text)?;
            Ok(())
        });
        file.map_or_else(|error| error.to_string(), |()| text)
    }
}

/// Reads lines as they come, on a thread of its own, so that waiting for one has a deadline.
fn lines(output: ChildStdout) -> Receiver<std::io::Result<String>> {
    let (send, receive) = channel();
    std::thread::spawn(move || {
        for line in BufReader::new(output).lines() {
            if send.send(line.map(|line| line + "\n")).is_err() {
                return;
            }
        }
    });
    receive
}

impl Drop for Session {
    fn drop(&mut self) {
        drop(self.input.take());
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
