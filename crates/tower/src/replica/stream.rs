//! The stream to a node: greeting, sealed frames. It proves itself to the node and makes the node prove
//! itself, by the keys that neither sends.

use super::Shared;
use crate::endpoint::{Endpoint, Socket, Speech};
use std::time::Duration;
use tokenward_core::attach::{
    FRAME_MAX, Greeting, LENGTH_BYTES, Nonce, Opener, PREFACE, Sealer, Side, ToNode, channel,
};
use tokenward_core::change::FORMAT;
use tokio::io::{AsyncReadExt, AsyncWriteExt, ReadHalf, WriteHalf};
use tokio::time::timeout;

/// Greeting not done in this time: given up.
const GREETING: Duration = Duration::from_secs(5);
/// A frame not taken in this time: the node hangs.
const WRITING: Duration = Duration::from_secs(5);

/// What writes to the node.
pub(super) struct Pen {
    writer: WriteHalf<Socket>,
    sealer: Sealer,
    reads_permitted: bool,
}

/// What hears the node.
pub(super) struct Ear {
    reader: ReadHalf<Socket>,
    opener: Opener,
}

/// Connects and greets; the node's first frame will prove that it holds the same keys.
pub(super) async fn open(shared: &Shared, node: &Endpoint) -> Result<(Pen, Ear), String> {
    let greeting = async {
        let socket = node.connect(Speech::Replica).await?;
        let (mut reader, mut writer) = tokio::io::split(socket);
        let ours = tokenward_system::random_bytes().ok_or(std::io::ErrorKind::Other)?;
        writer.write_all(PREFACE).await?;
        writer.write_all(&ours).await?;
        writer.flush().await?;
        let mut bytes = [0; Greeting::BYTES];
        reader.read_exact(&mut bytes).await?;
        Ok::<_, std::io::Error>((reader, writer, Nonce(ours), Greeting::from_bytes(&bytes)))
    };
    let greeted = timeout(GREETING, greeting).await;
    let (reader, writer, ours, greeting) = match greeted {
        Ok(Ok(greeted)) => greeted,
        Ok(Err(error)) => return Err(format!("no connection: {error}")),
        Err(_) => return Err("it does not answer".into()),
    };
    let greeting = greeting.ok_or("it is not a node that speaks this version")?;
    let stale = "the replica keys are not this node's, or older than its newest digest key: make the file anew with \
                 `tokenward digest-key for-replicas`";
    let known: Vec<_> = shared.keyring.ids().collect();
    let newest = greeting.keys.last().ok_or(stale)?;
    if !greeting.keys.iter().all(|id| known.contains(id)) {
        return Err(stale.into());
    }
    let ring = &shared.keyring;
    let (sealer, opener) =
        channel(ring, *newest, Side::Replica, &greeting.nonce, &ours).ok_or(stale)?;
    let mut pen = Pen {
        writer,
        sealer,
        reads_permitted: greeting.reads_permitted,
    };
    let attach = ToNode::Attach {
        format: FORMAT,
        bearer: shared.bearer.clone(),
    };
    pen.say(&attach).await?;
    Ok((pen, Ear { reader, opener }))
}

impl Pen {
    /// Whether the node reads [`ToNode::Permitted`].
    pub(super) fn reads_permitted(&self) -> bool {
        self.reads_permitted
    }

    /// Sends one message.
    pub(super) async fn say(&mut self, message: &ToNode) -> Result<(), String> {
        let frame = self.sealer.seal(&message.to_bytes());
        let write = async {
            self.writer.write_all(&frame).await?;
            self.writer.flush().await
        };
        match timeout(WRITING, write).await {
            Ok(Ok(())) => Ok(()),
            Ok(Err(error)) => Err(format!("it was cut: {error}")),
            Err(_) => Err("it takes nothing any more".into()),
        }
    }
}

impl Ear {
    /// The next message's bytes. Not to be given up half-way.
    pub(super) async fn hear(&mut self) -> Result<Vec<u8>, String> {
        let cut = |error: std::io::Error| format!("the stream was cut: {error}");
        let mut length = [0; LENGTH_BYTES];
        self.reader.read_exact(&mut length).await.map_err(cut)?;
        let length = usize::try_from(u32::from_le_bytes(length)).unwrap_or(usize::MAX);
        if length > FRAME_MAX {
            return Err("a frame is too long".into());
        }
        let mut frame = vec![0; length];
        self.reader.read_exact(&mut frame).await.map_err(cut)?;
        let count = self.opener.open(&frame);
        let count = count.map_err(
            |_| "it does not hold these replica keys, or somebody tampers with the stream",
        )?;
        let count = count.len();
        frame.truncate(count);
        Ok(frame)
    }
}
