//! From the start of the process to its being ready, with every client in memory.

use super::http_check;
use crate::clock;
use crate::process::Split;
use crate::report::{Goal, Report};
use crate::rounds::median;
use crate::seed;
use anyhow::Result;
use tokenward_testkit::{PgCluster, Server};

/// Starts of each engine.
const STARTS: usize = 5;

pub(crate) fn run(report: &mut Report, clients: u32) -> Result<()> {
    report.section(
        "Start",
        &format!("{clients} clients, from the start of the process to its being ready, median of {STARTS} starts with the files in the page cache. Ready means complete."),
    );
    let millions = f64::from(clients) / 1e6;
    let (folder, server) = http_check::server(&Split::new(), clients)?;
    drop(server);
    let sqlite = || Server::builder().data_dir(folder.path()).start();
    line(report, "SQLite", millions, &sqlite);

    let cluster = PgCluster::start();
    let url = cluster.url();
    let (folder, _) = seed::store(Some(&url), clients)?;
    let builder = || Server::builder().data_dir(folder.path()).database(&url);
    line(report, "PostgreSQL", millions, &|| builder().start());
    Ok(())
}

fn line(report: &mut Report, engine: &str, millions: f64, start: &dyn Fn() -> Server) {
    let seconds = (0..STARTS).map(|_| {
        let begin = clock::wall();
        let server = start();
        let took = clock::wall() - begin;
        drop(server);
        took.as_secs_f64()
    });
    let each = median(seconds.collect()) / millions;
    report.line(
        &format!("{engine}: seconds a million clients"),
        &format!("{each:.2} s"),
        each,
        Goal::AtMost(1.0),
    );
}
