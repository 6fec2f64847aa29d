//! The snapshot of etcd that a run reads, kept on this machine: whole, or not at all.

use std::io::Write as _;

use bundle::AtomicFile;
use cli::chain;
use serde::{Deserialize, Serialize};

use super::coming::{self, Coming, NotCome};
use super::ctx::Ctx;
use super::failure::AskFailure;
use crate::protocol::{EtcdProof, EtcdProofReply, SnapshotFacts};

/// What became of a snapshot that was to be kept.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct KeptSnapshot {
    /// The file.
    pub(crate) file: String,
    /// Why it is not there; absent: it is.
    pub(crate) failed: Option<String>,
}

impl Ctx {
    /// Returns whether the snapshot that is read is to be kept.
    pub(crate) const fn keeps_snapshot(&self) -> bool {
        self.snapshot.is_some()
    }

    /// Reads a snapshot on the host; where it is to be kept, here instead, and keeps it where it is whole.
    ///
    /// # Errors
    /// When it does not come, or not to its end. Another member may be asked then.
    pub(crate) async fn prove_snapshot(
        &self,
        host: &str,
        ask: EtcdProof,
    ) -> Result<(EtcdProofReply, Option<KeptSnapshot>), AskFailure> {
        let Some(slot) = &self.snapshot else {
            return Ok((self.ask(host, ask).await?, None));
        };
        let mut slot = slot.lock().await;
        let (reply, written) = self.written(host, &ask, slot.as_mut()).await?;
        // What is no whole snapshot goes with its file.
        let is_whole = reply.facts.as_ref().is_some_and(SnapshotFacts::is_whole);
        let file = slot.take().filter(|_| is_whole);
        let kept = file.map(|file| KeptSnapshot {
            file: file.target().display().to_string(),
            failed: match written {
                Ok(()) => file.commit_new().err().map(|error| chain(&error)),
                Err(reason) => Some(reason),
            },
        });
        Ok((reply, kept))
    }

    /// Reads a snapshot and writes it anew; what could not be written is read all the same.
    async fn written(
        &self,
        host: &str,
        ask: &EtcdProof,
        mut file: Option<&mut AtomicFile>,
    ) -> Result<(EtcdProofReply, Result<(), String>), AskFailure> {
        let agent = self.agent(host);
        let agent = agent.map_err(|error| AskFailure::unreached(host, error))?;
        let mut written = Ok(());
        if let Some(file) = &mut file {
            written = file.restart().map_err(|error| chain(&error));
        }
        let mut taker = |coming: Coming<'_>| {
            if let Coming::Piece(piece) = coming
                && written.is_ok()
                && let Some(file) = &mut file
            {
                written = file.write_all(piece).map_err(|error| error.to_string());
            }
            Ok(())
        };
        let come = coming::take(agent, ask, &mut taker).await;
        let reply = come.map_err(|not| match not {
            NotCome::Refused(error) => AskFailure::of(host, error),
            NotCome::Broken(error) | NotCome::Untaken(error) => AskFailure::lost(host, error.to_string()),
        })?;
        Ok((reply, written))
    }
}
