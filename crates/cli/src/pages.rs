//! Lists of the admin API, one page at a time and no page before it is needed. Items are kept as
//! the server wrote them, so that what a program reads is the API's own JSON.

use super::api::{Answer, Api, Query};
use super::error::CliError;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::value::RawValue;

/// Items asked for at once: enough that a list of thousands needs few calls, few enough that the
/// first rows show at once.
const PAGE_ITEMS: u64 = 100;

/// How much of a list is wanted.
#[derive(clap::Args, Clone, Debug, Default)]
pub(crate) struct Portion {
    /// Stop after this many.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    pub(crate) limit: Option<u64>,
}

/// One page as it is answered; the audit log names its place by an entry's number.
#[derive(Deserialize)]
struct Page {
    items: Vec<Box<RawValue>>,
    #[serde(default)]
    next_cursor: Option<String>,
    #[serde(default)]
    next_after: Option<u64>,
}

/// Where the next page begins.
#[derive(Clone, PartialEq, Eq, Debug)]
enum Next {
    Start,
    /// By this parameter.
    At(&'static str, String),
    End,
}

/// A list being read.
pub(crate) struct Pages<'a> {
    api: &'a Api,
    path: String,
    query: Query,
    next: Next,
    left: Option<u64>,
}

impl<'a> Pages<'a> {
    /// The list at `path`, at most `limit` items of it.
    pub(crate) fn new(api: &'a Api, path: &str, query: Query, limit: Option<u64>) -> Pages<'a> {
        Pages {
            api,
            path: path.to_owned(),
            query,
            next: Next::Start,
            left: limit,
        }
    }

    /// The next page; none when the list, or what was wanted of it, is at its end.
    pub(crate) async fn next(&mut self) -> Result<Option<Vec<Box<RawValue>>>, CliError> {
        if self.next == Next::End || self.left == Some(0) {
            return Ok(None);
        }
        let wanted = self.left.map_or(PAGE_ITEMS, |left| left.min(PAGE_ITEMS));
        let mut query = self.query.clone();
        query.push(("limit", wanted.to_string()));
        if let Next::At(name, place) = &self.next {
            // The caller's own starting point gives way to where we are.
            query.retain(|(known, _)| known != name);
            query.push((*name, place.clone()));
        }
        let mut page: Page = self.api.read(&self.path, &query).await?;
        let next = match (page.next_cursor, page.next_after) {
            (Some(cursor), _) => Next::At("cursor", cursor),
            (None, Some(seq)) => Next::At("after", seq.to_string()),
            (None, None) => Next::End,
        };
        if next != Next::End && next == self.next {
            return Err(CliError::Failed(
                "the server answered the same page again and again".to_owned(),
            ));
        }
        self.next = next;
        if let Some(left) = &mut self.left {
            page.items
                .truncate(usize::try_from(*left).unwrap_or(usize::MAX));
            *left -= page.items.len() as u64;
        }
        Ok(Some(page.items))
    }

    /// The first item that `wanted` accepts, and whether a second one is there: names are meant to
    /// be unique, but a wrong guess could hit the wrong one.
    pub(crate) async fn find<T: DeserializeOwned>(
        &mut self,
        wanted: impl Fn(&T) -> bool,
    ) -> Result<Found<T>, CliError> {
        let mut found = Found::None;
        while let Some(items) = self.next().await? {
            for item in &items {
                let item: Answer<T> = parsed(item)?;
                if !wanted(&item) {
                    continue;
                }
                if let Found::One(first) = &found {
                    let id = |item: &Answer<T>| item.json["id"].as_str().map(str::to_owned);
                    let ids = [first, &item].into_iter().filter_map(id);
                    return Ok(Found::Several(ids.collect()));
                }
                found = Found::One(item);
            }
        }
        Ok(found)
    }
}

/// What a search brought.
pub(crate) enum Found<T> {
    /// Nothing.
    None,
    /// Exactly one.
    One(Answer<T>),
    /// More than one: the ids of the first two.
    Several(Vec<String>),
}

/// An item as one of the bodies of the API.
pub(crate) fn parsed<T: DeserializeOwned>(item: &RawValue) -> Result<Answer<T>, CliError> {
    Answer::read(item.get().as_bytes()).map_err(|error| {
        CliError::Failed(format!(
            "the server sent an item that can't be read: {error}"
        ))
    })
}
