//! What to do, and what came of it.

use std::fmt;

use clap::ValueEnum;
use clap::builder::PossibleValue;
use serde::Serialize;

use crate::history::{Report, ViolationKind};

/// Rounds end early once this many violations have been told; more would only bury the first.
pub(super) const VIOLATIONS_TOLD: u64 = 20;

/// What stores the data, and what is killed.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, ValueEnum)]
#[serde(rename_all = "kebab-case")]
pub enum Engine {
    /// SQLite; the node is killed.
    #[default]
    Sqlite,
    /// PostgreSQL; the node is killed.
    Postgres,
    /// PostgreSQL; the database is killed under a living node.
    PostgresDatabase,
}

/// How many rounds of what.
#[derive(Debug, Clone, Copy)]
pub struct Plan {
    /// What stores the data, and what is killed.
    pub engine: Engine,
    /// One round is one kill.
    pub rounds: u32,
    /// Repeats the same choices; the interleaving is the machine's.
    pub seed: u64,
}

/// What has been counted.
#[derive(Debug, Default, Serialize)]
pub struct Tally {
    /// What stored the data, and what was killed.
    pub engine: Engine,
    /// The seed of the choices.
    pub seed: u64,
    /// Kills.
    pub rounds: u32,
    /// Changes answered with success.
    pub acknowledged: u64,
    /// Changes that a kill left without an answer.
    pub unknown: u64,
    /// Generates among them that the server turned out to have carried out.
    pub carried_out: u64,
    /// Changes answered with a final no.
    pub refused: u64,
    /// Checks that accepted a token.
    pub accepted: u64,
    /// Checks that denied one.
    pub denied: u64,
    /// Checks that a kill left without a verdict.
    pub without_verdict: u64,
    /// Audit chains verified.
    pub audits: u64,
    /// Acknowledged operations that were gone, good tokens denied among them.
    pub lost: u64,
    /// Clients with two live tokens.
    pub double_live: u64,
    /// Tokens accepted after their end.
    pub ended_accepted: u64,
    /// Audit chains that did not verify.
    pub audit_broken: u64,
    /// Anything else an honest server cannot show.
    pub other: u64,
    /// The first violations in words.
    pub violations: Vec<String>,
}

impl Tally {
    pub(super) fn of(plan: &Plan) -> Tally {
        Tally {
            engine: plan.engine,
            seed: plan.seed,
            ..Tally::default()
        }
    }

    /// How many promises were broken in all.
    #[must_use]
    pub fn violation_count(&self) -> u64 {
        self.lost + self.double_live + self.ended_accepted + self.audit_broken + self.other
    }

    /// Counts the violations of a report; its events are counted by [`Tally::count`].
    pub(super) fn judge(&mut self, report: &Report) {
        for violation in &report.violations {
            match violation.kind {
                ViolationKind::DeniedWhileGood
                | ViolationKind::GenerationOutOfOrder
                | ViolationKind::GenerationRepeated => self.lost += 1,
                ViolationKind::TwoLiveTokens => self.double_live += 1,
                ViolationKind::AcceptedAfterItsEnd | ViolationKind::GeneratedForbidden => {
                    self.ended_accepted += 1;
                }
                _ => self.other += 1,
            }
            self.violations.push(violation.to_string());
        }
    }

    pub(super) fn count(&mut self, report: &Report) {
        self.acknowledged += report.changed;
        self.unknown += report.unknown;
        self.refused += report.refused;
        self.accepted += report.accepted;
        self.denied += report.denied;
        self.without_verdict += report.without_verdict;
    }
}

impl fmt::Display for Tally {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let engine = self.engine.to_possible_value();
        write!(
            formatter,
            "{}: {} kills, {} changes acknowledged, {} cut off (of which {} generates happened), {} checks; \
             {} lost, {} double live, {} ended but accepted, {} audit chains broken, {} other",
            engine.as_ref().map_or("", PossibleValue::get_name),
            self.rounds,
            self.acknowledged,
            self.unknown,
            self.carried_out,
            self.accepted + self.denied,
            self.lost,
            self.double_live,
            self.ended_accepted,
            self.audit_broken,
            self.other
        )
    }
}
