//! What a client's tokens were used for, drawn: bars by day or hour as SVG made here, each with the same figures in a table,
//! and who still presents tokens that are no more.

use super::super::shown::{Moment, count};
use crate::metering::counts::OTHERS;
use crate::verbs::usage_figures::UsageFigures;
use askama::Template;
use askama::filters::HtmlSafe;
use std::collections::{BTreeMap, BTreeSet};
use tokenward_core::time::{MICROS_PER_SECOND, SECONDS_PER_DAY, Timestamp};
use tokenward_store::counts::{CheckCount, HOURS, Outcome, SourceUse};

/// A span of time that is drawn, with a bar for each day or hour.
pub(super) struct Span {
    /// How addresses name it.
    pub(super) name: &'static str,
    pub(super) words: &'static str,
    /// The days that are read.
    pub(super) days: u32,
    hourly: bool,
}

const fn span(name: &'static str, words: &'static str, days: u32, hourly: bool) -> Span {
    Span {
        name,
        words,
        days,
        hourly,
    }
}

/// The spans of time to choose from, the longest last.
pub(super) static SPANS: [Span; 3] = [
    // Sources are shown of today and yesterday.
    span("24h", "24 hours", STALE_DAYS, true),
    span("7d", "7 days", 7, false),
    span("35d", "35 days", 35, false),
];

impl Span {
    /// The span that a query asks for; the longest when it names none.
    pub(super) fn named(name: &str) -> &'static Self {
        let found = SPANS.iter().find(|span| span.name == name);
        found.unwrap_or(&SPANS[SPANS.len() - 1])
    }

    /// The counts that are drawn.
    fn counts<'a>(&self, figures: &'a UsageFigures) -> &'a [CheckCount] {
        match self.hourly {
            true => &figures.hours,
            false => &figures.counts,
        }
    }

    /// The place of a count on the axis.
    fn place(&self, one: &CheckCount) -> u32 {
        match self.hourly {
            true => one.day * HOURS + one.hour,
            false => one.day,
        }
    }

    /// The first and the last place on the axis.
    fn ends(&self, figures: &UsageFigures) -> (u32, u32) {
        match self.hourly {
            true => ((figures.hour + 1).saturating_sub(HOURS), figures.hour),
            false => (figures.from_day, figures.today),
        }
    }

    /// The name of a place: a day, or the hour that begins at a time.
    fn label(&self, place: u32) -> String {
        match self.hourly {
            true => format!("{} {}", date(place / HOURS), time(place)),
            false => date(place),
        }
    }

    /// The name of a place where there is little room.
    fn short(&self, place: u32) -> String {
        match self.hourly {
            true => format!("{} UTC", time(place)),
            false => date(place),
        }
    }

    /// What a bar stands for, the words of the last one, and the head of a table's column.
    fn unit(&self) -> (&'static str, &'static str, &'static str) {
        match self.hourly {
            true => ("hour", "this hour", "Hour (UTC)"),
            false => ("day", "today", "Day (UTC)"),
        }
    }
}

fn time(hour: u32) -> String {
    format!("{:02}:00", hour % HOURS)
}

/// The drawing's size, in its own units. It is stretched to the room there is.
const WIDTH: u64 = 720;
const HEIGHT: u64 = 160;

/// The least number at the top of an axis whose middle is whole, too: 2, 4, 6, 8 or 10 times a power of ten.
fn top(most: u64) -> u64 {
    let mut unit = 1;
    while most > 10 * unit {
        unit *= 10;
    }
    (1..=5)
        .map(|n| 2 * n * unit)
        .find(|top| most <= *top)
        .unwrap_or(10 * unit)
}
/// Days looked at for tokens that should be gone.
const STALE_DAYS: u32 = 2;
/// Sources named.
const SOURCES: usize = 5;

struct Part {
    y: u64,
    height: u64,
    class: String,
}

struct Bar {
    x: u64,
    width: u64,
    parts: Vec<Part>,
    title: String,
}

