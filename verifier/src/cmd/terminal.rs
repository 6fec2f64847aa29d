//! A question on the terminal, which a signal ends.

use std::io;
use std::time::Duration;

use cli::{Question, Typed};
use secrets::Secret;
use tokio_util::sync::CancellationToken;

/// How often is looked whether something was typed.
const TICK: Duration = Duration::from_millis(20);

/// Asks for a secret on the terminal; none where `stop` or Ctrl-C came before the answer, an error where there is no
/// terminal. The echo is back in any case.
pub(super) async fn ask(question: &str, stop: &CancellationToken) -> io::Result<Option<Secret>> {
    let mut question = Question::put(question)?;
    loop {
        match question.typed()? {
            Typed::Answer(answer) => return Ok(Some(answer)),
            Typed::Interrupt => return Ok(None),
            Typed::Part => {}
        }
        tokio::select! {
            biased;
            () = stop.cancelled() => return Ok(None),
            () = tokio::time::sleep(TICK) => {}
        }
    }
}
