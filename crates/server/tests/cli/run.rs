//! Running the program as a person or a script does.

use std::process::{Command, Stdio};
use tokenward_testkit::{Ran, Server};

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

/// The words that name the sandbox client `erp` of `acme`.
pub(crate) const ERP: &str = "--workspace=acme --environment sandbox erp";

/// Runs a command against the server; `@erp` in its line is that client.
pub(crate) fn run(server: &Server, line: &str) -> Ran {
    Ran::of(&mut at(server), &line.replace("@erp", ERP))
}

/// A server with a workspace `acme` and two products.
pub(crate) fn server() -> Server {
    let server = Server::start();
    run(&server, "workspace create acme").expect(0);
    run(&server, "product put gst GST").expect(0);
    run(&server, "product put e-invoice E-Invoice").expect(0);
    server
}

/// Makes that client; its secret.
pub(crate) fn erp(server: &Server) -> String {
    let made = run(server, "client create -w acme -e sandbox erp");
    made.expect(0).to_owned()
}