struct Row {
    day: String,
    numbers: Vec<String>,
}

/// A chart and its table.
#[derive(Template)]
#[template(path = "console/chart.html")]
pub(super) struct Chart {
    id: &'static str,
    title: &'static str,
    summary: String,
    /// The head of the table's first column.
    unit: &'static str,
    bars: Vec<Bar>,
    /// Numbers beside the axis: at its top, in its middle.
    top: String,
    middle: String,
    /// Days or hours under the axis: the first, one in the middle, the last.
    under: [String; 3],
    /// Class and words of each series.
    series: Vec<(String, String)>,
    rows: Vec<Row>,
    empty: &'static str,
}
impl HtmlSafe for Chart {}

pub(super) fn date(day: u32) -> String {
    let at = Timestamp(i64::from(day) * SECONDS_PER_DAY * MICROS_PER_SECOND);
    at.iso()[..10].to_owned()
}

/// Numbers by day and series, drawn one on the other.
fn draw(
    id: &'static str,
    title: &'static str,
    empty: &'static str,
    (figures, span): (&UsageFigures, &Span),
    series: Vec<(String, String)>,
    numbers: &BTreeMap<(u32, usize), u64>,
) -> Chart {
    let of = |day: u32, at: usize| numbers.get(&(day, at)).copied().unwrap_or(0);
    let sum = |day: u32| (0..series.len()).map(|at| of(day, at)).sum::<u64>();
    let (first, last) = span.ends(figures);
    let days: Vec<u32> = (first..=last).collect();
    let (unit, latest, column) = span.unit();
    let most = days.iter().map(|day| sum(*day)).max().unwrap_or(0);
    let total: u64 = days.iter().map(|day| sum(*day)).sum();
    let step = WIDTH / days.len().max(1) as u64;
    let top = top(most);
    let bar = |(place, day): (usize, &u32)| {
        let mut y = HEIGHT;
        let mut parts = Vec::new();
        for (at, (class, _)) in series.iter().enumerate() {
            let n = of(*day, at);
            if n == 0 {
                continue;
            }
            // A bar with anything at all is seen.
            let height = (u128::from(n) * u128::from(HEIGHT) / u128::from(top)).max(2) as u64;
            y = y.saturating_sub(height);
            let class = class.clone();
            parts.push(Part { y, height, class });
        }
        let words: Vec<String> = series
            .iter()
            .enumerate()
            .filter(|(at, _)| of(*day, *at) > 0)
            .map(|(at, (_, words))| format!("{words} {}", count(of(*day, at))))
            .collect();
        let words = if words.is_empty() {
            "no requests".to_owned()
        } else {
            words.join(", ")
        };
        Bar {
            x: place as u64 * step,
            width: step.saturating_sub(3).max(1),
            parts,
            title: format!("{}: {words}", span.label(*day)),
        }
    };
    let row = |day: &u32| Row {
        day: span.label(*day),
        numbers: (0..series.len()).map(|at| count(of(*day, at))).collect(),
    };
    Chart {
        id,
        title,
        summary: format!(
            "{title}: {} in {}, peak {} per {unit}, {} {latest}",
            count(total),
            span.words,
            count(most),
            count(sum(last))
        ),
        unit: column,
        bars: days.iter().enumerate().map(bar).collect(),
        top: count(top),
        middle: count(top / 2),
        under: [
            span.short(first),
            span.short(first + (last - first) / 2),
            latest.to_owned(),
        ],
        rows: days.iter().rev().map(row).collect(),
        series: if total == 0 { Vec::new() } else { series },
        empty,
    }
}

