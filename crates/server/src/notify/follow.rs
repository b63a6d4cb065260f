//! Follows the audit log: makes notices of its entries and moves the cursor in one transaction. A caller's act
//! is done when its entry is written; it never waits for this.

use super::event::Event;
use super::listeners::Listeners;
use super::{Stuck, anybody_listens};
use crate::app::App;
use tokenward_store::notices::NoticeWrite;
use tokenward_store::people::Record;

/// Entries looked at in one step: at some ten steps a second more than are ever written.
const ENTRIES_A_STEP: u64 = 2_000;
/// Notices after which a step ends, so that its transaction stays short for those who wait behind it.
const NOTICES_A_STEP: usize = 500;

/// How far the log was followed; none before it was read where it stood.
#[derive(Default)]
pub(super) struct Follower {
    at: Option<u64>,
}

impl Follower {
    /// Follows the log by one step, while this node is the one that does; answers whether there is more.
    pub(super) async fn step(&mut self, app: &App) -> Result<bool, Stuck> {
        if !app.data.store.is_housekeeper() {
            // Another one may follow it meanwhile.
            self.at = None;
            return Ok(false);
        }
        let reader = app.data.reader();
        let at = match self.at {
            Some(at) => at,
            None => *self.at.insert(reader.followed().await?),
        };
        // Other nodes write entries, too.
        let (head, ..) = reader.head().await?;
        if at >= head {
            return Ok(false);
        }
        if !anybody_listens(app).await? {
            // Nobody wants to know: the rest is skipped in one go.
            return self.reach(app, head, Vec::new()).await.map(|()| false);
        }
        let mut until = head.min(at + ENTRIES_A_STEP);
        let mut listeners = Listeners::default();
        let mut notices = Vec::new();
        for told in reader.told(at, until).await? {
            let seq = told.entry.seq;
            if let Some(event) = Event::from_entry(told) {
                notices.extend(listeners.notices(app, &event).await?);
            }
            if notices.len() >= NOTICES_A_STEP {
                until = seq;
                break;
            }
        }
        self.reach(app, until, notices).await?;
        Ok(until < head)
    }

    async fn reach(
        &mut self,
        app: &App,
        until: u64,
        notices: Vec<tokenward_store::notices::NewNotice>,
    ) -> Result<(), Stuck> {
        let made = NoticeWrite::Made {
            followed: Some(until),
            notices,
        };
        // Not written, or not known to be: then it is read again how far the log was followed.
        self.at = None;
        app.data.note(vec![Record::Notice(made)]).await?;
        self.at = Some(until);
        Ok(())
    }
}
