//! One attached replica's stream, from its greeting to its end.

use crate::app::App;
use crate::random;
use std::sync::Arc;
use std::time::Duration;
use subtle::ConstantTimeEq;
use tokenward_core::attach::{
    FRAME_MAX, Greeting, LENGTH_BYTES, Nonce, Opener, PREFACE, Sealer, Side, ToNode, ToReplica,
    channel,
};
use tokenward_core::change::FORMAT;
use tokenward_core::ids::{ClientNo, ProductNo};
use tokenward_core::sublease::AttachmentId;
use tokenward_core::time::Clock;
use tokenward_store::{Attached, Fed};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::sync::watch;
use tokio::time::timeout;

/// Greeting and proof not done in this time: given up.
const GREETING: Duration = Duration::from_secs(10);
/// A frame not taken in this time: the replica hangs.
const WRITING: Duration = Duration::from_secs(30);
/// A replica that says nothing for this long is gone; it renews every second, except while it loads.
const SILENCE: Duration = Duration::from_secs(60);
/// The largest frame from a replica before and after it has proved itself, in bytes.
const FIRST_FRAME_MAX: usize = 1_024;
const REPLICA_FRAME_MAX: usize = 256 * 1024;

/// Why a stream ended; for the log.
type Ended = &'static str;

/// Serves one stream until its end or the server's. `allowed` is whether its caller may attach a replica at all.
pub(crate) async fn serve<S>(
    app: Arc<App>,
    stream: S,
    allowed: bool,
    mut stop: watch::Receiver<bool>,
) where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let (reader, writer) = tokio::io::split(stream);
    let ended = tokio::select! {
        ended = attend(&app, reader, writer, allowed) => ended,
        _ = stop.wait_for(|stop| *stop) => "this server stops",
    };
    tracing::info!("a replica's stream ended: {ended}");
}

/// A stream's two ends once the keys are proved.
struct Line<R, W> {
    reader: R,
    opener: Opener,
    output: Output<W>,
}

/// The end that messages are sent into.
struct Output<W> {
    writer: W,
    sealer: Sealer,
}

async fn attend<R, W>(app: &App, reader: R, writer: W, allowed: bool) -> Ended
where
    R: AsyncRead + Unpin,
    W: AsyncWrite + Unpin,
{
    let mut line = match timeout(GREETING, greet(app, reader, writer)).await {
        Ok(Ok(line)) => line,
        Ok(Err(ended)) => return ended,
        Err(_) => return "it did not prove itself in time",
    };
    if !allowed {
        let why = "its client certificate has no name with the grant replica in the node's internal_callers";
        return line.output.refuse(why).await;
    }
    // Before the first grant, so that a successor knows.
    if let Err(error) = app.replicas.write() {
        tracing::error!("no replica can be attached: {error}");
        let why = "the node cannot take replicas at the moment";
        return line.output.refuse(why).await;
    }
    let Some(attached) = app.data.store.attachments().attach() else {
        return line.output.refuse("too many replicas are attached").await;
    };
    let ending = Ending {
        app,
        id: attached.id,
    };
    tracing::info!(change = attached.base, "a replica is being attached");
    let ended = live(app, line, attached).await;
    drop(ending);
    ended
}

/// Whatever ends a stream, the attachment is known to be cut.
struct Ending<'a> {
    app: &'a App,
    id: AttachmentId,
}

impl Drop for Ending<'_> {
    fn drop(&mut self) {
        self.app.data.store.attachments().cut(self.id);
    }
}

/// Preface, nonces, and the first frame, which proves that the replica holds the keys.
async fn greet<R, W>(app: &App, mut reader: R, mut writer: W) -> Result<Line<R, W>, Ended>
where
    R: AsyncRead + Unpin,
    W: AsyncWrite + Unpin,
{
    const CUT: Ended = "it was cut while greeting";
    let mut preface = [0; PREFACE.len()];
    reader.read_exact(&mut preface).await.map_err(|_| CUT)?;
    if preface != *PREFACE {
        return Err("it speaks another version");
    }
    let mut theirs = Nonce([0; 32]);
    reader.read_exact(&mut theirs.0).await.map_err(|_| CUT)?;
    let ours = Nonce(random::bytes());
    let greeting = Greeting {
        nonce: ours,
        keys: app.data.keyring.ids().collect(),
        reads_permitted: true,
    };
    let sent = async {
        writer.write_all(&greeting.to_bytes()).await?;
        writer.flush().await
    };
    sent.await.map_err(|_| CUT)?;
    let (sealer, mut opener) = channel(
        &app.data.keyring,
        app.data.keyring.current(),
        Side::Node,
        &ours,
        &theirs,
    )
    .ok_or("no key is left")?;
    let frame = read_frame(&mut reader, FIRST_FRAME_MAX)
        .await
        .map_err(|_| CUT)?;
    let first = opener
        .open(&frame)
        .map_err(|_| "it does not hold this node's replica keys")?;
    let Ok(ToNode::Attach { format, bearer }) = ToNode::from_bytes(first) else {
        return Err("it speaks another version");
    };
    let mut output = Output { writer, sealer };
    if let Some(expected) = &app.data.config.internal_auth
        && !bool::from(bearer.as_bytes().ct_eq(expected.as_bytes()))
    {
        let why = "the internal bearer token is missing or wrong";
        return Err(output.refuse(why).await);
    }
    if format != FORMAT {
        let why = "it reads another format of changes than this node writes";
        return Err(output.refuse(why).await);
    }
    Ok(Line {
        reader,
        opener,
        output,
    })
}