fn words(outcome: Outcome) -> (&'static str, &'static str) {
    match outcome {
        Outcome::Permitted => ("s-permitted", "Successful"),
        Outcome::Generated => ("s-generated", "Generated"),
        Outcome::Returned => ("s-returned", "Returned"),
        Outcome::Superseded => ("s-superseded", "Denied: token replaced"),
        Outcome::Expired => ("s-expired", "Denied: token expired"),
        Outcome::Revoked => ("s-revoked", "Denied: token revoked"),
        Outcome::Disabled => ("s-disabled", "Denied: client disabled"),
        Outcome::Deleted => ("s-deleted", "Denied: client deleted"),
        Outcome::ProductNotAllowed => ("s-product", "Denied: product not allowed"),
        Outcome::AddressNotAllowed => ("s-address", "Denied: IP address not allowed"),
        Outcome::EnvironmentMismatch => ("s-environment", "Denied: wrong environment"),
    }
}

/// The kinds of counts, in their order, and the numbers by place and kind; `kind` leaves out what is not drawn.
fn by_kind<K: Ord + Copy>(
    (figures, span): (&UsageFigures, &Span),
    kind: impl Fn(&CheckCount) -> Option<K>,
) -> (Vec<K>, BTreeMap<(u32, usize), u64>) {
    let drawn = span.counts(figures).iter();
    let drawn: Vec<_> = drawn.filter_map(|one| Some((one, kind(one)?))).collect();
    let kinds: BTreeSet<K> = drawn.iter().map(|(_, kind)| *kind).collect();
    let kinds: Vec<K> = kinds.into_iter().collect();
    let mut numbers = BTreeMap::new();
    for (one, kind) in drawn {
        let at = kinds.partition_point(|known| *known < kind);
        *numbers.entry((span.place(one), at)).or_insert(0) += one.n;
    }
    (kinds, numbers)
}

/// Checks by outcome.
pub(super) fn checks(figures: &UsageFigures, span: &Span) -> Chart {
    let at = (figures, span);
    let (kinds, numbers) = by_kind(at, |one| one.outcome.is_check().then_some(one.outcome));
    let series = kinds.iter().map(|kind| {
        let (class, words) = words(*kind);
        (class.to_owned(), words.to_owned())
    });
    let empty = "No API requests yet. Counts appear here within seconds.";
    let title = "API requests by result";
    draw("checks", title, empty, at, series.collect(), &numbers)
}

/// Permitted checks by product.
pub(super) fn products(figures: &UsageFigures, span: &Span) -> Chart {
    let at = (figures, span);
    let permitted = |one: &CheckCount| one.outcome == Outcome::Permitted;
    let (kinds, numbers) = by_kind(at, |one| permitted(one).then_some(one.product));
    let name = |(at, no): (usize, &Option<tokenward_core::ProductNo>)| {
        let name = no.map_or_else(
            || "No product".to_owned(),
            |no| super::product_name(no, &figures.products),
        );
        (format!("s-product-{}", at % 6), name)
    };
    let series = kinds.iter().enumerate().map(name).collect();
    let empty = "No successful API requests yet.";
    let title = "Successful requests by product";
    draw("products", title, empty, at, series, &numbers)
}

/// Tokens generated.
pub(super) fn generations(figures: &UsageFigures, span: &Span) -> Chart {
    let at = (figures, span);
    let (_, numbers) = by_kind(at, |one| (one.outcome == Outcome::Generated).then_some(()));
    let series = vec![("s-generated".to_owned(), "Generated".to_owned())];
    let empty = "No tokens generated in this period.";
    draw(
        "generations",
        "Tokens generated",
        empty,
        at,
        series,
        &numbers,
    )
}

/// All counts as comma-separated values: a line for each day or hour, product and result.
pub(super) fn csv(figures: &UsageFigures, span: &Span) -> String {
    let mut text = String::from(match span.hourly {
        true => "hour,product,result,count\n",
        false => "day,product,result,count\n",
    });
    for one in span.counts(figures) {
        let product = one.product.map(|no| {
            let found = figures.products.iter().find(|product| product.no == no);
            found.map_or_else(
                || "deleted product".to_owned(),
                |found| found.slug.to_string(),
            )
        });
        text.push_str(&format!(
            "{},{},{},{}\n",
            match span.hourly {
                true => format!("{}T{}:00Z", date(one.day), time(one.hour)),
                false => date(one.day),
            },
            product.unwrap_or_default(),
            one.outcome.as_str(),
            one.n
        ));
    }
    text
}

