//! Credential helpers, which are programs by design (docker/docker-credential-helpers): `docker-credential-NAME get`
//! gets the registry's name on stdin and answers JSON.

use std::io;
use std::process::{Output, Stdio};
use std::time::Duration;

use secrets::{Secret, Wiped};
use serde::Deserialize;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::process::Command;

use super::{Login, LoginError};
use crate::json;

/// A helper answers within this time, also one that asks its user.
const DEADLINE: Duration = Duration::from_secs(30);
/// Its answer is at most this long.
const LIMIT: usize = 64 << 10;

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Answer {
    username: String,
    secret: Secret,
}

/// Asks a helper for the login of `registry`, by the name under which the helper knows it.
pub(super) async fn ask(helper: &str, registry: &str) -> Result<Login, LoginError> {
    let program = format!("docker-credential-{helper}");
    let Ok(output) = tokio::time::timeout(DEADLINE, run(&program, registry)).await else {
        let seconds = DEADLINE.as_secs();
        return Err(LoginError::HelperSlow { program, seconds });
    };
    let output = output.map_err(|source| match source.kind() {
        io::ErrorKind::NotFound => LoginError::HelperMissing {
            registry: registry.to_owned(),
        },
        _ => LoginError::Helper {
            program: program.clone(),
            source,
        },
    })?;
    if output.stdout.len() > LIMIT {
        return Err(LoginError::HelperLong { program });
    }
    if !output.status.success() {
        // The helpers' own protocol: this sentence on stdout means that there is no login.
        if String::from_utf8_lossy(&output.stdout).contains("credentials not found") {
            return Ok(Login::Anonymous);
        }
        let registry = registry.to_owned();
        return Err(LoginError::HelperFailed { program, registry });
    }
    let stdout = Wiped::new(output.stdout);
    let answer: Answer =
        json::read(&stdout).map_err(|source| LoginError::HelperAnswer { program, source })?;
    if answer.username == "<token>" {
        return Err(LoginError::IdentityToken {
            registry: registry.to_owned(),
        });
    }
    Ok(Login::Password {
        username: answer.username,
        password: answer.secret,
    })
}

/// Runs a helper to its end; it is killed if nobody waits any more.
async fn run(program: &str, registry: &str) -> io::Result<Output> {
    let mut child = Command::new(program)
        .arg("get")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .kill_on_drop(true)
        .spawn()?;
    if let Some(mut stdin) = child.stdin.take() {
        // A helper that does not read its input says so by its answer.
        let _ = stdin.write_all(registry.as_bytes()).await;
    }
    // Of its whole length at once: to grow would leave bytes of it behind.
    let mut stdout = Vec::with_capacity(LIMIT + 1);
    if let Some(out) = child.stdout.take() {
        out.take(LIMIT as u64 + 1).read_to_end(&mut stdout).await?;
    }
    Ok(Output {
        status: child.wait().await?,
        stdout,
        stderr: Vec::new(),
    })
}
