//! A snapshot of etcd on its way from a member through its host's agent to this machine, read while it comes.

use std::io;
use std::time::Duration;

use tokio::io::AsyncReadExt as _;
use tokio::time::timeout;

use crate::carrier::{Agent, AskError};
use crate::protocol::{EtcdProof, EtcdProofReply};
use crate::stored::{Form, Reader, Wanted};

/// How long a member may take to begin.
const BEGIN: Duration = Duration::from_secs(30);
/// A line on which nothing comes for so long is dead.
const SILENCE: Duration = Duration::from_mins(1);
const PIECE: usize = 256 * 1024;

/// What comes.
pub(crate) enum Coming<'a> {
    /// So many bytes will.
    Begins(u64),
    /// These are the next.
    Piece(&'a [u8]),
}

/// Why a snapshot did not come.
pub(crate) enum NotCome {
    /// The member gave none.
    Refused(AskError),
    /// It ended early.
    Broken(io::Error),
    /// Whoever takes it could not.
    Untaken(io::Error),
}

/// Takes a snapshot and returns what it is. Its size is no matter.
///
/// # Errors
/// When it does not come to its end, or what takes it refuses a piece.
pub(crate) async fn take(
    agent: &Agent,
    ask: &EtcdProof,
    taker: &mut (dyn FnMut(Coming<'_>) -> io::Result<()> + Send),
) -> Result<EtcdProofReply, NotCome> {
    let asked = agent.download(ask.source.clone(), BEGIN).await;
    let (begun, mut stream) = asked.map_err(NotCome::Refused)?;
    taker(Coming::Begins(begun.bytes)).map_err(NotCome::Untaken)?;
    let mut reader = Reader::new(Wanted {
        form: Form::Snapshot,
        prefix: ask.prefix.clone(),
        keys: ask.keys.clone(),
    });
    let mut piece = vec![0; PIECE];
    loop {
        let read = timeout(SILENCE, stream.read(&mut piece)).await;
        let read = read
            .map_err(|_| NotCome::Broken(io::ErrorKind::TimedOut.into()))?
            .map_err(NotCome::Broken)?;
        if read == 0 {
            break;
        }
        taker(Coming::Piece(&piece[..read])).map_err(NotCome::Untaken)?;
        reader.feed(&piece[..read]);
    }
    if reader.bytes() < begun.bytes {
        return Err(NotCome::Broken(io::ErrorKind::UnexpectedEof.into()));
    }
    let facts = Some(reader.finish());
    Ok(EtcdProofReply { begun, facts })
}