/// Feeds and hears one replica until either ends.
async fn live<R, W>(app: &App, line: Line<R, W>, attached: Attached) -> Ended
where
    R: AsyncRead + Unpin,
    W: AsyncWrite + Unpin,
{
    let Line {
        reader,
        opener,
        output,
    } = line;
    let id = attached.id;
    tokio::select! {
        ended = feed(app, output, attached) => ended.unwrap_or_else(|hangs| hangs),
        ended = hear(app, reader, opener, id) => ended,
    }
}

/// The snapshot, then whatever the store has for it.
async fn feed<W: AsyncWrite + Unpin>(
    app: &App,
    mut output: Output<W>,
    mut attached: Attached,
) -> Result<Ended, Ended> {
    let copying = app.data.replica().copying();
    let begin = ToReplica::Snapshot {
        base: attached.base,
        clients: copying.clients(),
    };
    output.say(&begin).await?;
    for part in copying {
        output.say(&ToReplica::Part(&part)).await?;
        // The same thread answers checks.
        tokio::task::yield_now().await;
    }
    output.say(&ToReplica::Loaded).await?;
    while let Some(fed) = attached.feed.recv().await {
        match fed {
            Fed::Changes { first, bodies } => output.changes(first, &bodies).await?,
            Fed::Granted {
                round,
                through,
                term,
            } => {
                let granted = ToReplica::Granted {
                    round,
                    through,
                    term,
                };
                output.say(&granted).await?;
            }
            Fed::Expelled => {
                let why = "it did not say in time that it had applied a change";
                return Ok(output.refuse(why).await);
            }
        }
    }
    Ok("it fell too far behind")
}

impl<W: AsyncWrite + Unpin> Output<W> {
    /// Sends one message.
    async fn say(&mut self, message: &ToReplica<'_>) -> Result<(), Ended> {
        let frame = self.sealer.seal(&message.to_bytes());
        let write = async {
            self.writer.write_all(&frame).await?;
            self.writer.flush().await
        };
        match timeout(WRITING, write).await {
            Ok(Ok(())) => Ok(()),
            Ok(Err(_)) | Err(_) => Err("it takes nothing any more"),
        }
    }

    /// Says why there is no attachment.
    async fn refuse(&mut self, why: Ended) -> Ended {
        let _ = self.say(&ToReplica::Expelled(why)).await;
        why
    }

    /// Changes in frames small enough to be read.
    async fn changes(&mut self, mut first: u64, bodies: &[String]) -> Result<(), Ended> {
        // Half a frame leaves room for lengths; no change is nearly as long (names, lists and texts have limits).
        let mut rest = bodies;
        while !rest.is_empty() {
            let mut bytes = 0;
            let fits = |body: &&String| {
                bytes += body.len();
                bytes < FRAME_MAX / 2
            };
            let count = rest.iter().take_while(fits).count().max(1);
            let (now, later) = rest.split_at(count);
            let message = ToReplica::Changes {
                first,
                bodies: now.iter().map(String::as_str).collect(),
            };
            self.say(&message).await?;
            first += count as u64;
            rest = later;
        }
        Ok(())
    }
}

/// Hears the replica out.
async fn hear<R: AsyncRead + Unpin>(
    app: &App,
    mut reader: R,
    mut opener: Opener,
    id: AttachmentId,
) -> Ended {
    let attachments = app.data.store.attachments();
    loop {
        let Ok(Ok(frame)) = timeout(SILENCE, read_frame(&mut reader, REPLICA_FRAME_MAX)).await
        else {
            return "it was cut";
        };
        let Ok(message) = opener.open(&frame) else {
            return "somebody tampered with it";
        };
        match ToNode::from_bytes(message) {
            Ok(ToNode::Renew { round }) => attachments.renew(id, round),
            Ok(ToNode::Acknowledge { number }) => attachments.acknowledged(id, number),
            Ok(ToNode::Used(mut uses)) => {
                let now = app.data.clock().wall();
                uses.retain(|one| is_known(app, one.client, one.product));
                uses.iter_mut().for_each(|one| one.at = one.at.min(now));
                app.data.usage.take_over(app.data.replica(), &uses);
            }
            Ok(ToNode::Permitted(mut all)) => {
                let now = app.data.clock().wall();
                all.retain(|one| is_known(app, one.client, one.product));
                all.iter_mut()
                    .for_each(|one| one.last_at = one.last_at.min(now));
                app.data.usage.permitted_elsewhere(app.data.replica(), &all);
                let known = all.iter();
                app.data.counts.permitted_elsewhere(known, app.data.hour());
            }
            Ok(ToNode::Release) => {
                attachments.released(id);
                return "the replica left";
            }
            Ok(ToNode::Attach { .. }) | Err(_) => return "it said what this node can't read",
        }
    }
}

/// Whether a report is about a client and a product that exist. Each one reported has a row of its own, in memory and in
/// the database: without this a service could fill both.
fn is_known(app: &App, client: ClientNo, product: ProductNo) -> bool {
    let replica = app.data.replica();
    client.index() < replica.client_count() && replica.has_product(product)
}

/// One frame without its length; longer ones are not read.
async fn read_frame<R: AsyncRead + Unpin>(reader: &mut R, most: usize) -> std::io::Result<Vec<u8>> {
    let mut length = [0; LENGTH_BYTES];
    reader.read_exact(&mut length).await?;
    let length = usize::try_from(u32::from_le_bytes(length)).unwrap_or(usize::MAX);
    if length > most {
        return Err(std::io::ErrorKind::InvalidData.into());
    }
    let mut frame = vec![0; length];
    reader.read_exact(&mut frame).await?;
    Ok(frame)
}
