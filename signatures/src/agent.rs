//! An SSH agent, asked to sign (draft-ietf-sshm-ssh-agent): the private key never leaves it.

use std::io::{self, Read as _, Write as _};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::time::Duration;

use ssh_key::Signature;
use ssh_key::encoding::{Decode as _, Encode as _};
use ssh_key::public::KeyData;

/// A person may have to touch or to confirm something.
const PATIENCE: Duration = Duration::from_mins(2);
/// No answer of an agent is longer.
const LONGEST: u32 = 1 << 20;

const LIST_REQUEST: u8 = 11;
const LIST: u8 = 12;
const SIGN_REQUEST: u8 = 13;
const SIGN_RESPONSE: u8 = 14;
/// RSA with SHA-512.
const RSA_SHA2_512: u32 = 4;

/// Why an agent does not sign.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum AgentError {
    /// It cannot be talked to.
    #[error("it cannot be reached")]
    Io(#[source] io::Error),
    /// It says no.
    #[error(
        "it refuses: it does not have the key, or somebody did not allow it (`ssh-add -l` lists its keys)"
    )]
    Refused,
    /// The key is not among its keys.
    #[error("it does not have the key (`ssh-add -l` lists its keys)")]
    Lacks,
    /// What it says is no answer.
    #[error("its answer is not understood")]
    Answer,
}

/// Has the agent at `socket` sign bytes with the private half of a key.
pub(crate) fn sign(socket: &Path, key: &KeyData, data: &[u8]) -> Result<Signature, AgentError> {
    let request = request(key, data).map_err(|_| AgentError::Answer)?;
    let answer = ask(socket, &request)?;
    match answer.split_first() {
        Some((&SIGN_RESPONSE, mut rest)) => {
            let signature = Vec::<u8>::decode(&mut rest).map_err(|_| AgentError::Answer)?;
            Signature::decode(&mut signature.as_slice()).map_err(|_| AgentError::Answer)
        }
        Some(_) => Err(AgentError::Refused),
        None => Err(AgentError::Answer),
    }
}

/// Looks whether the agent at `socket` is there and has a key.
pub(crate) fn look(socket: &Path, key: &KeyData) -> Result<(), AgentError> {
    let mut wanted = Vec::new();
    key.encode(&mut wanted).map_err(|_| AgentError::Answer)?;
    let answer = ask(socket, &[LIST_REQUEST])?;
    let Some((&LIST, mut rest)) = answer.split_first() else {
        return Err(AgentError::Answer);
    };
    let mut keys = u32::decode(&mut rest).map_err(|_| AgentError::Answer)?;
    while keys > 0 {
        let key = Vec::<u8>::decode(&mut rest).map_err(|_| AgentError::Answer)?;
        if key == wanted {
            return Ok(());
        }
        // Its comment.
        Vec::<u8>::decode(&mut rest).map_err(|_| AgentError::Answer)?;
        keys -= 1;
    }
    Err(AgentError::Lacks)
}

/// Sends a request and returns the answer.
fn ask(socket: &Path, request: &[u8]) -> Result<Vec<u8>, AgentError> {
    let mut agent = UnixStream::connect(socket).map_err(AgentError::Io)?;
    agent.set_read_timeout(Some(PATIENCE)).map_err(AgentError::Io)?;
    agent.set_write_timeout(Some(PATIENCE)).map_err(AgentError::Io)?;
    let length = u32::try_from(request.len()).map_err(|_| AgentError::Answer)?;
    agent.write_all(&length.to_be_bytes()).map_err(AgentError::Io)?;
    agent.write_all(request).map_err(AgentError::Io)?;
    let mut length = [0; 4];
    agent.read_exact(&mut length).map_err(AgentError::Io)?;
    let length = u32::from_be_bytes(length);
    if !(1..=LONGEST).contains(&length) {
        return Err(AgentError::Answer);
    }
    let mut answer = vec![0; usize::try_from(length).unwrap_or_default()];
    agent.read_exact(&mut answer).map_err(AgentError::Io)?;
    Ok(answer)
}

fn request(key: &KeyData, data: &[u8]) -> Result<Vec<u8>, ssh_key::encoding::Error> {
    let mut blob = Vec::new();
    key.encode(&mut blob)?;
    let mut request = vec![SIGN_REQUEST];
    blob.encode(&mut request)?;
    data.encode(&mut request)?;
    let flags = if matches!(key, KeyData::Rsa(_)) {
        RSA_SHA2_512
    } else {
        0
    };
    flags.encode(&mut request)?;
    Ok(request)
}