/// Calls permitted today.
pub(super) fn calls_today(figures: &UsageFigures) -> u64 {
    let today = figures
        .counts
        .iter()
        .filter(|one| one.outcome == Outcome::Permitted && one.day == figures.today);
    today.map(|one| one.n).sum()
}

/// A source of successful requests.
pub(super) struct Source {
    pub(super) source: String,
    pub(super) n: String,
    pub(super) last: Moment,
}

/// The sources of successful requests of today and yesterday, the last seen first.
pub(super) fn sources(figures: &UsageFigures, now: Timestamp) -> Vec<Source> {
    let all = latest(&figures.sources, figures);
    let shown = all.into_iter().map(|(source, _, n, last)| Source {
        source: match source {
            OTHERS => "Other addresses".to_owned(),
            source => source.to_owned(),
        },
        n: count(n),
        last: Moment::new(last, now),
    });
    shown.collect()
}

/// How often, by source and outcome, there was a use today or yesterday, and when the last one was; the last seen first.
fn latest<'a>(
    uses: &'a [SourceUse],
    figures: &UsageFigures,
) -> Vec<(&'a str, Outcome, u64, Timestamp)> {
    let from = figures.today.saturating_sub(STALE_DAYS - 1);
    let mut sums = BTreeMap::new();
    for one in uses.iter().filter(|one| one.day >= from) {
        let key = (one.source.as_str(), one.outcome);
        let sum = sums.entry(key).or_insert((0, one.last_at));
        sum.0 += one.n;
        sum.1 = sum.1.max(one.last_at);
    }
    let all = sums.into_iter();
    let mut all: Vec<_> = all
        .map(|((source, outcome), (n, last))| (source, outcome, n, last))
        .collect();
    all.sort_by_key(|(.., last)| std::cmp::Reverse(*last));
    all
}

/// Somebody who presents a token that is no more.
pub(super) struct Stale {
    pub(super) source: String,
    pub(super) n: String,
    pub(super) what: &'static str,
    pub(super) last: Moment,
}

/// Who still presents tokens that are no more, the last seen first; and whether it looks like two jobs that end each
/// other's token: superseded tokens arrive while new ones are made.
pub(super) fn stale(figures: &UsageFigures, now: Timestamp) -> (Vec<Stale>, bool) {
    let from = figures.today.saturating_sub(STALE_DAYS - 1);
    let all = latest(&figures.stale, figures);
    let generated: u64 = figures
        .counts
        .iter()
        .filter(|one| one.outcome == Outcome::Generated && one.day >= from)
        .map(|one| one.n)
        .sum();
    let superseded = all.iter().any(|one| one.1 == Outcome::Superseded);
    let war = generated > 2 && superseded;
    let shown = all
        .into_iter()
        .take(SOURCES)
        .map(|(source, outcome, n, last)| Stale {
            source: source.to_owned(),
            n: match n {
                1 => "Once".to_owned(),
                n => format!("{} times", count(n)),
            },
            what: match outcome {
                Outcome::Superseded => "a replaced token",
                Outcome::Expired => "an expired token",
                Outcome::Revoked => "a revoked token",
                _ => "a denied token",
            },
            last: Moment::new(last, now),
        });
    (shown.collect(), war)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn axis_ends_at_a_round_number_with_a_whole_middle() {
        for (most, expect) in [
            (0, 2),
            (1, 2),
            (3, 4),
            (9, 10),
            (10, 10),
            (11, 20),
            (41, 60),
            (100, 100),
            (1_001, 2_000),
        ] {
            assert_eq!(top(most), expect, "{most}");
        }
    }
}
