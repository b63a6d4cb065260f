//! Running the program as a person or a script does.

use serde_json::Value;
use std::path::Path;
use std::process::{Command, Stdio};
use tokenward_testkit::{PROGRAM_LIMIT, Server, finish};

/// What a command did.
#[derive(Debug)]
pub(crate) struct Ran {
    pub(crate) code: i32,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

impl Ran {
    /// Standard output of a command that ended with this exit code.
    #[track_caller]
    pub(crate) fn expect(&self, code: i32) -> &str {
        assert_eq!(self.code, code, "{self:?}");
        self.stdout.trim_end()
    }

    /// Standard output of a command that did what it was told, as JSON.
    #[track_caller]
    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(self.expect(0)).unwrap_or_else(|error| panic!("{error} in {self:?}"))
    }

    /// The command failed and said all of these.
    #[track_caller]
    pub(crate) fn refused(&self, code: i32, words: &[&str]) {
        self.expect(code);
        for word in words {
            assert!(self.stderr.contains(word), "{word:?} is not in {self:?}");
        }
    }
}

/// The program, knowing of no server.
pub(crate) fn program() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_tokenward"));
    for name in "URL DATA_DIR ADMIN_KEY ADMIN_KEY_FILE CA_FILE INTERNAL_URL".split(' ') {
        command.env_remove(format!("TOKENWARD_{name}"));
    }
    command.stdin(Stdio::null());
    command
}

/// The program, told of the server by its data directory.
pub(crate) fn at(server: &Server) -> Command {
    let mut command = program();
    command.env("TOKENWARD_DATA_DIR", server.data_dir());
    command
}

/// Runs to the end.
pub(crate) fn ran(command: &mut Command, words: &[&str]) -> Ran {
    let output = finish(command.args(words), PROGRAM_LIMIT);
    let text = |bytes| String::from_utf8(bytes).expect("UTF-8");
    Ran {
        code: output.status.code().expect("an exit code"),
        stdout: text(output.stdout),
        stderr: text(output.stderr),
    }
}

/// The words of a command line.
pub(crate) fn words(line: &str) -> Vec<&str> {
    line.split_whitespace().collect()
}

/// Runs a command against the server.
pub(crate) fn run(server: &Server, words: &[&str]) -> Ran {
    ran(&mut at(server), words)
}

/// A server with a workspace `acme` and two products.
pub(crate) fn server() -> Server {
    let server = Server::start();
    run(&server, &["workspace", "create", "acme"]).expect(0);
    run(&server, &["product", "put", "gst", "GST"]).expect(0);
    run(&server, &["product", "put", "e-invoice", "E-Invoice"]).expect(0);
    server
}

/// The words that name the sandbox client `erp` of `acme`.
pub(crate) const ERP: [&str; 5] = [
    "--workspace=acme",
    "--environment",
    "sandbox",
    "erp",
    "--json",
];

/// Makes that client; its secret.
pub(crate) fn erp(server: &Server) -> String {
    let made = run(
        server,
        &["client", "create", "-w", "acme", "-e", "sandbox", "erp"],
    );
    made.expect(0).to_owned()
}

/// Runs a command on that client.
pub(crate) fn on_erp(server: &Server, group: &str, verb: &str, more: &[&str]) -> Ran {
    run(server, &[&[group, verb], &ERP[..], more].concat())
}

/// A path as an argument.
pub(crate) fn word(path: &Path) -> &str {
    path.to_str().expect("a UTF-8 path")
}
